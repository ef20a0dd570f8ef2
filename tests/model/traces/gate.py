"""Traces as gate.pml sees them: one task that has a replica, whose items one other task consumes.

Of a world of nodes, every pair of such tasks, and of its items one: those below a number are the
model's one item, and the entries of the log that they depend on its one entry. Which number, is
chosen so that something hangs on it: where a receiver came closest to having what the replica did
not hold, and where each stood when it fenced. It ends where a lost place is given to another node:
that is repair.pml's.

Of a cluster, every two places with each other's replicas, or three of a cycle: who leads, what is
written, what parts are told.
"""

from bisect import bisect_left, bisect_right

from traces.inclusion import ANY, View

A, B, C, E = range(4)
LETTERS = "ABCE"

FIELDS = {
    **{f"dead{n}": f"now.dead >> {n} & 1" for n in range(4)},
    **{f"lost{n}{m}": f"now.no[{n}].lost >> {m} & 1"
       for n in range(4) for m in range(4) if n != m},
    "alone": "now.no[0].alone >> 1 & 1",
    "held": "now.ta[0].held >= 1",
    "begun": "now.ta[0].begun",
    **{f"last{r}": f"now.re[{r}].last >= 1" for r in range(2)},
    **{f"follows{r}": f"now.re[{r}].follows" for r in range(2)},
    **{f"answered{r}": f"now.re[{r}].answered && !now.re[{r}].follows" for r in range(2)},
    "office": "now.office",
    **{f"written{n}": f"now.meta_lost >> {n} & 1" for n in range(4)},
    **{f"heard{n}": f"now.welcomed >> {n} & 1" for n in range(4)},
}

NODE_VARIANTS = (("G1", "NOT_GATED"), ("G2", "ACKS_AFTER_BEGINNING"), ("G4", "FENCE_AFTER_ANSWER"),
                 ("G5", "OPENING_IS_ENOUGH"))
CLUSTER_VARIANTS = (("G3", "ALONE_BEFORE_WRITE"), ("G7", "LISTS_FORGOTTEN"),
                    ("G7", "LISTS_OF_LOST_COUNT"), ("G8", "OTHERS_NOT_AWAITED"),
                    ("G9", "JOIN_IS_HEARD"))


def of_others(letters):
    """The fields of what nobody has."""
    return [name for name in FIELDS
            if any(str(n) in name[-2:] and name[:4] in ("dead", "lost", "writ", "hear")
                   for n in range(4) if n not in letters)]


class Losses:
    """Who is lost, and whom the others were told of; common to both worlds.

    The model tells a node of all that is lost by then; where that came in several pieces it is not
    looked at between. What one that is lost is told is not looked at.
    """

    def __init__(self, view, letter_of):
        self.view, self.letter_of = view, letter_of
        view.hide(of_others(letter_of.values()))
        self.lost, self.told = set(), {n: set() for n in letter_of.values()}
        self.decided = set() # lost, or somebody was told so

    def values(self):
        values = {}
        for n, told in self.told.items():
            waits = self.decided - told - {n}
            for m in self.told:
                if m != n:
                    unseen = n in self.lost or (told and waits)
                    values[f"lost{n}{m}"] = ANY if unseen else int(m in told)
        return values

    def decide(self, n):
        self.view.failures += n not in self.decided
        self.decided.add(n)

    def lose(self, event, place, dead):
        """It died, or was given up and lives; whether that dies later is not looked at."""
        n = self.letter_of.get(place)
        if n is None or n in self.lost:
            return
        self.lost.add(n)
        self.decide(n)
        self.view.see(event, **{f"dead{n}": int(dead) or ANY}, **self.values())

    def tell(self, event, node, place):
        n, m = self.letter_of.get(node), self.letter_of.get(place)
        if n is None or m is None or n == m:
            return
        self.told[n].add(m)
        self.decide(m)
        self.view.see(event, **self.values())


# ---- a world of nodes


class Item:
    """Numbers of a channel's items, and how far the replica holds what those depend on."""

    def __init__(self):
        self.nexts, self.depends = [], []

    def made(self, next_number, index):
        if not self.nexts or next_number > self.nexts[-1]:
            self.nexts.append(next_number)
            self.depends.append(index)

    def entry(self, number):
        at = bisect_left(self.nexts, number)
        return self.depends[at] if at < len(self.nexts) else None

    def first_beyond(self, index):
        """The first that depends on an entry from there on."""
        at = bisect_right(self.depends, index)
        return self.nexts[at] if at < len(self.nexts) else 0


def cuts(events, owner, replica):
    """Returns the entries by item, and the item numbers at which something is decided."""
    item, stored, alone, found, first, least = Item(), 0, False, set(), None, None
    for e in events:
        if e.name == "items_made" and e.node == owner:
            item.made(e.number("next"), e.number("depends"))
        elif e.name == "entry_stored" and e.node == replica:
            stored = e.number("index")
        elif e.name == "instance_begun" and e.node == replica:
            found.add(item.first_beyond(stored))
        elif e.name == "alone_told" and e.node == owner:
            alone |= "n" + e.fields["place"] == replica
        elif e.name == "fence_answered":
            inc = e.hexadecimal("inc")
            first = inc if first is None else first
            if inc != first:
                found.update((e.number("next"), e.number("next") + 1))
        elif e.name == "items_consumed" and e.hexadecimal("inc") == first and not alone:
            entry = item.entry(e.number("next"))
            if entry is not None and (least is None or stored - entry < least[0]):
                least = (stored - entry, e.number("next"))
    if least is not None:
        found.add(least[1])
    return item, sorted(n for n in found if n > 0)[:6]


def view_item(events, item, number, nodes, about):
    """`nodes`: owner and replica, and those of the receivers; of these whoever fails first first."""
    owner, replica, receivers = nodes
    letter_of = {owner: A, replica: B}
    for node in receivers:
        if node not in letter_of:
            letter_of[node] = C if C not in letter_of.values() else E
    at = [letter_of[node] for node in receivers]
    view = View("gate", ["ONE_LEADER", "ITEMS=1",
                         f"NODE_OF(r)=((r) == 0 -> {at[0]} : {at[1]})"], about)
    entry = item.entry(number)
    view.hide(["office", *(f"{name}{n}" for name in ("written", "heard") for n in range(4))])
    losses = Losses(view, letter_of)
    first = {}

    def hide(node):
        hidden = {}
        for r, other in enumerate(receivers):
            if other == node:
                hidden.update({f"last{r}": ANY, f"follows{r}": ANY, f"answered{r}": ANY})
        return hidden

    for e in events:
        r = receivers.index(e.node) if e.node in receivers else None
        if e.name == "repair_begun":
            break
        if e.name == "node_lost":
            view.values.update(hide(e.node))
            if e.node == owner and e.fields["dead"] == "1":
                view.values["held"] = ANY
            if e.node == replica and e.fields["dead"] == "1":
                view.values["begun"] = ANY
            losses.lose(e, e.node, e.fields["dead"] == "1")
        elif e.name == "loss_told":
            losses.tell(e, e.node, "n" + e.fields["place"])
        elif e.name == "alone_told" and e.node == owner and "n" + e.fields["place"] == replica:
            view.see(e, alone=ANY if A in losses.lost else 1)
        elif e.name == "entry_stored" and e.node == replica:
            if view.values.get("held") != ANY and entry is not None:
                view.see(e, held=int(e.number("index") >= entry))
        elif e.name == "instance_begun" and e.node == replica:
            if B in losses.lost: # an older leader had it begin, and could not write that
                view.defines.discard("ONE_LEADER")
            view.see(e, begun=1)
            if view.values.get("held", 0) == 0:
                view.exercised.add("G2")
        elif r is not None and view.values.get(f"last{r}") != ANY:
            see_receiver(view, e, r, number, first)
    return view


def see_receiver(view, e, r, number, first):
    if e.name == "fence_answered":
        expects, inc = e.hexadecimal("expects"), e.hexadecimal("inc")
        start = first.setdefault(r, expects)
        view.see(e, **{f"follows{r}": int(expects != start),
                       f"answered{r}": int(inc > expects and expects == start)})
        if expects != start:
            view.exercised.update(("G4", "G5"))
    elif e.name == "items_consumed":
        view.see(e, **{f"last{r}": int(e.number("next") >= number)})
        if not view.values.get("begun") and not view.values.get("alone"):
            view.exercised.add("G1")


def of_nodes(seed):
    """Yields the views of a seed's world of nodes."""
    for channel in seed.channels.values():
        task, consumer = seed.tasks[channel.source], seed.tasks[channel.target]
        if task.twin < 0 or consumer.twin < 0:
            continue
        owner, replica = f"n{task.place}", f"n{task.twin}"
        events = seed.of_channel(channel)
        receivers = seed.in_order_of_loss([f"n{consumer.place}", f"n{consumer.twin}"])
        item, numbers = cuts(events, owner, replica)
        for number in numbers:
            about = f"channel {channel.number}, item {number - 1}"
            yield view_item(events, item, number, (owner, replica, receivers), about)


# ---- a cluster


def see_cluster(view, job, letter_of):
    """Of what metadata, leaders and parts say of a job until a place is given to another node."""
    losses = Losses(view, letter_of)
    elected = 0
    for e in job.events:
        place = job.place_of(e)
        if e.name == "leader_elected" and e.number("term") > job.term:
            elected += 1
            if elected == 2:
                break
            view.defines.discard("ONE_LEADER")
            view.see(e, office=1)
        elif e.name == "job_written":
            if e.fields["boot"] != "0" or e.fields["state"] != "2":
                break
            see_written(view, losses, e, letter_of)
        elif e.name == "part_heard" and e.number("term") > job.term:
            see_heard(view, losses, e, letter_of.get(e.number("place")))
        elif e.name == "process_died" and place in letter_of:
            losses.lose(e, place, True)
            view.see(e, **{f"heard{letter_of[place]}": ANY})
        elif e.name in ("loss_told", "alone_told"):
            see_early_order(view, letter_of.get(e.number("at")), e)
            losses.tell(e, e.number("at"), e.number("place"))
            if e.name == "alone_told" and letter_of.get(e.number("at")) == A and \
                    letter_of.get(e.number("place")) == B:
                view.see(e, alone=ANY if A in losses.lost else 1)
    return view


def see_written(view, losses, e, letter_of):
    """One write may say it of several."""
    lost = [int(text) for text in e.items("lost") if int(text) in letter_of]
    for place in lost:
        if view.values.get("office") and not view.values.get(f"written{letter_of[place]}"):
            view.exercised.add("G8")
        losses.lose(e, place, False)
    if lost:
        view.exercised.add("G3")
    view.see(e, **{f"written{letter_of[place]}": 1 for place in lost})


def see_early_order(view, n, e):
    """A node obeys from its welcome on, which the model has together with its first report."""
    if n is not None and view.values.get("office") and not view.values.get(f"heard{n}"):
        view.see(e, **{f"heard{n}": ANY})


def see_heard(view, losses, e, n):
    if n is None:
        return
    view.exercised.add("G9")
    if any(not view.values.get(f"written{m}") for m in losses.told[n]):
        view.exercised.add("G7")
    view.see(e, **{f"heard{n}": 1})


def of_cluster(seed):
    """Yields the views of a seed's cluster, by job."""
    for job in seed.jobs.values():
        for a, b in job.pairs():
            letter_of = {a: A, b: B}
            rest = [pair for pair in job.pairs() if a not in pair and pair[0] < pair[1]]
            if rest:
                letter_of.update(zip(job.in_order_of_loss(rest[0]), (C, E)))
            view = View("gate", ["ITEMS=1", "ONE_LEADER"], f"job {job.name}, places {a} and {b}")
            yield see_cluster(view, job, letter_of)
        for a, b, c in job.cycles():
            view = View("gate", ["ITEMS=1", "CYCLE", "ONE_LEADER"], f"job {job.name}, places {a}, {b}, {c}")
            yield see_cluster(view, job, {a: A, b: B, c: C})
