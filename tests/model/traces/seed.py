"""A seed's trace, sorted by what it is about."""

from collections import namedtuple

from traces.events import Event

Task = namedtuple("Task", "number place twin")  # twin: place of its other instance, -1: none
Channel = namedtuple("Channel", "number source target")  # primaries

OF_NODES = ("node_joined", "node_lost", "loss_told", "alone_told", "admission_told",
            "place_admitted", "feed_told", "place_repaired", "place_given_up", "place_whole",
            "repair_begun", "repair_ended")
RUNNING = "2"


class Seed:
    """Of nodes: tasks and channels; of a cluster: jobs."""

    def __init__(self, lines):
        self.events = [Event(line) for line in lines]
        head = self.events[0]
        self.number, self.world = head.number("number"), head.fields["world"]
        self.tasks, self.channels, self.jobs = {}, {}, {}
        if self.world == "replicas":
            self.sort_nodes()
        else:
            self.sort_jobs()

    # ---- nodes

    def sort_nodes(self):
        self.of_nodes, self.by_channel, self.by_task = [], {}, {}
        for at, e in enumerate(self.events):
            if e.name == "task":
                task = Task(e.number("task"), e.number("place"), e.number("twin"))
                self.tasks[task.number] = task
            elif e.name == "channel":
                channel = Channel(e.number("channel"), e.number("from"), e.number("to"))
                self.channels[channel.number] = channel
            elif e.name in OF_NODES:
                self.of_nodes.append((at, e))
            elif "channel" in e.fields:
                self.by_channel.setdefault(e.number("channel"), []).append((at, e))
            elif "task" in e.fields:
                self.by_task.setdefault(e.number("task"), []).append((at, e))

    def of_channel(self, channel):
        """In order, what concerns a channel, the task that sends, and nodes."""
        found = self.of_nodes + self.by_channel.get(channel.number, []) + \
            self.by_task.get(channel.source, [])
        return [e for _, e in sorted(found, key=lambda pair: pair[0])]

    def in_order_of_loss(self, nodes):
        lost = [e.node for _, e in self.of_nodes if e.name == "node_lost"]
        return sorted(nodes, key=lambda n: lost.index(n) if n in lost else len(lost))

    # ---- a cluster

    def sort_jobs(self):
        elections = []
        for e in self.events:
            name = e.fields.get("job")
            if e.name in ("leader_elected", "process_died"):
                elections.append(e)
                for job in self.jobs.values():
                    job.events.append(e)
            elif name in self.jobs:
                self.jobs[name].events.append(e)
            elif e.name == "job_written" and e.fields["state"] == RUNNING:
                self.jobs[name] = Job(e)


class Job:
    """From when it was written that it runs."""

    def __init__(self, written):
        self.name, self.term = written.fields["job"], written.number("term")
        self.holders = written.items("holders")
        self.covers = [{int(n) for n in cover.split("+") if n}
                       for cover in written.fields["covers"].split("|")]
        self.events = [written]

    def place_of(self, event):
        return self.holders.index(event.node) if event.node in self.holders else None

    def pairs(self):
        """Places that have each other's replicas and nobody else's, each both ways."""
        return [(a, b) for a, by in enumerate(self.covers) for b in by
                if by == {b} and b < len(self.covers) and self.covers[b] == {a}]

    def cycles(self):
        """The places of a cycle of three, from each on: each has the replica of the one before."""
        if len(self.covers) != 3 or any(by != {0, 1, 2} - {n} for n, by in enumerate(self.covers)):
            return []
        return [(n, (n + 1) % 3, (n + 2) % 3) for n in range(3)]

    def in_order_of_loss(self, places):
        order = []
        for e in self.events:
            if e.name == "job_written":
                order += [int(n) for n in e.items("lost")]
            elif e.name == "process_died" and self.place_of(e) is not None:
                order.append(self.place_of(e))
            elif e.name == "loss_told": # it may never be written
                order.append(e.number("place"))
        return sorted(places, key=lambda n: order.index(n) if n in order else len(order))
