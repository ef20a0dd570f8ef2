#!/usr/bin/env python3
"""What check_traces makes of traces in which one thing went otherwise than it did.

usage: tests/model/test_check_traces.py SIMULATOR
"""

import importlib.util
import os
import re
import shutil
import sys
import tempfile
from importlib.machinery import SourceFileLoader

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
loader = SourceFileLoader("check_traces", os.path.join(HERE, "check_traces"))
spec = importlib.util.spec_from_loader("check_traces", loader)
check_traces = importlib.util.module_from_spec(spec)
loader.exec_module(check_traces)


def at(lines, pattern):
    """Returns the first line that matches, and where it is; None, None without one."""
    for number, line in enumerate(lines):
        found = re.search(pattern, line)
        if found:
            return number, found
    return None, None


def without(lines, pattern):
    return [line for line in lines if not re.search(pattern, line)]


def the_replica_has_less(lines):
    def less(found):
        return f"index={max(0, int(found[1]) - 1)}"
    return [re.sub(r"index=(\d+)", less, line) if " entry_stored " in line else line
            for line in lines]


def it_acknowledges_after_beginning(lines):
    number, found = at(lines, r"^(\d+) (n\d+) instance_begun (task=\d+) ")
    if number is None:
        return None
    line = f"{found[1]} {found[2]} entry_stored {found[3]} index=1000000 begun=1"
    return lines[:number + 1] + [line] + lines[number + 1:]


def nobody_was_told(lines):
    number, found = at(lines, r" (n\d+) fence_answered channel=\d+ inc=101 .* from=1 ")
    return number and without(lines, f" {found[1]} loss_told ")


def a_new_one_was_not_told(lines):
    """It takes from one that began after it was made."""
    for number, line in enumerate(lines):
        found = re.search(r" (n\d+) node_joined .* anew=1 ", line)
        first = found and at(lines[number:], f" {found[1]} fence_answered ")[0]
        if first:
            answer = re.sub(r" (inc|expects)=\w+", r" \1=ffff", lines[number + first])
            return lines[:number + first] + [answer] + lines[number + first + 1:]
    return None


def it_answers_and_does_not_fence(lines):
    number, found = at(lines, r" fence_answered channel=\d+ inc=101 expects=101 ")
    return number and lines[:number] + [lines[number].replace("expects=101", "expects=100")] + \
        lines[number + 1:]


def one_has_not_admitted(lines):
    number, found = at(lines, r" (n\d+) instance_fed ")
    return number and without(lines, f" {found[1]} place_admitted ")


def another_item(lines):
    """What one consumes is not what another did before."""
    before = set()
    for number, line in enumerate(lines):
        found = re.search(r" items_consumed (channel=\d+ next=\d+) .* checksum=[1-9a-f]", line)
        if found and found[1] in before:
            return lines[:number] + [line + "0"] + lines[number + 1:]
        if found:
            before.add(found[1])
    return None


def alone_before_it_is_written(lines):
    number, found = at(lines, r" alone_told job=(\S+) at=\d+ as=0 place=(\d+) ")
    if number is None:
        return None
    first, _ = at(lines, f" job_written job={found[1]} .* lost={found[2]} ")
    return first and lines[:first] + [lines[number]] + lines[first:]


def one_that_is_lost_hears_it_late(lines):
    """What it was told before others had a new replica; it is lost itself, and nobody listens."""
    written = r" job_written job=(\S+) .* lost=(\d+) .* successors=(\S+) "
    number, found = at(lines, written + r"repair= boot=0$")
    if number is None:
        return None
    old = found[3].split(",")[int(found[2])][:-1] + "f"
    late = f"1 x loss_told job={found[1]} at={found[2]} as=0 place={1 - min(1, int(found[2]))} " \
           f"successor={old}"
    return lines[:number + 1] + [late] + lines[number + 1:]


def two_leaders_of_a_term(lines):
    number, _ = at(lines, " leader_elected ")
    return lines[:number] + [lines[number]] + lines[number:]


def one_has_not_given_all(lines):
    number, _ = at(lines, r" repair_is .* phase=whole ")
    return number and without(lines, " place_repaired ")


def nobody_was_heard(lines):
    number, found = at(lines, r" job_written job=(\S+) .* repair=\d")
    return number and without(lines, f" part_heard job={found[1]} ")


# What is changed, in which world, and which rules are found broken: of items, or by a model.
CHANGES = ((the_replica_has_less, "replicas", {"G1"}),
           (it_acknowledges_after_beginning, "replicas", {"T8"}),
           (nobody_was_told, "replicas", {"G5"}),
           (a_new_one_was_not_told, "replicas", {"G5"}),
           (it_answers_and_does_not_fence, "replicas", {"T1"}),
           (one_has_not_admitted, "replicas", {"G12"}),
           (another_item, "replicas", {"I1"}),
           (alone_before_it_is_written, "cluster", {"G3"}),
           (alone_before_it_is_written, "whole", {"G3"}),
           (two_leaders_of_a_term, "cluster", {"S8"}),
           (one_has_not_given_all, "cluster", {"G13"}),
           (one_has_not_given_all, "whole", {"G13"}),
           (one_that_is_lost_hears_it_late, "whole", set()),
           (nobody_was_heard, "cluster", {"G11"}))


def broken_rules(lines):
    found = check_traces.look_at(lines)
    return {name.split()[0] for _, _, names, _ in found.broken for name in names}


def try_change(change, expected, seeds):
    """Returns what is wrong with it, or None."""
    for lines in seeds:
        changed = change(lines)
        if changed:
            broken = broken_rules(changed)
            if not expected and broken:
                return f"broke {sorted(broken)}"
            missing = expected - broken
            return f"did not break {sorted(missing)}" if missing else None
    return "no seed has what is changed"


def main():
    if shutil.which("spin") is None or shutil.which("cc") is None:
        print("1..0 # SKIP spin or cc is not installed")
        return 77
    failed = 0
    print(f"1..{len(CHANGES) + 3}")
    with tempfile.TemporaryDirectory() as folder:
        seeds = {world: list(check_traces.read_seeds(
            check_traces.simulate(sys.argv[1], world, of, folder)))
                 for world, of in (("replicas", "1..4"), ("cluster", "1..20"), ("whole", "1..8"))}
    results = [(f"{world} as they are", sorted(set().union(*map(broken_rules, of))))
               for world, of in seeds.items()]
    results += [(f"{change.__name__}, {world}", try_change(change, expected, seeds[world]))
                for change, world, expected in CHANGES]
    for number, (what, wrong) in enumerate(results, 1):
        failed += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {number} - {what}{f': {wrong}' if wrong else ''}",
              flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
