#!/usr/bin/env python3
"""Nodes that die under a job with hot replicas: usage: test_takeover.py BUILD SOURCE memif|…

Each node in turn is killed, or stopped and woken, while a job runs on three; its output is what
`weir run` gives on one worker, to the byte. Nothing stays behind.
"""

import signal
import time

import cluster_case
from cluster_case import JOBS, RECOVERY, ClusterCase


class Takeover(ClusterCase):
    # A killed one counts as dead at once; that others are given no core must not count.
    detect = "detect: {silence: 10m}\n"

    def test_replicas_change_nothing(self):
        self.cluster("abc")
        for job in JOBS:
            self.expect_end(self.begin(job, job + ".out", RECOVERY), job, job + ".out")

    def lose(self, victim, job, after):
        self.cluster("abc")
        name = self.begin(job, "out", RECOVERY)
        time.sleep(after)
        self.processes[victim].kill()
        self.expect_end(name, job, "out")

    def test_the_first_node_is_killed(self):
        self.lose("a", "q5", 1)

    def test_the_second_node_is_killed(self):
        self.lose("b", "q5", 1.5)

    def test_the_third_node_is_killed(self):
        self.lose("c", "q5", 2)

    def test_any_node_of_another_job_is_killed(self):
        self.lose("a", "delays", 1)


class Stopped(ClusterCase):
    detect = "detect: {silence: 5s}\n"

    def is_lost(self, name, node):
        return any(part["node"] == node and "lost" in part for part in self.state(name)["nodes"])

    def test_a_stopped_node_is_taken_over_and_wakes(self):
        self.cluster("abc")
        name = self.begin("q5", "out", RECOVERY)
        time.sleep(1)
        self.processes["b"].send_signal(signal.SIGSTOP)
        self.addCleanup(self.processes["b"].send_signal, signal.SIGCONT)
        self.await_that(lambda: self.is_lost(name, "b"), "b is not taken over")
        self.processes["b"].send_signal(signal.SIGCONT)
        self.expect_end(name, "q5", "out")
        self.await_nodes("abc")
        self.expect_same("q0", "next")


if __name__ == "__main__":
    cluster_case.main()
