"""Verify API keys in this process, without a query or a socket: libcatlatch for Python.

    latch = catlatch.Latch()
    outcome = latch.verify(authorization=header, scopes=("orders:read",))
    if outcome.result is catlatch.Result.VALID:
        print(outcome.identity.owner)

`catlatch.wsgi` and `catlatch.asgi` put that in front of an application. catlatch.h is the manual of
what lies below; libcatlatch.so.0 is found as any library is.
"""
from .latch import CatlatchError, Identity, Latch, Limit, Outcome
from .abi import Error, Result

__all__ = ["CatlatchError", "Error", "Identity", "Latch", "Limit", "Outcome", "Result"]
