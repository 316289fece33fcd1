#!/usr/bin/python3
"""raw_http.py SOCKET < requests: sends the bytes as they are, \\r\\n and all, and prints what comes back until the
other side closes or is silent for a second after something came."""
import socket
import sys

with socket.socket(socket.AF_UNIX) as link:
    link.connect(sys.argv[1])
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
