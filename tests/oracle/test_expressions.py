#!/usr/bin/env python3
"""Random expressions over random rows give what SQLite says, where both mean the same.

usage: test_expressions.py WEIR SOURCE-FOLDER
"""

import sys

from oracle import Oracle, seeded

ROWS, FIELDS, SEEDS = 700, 40, 4
COLUMNS = [("k", "int"), ("a", "int"), ("b", "int"), ("c", "int"), ("s", "text"), ("t", "text")]
WORDS = ["", "a", "ab", "b", "Grüße", "ß", "it's", 'say "x"', "a,b"]


def number(random, depth):
    kind = random.randrange(4 if depth == 0 else 13)
    if kind < 3:
        return random.choice("abc")
    if kind == 3:
        return str(random.randrange(-9, 10))
    x, y = number(random, depth - 1), number(random, depth - 1)
    if kind < 8:
        return f"({x} {random.choice('+-*')} {y})"
    if kind == 8:
        return f"({x} {random.choice('/%')} (abs({y}) + 1))"  # never by zero
    if kind == 9:
        return f"coalesce({x}, {y})"
    if kind == 10:
        return f"abs({x})"
    if kind == 11:
        return f"length({text(random, depth - 1)})"
    return f"(- {x})"


def quoted(word):
    return "'" + word.replace("'", "''") + "'"


def text(random, depth):
    kind = random.randrange(3 if depth == 0 else 5)
    if kind < 2:
        return random.choice("st")
    if kind == 2:
        return quoted(random.choice(WORDS))
    if kind == 3:
        return f"coalesce({text(random, depth - 1)}, {text(random, depth - 1)})"
    start, length = random.randrange(1, 4), random.randrange(0, 4)
    return f"substring({text(random, depth - 1)}, {start}, {length})"


def condition(random, depth):
    kind = random.randrange(3 if depth == 0 else 8)
    operand = number if random.randrange(3) else text
    x, y = operand(random, max(depth - 1, 0)), operand(random, max(depth - 1, 0))
    if kind < 2:
        return f"({x} {random.choice(['=', '<>', '<', '<=', '>', '>='])} {y})"
    if kind == 2:
        return f"({x} is {random.choice(['', 'not '])}null)"
    if kind == 3:
        items = ", ".join(operand(random, 0) for _ in range(random.randrange(1, 4)))
        return f"({x} {random.choice(['', 'not '])}in ({items}))"
    if kind == 4:
        return f"(not {condition(random, depth - 1)})"
    return (f"({condition(random, depth - 1)} {random.choice(['and', 'or'])} "
            f"{condition(random, depth - 1)})")


def cell(value):
    if value is None:
        return ""
    quotes = value == "" or any(c in value for c in ',"\n\r')
    return '"' + value.replace('"', '""') + '"' if quotes else value


def make_rows(random):
    maybe = lambda value: None if random.random() < 0.15 else value
    return [[str(k), *(maybe(str(random.randrange(-20, 21))) for _ in range(3)),
             maybe(random.choice(WORDS)), maybe(random.choice(WORDS))] for k in range(ROWS)]


def load(oracle, rows):
    oracle.db.execute("drop table if exists r")
    oracle.db.execute("create table r (" + ",".join(f"{n} {t}" for n, t in COLUMNS) + ")")
    oracle.db.executemany("insert into r values (?,?,?,?,?,?)", rows)


JOB = """version: 1
job: expressions
operators:
  - id: source
    kind: csv
    path: {path}
    header: "no"
    schema: [k: int64, a: int64, b: int64, c: int64, s: string, t: string]
  - id: chosen
    kind: filter
    input: source
    where: {where}
  - id: computed
    kind: project
    input: chosen
    fields:
      - k
{fields}
  - {{id: sink, kind: csv, input: computed, path: out.csv}}
"""


def yaml_text(value):
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def check(oracle, seed):
    random = seeded(seed)
    rows = make_rows(random)
    load(oracle, rows)
    path = oracle.write("rows.csv", "".join(",".join(map(cell, row)) + "\n" for row in rows))
    fields = [random.choice((number, text, condition))(random, 3) for _ in range(FIELDS)]
    where = f"({condition(random, 2)}) or k % 3 = 0"
    job = oracle.write("job.yaml", JOB.format(path=path, where=yaml_text(where), fields="\n".join(
        f"      - f{i}: {yaml_text(field)}" for i, field in enumerate(fields))))
    got = oracle.run(job, (1, "8KiB", 32))
    # Conditions are 0 and 1 in SQLite.
    for i, field in enumerate(fields):
        if all(row[i + 1] in ("true", "false", "") for row in got):
            for row in got:
                row[i + 1] = {"true": "1", "false": "0", "": ""}[row[i + 1]]
    want = oracle.ask(f"select k, {', '.join(fields)} from r where {where}")
    by_field = lambda table, i: [[row[0], row[i + 1]] for row in table]
    for i, field in enumerate(fields):
        if sorted(by_field(got, i)) != sorted(by_field(want, i)):
            print(f"# {field}")
    oracle.same(f"seed {seed}: {FIELDS} fields of the rows where {where}", got, want)


def main():
    oracle = Oracle(sys.argv[1], sys.argv[2])
    for seed in range(1, SEEDS + 1):
        check(oracle, seed)
    oracle.finish()


if __name__ == "__main__":
    main()
