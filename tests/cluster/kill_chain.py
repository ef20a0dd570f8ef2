"""One long job whose nodes die again and again: scripts/kill-campaign --chain.

Nodes stand in two racks, and each one's tasks have their other instances in the other rack, so that
the job outlives all nodes of a rack at once, and the leader with them.
"""

import collections
import contextlib
import itertools
import json
import os
import signal
import time

import cluster_case

RACKS = {"a": "left", "b": "left", "c": "right", "d": "right"}
PAIR = {"a": "left", "c": "right"}
SECONDS = 120  # that one job is paced to take
WHOLE, PATIENCE = "survives 1 rack", 150
LONG = 10  # seconds until it survives again, of which the events are told
GAPS = (0, 0.002, 0.01, 0.05, 0.3)  # seconds between two deaths that belong together

cluster_case.JOBS["chain"] = ("examples/nexmark/q5.yaml",
                              [f"source.events={SECONDS * 10000}", "source.rate=10000/s"])
cluster_case.ROWS["chain"] = SECONDS * 10000


class Chain:
    """Goes before a ClusterCase. `options` has kills and minutes, `chance` is a random.Random."""

    def prepare(self, options, chance):
        self.options, self.chance = options, chance
        self.racks = PAIR if options.pair else RACKS
        self.struck = set()  # processes that were killed, or stopped until others went on without
        self.counts = collections.Counter()

    # ---- what is known

    def look(self, job):
        """The job's status; {}: nobody leads."""
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(self.weir("status", job, "--json", code=None).stdout).get("job", {})
        return {}

    def await_one(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not (found := condition()):
            self.assertLess(time.monotonic(), deadline, what + self.weir(
                "events", code=None).stdout + self.logs())
            time.sleep(0.05)
        return found

    def await_whole(self, job):
        """Until it survives a rack again, on processes that live, or has ended."""
        def whole():
            state = self.look(job)
            good = state.get("survives") == WHOLE and "repair" not in state and self.struck.isdisjoint(
                self.holders(state))
            return state if good or state.get("state") in cluster_case.ENDED else None
        self.last = self.await_one(whole, "the job does not survive again: ")
        self.struck = set()
        return self.last

    @staticmethod
    def holders(state):
        return {(node["node"], node["incarnation"]) for node in state["nodes"]
                if "lost" not in node}

    def strikes(self, names):
        state = self.look(self.job) or self.last
        self.struck |= {holder for holder in self.holders(state) if holder[0] in names}

    def is_lost(self, job):
        state = self.look(job)
        return state and self.struck.isdisjoint(self.holders(state))

    def latest_events(self, seconds):
        """What the leader says happened in so many seconds; one that is new knows of less."""
        since_ns = (time.time() - seconds) * 1e9
        events = json.loads(self.weir("events", "--json").stdout)["events"]
        return "\n".join(f"  {(event['at_ns'] - since_ns) / 1e9:.1f} s: {event['text']}"
                         for event in events if event["at_ns"] >= since_ns)

    # ---- what happens to it; each returns what it did

    def strike(self, names):
        """Kill these within milliseconds, in this order, and start them again."""
        self.strikes(names)
        for name, gap in zip(names, [0] + self.chance.choices(GAPS, k=len(names) - 1)):
            time.sleep(gap)
            self.processes[name].kill()
        time.sleep(self.chance.choice((0, 0.1, 1)))
        for name in names:
            self.processes[name].wait()
            self.revive(name)
        self.counts["kills"] += sum(name in self.racks for name in names)
        return " and ".join(names) + " killed"

    def revive(self, name):
        if name in self.racks:
            self.start_node(name)
        else:
            self.start_controller(name)

    def one(self, _):
        return self.strike([self.chance.choice(list(self.racks))])

    def double(self, _):
        """The second dies while the first one's death is dealt with; the plan outlives both."""
        rack = self.chance.choice(list(self.racks.values()))
        self.counts["double faults"] += 1
        return self.strike(self.shuffled(name for name in self.racks if self.racks[name] == rack))

    def with_leader(self, _):
        leader = self.await_one(self.leader, "nobody leads")
        self.counts["leader deaths"] += 1
        return self.strike(self.shuffled([leader, self.chance.choice(list(self.racks))]))

    def leader_later(self, job):
        """The leader dies somewhere in the making of a new replica."""
        did = self.one(job)
        time.sleep(self.chance.uniform(0, 2.5))
        leader = self.await_one(self.leader, "nobody leads")
        self.counts["leader deaths"] += 1
        return did + ", later " + self.strike([leader])

    def replacement(self, job):
        """A node dies twice: the second time as a replacement, somewhere on its way."""
        name = self.chance.choice(list(self.racks))
        self.strike([name])
        time.sleep(self.chance.uniform(0, 2.5))
        return self.strike([name]) + " twice"

    def zombie(self, job):
        name = self.chance.choice(list(self.racks))
        process = self.processes[name]
        self.strikes([name])
        process.send_signal(signal.SIGSTOP)
        try:
            self.await_one(lambda: self.is_lost(job), f"{name} is not taken over: ")
            self.struck = set()  # the same process may have the place again
            time.sleep(self.chance.uniform(0, 1))
        finally:
            process.send_signal(signal.SIGCONT)
        self.counts["zombies"] += 1
        return f"{name} stopped and woken"

    def pause(self, _):
        """Somewhere in the making of a replica one that the job can do without stands still: the
        node of it, the other one of its rack, or the leader. It may count as dead, or not yet."""
        name = self.chance.choice(list(self.racks))
        self.strike([name])
        time.sleep(self.chance.uniform(0, 2))
        still = self.chance.choice([self.await_one(self.leader, "nobody leads"),
                                    *(other for other in self.racks
                                      if self.racks[other] == self.racks[name])])
        self.processes[still].send_signal(signal.SIGSTOP)
        time.sleep(self.chance.uniform(0.1, 4))
        self.processes[still].send_signal(signal.SIGCONT)
        self.counts["pauses"] += 1
        return f"{name} killed, {still} paused"

    def shuffled(self, names):
        return self.chance.sample(names := list(names), len(names))

    # ---- jobs, one after the other

    def one_job(self, out):
        job = self.job = self.begin("chain", out, "recovery={survive: 1 rack}",
                                    f"workers.count={len(self.racks)}", seconds=SECONDS)
        ways, shares = zip(*((self.one, 4), (self.zombie, 3),
                             (self.double, 0 if self.options.pair else 3),
                             (self.with_leader, 1), (self.leader_later, 1),
                             (self.replacement, 1), (self.pause, 2)))
        state = self.await_whole(job)
        while state["state"] == "running" and not self.is_over():
            time.sleep(self.chance.uniform(0, 0.5))
            began, what = time.monotonic(), self.chance.choices(ways, shares)[0](job)
            for name in self.racks:
                if self.processes[name].poll() is not None:
                    self.start_node(name)  # it found no memory, or no node's place in time
            state = self.await_whole(job)
            took = time.monotonic() - began
            print(f"{what}: {state['state']} {took:.1f} s later", flush=True)
            if took > LONG:
                print(self.latest_events(took), flush=True)
        return self.await_one(lambda: (ended := self.look(job)).get("state") in
                              cluster_case.ENDED and ended, "it does not end: ")

    def is_over(self):
        return self.counts["kills"] >= self.options.kills or time.monotonic() > self.deadline

    def runTest(self):
        self.deadline = time.monotonic() + 60 * self.options.minutes
        self.cluster(list(self.racks))
        for number in itertools.count():
            out = f"out-{number}"
            ended = self.one_job(out)
            verdict = "exact"
            if ended["state"] != "finished":
                self.counts["failed jobs"] += 1
                verdict = f"{ended['state']}: {ended.get('error', '')}"
            elif self.rows(out) != self.rows("chain.alone"):
                self.counts["wrong outputs"] += 1
                verdict = "WRONG"
            self.counts["jobs"] += 1
            print(f"job {number}: {verdict}", flush=True)
            if verdict == "exact":
                os.unlink(self.path(out))
            if self.is_over():
                return
            self.await_nodes(self.racks)

    def ends_well(self):
        names = ("jobs", "kills", "zombies", "double faults", "leader deaths", "pauses",
                 "wrong outputs", "failed jobs")
        print(", ".join(f"{self.counts[name]} {name}" for name in names), flush=True)
        return self.counts["wrong outputs"] == self.counts["failed jobs"] == 0
