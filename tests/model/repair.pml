/*
 * A replica made anew while the job runs (docs/replicas.md; control/repair.c, dataplane/replica.c),
 * once one of gate.pml's is lost.
 *
 * Task T has two places: 0, held by node A, where its owner is, and 1, held by B, its replica. What
 * it sends is consumed on C; there too is S, whose items it consumes. With PAIR, E has the other
 * instances of both. When A or B is lost D takes the place; with TWO_SPARES F takes the next one,
 * or the same when D is given up.
 *
 * T makes one free choice and sends one item for each of ITEMS; the choice's value is the node that
 * made it, so that two free choices never agree by luck.
 *
 * As in gate.pml: leader 1 may take office at any time; FAILURES are deaths, and living ones that a
 * leader gives up wrongly; what is given up goes on for ever; what was sent arrives later, or, of
 * the dead, never; steps only add, so that each run comes to rest. A write is one step: the leader
 * that does nothing more is the one that never heard how it went. Leaders and nodes speak of
 * places, each with its own view of who holds them.
 */
#ifndef ITEMS
#define ITEMS 2
#endif
#ifndef FAILURES
#define FAILURES 2
#endif

#define A 0
#define B 1
#define C 2
#define E 3
#define D 4
#define F 5
#ifdef TWO_SPARES
#define NODES 6
#else
#define NODES 5
#endif
#ifdef PAIR
#define PLACES 4
#define ASIDE(n) ((n) == C || (n) == E)
#define IS_PAIR true
#else
#define PLACES 3
#define ASIDE(n) ((n) == C)
#define IS_PAIR false
#endif
#define ALL (BIT(PLACES) - 1)
#define BIT(n) (1 << (n))
#define HAS(mask, n) (((mask) >> (n)) & 1)

/* A repair, as a leader knows it. Where it is WRITING the record is under way. */
#define NO_REPAIR 0
#define ADMITTING 1
#define FEEDING 2
#define WRITING 3
#define GIVEN_UP 4

typedef Leader {
	bit on, failing;
	byte heard, listed, gone, lost, written; /* masks of places */
	byte holder[2];
	byte repair, spare;
	byte lose[NODES], lone[NODES]; /* places, told to a node; it may arrive later */
	byte admit;                    /* nodes that were told to */
	bit feed;
};

/* What a node was told, and on C and E what S keeps. */
typedef Node {
	byte lost, alone; /* masks of places */
	byte holder[2];   /* whom it takes for that */
	byte version;     /* of the successors' incarnations */
	byte first;       /* S: items before it are gone */
};

/* T's instances: roles as in replica.h; one that is EMPTY waits for its twin's state. */
#define EMPTY 0
#define FOLLOWS 1
#define OWNER 2
#define ALONE 3
#define FEEDS 4

typedef Instance {
	byte role, inc;     /* it has opened under */
	byte value[ITEMS];  /* of entry and item */
	byte count, logged; /* entries obeyed or made; known */
	byte base;          /* items before it are not kept */
	byte held;          /* acknowledged by the twin, as it knows */
	byte gated, fed;    /* end of the log when it was gated; entries in the state that it fed */
};

typedef Receiver {
	byte last; /* items consumed */
	byte from; /* place */
	byte inc;  /* expected */
};

Leader le[2];
Node no[NODES];
Instance in[NODES];
Receiver re[2];
byte spare_at[2];     /* place of D, of F */
byte spares;          /* tried */
byte meta_lost, meta_holder[2];
bit meta_repair;
bit office;           /* leader 1 is, or was, in it */
bool failed;          /* so metadata says */
byte welcomed;        /* nodes that obey leader 1 */
byte dead, dropped;   /* nodes; what they had sent and has not arrived is gone */
byte failures;
byte owed;            /* of those that hold a place, since all were whole */
bit c_failed;
byte truth[ITEMS];    /* what was consumed, whoever did */

#define PLACE(n) ((n) < D -> (n) : spare_at[(n) - D])
#define TWIN(p) ((p) ^ 1)
#define NODE_OF(r) ((r) + C)
#define TWIN_NODE(x) no[x].holder[TWIN(PLACE(x))]
#define FROM(r) no[NODE_OF(r)].holder[re[r].from]
#define HOLDER(l, p) ((p) < C -> le[l].holder[p] : (p))
#define HOLDS(l, n) (PLACE(n) >= C || le[l].holder[PLACE(n)] == (n))
#define COUNTED(n) (!HAS(meta_lost, PLACE(n)) && (PLACE(n) >= C || meta_holder[PLACE(n)] == (n)))
#define ALIVE(n) (!HAS(dead, n))
#define ARRIVES_OF(n) (!HAS(dropped, n))

/* Chosen by the leader at each repair, higher than all before; of one set either may be higher. */
#ifdef SUCCESSORS_NOT_RENEWED
#define SUCCESSOR(n, p) (3 - (p))
#else
#define SUCCESSOR(n, p) (3 - (p) + 2 * no[n].version)
#endif

/* ---- leaders: takeover.c, repair.c */

#define LEADS(l) (!failed && le[l].on && !le[l].failing)
#define OBEYS(n, l) (ALIVE(n) && HAS(welcomed, n) == l)
#define IS_OPEN(l) (le[l].repair == ADMITTING || le[l].repair == FEEDING)
#define IN_REPAIR(l) (IS_OPEN(l) || le[l].repair == WRITING)
#define REPAIRED_PLACE(l) PLACE(le[l].spare)
/* Nothing is told of the loss of a place which is admitted again. */
#define HIDDEN(l) (IN_REPAIR(l) -> BIT(REPAIRED_PLACE(l)) : 0)

#define GONE(l) ((le[l].gone | le[l].listed) & ~le[l].lost)
#define UNHEARD(l, p) (ALL & ~BIT(p) & ~le[l].lost & ~le[l].heard)
#define KNOWN(l, p) (HAS(le[l].heard, p) || (UNHEARD(l, p) & ~gone) == 0)
#ifdef LOSS_DURING_REPAIR_IGNORED
#define WITHOUT(l) ((le[l].lost & ~HIDDEN(l)) | gone)
#define SPEAKS(l, n) (HOLDS(l, n) || IN_REPAIR(l) && (n) == le[l].spare)
#else
#define WITHOUT(l) (le[l].lost | gone)
#define SPEAKS(l, n) HOLDS(l, n)
#endif
/* While it is not known whether the place is whole, nothing is decided that depends on it. */
#define UNDECIDED(l, p) (le[l].repair == WRITING && (p) == TWIN(REPAIRED_PLACE(l)))

inline tell(l)
{
	i = 0;
	do
	:: i < NODES ->
		if
		:: SPEAKS(l, i) && ALIVE(i) && HAS(welcomed, i) == l &&
			!HAS((le[l].lost & ~HIDDEN(l)) | le[l].gone, PLACE(i)) ->
			le[l].lose[i] = le[l].lost & ~HIDDEN(l) & ~no[i].lost;
			le[l].lone[i] = (ASIDE(i) -> 0 :
				le[l].written & BIT(TWIN(PLACE(i))) & ~HIDDEN(l) & ~no[i].alone)
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0
}

inline give_up(l)
{
	le[l].repair = GIVEN_UP; le[l].admit = 0; le[l].feed = 0
}

inline look(l)
{
	gone = GONE(l);
	i = 0;
	do
	:: i < PLACES && !le[l].failing ->
		if
		:: !HAS(gone, i) || UNDECIDED(l, i)
		:: HAS(gone, i) && !UNDECIDED(l, i) && HAS(WITHOUT(l), TWIN(i)) -> le[l].failing = 1
		:: HAS(gone, i) && !UNDECIDED(l, i) && !HAS(WITHOUT(l), TWIN(i)) && KNOWN(l, i) ->
			le[l].lost = le[l].lost | BIT(i)
		:: else /* known later */
		fi;
		i++
	:: else -> break
	od;
	le[l].gone = le[l].gone & ~le[l].lost; le[l].listed = le[l].listed & ~le[l].lost;
#ifndef LOSS_DURING_REPAIR_IGNORED
	if
	:: gone != 0 && IS_OPEN(l) -> give_up(l)
	:: else
	fi;
#endif
	gone = 0;
	tell(l)
}

inline resign()
{
	le[0].on = 0; le[0].failing = 0; le[0].heard = 0; le[0].gone = 0; le[0].lost = 0;
	le[0].written = 0; le[0].repair = NO_REPAIR
}

#define REFUSED(l) (l == 0 && office)

inline write(l)
{
	if
	:: REFUSED(l) -> resign()
	:: !REFUSED(l) && le[l].failing -> failed = true
	:: else ->
		meta_lost = le[l].lost; le[l].written = le[l].lost;
		if
		:: le[l].repair == GIVEN_UP -> le[l].repair = NO_REPAIR; meta_repair = 0
		:: else
		fi;
		tell(l)
	fi
}

/* R1 */
#ifdef UNHEARD_RENEWED
#define ALL_HEARD(l) true
#define ASKED_OF(l, n) (!HAS(le[l].lost, PLACE(n)) && HAS(le[l].heard, PLACE(n)))
#else
#define ALL_HEARD(l) ((le[l].heard | le[l].lost) == ALL)
#define ASKED_OF(l, n) (!HAS(le[l].lost, PLACE(n)))
#endif
#define MAY_BEGIN(l, p) (LEADS(l) && le[l].repair == NO_REPAIR && HAS(le[l].lost, p) && \
	le[l].lost == le[l].written && GONE(l) == 0 && ALL_HEARD(l) && \
	HAS(no[HOLDER(l, TWIN(p))].alone, p) && spares < NODES - D)

/* The write of R2, and what is told once it is settled. The spare has nothing yet. */
inline begin_repair(l, p)
{
	if
	:: REFUSED(l) -> resign()
	:: else ->
		i = D + spares; spares++;
		le[l].spare = i; spare_at[i - D] = p; meta_repair = 1;
		no[i].lost = le[l].lost & ~BIT(p); no[i].version = i - D + 1;
		no[i].holder[p] = i; no[i].holder[TWIN(p)] = le[l].holder[TWIN(p)];
		welcomed = welcomed | (l << i);
		le[l].repair = ADMITTING;
		i = le[l].holder[TWIN(p)];
		le[l].admit = (ASKED_OF(l, i) -> BIT(i) : 0) | (ASKED_OF(l, C) -> BIT(C) : 0) |
			(IS_PAIR && ASKED_OF(l, E) -> BIT(E) : 0);
		i = 0
	fi
}

/* What their parts list. */
#define HAS_ADMITTED(l, n) (no[n].holder[REPAIRED_PLACE(l)] == le[l].spare && \
	!HAS(no[n].lost, REPAIRED_PLACE(l)))
#define ADMITTED_AT(l, n) (!ASKED_OF(l, n) || HAS_ADMITTED(l, n))
#define TWIN_OF(l) HOLDER(l, TWIN(REPAIRED_PLACE(l)))
#ifdef FEED_BEFORE_ALL_ADMITTED
#define MAY_FEED(l) ADMITTED_AT(l, TWIN_OF(l))
#else
#define MAY_FEED(l) (ADMITTED_AT(l, TWIN_OF(l)) && ADMITTED_AT(l, C) && \
	(!IS_PAIR || ADMITTED_AT(l, E)))
#endif

#ifdef DROPPED_AFTER_LISTED
#define KEEPS(l, n) true
#else
#define KEEPS(l, n) (!ASKED_OF(l, n) || (HAS_ADMITTED(l, n) && in[le[l].spare].role != EMPTY))
#endif
#ifdef RECEIVERS_NOT_AWAITED
#define REACHED(x, r) true
#else
#define REACHED(x, r) (HAS(no[x].lost, NODE_OF(r)) || re[r].last >= in[x].fed)
#endif
#ifdef GATED_NEVER_AGAIN
#define IS_SAFE(x) (in[TWIN_NODE(x)].role == FOLLOWS)
#elif defined(REPAIRED_BEFORE_HELD)
#define IS_SAFE(x) (in[x].role == OWNER)
#else
#define IS_SAFE(x) (in[x].role == OWNER && in[x].held >= in[x].gated)
#endif
#define TWIN_IS_SAFE(l) (HAS_ADMITTED(l, TWIN_OF(l)) && IS_SAFE(TWIN_OF(l)) && \
	REACHED(TWIN_OF(l), 0) && (!IS_PAIR || REACHED(TWIN_OF(l), 1)))
#ifdef WHOLE_BEFORE_ALL_REPAIRED
#define ALL_REPAIRED(l) true
#else
#define ALL_REPAIRED(l) (TWIN_IS_SAFE(l) && KEEPS(l, C) && (!IS_PAIR || KEEPS(l, E)))
#endif

#define BITS(m) (HAS(m, 0) + HAS(m, 1) + HAS(m, 2) + HAS(m, 3))
#define GONE_OF(l) (le[l].lost | le[l].gone | (dead & (BIT(C) | BIT(E))) | \
	(ALIVE(le[l].holder[0]) -> 0 : BIT(0)) | (ALIVE(le[l].holder[1]) -> 0 : BIT(1)))

/* The write of R6. */
inline make_whole(l)
{
	if
	:: REFUSED(l) -> resign()
	:: else ->
		i = REPAIRED_PLACE(l);
		le[l].holder[i] = le[l].spare; meta_holder[i] = le[l].spare;
		le[l].lost = le[l].lost & ~BIT(i); le[l].written = le[l].written & ~BIT(i);
		meta_lost = meta_lost & ~BIT(i);
		le[l].listed = le[l].listed & ~BIT(i); le[l].gone = le[l].gone & ~BIT(i);
		le[l].heard = le[l].heard | BIT(i);
		le[l].repair = NO_REPAIR; meta_repair = 0;
		owed = BITS(GONE_OF(l));
		look(l)
	fi
}

/* What a part lists; what it was told of places, whoever held them. */
inline welcome(n)
{
	welcomed = welcomed | BIT(n);
	le[0].lose[n] = 0; le[0].lone[n] = 0; le[0].admit = le[0].admit & ~BIT(n);
	le[1].heard = le[1].heard | BIT(PLACE(n));
	if
	:: !HAS(le[1].lost, PLACE(n)) ->
		le[1].listed = le[1].listed | (no[n].lost & ~le[1].lost)
	:: else
	fi;
	le[1].gone = le[1].gone & ~BIT(PLACE(n));
	look(1)
}

inline take_office()
{
	office = 1; le[1].on = 1; le[1].lost = meta_lost; le[1].written = meta_lost;
	le[1].holder[0] = meta_holder[0]; le[1].holder[1] = meta_holder[1];
	if
#ifdef NEW_LEADER_GOES_ON
	:: meta_repair -> le[1].repair = WRITING; le[1].spare = le[0].spare
#else
	:: meta_repair -> le[1].repair = GIVEN_UP
#endif
	:: else
	fi
}

/* ---- what fails */

/* C and E are alike: of the two C is the first that fails. */
#define MAY_FAIL(n) (failures < FAILURES && ALIVE(n) && COUNTED(n) && \
	((n) != C || IS_PAIR) && ((n) != E || c_failed))
#define IS_SPARE(n) ((n) >= D && (n) - D < spares && meta_holder[PLACE(n)] != (n))

/* What cannot be seen any more is forgotten, so that there are fewer states. */
inline forget_instance(n)
{
	in[n].role = EMPTY; in[n].inc = 0; in[n].count = 0; in[n].logged = 0; in[n].base = 0;
	in[n].held = 0; in[n].gated = 0; in[n].fed = 0; i = 0;
	do
	:: i < ITEMS -> in[n].value[i] = 0; i++
	:: else -> break
	od;
	i = 0
}

inline forget(n)
{
	no[n].lost = 0; no[n].alone = 0; no[n].first = 0; no[n].version = 0;
	no[n].holder[0] = 0; no[n].holder[1] = 0;
	if
	:: n == C -> re[0].last = 0; re[0].from = 0; re[0].inc = 0
	:: n == E -> re[1].last = 0; re[1].from = 0; re[1].inc = 0
	:: else -> forget_instance(n)
	fi
}

inline die(n)
{
	dead = dead | BIT(n);
	le[0].lose[n] = 0; le[0].lone[n] = 0; le[1].lose[n] = 0; le[1].lone[n] = 0;
	le[0].admit = le[0].admit & ~BIT(n); le[1].admit = le[1].admit & ~BIT(n);
	if
	:: ASIDE(n) -> dropped = dropped | BIT(n); forget(n)
	:: else
	fi
}

inline fail(n)
{
	failures++; c_failed = c_failed | (n == C);
	owed = owed + COUNTED(n)
}

inline suspect(n)
{
	if
	:: ALIVE(n) -> fail(n)
	:: else
	fi
}

/* Whether anybody takes anything of it: never again, once nobody does. */
#define HEEDS(n, x) (ALIVE(n) && no[n].holder[PLACE(x)] == (x) && !HAS(no[n].lost, PLACE(x)))
#define TAKES(r, x) (ALIVE(NODE_OF(r)) && FROM(r) == (x))
#ifdef SAME_BOOT
#define HEEDED(x) true
#else
#define HEEDED(x) (HEEDS(C, x) || TAKES(0, x) || IS_PAIR && (HEEDS(E, x) || TAKES(1, x)) || \
	HEEDS(TWIN_NODE(x), x))
#endif

inline forget_unheeded()
{
	x = 0;
	do
	:: x < NODES ->
		if
		:: !ASIDE(x) && in[x].role != EMPTY && !HEEDED(x) ->
			forget_instance(x);
			dropped = dropped | (dead & BIT(x))
		:: else
		fi;
		x++
	:: else -> break
	od;
	x = 0
}

/* ---- nodes, as they were told */

/* S keeps what any that it knows of has not consumed: it hears of that at once, which is worst. */
#ifdef SAME_BOOT
#define LEAST(n, p) (in[p].count > in[no[n].holder[p]].count -> in[p].count : \
	in[no[n].holder[p]].count)
#else
#define LEAST(n, p) in[no[n].holder[p]].count
#endif
#define TOLD_OF(n, p) (HAS(no[n].lost, p) -> ITEMS : LEAST(n, p))

inline trim(n)
{
	do
	:: no[n].first < TOLD_OF(n, 0) && no[n].first < TOLD_OF(n, 1) && (no[n].lost & 3) != 3 ->
		no[n].first++
	:: else -> break
	od;
	i = 0
}

#define STREAMS(x) (in[x].role == OWNER || in[x].role == FEEDS)

/* Whoever was gated goes on without. */
inline go_alone(n)
{
	if
	:: STREAMS(n) ->
		assert(HAS(meta_lost, TWIN(PLACE(n)))); /* whoever leads, nobody takes over from it */
		in[n].role = ALONE; in[n].held = 0; in[n].gated = 0; in[n].fed = 0
	:: else
	fi
}

inline hear_lost(l, n)
{
	no[n].lost = no[n].lost | le[l].lose[n]; le[l].lose[n] = 0;
	if
	:: ASIDE(n) -> trim(n)
	:: !ASIDE(n) && (no[n].lost & no[n].alone) -> go_alone(n)
	:: else
	fi;
	forget_unheeded()
}

inline hear_alone(l, n)
{
	no[n].lost = no[n].lost | le[l].lose[n] | le[l].lone[n]; le[l].lose[n] = 0;
	no[n].alone = no[n].alone | le[l].lone[n]; le[l].lone[n] = 0;
	go_alone(n);
	forget_unheeded()
}

/* A worker applies an admission once its tasks have no more to do with the one before. */
#define CAN_ADMIT(l, n) ((n) == C -> re[0].from != REPAIRED_PLACE(l) : \
	(IS_PAIR && (n) == E -> re[1].from != REPAIRED_PLACE(l) : in[n].role == ALONE))

inline hear_admission(l, n)
{
	i = REPAIRED_PLACE(l);
	le[l].admit = le[l].admit & ~BIT(n);
	no[n].holder[i] = le[l].spare; no[n].version = le[l].spare - D + 1;
	no[n].lost = no[n].lost & ~BIT(i);
#ifndef ALONE_KEPT
	no[n].alone = no[n].alone & ~BIT(i);
#endif
	i = 0;
	forget_unheeded()
}

/* It is dead, or is given up though it lives. */
#define LOSS_STEP(l, p) \
	:: d_step { LEADS(l) && !HAS(le[l].gone | le[l].lost, p) && \
		(!ALIVE(HOLDER(l, p)) || MAY_FAIL(HOLDER(l, p))) -> \
		x = HOLDER(l, p); suspect(x); x = 0; \
		le[l].gone = le[l].gone | BIT(p); look(l) }
#define WELCOME_STEP(p) \
	:: d_step { LEADS(1) && ALIVE(HOLDER(1, p)) && !HAS(welcomed, HOLDER(1, p)) -> \
		x = HOLDER(1, p); welcome(x); x = 0 }

#define LEADER_STEPS(l, n) \
	:: d_step { !failed && OBEYS(n, l) && le[l].lose[n] != 0 -> hear_lost(l, n) } \
	:: d_step { !failed && OBEYS(n, l) && le[l].lone[n] != 0 -> hear_alone(l, n) } \
	:: d_step { !failed && OBEYS(n, l) && HAS(le[l].admit, n) && \
		(le[l].lose[n] | le[l].lone[n]) == 0 && CAN_ADMIT(l, n) -> hear_admission(l, n) }

#ifdef ONE_LEADER
#define LATER_STEPS(n)
#else
#define LATER_STEPS(n) LEADER_STEPS(1, n)
#endif
#define NODE_STEPS(n) \
	LEADER_STEPS(0, n) \
	LATER_STEPS(n) \
	:: d_step { !failed && (MAY_FAIL(n) || (failures < FAILURES && IS_SPARE(n) && ALIVE(n))) -> \
		fail(n); die(n) } \
	:: d_step { !failed && !ALIVE(n) && ARRIVES_OF(n) -> \
		dropped = dropped | BIT(n); forget(n) }

#define REPAIR_STEPS(l) \
	:: d_step { MAY_BEGIN(l, 0) -> begin_repair(l, 0) } \
	:: d_step { MAY_BEGIN(l, 1) -> begin_repair(l, 1) } \
	:: d_step { LEADS(l) && le[l].repair == ADMITTING && MAY_FEED(l) -> \
		le[l].repair = FEEDING; le[l].feed = 1 } \
	:: d_step { LEADS(l) && le[l].repair == FEEDING && ALL_REPAIRED(l) -> \
		le[l].repair = WRITING; le[l].admit = 0; le[l].feed = 0 } \
	:: d_step { !failed && le[l].on && le[l].repair == WRITING -> make_whole(l) } \
	GIVE_UP_STEPS(l) \
	:: d_step { !failed && le[l].feed && OBEYS(TWIN_OF(l), l) && \
		HAS_ADMITTED(l, TWIN_OF(l)) && in[TWIN_OF(l)].role == ALONE -> \
		le[l].feed = 0; i = TWIN_OF(l); begin_feed(i); i = 0 } \
	:: d_step { !failed && le[l].on && le[l].repair != WRITING && (le[l].failing || \
		le[l].lost != le[l].written || le[l].repair == GIVEN_UP) -> write(l) }

/* For any reason, at any time: what the spare says, or that it took too long. */
#ifdef NO_TIMEOUT
#define LISTS_NO_MORE(l, n) (ASKED_OF(l, n) && !HAS(le[l].admit, n) && !HAS_ADMITTED(l, n))
#define GIVE_UP_STEPS(l) \
	:: d_step { LEADS(l) && IS_OPEN(l) && \
		(LISTS_NO_MORE(l, C) || IS_PAIR && LISTS_NO_MORE(l, E) || !ALIVE(le[l].spare)) -> \
		give_up(l); tell(l) }
#elif defined(GIVEN_UP_UNSETTLED)
#define GIVE_UP_STEPS(l) \
	:: d_step { LEADS(l) && IS_OPEN(l) -> give_up(l); tell(l) } \
	:: d_step { LEADS(l) && le[l].repair == WRITING && le[l].lone[TWIN_OF(l)] == 0 && \
		OBEYS(TWIN_OF(l), l) && HAS_ADMITTED(l, TWIN_OF(l)) -> \
		le[l].lone[TWIN_OF(l)] = BIT(REPAIRED_PLACE(l)) }
#else
#define GIVE_UP_STEPS(l) \
	:: d_step { LEADS(l) && IS_OPEN(l) -> give_up(l); tell(l) }
#endif

/* ---- tasks */

/* The owner x has a session with the holder of the other place. */
#define SERVES(x, y) (no[x].holder[PLACE(y)] == (y) && !HAS(no[x].lost, PLACE(y)))

inline begin_feed(x)
{
	in[x].role = FEEDS; in[x].fed = in[x].count
}

/* The owner's frames arrive when they will: so may this. */
inline acknowledge(y)
{
	if
	:: in[TWIN_NODE(y)].held < in[y].logged -> in[TWIN_NODE(y)].held = in[y].logged
	:: else
	fi
}

/* What was before it the spare has consumed, and has not kept. */
inline restore(y)
{
	i = 0;
	do
	:: i < in[TWIN_NODE(y)].fed -> in[y].value[i] = in[TWIN_NODE(y)].value[i]; i++
	:: else -> break
	od;
	in[y].count = i; in[y].logged = i; in[y].base = i; in[y].role = FOLLOWS;
	i = 0;
	acknowledge(y)
}

inline take_log(y)
{
	in[y].value[in[y].logged] = in[TWIN_NODE(y)].value[in[y].logged];
	in[y].logged++;
	acknowledge(y)
}

/* S's items: of C's instance, of E's when C is lost. One that was lost may have them already. */
#define KEPT_AT(n, x) (ALIVE(n) && ((x) < C && \
	(no[n].holder[PLACE(x)] != (x) || HAS(no[n].lost, PLACE(x))) || \
	no[n].holder[PLACE(x)] == (x) && !HAS(no[n].lost, PLACE(x)) && \
	no[n].first <= in[x].count))
#define HAS_INPUT(x) (!HAS(no[x].lost, C) && KEPT_AT(C, x) || \
	HAS(no[x].lost, C) && HAS(no[E].lost, C) && KEPT_AT(E, x))

/* What it knows is obeyed; behind that the owner chooses. */
inline advance(x)
{
	if
	:: in[x].count == in[x].logged ->
		in[x].value[in[x].count] = x + 1; in[x].logged++
	:: else
	fi;
	in[x].count++;
	trim(C)
#ifdef PAIR
	; trim(E)
#endif
}

inline take_over(x)
{
	assert(x < C || meta_holder[PLACE(x)] == x); /* no place that is not whole */
	in[x].role = ALONE; in[x].inc = SUCCESSOR(x, TWIN(PLACE(x)))
}

#define MAY_LEAVE(x, n) (in[x].role != OWNER || (n) < in[x].held || (n) < in[x].gated)
#define RELEASED(x, n) (in[x].role >= OWNER && (n) < in[x].count && MAY_LEAVE(x, n))
/* Behind what is still to be obeyed. */
#ifdef GATED_AT_OBEYED
#define LOG_END(x) in[x].count
#else
#define LOG_END(x) in[x].logged
#endif

#define TASK_STEPS(x) \
	:: d_step { !failed && in[x].role >= OWNER && in[x].count < ITEMS && ALIVE(x) && \
		HEEDED(x) && HAS_INPUT(x) -> advance(x) } \
	:: d_step { !failed && in[x].role <= FOLLOWS && HAS(no[x].lost, TWIN(PLACE(x))) && \
		ALIVE(x) && HEEDED(x) -> take_over(x) } \
	:: d_step { !failed && in[x].role == FOLLOWS && ALIVE(x) && ARRIVES_OF(TWIN_NODE(x)) && \
		STREAMS(TWIN_NODE(x)) && SERVES(TWIN_NODE(x), x) && \
		in[x].logged < in[TWIN_NODE(x)].logged -> take_log(x) } \
	:: d_step { !failed && ALIVE(x) && in[x].role == FEEDS && ANSWERED(x) -> \
		in[x].role = OWNER; in[x].gated = LOG_END(x) } \
	ZOMBIE_STEPS(x)

#define ANSWERED_BY(x, y) (SERVES(x, TWIN_NODE(x)) && ARRIVES_OF(y) && in[y].role == FOLLOWS)
#ifdef GATED_NEVER_AGAIN
#define ANSWERED(x) false
#elif defined(SAME_BOOT)
#define ANSWERED(x) (ANSWERED_BY(x, TWIN_NODE(x)) || ANSWERED_BY(x, TWIN(PLACE(x))))
#else
#define ANSWERED(x) ANSWERED_BY(x, TWIN_NODE(x))
#endif
/* The place's first holder, which goes on, is taken for the one that has it now. */
#ifdef SAME_BOOT
#define ZOMBIE_STEPS(x) \
	:: d_step { !failed && ALIVE(x) && in[x].role == OWNER && TWIN_NODE(x) >= D && \
		SERVES(x, TWIN_NODE(x)) && ARRIVES_OF(TWIN(PLACE(x))) && \
		in[x].held < in[TWIN(PLACE(x))].logged -> in[x].held = in[TWIN(PLACE(x))].logged }
#define ZOMBIE_SEEN(r) \
	FOLLOW(r, TWIN(re[r].from)) \
	CONSUME(r, re[r].from)
#else
#define ZOMBIE_STEPS(x)
#define ZOMBIE_SEEN(r)
#endif

#define SPARE_STEPS(y) \
	TASK_STEPS(y) \
	:: d_step { !failed && y - D < spares && ALIVE(y) && in[y].role == EMPTY && \
		ARRIVES_OF(TWIN_NODE(y)) && in[TWIN_NODE(y)].role == FEEDS && \
		SERVES(TWIN_NODE(y), y) -> restore(y) }

/* ---- on C and E: S and the receivers */

#define ADMITS_SPARE(n, p) (no[n].holder[p] >= D && !HAS(no[n].lost, p))

/* What depends on an item goes outside at once. An item tells of all entries before it. */
inline consume(r, x)
{
	i = 0;
	do
	:: i <= re[r].last ->
		assert(truth[i] == 0 || truth[i] == in[x].value[i]);
		i++
	:: else -> break
	od;
	i = 0;
	truth[re[r].last] = in[x].value[re[r].last];
	re[r].last++
}

/* Its retention is full. Once the new instance has its state it says which item it wants. */
#define GIVE_UP_FEED(r, p) \
	:: d_step { !failed && ALIVE(NODE_OF(r)) && ADMITS_SPARE(NODE_OF(r), p) && \
		in[no[NODE_OF(r)].holder[p]].role == EMPTY -> \
		no[NODE_OF(r)].lost = no[NODE_OF(r)].lost | BIT(p); i = NODE_OF(r); trim(i) }

#define OTHER(r) no[NODE_OF(r)].holder[TWIN(re[r].from)]

#define FOLLOW(r, x) \
	:: d_step { !failed && ALIVE(NODE_OF(r)) && HAS(no[NODE_OF(r)].lost, re[r].from) && \
		!HAS(no[NODE_OF(r)].lost, TWIN(re[r].from)) && \
		in[x].inc > re[r].inc && ARRIVES_OF(x) -> \
		re[r].inc = in[x].inc; re[r].from = TWIN(re[r].from); forget_unheeded() }

#define CONSUME(r, x) \
	:: d_step { !failed && ALIVE(NODE_OF(r)) && in[x].inc == re[r].inc && ARRIVES_OF(x) && \
		re[r].last >= in[x].base && RELEASED(x, re[r].last) -> consume(r, x) }

#define RECEIVER_STEPS(r) \
	GIVE_UP_FEED(r, 0) \
	GIVE_UP_FEED(r, 1) \
	FOLLOW(r, OTHER(r)) \
	CONSUME(r, FROM(r)) \
	ZOMBIE_SEEN(r)

#define NEWEST (office -> 1 : 0)
#define MUST_HAVE(r) (ALIVE(NODE_OF(r)) && !HAS(le[NEWEST].lost, NODE_OF(r)))

inline start()
{
	le[0].on = 1; le[0].heard = ALL; le[0].holder[1] = B; meta_holder[1] = B;
	in[A].role = OWNER; in[A].inc = 1; in[B].role = FOLLOWS;
	re[0].inc = 1; re[1].inc = 1;
	i = 0;
	do
	:: i < D -> no[i].holder[1] = B; i++
	:: else -> break
	od;
	i = 0
}

active proctype all()
{
	byte i, x, gone;

	d_step { start() }
	do
#ifndef ONE_LEADER
	REPAIR_STEPS(1)
	LOSS_STEP(1, 0)
	LOSS_STEP(1, 1)
	LOSS_STEP(1, 2)
	WELCOME_STEP(0)
	WELCOME_STEP(1)
	WELCOME_STEP(2)
#endif
	REPAIR_STEPS(0)
	LOSS_STEP(0, 0)
	LOSS_STEP(0, 1)
	LOSS_STEP(0, 2)
	NODE_STEPS(A)
	NODE_STEPS(B)
	NODE_STEPS(C)
#ifdef PAIR
#ifndef ONE_LEADER
	LOSS_STEP(1, 3)
	WELCOME_STEP(3)
#endif
	LOSS_STEP(0, 3)
	NODE_STEPS(E)
#endif
	NODE_STEPS(D)
	TASK_STEPS(A)
	TASK_STEPS(B)
	SPARE_STEPS(D)
#ifdef TWO_SPARES
	NODE_STEPS(F)
	SPARE_STEPS(F)
#endif
	RECEIVER_STEPS(0)
#ifdef PAIR
	RECEIVER_STEPS(1)
#endif
#ifndef ONE_LEADER
	:: d_step { !failed && !office -> take_office() }
	:: d_step { !failed && office && le[0].on -> resign() }
#endif
	/* at rest: all is consumed by those that count */
	:: else ->
#ifdef PAIR
		assert(failed || ((MUST_HAVE(0) || MUST_HAVE(1)) &&
			(!MUST_HAVE(0) || re[0].last == ITEMS) && (!MUST_HAVE(1) || re[1].last == ITEMS)));
#else
		assert(failed || re[0].last == ITEMS);
#endif
		assert(failed || le[NEWEST].repair == NO_REPAIR);
		assert(!failed || owed > 1); /* survive: 1 host, a leader with it, and again once whole */
		break
	od
}
