"""What tests of `weir` as a user types it share: each gets a folder of its own."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

WEIR, TOP = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
TESTS = []

# A source that never ends by itself within the test, but is slow enough to watch.
ENDLESS = """version: 1
job: endless
operators:
  - {id: source, kind: nexmark, events: 1000000000, rate: 10000/s, pace: 100000/s}
  - id: counts
    kind: window_aggregate
    input: source.bid
    key: [auction]
    window: {tumbling: 1s}
    aggregates: [num: count()]
  - {id: sink, kind: csv, input: counts, path: out.csv}
"""


def test(function):
    TESTS.append(function)
    return function


def weir(folder, *arguments, within=()):
    return subprocess.run(
        [*within, WEIR, *arguments], cwd=folder, capture_output=True, text=True, timeout=120
    )


def write(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
        f.write(text)
    return name


def read(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as f:
        return f.read()


def report_of(folder, name="r.json"):
    return json.loads(read(folder, name))


# Start a run and wait until its workers work. What becomes of SIGHUP is inherited, and these
# tests may run under nohup.
def begin(folder, *arguments, hangup=signal.SIG_DFL, within=()):
    process = subprocess.Popen(
        [*within, WEIR, "run", "-w", "1", "-s", "workers.wait=sleep", *arguments], cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, hangup))
    deadline = time.monotonic() + 50
    while not working(process.pid):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AssertionError("the job did not begin: " + process.communicate()[1])
        time.sleep(0.05)
    time.sleep(0.3)
    return process


# Workers are threads with names of their own; one that had 5 ms of a core has read something.
def working(pid):
    try:
        tasks = [f"/proc/{pid}/task/{t}" for t in os.listdir(f"/proc/{pid}/task")]
        return any("weir-worker" in read(task, "comm") and
                   int(read(task, "schedstat").split()[0]) > 5000000 for task in tasks)
    except OSError:
        return False


def main():
    print(f"1..{len(TESTS)}")
    for number, function in enumerate(TESTS, 1):
        with tempfile.TemporaryDirectory(prefix="weir-test-") as folder:
            try:
                function(folder)
                print(f"ok {number} - {function.__name__}")
            except (AssertionError, subprocess.TimeoutExpired, OSError, ValueError) as problem:
                print(f"not ok {number} - {function.__name__}")
                for line in str(problem).splitlines() or [repr(problem)]:
                    print("# " + line)
