"""python_answers.py ANSWER_SAYS: compares catlatch.answer with plugin/http/answer.c, of which
ANSWER_SAYS is a program: every result, with limits and without, and realms, scopes and ids as they
come."""
import random
import struct
import subprocess
import sys
import time

from catlatch import Outcome, Result, abi, answer

random.seed(1)

REALMS = ("api", "Example API", "x" * answer.REALM_MAX)
SCOPES = ((), ("read",), ("read", "write"), tuple(f"orders:{i}" for i in range(100)))
IDS = ("", "0123456789abcdef", "a b", 'a"b', "\n", "x" * 64, "x" * 65, "\u00e4", "\x7f", "a\\")


def outcome_with(result, matched, limit):
    """As the library leaves it behind for catlatch_limit: see struct stack_limit."""
    raw = abi.Outcome(result=result, matched=matched)
    raw.opaque[4:8] = struct.unpack("4Q", struct.pack("=IIIIQII", *limit))
    return raw


def limits():
    """Rate, cost, level, verdict, refill."""
    yield 0, 0, 0, 0, 0, 0, 0
    now = int(time.time())
    for refill in (0, now - 50, now + 1, now + 100, 2**32 - 1):
        yield 0, 0, 0, 0, 0, 0, refill
    for _ in range(200):
        count, period = random.randint(1, 10**6), random.randint(1, 31622400)
        burst = random.choice((count, random.randint(1, 2 * count)))
        level = random.choice((0, 1, 999999999, random.randint(0, 2**48)))
        yield count, period, burst, random.choice((0, 1, 500, 1000, 10**6)), level, random.randint(0, 2), 0


def cases():
    for limit in limits():
        for result in Result:
            for matched in (0, 1):
                raw = outcome_with(result, matched, limit)
                yield raw, random.choice(REALMS), random.choice(SCOPES), random.choice(IDS)


def hexed(text):
    return text.encode("latin-1").hex() or "-" if isinstance(text, str) else bytes(text).hex()


def said_by_c(all_cases):
    lines = [
        " ".join((hexed(raw), hexed(realm), hexed(" ".join(scopes)), hexed(id)))
        for raw, realm, scopes, id in all_cases
    ]
    said = subprocess.run(
        [sys.argv[1]], input="\n".join(lines), capture_output=True, text=True, check=True
    )
    return said.stdout.splitlines()


def said_by_python(raw, realm, scopes, id):
    outcome = Outcome(None, raw)
    policy, rate = [value for _, value in answer.rate(outcome)] or ("", "")
    said = (
        outcome.http_status,
        outcome.retry_after or 0,
        answer.challenge(outcome, realm, scopes) or "",
        policy,
        rate,
        answer.body(outcome, scopes, id).decode(),
    )
    return "\t".join(map(str, said))


# When uses come back is told by the clock, which may go on between the two.
for attempt in range(3):
    all_cases = list(cases())
    theirs, ours = said_by_c(all_cases), [said_by_python(*case) for case in all_cases]
    assert len(theirs) == len(ours) > 6000
    differences = [pair for pair in zip(theirs, ours) if pair[0] + "\n" != pair[1]]
    if not differences:
        break
else:
    sys.exit("answer.c: %s\nPython:   %s" % differences[0])
statuses = {line.split("\t")[0] for line in ours}
assert statuses == {"200", "400", "401", "403", "429", "503"}, statuses
for text in ("", 'a"b', "a\\b", "a\nb", "caf\u00e9", "\x7f", "x" * 129):
    assert not answer.is_realm(text)
