/*
 * Takeover of one stateful task (DESIGN.md 7: invariants 4, 5 and 6).
 *
 * The task makes one free choice (an entry of its order log: which input next, a clock read) and
 * sends one item, for each of ITEMS, to two receivers. Instance 0 runs; 1 is its recorded hot
 * replica; 2 stands by. Instance i has incarnation i + 1. Receiver 0 may restart; receiver 1 is
 * another receiver, or the replica of one. A choice's value is the incarnation that made it: two
 * free choices never agree by luck.
 *
 * Frames are a set: what was ever sent may arrive at any later time, once more, or never. This is
 * loss, doubling, reordering and any delay at once. A suspected instance goes on as before, as a
 * zombie. Every step only adds, so that each run comes to rest, and there all must be consumed.
 */
#ifndef ITEMS
#define ITEMS 2
#endif
#ifndef FAILURES
#define FAILURES 2
#endif

#define NONE 3
#define STANDBY 0
#define COLLECT 1 /* fences receivers, gathers their answers */
#define RUN 2
#define DEAD 3
#define FENCED 4  /* by all: it cannot reach anyone any more, what it knows is forgotten */

#define BIT(k) (1 << (k))
#define BELOW(k) (BIT(k) - 1)
#define MAX(a, b) ((a) > (b) -> (a) : (b))

typedef Instance {
	byte state;
	bit suspected;
	byte count;       /* log entries: those it obeys or chose */
	byte tag[ITEMS];  /* which incarnation chose entry k; 0: not known */
	byte need;        /* items that somebody consumed, so says the union of the answers */
	byte answered;    /* receivers, a mask */
	byte held[4];     /* entries known to be held by receiver 0, 1, replica 1, 2 */
	bit seen;         /* receiver 0's generation, as this instance knows it */
	byte from[2];     /* first item to send to a receiver */
	byte sent[2];     /* frames sent, a mask of items */
	byte carry[ITEMS]; /* entries a frame carries: a mask for receiver 0, four bits higher for 1 */
	byte shipped;     /* entries sent to receiver 1 without items */
};

typedef Receiver {
	byte expected;    /* incarnation */
	byte arrived;     /* items in the ring or consumed */
	byte last;        /* items consumed */
	byte value[ITEMS]; /* of the items in the ring */
	byte late[ITEMS]; /* entries that came with them, a mask */
	byte hold[ITEMS]; /* tags of the log entries it keeps for the sender; 0: none */
	byte obliged;     /* items an earlier generation consumed, so says what lies behind it */
	byte answering;   /* of whom the fence is still to be installed */
	byte stage;       /* 0 open, 1 asks metadata, 2 asks the recorded successor */
	byte owner, successor; /* what metadata said */
	bit generation;
};

Instance in[3];
Receiver re[2];
byte meta_owner = 0, meta_successor = 1;
byte started = 1;     /* the controller's memory, a mask of instances */
byte failures;
bool lost;            /* the next rung of DESIGN.md 8 applies */

/* What the world saw: the values of items; the highest incarnation a receiver answered to. */
byte truth[ITEMS], answered_to[2];

#define KNOWN_HELD(i) (in[i].held[0] | in[i].held[1] | in[i].held[2] | in[i].held[3])
#define SAME_ENTRY(r, i, k) ((re[r].hold[k] != 0 && re[r].hold[k] == in[i].tag[k]) << (k))
#if ITEMS == 1
#define HELD_TAGS(r, i) SAME_ENTRY(r, i, 0)
#define CARRIED(i, r) ((in[i].carry[0] >> 4 * (r)) & 15)
#elif ITEMS == 2
#define HELD_TAGS(r, i) (SAME_ENTRY(r, i, 0) | SAME_ENTRY(r, i, 1))
#define CARRIED(i, r) (((in[i].carry[0] | in[i].carry[1]) >> 4 * (r)) & 15)
#else
#define HELD_TAGS(r, i) (SAME_ENTRY(r, i, 0) | SAME_ENTRY(r, i, 1) | SAME_ENTRY(r, i, 2))
#define CARRIED(i, r) (((in[i].carry[0] | in[i].carry[1] | in[i].carry[2]) >> 4 * (r)) & 15)
#endif
#define SENT(i) (in[i].sent[0] | in[i].sent[1])
/* Entries that what somebody consumed may depend on. */
#define DEPENDED(i) (BELOW(in[i].need) | SENT(i) | SENT(i) >> 1 | SENT(i) >> 2)

/* survive: 1 host. A failure after the first may come only once the running owner says that
 * its log survives another. */
#define OWNER (started >= 4 -> 2 : (started >= 2 -> 1 : 0))
#define OWNER_SAFE(i) (in[i].state == RUN && !in[i].suspected && \
	in[i].seen == re[0].generation && re[0].stage == 0 && \
	(DEPENDED(i) & ~KNOWN_HELD(i)) == 0)
#ifdef DEAD_HOLDERS_COUNT
#define DEATHS_HEARD(i) true
#else
#define DEATHS_HEARD(i) (in[1].state != DEAD || in[i].held[2] == 0)
#endif
#ifdef EXCESS
#define MAY_FAIL (failures < FAILURES)
#else
#define MAY_FAIL (failures < FAILURES && \
	(failures == 0 || (OWNER_SAFE(OWNER) && DEATHS_HEARD(OWNER))))
#endif

#ifdef ENTRIES_UNTAGGED
#define HANGS_TOGETHER(i, k) (in[i].tag[k] != 0)
#else
#define HANGS_TOGETHER(i, k) (in[i].tag[k] != 0 && \
	((k) == 0 || in[i].tag[k] >= in[i].tag[(k) - 1]))
#endif

inline forget(i)
{
	in[i].state = FENCED; in[i].suspected = 1; in[i].count = 0; in[i].need = 0;
	in[i].held[0] = 0; in[i].held[1] = 0; in[i].held[2] = 0; in[i].held[3] = 0;
	in[i].seen = 0; in[i].from[0] = 0; in[i].from[1] = 0; in[i].shipped = 0;
	in[i].answered = 0; in[i].sent[0] = 0; in[i].sent[1] = 0;
	k = 0;
	do
	:: k < ITEMS -> in[i].tag[k] = 0; in[i].carry[k] = 0; k++
	:: else -> break
	od;
	k = 0
}

/* All answers are there: obey the longest prefix that hangs together, then be free. */
inline begin_running(i)
{
	in[i].count = 0;
	do
	:: in[i].count < ITEMS && HANGS_TOGETHER(i, in[i].count) -> in[i].count++
	:: else -> break
	od;
	k = in[i].count;
	do
	:: k < ITEMS -> in[i].tag[k] = 0; k++
	:: else -> break
	od;
	k = 0;
	lost = in[i].count < in[i].need;
	do
	:: k + 1 < in[i].count -> assert(in[i].tag[k] <= in[i].tag[k + 1]); k++ /* a history */
	:: else -> break
	od;
	k = 0;
	in[i].held[0] = (in[i].seen == re[0].generation -> HELD_TAGS(0, i) : 0);
	in[i].held[1] = HELD_TAGS(1, i);
#ifdef INHERITED_NOT_CARRIED
	in[i].held[0] = BELOW(in[i].count);
#endif
	in[i].state = RUN;
#ifndef FREE_BEFORE_UNION
	in[i].answered = 0;
	forget(0);
	if
	:: i == 2 -> forget(1)
	:: else
	fi;
#endif
#ifndef EXCESS
	assert(!lost)
#endif
}

#ifdef NOTHING_CARRIED
#define CARRY(i, r, k) 0
#else
#define CARRY(i, r, k) (BELOW((k) + 1) & ~KNOWN_HELD(i) & ~CARRIED(i, r))
#endif
inline send_frame(i, r, k)
{
	in[i].carry[k] = in[i].carry[k] | CARRY(i, r, k) << 4 * r;
	in[i].sent[r] = in[i].sent[r] | BIT(k)
}

#define MAY_SEND(i, r, k) (in[i].state == RUN && (k) < in[i].count && \
	!(in[i].sent[r] & BIT(k)) && (k) >= in[i].from[r] && \
	((k) == in[i].from[r] || (in[i].sent[r] & BIT((k) - 1))))
#define MAY_SHIP(i, j) (in[i].state == RUN && (j) < in[i].count && \
	(DEPENDED(i) & ~KNOWN_HELD(i) & ~in[i].shipped & ~CARRIED(i, 1) & BIT(j)))
#ifdef FREE_BEFORE_UNION
#define ANSWERS_DO(i) (in[i].answered != 0)
#define GATHERS(i) (in[i].state == COLLECT || in[i].state == RUN)
#else
#define ANSWERS_DO(i) (in[i].answered == 3)
#define GATHERS(i) (in[i].state == COLLECT)
#endif
#define FOLLOWS(i) (in[i].state == STANDBY && meta_successor == i && in[meta_owner].state == RUN)

#define SEND_STEPS(k) \
	:: d_step { !lost && MAY_SEND(i, 0, k) -> send_frame(i, 0, k) } \
	:: d_step { !lost && MAY_SEND(i, 1, k) -> send_frame(i, 1, k) } \
	:: d_step { !lost && MAY_SHIP(i, k) -> in[i].shipped = in[i].shipped | BIT(k) }

proctype instance(byte i)
{
	byte k;

end:	do
	/* choose freely */
	:: atomic { !lost && in[i].state == RUN && in[i].count < ITEMS ->
		in[i].tag[in[i].count] = i + 1; in[i].count++ }

	/* the recorded replica follows the log stream, and the owner learns of it */
	:: atomic { !lost && FOLLOWS(i) && in[i].count < in[meta_owner].count ->
		in[i].tag[in[i].count] = in[meta_owner].tag[in[i].count]; in[i].count++ }
	:: atomic { !lost && FOLLOWS(i) && in[meta_owner].held[1 + i] != BELOW(in[i].count) ->
		in[meta_owner].held[1 + i] = BELOW(in[i].count) }
#ifdef REPLICA_ACKS_AFTER_START
	:: atomic { i == 1 && (in[1].state == COLLECT || in[1].state == RUN) && in[0].state == RUN &&
		in[0].held[2] != BELOW(in[0].count) -> in[0].held[2] = BELOW(in[0].count) }
#endif
#ifndef DEAD_HOLDERS_COUNT
	:: atomic { !lost && in[i].state == RUN && in[1].state == DEAD && in[i].held[2] != 0 ->
		in[i].held[2] = 0 }
#endif

	/* frames, in order on each channel; entries alone where a holder is gone */
	SEND_STEPS(0)
#if ITEMS > 1
	SEND_STEPS(1)
#endif
#if ITEMS > 2
	SEND_STEPS(2)
#endif

	/* a restarted receiver: what its predecessor held is gone; send from its position again */
	:: atomic { !lost && in[i].state == RUN && re[0].stage == 0 && re[0].expected == i + 1 &&
		in[i].seen != re[0].generation ->
		in[i].seen = re[0].generation; in[i].held[0] = 0; in[i].from[0] = 0 }

	:: d_step { !lost && in[i].state == COLLECT && ANSWERS_DO(i) -> begin_running(i) }
	od
}

inline clear_entries(r, first)
{
	j = first;
	do
	:: j < ITEMS -> re[r].hold[j] = 0; re[r].value[j] = 0; j++
	:: else -> break
	od;
	j = 0
}

inline learn(r, i, mask)
{
	j = 0;
	do
	:: j < ITEMS ->
		if
		:: ((mask) >> j) & 1 -> re[r].hold[j] = in[i].tag[j]
		:: else
		fi;
		j++
	:: else -> break
	od;
	j = 0
}

/* What the receiver keeps for the sender, up to where it has consumed, and how far what lies
 * behind it has. */
inline answer(r, i)
{
#ifdef ENTRIES_DROPPED_WITH_RING
	clear_entries(r, re[r].last);
#endif
	j = 0;
	do
	:: j < ITEMS ->
		in[i].tag[j] = MAX(in[i].tag[j], re[r].hold[j]);
		j++
	:: else -> break
	od;
	j = 0;
	in[i].need = MAX(in[i].need, re[r].last);
#ifndef ANSWER_WITHOUT_OBLIGATION
	in[i].need = MAX(in[i].need, re[r].obliged);
#endif
	in[i].from[r] = re[r].last;
	in[i].answered = in[i].answered | BIT(r);
	answered_to[r] = MAX(answered_to[r], i + 1)
}

inline install_fence(r, i)
{
	re[r].expected = i + 1;
#ifndef RING_KEPT_AT_FENCE
	re[r].arrived = re[r].last;
	j = re[r].last;
	do
	:: j < ITEMS -> re[r].value[j] = 0; re[r].late[j] = 0; j++
	:: else -> break
	od;
	j = 0
#endif
	re[r].answering = 0
}

/* What depends on an item goes outside at once. */
inline consume(r)
{
	assert(truth[re[r].last] == 0 || truth[re[r].last] == re[r].value[re[r].last]);
	truth[re[r].last] = re[r].value[re[r].last];
#ifdef ENTRIES_LEARNT_WHEN_CONSUMED
	j = 0;
	do
	:: j < ITEMS ->
		if
		:: (re[r].late[re[r].last] >> j) & 1 -> re[r].hold[j] = re[r].value[j]
		:: else
		fi;
		j++
	:: else -> break
	od;
	j = 0; re[r].late[re[r].last] = 0;
#endif
	re[r].value[re[r].last] = 0;
	re[r].last++;
	re[r].obliged = MAX(re[r].obliged, re[r].last)
}

inline arrive(r, i)
{
	assert(i + 1 >= answered_to[r]); /* nothing of a fenced incarnation is accepted */
	re[r].value[re[r].arrived] = in[i].tag[re[r].arrived];
#ifdef ENTRIES_LEARNT_WHEN_CONSUMED
	re[r].late[re[r].arrived] = (in[i].carry[re[r].arrived] >> 4 * r) & 15;
#else
	learn(r, i, (in[i].carry[re[r].arrived] >> 4 * r) & 15);
#endif
	re[r].arrived++;
#ifndef RING
	consume(r)
#endif
}

#ifdef NO_FENCE
#define ACCEPTS(r, i) (!lost && re[r].stage == 0)
#else
#define ACCEPTS(r, i) (!lost && re[r].stage == 0 && re[r].expected == (i) + 1)
#endif
#define ARRIVES(r, i) (ACCEPTS(r, i) && re[r].arrived < ITEMS && \
	(in[i].sent[r] & BIT(re[r].arrived)))
/* Entries that came alone. */
#define SHIPPED(r, i) (ACCEPTS(r, i) && r == 1 && (in[i].shipped & ~HELD_TAGS(r, i)))
#define FENCED_BY(r, i) (!lost && GATHERS(i) && !(in[i].answered & BIT(r)) && \
	re[r].expected <= (i) + 1)
/* Let the sender know which entries are held. */
#define ACKNOWLEDGES(r, i) (ACCEPTS(r, i) && in[i].state == RUN && \
	((r) == 1 || in[i].seen == re[r].generation) && in[i].held[r] != HELD_TAGS(r, i))
inline opens(r)
{
	re[r].owner = 0; re[r].successor = 0; re[r].stage = 0;
	/* frames of any lower incarnation may still be under way */
	assert(re[r].expected >= answered_to[r])
}

#define SUCCESSOR in[re[r].successor]

proctype receiver(byte r)
{
	byte j;

end:	do
	:: d_step { ARRIVES(r, 0) -> arrive(r, 0) }
	:: d_step { ARRIVES(r, 1) -> arrive(r, 1) }
	:: d_step { ARRIVES(r, 2) -> arrive(r, 2) }
	:: d_step { SHIPPED(r, 0) -> learn(r, 0, in[0].shipped) }
	:: d_step { SHIPPED(r, 1) -> learn(r, 1, in[1].shipped) }
	:: d_step { ACKNOWLEDGES(r, 0) -> in[0].held[r] = HELD_TAGS(r, 0) }
	:: d_step { ACKNOWLEDGES(r, 1) -> in[1].held[r] = HELD_TAGS(r, 1) }
	:: d_step { ACKNOWLEDGES(r, 2) -> in[2].held[r] = HELD_TAGS(r, 2) }
#ifdef RING
	:: d_step { !lost && re[r].stage == 0 && re[r].last < re[r].arrived -> consume(r) }
#endif

#ifdef FENCE_AFTER_ANSWER
	:: d_step { FENCED_BY(r, 1) -> answer(r, 1); re[r].answering = 1 }
	:: d_step { FENCED_BY(r, 2) -> answer(r, 2); re[r].answering = 2 }
	:: d_step { re[r].answering != 0 -> install_fence(r, re[r].answering) }
#else
	:: d_step { FENCED_BY(r, 1) -> answer(r, 1); install_fence(r, 1) }
	:: d_step { FENCED_BY(r, 2) -> answer(r, 2); install_fence(r, 2) }
#endif

	/* restarted: which incarnation is to be expected? */
	:: d_step { !lost && re[r].stage == 1 ->
		re[r].owner = meta_owner;
#ifdef RESTART_TRUSTS_METADATA
		re[r].successor = NONE;
#else
		re[r].successor = meta_successor;
#endif
		re[r].stage = 2 }
	:: d_step { !lost && re[r].stage == 2 && re[r].successor == NONE ->
		re[r].expected = MAX(re[r].expected, re[r].owner + 1);
		opens(r) }
	:: d_step { !lost && re[r].stage == 2 && re[r].successor != NONE && SUCCESSOR.state != DEAD ->
		re[r].expected = MAX(re[r].expected,
			(SUCCESSOR.state == STANDBY -> re[r].owner : re[r].successor) + 1);
		opens(r) }
	:: d_step { !lost && re[r].stage == 2 && re[r].successor != NONE && SUCCESSOR.state == DEAD &&
		(re[r].owner != meta_owner || re[r].successor != meta_successor) -> re[r].stage = 1 }
	od
}

#define GONE(i) (in[i].state == DEAD || in[i].suspected)
inline start(i)
{
	in[i].state = COLLECT; in[i].seen = re[0].generation; started = started | BIT(i)
}

proctype controller()
{
end:	do
	/* the recorded successor, the first time: at once */
	:: d_step { !lost && GONE(0) && meta_owner == 0 && meta_successor == 1 &&
		in[1].state == STANDBY -> start(1) }
	:: d_step { !lost && GONE(meta_owner) && meta_successor == 2 && in[2].state == STANDBY ->
		start(2) }
	/* the write follows */
	:: d_step { !lost && (started & 2) && meta_owner == 0 && !GONE(1) ->
		meta_owner = 1; meta_successor = 2 }
	:: d_step { !lost && (started & 4) && meta_owner < 2 ->
		meta_owner = 2; meta_successor = NONE }
	/* another than the one recorded, which never started and is dead: first the write */
	:: d_step { !lost && meta_owner == 0 && meta_successor == 1 && in[1].state == DEAD &&
		!(started & 2) ->
		meta_owner = (GONE(0) -> 2 : 0); meta_successor = (GONE(0) -> NONE : 2) }
	/* a second takeover before the first is written: first the write */
#ifdef SECOND_WITHOUT_WRITE
	:: d_step { !lost && (started & 2) && GONE(1) && in[2].state == STANDBY -> start(2) }
#else
	:: d_step { !lost && (started & 2) && meta_owner == 0 && GONE(1) ->
		meta_owner = 2; meta_successor = NONE }
#endif
	:: d_step { !lost && meta_owner == 2 && in[2].state == STANDBY -> start(2) }
	od
}

proctype faults()
{
	byte j;

	do
	:: d_step { !lost && MAY_FAIL && OWNER < 2 && !GONE(OWNER) ->
		in[OWNER].suspected = 1; failures++ }
	:: d_step { !lost && MAY_FAIL && !GONE(1) -> in[1].state = DEAD; failures++ }
	:: d_step { !lost && MAY_FAIL && re[0].generation == 0 ->
		re[0].generation = 1; re[0].arrived = 0; re[0].last = 0; re[0].expected = 0;
		clear_entries(0, 0);
#ifdef RESTART_WITHOUT_HANDSHAKE
		re[0].expected = 1; assert(answered_to[0] <= 1);
#else
		re[0].stage = 1;
#endif
		failures++ }
	/* at rest: all is consumed */
	:: timeout -> assert(lost || (re[0].last == ITEMS && re[1].last == ITEMS)); break
	od
}

init {
	atomic {
		in[0].state = RUN; re[0].expected = 1; re[1].expected = 1;
		run instance(0); run instance(1); run instance(2);
		run receiver(0); run receiver(1);
		run controller(); run faults()
	}
}
