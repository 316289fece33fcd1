#!/usr/bin/python3
"""raw_http.py SOCKET|PORT < requests: sends the bytes as they are, \\r\\n and all, and prints what comes back
until the other side closes or is silent for a second after something came."""
import socket
import sys

where = sys.argv[1]
with socket.socket(socket.AF_INET if where.isdigit() else socket.AF_UNIX) as link:
    link.connect(("127.0.0.1", int(where)) if where.isdigit() else where)
    link.sendall(sys.stdin.buffer.read())
    link.settimeout(20)
    while True:
        try:
            data = link.recv(65536)
        except socket.timeout:
            break
        if not data:
            break
        link.settimeout(1)
        sys.stdout.buffer.write(data)
