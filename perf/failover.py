"""perf/run failover: a node of three is killed under a job whose tasks have replicas, and what
comes out, and when, is held against a run beside it in which nothing dies."""

import os
import random
import shutil
import signal
import statistics
import sys
import threading
import time

import failover_figures as figures
from failover_cluster import NAMES, Cluster, Trouble

__all__ = ["Missing", "Options", "POLLED", "Trouble", "line", "measure"]

POLLED = len(NAMES)  # threads that poll: a worker for each node

STATES_MIB = (1, 16, 64)  # of keyed state, a task
STATE_ENTRY_BYTES = 16  # in a table that is half full
MOMENT_S, JITTER_S, REST_S = 0.8, 0.1, 1.6  # of a run: until the kill, and from it on
STOPPED_S = 0.5  # until a stopped process is woken
CHART_MS = (-50, 150)
FAILURES_MAX = 3

JOB = """version: 1
job: failover
workers: {{state_memory: {memory}MiB}}
recovery: {{survive: 1 host, retention: 4MiB}}
operators:
  - {{id: source, kind: nexmark, events: {events}, pace: {pace}/s, scheduled: true, block: 64}}
  - {{id: sink, kind: timeline, input: source.bid, folder: {folder}, room: {events}, keys: {keys}}}
"""


class Missing(Exception):
    """What is needed is not there."""


class Options:
    """What perf/run was told, or the default for the extent."""

    def __init__(self, arguments):
        kills, pace, states = {"full": (30, 100_000, STATES_MIB), "quick": (3, 100_000, (1,)),
                               "tiny": (1, 20_000, (1,))}[arguments.extent]
        self.kills = arguments.kills or kills
        self.pace = arguments.pace or pace
        self.states = states if arguments.state is None else tuple(
            int(mib) for mib in arguments.state.split(","))
        self.stop, self.silence = arguments.stop, arguments.silence
        if self.kills < 1 or self.pace < 1000 or 1_000_000_000 % self.pace:
            raise Missing("give at least 1 kill, and a pace from 1000 on that divides 10^9")
        if not os.path.exists("/proc/self/schedstat"):
            raise Missing("the kernel does not say how long threads wait (/proc/…/schedstat)")


class Waits:
    """How long polled threads of some processes stood in line for a core, from /proc."""

    def __init__(self, pids):
        self.pids = pids
        self.before, self.began = self._read(), time.monotonic_ns()

    def _read(self):
        total = [0, 0, 0]  # ns run, ns waited, turns
        for pid in self.pids:
            for task in os.listdir(f"/proc/{pid}/task"):
                base = f"/proc/{pid}/task/{task}"
                with open(base + "/comm", encoding="utf-8") as file:
                    if not file.read().startswith("weir-worker"):
                        continue
                with open(base + "/schedstat", encoding="utf-8") as file:
                    total = [a + int(b) for a, b in zip(total, file.read().split())]
        return total

    def taken(self):
        """(share of the time spent waiting, mean ms of a wait)"""
        try:
            after, span = self._read(), time.monotonic_ns() - self.began
        except OSError:
            return None, None
        _, waited, turns = (b - a for a, b in zip(self.before, after))
        return waited / (span * len(self.pids)), waited / max(turns, 1) / 1e6


class Bench:
    def __init__(self, options):
        self.cluster, self.options = None, options
        self.runs = 0
        self.kills = []
        self.chart = None

    # ---- one run

    def _submit(self, state_mib):
        self.runs += 1
        folder = self.cluster.path(f"run{self.runs}")
        os.mkdir(folder)
        pace = self.options.pace
        events = int(pace * (MOMENT_S + JITTER_S + REST_S))
        keys = (state_mib << 20) // STATE_ENTRY_BYTES // 2
        file = self.cluster.write("job.yaml", JOB.format(
            memory=64 + 5 * state_mib // 2, events=events, pace=pace, folder=folder, keys=keys))
        return self.cluster.submit(file), folder, figures.Job(events, pace, len(NAMES))

    def _await_output(self, job, folder):
        def begun():
            state = self.cluster.job(job)
            if state["state"] == "failed":
                raise Trouble(f"the job failed: {state['error']}{self.cluster.logs()}")
            return state["state"] == "running" and figures.records_seen(folder) > 0
        self.cluster.await_that(begun, f"job {job} gives nothing")
        time.sleep(MOMENT_S + random.random() * JITTER_S)

    def _strike(self, victim, dies):
        """As Cluster.signal."""
        if not dies:
            return time.monotonic_ns(), time.time_ns(), None
        if not self.options.stop:
            return self.cluster.signal(victim, signal.SIGKILL)
        moment = self.cluster.signal(victim, signal.SIGSTOP)
        threading.Timer(STOPPED_S, self.cluster.signal, (victim, signal.SIGCONT)).start()
        return moment

    def run(self, victim, state_mib, dies):
        """Returns (what came of it, more about the kill)."""
        pids = [self.cluster.pid(name) for name in NAMES]
        job, folder, shape = self._submit(state_mib)
        self._await_output(job, folder)
        others = [pid for name, pid in zip(NAMES, pids) if name != victim]
        waits = Waits(others)
        moment_ns, wall_ns, exit_ms = self._strike(victim, dies)
        time.sleep(figures.AFTER_NS / 1e9)
        waited = waits.taken()
        ended = self.cluster.await_end(job)
        if ended["state"] != "finished":
            raise Trouble(f"the job is {ended['state']}: {ended.get('error', '')}"
                          f"{self.cluster.logs()}")
        found = figures.Round(shape, figures.read_timelines(folder), pids, NAMES.index(victim),
                              moment_ns, dies)
        shutil.rmtree(folder)
        more = {"result": self._result(ended, victim if dies else None),
                "refused": self._refused(ended, victim), "exit_ms": exit_ms,
                "wait_share": waited[0], "wait_ms": waited[1],
                "told_ms": self._told_ms(job, wall_ns) if dies else None}
        return found, more

    @staticmethod
    def _sinks(ended):
        for node in ended["nodes"]:
            for operator in node.get("part", {}).get("operators", []):
                yield node["node"], operator

    def _result(self, ended, dead):
        """Count and hash of the job's output, by the nodes that are still part of it."""
        count = state = 0
        for name, operator in self._sinks(ended):
            if operator["kind"] == "timeline" and name != dead:
                count += operator["count"]
                state += int(operator["hash"], 16)
        return count, f"{state % 2**64:016x}"

    def _refused(self, ended, victim):
        """Frames that survivors threw away: this job drops no records."""
        return sum(operator["dropped"] for name, operator in self._sinks(ended)
                   if name != victim)

    def _told_ms(self, job, wall_ns):
        """From the kill until the leader told the others."""
        for event in self.cluster.events():
            if f"job {job} goes on without" in event["text"] and event["at_ns"] >= wall_ns:
                return (event["at_ns"] - wall_ns) / 1e6
        return None

    # ---- a kill, and the same without it

    def round(self, index):
        victim = NAMES[index % len(NAMES)]
        state_mib = self.options.states[index // len(NAMES) % len(self.options.states)]
        free, free_more = self.run(victim, state_mib, False)
        killed, more = self.run(victim, state_mib, True)
        if not self.options.stop:
            self.cluster.start(victim)
        self.cluster.await_nodes()
        kill = self._record(victim, state_mib, free, free_more, killed, more)
        self.kills.append((kill, killed, free))
        return kill

    @staticmethod
    def _record(victim, state_mib, free, free_more, killed, more):
        gap_source, gap_sink = killed.gap_ms(figures.DEAD_SOURCE), killed.gap_ms(figures.DEAD_SINK)
        return {
            "victim": victim, "state_mib": state_mib, "state_bytes": killed.state_bytes,
            "gap_ms": max(gap_source, gap_sink), "gap_source_ms": gap_source,
            "gap_sink_ms": gap_sink, "gap_free_ms": free.failed_gap_ms(),
            "bereft_gap_ms": killed.gap_ms(figures.BEREFT),
            "untouched_gap_ms": killed.gap_ms(figures.UNTOUCHED),
            "rest_gap_ms": killed.gap_ms(*figures.REST),
            "rest_gap_free_ms": free.gap_ms(*figures.REST),
            "untouched_gap_free_ms": free.gap_ms(figures.UNTOUCHED),
            "normal_ms": killed.normal_ms(), "normal_free_ms": free.normal_ms(),
            "exit_ms": more["exit_ms"], "told_ms": more["told_ms"],
            "takeover_ms": None if more["told_ms"] is None else
                           max(gap_source, gap_sink) - more["told_ms"],
            "bad_windows": killed.bad_windows(), "bad_windows_free": free.bad_windows(),
            "latency_p50_ms": free.latency_ms(0.5), "latency_p99_ms": free.latency_ms(0.99),
            "lost": killed.lost + free.lost, "doubled": killed.doubled + free.doubled,
            "stray": killed.stray + free.stray, "ahead": killed.ahead,
            "differing": killed.differing + free.differing, "woken": killed.woken,
            "refused": more["refused"],
            "result_differs": more["result"] != free_more["result"],
            "wait_share": more["wait_share"], "wait_ms": more["wait_ms"],
        }


def summary(kills, options):
    def spread(key):
        found = [k[key] for k in kills if k[key] is not None]
        return {share: figures.percentile(found, part)
                for share, part in (("p50", 0.5), ("p99", 0.99), ("max", 1))}

    result = {"kills": len(kills), "signal": "SIGSTOP" if options.stop else "SIGKILL",
              "events_per_second": options.pace, "nodes": len(NAMES)}
    for key in ("gap_ms", "gap_free_ms", "bereft_gap_ms", "untouched_gap_ms",
                "untouched_gap_free_ms", "rest_gap_ms", "rest_gap_free_ms", "normal_ms",
                "normal_free_ms", "exit_ms", "told_ms", "takeover_ms"):
        for share, value in spread(key).items():
            result[f"{key}_{share}"] = value
    for key in ("lost", "doubled", "stray", "ahead", "differing", "woken", "refused",
                "bad_windows", "bad_windows_free"):
        result[key] = sum(k[key] for k in kills)
    result["results_differing"] = sum(k["result_differs"] for k in kills)
    result["never_normal"] = sum(k["normal_ms"] is None for k in kills)
    for key in ("wait_share", "wait_ms", "latency_p50_ms", "latency_p99_ms"):
        found = [k[key] for k in kills if k[key] is not None]
        result[key] = statistics.median(found) if found else None
    result["by_state"] = [by_state(kills, mib) for mib in options.states
                          if any(k["state_mib"] == mib for k in kills)]
    result["each"] = kills
    return result


def by_state(kills, mib):
    gaps = [k["gap_ms"] for k in kills if k["state_mib"] == mib]
    return {"state_mib": mib, "kills": len(gaps),
            **{f"gap_ms_{name}": figures.percentile(gaps, share)
               for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1))}}


def chart_of(kills):
    """The kill whose gap is the middle one, by ms, and the run beside it."""
    ranked = sorted(kills, key=lambda kill: kill[0]["gap_ms"])
    record, killed, free = ranked[(len(ranked) - 1) // 2]
    return {"victim": record["victim"], "gap_ms": record["gap_ms"], "first_ms": CHART_MS[0],
            "failed": killed.series(figures.FAILED, *CHART_MS),
            "bereft": killed.series([figures.BEREFT], *CHART_MS),
            "untouched": killed.series([figures.UNTOUCHED], *CHART_MS)}


def line(result):
    """A summary for the terminal."""
    def ms(value):
        return "–" if value is None else f"{value:.1f} ms"

    return (f"{result['kills']} × {result['signal']} of a node in {result['nodes']}: "
            f"lost {result['lost']}, doubled {result['doubled']} records; the failed part was "
            f"silent for {ms(result['gap_ms_p50'])} (p50; p99 {ms(result['gap_ms_p99'])}, longest "
            f"{ms(result['gap_ms_max'])}), without a death for {ms(result['gap_free_ms_p50'])}; "
            f"latency normal after {ms(result['normal_ms_p50'])}; bad windows of the rest: "
            f"{result['bad_windows']}, without a death {result['bad_windows_free']}"
            + (f"; {result['failed']} JOBS FAILED" if result["failed"] else ""))


def is_exact(result):
    return not any(result[key] for key in ("lost", "doubled", "stray", "ahead", "differing",
                                           "results_differing", "failed"))


def measure(build, options, say):
    """The `failover` object of a report (docs/performance.md). A job that fails is counted, and the
    rest is measured on a new cluster; too many end it."""
    bench, index, failures = Bench(options), 0, []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the cluster is ended on the way out
    while index < options.kills:
        try:
            with Cluster(build, options.silence if options.stop else None) as cluster:
                bench.cluster = cluster
                while index < options.kills:
                    index += 1
                    say(f"kill {index} of {options.kills}: {described(bench.round(index - 1))}")
        except Trouble as trouble:
            say(trouble)
            failures.append(str(trouble).partition("\n")[0])
            if len(failures) > FAILURES_MAX or not bench.kills:
                raise
    result = summary([kill for kill, _, _ in bench.kills], options)
    result["chart"] = chart_of(bench.kills)
    result["failed"], result["failures"] = len(failures), failures
    result["exact"] = is_exact(result)
    return result


def described(kill):
    return (f"node {kill['victim']}, {kill['state_mib']} MiB a task, silent {kill['gap_ms']:.1f} ms "
            f"(without a death {kill['gap_free_ms']:.1f}), lost {kill['lost']}, doubled "
            f"{kill['doubled']}")
