#!/usr/bin/env python3
"""Nodes that die under a job with hot replicas: usage: test_takeover.py BUILD SOURCE memif|…

Each node in turn is killed, or stopped and woken, while a job runs on three; its output is what
`weir run` gives on one worker, to the byte. Nothing stays behind.
"""

import json
import os
import signal
import time

import cluster_case
from cluster_case import JOBS, ClusterCase

RECOVERY = "recovery={survive: 1 host}"
PACED = {"q5": ["source.pace=50000/s"], "q0": ["source.pace=25000/s"],
         "delays": ["source.pace=4000/s"]}


class Takeover(ClusterCase):
    def begin(self, job, out):
        """Submit the job, paced to take some seconds.  Returns its id once it runs."""
        alone = self.path(job + ".alone")
        if not os.path.exists(alone):
            self.weir("run", "--workers=1", *self.settings(job, job + ".alone"))
        flags = [f"--set={s}" for s in [RECOVERY, *PACED[job]]]
        name = self.weir("submit", *flags, *self.settings(job, out)).stdout.split()[0]
        self.await_that(lambda: self.state(name)["state"] == "running", "it does not run")
        return name

    def expect_end(self, name, job, out):
        self.await_that(lambda: self.state(name)["state"] not in ("running", "publishing"),
                        "it does not end")
        self.assertEqual(self.state(name)["state"], "finished",
                         json.dumps(self.state(name)) + self.logs())
        self.assertEqual(self.rows(out), self.rows(job + ".alone"), f"{job} differs")

    def test_replicas_change_nothing(self):
        self.cluster("abc")
        for job in JOBS:
            self.expect_end(self.begin(job, job + ".out"), job, job + ".out")

    def lose(self, victim, job, after):
        self.cluster("abc")
        name = self.begin(job, "out")
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

    def test_a_stopped_node_is_taken_over_and_wakes(self):
        self.cluster("abc")
        name = self.begin("q5", "out")
        time.sleep(1)
        self.processes["b"].send_signal(signal.SIGSTOP)
        self.addCleanup(self.processes["b"].send_signal, signal.SIGCONT)
        time.sleep(2.5)
        self.processes["b"].send_signal(signal.SIGCONT)
        self.expect_end(name, "q5", "out")
        self.await_nodes("abc")
        self.expect_same("q0", "next")


if __name__ == "__main__":
    cluster_case.main()
