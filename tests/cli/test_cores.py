#!/usr/bin/env python3
"""Which cores jobs take that run beside each other.

usage: test_cores.py WEIR SOURCE-FOLDER
"""

import os
import signal
import subprocess
import time

from command_line import ENDLESS, begin, main, read, test, weir, write

SHORT = """version: 1
job: n
operators:
  - {id: source, kind: nexmark, events: 1000}
  - {id: sink, kind: 'null', input: source.bid}
"""


# The CPUs that the workers of a job may run on.
def cpus_of(process):
    tasks = [f"/proc/{process.pid}/task/{t}" for t in os.listdir(f"/proc/{process.pid}/task")]
    return {cpu for task in tasks if "weir-worker" in read(task, "comm")
            for cpu in os.sched_getaffinity(int(os.path.basename(task)))}


@test
def a_core_that_another_job_polls_is_said(folder):
    write(folder, "j.yaml", ENDLESS)
    write(folder, "n.yaml", SHORT)
    first = begin(folder, "j.yaml")
    said = "n.yaml: CPU "
    there = f"workers.cpus={min(cpus_of(first))}"
    spins = weir(folder, "run", "-s", there, "-s", "workers.wait=spin", "n.yaml")
    yields = weir(folder, "run", "-s", there, "-s", "workers.wait=yield", "n.yaml")
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert spins.returncode == 0 and spins.stderr.count(said) == 1, spins.stderr
    assert "set workers.wait: yield" in spins.stderr, spins.stderr
    assert yields.returncode == 0 and said not in yields.stderr, yields.stderr


# A network namespace, in which no other weirs of this machine are seen.
def alone_in_the_network():
    holder = subprocess.Popen(["unshare", "-n", "sleep", "600"], stderr=subprocess.DEVNULL)
    outside, inside = os.readlink("/proc/self/ns/net"), None
    while holder.poll() is None and inside in (None, outside):
        time.sleep(0.01)
        inside = os.readlink(f"/proc/{holder.pid}/ns/net") if holder.poll() is None else None
    return holder, ["nsenter", "-t", str(holder.pid), "-n"]


def keeps_clear(folder, within):
    alone = weir(folder, "topo", "--workers", "1", within=within).stdout
    first = begin(folder, "j.yaml", within=within)
    beside = weir(folder, "topo", "--workers", "1", within=within).stdout
    second = begin(folder, "k.yaml", within=within)
    cpus = cpus_of(first), cpus_of(second)
    errors = []
    for process in (first, second):
        process.send_signal(signal.SIGINT)
        errors.append(process.communicate(timeout=60)[1])
    (taken,), (other,) = cpus
    assert taken != other, cpus
    said = f"another weir polls CPU {taken}, so this one runs on CPU {other}\n"
    assert "another weir" not in errors[0] and "k.yaml: " + said in errors[1], errors
    assert f"worker 0 on PU {taken}" in alone and "another job" not in alone, alone
    assert f"worker 0 on PU {other}" in beside, beside
    assert f"clear of PU {taken}, which another job polls" in beside, beside


@test
def a_job_keeps_clear_of_the_cores_of_another(folder):
    holder, within = alone_in_the_network()
    write(folder, "j.yaml", ENDLESS)
    write(folder, "k.yaml", ENDLESS.replace("out.csv", "other.csv"))
    try:
        if holder.poll() is None and len(os.sched_getaffinity(0)) > 1:
            keeps_clear(folder, within)  # else there is nowhere to go, or it takes root
    finally:
        holder.kill()
        holder.wait()


main()
