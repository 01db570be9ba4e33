"""Two thousand who listen: raw sockets in one process, nothing kept of what they hear but when it came."""

import asyncio
import time

HOST = "live.localhost"
PER_ACCOUNT = 20  # an account may have two dozen streams

ACCOUNTS = """
insert into users (id, role, full_name, email, password_hash)
  select gen_random_uuid(), 'receptionist', 'Desk ' || n, 'desk-' || n || '@live.example', password_hash
  from users, generate_series(1, {accounts}) as n where email = 'admin@live.example';
"""


class Listener(asyncio.Protocol):
    """Notes when a visit was first heard of."""

    def __init__(self, token, arrivals, opened):
        self.token, self.arrivals, self.opened = token, arrivals, opened

    def connection_made(self, transport):
        self.transport = transport
        transport.write(
            f"GET /api/v1/live HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {self.token}\r\n\r\n".encode()
        )

    def data_received(self, data):
        now = time.monotonic()
        if not self.opened.done() and b": listening" in data:
            self.opened.set_result(None)
        if b"appointment_id" not in data:
            return
        for part in data.split(b'"appointment_id":"')[1:]:
            self.arrivals.setdefault(part[:36].decode(), []).append(now)

    def connection_lost(self, error):
        if not self.opened.done():
            self.opened.set_exception(error or ConnectionError("closed before it began"))


async def listen(port, tokens, count, arrivals):
    """Opens so many streams, fifty at a time; their transports."""
    loop, transports = asyncio.get_running_loop(), []
    for first in range(0, count, 50):
        opened = []
        for number in range(first, min(first + 50, count)):
            began = loop.create_future()
            token = tokens[number // PER_ACCOUNT]
            transport, _ = await loop.create_connection(lambda: Listener(token, arrivals, began), "127.0.0.1", port)
            transports.append(transport)
            opened.append(began)
        await asyncio.wait_for(asyncio.gather(*opened), 60)
    return transports


async def measure(nadi, tokens, count, book, visits):
    """Kilobytes for each listener, and milliseconds from the booking's answer until it was heard: of all, of the last."""
    arrivals = {}
    before = nadi.megabytes()
    transports = await listen(nadi.port, tokens, count, arrivals)
    await asyncio.sleep(3)  # what the opening needed for a moment goes
    each = (nadi.megabytes() - before) * 1024 / count
    all_of_them, last, lost = [], [], 0
    for number in range(visits):
        answered, visit = await asyncio.to_thread(book, number)
        deadline = time.monotonic() + 10
        while len(arrivals.get(visit, [])) < count and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        heard = sorted(arrivals.get(visit, []))
        lost += count - len(heard)
        # A stream may be faster than the answer to whoever booked.
        all_of_them += [max(0, at - answered) * 1000 for at in heard]
        last.append((heard[-1] - answered) * 1000 if heard else float("inf"))
    for transport in transports:
        transport.close()
    return each, all_of_them, last, lost


def run(bench, count, visits):
    nadi = bench.nadi
    database = nadi.open_clinic("live", nadi.sign_in("admin.localhost", *bench.admin))
    nadi.run("seed", "live", "--patients", "50", "--appointments", "50")
    accounts = -(-count // PER_ACCOUNT)
    bench.cluster.psql(ACCOUNTS.format(accounts=accounts), database)
    tokens = [nadi.sign_in(HOST, f"desk-{n}@live.example", bench.admin[1]) for n in range(1, accounts + 1)]
    doctor = bench.cluster.psql("select doctor_id from availability limit 1", database)[0][0]
    patient = bench.cluster.psql("select id from patients limit 1", database)[0][0]
    connection = nadi.connect()
    slots = nadi.must(
        HOST, "GET", f"/doctors/{doctor}/slots?from={bench.day(30)}&to={bench.day(58)}", token=tokens[0]
    )["items"]

    def book(number):
        visit = {"patient_id": patient, "doctor_id": doctor, "kind": "in_person", "starts_at": slots[number]["starts_at"]}
        made = nadi.must(HOST, "POST", "/appointments", visit, token=tokens[0], connection=connection)
        return time.monotonic(), made["id"]

    each, heard, last, lost = asyncio.run(measure(nadi, tokens, count, book, visits))
    report = bench.report
    report.row(f"{count} listeners: memory of each, KB", [each], limit=60)
    report.row(f"{count} listeners: a booking is heard after, ms", heard, limit=200)
    report.row(f"{count} listeners: the last has heard it after, ms", last)
    report.add(f"{count} listeners: not heard within 10 s", str(lost), "0", "ok" if lost == 0 else "MISSED")
