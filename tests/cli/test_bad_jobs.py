#!/usr/bin/env python3
"""Every job file in a folder is refused with exactly the lines in the .expected file beside it.

usage: test_bad_jobs.py WEIR FOLDER [--update]
"""

import os
import subprocess
import sys


def check(weir, folder, name):
    return subprocess.run([weir, "check", name], cwd=folder, capture_output=True, timeout=20)


def main():
    weir, folder = os.path.abspath(sys.argv[1]), sys.argv[2]
    names = sorted(n for n in os.listdir(folder) if n.endswith(".yaml"))
    print(f"1..{len(names)}")
    for number, name in enumerate(names, 1):
        result = check(weir, folder, name)
        beside = os.path.join(folder, name[: -len(".yaml")] + ".expected")
        if "--update" in sys.argv:
            with open(beside, "wb") as f:
                f.write(result.stderr)
        with open(beside, "rb") as f:
            expected = f.read()
        good = result.returncode == 2 and result.stderr == expected and not result.stdout
        good = good and expected.startswith(name.encode() + b":")
        print(f"{'ok' if good else 'not ok'} {number} - {name}")
        if not good:
            print(f"# exit code {result.returncode}")
            for line in (result.stdout + result.stderr).decode(errors="replace").splitlines():
                print("# " + line)


main()
