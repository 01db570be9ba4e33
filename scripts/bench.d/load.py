"""The two load generators, run in turn: wrk against nadi, pgbench against PostgreSQL."""

import json
import os
import re
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

CLIENTS, THREADS = 32, 2
ROUND = Path(__file__).with_name("round.lua")


@dataclass
class Run:
    rate: float
    server_us: float  # CPU of nadi for each request
    postgres_us: float  # CPU of PostgreSQL for each request
    failed: int = 0
    p50_ms: float = 0
    p99_ms: float = 0
    bytes_each: float = 0


def need_wrk():
    if shutil.which("wrk"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "wrk"], check=True, stdout=subprocess.DEVNULL)
    else:
        raise SystemExit("scripts/bench: wrk is missing; install it (https://github.com/wg/wrk)")


def write_requests(path, requests):
    with open(path, "w") as file:
        for host, token, method, target, body in requests:
            body = json.dumps(body) if body else ""
            file.write(f"{host}\t{token}\t{method}\t/api/v1{target}\t{body}\n")
    return path


def wrk(nadi, requests, seconds):
    server, postgres = nadi.seconds(), nadi.cluster.seconds()
    done = subprocess.run(
        ["wrk", f"-t{THREADS}", f"-c{CLIENTS}", f"-d{seconds}s", "--timeout", "30s", "-s", ROUND,
         f"http://127.0.0.1:{nadi.port}", "--", requests, str(THREADS)],
        text=True, capture_output=True, check=True,
    )
    server, postgres = nadi.seconds() - server, nadi.cluster.seconds() - postgres
    said = json.loads(done.stdout.splitlines()[-1])
    count = max(said["requests"], 1)
    return Run(
        rate=count / said["seconds"], server_us=server / count * 1e6, postgres_us=postgres / count * 1e6,
        failed=said["refused"] + said["broken"], p50_ms=said["p50_ms"], p99_ms=said["p99_ms"],
        bytes_each=said["bytes"] / count,
    )


def pgbench(cluster, role, database, script, seconds, variables=None, reconnect=False):
    path = cluster.folder / "script.sql"
    path.write_text(script)
    variables = {"i": 0} | (variables or {})
    postgres = cluster.seconds()
    done = subprocess.run(
        [cluster.bin / "pgbench", "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", str(THREADS), "-T", str(seconds),
         *(["-C"] if reconnect else []), "-f", path, *(f"-D{name}={value}" for name, value in variables.items()),
         database],
        env=cluster.environment(*role), text=True, capture_output=True,
    )
    postgres = cluster.seconds() - postgres
    failed = re.search(r"number of failed transactions: (\d+)", done.stdout)
    if done.returncode or (failed and int(failed.group(1))):
        raise SystemExit(f"pgbench: {done.stderr}\n{done.stdout}")
    count = int(re.search(r"actually processed: (\d+)", done.stdout).group(1))
    rate = float(re.findall(r"^tps = ([\d.]+)", done.stdout, re.M)[-1])
    return Run(rate=rate, server_us=0, postgres_us=postgres / max(count, 1) * 1e6)


def pgbench_beside(cluster, role, databases, script, seconds, settings):
    """One pgbench for each of these databases, all at once, with the clients shared among them: the rate of all together."""
    path = cluster.folder / "script.sql"
    path.write_text(script)
    each = max(CLIENTS // len(databases), 1)
    options = " ".join(f"-c {name}={value}" for name, value in settings)
    began = cluster.seconds()
    running = [
        subprocess.Popen(
            [cluster.bin / "pgbench", "-n", "-M", "prepared", "-c", str(each), "-T", str(seconds), "-D", "i=0", "-f", path,
             database],
            env=cluster.environment(*role) | {"PGOPTIONS": options}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for database in databases
    ]
    count, rate = 0, 0.0
    for process in running:
        said, complaint = process.communicate()
        if process.returncode:
            raise SystemExit(f"pgbench: {complaint}\n{said}")
        count += int(re.search(r"actually processed: (\d+)", said).group(1))
        rates = re.findall(r"^tps = ([\d.]+)", said, re.M)
        rate += float(rates[-1]) if rates else 0  # it says none where it came to nothing
    return Run(rate=rate, server_us=0, postgres_us=(cluster.seconds() - began) / max(count, 1) * 1e6)


class MostConnections:
    """Looks how many client backends PostgreSQL counts, many times a second, but for those that look."""

    def __init__(self, session):
        self.session, self.most, self.samples, self.ending = session, 0, 0, False
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        # Those that still sign in have no name yet, and those of pgbench may be leaving yet.
        sql = ("select count(*) from pg_stat_activity where backend_type = 'client backend'"
               " and application_name <> 'psql' and usename is distinct from 'bench';")
        while not self.ending:
            seen = self.session.ask(sql)
            self.most = max(self.most, int(seen[0]))
            self.samples += 1
            time.sleep(0.01)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending = True
        self.thread.join()
