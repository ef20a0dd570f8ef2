"""What links and transport do between processes, beside dpdk-testpmd and kernel TCP, in turn.

Everything goes through memif sockets in a folder of its own or a veth pair in namespaces of its
own; both are gone afterwards, and so are all processes.
"""

import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

import cluster_jobs
import links

SIZES = (194, 506, 1514)  # bytes of a frame, without FCS: 1, 14 and 56 records of 24 bytes
PATIENCE = 40
RECORD = 24
LOSSES = ((0, "0 %"), (1000, "0.1 %"), (10000, "1 %"), (50000, "5 %"))
VETH = "net_af_packet0,iface={},blocksz=1048576,framesz=2048,framecnt=4096"


class Failed(Exception):
    """A round gave no figure."""


class Wire:
    """Where the two ends are: a folder for a memif socket, or a veth pair."""

    def __init__(self, folder, spaces=None):
        self.folder, self.spaces = folder, spaces

    def device(self, end):
        if self.spaces:
            return VETH.format(f"v{end}")
        role = "server" if end else "client"
        return f"net_memif0,role={role},socket={self.folder}/socket,socket-abstract=no"

    def start(self, end, command):
        if self.spaces:
            command = ["ip", "netns", "exec", self.spaces[end], *command]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ip(*command):
    subprocess.run(["ip", *command], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def memif():
    with tempfile.TemporaryDirectory(prefix="weir-perf-") as folder:
        yield Wire(folder)


@contextlib.contextmanager
def veth():
    """Kernel addresses are on it only while TCP is measured: else the kernel would answer too."""
    spaces = [f"weirperf{os.getpid()}{end}" for end in "ab"]
    made = []
    try:
        for space in spaces:
            ip("netns", "add", space)
            made.append(space)
        ip("-n", spaces[0], "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns",
           spaces[1])
        for end, space in enumerate(spaces):
            ip("-n", space, "link", "set", f"v{end}", "up")
        yield Wire(None, spaces)
    finally:
        for space in made:
            subprocess.run(["ip", "netns", "del", space], check=False)


def veth_works():
    if os.getuid() != 0 or shutil.which("ip") is None:
        return False
    try:
        with veth():
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def finish(process, ends_by_signal):
    if ends_by_signal and process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    return out, err


def pair(wire, commands, leader):
    """Run both ends; the leader ends by itself, then the other is told to. What each printed."""
    processes = []
    try:
        for end in (1, 0):  # a TCP server has to be there first
            processes.insert(0, wire.start(end, commands[end]))
        told = [None, None]
        for end in (leader, 1 - leader):
            out, err = finish(processes[end], end != leader)
            if end == leader and not out.strip():
                raise Failed(f"{' '.join(commands[end])}: {err.strip()}")
            told[end] = json.loads(out) if out.strip() else None
        return told
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.communicate()


class Cluster:
    def __init__(self, build, extent):
        self.build, self.programs = build, os.path.join(build, "perf")
        self.cpus = (sorted(os.sched_getaffinity(0)) * 2)[:2]
        self.rounds, self.seconds = {"full": (7, 2), "quick": (3, 1), "tiny": (1, 0.2)}[extent]
        self.sizes = SIZES if extent == "full" else SIZES[-1:]
        self.results = []

    # ---- one round of each

    def session(self, wire, size, *options):
        """What the end that measures said: the receiver, or with --ping the one that asks."""
        asks = "--ping" in options
        commands = [[os.path.join(self.programs, "session_end"), "-d", wire.device(end), "-b",
                     str(size), "-s", str(self.seconds), "-c", str(self.cpus[end]),
                     *(["--transmit"] if end == 0 else []), *options] for end in (0, 1)]
        return pair(wire, commands, 0 if asks else 1)

    def frames(self, size, *options):
        with memif() as wire:
            return self.session(wire, size, *options)[1]["frames"]

    def testpmd(self, size):
        with memif() as wire:
            return links.testpmd_round(size, max(self.seconds, 1), self.cpus, wire.folder)

    def own(self, size):
        """Pairs of nanoseconds a frame, with the transport and without."""
        with memif() as wire:
            device = f"net_memif_own%.1s,role=%s,socket={wire.folder}/socket,socket-abstract=no"
            done = subprocess.run(
                [os.path.join(self.programs, "session_end"), "--own", "-d", device, "-b",
                 str(size), "-s", str(self.seconds), "-c", str(self.cpus[0])],
                capture_output=True, text=True, timeout=PATIENCE, check=False)
        if done.returncode != 0:
            raise Failed(done.stderr)
        return json.loads(done.stdout)

    def tcp(self, wire, sends, answers):
        for end in (0, 1):
            ip("-n", wire.spaces[end], "address", "add", f"10.1.0.{end + 1}/24", "dev", f"v{end}")
        try:
            program = os.path.join(self.programs, "tcp_end")
            commands = [[program, str(self.cpus[0]), str(self.seconds), sends, "10.1.0.2"],
                        [program, str(self.cpus[1]), str(self.seconds), answers]]
            return pair(wire, commands, 0 if sends == "ask" else 1)
        finally:
            for end in (0, 1):
                ip("-n", wire.spaces[end], "address", "flush", "dev", f"v{end}")

    # ---- figures

    def add(self, name, values, unit, baseline=None, note="", less_is_better=False):
        ratios = [b / a if less_is_better else a / b
                  for a, b in zip(values, baseline or []) if a and b]
        of = ratios or values
        middle = statistics.median(of)
        quarters = statistics.quantiles(of, n=4) if len(of) > 1 else [middle] * 3
        self.results.append({
            "name": "cluster/" + name, "workers": 1, "value": statistics.median(values),
            "unit": unit, "baseline": statistics.median(baseline) if baseline else None,
            "ratio": statistics.median(ratios) if ratios else None,
            "spread": (quarters[2] - quarters[0]) / middle if middle else 0, "note": note})

    def measure_memif(self, size):
        """Frames a second: testpmd, the bare link, and all of it, in turn."""
        kinds = {"bare": lambda: self.frames(size, "--bare"), "all": lambda: self.frames(size)}
        if shutil.which("dpdk-testpmd"):
            kinds["testpmd"] = lambda: self.testpmd(size)
        found, note = links.alternate(self.build, self.cpus, self.rounds, kinds)
        items = (size - 170) // RECORD
        beside = found.get("testpmd")
        self.add(f"memif/bare/{size}", found["bare"], "frames/s", beside,
                 "headers made, parsed and checked; no transport; " + note)
        self.add(f"memif/all/{size}", found["all"], "frames/s", beside,
                 "numbers, credits, checksums, acknowledgements; " + note)
        self.add(f"memif/all/{size}/over-bare", found["all"], "frames/s", found["bare"],
                 "beside the bare link")
        self.add(f"memif/records/{size}", [f * items for f in found["all"]], "records/s")
        self.add(f"memif/bits/{size}", [f * size * 8 / 1e9 for f in found["all"]], "Gbit/s")

    def measure_own(self, size):
        rounds = self.own(size)
        self.add(f"own/{size}", [full - bare for full, bare in rounds], "ns/frame",
                 note="CPU time of both ends on one core over the bare link; median bare "
                      f"{statistics.median(bare for _, bare in rounds):.0f} ns")

    def measure_pings(self, wire, name, *options):
        asked = [self.session(wire, SIZES[0], "--ping", *options)[0] for _ in range(self.rounds)]
        for part in ("p50", "p99", "p99.9"):
            self.add(f"{name}/{part}", [a[part] / 1e3 for a in asked], "us",
                     note="one record there and back")

    def measure_veth(self):
        size = SIZES[-1]
        ours, theirs, asked, kernel = [], [], [], []
        with veth() as wire:
            for _ in range(self.rounds):
                ours.append(self.session(wire, size)[1])
                theirs.append(self.tcp(wire, "send", "receive")[1])
                asked.append(self.session(wire, SIZES[0], "--ping")[0])
                kernel.append(self.tcp(wire, "ask", "answer")[0])
        for key, unit, scale in (("bits", "Gbit/s", 1e9), ("records", "records/s", 1)):
            self.add(f"veth/{key}", [o[key] / scale for o in ours], unit,
                     [t[key] / scale for t in theirs],
                     "af_packet beside kernel TCP, which hands 64 KiB at a time to a veth "
                     "without cutting it into frames")
        for part in ("p50", "p99", "p99.9"):
            self.add(f"veth/round-trip/{part}", [a[part] / 1e3 for a in asked], "us",
                     [k[part] / 1e3 for k in kernel], "one record there and back",
                     less_is_better=True)

    def measure_losses(self):
        size = SIZES[-1]
        found = {loss: [] for loss, _ in LOSSES}
        for _ in range(self.rounds):
            for loss, values in found.items():
                with memif() as wire:
                    values.append(self.session(wire, size, "--loss", str(loss)))
        whole = [receiver["frames"] for _, receiver in found[0]]
        for loss, title in LOSSES:
            self.add(f"loss/{loss / 1e6:g}", [r["frames"] for _, r in found[loss]], "frames/s",
                     whole if loss else None, f"goodput with {title} of all packets lost")
            more = [100 * (s["sent_bytes"] / (s["frames_sent"] * size) - 1)
                    for s, _ in found[loss] if s and s["frames_sent"]]
            if more:
                self.add(f"loss/{loss / 1e6:g}/extra", more, "%",
                         note="bytes sent beyond the frames themselves: resends, control")


def measure(build, extent):
    """The `results` of a report (schema in docs/performance.md), and notes."""
    c = Cluster(build, extent)
    notes = []

    def attempt(title, what, *arguments):
        """A part that gives no figure, as on a machine with no time for it, spoils no other."""
        print(f"perf/run: cluster: {title} …", file=sys.stderr, flush=True)
        try:
            what(*arguments)
        except (Failed, cluster_jobs.Failed, RuntimeError, subprocess.TimeoutExpired) as error:
            notes.append(f"left out, since a round failed: {str(error)[:300]}")

    def pings(name, *options):
        with memif() as wire:
            c.measure_pings(wire, name, *options)

    for size in c.sizes:
        attempt(f"own time a frame, {size} bytes", c.measure_own, size)
    for size in c.sizes:
        attempt(f"memif, {size} bytes", c.measure_memif, size)
    attempt("round trips", pings, "memif/round-trip")
    attempt("round trips of the bare link", pings, "memif/round-trip-bare", "--bare")
    attempt("losses", c.measure_losses)
    if veth_works():
        attempt("veth, beside kernel TCP", c.measure_veth)
    else:
        notes.append("kernel TCP was left out: network namespaces need root and `ip` (iproute2)")
    if shutil.which("dpdk-testpmd") is None:
        notes.append("dpdk-testpmd is not installed (Debian: dpdk-dev): memif has no yardstick")
    attempt("jobs on two and three nodes",
            lambda: c.results.extend(cluster_jobs.measure(build, extent)))
    if extent == "tiny" and any("left out, since" in note for note in notes):
        raise Failed("; ".join(notes))  # the test suite checks that all of it works
    return c.results, notes
