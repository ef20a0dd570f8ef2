#!/usr/bin/env python3
"""A controller and nodes as real processes: jobs, kills, restarts, and what users see of it.

usage: test_control.py BUILD-FOLDER SOURCE-FOLDER
"""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

BUILD, TOP = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
WEIR = os.path.join(BUILD, "weir")
TESTS = []

JOB = """version: 1
job: bids
workers: {count: 1}
operators:
  - {id: source, kind: nexmark, events: 20000, rate: 10000/s}
  - {id: counts, kind: window_aggregate, input: source.bid, key: [auction],
     window: {tumbling: 1s}, aggregates: [num: count()]}
  - {id: sink, kind: csv, input: counts, path: out.csv}
"""
ENDLESS = ["--set", "source.events=1000000000", "--set", "source.pace=20000/s"]


class Skip(Exception):
    """What the test needs is not there."""


def test(function):
    TESTS.append(function)
    return function


class Cluster:
    """Processes in a folder; all are ended with it."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = {}
        self.address = "unix:" + os.path.join(folder, "c.sock")
        self.write("job.yaml", JOB)
        self.write("c.yaml", f"version: 1\nname: c\nlisten: ['{self.address}']\n"
                             "metadata: {journal: journal}\n"
                             "detect: {heartbeat: 50ms, silence: 3s, lease: 1s}\n")

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as file:
            return file.read()

    def start(self, name, program="weir-node", config=None):
        log = open(os.path.join(self.folder, name + ".log"), "a", encoding="utf-8")
        self.processes[name] = subprocess.Popen(
            [os.path.join(BUILD, program), config or name + ".yaml"], cwd=self.folder,
            stdout=log, stderr=log)
        log.close()
        return self.processes[name]

    def controller(self):
        return self.start("c", "weir-controller")

    def node(self, name, extra=""):
        self.write(name + ".yaml", f"version: 1\nname: {name}\ncontrollers: [{self.address}]\n"
                                   f"host: h-{name}\nworkers: {{count: 1, wait: sleep}}\n"
                                   f"memory: 128MiB\nstorage: s-{name}\n{extra}")
        return self.start(name)

    def weir(self, *arguments, code=0):
        environment = dict(os.environ, WEIR_CONTROLLER=self.address, HOME=self.folder)
        environment.pop("XDG_CONFIG_HOME", None)
        done = subprocess.run([WEIR, *arguments], cwd=self.folder, capture_output=True, text=True,
                              timeout=60, env=environment, check=False)
        assert code is None or done.returncode == code, (arguments, done.returncode, done.stderr)
        return done

    def json(self, *arguments):
        return json.loads(self.weir(*arguments, "--json").stdout)

    def state(self, job):
        return self.json("status", job)["job"]

    def await_state(self, job, *states):
        await_that(lambda: self.state(job)["state"] in states, f"{job} is not {states}")

    def await_nodes(self, **states):
        def all_are():
            nodes = {n["name"]: n["state"] for n in self.json("nodes")["nodes"]}
            return all(nodes.get(name) == state for name, state in states.items())
        await_that(all_are, f"nodes are not {states}")

    def end(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()


def await_that(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


@test
def a_job_gives_what_it_gives_alone(cluster):
    cluster.controller()
    cluster.node("a")
    cluster.await_nodes(a="alive")
    done = cluster.weir("submit", "--wait", "job.yaml")
    assert "is finished" in done.stdout and "source" in done.stdout, done.stdout
    alone = os.path.join(cluster.folder, "alone.csv")
    cluster.weir("run", "--set", "sink.path=" + alone, "job.yaml")
    assert cluster.read("out.csv") == cluster.read("alone.csv")
    listed = cluster.json("list")
    assert listed["schema"] == "weir-jobs-1" and listed["jobs"][0]["state"] == "finished"
    events = [e["text"] for e in cluster.json("events")["events"]]
    assert any("is publishing" in e for e in events), events


@test
def a_mistake_in_a_job_is_said_as_check_says_it(cluster):
    cluster.controller()
    cluster.write("bad.yaml", JOB.replace("nexmark", "nexmrk"))
    refused = cluster.weir("submit", "bad.yaml", code=2).stderr
    assert refused == cluster.weir("check", "bad.yaml", code=2).stderr, refused
    pinned = cluster.weir("submit", "--set", "workers.cpus=0", "job.yaml", code=2).stderr
    assert "workers.cpus" in pinned and pinned.count("\n") == 1, pinned


@test
def a_job_waits_for_workers(cluster):
    cluster.controller()
    job = cluster.weir("submit", "job.yaml").stdout.strip()
    waiting = cluster.state(job)
    assert waiting["state"] == "submitted" and waiting["waiting"] == "1 worker; 0 are free"
    cluster.node("a")
    cluster.await_state(job, "finished")


@test
def a_killed_node_fails_its_job_and_nothing_is_published(cluster):
    cluster.controller()
    node = cluster.node("a")
    cluster.await_nodes(a="alive")
    job = cluster.weir("submit", *ENDLESS, "job.yaml").stdout.strip()
    cluster.await_state(job, "running")
    node.kill()
    cluster.await_state(job, "failed")
    assert "node a died" in cluster.state(job)["error"]
    assert not os.path.exists(os.path.join(cluster.folder, "out.csv"))
    before = cluster.json("nodes")["nodes"][0]["incarnation"]
    cluster.node("a")
    cluster.await_nodes(a="alive")
    assert cluster.json("nodes")["nodes"][0]["incarnation"] > before
    cluster.weir("submit", "--wait", "job.yaml")


@test
def a_stopped_node_counts_as_dead_and_comes_back(cluster):
    cluster.controller()
    node = cluster.node("a")
    cluster.await_nodes(a="alive")
    job = cluster.weir("submit", *ENDLESS, "job.yaml").stdout.strip()
    cluster.await_state(job, "running")
    node.send_signal(signal.SIGSTOP)
    cluster.await_state(job, "failed")
    assert "nothing heard" in cluster.state(job)["error"]
    node.send_signal(signal.SIGCONT)
    cluster.await_nodes(a="alive")
    await_that(lambda: not cluster.json("nodes")["nodes"][0]["jobs"], "its part is not aborted")
    cluster.weir("submit", "--wait", "job.yaml")


@test
def jobs_do_not_notice_that_the_controller_is_killed(cluster):
    cluster.controller()
    cluster.node("a")
    cluster.await_nodes(a="alive")
    job = cluster.weir("submit", *ENDLESS, "job.yaml").stdout.strip()
    cluster.await_state(job, "running")
    for _ in range(2):
        cluster.processes["c"].kill()
        cluster.processes["c"].wait()
        cluster.controller()
        cluster.await_nodes(a="alive")
        assert cluster.state(job)["state"] == "running"
    cluster.weir("cancel", "--publish", job)
    cluster.await_state(job, "interrupted")
    assert os.path.exists(os.path.join(cluster.folder, "out.csv"))
    assert "already" in cluster.weir("cancel", job, code=1).stderr


@test
def who_waits_for_a_job_waits_without_a_controller_too(cluster):
    cluster.controller()
    cluster.node("a")
    cluster.await_nodes(a="alive")
    results = []
    waiting = threading.Thread(target=lambda: results.append(cluster.weir(
        "submit", "--wait", "--set", "source.events=60000", "--set", "source.pace=10000/s",
        "job.yaml", code=None)))
    waiting.start()
    await_that(lambda: [j for j in cluster.json("list")["jobs"] if j["state"] == "running"],
               "it does not run")
    cluster.processes["c"].kill()
    cluster.processes["c"].wait()
    time.sleep(4)
    cluster.controller()
    waiting.join()
    assert results and results[0].returncode == 0, results
    assert "is finished" in results[0].stdout, results[0]
    assert "the job goes on" in results[0].stderr, results[0].stderr


@test
def cancel_publishes_nothing(cluster):
    cluster.controller()
    cluster.node("a")
    job = cluster.weir("submit", *ENDLESS, "job.yaml").stdout.strip()
    cluster.await_state(job, "running")
    assert "is cancelled" in cluster.weir("cancel", job).stdout
    cluster.weir("submit", "--wait", "--set", "sink.path=other.csv", "job.yaml")
    left = [f for f in os.listdir(cluster.folder) if "out.csv" in f]
    assert not left, left


@test
def a_node_told_to_end_leaves_politely(cluster):
    cluster.controller()
    node = cluster.node("a")
    cluster.await_nodes(a="alive")
    job = cluster.weir("submit", *ENDLESS, "job.yaml").stdout.strip()
    cluster.await_state(job, "running")
    node.terminate()
    assert node.wait(60) == 0
    cluster.await_state(job, "interrupted")
    cluster.await_nodes(a="dead")
    assert cluster.json("nodes")["nodes"][0]["reason"] == "it has left"
    controller = cluster.processes["c"]
    controller.terminate()
    assert controller.wait(60) == 0


@test
def names_and_folders_belong_to_one_process(cluster):
    cluster.controller()
    cluster.node("a")
    cluster.await_nodes(a="alive")
    cluster.write("a2.yaml", cluster.read("a.yaml"))
    assert cluster.start("a2").wait(60) == 1
    assert "another process uses it" in cluster.read("a2.log")
    cluster.write("a3.yaml", cluster.read("a.yaml").replace("s-a", "s-a3"))
    cluster.start("a3")
    await_that(lambda: "a node of this name is connected" in cluster.read("a3.log"),
               "a second node of the same name is not told so")
    assert cluster.json("nodes")["nodes"][0]["state"] == "alive"


@test
def mistakes_in_files_are_one_line_each(cluster):
    head = "version: 1\nname: a b\ncontrollers: ['tcp:example.org:1']\n"
    for rest, wanted in [("workers: {cuont: 1}\n", ["did you mean count"]),
                         ("", ["n.yaml:2: name: a b is no name", "plaintext: true"])]:
        cluster.write("n.yaml", head + rest)
        cluster.write("n.log", "")
        assert cluster.start("n").wait(60) == 2
        lines = cluster.read("n.log").splitlines()
        assert len(lines) == len(wanted), lines
        assert all(any(text in line for line in lines) for text in wanted), lines


@test
def what_cannot_start_says_which_key(cluster):
    """The exit code, and the line: with key, value and remedy."""
    node = "version: 1\nname: n\ncontrollers: ['unix:/nowhere/c.sock']\n"
    controller = "version: 1\nname: n\nmetadata: {journal: j}\nlisten: ['%s']\n"
    no_file = "{authority: no.pem, certificate: no.pem, key: no.key}"
    cluster.controller()
    await_that(lambda: "leads" in cluster.read("c.log"), "nobody leads")
    for program, text, code, wanted in [
            ("node", node + "memory: 1TiB\n", 1, "1048576 MiB are asked for frames and "),
            ("node", node + "storage: /nowhere/s\n", 1, "storage: /nowhere/s: this user cannot"),
            ("node", node + "workers: {cpus: '4000'}\n", 2, "workers.cpus: CPU 4000 cannot"),
            ("node", node + f"tls: {no_file}\n", 2, "no.pem: No such file or directory"),
            ("controller", controller % "unix:/nowhere/c.sock", 1,
             "listen: unix:/nowhere/c.sock: the socket's folder is not there; make it"),
            ("controller", controller % cluster.address, 1,
             f"listen: {cluster.address}: another process serves there; end that one"),
            ("controller", (controller % "unix:/j.sock").replace("j}", "/nowhere/j}"), 1,
             "metadata: /nowhere/j: ")]:
        cluster.write("n.yaml", text)
        run = subprocess.run([os.path.join(BUILD, "weir-" + program), "n.yaml"], text=True,
                             cwd=cluster.folder, capture_output=True, timeout=60, check=False)
        assert (run.returncode, wanted in run.stderr) == (code, True), (wanted, run)


@test
def nobody_there_is_one_line(cluster):
    failed = cluster.weir("list", "--controller", "unix:/nowhere/c.sock", code=1).stderr
    assert failed.count("\n") == 1 and "/nowhere/c.sock" in failed, failed
    assert "$WEIR_CONTROLLER says where to look" in failed, failed
    wrong = cluster.weir("list", "--controller", "here", code=2).stderr
    assert wrong.count("\n") == 1, wrong


@test
def a_low_limit_of_open_files_keeps_nobody_out(cluster):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, hard))
    cluster.controller()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    await_that(lambda: os.path.exists(cluster.address[5:]), "it does not listen")
    held = [socket.socket(socket.AF_UNIX) for _ in range(60)]
    for one in held:
        one.connect(cluster.address[5:])
    assert cluster.weir("list").returncode == 0
    for one in held:
        one.close()


@test
def what_a_stopped_controller_was_asked_may_be_done_later(cluster):
    controller = cluster.controller()
    cluster.node("a")
    cluster.await_nodes(a="alive")
    controller.send_signal(signal.SIGSTOP)
    failed = cluster.weir("submit", "job.yaml", code=1).stderr
    assert "may be done all the same" in failed and failed.count("\n") == 1, failed
    failed = cluster.weir("list", code=1).stderr
    assert "does not answer" in failed and "all the same" not in failed, failed
    controller.send_signal(signal.SIGCONT)
    await_that(lambda: len(cluster.json("list")["jobs"]) == 1, "it is not done")
    cluster.await_state(cluster.json("list")["jobs"][0]["id"], "finished")
    assert len(cluster.json("list")["jobs"]) == 1


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Etcd:
    """An etcd of one member, among a cluster's processes and in its folder."""

    def __init__(self, cluster):
        if not shutil.which("etcd"):
            raise Skip("no etcd here")
        self.cluster = cluster
        self.url = f"http://127.0.0.1:{free_port()}"
        self.peer = f"http://127.0.0.1:{free_port()}"

    def start(self):
        with open(os.path.join(self.cluster.folder, "etcd.log"), "a", encoding="utf-8") as log:
            self.cluster.processes["etcd"] = subprocess.Popen(
                ["etcd", "--data-dir", "etcd", "--listen-client-urls", self.url,
                 "--advertise-client-urls", self.url, "--listen-peer-urls", self.peer,
                 "--initial-advertise-peer-urls", self.peer,
                 "--initial-cluster", "default=" + self.peer],
                cwd=self.cluster.folder, stdout=log, stderr=log)


@test
def a_standby_leads_when_the_leader_is_killed(cluster):
    etcd = Etcd(cluster)
    etcd.start()
    addresses = {name: f"unix:{cluster.folder}/{name}.sock" for name in ("c", "d")}
    for name, address in addresses.items():
        cluster.write(name + ".yaml", f"version: 1\nname: {name}\nlisten: ['{address}']\n"
                                      f"metadata: {{etcd: {{endpoints: ['{etcd.url}']}}}}\n"
                                      "detect: {heartbeat: 50ms, silence: 3s, lease: 2s}\n")
        cluster.start(name, "weir-controller")
    cluster.address = ",".join(addresses.values())
    node = cluster.node("a")
    cluster.await_nodes(a="alive")
    incarnation = cluster.json("nodes")["nodes"][0]["incarnation"]
    first = cluster.json("list")
    job = cluster.weir("submit", *ENDLESS, "job.yaml").stdout.strip()
    cluster.await_state(job, "running")

    cluster.processes[first["controller"]].kill()

    def other_leads():
        now = json.loads(cluster.weir("nodes", "--json", code=None).stdout or "{}")
        return now.get("controller") not in (None, first["controller"]) and \
            now["nodes"][0]["state"] == "alive" and "warning" not in now
    await_that(other_leads, "the standby does not lead")
    assert cluster.json("list")["term"] > first["term"]
    assert cluster.state(job)["state"] == "running"

    cluster.processes["etcd"].kill()
    cluster.processes["etcd"].wait()
    # Longer than the lease: nobody leads, and what is asked for is answered with a warning.
    await_that(lambda: "127.0.0.1" in cluster.weir("nodes", code=None).stderr, "no warning")
    await_that(lambda: "leads no more" in str(cluster.json("events")), "the lease does not end")
    assert node.poll() is None
    etcd.start()
    await_that(other_leads, "nobody leads again")
    assert cluster.state(job)["state"] == "running"
    assert cluster.json("nodes")["nodes"][0]["incarnation"] == incarnation
    cluster.weir("cancel", "--publish", job)
    cluster.await_state(job, "interrupted")
    assert os.path.exists(os.path.join(cluster.folder, "out.csv"))
    cluster.weir("submit", "--wait", "--set", "sink.path=next.csv", "job.yaml")


@test
def metadata_is_kept_in_one_place(cluster):
    head = "version: 1\nname: c\nlisten: ['unix:c.sock']\n"
    for metadata, wanted in [("{}", "c.yaml:4: metadata: write either"),
                             ("{journal: j, etcd: {endpoints: [http://h:1]}}", "write either"),
                             ("{etcd: {endpoints: [h:1]}}", "metadata.etcd: endpoints: write http"),
                             ("{etcd: {endpoints: []}}", "give 1 to 9"),
                             ("{etcd: {}}", "metadata.etcd: endpoints is missing"),
                             ("{etcd: {endpoints: [http://h:1], prefix: ''}}", "prefix: 1 to 127"),
                             ("{etcd: {endpoints: [http://h:1], tls: {key: k}}}",
                              "authority is missing")]:
        cluster.write("c.yaml", f"{head}metadata: {metadata}\n")
        cluster.write("c.log", "")
        assert cluster.controller().wait(60) == 2
        assert wanted in cluster.read("c.log"), (metadata, cluster.read("c.log"))


def main():
    print(f"1..{len(TESTS)}")
    for number, function in enumerate(TESTS, 1):
        with tempfile.TemporaryDirectory(prefix="weir-test-") as folder:
            cluster = Cluster(folder)
            try:
                function(cluster)
                print(f"ok {number} - {function.__name__}", flush=True)
            except Skip as why:
                print(f"ok {number} - {function.__name__} # SKIP {why}", flush=True)
            except (AssertionError, subprocess.TimeoutExpired, OSError, ValueError) as problem:
                print(f"not ok {number} - {function.__name__}")
                for line in str(problem).splitlines() or [repr(problem)]:
                    print("# " + line)
            finally:
                cluster.end()


main()
