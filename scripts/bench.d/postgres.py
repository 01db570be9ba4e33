"""A throw-away PostgreSQL with its default settings, durability included."""

import glob
import os
import pwd
import re
import secrets
import shutil
import subprocess
import time
from pathlib import Path


def binaries():
    places = [os.environ.get("NADI_PG_BIN"), *sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)]
    found = shutil.which("pg_ctl")
    places.append(os.path.dirname(os.path.realpath(found)) if found else None)
    for place in places:
        if place and os.access(f"{place}/postgres", os.X_OK):
            return Path(place)
    raise SystemExit("scripts/bench: no PostgreSQL found; set NADI_PG_BIN")


class Cluster:
    def __init__(self, folder):
        self.bin = binaries()
        self.folder = Path(folder)
        self.data = self.folder / "data"
        self.password = secrets.token_hex(16)
        # PostgreSQL refuses to run as root.
        self.user = "postgres" if os.geteuid() == 0 else None
        if self.user:
            owner = pwd.getpwnam(self.user)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self.folder.chmod(0o755)
        secret = self.folder / "password"
        secret.write_text(self.password)
        self.as_owner([
            "initdb", "-D", self.data, "-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8",
            f"--pwfile={secret}",
        ])
        self.process = subprocess.Popen(
            [self.bin / "postgres", "-D", self.data, "-c", "listen_addresses=", "-k", self.folder],
            user=self.user, group=self.user, extra_groups=[] if self.user else None, cwd="/",
            stdout=subprocess.DEVNULL, stderr=open(self.folder / "log", "w"),
        )
        ready = [self.bin / "pg_isready", "-q", "-h", self.folder]
        while subprocess.run(ready).returncode:
            if self.process.poll() is not None:
                raise SystemExit((self.folder / "log").read_text())
            time.sleep(0.05)

    def as_owner(self, command):
        subprocess.run(
            [self.bin / command[0], *command[1:]], user=self.user, group=self.user,
            extra_groups=[] if self.user else None, cwd="/", check=True, stdout=subprocess.DEVNULL,
        )

    def url(self, role, password, database):
        return f"postgresql://{role}:{password}@localhost/{database}?host={self.folder}"

    def environment(self, role="postgres", password=None):
        return os.environ | {
            "PGHOST": str(self.folder), "PGUSER": role, "PGPASSWORD": password or self.password,
        }

    def psql(self, sql, database="postgres"):
        """Runs SQL as superuser; rows as lists of text."""
        done = subprocess.run(
            [self.bin / "psql", "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", database],
            env=self.environment(), input=sql, text=True, capture_output=True,
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def seconds(self):
        """CPU that all of PostgreSQL has used: the processes alive, and those that the postmaster has buried."""
        pids = [self.process.pid]
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return sum(cpu_seconds(pid, buried=pid == self.process.pid) for pid in pids + children)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Session:
    """One psql that stays, for statements whose time counts."""

    def __init__(self, cluster, database="postgres"):
        self.process = subprocess.Popen(
            [cluster.bin / "psql", "-XqAt", "-d", database], env=cluster.environment(), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=1,
        )
        self.ask("\\timing on")

    def ask(self, sql):
        self.process.stdin.write(f"{sql}\n\\echo <end>\n")
        self.process.stdin.flush()
        lines = []
        while (line := self.process.stdout.readline().rstrip("\n")) != "<end>":
            if line.startswith("ERROR"):
                raise SystemExit(f"{sql}\n{line}")
            lines.append(line)
        return lines

    def milliseconds(self, sql):
        """How long PostgreSQL took for these statements, together."""
        return sum(float(m) for line in self.ask(sql) for m in re.findall(r"^Time: ([\d.]+) ms", line))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def cpu_seconds(pid, buried=False):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0  # it ended meanwhile, and its parent has its time
    ticks = sum(int(field) for field in fields[11:15 if buried else 13])
    return ticks / os.sysconf("SC_CLK_TCK")
