"""What an HTTP server says of a verification: the same as nginx's module (plugin/http/answer.c).

Every refusal that is about the key itself has one answer, so that nobody learns from it whether a
key was ever there.
"""
from __future__ import annotations

import json
import secrets
from http import HTTPStatus
from typing import NamedTuple, Optional, Sequence

from .latch import Outcome, seconds_up
from .abi import Result

REALM_MAX = 128
REQUEST_ID_MAX = 64


class _Words(NamedTuple):
    title: str
    code: str
    detail: str
    error: Optional[str] = None  # of the challenge, "" for a bare one; None: there is no challenge


_INVALID_KEY = _Words(
    "Unauthorized",
    "invalid_api_key",
    "Invalid API key",
    'error="invalid_token", error_description="Invalid API key"',
)

_WORDS = {
    Result.INVALID_REQUEST: _Words(
        "Bad Request",
        "invalid_request",
        "More than one credential was sent, or one that cannot be read",
        'error="invalid_request"',
    ),
    Result.MISSING: _Words(
        "Unauthorized", "missing_credentials", "Missing authorization header", ""
    ),
    Result.MALFORMED: _INVALID_KEY,
    Result.NOT_FOUND: _INVALID_KEY,
    Result.REVOKED: _INVALID_KEY,
    Result.DISABLED: _INVALID_KEY,
    Result.EXPIRED: _INVALID_KEY,
    Result.NOT_YET_VALID: _INVALID_KEY,
    Result.WRONG_ENVIRONMENT: _INVALID_KEY,
    Result.INSUFFICIENT_SCOPE: _Words(
        "Forbidden",
        "insufficient_scope",
        "The API key lacks a scope that this needs",
        'error="insufficient_scope"',
    ),
    Result.IP_NOT_ALLOWED: _Words(
        "Forbidden", "ip_not_allowed", "The API key may not be used from this address"
    ),
    Result.USAGE_EXCEEDED: _Words("Forbidden", "usage_exceeded", "The API key's uses are spent"),
    Result.RATE_LIMITED: _Words("Too Many Requests", "rate_limited", "Too many requests"),
    Result.UNAVAILABLE: _Words(
        "Service Unavailable",
        "verifier_unavailable",
        "Your API key could not be checked; it was not rejected.",
    ),
    Result.VALID: _Words("OK", "valid", "The API key is valid"),
    Result.DENIED: _Words("Forbidden", "denied", "Access is denied"),
}


def _is_visible(text: str, blank: str = "") -> bool:
    """ASCII that can be quoted as it is."""
    return all("!" <= c <= "~" and c not in '"\\' or c == blank for c in text)


def is_realm(text: str) -> bool:
    """1 to REALM_MAX of visible ASCII and spaces, no quotes, no backslashes."""
    return 0 < len(text) <= REALM_MAX and _is_visible(text, " ")


def is_scope(text: str) -> bool:
    """1 to 64 of visible ASCII, no quotes, no backslashes."""
    return 0 < len(text) <= 64 and _is_visible(text)


def challenge(outcome: Outcome, realm: str, scopes: Sequence[str] = ()) -> Optional[str]:
    """The value of WWW-Authenticate. None: this answer has no challenge."""
    error = _WORDS[outcome.result].error
    if error is None:
        return None
    parts = [f'Bearer realm="{realm}"', *([error] if error else [])]
    if outcome.result is Result.INSUFFICIENT_SCOPE and scopes:
        parts.append(f'scope="{" ".join(scopes)}"')
    return ", ".join(parts)


def rate(outcome: Outcome) -> list[tuple[str, str]]:
    """The fields that tell what is left; none where no limit applied."""
    limit = outcome.limit
    if limit is None or outcome.result is Result.USAGE_EXCEEDED:
        return []
    return [
        ("RateLimit-Policy", f'"key";q={limit.count};w={limit.period_s}'),
        ("RateLimit", f'"key";r={limit.remaining};t={seconds_up(limit.reset_ms) or 0}'),
    ]


def body(outcome: Outcome, scopes: Sequence[str] = (), request_id: str = "") -> bytes:
    """application/problem+json. A request_id that is no plain word is left out."""
    status, words = outcome.http_status, _WORDS[outcome.result]
    members: dict[str, object] = {
        "type": "about:blank",
        "title": "Too Many Requests" if status == 429 else words.title,
        "status": status,
        "code": words.code,
        "detail": words.detail,
    }
    if outcome.result is Result.INSUFFICIENT_SCOPE and scopes:
        members["required_scopes"] = list(scopes)
    if 0 < len(request_id) <= REQUEST_ID_MAX and _is_visible(request_id):
        members["request_id"] = request_id
    return json.dumps(members, separators=(",", ":")).encode() + b"\n"


class Refusal(NamedTuple):
    """A whole answer."""

    status: HTTPStatus
    headers: list[tuple[str, str]]
    body: bytes
    request_id: str


def refusal(outcome: Outcome, realm: str, scopes: Sequence[str]) -> Refusal:
    """What who is not granted is told, with an id of its own that a log can have, too."""
    request_id = secrets.token_hex(16)
    text = body(outcome, scopes, request_id)
    headers = [("Content-Type", "application/problem+json"), ("Content-Length", str(len(text)))]
    wanted, retry_after = challenge(outcome, realm, scopes), outcome.retry_after
    if wanted is not None:
        headers.append(("WWW-Authenticate", wanted))
    if retry_after is not None:
        headers.append(("Retry-After", str(retry_after)))
    headers += [*rate(outcome), ("Cache-Control", "no-store"), ("X-Request-Id", request_id)]
    return Refusal(HTTPStatus(outcome.http_status), headers, text, request_id)
