"""python_web.py CASE: one case of what the middlewares for WSGI and ASGI answer and let through, in
this process, with the daemon of CATLATCH_CONFIG. Fails with a traceback."""
import asyncio
import base64
import json
import logging
import sys
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import catlatch.asgi
import catlatch.wsgi
from catlatch import Latch
from python_latch import CONFIG, NO_KEY, made, raises, tool

INVALID = 'Bearer realm="api", error="invalid_token", error_description="Invalid API key"'


def hello(environ, start_response):
    """Says what it was told, and which credentials it was sent."""
    start_response("200 OK", [("Content-Type", "application/json"), ("X-App", "1")])
    said = {name: value for name, value in environ.items() if name.startswith("catlatch.")}
    outcome = said.pop("catlatch.outcome")
    said["sent"] = [environ.get(name) for name in ("HTTP_AUTHORIZATION", "HTTP_X_API_KEY")]
    said["has_outcome"] = outcome is not None
    return [json.dumps(said).encode()]


class Wsgi:
    """Asks a WSGI application."""

    def __init__(self, app=hello, **options):
        self.app = catlatch.wsgi.Middleware(validator(app), **options)

    def ask(self, headers=(), method="GET", address="192.0.2.7"):
        environ = {"REQUEST_METHOD": method, "REMOTE_ADDR": address, "QUERY_STRING": ""}
        setup_testing_defaults(environ)
        for name, value in headers:
            name = "HTTP_" + name.upper().replace("-", "_")
            environ[name] = f"{environ[name]},{value}" if name in environ else value
        began = []

        def start_response(status, fields, exc_info=None):
            began.append((int(status.split()[0]), {name.lower(): value for name, value in fields}))
            assert len(began[0][1]) == len(fields)  # none twice
            return lambda data: None

        parts = validator(self.app)(environ, start_response)
        body = b"".join(parts)
        parts.close()
        return (*began[0], body)


class Asgi:
    """The same of an ASGI application."""

    def __init__(self, app=None, **options):
        self.app = catlatch.asgi.Middleware(app or self.hello, **options)

    @staticmethod
    async def hello(scope, receive, send):
        sent = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        said = {f"catlatch.{name}": value for name, value in scope["catlatch"].items()}
        said["has_outcome"] = said.pop("catlatch.outcome") is not None
        said["sent"] = [sent.get("authorization"), sent.get("x-api-key")]
        headers = [(b"content-type", b"application/json"), (b"x-app", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(said).encode()})

    def messages(self, scope):
        sent, connects = [], [{"type": "websocket.connect"}]

        async def receive():
            return connects.pop()

        async def send(message):
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        assert scope["type"] != "websocket" or not connects
        return sent

    def ask(self, headers=(), method="GET", address="192.0.2.7"):
        fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        client = [address, 1234] if address else None
        scope = {"type": "http", "method": method, "headers": fields, "client": client}
        start, body = self.messages(scope)
        assert "catlatch" not in scope
        answered = {name.decode(): value.decode() for name, value in start["headers"]}
        assert len(answered) == len(start["headers"])
        return start["status"], answered, body["body"]


def bearer(key):
    return [("Authorization", f"Bearer {key}")]


def basic(user, password, end="", scheme="Basic"):
    text = base64.b64encode(f"{user}:{password}".encode()).decode()
    return [("Authorization", f"{scheme} {text}{end}")]


def expect_refused(answered, status, code, challenge=None):
    told, fields, body = answered
    said = json.loads(body)
    assert (told, said["status"], said["code"]) == (status, status, code), answered
    assert fields["content-type"] == "application/problem+json"
    assert fields["content-length"] == str(len(body)) and fields["cache-control"] == "no-store"
    assert fields["x-request-id"] == said["request_id"] and len(said["request_id"]) == 32
    assert fields.get("www-authenticate") == challenge, fields
    return said, fields


def expect_passed(answered, **told):
    status, fields, body = answered
    assert status == 200 and fields["x-app"] == "1", answered
    said = json.loads(body)
    for name, value in told.items():
        name = name if name in said else f"catlatch.{name}"
        assert said[name] == value, (name, said[name], value)
    return fields


def with_both(case):
    def both():
        for kind in (Wsgi, Asgi):
            case(kind)

    return both


@with_both
def each_result_has_its_answer(kind):
    latch = Latch(CONFIG)
    web = kind(latch=latch, scopes=("read",))
    id, good = made("--owner", "acme", "--scope", "read", "--rate", "100/366d")
    fields = expect_passed(
        web.ask(bearer(good)),
        owner="acme",
        key_id=id,
        key_name="k",
        environment="live",
        scopes=["read"],
        result="valid",
        sent=[f"Bearer {good}", None],
        has_outcome=True,
    )
    assert fields["ratelimit-policy"] == '"key";q=100;w=31622400'
    assert fields["ratelimit"].startswith('"key";r=99;t=')
    expect_refused(web.ask(), 401, "missing_credentials", 'Bearer realm="api"')
    revoked = made("--scope", "read")
    tool("revoke", "--yes", revoked[0])
    for key in (revoked[1], NO_KEY, "nonsense", good + "x", '"' + good + '"', "\u00e4"):
        expect_refused(web.ask(bearer(key)), 401, "invalid_api_key", INVALID)
    said, _ = expect_refused(
        web.ask(bearer(made("--scope", "write")[1])),
        403,
        "insufficient_scope",
        'Bearer realm="api", error="insufficient_scope", scope="read"',
    )
    assert said["required_scopes"] == ["read"]
    limited = made("--scope", "read", "--rate", "1/366d")[1]
    expect_passed(web.ask(bearer(limited)))
    _, fields = expect_refused(web.ask(bearer(limited)), 429, "rate_limited")
    assert 0 <= 31622400 - int(fields["retry-after"]) < 600 and "ratelimit" in fields
    closed = kind(config=CONFIG, service="closed", realm="Example API")
    expect_refused(closed.ask(bearer(good)), 403, "denied")
    challenge = 'Bearer realm="Example API"'
    expect_refused(closed.ask(), 401, "missing_credentials", challenge)
    status, fields, body = web.ask(method="HEAD")
    assert status == 401 and body == b"" and int(fields["content-length"]) > 100


@with_both
def a_credential_that_comes_twice_is_none(kind):
    web = kind(latch=Latch(CONFIG), source=("bearer", "basic", "header X-API-Key"))
    key = made()[1]
    twice = [
        bearer(key) + bearer(key),
        bearer(key) + basic("user", key),
        [("Authorization", "Digest a=b"), *bearer(key)],
        bearer(key) + [("X-API-Key", key)],
        [("X-API-Key", key), ("X-API-Key", "x")],
    ]
    for headers in twice:
        challenge = 'Bearer realm="api", error="invalid_request"'
        expect_refused(web.ask(headers), 400, "invalid_request", challenge)
    only_bearer = kind(latch=Latch(CONFIG))
    expect_passed(only_bearer.ask(bearer(key) + [("X-API-Key", key)]))
    challenge = 'Bearer realm="api"'
    digest = [("Authorization", 'Digest username="u", realm="r"')]
    expect_refused(only_bearer.ask(digest), 401, "missing_credentials", challenge)


@with_both
def keys_are_found_where_they_are_said_to_be(kind):
    latch, key = Latch(CONFIG), made()[1]
    web = kind(latch=latch, source=["basic", "header X-API-Key"], hide_credentials=True)
    for headers in (
        basic("user", key),
        basic("user", key, scheme="bAsIc"),
        basic("user", key, scheme="Basic  "),
        basic(key, ""),
        basic(key, "x"),
        [("X-API-Key", key)],
    ):
        expect_passed(web.ask(headers), sent=[None, None])
    expect_passed(web.ask([("X-API-Key", key), ("Authorization", "Digest x")]), sent=["Digest x", None])
    for headers in (basic("user", NO_KEY), basic("", key), [("Authorization", "Basic !" + key)]):
        expect_refused(web.ask(headers), 401, "invalid_api_key", INVALID)
    expect_refused(web.ask([("Authorization", "Basic ")]), 401, "invalid_api_key", INVALID)
    expect_refused(web.ask([("X-API-Key", "")]), 401, "invalid_api_key", INVALID)
    challenge = 'Bearer realm="api"'
    expect_refused(web.ask(bearer(key)), 401, "missing_credentials", challenge)
    hiding = kind(latch=latch, hide_credentials=True)
    expect_passed(hiding.ask(bearer(key)), sent=[None, None])
    expect_passed(kind(latch=latch).ask(bearer(key)), sent=[f"Bearer {key}", None])


@with_both
def a_dry_run_lets_everybody_through_and_logs(kind):
    web = kind(latch=Latch(CONFIG), dry_run=True, hide_credentials=True)
    id, key = made("--owner", "acme")
    expect_passed(web.ask(bearer(key)), owner="acme", result="valid")
    tool("revoke", "--yes", id)
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append((record.levelname, record.getMessage()))
    catlatch.access.logger.addHandler(handler)
    catlatch.access.logger.setLevel(logging.INFO)
    expect_passed(web.ask(bearer(key)), owner="", scopes=[], key_id=id, result="revoked")
    expect_passed(web.ask(bearer(key) + bearer(key)), result="invalid_request", sent=[None, None])
    expect_passed(web.ask(), owner="", key_id="", result="missing", has_outcome=True)
    said, _ = expect_refused(kind(latch=web.app.access.latch).ask(bearer(key)), 401, "invalid_api_key", INVALID)
    request = f"revoked, {id}, request {said['request_id']}"
    assert [text for _, text in lines] == [
        f"revoked, {id}, dry run",
        "invalid_request, dry run",
        "missing, dry run",
        request,
    ], lines
    assert all(level == "INFO" for level, _ in lines) and key not in str(lines)
    catlatch.access.logger.removeHandler(handler)


@with_both
def a_preflight_is_passed_where_that_is_said(kind):
    asks = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "PUT")]
    passing = kind(latch=Latch(CONFIG), preflight="pass", hide_credentials=True)
    expect_passed(
        passing.ask(asks + bearer("x"), "OPTIONS"), result="", owner="", has_outcome=False, sent=[None, None]
    )
    for headers, method in ((asks, "GET"), (asks[:1], "OPTIONS"), (asks[1:], "OPTIONS")):
        challenge = 'Bearer realm="api"'
        expect_refused(passing.ask(headers, method), 401, "missing_credentials", challenge)
    checking = kind(latch=Latch(CONFIG))
    expect_refused(checking.ask(asks, "OPTIONS"), 401, "missing_credentials", 'Bearer realm="api"')


@with_both
def addresses_are_the_peers(kind):
    web, key = kind(latch=Latch(CONFIG)), made("--allow", "192.0.2.0/24")[1]
    expect_passed(web.ask(bearer(key)))
    for address in ("198.51.100.7", "", "nonsense"):
        expect_refused(web.ask(bearer(key), address=address), 403, "ip_not_allowed")


@with_both
def a_middleware_within_another_asks_again_and_charges_once(kind):
    latch = Latch(CONFIG)
    innermost = kind(latch=latch, scopes=("admin",))
    inner = kind(innermost.app, latch=latch)
    web = kind(inner.app, latch=latch, hide_credentials=True)
    good = made("--scope", "admin", "--rate", "2/366d", "--owner", "acme")[1]
    fields = expect_passed(web.ask(bearer(good)), owner="acme", sent=[None, None])
    assert fields["ratelimit"].startswith('"key";r=1;')
    expect_passed(web.ask(bearer(good)))
    expect_refused(web.ask(bearer(good)), 429, "rate_limited")
    challenge = 'Bearer realm="api", error="insufficient_scope", scope="admin"'
    expect_refused(web.ask(bearer(made("--rate", "5/366d")[1])), 403, "insufficient_scope", challenge)
    dry = kind(innermost.app, latch=latch, dry_run=True)
    expect_refused(dry.ask(bearer(NO_KEY)), 401, "invalid_api_key", INVALID)


def options_that_make_no_sense_are_refused():
    def refused(kind, text, **options):
        options.setdefault("config", CONFIG)
        for module in (catlatch.wsgi, catlatch.asgi):
            raises(kind, text, module.Middleware, hello, **options)

    refused(ValueError, "realm", realm='a"b')
    refused(ValueError, "preflight", preflight="on")
    refused(ValueError, "source", source="query key")
    refused(ValueError, "source", source="header")
    refused(ValueError, "is called", source="header Authorization")
    refused(ValueError, "each once", source=("header X-Key", "header x-key"))
    refused(ValueError, "each once", source=())
    refused(ValueError, "scope", scopes=("a b",))
    refused(ValueError, "2047", scopes=("x" * 60,) * 40)
    refused(TypeError, "tuple", scopes="read")
    refused(ValueError, "has its config", latch=Latch(CONFIG))
    refused(catlatch.CatlatchError, "nosuch", service="nosuch")
    raises(TypeError, "unknown", catlatch.wsgi.Middleware, hello, unknown=1)
    waiting = Latch(CONFIG, "asking", may_block=True)
    raises(ValueError, "event loop", catlatch.asgi.Middleware, hello, latch=waiting)
    key = made("--owner", "acme")[1]
    expect_passed(Wsgi(latch=waiting).ask(bearer(key)), owner="acme")


def websockets_are_let_in_or_closed():
    async def chat(scope, receive, send):
        assert scope["catlatch"]["owner"] == "acme"
        assert scope["catlatch"]["outcome"].recheck() is catlatch.Result.VALID
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})

    web, key = Asgi(chat, latch=Latch(CONFIG)), made("--owner", "acme", "--rate", "5/366d")[1]

    def ask(key, **more):
        headers = [(b"authorization", f"Bearer {key}".encode())]
        return web.messages({"type": "websocket", "headers": headers, **more})

    accepted, said = ask(key)
    assert accepted["type"] == "websocket.accept" and said["text"] == "hello"
    assert dict(accepted["headers"])[b"ratelimit"].startswith(b'"key";r=4;')
    assert ask(NO_KEY) == [{"type": "websocket.close"}]
    start, body = ask(NO_KEY, extensions={"websocket.http.response": {}})
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert body["type"] == "websocket.http.response.body"
    assert json.loads(body["body"])["code"] == "invalid_api_key"


def what_is_no_request_is_passed_or_refused():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)

    web = Asgi(app, latch=Latch(CONFIG))
    web.messages({"type": "lifespan"})
    assert seen == [{"type": "lifespan"}]
    raises(ValueError, "not known", web.messages, {"type": "mqtt", "headers": []})
    assert len(seen) == 1


globals()[sys.argv[1]]()
