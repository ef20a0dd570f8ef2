#!/usr/bin/env python3
"""perf/run failover: usage: test_failover.py RUN BUILD

What it counts as lost, doubled and so on it finds in timelines made for it; then a node of a real
cluster is killed, and the report of that is complete. Exits 77 where no cluster can run.
"""

import json
import os
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import failover_figures as figures  # noqa: E402  (beside this script)
from test_run import Balance  # noqa: E402

JOB = figures.Job(3200, 100_000, 2)
PIDS = [100, 200]  # of the nodes; the first dies
START_NS, MOMENT_NS = 5_000_000_000, 5_000_000_000 + 16_000_000
SILENCE_NS = 3_000_000
APART_NS = 250_000  # how much later the second node starts the job
WANTED = {"gap_ms_p50", "gap_ms_p99", "gap_ms_max", "normal_ms_p50", "lost", "doubled", "kills",
          "gap_free_ms_p50", "bad_windows", "bad_windows_free", "by_state", "told_ms_p50", "chart"}


def started_ns(node):
    return START_NS + node * APART_NS


def at_ns(number, dies):
    """A record is shown 0.1 ms after it is due, but for those that waited for a successor; due by
    the clock of the node whose source makes it."""
    node = JOB.source_of(number)
    shown_ns = [started_ns(n) + figures.LEAD_NS + number * JOB.step_ns + 100_000 for n in (0, 1)]
    if not dies or shown_ns[node] <= MOMENT_NS:
        return shown_ns[node]
    return max(shown_ns[1], MOMENT_NS + SILENCE_NS)


def write_timeline(folder, task, pid, entries):
    with open(os.path.join(folder, f"{task}-{pid}.timeline"), "wb") as file:
        file.write(figures.HEAD.pack(figures.MAGIC, 0, task, 2, started_ns(PIDS.index(pid)), 64,
                                     len(entries)))
        file.seek(figures.HEAD_BYTES)
        for number, time_ns in entries:
            file.write(struct.pack("<qq", time_ns, figures.LEAD_NS + number * JOB.step_ns))


def read_round(files, dies):
    with tempfile.TemporaryDirectory() as folder:
        for (task, pid), entries in files.items():
            write_timeline(folder, task, pid, entries)
        return figures.Round(JOB, figures.read_timelines(folder), PIDS, 0, MOMENT_NS, dies)


def judge_free(change):
    """A round in which no node dies, after `change` was made to what it left."""
    files = {(task, pid): [(n, at_ns(n, False)) for n in range(JOB.events)
                           if JOB.is_bid(n) and n % 2 == task] for task in (0, 1) for pid in PIDS}
    change(files)
    return read_round(files, False)


def judge(change=lambda files: None):
    """A round in which node 0 dies, likewise."""
    bids = [number for number in range(JOB.events) if JOB.is_bid(number)]
    of = [[number for number in bids if number % 2 == task] for task in (0, 1)]
    slow = {number for number in bids if number % 2 == 0 or JOB.source_of(number) == 0}
    dead = [(n, at_ns(n, False)) for n in of[0] if at_ns(n, False) < MOMENT_NS]
    files = {(0, 100): dead,
             (0, 200): [(n, at_ns(n, n in slow) + 1) for n in of[0]],
             (1, 200): [(n, at_ns(n, n in slow)) for n in of[1]],
             (1, 100): [(n, at_ns(n, False)) for n in of[1] if at_ns(n, False) < MOMENT_NS]}
    change(files)
    return read_round(files, True)


def check_counting():
    good = judge()
    assert (good.lost, good.doubled, good.stray, good.ahead, good.differing, good.woken) == (
        0, 0, 0, 0, 0, 0), vars(good)
    assert SILENCE_NS / 1e6 < good.failed_gap_ms() < SILENCE_NS / 1e6 + 0.5, good.failed_gap_ms()
    assert good.gap_ms(*figures.REST) < 1.5, good.gap_ms(*figures.REST)
    assert good.gap_ms(figures.UNTOUCHED) == 0, "with two nodes all the rest has lost its replica"
    assert SILENCE_NS / 1e6 <= good.normal_ms() <= SILENCE_NS / 1e6 + 1, good.normal_ms()

    def early(files):
        number, _ = files[0, 200][-1]
        files[0, 200][-1] = (number, MOMENT_NS - 1)

    for name, count, change in (
            ("lost", 1, lambda files: files[0, 200].pop()),
            ("lost", 1, lambda files: files[1, 200].pop(7)),
            ("doubled", 2, lambda files: files[1, 200].append(files[1, 200][7])),
            ("doubled", 1, lambda files: files[0, 200].append(files[0, 200][0])),
            ("stray", 1, lambda files: files[1, 200].append((1, MOMENT_NS))),
            ("ahead", 1, early),
            ("woken", 1, lambda files: files[0, 100].append((1276, MOMENT_NS + 10 ** 8)))):
        found = getattr(judge(change), name)
        assert found == count, (name, count, found)
    assert judge_free(lambda files: None).differing == 0
    assert judge_free(lambda files: files[0, 200].pop()).differing == 1


def check_page(page):
    balance = Balance()
    balance.feed(page)
    assert balance.open == ["html"] or not balance.open, balance.open
    assert balance.charts == 2, balance.charts
    assert "://" not in page, "the page fetches something"


def main():
    run, build = sys.argv[1:]
    check_counting()
    with tempfile.TemporaryDirectory() as directory:
        path, page = os.path.join(directory, "a.json"), os.path.join(directory, "a.html")
        done = subprocess.run([sys.executable, run, "failover", "--tiny", "--build", build,
                               "--json", path, "--html", page], check=False)
        if done.returncode != 0:
            return done.returncode
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        assert {"schema", "machine", "compiler", "commit", "date"} <= set(document), document
        assert WANTED <= set(document["failover"]), WANTED - set(document["failover"])
        assert document["failover"]["kills"] == 1 and document["failover"]["exact"]
        assert document["failover"]["gap_ms_max"] > 0  # how long depends on what else runs here
        with open(page, encoding="utf-8") as file:
            check_page(file.read())
    return 0


if __name__ == "__main__":
    sys.exit(main())
