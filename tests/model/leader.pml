/*
 * Two controllers over one compare-and-swap store (DESIGN.md 7, invariant 6; 8; 9; 12).
 *
 * One job of one task. Instance 0 runs as incarnation 1; 1 is its recorded successor, as
 * incarnation 2; 2 stands by. A lease may run out at any time, so that the old leader goes on as
 * a zombie. Orders to nodes are a set: delivered at any later time, in any order, or again. A
 * leader decides by what it read when it was elected and by its own writes; watches would be
 * hints and are left out.
 */
#ifndef EXPIRIES
#define EXPIRIES 2
#endif
#define NONE 3
#define RUNNING 0
#define ENDING 1
#define ENDED 2
#define BIT(k) (1 << (k))

typedef Meta {
	byte revision;
	byte job;
	byte owner, owner_incarnation;
	byte successor, successor_incarnation;
	byte counter;     /* the highest incarnation ever named */
};

Meta meta, cache[2];
byte term = 1, holder = 0;
byte leads[2];        /* the term a controller believes it leads in; 0: none */

/* Nodes: the incarnation an instance runs as (0: stands by), those it must never start as. */
byte runs[3], withdrawn[3];
bit stopped[3], failed[3];
byte order[3], recall[3]; /* orders sent to start, and to give the leave back: incarnations */
bit stop_order;
byte expiries, failures, newest = 1, taken = 2, ended_seen;

/* What a restarted receiver finds out: metadata, and its recorded successor asked. */
#define EXPECTED (meta.successor != NONE && runs[meta.successor] != 0 && \
	runs[meta.successor] >= meta.owner_incarnation -> \
	runs[meta.successor] : meta.owner_incarnation)
#define ACTIVE(i) (runs[i] != 0 && !stopped[i] && !failed[i])

inline check()
{
	/* metadata and the recorded successor together name the newest incarnation */
#ifndef SUCCESSOR_NOT_RECORDED
	assert(EXPECTED >= newest);
#endif
	/* no job runs when it has ended */
	assert(meta.job != ENDED || !(ACTIVE(0) || ACTIVE(1) || ACTIVE(2)));
	/* terminal states stay */
	assert(!ended_seen || meta.job == ENDED);
	ended_seen = (meta.job == ENDED)
}

inline read_meta(to, from)
{
	to.revision = from.revision; to.job = from.job; to.owner = from.owner;
	to.owner_incarnation = from.owner_incarnation; to.successor = from.successor;
	to.successor_incarnation = from.successor_incarnation; to.counter = from.counter
}

/* A transaction: only in the leader's own term, and on what it read. Else it leads no more. */
#ifdef BLIND_WRITES
#define WRITES(c) true
#else
#define WRITES(c) (holder == c && term == leads[c] && meta.revision == cache[c].revision)
#endif
#define COMMIT(c) cache[c].revision++; read_meta(meta, cache[c]); check()
#define C cache[c]
#define LEADS (leads[c] != 0)
#define SUCCESSOR_RUNS (C.successor != NONE && runs[C.successor] == C.successor_incarnation)
#define SUCCESSOR_WITHDRAWN (C.successor != NONE && \
	(withdrawn[C.successor] & BIT(C.successor_incarnation)))
#define GONE(i) (failed[i])

proctype controller(byte c)
{
end:	do
	/* lead: a new term, and a fresh reading */
#ifdef TERM_NOT_COMPARED
	:: d_step { holder == NONE && leads[c] == 0 -> leads[c] = term + 1 };
		d_step { term = leads[c]; holder = c; assert(leads[1 - c] != leads[c]);
			read_meta(C, meta) }
#else
	:: d_step { holder == NONE && leads[c] != term ->
		term++; leads[c] = term; holder = c;
		assert(leads[1 - c] != leads[c]); /* one leader a term */
		read_meta(C, meta) }
#endif

	/* the recorded successor starts at once, as the recorded incarnation, whoever orders it */
	:: d_step { LEADS && C.job == RUNNING && GONE(C.owner) && C.successor != NONE &&
		!(order[C.successor] & BIT(C.successor_incarnation)) ->
		order[C.successor] = order[C.successor] | BIT(C.successor_incarnation) }
	/* it runs: write it down, and whom to take next */
	:: d_step { LEADS && C.job == RUNNING && SUCCESSOR_RUNS && WRITES(c) ->
		C.owner = C.successor; C.owner_incarnation = C.successor_incarnation;
		C.successor = NONE; C.successor_incarnation = 0;
		if
		:: runs[2] == 0 && !failed[2] ->
			C.counter++; C.successor = 2; C.successor_incarnation = C.counter
		:: else
		fi;
		COMMIT(c) }
	/* owner and successor are gone, or the successor's leave was taken back: first a write */
	:: d_step { LEADS && C.job == RUNNING && GONE(C.owner) && C.successor != NONE && WRITES(c) &&
		((GONE(C.successor) && !failed[2] && runs[2] == 0) || SUCCESSOR_WITHDRAWN) ->
		C.counter++;
		C.owner = (GONE(C.successor) || runs[C.successor] != 0 -> 2 : C.successor);
		C.owner_incarnation = C.counter;
		C.successor = NONE; C.successor_incarnation = 0;
		COMMIT(c) }
	:: d_step { LEADS && C.job == RUNNING && runs[C.owner] == 0 &&
		!(order[C.owner] & BIT(C.owner_incarnation)) ->
		order[C.owner] = order[C.owner] | BIT(C.owner_incarnation) }
#ifdef SECOND_WITHOUT_WRITE
	:: d_step { LEADS && C.job == RUNNING && GONE(C.owner) && C.successor == 1 && GONE(1) &&
		!(order[2] & BIT(C.counter + 1)) -> order[2] = order[2] | BIT(C.counter + 1) }
#endif
#ifdef SUCCESSOR_NOT_RECORDED
	:: d_step { LEADS && C.job == RUNNING && GONE(C.owner) && C.successor != NONE &&
		runs[2] == 0 && !(order[2] & BIT(C.successor_incarnation)) ->
		order[2] = order[2] | BIT(C.successor_incarnation) }
#endif

	/* name another successor: only when the first has given back its leave to start */
	:: d_step { LEADS && C.job == RUNNING && C.successor == 1 && !GONE(C.owner) &&
		!(recall[1] & BIT(C.successor_incarnation)) ->
		recall[1] = recall[1] | BIT(C.successor_incarnation) }
	:: d_step { LEADS && C.job == RUNNING && C.successor == 1 && !GONE(C.owner) && WRITES(c) &&
		runs[2] == 0 &&
#ifdef REPLACED_WITHOUT_LEAVE
		true ->
#else
		SUCCESSOR_WITHDRAWN ->
#endif
		C.counter++; C.successor = 2; C.successor_incarnation = C.counter;
		COMMIT(c) }

#ifndef NO_END
	/* end the job: the intent, then everyone has stopped or given back its leave, then the end */
	:: d_step { LEADS && C.job == RUNNING && WRITES(c) -> C.job = ENDING; COMMIT(c) }
	:: d_step { LEADS && C.job == ENDING && C.successor != NONE &&
		!(recall[C.successor] & BIT(C.successor_incarnation)) ->
		recall[C.successor] = recall[C.successor] | BIT(C.successor_incarnation) }
	:: d_step { LEADS && C.job == ENDING && !stop_order -> stop_order = 1 }
	:: d_step { LEADS && C.job == ENDING && WRITES(c) &&
		!ACTIVE(0) && !ACTIVE(1) && !ACTIVE(2) &&
#ifdef END_WITHOUT_LEAVE
		true ->
#else
		(C.successor == NONE || failed[C.successor] || stopped[C.successor] ||
			SUCCESSOR_WITHDRAWN) && (stopped[C.owner] || failed[C.owner]) ->
#endif
		C.job = ENDED; COMMIT(c) }
#endif

	/* a write that fails ends a leadership */
	:: d_step { LEADS && !WRITES(c) -> leads[c] = 0 }
	od
}

/* A node starts an instance once, as an incarnation that it has not given back. */
inline begin(i, n)
{
	runs[i] = n;
	assert(!(taken & BIT(n)) || n == 1); /* one instance an incarnation */
	taken = taken | BIT(n);
	newest = (n > newest -> n : newest);
	check()
}

#define STARTS(i, n) (runs[i] == 0 && !failed[i] && !stopped[i] && (order[i] & BIT(n)) && \
	!(withdrawn[i] & BIT(n)))
#define GIVES_BACK(i) (runs[i] == 0 && !failed[i] && (recall[i] & ~withdrawn[i]))

proctype node(byte i)
{
end:	do
	:: d_step { STARTS(i, 2) -> begin(i, 2) }
	:: d_step { STARTS(i, 3) -> begin(i, 3) }
	:: d_step { STARTS(i, 4) -> begin(i, 4) }
	:: d_step { STARTS(i, 5) -> begin(i, 5) }
	:: d_step { GIVES_BACK(i) -> withdrawn[i] = withdrawn[i] | recall[i] }
	:: d_step { stop_order && !stopped[i] && (runs[i] != 0 || meta.owner == i) -> stopped[i] = 1 }
	od
}

proctype faults()
{
	do
	:: d_step { holder != NONE && expiries < EXPIRIES -> holder = NONE; expiries++ }
	:: d_step { failures < 2 && !failed[0] -> failed[0] = 1; failures++ }
	:: d_step { failures < 2 && !failed[1] -> failed[1] = 1; failures++ }
	/* at rest: ended */
#ifdef NO_END
	:: timeout -> break
#else
	:: timeout -> assert(meta.job == ENDED); break
#endif
	od
}

init {
	d_step {
		meta.owner_incarnation = 1; meta.successor = 1; meta.successor_incarnation = 2;
		meta.counter = 2; runs[0] = 1; leads[0] = 1;
		read_meta(cache[0], meta)
	};
	atomic {
		run controller(0); run controller(1); run node(0); run node(1); run node(2);
		run faults()
	}
}
