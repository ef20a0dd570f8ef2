"""What the timelines of perf/run failover say: which records came, when, and how late."""

import array
import glob
import math
import os
import struct

MAGIC = 0x31304C5452494557
HEAD = struct.Struct("<QQIIqQQ")
HEAD_BYTES = 4096
MS = 1_000_000
LEAD_NS = 10 * MS  # from the start of a job to when its first event is due
BLOCK = 64  # events that a source takes in a row
BEFORE_NS, AFTER_NS = 300 * MS, 1000 * MS  # what is looked at around a kill
WINDOW_NS = 10 * MS
BAD_SHARE = 0.5  # a window with less than this of what was due is bad
NORMAL_FACTOR, NORMAL_MS = 2, 10  # latency is normal when so near to its median for so long
# Whose output a record is: of a source or a sink that was on the node that died, of a task whose
# replica was there, of neither.
DEAD_SOURCE, DEAD_SINK, BEREFT, UNTOUCHED = range(4)
FAILED, REST = (DEAD_SOURCE, DEAD_SINK), (BEREFT, UNTOUCHED)


class Timeline:
    """What one instance of the sink noted."""

    def __init__(self, path):
        with open(path, "rb") as file:
            (magic, _, self.task, self.tasks, self.start_ns, self.state_bytes,
             count) = HEAD.unpack(file.read(HEAD.size))
            if magic != MAGIC:
                raise ValueError(f"{path} is no timeline")
            file.seek(HEAD_BYTES)
            both = array.array("q")
            both.frombytes(file.read(count * 16))
        self.pid = int(os.path.basename(path).split("-")[1].split(".")[0])
        self.at_ns, self.scheduled_ns = both[0::2], both[1::2]


def read_timelines(folder):
    return [Timeline(path) for path in sorted(glob.glob(os.path.join(folder, "*.timeline")))]


def records_seen(folder):
    """How many records all instances together have noted so far."""
    count = 0
    for path in glob.glob(os.path.join(folder, "*.timeline")):
        with open(path, "rb") as file:
            head = file.read(HEAD.size)
        if len(head) == HEAD.size:
            count += HEAD.unpack(head)[-1]
    return count


def percentile(values, share):
    """The nearest rank; None of nothing."""
    ranked = sorted(values)
    return ranked[max(math.ceil(share * len(ranked)) - 1, 0)] if ranked else None


class Job:
    """The records that a job makes: bids are the last 46 of every 50 events."""

    def __init__(self, events, pace, sources):
        self.events, self.pace, self.sources = events, pace, sources
        self.step_ns = 1_000_000_000 // pace

    def is_bid(self, number):
        return number % 50 >= 4

    def source_of(self, number):
        return number // BLOCK % self.sources


class Round:
    """One run of a job, whose node `victim` dies, or only might have, at `moment_ns`.

    What a task shows is what its owner showed and, when that died, what its successor shows beyond
    that. A successor has consumed all of it by itself, so each instance is checked alone as well.

    A source's records are due by the clock of the job on its node, which nodes start up to some
    tenths of a ms apart: those of the dead one by its own, what its successor makes by that one's.
    """

    def __init__(self, job, timelines, pids, victim, moment_ns, dies):
        self.job, self.victim, self.moment_ns = job, victim, moment_ns
        self.dead_pid = pids[victim] if dies else None
        # Records: not shown, shown again, none of the job's, shown by a replica that should not
        # have known of them yet, shown by a process that was woken, of one twin only.
        self.lost = self.doubled = self.stray = self.ahead = self.woken = self.differing = 0
        self.shown = ([], [], [], [])  # by part: (time, latency)
        self.died_ns = max((at_ns for t in timelines if t.pid == self.dead_pid
                            for at_ns in t.at_ns if at_ns <= moment_ns + MS), default=moment_ns)
        self.state_bytes = max(t.state_bytes for t in timelines)
        self.starts = {index: next(t.start_ns for t in timelines if t.pid == pid)
                       for index, pid in enumerate(pids)}
        self.times = bytearray(job.events)  # how often each record was shown
        owners = [next(t for t in timelines if t.task == task and t.pid == pids[task])
                  for task in range(job.sources)]
        others = [next(t for t in timelines if t.task == task and t.pid != pids[task])
                  for task in range(job.sources)]
        self.replicas = [pids.index(other.pid) for other in others]  # by node of the owners
        for task, (owner, other) in enumerate(zip(owners, others)):
            self._take(task, owner, other)
        for number, times in enumerate(self.times):
            self.lost += times == 0 and job.is_bid(number)
            self.doubled += max(times - 1, 0)
        for part in self.shown:
            part.sort()

    def _numbers(self, timeline):
        """Each entry's number; counts what should not be there, or be there once only."""
        numbers, seen = [], bytearray(self.job.events)
        for scheduled_ns in timeline.scheduled_ns:
            number, rest = divmod(scheduled_ns - LEAD_NS, self.job.step_ns)
            if rest or not 0 <= number < self.job.events or not self.job.is_bid(number):
                self.stray += 1
                number = -1
            else:
                self.doubled += seen[number]
                seen[number] = 1
            numbers.append(number)
        return numbers, seen

    def _show(self, task, number, at_ns):
        if number < 0:
            return
        self.times[number] = min(self.times[number] + 1, 255)
        source = self.job.source_of(number)
        due_ns = self._due_ns(source, number)
        if source == self.victim and self.dead_pid is not None and due_ns > self.died_ns:
            due_ns = self._due_ns(self.replicas[source], number)
        self.shown[self._part(source, task)].append((at_ns, at_ns - due_ns))

    def _due_ns(self, node, number):
        """By the clock of the node whose source makes it."""
        return self.starts[node] + LEAD_NS + number * self.job.step_ns

    def _part(self, source, sink):
        if sink == self.victim:
            return DEAD_SINK
        if source == self.victim:
            return DEAD_SOURCE
        replicas = self.replicas[source], self.replicas[sink]
        return BEREFT if self.victim in replicas else UNTOUCHED

    def _take(self, task, owner, other):
        numbers, complete = self._numbers(other)
        if owner.pid == self.dead_pid:
            self._take_over(task, owner, other, numbers)
            return
        own, shown = self._numbers(owner)
        for number, at_ns in zip(own, owner.at_ns):
            self._show(task, number, at_ns)
        if other.pid != self.dead_pid:
            self.differing += sum(map(int.__ne__, shown, complete))

    def _take_over(self, task, owner, other, numbers):
        shown = bytearray(self.job.events)
        for number, at_ns in zip(self._numbers(owner)[0], owner.at_ns):
            if at_ns > self.moment_ns + MS:
                self.woken += 1  # its successor answers for what it does by then
            elif number >= 0:
                shown[number] = 1
                self._show(task, number, at_ns)
        for number, at_ns in zip(numbers, other.at_ns):
            if number >= 0 and not shown[number]:
                self.ahead += at_ns < self.moment_ns
                self._show(task, number, at_ns)

    # ---- figures

    def gap_ms(self, *parts):
        """The longest time without output that ends after the moment."""
        times = sorted(at for part in parts for at, _ in self.shown[part])
        last, longest = self.moment_ns, 0
        for at_ns in times:
            if at_ns > self.moment_ns:
                longest = max(longest, at_ns - last)
            last = at_ns
            if at_ns > self.moment_ns + AFTER_NS:
                break
        return longest / MS

    def failed_gap_ms(self):
        return max(self.gap_ms(DEAD_SOURCE), self.gap_ms(DEAD_SINK))

    def _tails(self):
        """The 99th percentile of the failed part's latency by ms from the moment, where any."""
        buckets = {}
        for part in FAILED:
            for at_ns, latency_ns in self.shown[part]:
                if -BEFORE_NS <= at_ns - self.moment_ns < AFTER_NS:
                    buckets.setdefault((at_ns - self.moment_ns) // MS, []).append(latency_ns)
        return {ms: percentile(found, 0.99) for ms, found in buckets.items()}

    def normal_ms(self):
        """Until latency is what it was, and stays so; None: not within what is looked at."""
        tails = self._tails()
        usual = percentile([tail for ms, tail in tails.items() if ms < 0], 0.5)
        if usual is None:
            return None
        good = 0
        for ms in range(AFTER_NS // MS):
            tail = tails.get(ms)
            good = good + 1 if tail is not None and tail <= NORMAL_FACTOR * usual else 0
            if good == NORMAL_MS:
                return ms + 1 - NORMAL_MS
        return None

    def latency_ms(self, share):
        """Of the rest, before the moment."""
        found = [latency for part in REST for at, latency in self.shown[part]
                 if -BEFORE_NS <= at - self.moment_ns < 0]
        value = percentile(found, share)
        return None if value is None else value / MS

    def bad_windows(self):
        """Of the rest, 10 ms each, in which less than half of what was due came out."""
        counts = [0] * (AFTER_NS // WINDOW_NS)
        for part in REST:
            for at_ns, _ in self.shown[part]:
                if 0 <= at_ns - self.moment_ns < AFTER_NS:
                    counts[(at_ns - self.moment_ns) // WINDOW_NS] += 1
        share = (1 - 1 / self.job.sources) ** 2
        due = self.job.pace * WINDOW_NS / 1e9 * 46 / 50 * share
        return sum(count < BAD_SHARE * due for count in counts)

    def series(self, parts, first_ms, last_ms):
        """Records by ms."""
        counts = [0] * (last_ms - first_ms)
        for part in parts:
            for at_ns, _ in self.shown[part]:
                ms = (at_ns - self.moment_ns) // MS - first_ms
                if 0 <= ms < len(counts):
                    counts[ms] += 1
        return counts
