#!/usr/bin/env python3
"""Leaders and etcd that go under running jobs: usage: test_leaders.py BUILD SOURCE af_packet|…

Two controllers on a real etcd. A job's output is what `weir run` gives on one worker, to the byte.
Environment: ROUNDS (2) deaths of leader and node together
in each test, SEED (1) of their times, AWAY (6) seconds that etcd is stopped.
"""

import os
import random
import signal
import time

import cluster_case
from cluster_case import RECOVERY
from etcd_case import EtcdCase

ROUNDS, SEED, AWAY = (int(os.environ.get(name, default))
                      for name, default in (("ROUNDS", 2), ("SEED", 1), ("AWAY", 6)))
TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


class Leaders(EtcdCase):
    # ---- a leader and a node at once

    def kill_both(self, leader, node, chance):
        order = [node, leader] if chance.random() < 0.7 else [leader, node]
        time.sleep(chance.uniform(0.2, 1.5))
        self.processes[order[0]].kill()
        time.sleep(chance.choice([0, 0.002, 0.01, 0.05, 0.3]))
        self.processes[order[1]].kill()
        return order

    def revive(self, *names):
        for name in names:
            self.processes[name].wait()
            (self.start_controller if name in "xy" else self.start_node)(name)

    def round(self, names, number, chance):
        out = f"out-{number}"
        job = self.begin("q5", out, RECOVERY, seconds=3)
        leader = self.leader()
        order = self.kill_both(leader, chance.choice(names), chance)
        ended = self.await_end(job)
        print(f"killed {order}: {ended['state']} {ended.get('error', '')}", flush=True)
        self.assertEqual(ended["state"], "finished", ended.get("error", "") + self.logs())
        self.expect_rows("q5", out)
        self.revive(*order)
        self.await_nodes(names)

    def test_leader_and_node_of_a_pair_die(self):
        self.cluster("ab")
        chance = random.Random(SEED)
        for number in range(ROUNDS):
            self.round("ab", number, chance)

    def test_leader_and_node_of_a_cycle_die(self):
        self.cluster("abc")
        chance = random.Random(SEED)
        for number in range(ROUNDS):
            self.round("abc", number, chance)
        self.expect_same("q0", "next")

    # ---- etcd

    def expect_growth(self, until):
        """Output is being written all the while.  Returns how often more of it was seen."""
        times = 0
        while times < 3 or time.monotonic() < until:
            before = self.written()
            self.await_that(lambda: self.written() > before, "no output is written")
            times += 1
        return times

    def test_etcd_stands_still_and_the_leader_dies(self):
        self.cluster("abc")
        job = self.begin("q0", "out", seconds=AWAY + 6)
        leader, etcd = self.leader(), self.processes["etcd"]
        etcd.send_signal(signal.SIGSTOP)
        self.processes[leader].kill()
        began = time.monotonic()
        self.expect_growth(began + AWAY / 2)
        told = self.told()
        self.assertIn("metadata has not answered for", told["warning"])
        self.assertNotIn("for 0 s", told["warning"])
        print("meanwhile:", told["warning"], flush=True)
        self.assertIn("nobody leads", self.weir("status", job, code=1).stderr)
        times = self.expect_growth(began + AWAY)
        etcd.send_signal(signal.SIGCONT)
        self.await_that(lambda: self.leader() not in (None, leader), "nobody leads")
        print(f"led again {time.monotonic() - began:.1f} s after both went; output grew {times} "
              "times in the second half of that", flush=True)
        self.expect_end(job, "q0", "out")
        self.revive(leader)
        self.await_nodes("abc")

    def test_etcd_is_killed_and_comes_back_on_its_data(self):
        self.cluster("abc")
        job = self.begin("q0", "out", seconds=8)
        incarnations = [node["incarnation"] for node in self.told()["nodes"]]
        for away in (0, 3):  # shorter and longer than the lease
            self.kill("etcd")
            time.sleep(away)
            self.start_etcd()
            self.await_that(self.leader, "nobody leads")
            self.await_nodes("abc")
        self.assertEqual(incarnations, [node["incarnation"] for node in self.told()["nodes"]])
        self.expect_end(job, "q0", "out")
        self.expect_same("q0", "next")

    # ---- nothing to do

    def test_idle_costs_little(self):
        self.cluster("abc", wait="sleep")
        processes = [self.processes[name] for name in "abcxy"]
        before = sum(map(cpu_seconds, processes))
        time.sleep(10)
        share = (sum(map(cpu_seconds, processes)) - before) / 10
        print(f"three nodes and two controllers idle: {100 * share:.1f} % of a core", flush=True)
        self.assertLess(share, 0.6)  # what it should be is 0.2; this is for a busy loop


if __name__ == "__main__":
    cluster_case.main()
