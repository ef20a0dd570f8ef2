#!/usr/bin/env python3
"""Jobs across nodes: usage: test_jobs.py BUILD SOURCE memif|af_packet|af_xdp

The example jobs on one, two and three nodes give what `weir run` gives on one worker, also over
links that lose, double and reorder packets. af_packet and af_xdp join network namespaces by a
bridge and need root; without it they exit 77. No traffic leaves the machine, nothing stays behind.
"""

import os
import time

import cluster_case
from cluster_case import ENDLESS, FAULTS, JOBS, ClusterCase


class Jobs(ClusterCase):
    def run_all(self, names, more=""):
        self.cluster(names, more)
        for job in JOBS:
            self.expect_same(job, job + ".out")

    def test_one_node(self):
        self.run_all("a")

    def test_two_nodes(self):
        self.run_all("ab")

    def test_three_nodes(self):
        self.run_all("abc")

    def test_three_nodes_over_faulty_links(self):
        self.run_all("abc", FAULTS)

    def test_a_node_dies_and_the_next_job_goes_by_the_others(self):
        self.cluster("abc")
        job = self.weir("submit", *[f"--set={s}" for s in ENDLESS],
                        *self.settings("q5", "never")).stdout.split()[0]
        self.await_that(lambda: self.state(job)["state"] == "running", "it does not run")
        self.processes["b"].kill()
        self.await_that(lambda: self.state(job)["state"] == "failed", "it does not fail")
        self.assertIn("node b", self.state(job)["error"])
        self.assertFalse(os.path.exists(self.path("never")))
        self.await_nodes("ac")
        self.expect_same("q5", "after")

    def test_what_is_not_there_yet_is_refused(self):
        self.cluster("ab")
        done = self.weir("submit", "--wait", "--set=checkpoint={interval: 1s}",
                         *self.settings("q0", "never"), code=1)
        self.assertIn("not coordinated between nodes", done.stdout + done.stderr)

    def test_an_interrupted_job_publishes_what_is_done(self):
        self.cluster("ab")
        job = self.weir("submit", *[f"--set={s}" for s in ENDLESS],
                        *self.settings("q0", "some")).stdout.split()[0]
        self.await_that(lambda: self.state(job)["state"] == "running", "it does not run")
        time.sleep(0.5)
        self.weir("cancel", "--publish", job)
        self.await_that(lambda: self.state(job)["state"] == "interrupted", "it goes on")
        self.assertGreater(len(self.rows("some")), 100)


if __name__ == "__main__":
    cluster_case.main()
