"""Rules that are looked at item by item and entry by entry, where the models see one of each.

Each check takes the events in order and says which rule one breaks. `exercised` counts how often a
rule had something to decide.
"""

from collections import Counter, defaultdict


class Rules:
    """What both worlds' checks share."""

    def __init__(self):
        self.exercised, self.broken = Counter(), []

    def expect(self, rule, good, event, why):
        self.exercised[rule] += 1
        if not good:
            self.broken.append((rule, event.line, why))

    def take(self, event):
        handler = getattr(self, "on_" + event.name, None)
        if handler is not None:
            handler(event)


class NodeRules(Rules):
    """The world of nodes: production tasks; who tells them of losses is the simulator."""

    def __init__(self, seed):
        super().__init__()
        self.seed = seed
        self.place, self.lost = {}, set()   # by node; nodes
        self.whole = set()                  # nodes
        self.holder = {}                    # by place: who has it now
        self.boot = {}                      # by node
        self.told = defaultdict(dict)       # by node and place: the successor's incarnation
        self.under = defaultdict(set)       # by node: all those incarnations
        self.alone = defaultdict(set)       # by node: places
        self.admitted, self.gave_up = defaultdict(set), defaultdict(set)
        self.repaired = defaultdict(set)
        self.welcome = defaultdict(set)     # by place: who ever admitted the one that has it now
        self.stored, self.begun, self.ungated = {}, set(), set()  # by (node, task)
        self.gated = {}
        self.answered, self.consumed = {}, {}  # by (node, channel)
        self.left = {}                      # by (node, channel): node, place it left for good
        self.made = defaultdict(list)       # by (node, channel): (next, depends)
        self.fed = {}                       # by channel: items made before the last state was taken
        self.sums = defaultdict(dict)       # by channel: checksums by number

    # ---- nodes

    def on_node_joined(self, e):
        self.place[e.node] = e.number("place")
        self.holder[e.number("place")] = e.node
        self.welcome[e.number("place")] = set()
        self.boot[e.node] = e.hexadecimal("boot")
        if e.fields["anew"] == "0":
            self.whole.add(e.node)

    def on_node_lost(self, e):
        self.lost.add(e.node)

    def living(self, but=()):
        return [n for p, n in self.holder.items() if n not in self.lost and n not in but]

    def on_loss_told(self, e):
        place, successor = e.number("place"), e.hexadecimal("successor")
        self.told[e.node][place] = successor
        self.under[e.node].add(successor)
        self.admitted[e.node].discard(place)
        self.repaired[e.node].discard(place)

    def on_alone_told(self, e):
        self.alone[e.node].add(e.number("place"))

    def on_place_admitted(self, e):
        place = e.number("place")
        self.admitted[e.node].add(place)
        self.welcome[place].add(e.node)
        self.told[e.node].pop(place, None)
        self.alone[e.node].discard(place)
        self.gave_up[e.node].discard(place)
        self.left = {k: left for k, left in self.left.items() if left != (e.node, place)}

    def on_place_given_up(self, e):
        self.gave_up[e.node].add(e.number("place"))

    def on_place_repaired(self, e):
        self.repaired[e.node].add(e.number("place"))

    def on_place_whole(self, e):
        self.whole.add(e.node)
        place, missing = e.number("place"), []
        for n in self.living([e.node]):
            if place not in self.repaired[n]:
                missing.append(n)
        self.expect("G13", not missing, e, f"{missing} did not say that nothing is missing")
        for task in self.seed.tasks.values():
            if place in (task.place, task.twin) and task.twin >= 0:
                self.check_instance(e, task, e.node)

    def check_instance(self, e, task, node):
        """What the owner says when it is gated and done, by what others really have."""
        owner = self.holder[task.twin if self.place[node] == task.place else task.place]
        index = self.gated.get((owner, task.number))
        stored = self.stored.get((node, task.number), 0)
        self.expect("G13", index is not None and stored >= index, e,
                    f"task {task.number} holds entries below {stored}, gated at {index}")
        for channel in self.seed.channels.values():
            fed = self.fed.get((owner, channel.number), 0)
            for n in self.living([node]) if channel.source == task.number else ():
                consumed = self.consumed.get((n, channel.number))
                self.expect("G13", consumed is None or consumed >= fed, e,
                            f"channel {channel.number}: {n} consumed below {consumed} of {fed}")

    # ---- instances

    def twin_place(self, e):
        task = self.seed.tasks[e.number("task")]
        return task.twin if self.place[e.node] == task.place else task.place

    def on_instance_begun(self, e):
        place, key = self.twin_place(e), (e.node, e.number("task"))
        self.begun.add(key)
        self.ungated.add(key)
        told = self.told[e.node].get(place)
        self.expect("S1", told is not None, e, "nobody told it of a loss")
        inc = e.hexadecimal("inc")
        self.expect("S1", inc in (0, told), e, f"its successor's incarnation is {told}")

    def on_instance_alone(self, e):
        place = self.twin_place(e)
        good = place in self.alone[e.node] or place in self.gave_up[e.node] or \
            place in self.admitted[e.node]
        self.ungated.add((e.node, e.number("task")))
        self.expect("G3", good, e, "it was not told to go on alone")

    def on_instance_fed(self, e):
        place, key = self.twin_place(e), (e.node, e.number("task"))
        self.ungated.add(key)
        self.gated.pop(key, None)
        # Who is told before the owner that the new one is lost again had admitted it all the same.
        missing = [n for n in self.living([self.holder[place]]) if n not in self.welcome[place]]
        self.expect("G12", not missing, e, f"{missing} did not admit the place")

    def on_items_fed(self, e):
        self.fed[e.node, e.number("channel")] = e.number("next")

    def on_instance_restored(self, e):
        self.stored[e.node, e.number("task")] = e.number("index")

    def on_instance_gated(self, e):
        key = (e.node, e.number("task"))
        self.ungated.discard(key)
        self.gated[key] = e.number("index")

    # ---- logs

    def on_entry_stored(self, e):
        key = (e.node, e.number("task"))
        self.expect("T8", key not in self.begun, e, "it has begun and acknowledges more")
        self.stored[key] = e.number("index")

    def on_entry_held(self, e):
        index, place = e.number("index"), self.twin_place(e)
        stored = self.stored.get((self.holder[place], e.number("task")), 0)
        known = place not in self.told[e.node] and e.node not in self.lost
        if index == 0: # the place is admitted, and nothing was said yet
            return
        if known and self.holder[place] not in self.lost:
            self.expect("T9", index <= stored, e, f"its replica holds entries below {stored}")
        self.expect("G6", (e.node, place) not in self.left.values(), e,
                    f"an acknowledgement from place {place}, which it takes nothing from any more")

    # ---- items

    def on_items_made(self, e):
        made = self.made[e.node, e.number("channel")]
        if not made or e.number("next") > made[-1][0]:
            made.append((e.number("next"), e.number("depends")))

    def on_items_released(self, e):
        channel = self.seed.channels[e.number("channel")]
        task = self.seed.tasks[channel.source]
        key, made = (e.node, task.number), self.made[e.node, channel.number]
        number = e.number("next")
        while len(made) > 1 and made[0][0] < number:
            made.pop(0)
        if task.twin < 0 or key in self.ungated or not made or e.node in self.lost:
            return
        holder = self.holder[task.twin if self.place[e.node] == task.place else task.place]
        stored, depends = self.stored.get((holder, task.number), 0), made[0][1]
        self.expect("G1", depends <= stored, e,
                    f"the items depend on entries below {depends}, {holder} has those below "
                    f"{stored}")

    def on_fence_answered(self, e):
        key, inc = (e.node, e.number("channel")), e.hexadecimal("inc")
        before = self.answered.get(key)
        self.expect("T1", inc == e.hexadecimal("expects"), e, "it answered what it does not expect")
        if before is not None:
            self.expect("T1", inc > before[0], e, f"it had answered {before[0]:x}")
            fenced = before[1]
            self.expect("G5", fenced in self.told[e.node] or fenced in self.gave_up[e.node], e,
                        f"it was not told that place {fenced} is lost")
            self.left[key] = (e.node, fenced)
        elif e.node not in self.lost:
            self.expect("G5", inc <= self.boot[e.node] or inc in self.under[e.node], e,
                        "it was opened after this one was made, for a loss it was not told of")
        self.answered[key] = (inc, e.number("from"))

    def on_items_consumed(self, e):
        key, number = (e.node, e.number("channel")), e.number("next")
        expected = self.answered.get(key, (None,))[0]
        self.expect("I5", expected == e.hexadecimal("inc"), e, "not of the incarnation it answered")
        self.expect("I1", number > self.consumed.get(key, 0) or key not in self.consumed, e,
                    "an item was consumed again")
        self.consumed[key] = number
        checksum = e.fields["checksum"]
        if checksum != "0" and e.node not in self.lost:
            same = self.sums[key[1]].setdefault(number, checksum)
            self.expect("I1", same == checksum, e, "another consumed other items")

    def on_retention_trimmed(self, e):
        """What a living receiver that it knows of has not consumed is kept. One made anew never had
        what was before its state."""
        channel = self.seed.channels[e.number("channel")]
        consumer = self.seed.tasks[channel.target]
        if e.node not in self.whole or e.node in self.lost:
            return
        for place in (consumer.place, consumer.twin):
            node = self.holder.get(place)
            consumed = self.consumed.get((node, channel.number))
            if node is None or node in self.lost or consumed is None or \
                    place in self.told[e.node] or place in self.gave_up[e.node]:
                continue
            self.expect("B5", e.number("below") <= consumed, e,
                        f"{node} has consumed those below {consumed}")


class ClusterRules(Rules):
    """Controllers and agents of production; what parts do is the simulator's."""

    def __init__(self, seed):
        super().__init__()
        self.term, self.jobs = 0, {}

    def on_leader_elected(self, e):
        self.expect("S8", e.number("term") > self.term, e, f"term {self.term} was there before")
        self.term = e.number("term")

    def on_job_written(self, e):
        self.expect("S8", e.number("term") == self.term, e, f"the leader's term is {self.term}")
        job = self.jobs.setdefault(e.fields["job"], JobRules(self))
        job.written(e)

    def take(self, event):
        super().take(event)
        job = self.jobs.get(event.fields.get("job"))
        handler = getattr(job, "on_" + event.name, None)
        if handler is not None:
            handler(event)


FINISHED = 4


class JobRules:
    """Of one job."""

    def __init__(self, rules):
        self.rules = rules
        self.state, self.lost, self.boot, self.begun_by = 0, set(), "0", None
        self.successors, self.under, self.highest = [], {}, 0
        self.heard = defaultdict(set)  # by term: places
        self.alone, self.admitted, self.repaired = set(), set(), set()
        self.boots = {}                # by place: of who has it
        self.place = None              # that is repaired

    def written(self, e):
        expect, state = self.rules.expect, e.number("state")
        lost = {int(n) for n in e.items("lost")}
        expect("S7", self.state < FINISHED, e, f"it had ended in state {self.state}")
        self.state = state
        successors = [int(text, 16) for text in e.items("successors")]
        for place in self.lost - lost:
            self.whole(e, place, successors, lost)
        if e.fields["boot"] not in ("0", self.boot):
            self.begin(e, lost)
        if e.fields["boot"] == "0":
            self.boot = "0"
        self.lost, self.successors = lost, successors
        self.highest = max([self.highest, *successors])

    def begin(self, e, lost):
        """Whoever is not lost was heard in this term, and does without who is."""
        expect = self.rules.expect
        self.boot, self.begun_by = e.fields["boot"], e.number("term")
        self.place = int(e.fields["repair"].split(":")[0])
        self.admitted, self.repaired = set(), set()
        living = set(range(len(self.successors))) - lost
        unheard = living - self.heard[e.number("term")]
        expect("G11", not unheard, e, f"places {sorted(unheard)} were not heard in this term")

    def whole(self, e, place, successors, lost):
        expect = self.rules.expect
        living = set(range(len(successors))) - lost - {place}
        missing = living - self.repaired
        expect("G13", not missing, e, f"places {sorted(missing)} have not given all")
        expect("G16", e.number("term") == self.begun_by, e,
               f"it was begun by the leader of term {self.begun_by}")
        old = [n for p, n in enumerate(successors) if p not in lost and n <= self.highest]
        expect("G14", not old, e, f"successors {[hex(n) for n in old]} are not renewed")
        kept = [p for p in lost if successors[p] != self.successors[p]]
        expect("G14", not kept, e, f"places {kept} are lost and keep theirs")
        self.boots[place] = self.boot
        self.under.pop(place, None)
        self.alone = {(at, of) for at, of in self.alone if of != place and at != place}

    def on_part_heard(self, e):
        self.heard[e.number("term")].add(e.number("place"))

    def on_loss_told(self, e):
        self.take_over(e)

    def on_alone_told(self, e):
        self.take_over(e)
        place = e.number("place")
        if self.is_current(e):
            self.alone.add((e.number("at"), place))
            self.rules.expect("G3", place in self.lost, e, "that it is lost is not written")

    def is_current(self, e):
        """One that is lost may hear late what was told before."""
        at = e.number("at")
        return at not in self.lost and e.fields["as"] == self.boots.get(at, "0")

    def take_over(self, e):
        """Whoever tells, however late, a place is taken over under one incarnation."""
        if not self.is_current(e) or self.state >= FINISHED:
            return
        place, successor = e.number("place"), e.hexadecimal("successor")
        same = self.under.setdefault(place, successor)
        self.rules.expect("S1", same == successor, e, f"others take it over under {same:x}")
        recorded = self.successors[place] if place < len(self.successors) else None
        self.rules.expect("S5", recorded == successor, e, f"the record names {recorded:x}")

    def on_place_admitted(self, e):
        if e.fields["boot"] == self.boot:
            self.admitted.add(e.number("at"))

    def on_place_repaired(self, e):
        if e.fields["boot"] == self.boot:
            self.repaired.add(e.number("at"))

    def on_feed_told(self, e):
        if e.fields["boot"] != self.boot:
            return
        living = set(range(len(self.successors))) - self.lost
        missing = living - self.admitted
        self.rules.expect("G12", not missing, e, f"places {sorted(missing)} have not admitted it")


def check(seed):
    """Returns the rules of a seed, with what they found."""
    rules = (NodeRules if seed.world == "replicas" else ClusterRules)(seed)
    for event in seed.events:
        rules.take(event)
    return rules
