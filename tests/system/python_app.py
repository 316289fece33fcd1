"""python_app: what tests have gunicorn serve, `app` by WSGI and `asgi` by ASGI, with the service
`default` of CATLATCH_CONFIG. Each answer, refusals too, says in X-Worker whose it is."""
import os

import catlatch.asgi
import catlatch.wsgi

CONFIG = os.environ["CATLATCH_CONFIG"]


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"hello\n"]


async def hello_again(scope, receive, send):
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"6")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello\n"})


guarded = catlatch.wsgi.Middleware(hello, config=CONFIG)
guarded_again = catlatch.asgi.Middleware(hello_again, config=CONFIG)


def app(environ, start_response):
    def start(status, headers, *exc_info):
        return start_response(status, [*headers, ("X-Worker", str(os.getpid()))], *exc_info)

    return guarded(environ, start)


async def asgi(scope, receive, send):
    async def begin(message):
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"x-worker", b"%d" % os.getpid())]
        await send(message)

    await guarded_again(scope, receive, begin)
