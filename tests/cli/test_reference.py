#!/usr/bin/env python3
"""docs/reference.md is what `weir kinds --markdown` prints.

usage: test_reference.py WEIR docs/reference.md
"""

import difflib
import subprocess
import sys

made = subprocess.run([sys.argv[1], "kinds", "--markdown"], capture_output=True, check=True)
with open(sys.argv[2], encoding="utf-8") as f:
    kept = f.read().splitlines()
difference = list(difflib.unified_diff(kept, made.stdout.decode().splitlines(), lineterm=""))
print("1..1")
print(("not " if difference else "") + "ok 1 - docs/reference.md is up to date")
if difference:
    print("# mend it with: weir kinds --markdown > docs/reference.md")
for line in difference:
    print("# " + line)
