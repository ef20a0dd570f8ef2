"""Is a trace a run of a model?

Spin builds the model together with an observer: a never claim that goes along with every step of it
and lets it go on only while what can be seen of its state is what the trace has at this place, or
at the next. If the claim comes to the trace's end there is a run of the model that looks like it,
with all that is not seen chosen as it must be. A run in which one of the model's assertions fails
does not count.
"""

import os
import subprocess
import tempfile

MODELS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NAMED_MAX = 3 # refused views for which variants are built
ANY = -1  # a value that is not seen

WRAPPER = """
#define assert(e) if :: (e) :: else -> broken = 1 fi
#define FAILURES c_expr {{ trace_failures }}
bit broken;
short trace_at;
c_decl {{
	\\#define TRACE_STAYS trace_stays()
	{macros}
	\\#define TRACE_ENDS trace_ends()
	extern int trace_failures;
	int trace_stays(void); int trace_moves(int rows); int trace_ends(void);
}}
#include "{model}"
never {{
	do
	:: d_step {{ c_expr {{ TRACE_STAYS }} -> skip }}
	{moves}
	:: c_expr {{ TRACE_ENDS }} -> break
	od
}}
"""

MOVES = range(1, 6) # rows at once
MOVE_MACRO = "\\#define TRACE_MOVES_{0} trace_moves({0})"
MOVE = ":: d_step {{ c_expr {{ TRACE_MOVES_{0} }} -> c_code {{ now.trace_at += {0}; }} }}"

OBSERVER = """
#include <stdio.h>
#include <stdlib.h>
enum {{ TRACE_FIELDS = {count}, TRACE_ROWS_MAX = 4096 }};
int trace_failures;
static int trace_rows[TRACE_ROWS_MAX][TRACE_FIELDS], trace_row_count, trace_furthest;

static int trace_matches(int row)
{{
	const int seen[] = {{ {fields} }};
	int good = !now.broken;
	for (int i = 0; i < TRACE_FIELDS && good; i++)
		good = trace_rows[row][i] < 0 || trace_rows[row][i] == seen[i];
	if (good && row > trace_furthest)
		trace_furthest = row;
	return good;
}}

int trace_stays(void)
{{
	return trace_matches(now.trace_at);
}}

static void trace_included(void)
{{
	printf("included\\n");
	fflush(stdout);
	_Exit(0);
}}

/* One state of the model may be that of several rows, where fields are not looked at any more. */
int trace_moves(int rows)
{{
	int good = now.trace_at + rows < trace_row_count;
	for (int i = 1; i <= rows && good; i++)
		good = trace_matches(now.trace_at + i);
	if (good && now.trace_at + rows == trace_row_count - 1)
		trace_included();
	return good;
}}

int trace_ends(void)
{{
	if (trace_row_count == 1 && trace_matches(0))
		trace_included();
	return 0;
}}

static void __attribute__((destructor)) trace_told(void)
{{
	printf("furthest %d\\n", trace_furthest);
}}

static void __attribute__((constructor)) trace_read(void)
{{
	FILE *file = fopen("rows", "r");
	if (file == NULL || fscanf(file, "%d %d", &trace_failures, &trace_row_count) != 2 ||
		trace_row_count > TRACE_ROWS_MAX)
		_Exit(3);
	for (int row = 0; row < trace_row_count; row++)
		for (int i = 0; i < TRACE_FIELDS; i++)
			if (fscanf(file, "%d", &trace_rows[row][i]) != 1)
				_Exit(3);
	fclose(file);
}}
"""


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")


class Observed:
    """A model of some defines, of which `fields`, by name an expression over `now`, are seen."""

    def __init__(self, model, defines, fields):
        self.fields = fields
        self.folder = tempfile.TemporaryDirectory()
        self.known = {}
        folder = self.folder.name
        with open(os.path.join(folder, "trace.pml"), "w", encoding="ascii") as wrapper:
            for define in defines:
                wrapper.write("#define " + define.replace("=", " ", 1) + "\n")
            wrapper.write(WRAPPER.format(
                model=os.path.join(MODELS, model + ".pml"),
                macros="\n\t".join(MOVE_MACRO.format(rows) for rows in MOVES),
                moves="\n\t".join(MOVE.format(rows) for rows in MOVES)))
        run(["spin", "-a", "trace.pml"], folder)
        with open(os.path.join(folder, "pan.c"), "a", encoding="ascii") as pan:
            pan.write(OBSERVER.format(count=len(fields), fields=", ".join(fields.values())))
        run(["cc", "-w", "-O1", "-DSAFETY", "-DNOREDUCE", "-DMEMLIM=1000", "-o", "pan", "pan.c"],
            folder)

    def includes(self, view):
        """Returns (whether it has such a run, how many rows it can follow)."""
        text = view.text(list(self.fields))
        if text not in self.known:
            with open(os.path.join(self.folder.name, "rows"), "w", encoding="ascii") as rows:
                rows.write(text)
            done = subprocess.run(["./pan", "-m200000", "-w18", "-n"], cwd=self.folder.name,
                                  capture_output=True, text=True, check=False)
            if "included" in done.stdout:
                self.known[text] = (True, len(view.rows))
            elif "search depth too small" in done.stdout or "furthest" not in done.stdout:
                raise RuntimeError("pan: " + done.stdout + done.stderr)
            else:
                self.known[text] = (False, int(done.stdout.split("furthest")[1].split()[0]) + 1)
        return self.known[text]


class View:
    """What is seen of a trace by one model: a row of values for each event that changes one."""

    def __init__(self, model, defines, about):
        self.model, self.defines, self.about = model, set(defines), about
        self.values = {}
        self.rows, self.events = [{}], ["the beginning"]
        self.hides = False  # the last row only has fields that are not looked at any more
        self.hidden = frozenset()  # fields that are never looked at
        self.failures = 0
        self.exercised = set()  # rules that something in it hung on

    def see(self, event, **values):
        """The event made these fields have these values."""
        if all(self.values.get(name, 0) == value for name, value in values.items()
               if name not in self.hidden):
            return
        only_hides = all(value == ANY for value in values.values())
        self.values.update((name, value) for name, value in values.items()
                           if name not in self.hidden)
        if only_hides and self.hides:
            self.rows[-1] = dict(self.values)
        else:
            self.rows.append(dict(self.values))
            self.events.append(event.line)
        self.hides = only_hides

    def hide(self, names):
        """These fields are nobody's: they are never looked at."""
        self.hidden |= frozenset(names)
        self.values.update((name, ANY) for name in names)
        self.rows[0] = dict(self.values)

    def text(self, names):
        rows = (" ".join(str(row.get(name, 0)) for name in names) for row in self.rows)
        return f"{self.failures} {len(self.rows)}\n" + "\n".join(rows) + "\n"


class Library:
    """The models that traces have asked for, built once each."""

    def __init__(self, fields):
        self.fields, self.built, self.named = fields, {}, 0

    def observed(self, model, defines):
        key = (model, *sorted(defines))
        if key not in self.built:
            self.built[key] = Observed(model, defines, self.fields[model])
        return self.built[key]

    def refused(self, view, variants):
        """Returns None, or where the model stops following, and by which broken rule it would."""
        included, furthest = self.observed(view.model, view.defines).includes(view)
        if not included: # a leader may have suspected one that nobody was told of
            view.failures += 1
            included, furthest = self.observed(view.model, view.defines).includes(view)
        if included:
            return None
        self.named += 1
        broken = [f"{rule} ({variant})" for rule, variant in variants if self.named <= NAMED_MAX
                  and self.observed(view.model, view.defines | {variant}).includes(view)[0]]
        event = view.events[min(furthest, len(view.events) - 1)]
        return event, broken
