"""Keys in front of a WSGI application (PEP 3333): gunicorn, Django, Flask.

    app = catlatch.wsgi.Middleware(app, scopes=("orders:read",))
"""
from __future__ import annotations

from typing import Any, Callable, Iterable, Sequence

from . import answer
from .access import BASIC, BEARER, Access, tell

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


def _variable(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")


def _values(environ: Environ, header: str) -> Sequence[bytes]:
    """Servers join a header that came twice by a comma. No key of Bearer or Basic has one, while
    what other schemes have in Authorization may."""
    value = environ.get(_variable(header))
    if value is None:
        return ()
    sent: bytes = value.encode("latin-1", "replace")
    parts = [part.strip(b" \t") for part in sent.split(b",")]
    if header == "authorization" and not any(BEARER.has(part) or BASIC.has(part) for part in parts):
        return (sent,)
    return parts


class Middleware:
    """Lets requests with a good key through to `app` and answers others itself; the options are
    those of catlatch.access.Access. The application finds in its environ `catlatch.owner`,
    `catlatch.key_id`, `catlatch.key_name`, `catlatch.environment`, `catlatch.scopes` and
    `catlatch.result`, and in `catlatch.outcome` the Outcome, to ask again. An empty owner is
    nobody.

    The request comes from REMOTE_ADDR: behind a proxy, what sets that goes around this.
    """

    def __init__(self, app: Application, **options: Any) -> None:
        self.app = app
        self.access = Access(**options)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        def values(header: str) -> Sequence[bytes]:
            return _values(environ, header)

        access, method = self.access, environ["REQUEST_METHOD"]
        if access.is_preflight(method, values):
            return self._pass(environ, start_response, tell(None))
        outcome = access.decide(
            values, environ.get("REMOTE_ADDR") or None, environ.get("catlatch.outcome")
        )
        told = tell(outcome)
        refused = access.refusal(outcome, told)
        if refused is None:
            return self._pass(environ, _adding(answer.rate(outcome), start_response), told)
        start_response(f"{refused.status.value} {refused.status.phrase}", refused.headers)
        return [] if method == "HEAD" else [refused.body]

    def _pass(
        self, environ: Environ, start_response: StartResponse, told: dict[str, Any]
    ) -> Iterable[bytes]:
        environ.update((f"catlatch.{name}", value) for name, value in told.items())
        for header in {source.header for source in self.access.sources}:
            if any(self.access.is_credential(header, sent) for sent in _values(environ, header)):
                del environ[_variable(header)]
        return self.app(environ, start_response)


def _adding(rate: Headers, start_response: StartResponse) -> StartResponse:
    """Tells what is left in the answer that the application begins."""

    def start(status: str, headers: Headers, *exc_info: Any) -> Any:
        sent = {name.lower() for name, _ in headers}
        added = [field for field in rate if field[0].lower() not in sent]
        return start_response(status, headers + added, *exc_info)

    if not rate:
        return start_response
    return start
