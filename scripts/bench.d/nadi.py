"""nadi under test: the process, and a caller of its API."""

import base64
import http.client
import json
import os
import secrets
import socket
import subprocess
import time
from pathlib import Path

from postgres import cpu_seconds
from statements import ROOT

BINARY = ROOT / "target/release/nadi"
ADMIN = ("bench@admin.example", "a-lamp-in-the-dry-well")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nadi:
    def __init__(self, cluster, budget=40):
        password = secrets.token_hex(16)
        cluster.psql(f"create role nadi login createdb createrole password '{password}'")
        cluster.psql("grant pg_read_all_stats to nadi")
        cluster.psql("create database nadi_central owner nadi template template0 encoding 'UTF8' locale 'C.UTF-8'")
        self.cluster = cluster
        self.port, metrics = free_port(), free_port()
        self.environment = {
            "PATH": os.environ["PATH"],
            "NADI_BIND": f"127.0.0.1:{self.port}",
            "NADI_METRICS_BIND": f"127.0.0.1:{metrics}",
            "NADI_CENTRAL_DATABASE_URL": cluster.url("nadi", password, "nadi_central"),
            "NADI_MASTER_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
            "NADI_CONNECTION_BUDGET": str(budget),
            "NADI_LOG": "warn",
        }
        self.process = None
        self.run("migrate", "central")
        self.run("admin", "create", "--email", ADMIN[0], "--password-stdin", input=ADMIN[1])

    def run(self, *arguments, input=None):
        done = subprocess.run(
            [BINARY, *arguments], env=self.environment, input=input, text=True, capture_output=True
        )
        if done.returncode:
            raise SystemExit(f"nadi {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def start(self):
        """Starts serving; how many seconds it took until it was ready."""
        log = open(self.cluster.folder / "nadi.log", "a")
        began = time.monotonic()
        self.process = subprocess.Popen([BINARY, "serve"], env=self.environment, stdout=log, stderr=log)
        while True:
            try:
                if self.call("localhost", "GET", "/health/ready", api="")[0] == 200:
                    return time.monotonic() - began
            except OSError:
                pass
            if self.process.poll() is not None:
                raise SystemExit((self.cluster.folder / "nadi.log").read_text())
            time.sleep(0.002)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def seconds(self):
        return cpu_seconds(self.process.pid)

    def megabytes(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
        return int(kilobytes) / 1024

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def call(self, host, method, path, body=None, token=None, connection=None, api="/api/v1", headers=None):
        connection = connection or self.connect()
        headers = {"Host": host} | (headers or {})
        if body is not None:
            body = json.dumps(body)
            headers["Content-Type"] = "application/json"
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection.request(method, api + path, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        is_json = "json" in (answer.getheader("content-type") or "")
        return answer.status, json.loads(text) if is_json else text

    def must(self, *arguments, **named):
        status, body = self.call(*arguments, **named)
        if status >= 300:
            raise SystemExit(f"{arguments[:3]}: {status} {body}")
        return body

    def sign_in(self, host, identifier, password):
        credentials = {"identifier": identifier, "password": password}
        return self.must(host, "POST", "/auth/login", credentials)["access_token"]

    def make_clinic(self, slug, token):
        """Makes a clinic by the API; seconds that it took, and the link's token."""
        admin = {"full_name": "Bench Admin", "email": f"admin@{slug}.example"}
        clinic = {"slug": slug, "name": f"Clinic {slug}", "time_zone": "Asia/Kolkata", "admin": admin}
        began = time.monotonic()
        made = self.must("admin.localhost", "POST", "/clinics", clinic, token=token)
        took = time.monotonic() - began
        return took, made

    def open_clinic(self, slug, token):
        """Makes a clinic whose admin has a password; its database."""
        _, made = self.make_clinic(slug, token)
        link = made["set_password_url"].rpartition("token=")[2]
        self.must(f"{slug}.localhost", "POST", "/auth/set-password", {"token": link, "password": ADMIN[1]})
        return "nadi_c_" + made["id"].replace("-", "")
