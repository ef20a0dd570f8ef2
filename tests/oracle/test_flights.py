#!/usr/bin/env python3
"""The flights example gives what SQLite computes from the same rows, in whatever order they come
within the declared bound; rows beyond it are counted as late and left out.

usage: test_flights.py WEIR SOURCE-FOLDER
"""

import datetime
import json
import shutil
import subprocess
import sys

from oracle import SETTINGS, Oracle, described, seeded

COLUMNS = [("time", "text"), ("delay", "int"), ("distance", "int"), ("origin", "text"),
           ("destination", "text")]
QUERY = """
    select strftime('%s', substr(time, 1, 13) || ':00:00') * 1000, origin, count(*), sum(delay),
           max(delay)
    from flights group by 1, 2"""
BOUND_S = 600


def write_rows(oracle, name, rows):
    lines = ["time,delay,distance,origin,destination"] + [",".join(row) for row in rows]
    return oracle.write(name, "\n".join(lines) + "\n")


def seconds(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").timestamp()


def shuffled(rows, bound_s, random):
    """Rows sorted by their time plus less than the bound: none is late."""
    return [row for _, row in sorted((seconds(row[0]) + random.random() * bound_s, row)
                                     for row in rows)]


def split_late(rows, bound_s):
    """The rows in time and those earlier than the latest before them allows."""
    latest, kept, late = float("-inf"), [], []
    for row in rows:
        at = seconds(row[0])
        (late if at < latest - bound_s else kept).append(row)
        latest = max(latest, at) if at >= latest - bound_s else latest
    return kept, late


def ask(oracle, rows):
    oracle.load("flights", write_rows(oracle, "asked.csv", rows), COLUMNS)
    return oracle.ask(QUERY)


def check_late(oracle, job, rows):
    random = seeded(3)
    mixed = [row for _, row in sorted((seconds(row[0]) + random.random() * 4 * BOUND_S, row)
                                      for row in rows)]
    kept, late = split_late(mixed, BOUND_S)
    path, report = write_rows(oracle, "late.csv", mixed), oracle.path("report.json")
    out = oracle.path("out.csv")
    oracle.command("run", job, "--workers", "1", "--report", report, "--set",
                   f"source.path={path}", "--set", f"source.event_time.out_of_order={BOUND_S}s",
                   "--set", "source.on_error=skip", "--set", f"sink.path={out}")
    oracle.same("rows beyond the bound are left out", oracle.rows(out), ask(oracle, kept))
    with open(report, encoding="utf-8") as f:
        counted = json.load(f)["total"]["late"]
    oracle.same("and are counted as late", [[str(counted)]], [[str(len(late))]])


def main():
    if shutil.which("zstd") is None:
        print("1..0 # SKIP there is no zstd command to unpack the flights with")
        sys.exit(77)
    oracle = Oracle(sys.argv[1], sys.argv[2])
    job = oracle.example("flights/delays.yaml")
    packed = oracle.example("flights/flights.csv.zst")
    text = subprocess.run(["zstd", "-dcq", packed], capture_output=True, check=True).stdout
    rows = [line.split(",") for line in text.decode().splitlines()[1:]]
    want = ask(oracle, rows)
    for setting in SETTINGS:
        oracle.same(f"as they are, {described(setting)}",
                    oracle.run(job, setting, f"source.path={packed}"), want)
    for seed, bound_s in ((1, 10), (2, BOUND_S)):
        path = write_rows(oracle, "shuffled.csv", shuffled(rows, bound_s, seeded(seed)))
        for setting in SETTINGS[:3]:
            got = oracle.run(job, setting, f"source.path={path}",
                             f"source.event_time.out_of_order={bound_s}s")
            oracle.same(f"shuffled within {bound_s} s, {described(setting)}", got, want)
    check_late(oracle, job, rows)
    oracle.finish()


if __name__ == "__main__":
    main()
