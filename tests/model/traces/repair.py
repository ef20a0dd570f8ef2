"""Traces as repair.pml sees them: one task's two places, one of which is lost and given to another
node; beside them one node, which has an instance of what consumes the task's items.

Of a world of nodes what the instances are is seen, who admitted the new holder, and of the items
one: those below a number, chosen where the owner's state was taken. Of a cluster what is written and
told is, and how far the leader has come.
"""

from traces.inclusion import ANY, View

A, B, C, E, D, F = range(6)
SPARES = (D, F)
EMPTY, FOLLOWS, OWNER, ALONE, FEEDS = range(5)
ADMITTING, FEEDING, WRITING, GIVEN_UP = range(1, 5)
NODES = (A, B, C, D, F)
INSTANCES = (A, B, D, F)

TWIN_OF_SPARE = {D: "(now.spare_at[0] ^ 1)", F: "(now.spare_at[1] ^ 1)", A: "1", B: "0"}

FIELDS = {
    **{f"dead{n}": f"now.dead >> {n} & 1" for n in NODES},
    **{f"role{n}": f"now.in[{n}].role" for n in INSTANCES},
    **{f"fed{n}": f"now.in[{n}].role == {FEEDS} && now.in[{n}].fed >= 1" for n in INSTANCES},
    **{f"lost{n}{p}": f"now.no[{n}].lost >> {p} & 1" for n in (A, B, C) for p in (0, 1)},
    **{f"alone{n}": f"now.no[{n}].alone >> {twin} & 1" for n, twin in TWIN_OF_SPARE.items()},
    **{f"holder{n}{p}": f"(now.no[{n}].holder[{p}] >= {D} ? now.no[{n}].holder[{p}] : 0)"
       for n in (A, B, C) for p in (0, 1)},
    **{f"count{n}": f"now.in[{n}].count" for n in INSTANCES},
    "spares": "now.spares",
    "at0": "now.spare_at[0]",
    "at1": "now.spare_at[1]",
    **{f"whole{p}": f"(now.meta_holder[{p}] >= {D} ? now.meta_holder[{p}] : 0)" for p in (0, 1)},
    "last": "now.re[0].last >= 1",
    "from": "now.re[0].from",
    "office": "now.office",
    "repairs": "now.meta_repair",
    **{f"written{p}": f"now.meta_lost >> {p} & 1" for p in (0, 1, 2)},
    **{f"phase{n}": f"now.le[{n}].repair" for n in (0, 1)},
}

ONLY_CLUSTER = [name for name in FIELDS
                if name[:-1] in ("alone", "written", "phase", "count") or name in ("office", "repairs") or
                (name.startswith("lost") and not name.startswith(f"lost{C}"))]
# There nobody makes an item: whatever the instances do, the control plane does not see it.
ONLY_NODES = [name for name in FIELDS if name[:-1] in ("role", "fed") or name == "from"]

NODE_VARIANTS = (("G12", "FEED_BEFORE_ALL_ADMITTED"), ("G13", "GATED_NEVER_AGAIN"),
                 ("G13", "WHOLE_BEFORE_ALL_REPAIRED"), ("G13", "RECEIVERS_NOT_AWAITED"),
                 ("G13", "DROPPED_AFTER_LISTED"), ("G16", "LOSS_DURING_REPAIR_IGNORED"))
CLUSTER_VARIANTS = (("G11", "UNHEARD_RENEWED"), ("G12", "FEED_BEFORE_ALL_ADMITTED"),
                    ("G15", "ALONE_KEPT"), ("G16", "LOSS_DURING_REPAIR_IGNORED"),
                    ("G16", "NEW_LEADER_GOES_ON"), ("G17", "GIVEN_UP_UNSETTLED"))


class Places:
    """Who has the two places, by letter, and what is common to both worlds."""

    def __init__(self, view, first, aside, hidden):
        self.view = view
        self.letter_of = dict(first)
        if aside is not None:
            self.letter_of[aside] = C
        else:
            hidden = hidden + [name for name in FIELDS if name[-2] == str(C) or
                               name in (f"dead{C}", "last", "from", "written2")]
        self.spares = 0
        self.lost = set()
        view.hide(hidden)

    def follow(self, events):
        """As far as `take`, which each world has of its own, says that the model goes."""
        for e in events:
            if not self.take(e):
                break
        return self.view

    def give(self, event, place, node, values=()):
        """Returns whether the model still has a node for it."""
        if self.spares == len(SPARES):
            return False
        letter = SPARES[self.spares]
        self.letter_of[node] = letter
        self.spares += 1
        self.view.see(event, spares=self.spares, **{f"at{self.spares - 1}": place}, **dict(values))
        return True

    def lose(self, event, letter, dead):
        """It died, or was given up and lives; nothing of it is looked at any more."""
        if letter in self.lost:
            return
        self.lost.add(letter)
        self.view.failures += 1
        values = {name: ANY for name in FIELDS if name[:-1] in
                  (f"lost{letter}", f"holder{letter}") or
                  name in (f"role{letter}", f"fed{letter}", f"alone{letter}")}
        self.view.see(event, **values, **{f"dead{letter}": int(dead) or ANY})

    def admit(self, event, letter, place, spare):
        values = {} if letter == C else {f"alone{letter}": 0}
        if letter in (A, B, C):
            values |= {f"holder{letter}{place}": spare, f"lost{letter}{place}": 0}
        self.view.see(event, **values)


# ---- a world of nodes


class Nodes(Places):
    """One task of it, and of a channel of its items that below `number`."""

    def __init__(self, view, task, aside, number):
        super().__init__(view, {f"n{task.place}": A, f"n{task.twin}": B}, aside,
                         list(ONLY_CLUSTER))
        self.places = {task.place: 0, task.twin: 1}
        self.number, self.newest = number, None
        view.rows.append({**view.rows[0], "role0": OWNER, "role1": FOLLOWS})
        view.events.append("the beginning")
        view.values.update(role0=OWNER, role1=FOLLOWS)

    def take(self, e):
        letter = self.letter_of.get(e.node)
        place = self.places.get(e.number("place")) if "place" in e.fields else None
        if e.name == "repair_begun" and place is not None:
            self.newest = e.node
            return self.give(e, place, e.node)
        if letter is None:
            return True
        if e.name == "node_lost" and letter == C:
            return False
        if e.name == "node_lost":
            self.lose(e, letter, e.fields["dead"] == "1")
            return True
        if letter not in self.lost:
            self.see(e, letter, place)
        return True

    def twin_place(self, letter):
        own = letter if letter in (A, B) else self.view.values[f"at{letter - D}"]
        return next(place for place, number in self.places.items() if number != own)

    def see(self, e, letter, place):
        if e.name == "place_admitted" and place is not None:
            self.admit(e, letter, place, self.letter_of[self.newest])
        elif e.name == "loss_told" and letter == C and place is not None:
            self.view.see(e, **{f"lost{C}{place}": 1})
        elif e.name == "place_given_up" and letter == C and place is not None:
            self.view.see(e, **{f"lost{C}{place}": 1})
        elif e.name == "place_whole" and place is not None:
            self.view.see(e, **{f"whole{place}": letter})
            self.view.exercised.update(("G12", "G13"))
        elif letter == C and e.name == "items_consumed":
            self.view.see(e, last=int(e.number("next") >= self.number))
        elif letter == C and e.name == "fence_answered":
            self.view.see(e, **{"from": self.places[e.number("from")]})
        elif letter != C:
            self.see_instance(e, letter)

    def see_instance(self, e, letter):
        """The model's instance does what its node is told in one step; a worker takes its time."""
        if e.name in ("loss_told", "alone_told"):
            owner = self.view.values.get(f"role{letter}") in (OWNER, FEEDS)
            if owner and self.twin_place(letter) == e.number("place"):
                self.view.see(e, **{f"role{letter}": ANY, f"fed{letter}": ANY})
        roles = {"instance_begun": ALONE, "instance_alone": ALONE, "instance_restored": FOLLOWS,
                 "instance_gated": OWNER}
        if e.name in roles:
            self.view.see(e, **{f"role{letter}": roles[e.name], f"fed{letter}": 0})
        elif e.name == "items_fed":
            self.view.see(e, **{f"role{letter}": FEEDS,
                                f"fed{letter}": int(e.number("next") >= self.number)})
        elif e.name == "instance_fed" and self.number is None:
            self.view.see(e, **{f"role{letter}": FEEDS, f"fed{letter}": ANY})


def of_nodes(seed):
    """Yields the views of a seed's world of nodes."""
    if not any(e.name == "repair_begun" for _, e in seed.of_nodes):
        return
    for channel in seed.channels.values():
        task, consumer = seed.tasks[channel.source], seed.tasks[channel.target]
        if task.twin < 0 or consumer.twin < 0:
            continue
        aside = [p for p in (consumer.place, consumer.twin) if p not in (task.place, task.twin)]
        events = seed.of_channel(channel)
        fed = {e.number("next") for e in events if e.name == "items_fed"}
        for number in sorted({n + more for n in fed for more in (0, 1) if n + more > 0})[:4]:
            view = View("repair", ["ONE_LEADER", "TWO_SPARES", "ITEMS=1"],
                        f"channel {channel.number}, item {number - 1}")
            nodes = Nodes(view, task, f"n{aside[0]}" if aside else None, number)
            yield nodes.follow(events)


# ---- a cluster


class Cluster(Places):
    """Two places of a job that have each other's replicas."""

    def __init__(self, view, job, pair, aside):
        super().__init__(view, {job.holders[n]: letter for letter, n in zip((A, B), pair)},
                         None if aside is None else job.holders[aside], list(ONLY_NODES))
        self.places = dict(zip(pair, (0, 1)))
        self.aside, self.terms = aside, [job.term]
        self.lost_places, self.repaired = set(), None

    def take(self, e):
        if e.name == "leader_elected" and e.number("term") > self.terms[-1]:
            self.terms.append(e.number("term"))
            self.view.defines.discard("ONE_LEADER")
            self.view.see(e, office=1, phase0=ANY, phase1=ANY)
            return len(self.terms) < 3
        if e.name == "job_written":
            return e.fields["state"] == "2" and self.see_written(e)
        if e.name == "repair_is":
            return self.see_phase(e)
        letter = self.letter_of.get(e.node)
        if e.name == "process_died" and letter == C:
            return False
        if e.name == "process_died" and letter is not None:
            self.lose(e, letter, True)
        if letter is not None and letter not in self.lost and "place" in e.fields:
            self.see_part(e, letter, self.places.get(e.number("place")))
        return True

    def see_phase(self, e):
        """The model has no write that comes to nothing: where a leader finds that, it ends."""
        phases = {"none": ANY, "chosen": ANY, "admitted": ADMITTING, "fed": FEEDING,
                  "whole": WRITING, "ended": GIVEN_UP}
        if e.number("place") not in self.places or e.number("term") != self.terms[-1]:
            return True
        name, phase = f"phase{len(self.terms) - 1}", phases[e.fields["phase"]]
        if phase == GIVEN_UP and self.view.values.get(name) == WRITING:
            return False
        if phase == GIVEN_UP and len(self.terms) == 2:
            self.view.exercised.add("G16")
        self.view.see(e, **{name: phase})
        return True

    def see_written(self, e):
        lost = {int(n) for n in e.items("lost")}
        if self.aside in lost:
            return False
        phase = {f"phase{len(self.terms) - 1}": ANY}
        repair = e.fields["repair"].split(":") if e.fields["repair"] else None
        whole = [n for n in self.lost_places - lost if n in self.places]
        if whole:
            holder = self.letter_of[e.items("holders")[whole[0]]]
            self.view.see(e, repairs=0, **phase, **{f"whole{self.places[whole[0]]}": holder,
                                                     f"written{self.places[whole[0]]}": 0})
            self.view.exercised.update(("G13", "G17"))
        for n in sorted(lost - self.lost_places):
            if n in self.places:
                letter = self.letter_of[e.items("holders")[n]]
                self.lose(e, letter, False)
        values = {f"written{self.places[n]}": 1 for n in lost if n in self.places}
        self.lost_places = lost
        if repair and int(repair[0]) in self.places and e.fields["boot"] != self.repaired:
            self.repaired = e.fields["boot"]
            self.view.exercised.add("G11")
            return self.give(e, self.places[int(repair[0])], repair[1],
                             {"repairs": 1, **values, **phase})
        self.view.see(e, repairs=int(bool(repair) and int(repair[0]) in self.places), **values,
                      **phase)
        return True

    def see_part(self, e, letter, place):
        if place is None:
            return
        if e.name in ("loss_told", "alone_told") and letter in (A, B, C):
            self.view.see(e, **{f"lost{letter}{place}": 1})
        if e.name == "alone_told" and letter != C:
            self.view.see(e, **{f"alone{letter}": 1})
        elif e.name == "admission_told" and letter in (A, B, C):
            self.view.see(e, **{f"lost{letter}{place}": ANY})
        elif e.name == "place_admitted":
            self.admit(e, letter, place, SPARES[self.spares - 1])
            self.view.exercised.add("G15")
        elif e.name == "place_given_up" and letter in (A, B):
            self.view.see(e, **{f"lost{letter}{place}": ANY})
        elif e.name == "place_given_up" and letter == C:
            self.view.see(e, **{f"lost{letter}{place}": 1})


def of_cluster(seed):
    """Yields the views of a seed's cluster, by job."""
    for job in seed.jobs.values():
        if not any(e.name == "job_written" and e.fields["repair"] for e in job.events):
            continue
        for a, b in job.pairs():
            aside = [n for n in range(len(job.holders)) if n not in (a, b)]
            view = View("repair", ["TWO_SPARES", "ITEMS=1", "ONE_LEADER"], f"job {job.name}, places {a} and {b}")
            yield Cluster(view, job, (a, b), aside[0] if aside else None).follow(job.events)
