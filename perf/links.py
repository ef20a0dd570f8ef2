"""Frames a second over memif between two processes: a bare link beside dpdk-testpmd, in turn."""

import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time

SIZES = (64, 512, 1514)  # bytes of a frame, without FCS
PATIENCE = 30


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


def testpmd_round(size, seconds, cpus, folder):
    """The same of testpmd, by the middle one of the rates that its receiver shows each second."""
    def start(name, role, cpu, other, mode, *options):
        command = ["dpdk-testpmd", "--lcores", f"0@{other},1@{cpu}", "--no-pci", "--in-memory",
                   "--no-telemetry", "--log-level", "error", "--file-prefix",
                   f"weir-perf-{os.getpid()}-{name}", "-m", "256", "--vdev",
                   device(role, folder), "--", f"--forward-mode={mode}", "--auto-start",
                   "--total-num-mbufs=16384", "--stats-period=1", *options]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True)

    receiver = start("rx", "server", cpus[1], cpus[0], "rxonly")
    time.sleep(1)
    sender = start("tx", "client", cpus[0], cpus[1], "txonly", f"--txpkts={size}")
    time.sleep(seconds + 3)
    for process in (receiver, sender):
        process.kill()
    text = receiver.communicate()[0]
    sender.communicate()
    rates = [int(rate) for rate in re.findall(r"Rx-pps:\s+(\d+)", text) if int(rate) > 0]
    if len(rates) < 2:
        raise RuntimeError("dpdk-testpmd passed nothing")
    return statistics.median(rates[1:])


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
