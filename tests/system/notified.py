"""notified.py ADDRESS FILE: takes what a service tells its manager on the datagram socket ADDRESS
(a path, or @name for an abstract one) and appends it to FILE, an empty line behind each message."""
import socket
import sys

address, path = sys.argv[1:]
inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
inbox.bind("\0" + address[1:] if address[0] == "@" else address)
with open(path, "w", encoding="utf-8") as file:
    print("listening", flush=True)
    while True:
        file.write(inbox.recv(65536).decode() + "\n\n")
        file.flush()
