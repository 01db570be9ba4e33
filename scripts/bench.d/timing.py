"""Whether the time of an answer tells who is known: answers about known and unknown people in a random order, and a
Kolmogorov–Smirnov test of the two samples. A small p says that they differ."""

import math
import time
from statistics import median

from messages import PATIENTS, Messages

# Of three tests, one in thirty-three would fall below by chance alone.
LEAST_P = 0.01

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
            known, unknown = compare(bench, number, path, expected, body, pairs)
            distance, p = kolmogorov_smirnov(known, unknown)
            bench.report.add(f"{name}: p of one distribution for known and unknown ({pairs} each)", f"{p:.3f}", f"≥ {LEAST_P}",
                             "ok" if p >= LEAST_P else "MISSED")
            bench.report.add(f"{name}: distance; medians of known, unknown, ms",
                             f"{distance:.3f}; {median(known):.2f}, {median(unknown):.2f}")
    finally:
        post.stop()


def compare(bench, number, path, expected, body, pairs):
    """Times of answers about known and unknown people. Not in pairs: what one answer leaves to be done must fall on either."""
    order = [(known, n) for known in (True, False) for n in range(pairs)]
    bench.dice.shuffle(order)
    connection, times = bench.nadi.connect(), {True: [], False: []}
    for place, (known, n) in enumerate(order):
        address = f"198.{18 + number}.{place // 250}.{place % 250}"
        began = time.perf_counter()
        status, said = bench.nadi.call(
            "told-000.localhost", "POST", path, body(known, n), connection=connection, headers={"X-Forwarded-For": address}
        )
        times[known].append((time.perf_counter() - began) * 1000)
        if status != expected:
            raise SystemExit(f"scripts/bench: {path}: {status} {said}")
    return times[True], times[False]


def kolmogorov_smirnov(one, other):
    """The largest distance between the two distributions, and how likely it or a larger one is if they are the same."""
    one, other = sorted(one), sorted(other)
    i = j = 0
    distance = 0.0
    while i < len(one) and j < len(other):
        at = min(one[i], other[j])
        while i < len(one) and one[i] == at:
            i += 1
        while j < len(other) and other[j] == at:
            j += 1
        distance = max(distance, abs(i / len(one) - j / len(other)))
    size = math.sqrt(len(one) * len(other) / (len(one) + len(other)))
    x = (size + 0.12 + 0.11 / size) * distance
    if x < 0.2:
        return distance, 1.0  # the series converges slowly there, to one
    p = 2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * x * x) for k in range(1, 101))
    return distance, min(max(p, 0.0), 1.0)
