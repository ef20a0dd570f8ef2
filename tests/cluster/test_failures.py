#!/usr/bin/env python3
"""Links and nodes that fail under running jobs: usage: test_failures.py BUILD SOURCE af_packet|…

Links go down, a switch forgets a port, a node is killed and comes back; each job's output is what
`weir run` gives on one worker, to the byte. Needs root, for network namespaces.
"""

import time

import cluster_case
from cluster_case import RECOVERY, ClusterCase, run


class Failures(ClusterCase):
    # ---- links

    def at_node(self, name, state):
        run("ip", "-n", self.namespaces[name], "link", "set", "v0", state)

    def at_switch(self, name, *change):
        run("ip", "-n", self.switch, "link", "set", self.ports[name], *change)

    def expect_nobody_missed(self, job):
        state = self.state(job)
        self.assertEqual(state["state"], "running", state)
        lost = [node["node"] for node in state["nodes"] if "lost" in node]
        self.assertFalse(lost, "nodes count as lost whose bus lives")

    def cut_for(self, seconds, cut, heal, *sets):
        """A job that would be done in 2 s is not while a link is down, and is once it is up."""
        job = self.begin("q5", "out", *sets, seconds=2)
        time.sleep(0.7)
        cut()
        time.sleep(seconds)
        self.expect_nobody_missed(job)
        heal()
        self.expect_end(job, "q5", "out")

    def flap(self, *sets):
        for change, name in ((self.at_node, "b"), (self.at_switch, "c")):
            self.cut_for(3, lambda: change(name, "down"), lambda: change(name, "up"), *sets)

    def test_links_go_down_and_up(self):
        self.cluster("abc")
        self.flap()

    def test_links_of_replicas_go_down_and_up(self):
        self.cluster("abc")
        self.flap(RECOVERY)

    def cut_off(self, name, seconds, *sets):
        """The carrier stays, and packets go nowhere."""
        self.cut_for(seconds, lambda: self.at_switch(name, "nomaster"),
                     lambda: self.at_switch(name, "master", "br0"), *sets)

    def test_a_node_is_cut_off_from_others_until_they_forget_its_station(self):
        self.cluster("abc")
        self.cut_off("b", 10)

    def test_a_node_with_replicas_is_cut_off(self):
        self.cluster("abc")
        self.cut_off("b", 4, RECOVERY)

    # ---- nodes

    def incarnation(self, name):
        return self.nodes()[name]["incarnation"]

    def test_a_node_comes_back_while_the_job_that_lost_it_runs(self):
        self.cluster("abc")
        before = self.incarnation("b")
        job = self.begin("q5", "out", RECOVERY, seconds=8)
        time.sleep(1)
        self.kill("b")
        self.start_node("b")
        self.await_that(lambda: self.nodes()["b"]["state"] == "alive" and
                        self.incarnation("b") > before, "b is not back")
        self.await_that(lambda: self.state(job).get("survives") == "survives 1 host",
                        "b has not got its place back")
        self.assertEqual([n["node"] for n in self.state(job)["nodes"] if "lost" in n], [])
        self.expect_end(job, "q5", "out")
        self.expect_same("q5", "next")  # on all three


if __name__ == "__main__":
    cluster_case.main()
