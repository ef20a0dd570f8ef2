#!/usr/bin/env python3
"""Each rule of scripts/check-style finds what is planted for it, and only that."""

import os
import subprocess
import sys
import tempfile

CHECK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts",
                     "check-style")

CLEAN = {
    "numa/place.h": "// Where things are.\n#pragma once\n\nint place(int host);\n",
    "state/word.h": "#pragma once\n\n#include \"numa/place.h\"\n\nint word_read(void);\n",
    "state/word.c": """#include "state/word.h"

#include <stdlib.h>

// malloc(1) and printf("x") in a comment, and in text, are none.
static const char *text = "time(NULL)";

static int word_create(void)
{
	return malloc(1) != NULL && text;
}

int word_read(void)
{
	return word_create();
}
""",
    "control/say.c": "#include <stdio.h>\n\nvoid say(void)\n{\n\tputs(\"it\");\n}\n",
    "tests/test.c": "#include \"beside.h\"\n",
    "tests/beside.h": "#pragma once\n",
    "scripts/do": "#!/usr/bin/env bash\necho \"$1\"\n",
}


def long_function(lines):
    return "void f(void)\n{\n" + "\t;\n" * (lines - 3) + "}\n"


def inside(statement):
    return f"int f(int x)\n{{\n\t{statement}\n}}\n"


# rule, file, contents, line where it must be found
PLANTED = [
    ("layers", "numa/bad.c", '#include "state/word.h"\n', 1),
    ("layers", "dataplane/bad.h", '#pragma once\n\n#include "control/x.h"\n', 3),
    ("layers", "state/bad.c", '#include "word.h"\n', 1),
    ("layers", "state/bad.c", '#include "perf/word.h"\n', 1),
    ("function-length", "control/bad.c", long_function(71), 1),
    ("file-length", "control/bad.c", "\n" * 601, 601),
    ("headers-alone", "state/bad.h", "#pragma once\n\nsize_t bad(void);\n", 1),
    ("step", "dataplane/bad.c", inside("return clock_gettime(x, 0);"), 3),
    ("step", "state/bad.c", inside("return time(0);"), 3),
    ("step", "state/bad.c", inside("return pthread_mutex_lock(x);"), 3),
    ("step", "state/bad.c", inside("return rand();"), 3),
    ("step", "state/bad.c", inside("usleep(1);"), 3),
    ("step", "dataplane/bad.c", inside("return write(1, 0, 0);"), 3),
    ("step", "dataplane/bad.c", inside('printf("x");'), 3),
    ("step", "dataplane/operators/bad.c", inside('syslog(1, "x");'), 3),
    ("record-path", "dataplane/bad.c", inside("return !malloc(x);"), 3),
    ("record-path", "state/bad.c", inside("free(x);"), 3),
    ("record-path", "state/bad.c", inside("return x ? !calloc(1, 1) : 0;"), 3),
    ("names", "numa/bad.c", "int rte_own(void)\n{\n\treturn 0;\n}\n", 1),
    ("names", "numa/bad.h", "#pragma once\n\nstruct rte_own {\n\tint x;\n};\n", 3),
    ("typedef", "numa/bad.h", "#pragma once\n\ntypedef struct x {\n\tint y;\n} x_t;\n", 3),
    ("typedef", "numa/bad.h", "#pragma once\n\ntypedef enum x x_t;\n", 3),
    ("unfinished", "numa/bad.c", "// TO" + "DO: all of it\n", 1),
    ("unfinished", "docs/bad.md", "FIX" + "ME\n", 1),
    ("tabs", "numa/bad.c", "int f(void)\n{\n        return 0;\n}\n", 3),
    ("tabs", "numa/bad.c", "int x; \n", 1),
    ("columns", "numa/bad.c", "\t// " + "x" * 90 + "\n", 1),
    ("columns", "scripts/bad", "#!/usr/bin/env bash\n# " + "x" * 99 + "\n", 2),
    ("format", "numa/bad.c", "int f( int x ){\n\tif( x ){ return 0 ; }\n\tint y=0 ;\n"
     "\ty ++ ;\n\treturn y+x ;\n}\n", 1),
    ("scripts", "scripts/bad", "#!/usr/bin/env bash\nif true; then\n", 1),
    ("scripts", "scripts/bad", "#!/usr/bin/env python3\ndef f(:\n", 2),
    ("scripts", "scripts/bad", "#!/usr/bin/env bash\ncd $(dirname x)\n", 2),
    ("machine-paths", "docs/bad.md", "see /" + "work/main\n", 1),
]


def check(files, *arguments):
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        done = subprocess.run([CHECK, "--root", root, *arguments], capture_output=True, text=True,
                              check=False)
    return done.returncode, done.stdout + done.stderr


def main():
    results = []
    code, output = check(CLEAN)
    results.append(("a clean tree has no finding", code == 0 and "skipped" not in output, output))
    for rule, name, text, line in PLANTED:
        code, output = check({**CLEAN, name: text}, "--rule", rule)
        label = f"{rule}: {name}: {text.strip().splitlines()[-1][:40] if text.strip() else ''}"
        if "skipped: " in output:
            results.append((label + " # SKIP its tool is not installed", True, output))
            continue
        lines = output.strip().splitlines()
        right = code == 1 and lines and all(l.startswith(f"{name}:") for l in lines) \
            and any(l.startswith(f"{name}:{line}: {rule}: ") for l in lines)
        results.append((label, right, output))
    planted_rules = {rule for rule, _, _, _ in PLANTED}
    code, output = check(CLEAN, "--list")
    listed = {l.split(":")[0] for l in output.splitlines()}
    results.append(("every rule has a planted violation", listed == planted_rules,
                    str(listed ^ planted_rules)))
    for number, (label, right, output) in enumerate(results, 1):
        print(f"{'ok' if right else 'not ok'} {number} - {label}")
        if not right:
            print("# " + output.replace("\n", "\n# "))
    print(f"1..{len(results)}")
    return not all(right for _, right, _ in results)


if __name__ == "__main__":
    sys.exit(main())
