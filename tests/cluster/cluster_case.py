"""What the tests of jobs on real clusters share: a controller and nodes, joined by links.

Run as a test's module: argv is BUILD SOURCE memif|af_packet|af_xdp.
"""

import contextlib
import glob
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

BUILD, TOP, KIND = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3]
PATIENCE = 60  # seconds until something that must happen has failed to
FAULTS = "    faults: {loss: 5%, duplicate: 10%, reorder: 10%, corrupt: 1%, seed: 5}\n"
DEVICES = {
    "af_packet": "net_af_packet_t,iface=v0,blocksz=1048576,framesz=2048,framecnt=4096",
    "af_xdp": "net_af_xdp_t,iface=v0",
}
JOBS = {
    "q0": ("examples/nexmark/q0.yaml", ["source.events=100000"]),
    "q5": ("examples/nexmark/q5.yaml", ["source.events=300000", "source.rate=10000/s"]),
    "delays": ("examples/flights/delays.yaml", []),
}
ROWS = {"q0": 100000, "q5": 300000, "delays": 12000}
RECOVERY = "recovery={survive: 1 host}"
ENDED = ("finished", "interrupted", "cancelled", "failed")
ENDLESS = ["source.events=1000000000", "source.pace=20000/s"]


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class ClusterCase(unittest.TestCase):
    detect = ""  # of the controller's file
    racks = {}  # of nodes that have one

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="weir-jobs-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.address = "unix:" + self.path("c.sock")
        self.processes = {}
        self.namespaces = {}
        self.ports = {}  # of the switch

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    # ---- the cluster

    def start(self, name, program, config):
        command = [os.path.join(BUILD, program), self.path(config)]
        if name in self.namespaces:
            command = ["ip", "netns", "exec", self.namespaces[name], *command]
        with open(self.path(name + ".log"), "a", encoding="utf-8") as log:
            process = subprocess.Popen(command, cwd=TOP, stdout=log, stderr=log)
        self.processes[name] = process

        self.addCleanup(process.wait)
        self.addCleanup(process.kill)  # before that

    def control(self):
        self.write("ctl.yaml", f"version: 1\nname: ctl\nlisten: ['{self.address}']\n"
                               f"metadata: {{journal: {self.path('journal')}}}\n{self.detect}")
        self.start_controller("ctl")

    def start_controller(self, name):
        self.start(name, "weir-controller", name + ".yaml")

    def leader(self):
        return "ctl"

    def cluster(self, names, more="", wait="yield"):
        """What controls the cluster, and nodes, each joined to every other."""
        self.control()
        links = self.mesh(names, more) if KIND == "memif" else self.bridge(names, more)
        for name in names:
            self.write(name + ".yaml",
                       f"version: 1\nname: {name}\ncontrollers: [{self.address}]\n"
                       f"host: host-{name}\nstorage: {self.path('storage-' + name)}\n"
                       + (f"rack: {self.racks[name]}\n" if name in self.racks else "") +
                       f"memory: 256MiB\nworkers: {{count: 1, wait: {wait}}}\n"
                       + ("links:\n" + "".join(links[name]) if links[name] else ""))
            self.start_node(name)
        self.await_nodes(names)

    def start_node(self, name):
        self.start(name, "weir-node", name + ".yaml")

    def kill(self, name):
        self.processes[name].kill()
        self.processes[name].wait()

    def mesh(self, names, more):
        links = {name: [] for name in names}
        for subnet, pair in enumerate(itertools.combinations(names, 2)):
            for role, name, host in (("server", pair[0], 1), ("client", pair[1], 2)):
                joint = "".join(pair)
                links[name].append(
                    f"  - device: net_memif_{joint},role={role},socket={self.path(joint)},"
                    f"socket-abstract=no\n    address: 10.77.{subnet}.{host}/24\n"
                    f"    port: 4800\n{more}")
        return links

    def bridge(self, names, more):
        switch = self.switch = f"weir{os.getpid()}s"
        run("ip", "netns", "add", switch)
        self.addCleanup(run, "ip", "netns", "del", switch)
        run("ip", "-n", switch, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", switch, "link", "set", "br0", "up")
        links = {}
        for host, name in enumerate(names, 1):
            space = self.namespaces[name] = f"weir{os.getpid()}{name}"
            self.ports[name] = f"p{host}"
            run("ip", "netns", "add", space)
            self.addCleanup(run, "ip", "netns", "del", space)
            run("ip", "-n", switch, "link", "add", f"p{host}", "type", "veth", "peer", "name",
                "v0", "netns", space)
            run("ip", "-n", switch, "link", "set", f"p{host}", "master", "br0", "up")
            run("ip", "-n", space, "link", "set", "v0", "up")
            links[name] = [f"  - device: {DEVICES[KIND]}\n    address: 10.78.0.{host}/24\n"
                           f"    port: 4800\n{more}"]
        return links

    # ---- what a user does

    def ask(self, arguments, patience=PATIENCE):
        return subprocess.run([os.path.join(BUILD, "weir"), *arguments], cwd=TOP, text=True,
                              capture_output=True, timeout=patience, check=False,
                              env={**os.environ, "WEIR_CONTROLLER": self.address,
                                   "HOME": self.folder})

    def weir(self, *arguments, code=0):
        try:
            done = self.ask(arguments)
        except subprocess.TimeoutExpired:
            self.fail(f"{arguments} takes over {PATIENCE} s" + self.explain())
        if code is not None and done.returncode != code:
            self.fail(f"{arguments}: {done.returncode}, not {code}: {done.stdout}{done.stderr}"
                      + self.explain())
        return done

    def logs(self):
        text = ""
        for name in self.processes:
            with open(self.path(name + ".log"), encoding="utf-8", errors="replace") as log:
                text += f"\n== {name}\n" + log.read()
        return text

    def answer(self, *question):
        try:
            done = self.ask(question, patience=10)
            return done.stdout + done.stderr
        except subprocess.TimeoutExpired:
            return "no answer\n"

    def explain(self):
        """What the cluster says of itself, and all logs: a failure may not come again."""
        jobs = re.findall(r'"id": "([^"]+)"', self.answer("list", "--json"))
        questions = [("nodes",), ("nodes", "--json"), ("events",),
                     *(("status", job, "--json") for job in jobs)]
        text = ""
        for question in questions:
            text += f"\n== weir {' '.join(question)}\n" + self.answer(*question)
        for name, process in self.processes.items():
            if process.poll() is not None:
                text += f"\n== {name} has ended: {process.returncode}"
        return text + self.logs()

    def await_that(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                self.fail(what + self.explain())
            time.sleep(0.05)

    def nodes(self):
        listed = json.loads(self.weir("nodes", "--json", code=None).stdout or "{}")
        return {node["name"]: node for node in listed.get("nodes", [])}

    def await_nodes(self, names):
        def all_live():
            alive = {name for name, node in self.nodes().items() if node["state"] == "alive"}
            return alive == set(names)
        self.await_that(all_live, f"not exactly {names} are alive")

    def state(self, job):
        """As a leader tells it; for a while there may be none."""
        told = []

        def has_told():
            done = self.weir("status", job, "--json", code=None)
            told.append(done.stdout)
            return done.returncode == 0
        self.await_that(has_told, f"nobody tells of {job}")
        return json.loads(told[-1])["job"]

    def written(self):
        """Bytes of output that have no name yet."""
        size = 0
        for process in self.processes.values():
            for file in glob.glob(f"/proc/{process.pid}/fd/*"):
                with contextlib.suppress(OSError):  # it is gone again
                    if os.readlink(file).startswith(self.path("#")):
                        size += os.stat(file).st_size
        return size

    def rows(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return sorted(file)

    def settings(self, job, out):
        file, sets = JOBS[job]
        flags = [f"--set={s}" for s in [*sets, "workers.state_memory=32MiB",
                                        "sink.path=" + self.path(out)]]
        return [*flags, file]

    def run_alone(self, job):
        if not os.path.exists(self.path(job + ".alone")):
            self.weir("run", "--workers=1", *self.settings(job, job + ".alone"))

    def submit(self, job, out, *sets):
        flags = [f"--set={s}" for s in sets]
        return self.weir("submit", *flags, *self.settings(job, out)).stdout.split()[0]

    def runs(self, name):
        """Or did: on a busy host nobody may have looked in between. Fails where it never will."""
        state = self.state(name)
        if state["state"] in ("interrupted", "cancelled", "failed"):
            self.fail(f"it has ended: {json.dumps(state)}" + self.explain())
        return state["state"] in ("running", "publishing", "finished")

    def begin(self, job, out, *sets, seconds=6):
        """Submit a job, paced to take so long.  Returns its id once it runs."""
        self.run_alone(job)
        name = self.submit(job, out, f"source.pace={ROWS[job] // seconds}/s", *sets)
        self.await_that(lambda: self.runs(name), "it does not run")
        return name

    def await_end(self, name):
        self.await_that(lambda: self.state(name)["state"] in ENDED, "it does not end")
        return self.state(name)

    def expect_rows(self, job, out):
        self.assertEqual(self.rows(out), self.rows(job + ".alone"), f"{job} differs")

    def expect_end(self, name, job, out):
        ended = self.await_end(name)
        self.assertEqual(ended["state"], "finished", json.dumps(ended) + self.logs())
        self.expect_rows(job, out)

    def expect_same(self, job, name):
        self.run_alone(job)
        done = self.weir("submit", "--wait", *self.settings(job, name))
        self.assertIn("is finished", done.stdout)
        self.assertGreater(len(self.rows(name)), 10)
        self.expect_rows(job, name)


def namespaces_work():
    name = f"weir{os.getpid()}try"
    if os.getuid() != 0 or shutil.which("ip") is None:
        return False
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        return False
    wire = ["ip", "-n", name, "link", "add", "va", "type", "veth", "peer", "name", "vb"]
    works = subprocess.run(wire, capture_output=True, check=False).returncode == 0
    run("ip", "netns", "del", name)
    return works


def main():
    if KIND != "memif" and not namespaces_work():
        print("skipped: network namespaces need root and `ip` (iproute2)")
        sys.exit(77)
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[4:]])
