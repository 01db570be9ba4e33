"""How fast messages leave: an outbox full of them at a hundred clinics, and a single code."""

import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import load
from nadi import ADMIN
from postgres import cpu_seconds
from providers import Providers

CLINICS = 100
# A third of the clinics sends by each.
CHANNELS = ["whatsapp", "sms", "email"]


class Messages:
    """A hundred clinics with providers of their own, in front of a stand-in."""

    def __init__(self, bench, name):
        self.name, self.before = name, bench.nadi.environment
        self.bench, self.nadi, self.cluster = bench, bench.nadi, bench.cluster
        self.providers = Providers()
        self.each = 60 if bench.rounds == 3 else 200
        self.told = 0

    def open_clinics(self, count):
        token = self.nadi.sign_in("admin.localhost", *ADMIN)

        def open_one(number):
            database = self.nadi.open_clinic(f"{self.name}-{number:03}", token)
            self.cluster.psql(DOCTOR, database)
            return database

        with ThreadPoolExecutor(2) as hands:
            self.databases = list(hands.map(open_one, range(count)))
            # Not before: with a mail server, nadi would send the links itself.
            self.restart(self.nadi.environment | self.providers.environment())
            list(hands.map(self.configure, range(count)))

    def restart(self, environment):
        self.nadi.stop()
        self.nadi.environment = environment
        self.nadi.start()

    def configure(self, number):
        slug, channel = f"{self.name}-{number:03}", CHANNELS[number % 3]
        policy = {"channels": [channel], "accept_seconds": 30, "deliver_seconds": None}
        settings = {
            "whatsapp": {"phone_number_id": f"1000000000{number:05}", "token": "EAA-a-token-of-the-bench",
                         "app_secret": "a secret of the bench", "verify_token": "another of the bench"},
            "sms": {"provider": "twilio", "account_sid": f"AC{number:032}", "auth_token": "one more of the bench",
                    "from": "+15005550006"},
            "email": {"from": f"desk@{slug}.example"},
            "policies": {"appointment": policy, "code": policy},
        }
        host = f"{slug}.localhost"
        token = self.nadi.sign_in(host, f"admin@{slug}.example", ADMIN[1])
        self.nadi.must(host, "PUT", "/settings/messaging", settings, token=token, headers={"If-Match": "*"})

    def fill(self):
        """New patients with a visit and a message about it each, at every clinic; nobody is told of them yet."""
        script = VISITS.replace("COUNT", str(self.each)).replace("ROUND", f"{self.told:03}")
        self.told += 1
        numbered = lambda n: script.replace("CLINIC", f"{n:03}")
        with ThreadPoolExecutor(2) as hands:
            list(hands.map(lambda n: self.cluster.psql(numbered(n), self.databases[n]), range(len(self.databases))))

    def send(self):
        """Has the worker learn of all messages at once."""
        self.providers.ask("forget")
        count = self.each * len(self.databases)
        pids = [self.nadi.process.pid, self.providers.process.pid]
        before = [cpu_seconds(pid) for pid in pids] + [self.cluster.seconds()]
        self.cluster.psql("checkpoint")
        self.cluster.psql("update wakeups set hints = hints + 1, due_at = now()", "nadi_central")
        deadline = time.monotonic() + 120
        while self.providers.ask("count") < count:
            if time.monotonic() > deadline:
                log = (self.cluster.folder / "nadi.log").read_text()[-3000:]
                raise SystemExit(f"scripts/bench: {self.providers.ask('count')} of {count} messages came\n{log}")
            time.sleep(0.1)
        self.wait_until_noted()
        after = [cpu_seconds(pid) for pid in pids] + [self.cluster.seconds()]
        came = self.providers.ask("came")
        if len({to for _, to in came}) != count or len(came) != count:
            raise SystemExit(f"scripts/bench: {len(came)} messages came for {count}")
        times = sorted(at for at, _ in came)
        self.cost = [(b - a) / count * 1e6 for a, b in zip(before, after)]
        return (count - 1) / (times[-1] - times[0])

    def wait_until_noted(self):
        open_ones = "select count(*) from outbox where done_at is null"
        for database in self.databases:
            while self.cluster.psql(open_ones, database) != [["0"]]:
                time.sleep(0.1)

    def yardstick(self):
        """pgbench's own short transaction: an update, a select and an insert. A message cannot do with less."""
        done = subprocess.run(
            [self.cluster.bin / "pgbench", "-n", "-N", "-M", "prepared", "-c", str(load.CLIENTS), "-j", str(load.THREADS),
             "-T", str(self.bench.seconds * 2), "messages_yardstick"],
            env=self.cluster.environment(), text=True, capture_output=True, check=True,
        )
        return float(re.findall(r"^tps = ([\d.]+)", done.stdout, re.M)[-1])

    def stop(self):
        self.restart(self.before)
        self.providers.stop()


def messages(bench):
    post = Messages(bench, "post")
    try:
        post.open_clinics(CLINICS)
        bench.cluster.psql("create database messages_yardstick")
        subprocess.run([bench.cluster.bin / "pgbench", "-i", "-q", "-s", "10", "messages_yardstick"],
                       env=bench.cluster.environment(), capture_output=True, check=True)
        rates, beside, costs = [], [], []
        for number in range(bench.rounds + 1):
            post.fill()
            rate, yardstick = post.send(), post.yardstick()
            if number:  # the first one warms up
                rates.append(rate)
                beside.append(yardstick)
                costs.append(post.cost)
        bench.report.at_least_per_second("messages a second, 100 clinics", rates, 1500)
        bench.report.row("pgbench -N beside, a second", beside)
        bench.report.row("messages ÷ pgbench -N", [a / b for a, b in zip(rates, beside)])
        for who, column in zip(["nadi", "the stand-in", "PostgreSQL"], zip(*costs)):
            bench.report.row(f"messages: CPU of {who}, µs", column)
    finally:
        post.stop()


def otp(bench):
    """From the request's first byte to the provider's last, one at a time."""
    post = Messages(bench, "code")
    try:
        post.open_clinics(2)
        count = 60 if bench.rounds == 3 else 200
        for channel, slug, number in [("whatsapp", "code-000", 0), ("sms", "code-001", 1)]:
            bench.cluster.psql(PATIENTS.replace("COUNT", str(count + 10)).replace("CLINIC", f"{number:03}"), post.databases[number])
            # Not the money, but the time is looked at.
            bench.cluster.psql("update sign_in_settings set sms_daily_budget = 100000", post.databases[number])
            connection, took, answered = bench.nadi.connect(), [], []
            for n in range(count + 10):
                post.providers.ask("forget")
                time.sleep(0.05)
                began = time.monotonic()
                asked = {"identifier": f"+9198{number:03}{n:05}"}
                bench.nadi.must(f"{slug}.localhost", "POST", "/auth/otp/request", asked, connection=connection)
                answered.append((time.monotonic() - began) * 1000)
                while not (came := post.providers.ask("came")):
                    if time.monotonic() > began + 10:
                        raise SystemExit("scripts/bench: a code did not come")
                    time.sleep(0.005)
                took.append((came[0][0] - began) * 1000)
            bench.report.row(f"a code by {channel} leaves after its request, ms", took[10:], limit=50)
            bench.report.row("its request is answered after, ms", answered[10:])
            bench.report.row("of ten codes the slowest, ms", [sorted(took[10:])[-(count // 10)]])
    finally:
        post.stop()


DOCTOR = """
insert into users (id, role, full_name, email) values ('00000000-0000-4000-8000-000000000001', 'doctor', 'Dr. Anjali Varma', 'doctor@bench.example');
insert into doctors (id) values ('00000000-0000-4000-8000-000000000001');
insert into locations (id, name, address, time_zone) values ('00000000-0000-4000-8000-000000000002', 'Temple Road', '12 Temple Road, Kochi', 'Asia/Kolkata');
"""

VISITS = """
with p as (insert into patients (id, full_name, phone, email)
  select gen_random_uuid(), 'Patient ' || i, '+91' || '9CLINICROUND' || lpad(i::text, 3, '0'), 'p-CLINIC-ROUND-' || i || '@mail.example'
  from generate_series(1, COUNT) as i returning id),
v as (insert into appointments (id, patient_id, doctor_id, location_id, kind, during)
  select gen_random_uuid(), id, '00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002', 'in_person',
         tstzrange('2099-01-01', '2099-01-01 00:15')
  from p returning id, patient_id)
insert into outbox (id, purpose, dedupe_key, subject_id, patient_id, due_at, expires_at)
  select gen_random_uuid(), 'appointment.booked', 'bench:' || id, id, patient_id, now(), now() + interval '1 day' from v;
analyze outbox; analyze outbox_attempts; analyze patients; analyze appointments;
"""

PATIENTS = """
insert into patients (id, full_name, phone)
  select gen_random_uuid(), 'Patient ' || i, '+9198CLINIC' || lpad(i::text, 5, '0') from generate_series(0, COUNT) as i;
"""
