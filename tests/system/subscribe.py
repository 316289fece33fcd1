"""subscribe.py ADMIN COUNT: a consumer that was away resumes without a gap, with redis-py's own
publish/subscribe, while COUNT keys are being created. The consumer leaves and comes back again and
again; what it has at the end is every change, once, in order."""
import json
import sys

import redis

path, count = sys.argv[1], int(sys.argv[2])


def pairs(reply):
    return dict(zip(reply[0::2], reply[1::2]))


def number(position):
    return int(position.split(":")[1])


def connect():
    return redis.Redis(unix_socket_path=path, decode_responses=True)


def read_log(client, seen):
    """What the log holds behind the last change that was seen."""
    while True:
        page = pairs(client.execute_command("LOG", "SINCE", f"1:{seen[-1]}", "LIMIT", 50))
        for change in page["changes"]:
            seen.append(number(pairs(change)["sequence"]))
        if page["end"]:
            return


seen = [0]
visits = 0
while seen[-1] < count:
    visits += 1
    client = connect()
    feed = client.pubsub()
    feed.subscribe("changes")
    assert feed.get_message(timeout=60)["type"] == "subscribe"
    read_log(client, seen)
    for _ in range(20):  # then it goes away again
        if seen[-1] >= count:
            break
        message = feed.get_message(timeout=60)
        assert message is not None, "no message within a minute"
        assert (message["type"], message["channel"]) == ("message", "changes"), message
        change = json.loads(message["data"])
        assert change["change"] == "created", change
        if number(change["sequence"]) > seen[-1]:
            seen.append(number(change["sequence"]))
    feed.close()
    client.close()
assert seen == list(range(count + 1)), seen
print(visits, "visits")
