"""What the comparisons with SQLite share: running weir, loading CSV, comparing sorted rows."""

import csv
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile

# Workers, frame size and credit (a channel's ring): one worker, then two with the smallest, a
# middling and the largest frames and rings.
SETTINGS = [
    (1, "8KiB", 32),
    (2, "512B", 1),
    (2, "8KiB", 4),
    (2, "60KiB", 64),
]


class Oracle:
    def __init__(self, weir, top):
        self.weir, self.top = os.path.abspath(weir), os.path.abspath(top)
        self.folder = tempfile.mkdtemp(prefix="weir-oracle-")
        self.db = sqlite3.connect(":memory:")
        self.results = []

    def path(self, name):
        return os.path.join(self.folder, name)

    def example(self, name):
        return os.path.join(self.top, "examples", name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8", newline="") as f:
            f.write(text)
        return self.path(name)

    def command(self, *arguments):
        done = subprocess.run(
            [self.weir, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=100
        )
        if done.returncode != 0:
            raise RuntimeError(f"weir {' '.join(arguments)}: {done.stderr.strip()}")

    def run(self, job, setting, *settings):
        """Run a job; returns the rows of its sink."""
        workers, frame, credit = setting
        out = self.path("out.csv")
        if os.path.exists(out):
            os.unlink(out)
        arguments = ["run", job, "--workers", str(workers)]
        for text in (f"exchange.frame={frame}", f"exchange.credit={credit}",
                     f"sink.path={out}", *settings):
            arguments += ["--set", text]
        self.command(*arguments)
        return self.rows(out)

    def rows(self, path):
        with open(path, encoding="utf-8", newline="") as f:
            return list(csv.reader(f))

    def load(self, table, path, columns):
        """Load a CSV file with a header line; an empty field is null."""
        rows = self.rows(path)[1:]
        marks = ",".join("?" * len(columns))
        names = ",".join(f'"{name}" {kind}' for name, kind in columns)
        self.db.execute(f"drop table if exists {table}")
        self.db.execute(f"create table {table} ({names})")
        self.db.executemany(f"insert into {table} values ({marks})",
                            ([None if v == "" else v for v in row] for row in rows))
        return len(rows)

    def ask(self, query):
        return [["" if v is None else str(v) for v in row] for row in self.db.execute(query)]

    def same(self, name, got, want):
        """Whether two lists hold the same rows, as often; an empty one proves nothing."""
        got, want = sorted(got), sorted(want)
        good = got == want and len(want) > 0
        self.results.append((name, good))
        if not good:
            print(f"# {name}: {len(got)} rows, {len(want)} expected")
            differing = [(g, w) for g, w in zip(got, want) if g != w][:3]
            for g, w in differing:
                print(f"#   {g} instead of {w}")

    def finish(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        print(f"1..{len(self.results)}")
        for number, (name, good) in enumerate(self.results, 1):
            print(f"{'ok' if good else 'not ok'} {number} {name}")
        sys.exit(0 if all(good for _, good in self.results) else 1)


def described(setting):
    workers, frame, credit = setting
    return f"{workers} workers, frames of {frame}, credit {credit}"


def seeded(seed):
    return random.Random(seed)
