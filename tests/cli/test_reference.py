#!/usr/bin/env python3
"""A reference in docs/ is what `weir kinds` prints.

usage: test_reference.py WEIR docs/reference.md --markdown
"""

import difflib
import subprocess
import sys

made = subprocess.run([sys.argv[1], "kinds", sys.argv[3]], capture_output=True, check=True)
with open(sys.argv[2], encoding="utf-8") as f:
    kept = f.read().splitlines()
difference = list(difflib.unified_diff(kept, made.stdout.decode().splitlines(), lineterm=""))
print("1..1")
print(("not " if difference else "") + f"ok 1 - {sys.argv[2]} is up to date")
if difference:
    print(f"# mend it with: weir kinds {sys.argv[3]} > {sys.argv[2]}")
for line in difference:
    print("# " + line)
