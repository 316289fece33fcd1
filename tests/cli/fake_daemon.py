"""Plays catlatchd on a socket, for answers that the real one cannot be made to give at will.

Usage: fake_daemon.py SOCKET RULES
A rule is a line `COMMAND JSON`. A request takes the first unused rule of its command; the last one
of a command stays. Objects become RESP2's flat arrays, strings that begin with "-" error replies,
and the word "CLOSE" hangs up. Each request's words are logged to standard output.
"""
import json
import os
import socket
import sys


def encode(value):
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, bool):
        return b":%d\r\n" % value
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, str) and value[:1] in "-+!" and value:
        return value.lstrip("!").encode() + b"\r\n"
    if isinstance(value, str):
        text = value.encode()
        return b"$%d\r\n%s\r\n" % (len(text), text)
    if isinstance(value, dict):
        value = [part for pair in value.items() for part in pair]
    return b"*%d\r\n" % len(value) + b"".join(encode(part) for part in value)


def read_request(stream):
    head = stream.readline()
    if not head:
        return None
    words = []
    for _ in range(int(head[1:])):
        size = int(stream.readline()[1:])
        words.append(stream.read(size + 2)[:-2].decode())
    return words


def answer(rules, command):
    mine = [rule for rule in rules if rule[0] == command]
    if not mine:
        return "-ERR unknown command"
    if len(mine) > 1:
        rules.remove(mine[0])
    return mine[0][1]


def serve(connection, rules):
    stream = connection.makefile("rb")
    while (words := read_request(stream)) is not None:
        print(*words[:3], f"({len(words)} words)", flush=True)
        value = answer(rules, words[0])
        if value == "CLOSE":
            return
        if words[0] == "KEY.GET" and isinstance(value, dict):
            value = dict(value, id=words[1])
        connection.sendall(encode(value))


def main():
    path, rules_path = sys.argv[1:]
    with open(rules_path, encoding="utf-8") as file:
        rules = [(line.split(" ", 1)[0], json.loads(line.split(" ", 1)[1])) for line in file]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path + ".new")
    listener.listen()
    os.rename(path + ".new", path)
    while True:
        connection, _ = listener.accept()
        try:
            serve(connection, rules)
        except OSError as error:
            print(error, flush=True)
        connection.close()


main()
