"""What else the machine does must not decide who wins: of a busy one, pgbench's 32 backends would get more than nadi's six."""

import os
import time
from contextlib import contextmanager
from pathlib import Path

# By version of control groups: where, the file of the weight, the most that it takes.
GROUPS = [("/sys/fs/cgroup/cpu", "cpu.shares", "262144"), ("/sys/fs/cgroup", "cpu.weight", "10000")]


def join_group():
    """A control group of our own, if we may make one. (Niceness alone does little: each backend is a session of its own.)"""
    for root, file, most in GROUPS:
        group = Path(root, f"nadi-bench-{os.getpid()}")
        try:
            group.mkdir()
            (group / file).write_text(most)
            (group / "cgroup.procs").write_text(str(os.getpid()))
            return group
        except OSError:
            if group.exists():
                group.rmdir()
    return None


@contextmanager
def first():
    """This process and all that it starts come before others, as far as we may."""
    group = join_group()
    try:
        yield
    finally:
        if group:
            leave(group)


def leave(group):
    (group.parent / "cgroup.procs").write_text(str(os.getpid()))
    for _ in range(50):  # backends that are still on their way out
        try:
            return group.rmdir()
        except OSError:
            time.sleep(0.1)
