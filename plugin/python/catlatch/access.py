"""Where a request's key is and what becomes of it: what WSGI and ASGI have in common."""
from __future__ import annotations

import base64
import binascii
import logging
import os
from typing import Any, Callable, NamedTuple, Optional, Sequence, Union

from . import answer, abi
from .latch import CatlatchError, Latch, Outcome
from .abi import Result

logger = logging.getLogger("catlatch")

# All values of a request's header, by its name in lower case.
Values = Callable[[str], Sequence[bytes]]


class Source(NamedTuple):
    """A place that keys are looked for in."""

    header: str  # in lower case
    scheme: bytes = b""  # how its value begins, in lower case; Authorization is for others, too

    def has(self, value: bytes) -> bool:
        return value[: len(self.scheme)].lower() == self.scheme


BEARER = Source("authorization", b"bearer")
BASIC = Source("authorization", b"basic ")


def _source(text: str) -> Source:
    words = text.lower().split()
    if words in (["bearer"], ["basic"]):
        return BEARER if words == ["bearer"] else BASIC
    if len(words) != 2 or words[0] != "header":
        raise ValueError(f'catlatch: source {text!r}: it is "bearer", "basic" or "header NAME"')
    if words[1] == "authorization":
        raise ValueError(f'catlatch: source {text!r}: that header is called "bearer" or "basic"')
    return Source(words[1])


def _sources(texts: Union[str, Sequence[str]]) -> tuple[Source, ...]:
    sources = tuple(map(_source, [texts] if isinstance(texts, str) else texts))
    if not sources or len(set(sources)) < len(sources):
        raise ValueError(f"catlatch: source {texts!r}: one or more places, each once")
    return sources


def _scopes(scopes: Sequence[str]) -> tuple[str, ...]:
    if isinstance(scopes, str):
        raise TypeError(f"catlatch: scopes are a tuple of words: ({scopes!r},)")
    for scope in scopes:
        if not answer.is_scope(scope):
            raise ValueError(
                f"catlatch: scope {scope!r}: it is 1 to 64 visible ASCII characters, "
                "no quotes and no backslashes"
            )
    if len(" ".join(scopes)) >= abi.SCOPES_SIZE:
        raise ValueError(f"catlatch: scopes: {abi.SCOPES_SIZE - 1} bytes of them in all")
    return tuple(scopes)


def _user_and_password(value: bytes) -> Optional[tuple[bytes, bytes]]:
    """Of Basic (RFC 7617). None: it is not that."""
    text = value[len(BASIC.scheme) :].strip(b" ").split(b"=")[0]
    try:
        decoded = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return None
    user, colon, password = decoded.partition(b":")
    return (user, password) if user and colon else None


class Access:
    """Decides about requests. Its arguments are the middlewares' options:

    latch         to verify with; or else
    config        the path of a catlatch.ini; None: <sysconfdir>/catlatch/catlatch.ini
    service       the service that decides; None: "default"
    may_block     take a service that may wait, as one with `socket`; not for ASGI
    scopes        that the key must have, all of them
    realm         for WWW-Authenticate
    source        where the key is: "bearer", "basic" (the key is the password, or the user),
                  "header NAME"; or several of them, of which a request uses one
    hide_credentials  keys go no further: the application does not see them
    dry_run       decides and logs, and lets everybody through
    preflight     what becomes of a CORS preflight, which has no credentials: "check" or "pass"
    """

    def __init__(
        self,
        *,
        latch: Optional[Latch] = None,
        config: Union[None, str, os.PathLike[str]] = None,
        service: Optional[str] = None,
        may_block: bool = False,
        scopes: Sequence[str] = (),
        realm: str = "api",
        source: Union[str, Sequence[str]] = "bearer",
        hide_credentials: bool = False,
        dry_run: bool = False,
        preflight: str = "check",
    ) -> None:
        if not answer.is_realm(realm):
            raise ValueError(
                f"catlatch: realm {realm!r}: it is 1 to {answer.REALM_MAX} visible ASCII "
                "characters and spaces, no quotes and no backslashes"
            )
        if preflight not in ("check", "pass"):
            raise ValueError(f'catlatch: preflight {preflight!r}: it is "check" or "pass"')
        if latch is not None and (config is not None or service is not None or may_block):
            raise ValueError("catlatch: a latch has its config, service and may_block already")
        self.scopes = _scopes(scopes)
        self.sources = _sources(source)
        self.realm = realm
        self.hide_credentials = hide_credentials
        self.dry_run = dry_run
        self.passes_preflight = preflight == "pass"
        self.latch = latch or Latch(config, service, may_block=may_block)

    def is_preflight(self, method: str, values: Values) -> bool:
        """A browser asks without credentials whether it may send them, and is to be let through."""
        return (
            self.passes_preflight
            and method == "OPTIONS"
            and bool(values("origin"))
            and bool(values("access-control-request-method"))
        )

    def decide(self, values: Values, address: Optional[str], known: Optional[Outcome]) -> Outcome:
        """About a request, of which a middleware around this one may have known something."""
        try:
            if known is not None:
                return self._again(known, address)
            return self._verify(values, address)
        except CatlatchError as error:  # a thread's own handle was not to be had
            logger.error("%s; until that is mended requests for it are answered 503", error)
            return self._outcome(Result.UNAVAILABLE)

    def _outcome(self, result: Result) -> Outcome:
        return Outcome(self.latch, abi.Outcome(result=result), self.scopes)

    def _verify(self, values: Values, address: Optional[str]) -> Outcome:
        found: Optional[tuple[Source, bytes]] = None
        for source in self.sources:
            sent = values(source.header)
            # A header that comes twice is not one credential, whatever the second says.
            if len(sent) > 1 or (found and sent and source.has(sent[0])):
                return self._outcome(Result.INVALID_REQUEST)
            if sent and source.has(sent[0]):
                found = source, sent[0]
        if found is None:
            return self.latch.verify(scopes=self.scopes, address=address)
        source, value = found
        if source == BASIC:
            return self._verify_basic(value, address)
        if source == BEARER:
            return self.latch.verify(authorization=value, scopes=self.scopes, address=address)
        return self.latch.verify(key=value, scopes=self.scopes, address=address)

    def _verify_basic(self, value: bytes, address: Optional[str]) -> Outcome:
        """The key is the password or, where that is empty or no key, the user."""
        pair = _user_and_password(value)
        if pair is None:
            return self._outcome(Result.MALFORMED)
        user, password = pair
        if password:
            outcome = self.latch.verify(key=password, scopes=self.scopes, address=address)
            if outcome.result not in (Result.MALFORMED, Result.NOT_FOUND):
                return outcome
        return self.latch.verify(key=user, scopes=self.scopes, address=address)

    def _again(self, known: Outcome, address: Optional[str]) -> Outcome:
        """What was refused once stays refused; what was granted is asked for what is needed here,
        and not charged. A service that grants without a key of the table cannot be asked about one
        again."""
        if known.result is not Result.VALID:
            return known
        if known.matched:
            result = self.latch.recheck(known, scopes=self.scopes, address=address)
        elif known.latch is self.latch and set(self.scopes) <= set(known.asked):
            result = Result.VALID
        else:
            result = Result.DENIED
        return known if result is Result.VALID else known.become(result)

    def refusal(self, outcome: Outcome, told: dict[str, Any]) -> Optional[answer.Refusal]:
        """The answer to who does not get through, and a line of log."""
        if outcome.result is Result.VALID:
            return None
        refused = None if self.dry_run else answer.refusal(outcome, self.realm, self.scopes)
        words = [str(outcome.result), told["key_id"]]
        words.append("dry run" if refused is None else f"request {refused.request_id}")
        level = logging.ERROR if outcome.result is Result.UNAVAILABLE else logging.INFO
        logger.log(level, "%s", ", ".join(filter(None, words)))
        return refused

    def is_credential(self, header: str, value: bytes) -> bool:
        """What an application behind this one does not see where credentials are hidden."""
        return self.hide_credentials and any(
            source.header == header and source.has(value) for source in self.sources
        )


def tell(outcome: Optional[Outcome]) -> dict[str, Any]:
    """What an application is told: of a refused key its id, of a granted one whose it is. An empty
    owner is nobody. None: nothing was decided."""
    identity = outcome.identity if outcome is not None else None
    granted = identity if outcome is not None and outcome.result is Result.VALID else None
    return {
        "outcome": outcome,
        "result": str(outcome.result) if outcome is not None else "",
        "key_id": identity.key_id if identity is not None else "",
        "owner": granted.owner if granted is not None else "",
        "key_name": granted.name if granted is not None else "",
        "environment": granted.environment if granted is not None else "",
        "scopes": granted.scopes if granted is not None else (),
    }
