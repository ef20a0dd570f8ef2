#!/usr/bin/env python3
"""Links between processes: usage: test_links.py LINK_PROBE memif|veth|bridge

memif runs as any user, with huge pages or without. veth and bridge make network namespaces and
need root; without it they exit 77. No traffic leaves the machine, and nothing is left behind.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

PROBE = os.path.abspath(sys.argv[1])
KIND = sys.argv[2]
NOBODY = 65534
KILLS = int(os.environ.get("WEIR_LINK_KILLS", "5"))
PATIENCE = 30  # seconds until something that must happen has failed to


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class LinkCase(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="weir-links-")
        os.chmod(self.folder, 0o777)
        self.addCleanup(shutil.rmtree, self.folder)
        self.namespaces = {}
        self.logs = 0

    # ---- processes

    def start(self, device, address, to, *options, namespace=None, user=None, probe=PROBE):
        command = [probe, "-d", device, "-a", address, "-t", to, "-s", str(PATIENCE), *options]
        if namespace:
            command = ["ip", "netns", "exec", self.namespaces[namespace], *command]
        self.logs += 1
        log = open(os.path.join(self.folder, f"log{self.logs}"), "w+")
        environment = {**os.environ, "XDG_RUNTIME_DIR": self.folder}
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, user=user,
                                   env=environment)
        process.log = log

        def end():
            if process.poll() is None:
                process.kill()
            process.wait()
            log.close()

        self.addCleanup(end)
        return process

    def text(self, process):
        process.log.flush()
        with open(process.log.name, errors="replace") as file:
            return file.read()

    def expect_all_back(self, process):
        code = process.wait(timeout=2 * PATIENCE)
        self.assertEqual(code, 0, self.text(process))
        self.assertRegex(self.text(process), r"back (\d+) of \1\n")

    def expect_lines(self, process, wanted):
        """Wait until the lines said about the link are those."""
        deadline = time.monotonic() + PATIENCE
        lines = []
        while time.monotonic() < deadline:
            lines = [line for line in self.text(process).splitlines() if line in ("up", "down")]
            if lines == wanted:
                return
            time.sleep(0.05)
        self.fail(f"{lines} is not {wanted}: {self.text(process)}")

    # ---- networks

    def namespace(self, name):
        real = f"weir{os.getpid()}{name}"
        run("ip", "netns", "add", real)
        self.namespaces[name] = real
        self.addCleanup(run, "ip", "netns", "del", real)

    def ip(self, name, *command):
        run("ip", "-n", self.namespaces[name], *command)

    def wire(self, left, left_end, right, right_end):
        self.ip(left, "link", "add", left_end, "type", "veth", "peer", "name", right_end, "netns",
                self.namespaces[right])
        self.ip(left, "link", "set", left_end, "up")
        self.ip(right, "link", "set", right_end, "up")


class Memif(LinkCase):
    def devices(self, more=""):
        socket = os.path.join(self.folder, "socket")
        return [f"net_memif_t,role={role},socket={socket},socket-abstract=no{more}"
                for role in ("server", "client")]

    def pass_packets(self, addresses, more="", options=(), **process):
        server, client = self.devices(more)
        first, second = addresses
        bare = [address.split("/")[0] for address in addresses]
        self.start(server, first, bare[1], "--echo", *options, **process)
        self.expect_all_back(self.start(client, second, bare[0], *options, **process))

    def test_ip4(self):
        self.pass_packets(["10.0.0.1/24", "10.0.0.2/24"])

    def test_ip6(self):
        self.pass_packets(["fd00::1/64", "fd00::2/64"])

    def test_jumbo_frames_in_larger_buffers(self):
        self.pass_packets(["10.0.0.1/24", "10.0.0.2/24"], ",bsize=10240",
                          ("--mtu", "9000", "--bytes", "8972"))

    def test_two_workers(self):
        self.pass_packets(["10.0.0.1/24", "10.0.0.2/24"], "", ("--workers", "2"))

    def test_half_of_all_is_lost(self):
        self.pass_packets(["10.0.0.1/24", "10.0.0.2/24"], "", ("--loss", "500000"))

    def test_any_user(self):
        if os.getuid() != 0:
            self.skipTest("this is one already")
        probe = os.path.join(self.folder, "probe")
        shutil.copy(PROBE, probe)
        self.pass_packets(["10.0.0.1/24", "10.0.0.2/24"], user=NOBODY, probe=probe)

    def test_the_others_death_is_seen_and_its_return(self):
        server, client = self.devices()
        echo = self.start(server, "10.0.0.1/24", "10.0.0.2", "--echo")
        first = self.start(client, "10.0.0.2/24", "10.0.0.1", "--echo")
        self.expect_lines(echo, ["up"])
        first.kill()
        self.expect_lines(echo, ["up", "down"])
        self.expect_all_back(self.start(client, "10.0.0.2/24", "10.0.0.1"))
        self.expect_lines(echo, ["up", "down", "up", "down"])

    def test_a_client_waits_for_its_server_and_connects_again(self):
        server, client = self.devices()
        echo = self.start(client, "10.0.0.2/24", "10.0.0.1", "--echo")
        time.sleep(0.5)
        self.assertNotIn("up", self.text(echo))
        self.expect_all_back(self.start(server, "10.0.0.1/24", "10.0.0.2"))
        self.expect_lines(echo, ["up", "down"])
        self.expect_all_back(self.start(server, "10.0.0.1/24", "10.0.0.2"))
        self.expect_lines(echo, ["up", "down", "up", "down"])

    def expect_survivor(self, survivor, other, kills):
        """Of two ends at full rate one is killed again and again: the other never notices more
        than that the link goes down, and finds its successor, whose socket may be there still."""
        def flood(role):
            host = 1 if role == 0 else 2
            return self.start(self.devices()[role], f"10.0.0.{host}/24", f"10.0.0.{3 - host}",
                              "--flood", "--seconds", str(PATIENCE * (1 + KILLS)))
        staying = flood(survivor)
        for kill in range(1, kills + 1):
            going = flood(other)
            deadline = time.monotonic() + PATIENCE
            while self.text(staying).splitlines().count("flows") < kill:
                self.assertIsNone(staying.poll(), "it ended" + self.text(staying))
                self.assertLess(time.monotonic(), deadline, self.text(going))
                time.sleep(0.01)
            going.kill()
            going.wait()
        self.expect_lines(staying, ["up", "down"] * kills)
        self.assertIsNone(staying.poll())

    def test_a_server_survives_its_clients(self):
        self.expect_survivor(0, 1, KILLS)

    def test_a_client_survives_its_servers(self):
        self.expect_survivor(1, 0, KILLS)

    def test_two_servers_at_one_socket_are_refused(self):
        server, _ = self.devices()
        echo = self.start(server, "10.0.0.1/24", "10.0.0.2", "--echo")
        deadline = time.monotonic() + PATIENCE
        while not os.path.exists(os.path.join(self.folder, "socket")):
            self.assertLess(time.monotonic(), deadline, self.text(echo))
            time.sleep(0.01)
        time.sleep(0.2)
        for _ in range(3):
            second = self.start(server, "10.0.0.1/24", "10.0.0.2", "--echo")
            self.assertEqual(second.wait(timeout=PATIENCE), 2)
            self.assertIn("another process serves at that socket", self.text(second))
            self.assertIsNone(echo.poll(), self.text(echo))

    def test_frames_larger_than_a_buffer_are_refused(self):
        server, _ = self.devices()
        process = self.start(server, "10.0.0.1/24", "10.0.0.2", "--mtu", "9000")
        self.assertEqual(process.wait(timeout=PATIENCE), 2)
        self.assertIn("mtu: 9000 needs buffers of 9014 bytes and the device has 2048",
                      self.text(process))


AF_PACKET = "net_af_packet_t,iface={},blocksz=1048576,framesz=2048,framecnt=4096"
AF_XDP = "net_af_xdp_t,iface={}"


class Veth(LinkCase):
    def setUp(self):
        super().setUp()
        self.namespace("a")
        self.namespace("b")
        self.wire("a", "va", "b", "vb")

    def pass_packets(self, device, to_device, addresses=("10.0.0.1/24", "10.0.0.2/24"), *options):
        bare = [address.split("/")[0] for address in addresses]
        self.start(device.format("va"), addresses[0], bare[1], "--echo", *options, namespace="a")
        self.expect_all_back(self.start(to_device.format("vb"), addresses[1], bare[0], *options,
                                        namespace="b"))

    def test_af_packet(self):
        self.pass_packets(AF_PACKET, AF_PACKET)

    def test_af_xdp(self):
        self.pass_packets(AF_XDP, AF_XDP)

    def test_af_packet_to_af_xdp_over_ip6(self):
        self.pass_packets(AF_PACKET, AF_XDP, ("fd00::1/64", "fd00::2/64"))

    def test_af_xdp_at_its_largest_mtu(self):
        for name, end in (("a", "va"), ("b", "vb")):
            self.ip(name, "link", "set", end, "mtu", "3440")
        self.pass_packets(AF_XDP, AF_XDP, ("10.0.0.1/24", "10.0.0.2/24"), "--mtu", "3440",
                          "--bytes", "3412")

    def test_two_queues(self):
        self.pass_packets(AF_PACKET + ",qpairs=2", AF_PACKET, ("10.0.0.1/24", "10.0.0.2/24"),
                          "--workers", "2")

    def expect_down_and_up(self, device):
        echo = self.start(device.format("va"), "10.0.0.1/24", "10.0.0.2", "--echo", namespace="a")
        self.expect_lines(echo, ["up"])
        self.ip("b", "link", "set", "vb", "down")  # the other end: the carrier goes
        self.expect_lines(echo, ["up", "down"])
        self.ip("b", "link", "set", "vb", "up")
        self.expect_lines(echo, ["up", "down", "up"])
        self.expect_all_back(self.start(device.format("vb"), "10.0.0.2/24", "10.0.0.1",
                                        namespace="b"))

    def test_af_packet_goes_down_and_up(self):
        self.expect_down_and_up(AF_PACKET)

    def test_af_xdp_goes_down_and_up(self):
        self.expect_down_and_up(AF_XDP)

    def test_mtu_over_the_interfaces_is_refused(self):
        self.ip("a", "link", "set", "va", "mtu", "1400")
        process = self.start(AF_XDP.format("va"), "10.0.0.1/24", "10.0.0.2", namespace="a")
        self.assertEqual(process.wait(timeout=PATIENCE), 2)
        self.assertIn("mtu: 1500 is more than the 1400 of interface va", self.text(process))


class Bridge(LinkCase):
    def setUp(self):
        super().setUp()
        for name in ("a", "b", "x"):
            self.namespace(name)
        self.wire("a", "va", "x", "xa")
        self.wire("b", "vb", "x", "xb")

    def bridge(self):
        self.ip("x", "link", "add", "name", "br0", "type", "bridge")
        for end in ("xa", "xb"):
            self.ip("x", "link", "set", end, "master", "br0")
        self.ip("x", "link", "set", "br0", "up")

    def pass_packets(self, device, to_device, address="10.0.0.{}"):
        first, second = address.format(1), address.format(2)
        bits = "/64" if ":" in address else "/24"
        self.start(device.format("va"), first + bits, second, "--echo", namespace="a")
        self.expect_all_back(self.start(to_device.format("vb"), second + bits, first,
                                        namespace="b"))

    def test_af_packet(self):
        self.bridge()
        self.pass_packets(AF_PACKET, AF_PACKET)

    def test_af_xdp_over_ip6(self):
        self.bridge()
        self.pass_packets(AF_XDP, AF_XDP, "fd00::{}")

    def test_across_a_router(self):
        """The kernel routes between two subnets, answers for itself, and checks the headers."""
        run("ip", "netns", "exec", self.namespaces["x"], "sysctl", "-qw",
            "net.ipv4.ip_forward=1")
        self.ip("x", "address", "add", "10.0.0.254/24", "dev", "xa")
        self.ip("x", "address", "add", "10.0.1.254/24", "dev", "xb")
        self.start(AF_PACKET.format("va"), "10.0.0.1/24", "10.0.1.1", "--echo", "--gateway",
                   "10.0.0.254", namespace="a")
        self.expect_all_back(self.start(AF_XDP.format("vb"), "10.0.1.1/24", "10.0.0.1",
                                        "--gateway", "10.0.1.254", namespace="b"))

    def test_across_a_router_over_ip6(self):
        run("ip", "netns", "exec", self.namespaces["x"], "sysctl", "-qw",
            "net.ipv6.conf.all.forwarding=1")
        self.ip("x", "address", "add", "fd00:1::fe/64", "dev", "xa", "nodad")
        self.ip("x", "address", "add", "fd00:2::fe/64", "dev", "xb", "nodad")
        self.start(AF_PACKET.format("va"), "fd00:1::1/64", "fd00:2::1", "--echo", "--gateway",
                   "fd00:1::fe", namespace="a")
        self.expect_all_back(self.start(AF_PACKET.format("vb"), "fd00:2::1/64", "fd00:1::1",
                                        "--gateway", "fd00:2::fe", namespace="b"))


def namespaces_work():
    name = f"weir{os.getpid()}try"
    try:
        run("ip", "netns", "add", name)
        run("ip", "netns", "del", name)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def main():
    case = {"memif": Memif, "veth": Veth, "bridge": Bridge}[KIND]
    if KIND != "memif" and (os.getuid() != 0 or not namespaces_work()):
        print("skipped: needs root and `ip netns` (iproute2)")
        return 77
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
