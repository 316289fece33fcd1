"""catlatch.h for Python: its enums, structs and functions as they are; latch.py makes of them what
applications use."""
from __future__ import annotations

import ctypes
import enum
from ctypes import POINTER, c_char, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from types import SimpleNamespace
from typing import Any

ID_SIZE = 18
TEXT_SIZE = 256
PREFIX_SIZE = 16
ENVIRONMENT_SIZE = 24
SCOPES_SIZE = 2048

OPEN_NEVER_BLOCK = 1 << 0

UINT64_MAX = 2**64 - 1


class Result(enum.IntEnum):
    """What a verification says: granted (VALID), an outage (UNAVAILABLE), or why it refuses."""

    DENIED = 0
    VALID = 1
    INVALID_REQUEST = 2
    MISSING = 3
    MALFORMED = 4
    NOT_FOUND = 5
    REVOKED = 6
    DISABLED = 7
    EXPIRED = 8
    NOT_YET_VALID = 9
    WRONG_ENVIRONMENT = 10
    INSUFFICIENT_SCOPE = 11
    IP_NOT_ALLOWED = 12
    USAGE_EXCEEDED = 13
    RATE_LIMITED = 14
    UNAVAILABLE = 15

    @classmethod
    def _missing_(cls, value: object) -> Result:
        """Of a newer library: whatever it is, it does not grant."""
        return cls.DENIED

    def __str__(self) -> str:
        return self.name.lower()


class Error(enum.IntEnum):
    """Why a call failed."""

    MEMORY = -1
    ARGUMENT = -2
    CONFIG = -3
    PERMISSION = -4
    IO = -5
    DATA = -6
    NOT_FOUND = -7
    CONFLICT = -8
    UNAVAILABLE = -9
    FULL = -10
    VERSION = -11
    LIMIT = -12


class Sized(ctypes.Structure):
    """A struct that begins with its size, which tells the library how far it may read and write."""

    def __init__(self, **members: Any) -> None:
        super().__init__(ctypes.sizeof(self), **members)


class Options(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("config_path", c_char_p),
        ("service", c_char_p),
        ("flags", c_uint64),
    ]


class Request(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("key", c_char_p),
        ("key_len", c_size_t),
        ("authorization", c_char_p),
        ("authorization_len", c_size_t),
        ("scopes", POINTER(c_char_p)),
        ("scope_count", c_size_t),
        ("address", c_char_p),
    ]


class Outcome(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("result", c_int),
        ("matched", c_uint32),
        ("opaque", c_uint64 * 8),
    ]


class Limit(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("count", c_uint32),
        ("period_s", c_uint32),
        ("burst", c_uint32),
        ("remaining", c_uint32),
        ("reset_ms", c_uint64),
        ("retry_after_ms", c_uint64),
    ]


class Identity(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("key_id", c_char * ID_SIZE),
        ("prefix", c_char * PREFIX_SIZE),
        ("environment", c_char * ENVIRONMENT_SIZE),
        ("owner", c_char * TEXT_SIZE),
        ("name", c_char * TEXT_SIZE),
        ("scopes", c_char * SCOPES_SIZE),
        ("expires_unix_s", c_int64),
        ("not_before_unix_s", c_int64),
    ]


# Result and arguments of each function. A handle is a pointer to nothing that is known here.
FUNCTIONS = {
    "catlatch_open": (c_int, POINTER(Options), POINTER(c_void_p), c_char_p, c_size_t),
    "catlatch_verify": (c_int, c_void_p, POINTER(Request), POINTER(Outcome)),
    "catlatch_recheck": (c_int, c_void_p, POINTER(Outcome), POINTER(Request)),
    "catlatch_identity": (c_int, c_void_p, POINTER(Outcome), POINTER(Identity)),
    "catlatch_limit": (c_int, POINTER(Outcome), POINTER(Limit)),
    "catlatch_refresh": (c_int, c_void_p),
    "catlatch_fact": (c_char_p, c_void_p, c_char_p),
    "catlatch_close": (None, c_void_p),
    "catlatch_result_name": (c_char_p, c_int),
    "catlatch_result_http_status": (c_int, c_int),
    "catlatch_strerror": (c_char_p, c_int),
}


def _load(kind: Any) -> SimpleNamespace:
    """The functions by their names, without the prefix."""
    try:
        library = kind("libcatlatch.so.0")
    except OSError as error:
        raise ImportError(
            f"catlatch: {error}; install libcatlatch and run ldconfig, or name its folder in "
            "LD_LIBRARY_PATH"
        ) from error
    calls = SimpleNamespace()
    for name, (result, *arguments) in FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
        setattr(calls, name[len("catlatch_") :], function)
    return calls


# Calls that may wait let other threads run meanwhile. Those that never do keep the interpreter: to
# have it back could take longer than a thousand of them.
waiting = _load(ctypes.CDLL)
quick = _load(ctypes.PyDLL)
