"""Frames a second over memif between two processes: a bare link beside dpdk-testpmd, in turn."""

import math
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time

SIZES = (64, 512, 1514)  # bytes of a frame, without FCS
PATIENCE = 30
NEAR_NS = 110  # a line from core to core costs less where both share a cache


class Missing(Exception):
    """What is compared with is not installed."""


def device(role, folder):
    return f"net_memif0,role={role},socket={folder}/socket,socket-abstract=no"


def weir_round(end, size, seconds, cpus, folder):
    """Frames a second that the receiving end counted."""
    def start(role, cpu, *options):
        return subprocess.Popen([end, "-d", device(role, folder), "-b", str(size), "-c", str(cpu),
                                 *options], stdout=subprocess.PIPE, text=True)

    receiver = start("server", cpus[1], "-s", str(seconds))
    sender = start("client", cpus[0], "-s", str(seconds + 2), "--transmit")
    try:
        return float(receiver.communicate(timeout=seconds + PATIENCE)[0])
    finally:
        for process in (receiver, sender):
            process.kill()
            process.communicate()


def line_ns(build, cpus):
    if len(set(cpus)) < 2:
        return 0.0  # one core for both ends: nothing crosses
    done = subprocess.run([os.path.join(build, "perf", "line_cost"), *map(str, cpus)],
                          capture_output=True, text=True, timeout=PATIENCE, check=True)
    return float(done.stdout)


def alternate(build, cpus, rounds, kinds):
    """Values of each kind, in turn, and what a line cost from core to core meanwhile.

    A host moves the cores of a virtual machine, and what passes between two changes up to
    sixfold. So the cost of a line is measured around each value; a round in which it changed is
    repeated, and of the two states the one with more rounds is kept: one is never compared with
    the other.
    """
    steady, moved = [], []
    while len(steady) < rounds and len(moved) < rounds:
        values, lines = {}, [line_ns(build, cpus)]
        for kind, run in kinds.items():
            values[kind] = run()
            lines.append(line_ns(build, cpus))
        near = sum(line < NEAR_NS for line in lines)
        (steady if near in (0, len(lines)) else moved).append(
            (statistics.median(lines), values))
    near = [one for one in steady if one[0] < NEAR_NS]
    far = [one for one in steady if one[0] >= NEAR_NS]
    kept = max(near, far, key=len) or moved
    line = statistics.median(one[0] for one in kept)
    return ({kind: [values[kind] for _, values in kept] for kind in kinds},
            f"{len(kept)} rounds with {line:.0f} ns for a line from core to core")


def rates(path):
    with open(path, errors="replace") as file:
        found = [int(rate) for rate in re.findall(r"Rx-pps:\s+(\d+)", file.read())]
    return [rate for rate in found if rate > 0]


def testpmd_round(size, seconds, cpus, folder):
    """The same of testpmd, by the middle one of the rates that its receiver shows each second."""
    def start(name, role, cpu, other, mode, *options):
        command = ["dpdk-testpmd", "--lcores", f"0@{other},1@{cpu}", "--no-pci", "--in-memory",
                   "--no-telemetry", "--log-level", "error", "--file-prefix",
                   f"weir-perf-{os.getpid()}-{name}", "-m", "256", "--vdev",
                   device(role, folder), "--", f"--forward-mode={mode}", "--auto-start",
                   "--total-num-mbufs=16384", "--stats-period=1", *options]
        with open(os.path.join(folder, name), "w") as shown:
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=shown,
                                    stderr=subprocess.DEVNULL)

    wanted = 1 + math.ceil(seconds)
    receiver = start("rx", "server", cpus[1], cpus[0], "rxonly")
    processes = [receiver]
    try:
        deadline = time.monotonic() + seconds + PATIENCE
        while not os.path.exists(os.path.join(folder, "socket")) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        processes.append(start("tx", "client", cpus[0], cpus[1], "txonly", f"--txpkts={size}"))
        while len(rates(os.path.join(folder, "rx"))) < wanted and time.monotonic() < deadline:
            time.sleep(0.2)
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for base in ("/var/run", os.environ.get("XDG_RUNTIME_DIR", "/tmp")):
            for name in ("rx", "tx"):  # DPDK's folder of a process that was killed
                shutil.rmtree(f"{base}/dpdk/weir-perf-{os.getpid()}-{name}", ignore_errors=True)
    found = rates(os.path.join(folder, "rx"))
    if len(found) < 2:
        raise RuntimeError("dpdk-testpmd passed nothing")
    return statistics.median(found[1:])


def measure(build, extent):
    """The `results` of a report (schema in docs/performance.md)."""
    if shutil.which("dpdk-testpmd") is None:
        raise Missing("dpdk-testpmd is not installed; it is in Debian's dpdk-dev")
    end = os.path.join(build, "perf", "link_end")
    cpus = sorted(os.sched_getaffinity(0))[:2]
    rounds, seconds = {"full": (5, 3), "quick": (3, 2), "tiny": (1, 1)}[extent]
    results = []
    for size in SIZES if extent == "full" else SIZES[:1]:
        ours, theirs = [], []
        for _ in range(rounds):
            for kept, run in ((ours, lambda f: weir_round(end, size, seconds, cpus, f)),
                              (theirs, lambda f: testpmd_round(size, seconds, cpus, f))):
                with tempfile.TemporaryDirectory(prefix="weir-perf-") as folder:
                    kept.append(run(folder))
        ratios = [a / b for a, b in zip(ours, theirs)]
        ratio = statistics.median(ratios)
        results.append({
            "name": f"links/memif/{size}", "workers": 1, "value": statistics.median(ours),
            "unit": "frames/s", "baseline": statistics.median(theirs), "ratio": ratio,
            "spread": (max(ratios) - min(ratios)) / ratio,
            "note": "without transport; dpdk-testpmd sends one frame over and over"})
    return results
