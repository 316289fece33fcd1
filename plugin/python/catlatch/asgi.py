"""Keys in front of an ASGI application: uvicorn, hypercorn, Starlette, FastAPI, Django.

    app = catlatch.asgi.Middleware(app, scopes=("orders:read",))
"""
from __future__ import annotations

from typing import Any, Awaitable, Callable, MutableMapping, Optional, Sequence

from . import answer
from .access import Access, tell
from .latch import Outcome

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def _encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]


def _address(scope: Scope) -> Optional[str]:
    """Of a unix socket there is none."""
    client = scope.get("client")
    return client[0] or None if client else None


class Middleware:
    """Lets requests and websockets with a good key through to `app` and answers others itself; the
    options are those of catlatch.access.Access. The application finds in scope["catlatch"] a dict
    of `owner`, `key_id`, `key_name`, `environment`, `scopes` and `result`, and of `outcome`, the
    Outcome, to ask again while a connection lasts. An empty owner is nobody.

    Verifying never waits, so the event loop does it itself. The request comes from scope["client"]:
    behind a proxy, what sets that goes around this.
    """

    def __init__(self, app: Application, **options: Any) -> None:
        self.app = app
        self.access = Access(**options)
        if self.access.latch.may_block:
            raise ValueError("catlatch: an event loop cannot wait for a latch that may block")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] not in ("http", "websocket"):
            raise ValueError(f"catlatch: where keys are in a {scope['type']} is not known")

        def values(header: str) -> Sequence[bytes]:
            wanted = header.encode()
            return [value for name, value in scope["headers"] if name.lower() == wanted]

        if self.access.is_preflight(scope.get("method", ""), values):
            return await self.app(self._inner(scope, tell(None)), receive, send)
        known: Optional[Outcome] = scope.get("catlatch", {}).get("outcome")
        outcome = self.access.decide(values, _address(scope), known)
        told = tell(outcome)
        refused = self.access.refusal(outcome, told)
        if refused is None:
            send = _adding(answer.rate(outcome), send)
            return await self.app(self._inner(scope, told), receive, send)
        if scope["type"] == "http":
            return await _answer(refused, send, "http", scope["method"] == "HEAD")
        await receive()  # websocket.connect
        if "websocket.http.response" in scope.get("extensions", {}):
            return await _answer(refused, send, "websocket.http", False)
        await send({"type": "websocket.close"})  # before it is accepted: the server answers 403

    def _inner(self, scope: Scope, told: dict[str, Any]) -> Scope:
        headers = [
            (name, value)
            for name, value in scope["headers"]
            if not self.access.is_credential(name.lower().decode("latin-1"), value)
        ]
        return {**scope, "headers": headers, "catlatch": told}


def _adding(rate: list[tuple[str, str]], send: Send) -> Send:
    """Tells what is left in the answer that the application begins."""

    async def begin(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.accept"):
            headers = [*message.get("headers", ())]
            sent = {name.lower() for name, _ in headers}
            headers += [field for field in _encoded(rate) if field[0] not in sent]
            message = {**message, "headers": headers}
        await send(message)

    return begin if rate else send


async def _answer(refused: answer.Refusal, send: Send, kind: str, is_head: bool) -> None:
    start = {"status": refused.status.value, "headers": _encoded(refused.headers)}
    await send({"type": f"{kind}.response.start", **start})
    await send({"type": f"{kind}.response.body", "body": b"" if is_head else refused.body})
