"""Whether the time of an answer tells who is known: answers about known and unknown people in blocks of a hundred, fifty of each in a
random order, and Wilcoxon's rank sums of the blocks together (van Elteren 1960). A machine that is busier for a second is so for
a whole block, so it makes nobody look slower; a test that takes all answers for independent finds differences in such noise. A
small p says that they differ."""

import math
import time
from statistics import median

from messages import PATIENTS, Messages

# Of three tests, one in thirty-three would fall below by chance alone.
LEAST_P = 0.01
# Known ones in a block, and unknown ones.
HALF = 50
# What an answer leaves to be done (a letter to send, say) is done by then: it must not fall on the next.
REST = 0.01

ACCOUNTS = """
insert into users (id, role, full_name, email, password_hash)
  select gen_random_uuid(), 'receptionist', 'Desk ' || n, 'known-' || lpad(n::text, 5, '0') || '@told-000.example', password_hash
  from users, generate_series(0, COUNT) as n where email = 'admin@told-000.example';
"""


def timing(bench):
    post = Messages(bench, "told")
    try:
        post.open_clinics(1)
        bench.nadi.environment |= {"NADI_TRUSTED_PROXIES": "127.0.0.1"}
        post.restart(bench.nadi.environment)
        pairs = 300 if bench.rounds == 3 else 2000
        [database] = post.databases
        bench.cluster.psql(PATIENTS.replace("COUNT", str(pairs)).replace("CLINIC", "000"), database)
        bench.cluster.psql(ACCOUNTS.replace("COUNT", str(pairs)) + "; analyze users; analyze patients", database)
        phone = lambda known, n: f"+9198{'000' if known else '111'}{n:05}"
        email = lambda known, n: f"{'known' if known else 'other'}-{n:05}@told-000.example"
        asked = [
            ("a code", "/auth/otp/request", 202, lambda known, n: {"identifier": phone(known, n)}),
            ("a forgotten password", "/auth/forgot-password", 202, lambda known, n: {"identifier": email(known, n)}),
            ("a wrong password", "/auth/login", 401,
             lambda known, n: {"identifier": email(known, n), "password": "a lamp in the wet well"}),
        ]
        for number, (name, path, expected, body) in enumerate(asked):
            blocks = compare(bench, number, path, expected, body, pairs)
            p, slower = rank_sums(blocks)
            bench.report.add(f"{name}: p that known and unknown take the same time ({pairs} each)", f"{p:.3f}", f"≥ {LEAST_P}",
                             "ok" if p >= LEAST_P else "MISSED")
            medians = [median(took for block in blocks for known, took in block if known is who) for who in (True, False)]
            bench.report.add(f"{name}: a known one slower than an unknown one beside it; medians of both, ms",
                             f"{slower:.3f}; {medians[0]:.2f}, {medians[1]:.2f}")
    finally:
        post.stop()


def compare(bench, number, path, expected, body, pairs):
    """Blocks of (known, ms), in the order in which they were asked."""
    connection, blocks = bench.nadi.connect(), []
    for first in range(0, pairs, HALF):
        order = [(known, first + n) for known in (True, False) for n in range(HALF)]
        bench.dice.shuffle(order)
        block = []
        for place, (known, n) in enumerate(order, 2 * first):
            address = f"198.{18 + number}.{place // 250}.{place % 250}"
            began = time.perf_counter()
            status, said = bench.nadi.call(
                "told-000.localhost", "POST", path, body(known, n), connection=connection, headers={"X-Forwarded-For": address}
            )
            block.append((known, (time.perf_counter() - began) * 1000))
            if status != expected:
                raise SystemExit(f"scripts/bench: {path}: {status} {said}")
            time.sleep(REST)
        blocks.append(block)
    return blocks


def rank_sums(blocks):
    """How likely as large a difference is if the order alone made it; and how often a known one was slower (one half: never mind)."""
    above = 0.0
    for block in blocks:
        ranked = sorted(block, key=lambda one: one[1])
        above += sum(rank for rank, (known, _) in enumerate(ranked, 1) if known) - HALF * (HALF + 1) / 2
    expected = len(blocks) * HALF * HALF / 2
    deviation = math.sqrt(len(blocks) * HALF * HALF * (2 * HALF + 1) / 12)
    return math.erfc(abs(above - expected) / deviation / math.sqrt(2)), above / (len(blocks) * HALF * HALF)
