"""Reads while 200 sign-ins a second are offered, right and wrong, beside reads without them.

Run as a script it is the crowd at the door: it comes evenly, whatever becomes of those who came before.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from datetime import date, timedelta

sys.dont_write_bytecode = True

A_SECOND = 200
PASSWORD = "a-lamp-in-the-dry-well"


async def sign_in(port, number, came):
    """One who signs in: another account, another address, every second one with a wrong password."""
    password = PASSWORD if number % 2 else "a lamp in the wet well"
    body = json.dumps({"identifier": f"admin-{number % 60}@rush.example", "password": password})
    request = (
        f"POST /api/v1/auth/login HTTP/1.1\r\nhost: rush.localhost\r\nx-forwarded-for: 198.18.{number // 250 % 250}.{number % 250}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n{body}"
    )
    began = time.monotonic()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request.encode())
        status = (await reader.readline()).split()[1].decode()
        writer.close()
    except (OSError, IndexError):
        status = "broken"
    came.append((status, (time.monotonic() - began) * 1000))


async def crowd(port, seconds, first):
    came, tasks, began = [], [], time.monotonic()
    for number in range(int(seconds * A_SECOND)):
        await asyncio.sleep(max(0, began + number / A_SECOND - time.monotonic()))
        tasks.append(asyncio.create_task(sign_in(port, first + number, came)))
    await asyncio.wait(tasks, timeout=10)
    took = sorted(ms for status, ms in came if status in ("200", "401"))
    print(json.dumps({"statuses": Counter(status for status, _ in came), "half_ms": took[len(took) // 2] if took else 0}))


def logins(bench):
    import load
    from nadi import ADMIN
    from providers import Providers

    nadi, nobody = bench.nadi, Providers()
    before = nadi.environment
    try:
        token = nadi.sign_in("admin.localhost", *ADMIN)
        nadi.open_clinic("rush", token)
        nadi.run("seed", "rush", "--patients", "30", "--appointments", "250")
        nadi.stop()
        nadi.environment = before | {"NADI_TRUSTED_PROXIES": "127.0.0.1"}
        nadi.start()
        host, year = "rush.localhost", timedelta(days=400)
        tokens = bench.tokens(host)
        doctors = nadi.must(host, "GET", "/doctors", token=tokens[0])["items"]
        span = f"from={date.today() - year}T00:00:00Z&to={date.today() + year}T00:00:00Z"
        path = f"/appointments?doctor_id={doctors[0]['id']}&{span}"
        pages = [(host, token, "GET", path, "") for token in tokens]
        file = load.write_requests(bench.cluster.folder / "rush", pages)
        cores = {"idle": [], "rush": []}
        rates, statuses, halves, number = {"idle": [], "rush": []}, Counter(), [], 0
        load.wrk(nadi, file, 2)
        seconds = bench.seconds * 2
        for turn in range(2 * bench.rounds):
            kind = ["idle", "rush"][(turn + turn // 2) % 2]
            # Without a rush the crowd goes elsewhere: what it takes of the machine is the same.
            port = nadi.port if kind == "rush" else nobody.http
            door = subprocess.Popen(
                [sys.executable, __file__, str(port), str(seconds + 2), str(number)], stdout=subprocess.PIPE, text=True
            )
            number += (seconds + 2) * A_SECOND
            time.sleep(1.5)
            run = load.wrk(nadi, file, seconds)
            rates[kind].append(run.rate)
            cores[kind].append((run.rate * run.server_us / 1e6, run.rate * run.postgres_us / 1e6))
            said = json.loads(door.communicate()[0])
            if run.failed:
                raise SystemExit(f"scripts/bench: {run.failed} reads failed")
            if kind == "rush":
                statuses.update(said["statuses"])
                halves.append(said["half_ms"])
        bench.report.at_least("reads during 200 sign-ins a second ÷ without", [a / b for a, b in zip(rates["rush"], rates["idle"])], 0.6, 0.6)
        bench.report.row("reads a second without", rates["idle"])
        bench.report.row("reads a second during", rates["rush"])
        for kind, words in [("idle", "without"), ("rush", "during")]:
            bench.report.row(f"cores that nadi takes {words}", [ours for ours, _ in cores[kind]])
            bench.report.row(f"cores that PostgreSQL takes {words}", [theirs for _, theirs in cores[kind]])
        whole = bench.rounds * (seconds + 2)
        for status, count in sorted(statuses.items()):
            bench.report.add(f"sign-ins answered {status}, a second", f"{count / whole:.0f}")
        bench.report.row("half of those judged within, ms", halves)
    finally:
        nobody.stop()
        nadi.stop()
        nadi.environment = before
        nadi.start()


if __name__ == "__main__":
    asyncio.run(crowd(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
