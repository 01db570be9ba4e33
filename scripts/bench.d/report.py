"""The table at the end: medians of ratios of runs that stood side by side."""

from statistics import median


def spread(values, digits=2):
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{median(values):.{digits}f} [{min(values):.{digits}f}–{max(values):.{digits}f}]"


def ratios(ours, theirs):
    return [a.rate / b.rate for a, b in zip(ours, theirs)]


class Report:
    def __init__(self):
        self.rows = []

    def add(self, what, value, wanted="", mark=""):
        self.rows.append((what, value, wanted, mark))

    def row(self, what, values, limit=None):
        mark = "" if limit is None else "ok" if median(values) <= limit else "MISSED"
        self.add(what, spread(values, 1), "" if limit is None else f"≤ {limit:g}", mark)

    def at_least_per_second(self, what, values, least):
        self.add(what, spread(values, 0), f"≥ {least}", "ok" if median(values) >= least else "MISSED")

    def at_least(self, what, values, floor, aim):
        value = median(values)
        mark = "aim" if value >= aim else "floor" if floor is None or value >= floor else "MISSED"
        if floor is None:
            mark = "aim" if value >= aim else "below the aim"
        self.add(what, spread(values), f"aim {aim:g}" + (f", floor {floor:g}" if floor else ""), mark)

    def compared(self, name, runs, floor, aim):
        for yardstick in ("P", "T"):
            values = ratios(runs["nadi"], runs[yardstick])
            if yardstick in aim:
                self.at_least(f"{name} ÷ {yardstick}", values, floor if yardstick == "P" else None, aim[yardstick])
            else:
                self.add(f"{name} ÷ {yardstick}", spread(values))
        self.cost(name, runs["nadi"])
        for yardstick in ("P", "T"):
            used = [run.postgres_us for run in runs[yardstick]]
            self.add(f"{name}: CPU of PostgreSQL under {yardstick}, µs", spread(used, 0))

    def cost(self, name, runs):
        self.add(f"{name}: CPU of nadi, µs", spread([run.server_us for run in runs], 0))
        self.add(f"{name}: CPU of PostgreSQL, µs", spread([run.postgres_us for run in runs], 0))
        self.add(f"{name}: bytes of an answer", spread([run.bytes_each for run in runs], 0))
        self.add(f"{name}: half within, ms", spread([run.p50_ms for run in runs], 1))
        self.add(f"{name}: 99 in 100 within, ms", spread([run.p99_ms for run in runs], 1))
        failed = sum(run.failed for run in runs)
        self.add(f"{name}: failed", str(failed), "0", "ok" if failed == 0 else "MISSED")

    def many(self, clinics, runs, beside, most, samples):
        self.at_least(f"{clinics} clinics ÷ pgbench -C", ratios(runs, beside), 0.5, 1.0)
        self.add(f"{clinics} clinics: most connections ({samples} looks)", str(most), "≤ 40", "ok" if most <= 40 else "MISSED")
        self.cost(f"{clinics} clinics", runs)

    def ten_or_one(self, runs):
        self.at_least("10 clinics ÷ 1 clinic", ratios(runs["ten"], runs["one"]), None, 1.0)
        self.add("10 databases ÷ 1, PostgreSQL alone", spread(ratios(runs["ten databases"], runs["one database"])))
        self.cost("10 clinics", runs["ten"])
        self.cost("1 clinic", runs["one"])
        for name in ("ten databases", "one database"):
            used = [run.postgres_us for run in runs[name]]
            self.add(f"{name}: CPU of PostgreSQL alone, µs", spread(used, 0))

    def print(self):
        wide = [max(len(row[column]) for row in self.rows) for column in range(3)]
        for row in self.rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, [*wide, 0])).rstrip())
