#!/usr/bin/env python3
"""Nodes that die one after the other under one job: usage: test_repair.py BUILD SOURCE memif|…

A node is killed and started again; once `weir status` says that the job survives another death, the
next one is. The output is what `weir run` gives on one worker, to the byte.
"""

import time

import cluster_case
from cluster_case import RECOVERY, ClusterCase

SECONDS = 45  # that the job is paced to take

# Hardly two bids share a price: nearly all of them are keys, of one window.
LARGE = """version: 1
job: large
workers: {{count: 2, state_memory: 256MiB}}
recovery: {{survive: 1 host, retention: 32MiB}}
operators:
  - {{id: source, kind: nexmark, events: {events}, pace: {pace}/s, rate: 1000/s}}
  - id: counts
    kind: window_aggregate
    input: source.bid
    key: [auction, price]
    window: {{tumbling: 100h}}
    aggregates: [num: count()]
  - {{id: some, kind: filter, input: counts, where: price % 20 == 0}}
  - {{id: sink, kind: csv, input: some, path: {path}}}
"""


class Repair(ClusterCase):
    def holders(self, name):
        """Who has which place in the job: node and incarnation."""
        return [(node["node"], node["incarnation"]) for node in self.state(name)["nodes"]
                if "lost" not in node]

    def await_whole(self, name, what="1 host"):
        def whole():
            state = self.state(name)
            self.assertEqual(state["state"], "running", self.weir("events").stdout + self.logs())
            return state.get("survives", "") == "survives " + what
        self.await_that(whole, "it was given no new replica")

    def lose(self, name, holder):
        """Kill it. A new replica may be there at once."""
        self.kill(holder[0])
        self.await_that(lambda: holder not in self.holders(name), f"{holder} is not missed")

    def test_one_job_outlives_six_deaths(self):
        self.cluster("abc")
        name = self.begin("q5", "out", RECOVERY, "workers.count=2", seconds=SECONDS)
        for death in range(6):
            self.await_whole(name)
            self.assertEqual(len(self.holders(name)), 2)
            victim = self.holders(name)[death % 2]  # the one that took over last
            self.lose(name, victim)
            self.start_node(victim[0])
        self.await_whole(name)
        self.expect_end(name, "q5", "out")
        made = [line for line in self.weir("events").stdout.splitlines()
                if "has a new replica" in line]
        self.assertEqual(len(made), 6)

    def test_the_same_nodes_are_killed_and_started_again(self):
        self.cluster("ab")
        name = self.begin("q5", "out", RECOVERY, seconds=20)
        for victim in (0, 1, 0, 1):
            self.await_whole(name)
            holder = self.holders(name)[victim]
            self.lose(name, holder)
            self.assertEqual(len(self.holders(name)), 1)
            self.start_node(holder[0])
        self.await_whole(name)
        self.expect_end(name, "q5", "out")

    def test_a_large_state_is_given_to_a_new_replica(self):
        """Of tens of MiB, in thousands of parts; the one that got it goes on with it alone."""
        self.cluster("abc")
        events, seconds = 1200000, 20
        for name in ("alone", "out"):
            self.write(name + ".yaml", LARGE.format(events=events, pace=events // seconds,
                                                    path=self.path(name)))
        job = self.weir("submit", self.path("out.yaml")).stdout.split()[0]
        self.await_that(lambda: self.runs(job), "it does not run")
        time.sleep(seconds / 2)  # for the state to become large
        first, second = self.holders(job)
        self.lose(job, second)
        self.await_whole(job)
        self.lose(job, first)
        ended = self.await_end(job)
        self.assertEqual(ended["state"], "finished", self.explain())
        self.weir("run", "--workers=1", "--set=source.pace=1000000000/s", self.path("alone.yaml"))
        self.assertGreater(len(self.rows("alone")), 1000)
        self.assertEqual(self.rows("out"), self.rows("alone"))
        self.assertIn("has a new replica", self.weir("events").stdout)

    def test_status_says_what_a_replica_waits_for(self):
        self.cluster("ab")
        name = self.begin("q5", "out", RECOVERY, seconds=8)
        self.kill("b")
        self.await_that(lambda: "waiting" in self.state(name), "it waits for nothing")
        self.assertEqual(self.state(name)["waiting"],
                         "a host other than host-a with 1 free worker and no part in the job, "
                         "for a new replica of what node b did")
        self.assertIn("waits for a host other than host-a", self.weir("status", name).stdout)
        self.expect_end(name, "q5", "out")

    def test_a_node_may_take_another_place_than_it_had(self):
        self.racks = {"a": "left", "b": "left", "c": "right", "d": "right"}
        self.cluster("abcd")
        name = self.begin("q5", "out", "recovery={survive: 1 rack}", "workers.count=4", seconds=30)
        self.await_whole(name, "1 rack")
        for victim in self.holders(name)[:2]:
            self.lose(name, victim)
        self.start_node("b")  # its own place is not the first one to be made again
        self.await_that(lambda: "b" in [node for node, _ in self.holders(name)], "b gets no place")
        self.start_node("a")
        self.await_whole(name, "1 rack")
        self.expect_end(name, "q5", "out")
        self.assertNotIn("gets no new replica", self.weir("events").stdout)

    def test_a_replacement_that_dies_is_followed_by_another(self):
        self.cluster("abcd")
        name = self.begin("q5", "out", RECOVERY, "workers.count=2", seconds=25)
        self.await_whole(name)
        first, second = self.holders(name)
        spares = {node for node in "abcd" if node not in (first[0], second[0])}
        self.kill(first[0])
        time.sleep(0.1)  # somewhere in the making of it, or right behind
        for spare in sorted(spares):
            self.kill(spare)
        self.start_node(first[0])
        self.await_whole(name)
        self.assertIn(second, self.holders(name))
        self.expect_end(name, "q5", "out")


if __name__ == "__main__":
    cluster_case.main()
