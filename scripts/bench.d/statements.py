"""nadi's own SQL. The yardstick runs what PostgreSQL logged for one of nadi's requests, so it cannot drift from it."""

import re
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NIL = "'00000000-0000-0000-0000-000000000000'"
MARK = "~~"


def settings():
    """What nadi sets for each clinic's database."""
    text = (ROOT / "src/tenancy/roles.rs").read_text()
    block = text[text.index("pub const SETTINGS"):]
    return re.findall(r'\("([\w.]+)", "([^"]*)"\)', block[: block.index("];")])


def recorded(cluster, database, request, marker):
    """The statements of the connection that ran `marker` while `request` was answered, from `begin` to `commit`."""
    log = cluster.folder / "log"
    cluster.psql(f"""alter system set log_statement = 'all'; alter system set log_line_prefix = '{MARK}%d %p ';
                     select pg_reload_conf()""")
    time.sleep(0.5)
    start = log.stat().st_size
    request()
    time.sleep(0.5)
    cluster.psql("alter system reset all; select pg_reload_conf()")
    time.sleep(0.5)
    by_connection = {}
    for entry in log.read_text()[start:].split(MARK):
        found = re.match(rf"{database} (\d+) LOG:  (?:statement|execute [^:]*): (.*)", entry, re.S)
        if found:
            by_connection.setdefault(found.group(1), []).append(" ".join(re.sub(r"--[^\n]*", "", found.group(2)).split()))
    for statements in by_connection.values():
        at = next((n for n, sql in enumerate(statements) if marker in sql), None)
        if at is None:
            continue
        opened = [n for n in range(at) if statements[n].startswith("begin")]
        if not opened:
            return [statements[at]]
        return statements[opened[-1]: statements.index("commit", at) + 1]
    raise SystemExit(f"scripts/bench: no statement of nadi has `{marker}` in it any more")


def bind(sql, values):
    """`$n` replaced by pgbench's words for it. One that is missing or too many means that nadi's statement has changed."""
    asked = {int(n) for n in re.findall(r"\$(\d+)", sql)}
    if asked != set(range(1, len(values) + 1)):
        raise SystemExit(f"scripts/bench: a statement of nadi takes other parameters now: {sql}")
    return re.sub(r"\$(\d+)", lambda m: values[int(m.group(1)) - 1], sql)


def day_list(sql):
    """One doctor's day. The three filters that are not given are null here as a constant, which pgbench cannot bind."""
    values = [":doctor", "to_timestamp(:from)", "to_timestamp(:to)", NIL, "null", "null", "null", "51", "null"]
    return f"""\\set i :i + 1
\\if :i % 20 = 1
\\set n random(1, :pairs)
select doctor from bench_pairs where n = :n \\gset
\\endif
\\set from :monday + 86400 * (7 * random(0, :weeks - 1) + random(0, 5))
\\set to :from + 86400
{bind(sql, values)};
"""


def year_list(sql, doctor):
    """All visits of one doctor in a small clinic."""
    return bind(sql, [f"'{doctor}'", "'2000-01-01'", "'2200-01-01'", NIL, "null", "null", "null", "51", "null"]) + ";\n"


def slots(sql):
    """One doctor's month, and all that stands in it."""
    values = [":doctor::uuid", "to_timestamp(:from)", "to_timestamp(:to)", "null", "null::uuid", "null", "'in_person'", "array[]::uuid[]", "now()"]
    return f"""\\set i :i + 1
\\if :i % 20 = 1
\\set n random(1, :doctors)
select doctor from bench_months where n = :n \\gset
\\endif
{bind(sql, values)};
"""


def search(sql):
    return f"""\\set i :i + 1
\\if :i % 20 = 1
\\set n random(1, :terms)
select term, pattern from bench_terms where n = :n \\gset
\\endif
{bind(sql, [":term", ":pattern", "2.0", NIL, "51"])};
"""


def booking(statements):
    """nadi's four round trips. Ids and times are made of a counter, since pgbench's own variables are numbers."""
    try:
        opening, diaries, insert, commit = statements
    except ValueError:
        raise SystemExit(f"scripts/bench: a booking has other statements now: {statements}") from None
    locks = iter([":lock_1", ":lock_2"])
    opening = re.sub(r"(?<=pg_advisory_xact_lock\()-?\d+", lambda _: next(locks), opening)
    at, until = "to_timestamp(:at)", "to_timestamp(:at + 900)"
    widest = "to_timestamp(:at + 14400)"
    visit = "lpad(to_hex(cast(:n as bigint)), 32, '0')::uuid"
    diaries = bind(diaries, [":doctor::uuid", at, widest, "null", ":patient::uuid", ":location", "'in_person'", "array[]::uuid[]", "now()"])
    # What history keeps of a booking, at its length.
    remembered = """jsonb_build_object('status', 'booked', 'starts_at', '2099-01-05T04:30:00Z', 'ends_at', '2099-01-05T04:45:00Z',
        'doctor_id', :doctor::text, 'location_id', :location::text, 'kind', 'in_person', 'overbooked', false)"""
    insert = bind(insert, [
        visit, ":patient", ":doctor", ":location", "'in_person'", at, until, "''", "''", "null", ":account",
        "array[:doctor, :patient]", "array[0, 0]", "'bench'", "'clinic_admin'", ":account", "'127.0.0.1'", visit,
        f"array[{at}, {at}]", f"array[{until}, {until}]", "array[]::uuid[]", remembered,
        f"array[{', '.join(['gen_random_uuid()'] * 6)}]", "null", "now()",
    ])
    opening = ";\n".join(part.strip() for part in opening.split(";") if part.strip())
    return f"""\\set i :i + 1
\\if :i % 20 = 1
\\set pair random(1, :pairs)
select doctor, patient, location, account, lock_1, lock_2 from bench_pairs where n = :pair \\gset
\\endif
\\set n :base + :i * 32 + :client_id
\\set at :epoch + 900 * :n
\\startpipeline
{opening};
\\endpipeline
{diaries};
{insert};
{commit};
"""
