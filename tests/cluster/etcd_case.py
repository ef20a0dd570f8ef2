"""A cluster of two controllers, x and y, that share a real etcd."""

import json
import shutil
import socket
import subprocess

from cluster_case import ClusterCase


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class EtcdCase(ClusterCase):
    def setUp(self):
        if not shutil.which("etcd"):
            self.skipTest("no etcd here")
        super().setUp()
        self.url, self.peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self.address = ",".join(f"unix:{self.path(name)}.sock" for name in "xy")

    def start_etcd(self):
        with open(self.path("etcd.log"), "a", encoding="utf-8") as log:
            process = subprocess.Popen(
                ["etcd", "--data-dir", self.path("etcd"), "--listen-client-urls", self.url,
                 "--advertise-client-urls", self.url, "--listen-peer-urls", self.peer,
                 "--initial-advertise-peer-urls", self.peer, "--log-level", "error",
                 "--initial-cluster", "default=" + self.peer], stdout=log, stderr=log)
        self.processes["etcd"] = process
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

    def control(self):
        self.start_etcd()
        for name in "xy":
            self.write(name + ".yaml",
                       f"version: 1\nname: {name}\nlisten: ['unix:{self.path(name)}.sock']\n"
                       f"metadata: {{etcd: {{endpoints: ['{self.url}']}}}}\n"
                       "detect: {heartbeat: 100ms, silence: 2s, lease: 2s}\n")
            self.start_controller(name)

    def told(self):
        """What the cluster says of its nodes, with a warning if it is stale; {}: nothing."""
        return json.loads(self.weir("nodes", "--json", code=None).stdout or "{}")

    def leader(self):
        """Who leads, by its own word; None: nobody, for all that is known."""
        told = self.told()
        return None if "warning" in told else told.get("controller")
