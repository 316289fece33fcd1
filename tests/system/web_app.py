#!/usr/bin/python3
"""web_app.py SOCKET FOLDER: an application behind a web server, on a unix socket. To a request that asks for an
upgrade it says 101 and sends back what comes then. To every other it makes FOLDER/asked, waits until FOLDER/go
is there, and sends the server on to /inside by X-Accel-Redirect."""
import os
import socketserver
import sys
import time


class Request(socketserver.StreamRequestHandler):
    def fields(self):
        self.rfile.readline()
        return {line.split(b":", 1)[0].lower() for line in iter(self.rfile.readline, b"\r\n")}

    def echo(self):
        self.request.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
        for line in self.rfile:
            self.request.sendall(b"echo " + line)

    def redirect(self):
        open(f"{sys.argv[2]}/asked", "w").close()
        while not os.path.exists(f"{sys.argv[2]}/go"):
            time.sleep(0.001)
        self.request.sendall(b"HTTP/1.1 200 OK\r\nX-Accel-Redirect: /inside\r\nConnection: close\r\n\r\n")

    def handle(self):
        if b"upgrade" in self.fields():
            self.echo()
        else:
            self.redirect()


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


Server(sys.argv[1], Request).serve_forever()
