#!/usr/bin/env python3
"""scripts/tally counts cases as they are and never loses one that did not pass."""

import json
import os
import subprocess
import sys
import tempfile

TALLY = os.path.join(os.path.dirname(__file__), "..", "..", "scripts", "tally")
HEAD = "[==========] Running 3 test(s).\n"


def ran(name, end):
    return f"[ RUN      ] {name}\n{end}\n" if end else f"[ RUN      ] {name}\n"


OK = "[       OK ] case"
FAILED = "[  FAILED  ] case"
SKIPPED = "[  SKIPPED ] case"
ALL_RAN = "[==========] 3 test(s) run.\n"

# What it shows, result and output of one test, counts expected.
CASES = [
    ("cmocka, all pass", "OK", HEAD + ran("a", OK) * 3 + ALL_RAN, "3 0 0"),
    ("cmocka, one failed", "FAIL", HEAD + ran("a", OK) * 2 + ran("b", FAILED) + ALL_RAN, "2 1 0"),
    ("cmocka, one skipped", "OK",
     HEAD + ran("a", OK) * 2 + ran("b", SKIPPED) + ALL_RAN
     + "[  SKIPPED ] tests: 1 test(s), listed below:\n[  SKIPPED ] case\n", "2 0 1"),
    ("cmocka, crashed in the second", "FAIL", HEAD + ran("a", OK) + ran("b", ""), "1 2 0"),
    ("cmocka, stopped early with success", "OK", HEAD + ran("a", OK), "1 2 0"),
    ("cmocka, crashed after the last", "FAIL", HEAD + ran("a", OK) * 3 + ALL_RAN, "3 1 0"),
    ("cmocka, no case", "OK", "[==========] Running 0 test(s).\n", "0 1 0"),
    ("TAP, all pass", "OK", "ok 1 - a\nok 2\n1..2\n", "2 0 0"),
    ("TAP, one failed, one skipped", "FAIL", "ok 1\nnot ok 2 - b\nok 3 # skip no NIC\n1..3\n",
     "1 1 1"),
    ("TAP, stopped early", "ERROR", "1..5\nok 1\nok 2\n", "2 3 0"),
    ("TAP, skipped as a whole", "ERROR", "1..0 # SKIP no zstd\n", "0 0 1"),
    ("TAP, no case", "OK", "1..0\n", "0 1 0"),
    ("plain, passed", "OK", "2000 seeds, 0 violations\n", "1 0 0"),
    ("plain, failed", "FAIL", "oops\n", "0 1 0"),
    ("plain, timed out", "TIMEOUT", "", "0 1 0"),
    ("cmocka, timed out", "TIMEOUT", HEAD + ran("a", OK), "1 2 0"),
    ("skipped as a whole", "SKIP", "", "0 0 1"),
]


def tally(tests):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as log:
        for result, text in tests:
            log.write(json.dumps({"name": "test", "result": result, "stdout": text,
                                  "returncode": 0}) + "\n")
        log.flush()
        done = subprocess.run([TALLY, log.name], capture_output=True, text=True, check=False)
    return (done.stdout.splitlines() or [done.stderr])[0]


def main():
    rows = [(name, tally([(result, text)]), expected) for name, result, text, expected in CASES]
    rows.append(("summed over tests",
                 tally([(result, text) for _, result, text, _ in CASES[:3]]), "7 1 1"))
    for number, (name, got, expected) in enumerate(rows, 1):
        print(f"{'ok' if got == expected else 'not ok'} {number} - {name}")
        if got != expected:
            print(f"# got {got}, expected {expected}")
    print(f"1..{len(rows)}")
    return any(got != expected for _, got, expected in rows)


if __name__ == "__main__":
    sys.exit(main())
