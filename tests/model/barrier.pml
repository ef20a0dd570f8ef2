/*
 * Aligned barriers over a triangle of three tasks (DESIGN.md 7: invariants 2, 3, 7 and 8).
 *
 * S -> X, S -> Z and X -> Z. S makes RECORDS records, each with a free choice (its order log),
 * and puts EPOCHS barriers where it likes; both channels carry the same items. X passes on what
 * it gets. Z holds the input whose barrier has come until the other's has. Any task may be killed
 * at any time, or all at once (the rollback of a region). Takeover itself is takeover.pml's: here
 * a successor of S obeys what X and Z accepted, in one step. A choice's value is the incarnation
 * that made it, and each record names the value before it: restored state that does not fit its
 * items shows at once.
 */
#ifndef RECORDS
#define RECORDS 2
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef ROLLBACKS
#define ROLLBACKS 1
#endif
#define EPOCHS 2
#define LENGTH (RECORDS + EPOCHS)
#define BARRIER 1
#define RECORD 2
#define MAX(a, b) (a > b -> a : b)

#define S 0
#define X 1
#define Z 2
#define ABSENT 0
#define TAKEN 1   /* in memory */
#define DURABLE 2 /* in the store, and the coordinator knows */

/* A task's state, or its snapshot. `at` is what S sent, and what the others consumed. */
typedef Task {
	byte at, at2;     /* position; Z's second input, from X */
	byte value, value2; /* of the last record, by input */
	byte epoch;       /* of the last barrier */
	byte incarnation; /* of the task */
	byte barrier_of, barrier_of2; /* incarnations whose barriers were taken, by input */
	byte stored;
};

Task task[3], pending[3], manifest[3];
byte committed;
#ifdef SOURCE_REPORT_KEPT
Task late; /* a newer report of S, still on its way */
#endif
#ifdef RESTORE_WHAT_WAS_HEARD
byte heard[3];
#endif
byte kills, rollbacks;

/* S's order log, and what its items are as last sent: item k is number k + 1. */
byte length, kind[LENGTH], chosen_by[LENGTH], before[LENGTH];
/* First numbers kept: S for X, S for Z, X for Z. */
byte kept_x, kept_z, kept_xz;
byte visible[LENGTH]; /* by item: what a committed epoch showed */

#ifdef COMMIT_WHAT_IS_TAKEN
#define READY(t) (pending[t].stored != ABSENT)
#else
#define READY(t) (pending[t].stored == DURABLE)
#endif
#define POSITIONS_FIT (pending[S].at == pending[X].at && pending[S].at == pending[Z].at && \
	pending[X].at == pending[Z].at2)
#ifdef INCARNATIONS_MIXED
#define INCARNATIONS_FIT true
#else
#define INCARNATIONS_FIT (pending[S].incarnation >= pending[X].barrier_of && \
	pending[S].incarnation >= pending[Z].barrier_of && \
	pending[X].incarnation >= pending[Z].barrier_of2)
#endif

inline copy(to, from)
{
	to.at = from.at; to.at2 = from.at2; to.value = from.value; to.value2 = from.value2;
	to.epoch = from.epoch; to.incarnation = from.incarnation;
	to.barrier_of = from.barrier_of; to.barrier_of2 = from.barrier_of2; to.stored = from.stored
}

inline clear(to)
{
	to.at = 0; to.at2 = 0; to.value = 0; to.value2 = 0; to.epoch = 0; to.incarnation = 0;
	to.barrier_of = 0; to.barrier_of2 = 0; to.stored = ABSENT
}

/* A newer incarnation's snapshot replaces an older one's; an epoch that is committed stays. */
inline take_snapshot(t)
{
	if
#ifdef SOURCE_REPORT_KEPT
	:: t == S && task[t].epoch == committed + 1 && pending[t].stored == DURABLE ->
		copy(late, task[t])
	:: (t != S || pending[t].stored != DURABLE) && task[t].epoch == committed + 1 ->
#else
	:: task[t].epoch == committed + 1 ->
#endif
		copy(pending[t], task[t]);
		pending[t].stored = TAKEN
#ifdef DELETED_BEFORE_COMMIT
		; manifest[t].stored = ABSENT
#endif
	:: else
	fi
}

inline restore(t)
{
	assert(manifest[t].stored == DURABLE); /* nothing that can be restored is deleted */
	number = task[t].incarnation + 1;
#ifdef RESTORE_WHAT_WAS_HEARD
	if
	:: heard[t] < committed -> clear(task[t])
	:: else -> copy(task[t], manifest[t])
	fi;
#else
	copy(task[t], manifest[t]);
#endif
	task[t].incarnation = number; task[t].barrier_of = 0; task[t].barrier_of2 = 0;
	task[t].stored = ABSENT;
	number = 0
}

/* What S chose beyond `at` was seen by nobody. */
inline cut_log(end)
{
	length = end;
	n = length;
	do
	:: n < LENGTH -> kind[n] = 0; chosen_by[n] = 0; before[n] = 0; n++
	:: else -> break
	od;
	n = 0
}

#define RECORDS_MADE ((kind[0] == RECORD) + (kind[1] == RECORD) + (kind[2] == RECORD) + \
	(kind[3] == RECORD))
#define BARRIERS_MADE (length - RECORDS_MADE)

#ifdef RESTORE_WHAT_WAS_HEARD
#define HEAR_OF_COMMIT(t) :: d_step { heard[t] < committed -> heard[t] = committed }
#else
#define HEAR_OF_COMMIT(t)
#endif

inline emit()
{
	before[task[S].at] = task[S].value;
	if
	:: kind[task[S].at] == RECORD -> task[S].value = chosen_by[task[S].at]; task[S].at++
	:: else -> task[S].at++; task[S].epoch++; take_snapshot(S)
	fi
}

proctype source()
{
end:	do
	:: d_step { task[S].at < length -> emit() } /* replay */
	:: d_step { task[S].at == length && BARRIERS_MADE == committed && committed < EPOCHS ->
		kind[length] = BARRIER; chosen_by[length] = task[S].incarnation; length++; emit() }
	:: d_step { task[S].at == length && length < LENGTH && length - BARRIERS_MADE < RECORDS ->
		kind[length] = RECORD; chosen_by[length] = task[S].incarnation; length++; emit() }
	HEAR_OF_COMMIT(S)
#ifdef TRIM_WHAT_IS_TAKEN
	:: d_step { pending[X].stored == DURABLE && kept_x < pending[X].at -> kept_x = pending[X].at }
#else
	:: d_step { kept_x < manifest[X].at -> kept_x = manifest[X].at }
#endif
	:: d_step { kept_z < manifest[Z].at -> kept_z = manifest[Z].at }
	od
}

proctype middle()
{
end:	do
	:: d_step { task[X].at < task[S].at ->
		assert(kept_x <= task[X].at); /* what is wanted again is still kept */
		assert(before[task[X].at] == task[X].value);
		if
		:: kind[task[X].at] == RECORD -> task[X].value = chosen_by[task[X].at]; task[X].at++
		:: else ->
			task[X].at++; task[X].epoch++;
			task[X].barrier_of = task[S].incarnation;
			take_snapshot(X)
		fi }
	HEAR_OF_COMMIT(X)
	:: d_step { kept_xz < manifest[Z].at2 -> kept_xz = manifest[Z].at2 }
	od
}

#define HAS1 (task[Z].at < task[S].at)
#define HAS2 (task[Z].at2 < task[X].at)
#define KIND1 kind[task[Z].at]
#define KIND2 kind[task[Z].at2]

proctype last()
{
end:	do
	:: d_step { HAS1 && KIND1 == RECORD ->
		assert(kept_z <= task[Z].at && before[task[Z].at] == task[Z].value);
		task[Z].value = chosen_by[task[Z].at]; task[Z].at++ }
	:: d_step { HAS2 && KIND2 == RECORD ->
		assert(kept_xz <= task[Z].at2 && before[task[Z].at2] == task[Z].value2);
		task[Z].value2 = chosen_by[task[Z].at2]; task[Z].at2++ }
#ifdef BARRIER_NOT_AWAITED
	:: d_step { HAS1 && KIND1 == BARRIER && task[Z].at >= task[Z].at2 ->
		task[Z].at++; task[Z].epoch++; task[Z].barrier_of = task[S].incarnation; take_snapshot(Z) }
	:: d_step { HAS2 && KIND2 == BARRIER && task[Z].at2 < task[Z].at -> task[Z].at2++ }
#else
	:: d_step { HAS1 && HAS2 && KIND1 == BARRIER && KIND2 == BARRIER ->
		assert(kept_z <= task[Z].at && kept_xz <= task[Z].at2);
		task[Z].at++; task[Z].at2++; task[Z].epoch++;
		task[Z].barrier_of = task[S].incarnation; task[Z].barrier_of2 = task[X].incarnation;
		take_snapshot(Z) }
#endif
	HEAR_OF_COMMIT(Z)
	od
}

proctype coordinator()
{
	byte t;

end:	do
	:: d_step { pending[S].stored == TAKEN -> pending[S].stored = DURABLE }
	:: d_step { pending[X].stored == TAKEN -> pending[X].stored = DURABLE }
	:: d_step { pending[Z].stored == TAKEN -> pending[Z].stored = DURABLE }
#ifdef SOURCE_REPORT_KEPT
	:: d_step { late.incarnation != 0 ->
		if
		:: late.epoch == committed + 1 && late.incarnation > pending[S].incarnation ->
			copy(pending[S], late); pending[S].stored = DURABLE
		:: else
		fi;
		clear(late) }
#endif
	:: d_step { READY(S) && READY(X) && READY(Z) && INCARNATIONS_FIT ->
		assert(POSITIONS_FIT); /* a consistent set */
		do
		:: t < 3 -> copy(manifest[t], pending[t]); clear(pending[t]); t++
		:: else -> t = 0; break
		od;
		/* the epoch's output becomes visible */
		do
		:: t < manifest[Z].at ->
			assert(visible[t] == 0 || visible[t] == chosen_by[t]);
			visible[t] = chosen_by[t]; t++
		:: else -> t = 0; break
		od;
		committed++ }
	od
}

/* Whoever names the epoch to restore forgets, in the same step, what the killed one reported. */
inline kill(t)
{
	kills++;
	restore(t);
#ifdef REPORTS_KEPT_AT_TAKEOVER
	skip
#elif defined(SOURCE_REPORT_KEPT)
	if
	:: t != S -> clear(pending[t])
	:: else
	fi
#else
	clear(pending[t])
#endif
}

proctype faults()
{
	byte n, number;

	do
	:: d_step { kills < KILLS ->
		/* the union of what X, Z, and Z by way of X accepted */
		n = MAX(task[X].at, task[Z].at); n = MAX(n, task[Z].at2);
		cut_log(n); kill(S);
		kept_x = task[S].at; kept_z = task[S].at }
	:: d_step { kills < KILLS -> kill(X); kept_xz = task[X].at }
	:: d_step { kills < KILLS -> kill(Z) }
	:: d_step { rollbacks < ROLLBACKS ->
		rollbacks++;
		cut_log(manifest[S].at);
		restore(S); restore(X); restore(Z);
		clear(pending[S]); clear(pending[X]); clear(pending[Z]);
		kept_x = task[S].at; kept_z = task[S].at; kept_xz = task[X].at }
	:: timeout ->
		assert(committed == EPOCHS && task[X].at == LENGTH && task[Z].at == LENGTH &&
			task[Z].at2 == LENGTH && visible[0] != 0);
		break
	od
}

init {
	atomic {
		task[S].incarnation = 1; task[X].incarnation = 1; task[Z].incarnation = 1;
		manifest[S].stored = DURABLE; manifest[X].stored = DURABLE; manifest[Z].stored = DURABLE;
		run source(); run middle(); run last(); run coordinator(); run faults()
	}
}
