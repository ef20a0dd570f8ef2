"""NEXMark on a cluster of real processes joined by memif, beside one node with as many workers."""

import itertools
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATIENCE = 60
QUERIES = ("q0", "q5")


class Failed(Exception):
    """A cluster did not do what it was told."""


class Nodes:
    """A controller and nodes, each joined to every other; gone when the block ends."""

    def __init__(self, build, counts):
        self.build, self.counts = build, counts  # workers of each node
        self.processes = []

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="weir-perf-")
        self.address = "unix:" + self.path("c.sock")
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, program, name, text):
        with open(self.path(name + ".yaml"), "w", encoding="utf-8") as file:
            file.write(text)
        with open(self.path(name + ".log"), "w", encoding="utf-8") as log:
            self.processes.append(subprocess.Popen(
                [os.path.join(self.build, program), self.path(name + ".yaml")], cwd=ROOT,
                stdout=log, stderr=log))

    def links(self):
        links = [""] * len(self.counts)
        for subnet, ends in enumerate(itertools.combinations(range(len(self.counts)), 2)):
            for host, role, node in ((1, "server", ends[0]), (2, "client", ends[1])):
                links[node] += (
                    f"  - device: net_memif_{subnet},role={role},socket={self.path(str(subnet))},"
                    f"socket-abstract=no\n    address: 10.77.{subnet}.{host}/24\n    port: 4800\n")
        return links

    def begin(self):
        self.start("weir-controller", "ctl",
                   f"version: 1\nname: ctl\nlisten: ['{self.address}']\n"
                   f"metadata: {{journal: {self.path('journal')}}}\n")
        for node, links in enumerate(self.links()):
            self.start("weir-node", f"n{node}",
                       f"version: 1\nname: n{node}\ncontrollers: ['{self.address}']\n"
                       f"host: host-{node}\nstorage: {self.path(f'storage{node}')}\n"
                       f"memory: 256MiB\nworkers: {{count: {self.counts[node]}, wait: yield}}\n"
                       + ("links:\n" + links if links else ""))
        deadline = time.monotonic() + PATIENCE
        while self.alive() < len(self.counts):
            if time.monotonic() > deadline:
                raise Failed("not all nodes are alive: " + self.logs())
            time.sleep(0.05)

    def logs(self):
        text = ""
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(".log"):
                with open(self.path(name), encoding="utf-8", errors="replace") as file:
                    text += file.read()
        return text

    def weir(self, *arguments):
        return subprocess.run([os.path.join(self.build, "weir"), *arguments], cwd=ROOT,
                              capture_output=True, text=True, timeout=PATIENCE, check=False,
                              env={**os.environ, "WEIR_CONTROLLER": self.address,
                                   "HOME": self.folder})

    def alive(self):
        listed = json.loads(self.weir("nodes", "--json").stdout or "{}")
        return sum(n["state"] == "alive" for n in listed.get("nodes", []))

    def seconds(self, query, events):
        """From submission to the end; and what came out, sorted."""
        out = self.path("out.csv")
        began = time.monotonic()
        done = self.weir("submit", "--wait", f"--set=source.events={events}",
                         "--set=source.rate=10000/s", "--set=workers.state_memory=32MiB",
                         f"--set=sink.path={out}", f"examples/nexmark/{query}.yaml")
        took = time.monotonic() - began
        if "is finished" not in done.stdout:
            raise Failed(f"{query}: {done.stdout}{done.stderr}{self.logs()}")
        with open(out, encoding="utf-8") as file:
            rows = sorted(file)
        os.remove(out)
        return took, rows


def rate(nodes, query, events):
    """Records a second, without what every job takes to begin and to end; with it where that is
    all there is to see."""
    least, _ = nodes.seconds(query, events // 10)
    whole, rows = nodes.seconds(query, events)
    if whole < 2 * least:
        return events / whole, rows
    return events * 9 / 10 / (whole - least), rows


def spread(ratios, middle):
    quarters = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [middle] * 3
    return (quarters[2] - quarters[0]) / middle


def measure(build, extent):
    events, rounds = {"full": (2000000, 7), "quick": (1000000, 3), "tiny": (20000, 1)}[extent]
    results = []
    for count, query in itertools.product((2, 3), QUERIES):
        ours, beside = [], []
        for _ in range(rounds):
            with Nodes(build, [1] * count) as nodes:
                found, rows = rate(nodes, query, events)
            ours.append(found)
            with Nodes(build, [count]) as nodes:
                found, expected = rate(nodes, query, events)
            beside.append(found)
            if rows != expected:
                raise Failed(f"{query} on {count} nodes gives other rows than on one")
        ratios = [a / b for a, b in zip(ours, beside)]
        middle = statistics.median(ratios)
        results.append({
            "name": f"cluster/{query}/{count}-nodes", "workers": count,
            "value": statistics.median(ours), "unit": "records/s",
            "baseline": statistics.median(beside), "ratio": middle,
            "spread": spread(ratios, middle),
            "note": f"beside one node with {count} workers; both share "
                    f"{len(os.sched_getaffinity(0))} cores"})
    return results
