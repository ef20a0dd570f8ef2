"""A cluster of real processes on this machine for perf/run failover: a controller and three nodes,
joined pairwise by memif, each a host of its own as far as failure domains go."""

import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

NAMES = ("a", "b", "c")
PATIENCE_S = 60  # until something that must happen has failed to
ENDED = {"finished", "interrupted", "cancelled", "failed"}


class Trouble(Exception):
    """The cluster does not do what it must; the text says what, with the logs."""


def memory_folder():
    """A folder whose files need no disk, so that nobody waits for one on a page fault."""
    shared = "/dev/shm"
    place = shared if os.path.isdir(shared) and os.access(shared, os.W_OK) else None
    return tempfile.mkdtemp(prefix="weir-failover-", dir=place)


def polled_cpus():
    """A CPU for each node's worker, while there are any: nodes do not see each other's and would
    all take the same. As they would, they leave one to all else."""
    cpus = sorted(os.sched_getaffinity(0))
    cpus = cpus[1:] or cpus
    return [cpus[index % len(cpus)] for index in range(len(NAMES))]


class Cluster:
    """Ends its processes and removes its folder when left."""

    def __init__(self, build, silent_ms):
        self.build = build
        self.silent_ms = silent_ms
        self.processes = {}
        self.folder = memory_folder()
        self.address = "unix:" + self.path("c.sock")

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()  # also one that is stopped
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    # ---- processes

    def _start(self):
        detect = "" if self.silent_ms is None else (
            f"detect: {{heartbeat: {max(self.silent_ms // 10, 10)}ms, "
            f"silence: {self.silent_ms}ms}}\n")
        self.write("controller.yaml", f"version: 1\nname: controller\nlisten: ['{self.address}']\n"
                                      f"metadata: {{journal: {self.path('journal')}}}\n{detect}")
        self._run("controller", "timeline_controller")
        links, cpus = self._mesh(), polled_cpus()
        for name, cpu in zip(NAMES, cpus):
            self.write(name + ".yaml",
                       f"version: 1\nname: {name}\ncontrollers: ['{self.address}']\n"
                       f"host: host-{name}\nstorage: {self.path('storage-' + name)}\n"
                       f"memory: 256MiB\nworkers: {{cpus: '{cpu}', wait: yield}}\n"
                       f"links:\n{links[name]}")
        for count, name in enumerate(NAMES, 1):  # so that a client finds its server there
            self.start(name)
            self.await_nodes(NAMES[:count])

    def _mesh(self):
        links = dict.fromkeys(NAMES, "")
        for subnet, pair in enumerate(itertools.combinations(NAMES, 2)):
            for role, name, host in (("server", pair[0], 1), ("client", pair[1], 2)):
                joint = "".join(pair)
                links[name] += (f"  - device: net_memif_{joint},role={role},"
                                f"socket={self.path(joint)},socket-abstract=no\n"
                                f"    address: 10.77.{subnet}.{host}/24\n    port: 4800\n")
        return links

    def _run(self, name, program):
        with open(self.path(name + ".log"), "a", encoding="utf-8") as log:
            self.processes[name] = subprocess.Popen(
                [os.path.join(self.build, "perf", program), self.path(name + ".yaml")],
                stdout=log, stderr=log, cwd=self.folder)

    def start(self, name):
        if name in self.processes:
            self.processes[name].wait()
        self._run(name, "timeline_node")

    def pid(self, name):
        return self.processes[name].pid

    def signal(self, name, number):
        """Returns when it was sent, by the steady clock and by the wall's, and how many ms later
        the kernel had ended the process; None: it did not."""
        process = self.processes[name]
        ended = os.pidfd_open(process.pid)
        try:
            steady_ns, wall_ns = time.monotonic_ns(), time.time_ns()
            process.send_signal(number)
            if number != signal.SIGKILL:
                return steady_ns, wall_ns, None
            # Not waited for before the job has ended: the kernel then spins in /proc, on the CPU of
            # a worker perhaps, while a thread of the process is still at it.
            select.select([ended], [], [])
            return steady_ns, wall_ns, (time.monotonic_ns() - steady_ns) / 1e6
        finally:
            os.close(ended)

    def logs(self):
        text = ""
        for name, process in self.processes.items():
            if process.poll() is not None:
                text += f"\n== {name} has ended: {process.returncode}"
            with open(self.path(name + ".log"), encoding="utf-8", errors="replace") as log:
                text += f"\n== {name}\n" + log.read()[-2000:]
        return text

    # ---- what a user does

    def weir(self, *arguments, check=True):
        try:
            done = subprocess.run([os.path.join(self.build, "weir"), *arguments], cwd=self.folder,
                                  text=True, capture_output=True, timeout=PATIENCE_S, check=False,
                                  env={**os.environ, "WEIR_CONTROLLER": self.address,
                                       "HOME": self.folder})
        except subprocess.TimeoutExpired as expired:
            raise Trouble(f"weir {' '.join(arguments)} gives no answer{self.logs()}") from expired
        if check and done.returncode != 0:
            raise Trouble(f"weir {' '.join(arguments)}: {done.stderr.strip()}{self.logs()}")
        return done.stdout

    def ask(self, *arguments):
        return json.loads(self.weir(*arguments, "--json"))

    def submit(self, file):
        return self.weir("submit", file).split()[0]

    def job(self, job):
        return self.ask("status", job)["job"]

    def events(self):
        return self.ask("events")["events"]

    def await_that(self, condition, what):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline:
                raise Trouble(what + self.logs())
            time.sleep(0.02)

    def await_nodes(self, names=NAMES):
        def all_free():
            listed = json.loads(self.weir("nodes", "--json", check=False) or "{}")
            free = {n["name"] for n in listed.get("nodes", [])
                    if n["state"] == "alive" and n["free_workers"] > 0}
            return free == set(names)
        self.await_that(all_free, f"nodes {names} are not there with a free worker each")

    def await_end(self, job):
        self.await_that(lambda: self.job(job)["state"] in ENDED, f"job {job} does not end")
        return self.job(job)
