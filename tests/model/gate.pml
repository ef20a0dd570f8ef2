/*
 * Hot replicas as the code has them (docs/replicas.md; control/takeover.c, dataplane/replica.c,
 * task_replica.c, receiver.c): nothing leaves an owner before its log is held by the replica, a
 * replica takes over under an incarnation recorded beforehand, and one that lost its replica goes
 * on alone only once that is written.
 *
 * Nodes A, B, C, E. Task T has its owner on A and its replica on B: P and H. What it sends is
 * consumed on C and E, by the two instances of another task. With TWO_TASKS another task, U, stands
 * between, the other way round: owner Q on B, replica R on A. With CYCLE there are three nodes, U
 * has its replica on C, and what it sends is consumed on C and A, so that no two nodes have each
 * other's replicas alone: what Q and R say in their own name may rest on what H chose.
 *
 * T makes one free choice and sends one item for each of ITEMS; the choice's value is the instance
 * that made it, so that two free choices never agree by luck. U's choices are what it consumes.
 *
 * Leader 0 has heard all. Leader 1 may take office at any time; 0 goes on as a zombie until a write
 * fails, or stops. FAILURES: deaths of nodes, and living ones that a leader gives up wrongly. What
 * is given up goes on for ever: here nobody is aborted. What was sent arrives later, or, of the
 * dead, never. Every step only adds, so that each run comes to rest.
 */
#ifndef ITEMS
#define ITEMS 1
#endif
#ifndef FAILURES
#define FAILURES 2
#endif

#define A 0
#define B 1
#define C 2
#define E 3
#define BIT(n) (1 << (n))
#define HAS(mask, n) (((mask) >> (n)) & 1)

#ifdef CYCLE
#define TWO_TASKS
#define NODES 3
#ifndef NODE_OF
#define NODE_OF(r) ((r) == 0 -> C : A) /* of receiver 0 and 1 */
#endif
#define BY(n) (ALL & ~BIT(n))          /* who has its other instances */
#else
#define NODES 4
#ifndef NODE_OF
#define NODE_OF(r) ((r) + C)
#endif
#define BY(n) BIT((n) ^ 1)
#endif
#define ALL (BIT(NODES) - 1)

typedef Leader {
	bit on, failing;
	byte heard, listed, gone; /* masks of nodes */
	byte lost, written;
	byte lose[NODES], lone[NODES]; /* told to a node; it may arrive later */
};

typedef Node {
	byte lost, alone; /* masks: as it was told */
};

/* One task's two instances. */
typedef Task {
	byte made[ITEMS];  /* by the owner: the value of entry and item */
	byte marks[ITEMS]; /* of the entry: nodes that its node had been told are lost by then */
	byte begun_marks;  /* the same of the replica, when it began */
	byte taken[ITEMS]; /* by the replica: from the log, or its own once it has begun */
	byte count, replica_count; /* of them */
	byte logged;       /* of the replica's, which came from the log */
	byte held;         /* acknowledged, as the owner knows */
	bit begun;         /* the replica: it has taken over */
};

typedef Receiver {
	byte last;         /* items consumed */
	bit follows;       /* the replica's incarnation is expected */
	bit answered;      /* FENCE_AFTER_ANSWER: but does not expect it yet */
};

Leader le[2];
Node no[NODES];
Task ta[2];            /* T, U */
Receiver re[2];        /* of what is looked at */
bit q_follows;         /* Q: expects T's replica */
byte q_sent;           /* its entries until then */
byte meta_lost;
bit office;            /* leader 1 is, or was, in it */
bool failed;           /* so metadata says */
byte welcomed;         /* nodes that obey leader 1 */
byte dead, dropped;    /* nodes; what they had sent and has not arrived is gone */
byte failures;
bit c_failed;
byte stale;            /* listed by parts that were given up */
byte truth[ITEMS];     /* what was consumed, whoever did */
#ifdef CYCLE
byte own[ITEMS];       /* by receiver 0 of R, on its own node: goes with it, unless it goes on */
bit r_follows;         /* R: expects H's incarnation */
#endif

#ifdef TWO_TASKS
#define LAST 1         /* the task whose items the receivers consume */
#else
#define LAST 0
#endif
#define OWNER(t) ((t) == 0 -> A : B)
#ifdef CYCLE
#define REPLICA(t) ((t) == 0 -> B : C)
#define SENDS(n) true
#else
#define REPLICA(t) ((t) == 0 -> B : A)
#define SENDS(n) ((n) <= B)
#endif
#define ALIVE(n) (!HAS(dead, n))
#define ARRIVES_OF(n) (!HAS(dropped, n))
#define ALONE(t) HAS(no[OWNER(t)].alone, REPLICA(t))
#define TOLD(n, lost_one) HAS(no[n].lost, lost_one)

/* Who was not told of them as well takes nothing that was made where these were told to be lost. */
#define IS_UNTOLD(n, marks) (((marks) & ~no[n].lost) != 0)
#ifdef LOG_DOES_NOT_WAIT
#define LOG_WAITS(n, marks) false
#else
#define LOG_WAITS(n, marks) IS_UNTOLD(n, marks)
#endif
#ifdef OPENING_IS_ENOUGH
#define OPENING_WAITS(n, marks) false
#else
#define OPENING_WAITS(n, marks) IS_UNTOLD(n, marks)
#endif
#ifdef MARK_FORGOTTEN
#define MARKS_OF(n) 0
#else
#define MARKS_OF(n) no[n].lost
#endif

/* Items that the owner lets leave. */
#ifdef NOT_GATED
#define RELEASED(t) ta[t].count
#elif defined(GATED_ONE_EARLY)
#define RELEASED(t) (ALONE(t) || ta[t].held == ta[t].count -> ta[t].count : ta[t].held + 1)
#else
#define RELEASED(t) (ALONE(t) -> ta[t].count : ta[t].held)
#endif

/* ---- leaders: takeover.c */

/* The nodes whose loss leaves an owner on `n` without its replica. */
#ifdef TWO_TASKS
#define OWNS_FOR(n) ((n) == A -> BIT(B) : ((n) == B -> BIT(REPLICA(1)) : 0))
#else
#define OWNS_FOR(n) ((n) == A -> BIT(B) : 0)
#endif

#define GONE(l) ((le[l].gone | le[l].listed) & ~le[l].lost)
#define UNHEARD(l, i) (ALL & ~BIT(i) & ~le[l].lost & ~le[l].heard)
#ifdef OTHERS_NOT_AWAITED
#define KNOWN(l, i) true
#else
#define KNOWN(l, i) (HAS(le[l].heard, i) || (UNHEARD(l, i) & ~gone) == 0)
#endif

inline look(l)
{
	gone = GONE(l);
	i = 0;
	do
	:: i < NODES && !le[l].failing ->
		if
		:: !HAS(gone, i)
		:: HAS(gone, i) && (BY(i) & (le[l].lost | gone)) ->
			assert(!HAS(stale, i)); /* a reason to give up something that lives */
			le[l].failing = 1
		:: HAS(gone, i) && !(BY(i) & (le[l].lost | gone)) && KNOWN(l, i) ->
			le[l].lost = le[l].lost | BIT(i)
		:: else /* known later */
		fi;
		i++
	:: else -> break
	od;
	le[l].gone = le[l].gone & ~le[l].lost; le[l].listed = le[l].listed & ~le[l].lost;
	tell(l)
}

inline tell(l)
{
	i = 0;
	do
	:: i < NODES ->
		if
		:: !HAS(le[l].lost | le[l].gone | dead, i) && HAS(welcomed, i) == l ->
			le[l].lose[i] = le[l].lost & ~BIT(i) & ~no[i].lost;
#ifdef ALONE_BEFORE_WRITE
			le[l].lone[i] = le[l].lost & OWNS_FOR(i) & ~no[i].alone
#else
			le[l].lone[i] = le[l].written & OWNS_FOR(i) & ~no[i].alone
#endif
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0; gone = 0
}

inline resign()
{
	le[0].on = 0; le[0].failing = 0; le[0].heard = 0; le[0].gone = 0; le[0].lost = 0;
	le[0].written = 0
}

inline write(l)
{
	if
	:: l == 0 && office -> resign()
	:: !(l == 0 && office) && le[l].failing -> failed = true
	:: else ->
		meta_lost = le[l].lost; le[l].written = le[l].lost;
		tell(l)
	fi
}

/* What a part lists; one that was given up is not asked. */
inline list(n)
{
	if
#ifdef LISTS_OF_LOST_COUNT
	:: HAS(le[1].lost, n) ->
		stale = stale | (no[n].lost & ~le[1].lost & ~le[1].listed);
		le[1].listed = le[1].listed | (no[n].lost & ~le[1].lost)
#endif
#ifndef LISTS_FORGOTTEN
	:: !HAS(le[1].lost, n) -> le[1].listed = le[1].listed | (no[n].lost & ~le[1].lost)
#endif
	:: else
	fi
}

/* From here on it obeys leader 1 alone. Its first report belongs to it: between, it may be told
 * nothing that leader 1 does not know. */
inline welcome(n)
{
	welcomed = welcomed | BIT(n);
	le[0].lose[n] = 0; le[0].lone[n] = 0;
	le[1].heard = le[1].heard | BIT(n);
	list(n);
	le[1].gone = le[1].gone & ~BIT(n);
	look(1)
}

#define LEADS(l) (!failed && le[l].on && !le[l].failing)
#define OBEYS(n, l) (ALIVE(n) && HAS(welcomed, n) == l)

/* C and E are alike: of the two C is the first that fails. */
#define MAY_FAIL(n) (failures < FAILURES && ALIVE(n) && ((n) != E || c_failed))

/* What cannot be seen any more is forgotten, so that there are fewer states. */
inline forget_owner(t)
{
	ta[t].count = 0; ta[t].held = 0; i = 0;
	do
	:: i < ITEMS -> ta[t].made[i] = 0; ta[t].marks[i] = 0; i++
	:: else -> break
	od;
	i = 0
}

inline forget_replica(t)
{
	ta[t].replica_count = 0; ta[t].logged = 0; ta[t].begun = 0; ta[t].begun_marks = 0; i = 0;
	do
	:: i < ITEMS -> ta[t].taken[i] = 0; i++
	:: else -> break
	od;
	i = 0
}

inline forget(n)
{
	no[n].lost = 0; no[n].alone = 0;
	if
	:: n == A -> forget_owner(0)
	:: n == B -> forget_owner(1); forget_replica(0); q_follows = 0; q_sent = 0
	:: else
	fi;
	if
	:: n == REPLICA(1) -> forget_replica(1)
	:: else
	fi;
#ifdef CYCLE
	if
	:: n == C -> r_follows = 0; i = 0;
		do
		:: i < ITEMS -> own[i] = 0; i++
		:: else -> break
		od;
		i = 0
	:: else
	fi;
#endif
	if
	:: n == NODE_OF(0) -> re[0].last = 0; re[0].follows = 0; re[0].answered = 0
	:: n == NODE_OF(1) -> re[1].last = 0; re[1].follows = 0; re[1].answered = 0
	:: else
	fi
}

inline die(n)
{
	dead = dead | BIT(n);
	le[0].lose[n] = 0; le[0].lone[n] = 0; le[1].lose[n] = 0; le[1].lone[n] = 0;
	if
	:: !SENDS(n) -> dropped = dropped | BIT(n); forget(n) /* nothing that is looked at */
	:: else
	fi
}

#define LEADER_STEPS(l, n) \
	:: d_step { LEADS(l) && !ALIVE(n) && !HAS(le[l].gone | le[l].lost, n) -> \
		le[l].gone = le[l].gone | BIT(n); look(l) } \
	:: d_step { LEADS(l) && MAY_FAIL(n) && !HAS(le[l].gone | le[l].lost, n) -> \
		failures++; c_failed = c_failed | (n == C); \
		le[l].gone = le[l].gone | BIT(n); look(l) } \
	:: d_step { !failed && OBEYS(n, l) && le[l].lose[n] != 0 -> \
		no[n].lost = no[n].lost | le[l].lose[n]; le[l].lose[n] = 0 } \
	:: d_step { !failed && OBEYS(n, l) && le[l].lone[n] != 0 -> \
		no[n].lost = no[n].lost | le[l].lone[n]; le[l].lose[n] = 0; \
		no[n].alone = no[n].alone | le[l].lone[n]; le[l].lone[n] = 0 }

#ifdef JOIN_IS_HEARD
/* It has told what it lists, but was not welcomed: it may go back to leader 0. */
#define JOIN_STEPS(n) \
	:: d_step { LEADS(1) && ALIVE(n) && !HAS(le[1].heard, n) -> \
		le[1].heard = le[1].heard | BIT(n); list(n); look(1) } \
	:: d_step { LEADS(1) && ALIVE(n) && HAS(le[1].heard, n) && !HAS(welcomed, n) -> welcome(n) }
#else
#define JOIN_STEPS(n) \
	:: d_step { LEADS(1) && ALIVE(n) && !HAS(welcomed, n) -> welcome(n) }
#endif

#define NODE_STEPS(n) \
	LEADER_STEPS(0, n) \
	LEADER_STEPS(1, n) \
	JOIN_STEPS(n) \
	:: d_step { !failed && MAY_FAIL(n) -> \
		failures++; c_failed = c_failed | (n == C); die(n) } \
	:: d_step { !failed && !ALIVE(n) && ARRIVES_OF(n) -> \
		dropped = dropped | BIT(n); forget(n) }

/* ---- tasks: replica.c, task_replica.c, receiver.c */

/* Entries, in order; beginning ends that. U's entry is what Q consumed, T's is a choice, which H
 * obeys at once. */
inline take_log(t)
{
	ta[t].taken[ta[t].logged] = ta[t].made[ta[t].logged];
	ta[t].logged++;
	if
	:: t == 0 ->
		ta[0].replica_count = ta[0].logged;
		ta[0].held = ta[0].logged /* P's frames arrive when they will: so may this */
	:: else
	fi
}

/* H chooses freely behind what its log says. Nobody sees when: at once, as P has from the start. */
inline begin(t)
{
	ta[t].begun = 1;
	ta[t].begun_marks = no[REPLICA(t)].lost;
	if
	:: t == 0 ->
		do
		:: ta[0].replica_count < ITEMS ->
			ta[0].taken[ta[0].replica_count] = 2; ta[0].replica_count++
		:: else -> break
		od
	:: else
	fi
}

#ifdef ACKS_AFTER_BEGINNING
#define ACKNOWLEDGED(t) (ta[t].begun -> ta[t].count : ta[t].logged)
#else
#define ACKNOWLEDGED(t) ta[t].logged
#endif
/* Q consumes of H only after its worker has let the session with A go (crossing_tend, at the
 * beginning of each step): of what it chooses then R hears nothing, and A's acknowledgements are not
 * heard. */
#if defined(LOST_STILL_SERVED) || defined(CYCLE) /* in which R is elsewhere */
#define SERVES(t) true
#else
#define SERVES(t) ((t) == 0 || !q_follows)
#endif
#define LOGS(t) (SERVES(t) -> ta[t].count : q_sent)

#ifdef ACKS_AFTER_BEGINNING
#define FIRST_TO_ACK 0
#else
#define FIRST_TO_ACK 1
#endif
#define TASK_STEPS(t) \
	:: d_step { !failed && ALIVE(REPLICA(t)) && ARRIVES_OF(OWNER(t)) && !ta[t].begun && \
		ta[t].logged < LOGS(t) && !LOG_WAITS(REPLICA(t), ta[t].marks[ta[t].logged]) -> \
		take_log(t) } \
	:: d_step { !failed && ALIVE(OWNER(t)) && ARRIVES_OF(REPLICA(t)) && SERVES(t) && \
		t >= FIRST_TO_ACK && ta[t].held < ACKNOWLEDGED(t) -> ta[t].held = ACKNOWLEDGED(t) } \
	:: d_step { !failed && ALIVE(REPLICA(t)) && TOLD(REPLICA(t), OWNER(t)) && !ta[t].begun -> \
		begin(t) }

/* Q and R consume what T sends, and make an item of each. Q has H on its own node, R has P there, or
 * in a cycle neither. */
#define Q_AT ta[1].count
#define R_AT ta[1].replica_count
inline make(value)
{
	ta[1].made[Q_AT] = value;
	ta[1].marks[Q_AT] = MARKS_OF(B);
	Q_AT++
}

inline obey(value)
{
	assert(R_AT >= ta[1].logged || ta[1].taken[R_AT] == value); /* its checksum */
	ta[1].taken[R_AT] = value;
	R_AT++
}
#define R_MAY(count) (R_AT < (count) && (ta[1].begun || R_AT < ta[1].logged))

#ifdef CYCLE
#define R_STEPS \
	:: d_step { !failed && ALIVE(C) && !r_follows && ARRIVES_OF(A) && R_MAY(RELEASED(0)) -> \
		obey(ta[0].made[R_AT]) } \
	:: d_step { !failed && ALIVE(C) && !r_follows && ARRIVES_OF(B) && ta[0].begun && \
		!OPENING_WAITS(C, ta[0].begun_marks) -> r_follows = 1 } \
	:: d_step { !failed && ALIVE(C) && r_follows && ARRIVES_OF(B) && \
		R_MAY(ta[0].replica_count) -> obey(ta[0].taken[R_AT]) }
#else
#define R_STEPS \
	:: d_step { !failed && ALIVE(A) && R_MAY(RELEASED(0)) -> obey(ta[0].made[R_AT]) }
#endif

#define BETWEEN_STEPS \
	:: d_step { !failed && ALIVE(B) && !q_follows && ARRIVES_OF(A) && Q_AT < RELEASED(0) -> \
		make(ta[0].made[Q_AT]) } \
	:: d_step { !failed && ALIVE(B) && q_follows && Q_AT < ta[0].replica_count -> \
		make(ta[0].taken[Q_AT]) } \
	:: d_step { !failed && ALIVE(B) && !q_follows && ta[0].begun -> \
		q_follows = 1; q_sent = Q_AT } \
	R_STEPS

/* What depends on an item goes outside at once. */
inline consume(r, value)
{
	assert(truth[re[r].last] == 0 || truth[re[r].last] == value);
	truth[re[r].last] = value;
	re[r].last++
}

/* What a replica makes for its own node, which may be all that was told of the loss, goes outside
 * as all that a node says does. */
inline follow(r, value)
{
	if
#ifdef CYCLE
	:: NODE_OF(r) == REPLICA(LAST) -> own[re[r].last] = value; re[r].last++
#else
	:: NODE_OF(r) == REPLICA(LAST) && ALONE(LAST) -> re[r].last++ /* it goes with it */
#endif
	:: else ->
		assert(!ALONE(LAST)); /* nobody else sees a successor of one that does without */
		consume(r, value)
	fi
}

#define OPENED(r) (ALIVE(NODE_OF(r)) && !re[r].follows && ta[LAST].begun && \
	ARRIVES_OF(REPLICA(LAST)) && !OPENING_WAITS(NODE_OF(r), ta[LAST].begun_marks))
#ifdef FENCE_AFTER_ANSWER
#define FOLLOW_STEPS(r) \
	:: d_step { !failed && OPENED(r) && !re[r].answered -> re[r].answered = 1 } \
	:: d_step { !failed && OPENED(r) && re[r].answered -> re[r].follows = 1 }
#else
#define FOLLOW_STEPS(r) \
	:: d_step { !failed && OPENED(r) -> re[r].follows = 1 }
#endif

#define RECEIVER_STEPS(r) \
	FOLLOW_STEPS(r) \
	:: d_step { !failed && ALIVE(NODE_OF(r)) && !re[r].follows && ARRIVES_OF(OWNER(LAST)) && \
		re[r].last < RELEASED(LAST) -> \
		assert(!re[r].answered); /* nothing of a fenced incarnation is accepted */ \
		consume(r, ta[LAST].made[re[r].last]) } \
	:: d_step { !failed && ALIVE(NODE_OF(r)) && re[r].follows && \
		ARRIVES_OF(REPLICA(LAST)) && re[r].last < ta[LAST].replica_count -> \
		follow(r, ta[LAST].taken[re[r].last]) }

#define NEWEST (office -> 1 : 0)
#define STAYS(n) (ALIVE(n) && !HAS(le[NEWEST].lost, n))
#define COUNTS(r) STAYS(NODE_OF(r))
/* Of what one of two was told the other was told as well. */
#define ALIKE(n, m) (!STAYS(n) || !STAYS(m) || no[n].lost == no[m].lost)

active proctype all()
{
	byte i, gone;

	d_step {
		le[0].on = 1; le[0].heard = ALL;
		do
		:: ta[0].count < ITEMS -> ta[0].made[ta[0].count] = 1; ta[0].count++
		:: else -> break
		od
	}
	do
#ifndef ONE_LEADER
	:: d_step { !failed && !office ->
		office = 1; le[1].on = 1; le[1].lost = meta_lost; le[1].written = meta_lost }
	:: d_step { !failed && office && le[0].on -> resign() }
#endif
	:: d_step { !failed && le[0].on && (le[0].failing || le[0].lost != le[0].written) -> write(0) }
	:: d_step { !failed && le[1].on && (le[1].failing || le[1].lost != le[1].written) -> write(1) }
	NODE_STEPS(A)
	NODE_STEPS(B)
	NODE_STEPS(C)
#ifndef CYCLE
	NODE_STEPS(E)
#endif
	TASK_STEPS(0)
#ifdef TWO_TASKS
	TASK_STEPS(1)
	BETWEEN_STEPS
#endif
	RECEIVER_STEPS(0)
	RECEIVER_STEPS(1)
	/* at rest: all is consumed by those that count, and nothing of them waits */
	:: else ->
#ifdef CYCLE
		do
		:: i < ITEMS ->
			assert(failed || !COUNTS(0) || own[i] == 0 || truth[i] == 0 ||
				own[i] == truth[i]);
			i++
		:: else -> break
		od;
#endif
		assert(failed || (ALIKE(A, B) && ALIKE(B, C) && ALIKE(A, C)));
		assert(failed || ((COUNTS(0) || COUNTS(1)) &&
			(!COUNTS(0) || re[0].last == ITEMS) && (!COUNTS(1) || re[1].last == ITEMS)));
		/* survive: 1 host, and a leader with it */
		assert(!failed || failures > 1);
		break
	od
}
