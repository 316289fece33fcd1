"""Handles of libcatlatch and what they say of keys."""
from __future__ import annotations

import ctypes
import functools
import os
import threading
import weakref
from ctypes import byref
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Callable, Optional, Sequence, Union

from . import abi
from .abi import Error, Result, quick, waiting

MESSAGE_SIZE = 512

# Who is told that a key could not be checked tries again: the daemon is started anew by then.
OUTAGE_RETRY_S = 5

Text = Union[str, bytes]


class CatlatchError(Exception):
    """A call failed. `code` says how, the text what, where and why."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message or quick.strerror(code).decode())
        self.code = Error(code)


@dataclass(frozen=True)
class Limit:
    """Of the rate limit that is the tightest; of spent uses, when there will be more, and zeros."""

    count: int
    period_s: int
    burst: int
    remaining: int
    reset_ms: Optional[int]  # None: never
    retry_after_ms: Optional[int]  # None: never; 0: there is nothing to wait for


@dataclass(frozen=True)
class Identity:
    """Whose key it is. Times are Unix seconds."""

    key_id: str
    prefix: str
    environment: str
    owner: str
    name: str
    scopes: tuple[str, ...]
    expires_unix_s: int  # 0: never
    not_before_unix_s: int  # 0: at once


def seconds_up(milliseconds: Optional[int]) -> Optional[int]:
    """Whole seconds, up: who waits so long is not early. None: nothing to wait for, or no use."""
    return -(-milliseconds // 1000) if milliseconds else None


def _limit_of(outcome: abi.Outcome) -> Optional[Limit]:
    raw, never = abi.Limit(), abi.UINT64_MAX
    if quick.limit(byref(outcome), byref(raw)) != 0:
        return None
    return Limit(
        raw.count,
        raw.period_s,
        raw.burst,
        raw.remaining,
        None if raw.reset_ms == never else raw.reset_ms,
        None if raw.retry_after_ms == never else raw.retry_after_ms,
    )


class Outcome:
    """What a latch found about one key. Belongs to no thread, and holds no key."""

    __slots__ = ("latch", "result", "asked", "_raw", "_identity", "_limit")

    def __init__(self, latch: Latch, raw: abi.Outcome, asked: Sequence[str] = ()) -> None:
        self.latch = latch
        self.result = Result(raw.result)
        self.asked = asked  # the scopes that were
        self._raw = raw
        self._identity: Optional[Identity] = None
        self._limit: Union[None, Limit, ellipsis] = ...  # not looked at yet

    def __repr__(self) -> str:
        return f"<catlatch.Outcome {self.result}>"

    @property
    def matched(self) -> bool:
        """The key is known, granted or not: there is an identity."""
        return bool(self._raw.matched == 1)

    @property
    def identity(self) -> Optional[Identity]:
        """Whose key it is, granted or not. None: nobody knows it, or it is gone from the table."""
        if self._identity is None and self.matched:
            self._identity = self.latch._identity(self._raw)
        return self._identity

    @property
    def limit(self) -> Optional[Limit]:
        """What there is to tell of rate limits, or of spent uses. None: no limit applied."""
        if self._limit is ...:
            self._limit = _limit_of(self._raw)
        return self._limit

    @property
    def retry_after(self) -> Optional[int]:
        """Seconds until it may be worth trying again. None: there is nothing to wait for."""
        limit = self.limit
        if limit is not None:
            return seconds_up(limit.retry_after_ms)
        return OUTAGE_RETRY_S if self.result is Result.UNAVAILABLE else None

    @property
    def http_status(self) -> int:
        """The status that an HTTP server answers: 200, 400, 401, 403, 429 or 503."""
        if self.result is Result.USAGE_EXCEEDED and self.retry_after is not None:
            return 429
        status: int = quick.result_http_status(self.result)
        return status

    def recheck(self, *, scopes: Sequence[str] = (), address: Optional[str] = None) -> Result:
        """Asks again about the key, which need not be at hand: for holders of long connections."""
        return self.latch.recheck(self, scopes=scopes, address=address)

    def become(self, result: Result) -> Outcome:
        """The same key with another result."""
        raw = abi.Outcome.from_buffer_copy(self._raw)
        raw.result = result
        return Outcome(self.latch, raw, self.asked)


class _Handle:
    """A struct catlatch, which is closed when nobody has it any more."""

    def __init__(self, config: Optional[bytes], service: Optional[bytes], flags: int) -> None:
        self.pointer = ctypes.c_void_p()
        message = ctypes.create_string_buffer(MESSAGE_SIZE)
        options = abi.Options(config_path=config, service=service, flags=flags)
        with _turn:
            code = waiting.open(byref(options), byref(self.pointer), message, MESSAGE_SIZE)
        if code != 0:
            raise CatlatchError(code, message.value.decode("utf-8", "replace"))
        # A process that ends needs not say so.
        weakref.finalize(self, waiting.close, self.pointer).atexit = False


@functools.lru_cache(maxsize=256)
def _scope_array(scopes: tuple[str, ...]) -> Any:
    return (ctypes.c_char_p * len(scopes))(*(_text("a scope", scope) for scope in scopes))


def _text(what: str, text: str) -> bytes:
    """For a const char *, which would end at a NUL."""
    if "\0" in text:
        raise ValueError(f"catlatch: {what} has a NUL in it")
    return text.encode("utf-8", "surrogateescape")


def _bytes(text: Text) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def _request(scopes: Sequence[str], address: Optional[str]) -> abi.Request:
    if isinstance(scopes, str):
        raise TypeError(f"catlatch: scopes are a tuple of words: ({scopes!r},)")
    request = abi.Request()
    if scopes:
        request.scopes = _scope_array(tuple(scopes))
        request.scope_count = len(scopes)
    if address is not None:
        request.address = _text("an address", address)
    return request


class Latch:
    """A service of a configuration, opened to verify keys.

    `config` is the path of a catlatch.ini (None: the one that the library was built for), `service`
    a name in it (None: "default"). They are taken as they are at this moment: open anew for changed
    ones.

    Thread: any number. Those of one process take turns at one handle, each for a microsecond. Fork:
    safe; the child goes on with its copy. Blocks: on reading files; verifying never does, so that
    an event loop can call it.

    A service with a module that may wait, as `socket`, is refused, but if `may_block` says that
    this is meant: then each thread has a handle of its own, and others run while it waits.

    Raises CatlatchError where the configuration or the service is not acceptable.
    """

    def __init__(
        self,
        config: Union[None, str, os.PathLike[str]] = None,
        service: Optional[str] = None,
        *,
        may_block: bool = False,
    ) -> None:
        self.may_block = may_block
        self._calls = waiting if may_block else quick
        self._open: Callable[[], _Handle] = functools.partial(
            _Handle,
            None if config is None else os.fsencode(config),
            None if service is None else _text("a service", service),
            0 if may_block else abi.OPEN_NEVER_BLOCK,
        )
        self._handles: Any = threading.local() if may_block else SimpleNamespace()
        self._handles.own = self._open()

    def __enter__(self) -> Latch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the handles; those in use when their calls are done. Blocks: for 20 ms at most."""
        with _turn:
            self._handles = None

    def verify(
        self,
        *,
        key: Optional[Text] = None,
        authorization: Optional[Text] = None,
        scopes: Sequence[str] = (),
        address: Optional[str] = None,
    ) -> Outcome:
        """Decides about one key: the raw one, or the value of an Authorization header.

        `scopes` must all be the key's. `address` is where the request came from: behind proxies
        the value of X-Forwarded-For, a comma and the peer's address; the service says which counts.
        Blocks: never; with may_block, as the service's modules do.
        """
        request, raw = _request(scopes, address), abi.Outcome()
        if key is not None:
            request.key = sent = _bytes(key)
            request.key_len = len(sent)
        if authorization is not None:
            request.authorization = sent = _bytes(authorization)
            request.authorization_len = len(sent)
        self._ask(self._calls.verify, byref(request), byref(raw))
        outcome = Outcome(self, raw, scopes)
        if self.may_block and not outcome.matched:
            outcome._identity = self._told()
        return outcome

    def recheck(
        self, outcome: Outcome, *, scopes: Sequence[str] = (), address: Optional[str] = None
    ) -> Result:
        """Asks again about a key that was verified before, uncharged. MISSING: it matched none."""
        request = _request(scopes, address)
        return Result(self._ask(self._calls.recheck, byref(outcome._raw), byref(request)))

    def refresh(self) -> bool:
        """Takes a newer table and lets go of an older one, as verifying would: for a timer in
        workers that can be idle for long. False: there is no table to be had. Blocks: on mapping
        one file, and for a keeper that does not answer: half a second at most, 20 ms where
        nothing may block."""
        return bool(self._ask(waiting.refresh) == 0)

    def _identity(self, outcome: abi.Outcome) -> Optional[Identity]:
        raw = abi.Identity()
        code = self._ask(self._calls.identity, byref(outcome), byref(raw))
        if code in (Error.NOT_FOUND, Error.UNAVAILABLE):
            return None
        if code != 0:
            raise CatlatchError(code)
        return Identity(
            raw.key_id.decode("utf-8", "replace"),
            raw.prefix.decode("utf-8", "replace"),
            raw.environment.decode("utf-8", "replace"),
            raw.owner.decode("utf-8", "replace"),
            raw.name.decode("utf-8", "replace"),
            tuple(raw.scopes.decode("utf-8", "replace").split()),
            raw.expires_unix_s,
            raw.not_before_unix_s,
        )

    def _told(self) -> Optional[Identity]:
        """Of the key that this thread has just verified: what `socket` heard from the daemon."""
        handle = self._own()

        def fact(name: bytes) -> str:
            text: bytes = waiting.fact(handle.pointer, name) or b""
            return text.decode("utf-8", "replace")

        key_id = fact(b"key_id")
        if not key_id:
            return None
        environment, owner, name = fact(b"environment"), fact(b"owner"), fact(b"name")
        return Identity(key_id, "", environment, owner, name, tuple(fact(b"scopes").split()), 0, 0)

    def _ask(self, function: Callable[..., int], *arguments: Any) -> int:
        if self.may_block:
            handle = self._own()  # held until the call is done, even if another thread closes
            return function(handle.pointer, *arguments)
        with _turn:
            return function(self._own().pointer, *arguments)

    def _own(self) -> _Handle:
        handles = self._handles
        if handles is None:
            raise ValueError("catlatch: the latch is closed")
        if not hasattr(handles, "own"):
            handles.own = self._open()
        handle: _Handle = handles.own
        return handle


# Whose turn it is at the handles that threads share. A fork waits for it, so that a child has no
# handle that another thread was about to change.
_turn = threading.RLock()


def _begin_anew() -> None:
    global _turn
    _turn = threading.RLock()


os.register_at_fork(
    before=lambda: _turn.acquire(),
    after_in_parent=lambda: _turn.release(),
    after_in_child=_begin_anew,
)
