/*
 * Two tasks in a row, T -> U -> D (DESIGN.md 7, invariant 4: own and transitive).
 *
 * T makes one free choice for each item; U takes T's items and makes one of its own for each. D
 * is whatever lies behind. Successors know nothing but what they are answered. T and U lie in
 * domains of their own, or (ONE_DOMAIN) in one, and die together. SURVIVE domains may die at
 * once; with EXCESS one more may, and the loss must be noticed. A choice's value is the
 * incarnation that made it. Frames may arrive whenever their sender has made them, from a zombie
 * too.
 */
#ifndef SURVIVE
#define SURVIVE 1
#endif
#define ITEMS 2
#define STANDBY 0
#define COLLECT 1
#define RUN 2
#define AT(i, k) ((i) * ITEMS + (k))
#define MAX(a, b) (a > b -> a : b)

/* Instance 0 runs, instance 1 is the successor. A log entry's value is what was chosen. */
byte t_state[2], t_count[2], t_log[4], t_need;
byte u_state[2], u_count[2], u_in[4], u_log[4], u_saw[4], u_logged[2];
byte u_expects[2];    /* which instance of T */
byte u_holds[4];      /* T's entries, as they came; 0: not held */
byte u_obliged[2];    /* T's items that U's log speaks of */
byte d_expects, d_count, d_in[ITEMS], d_value[ITEMS], d_holds[ITEMS];
byte t_now, u_now;    /* current instances */
bool lost;

#if defined(NOT_TRANSITIVE)
#define PASSED_ON false
#elif defined(ONE_DOMAIN)
#define PASSED_ON true          /* nobody outside holds it yet */
#else
#define PASSED_ON (SURVIVE > 1) /* U's own domain is one */
#endif
#ifdef EXCESS
#define LOSE() lost = true
#else
#define LOSE() assert(false)    /* no more died than may */
#endif

#ifdef CHECKSUM_IGNORED
#define CHECKSUM_DIFFERS(j, k) false
#else
#define CHECKSUM_DIFFERS(j, k) (u_saw[AT(j, k)] != u_in[AT(j, k)])
#endif

inline u_consume(j)
{
	i = u_expects[j]; k = u_count[j];
	/* all of U's past is in the past of the T it goes on with */
	assert(k == 0 || t_log[AT(i, 0)] == u_in[AT(j, 0)]);
	u_in[AT(j, k)] = t_log[AT(i, k)];
	u_holds[AT(j, k)] = t_log[AT(i, k)];
#ifdef NOTHING_CARRIED
	u_holds[AT(j, k)] = 0;
#endif
	if
	:: k < u_logged[j] && CHECKSUM_DIFFERS(j, k) -> LOSE()
	:: k < u_logged[j] && !CHECKSUM_DIFFERS(j, k)
	:: k >= u_logged[j] -> u_log[AT(j, k)] = j + 1
	fi;
	u_count[j]++;
	i = 0; k = 0
}

inline d_consume(j)
{
	k = d_count;
	assert(k == 0 || (u_in[AT(j, 0)] == d_in[0] && u_log[AT(j, 0)] == d_value[0]));
	d_in[k] = u_in[AT(j, k)]; d_value[k] = u_log[AT(j, k)];
	d_holds[k] = (PASSED_ON -> u_holds[AT(j, k)] : 0);
	d_count++;
	k = 0
}

/* D's answer to U's successor: own entries with their checksums, T's entries, how far it is. */
inline u_takes_over()
{
	do
	:: k < d_count ->
		u_log[AT(1, k)] = d_value[k]; u_saw[AT(1, k)] = d_in[k];
		u_holds[AT(1, k)] = d_holds[k];
		k++
	:: else -> break
	od;
	k = 0;
	u_logged[1] = d_count; u_obliged[1] = d_count;
	d_expects = 1;
	u_expects[1] = (t_state[1] != STANDBY);
	u_state[1] = RUN
}

/* U's answer to T's successor. */
inline t_takes_over(j)
{
	do
	:: k < ITEMS && u_holds[AT(j, k)] != 0 && t_count[1] == k ->
		t_log[AT(1, k)] = u_holds[AT(j, k)]; t_count[1]++; k++
	:: k < ITEMS && !(u_holds[AT(j, k)] != 0 && t_count[1] == k) -> k++
	:: k >= ITEMS -> break
	od;
	k = 0;
	t_need = u_count[j];
#ifndef ANSWER_WITHOUT_OBLIGATION
	t_need = MAX(t_need, u_obliged[j]);
#endif
	u_expects[j] = 1;
	t_state[1] = RUN;
	if
	:: t_count[1] < t_need -> LOSE()
	:: else
	fi
}

#ifdef ANSWER_BEFORE_UNION
#define MAY_ANSWER(j) (u_state[j] != STANDBY)
#else
#define MAY_ANSWER(j) (u_state[j] == RUN)
#endif

proctype tasks()
{
	byte i, k;

end:	do
	:: d_step { !lost && t_state[0] == RUN && t_count[0] < ITEMS ->
		t_log[AT(0, t_count[0])] = 1; t_count[0]++ }
	:: d_step { !lost && t_state[1] == RUN && t_count[1] < ITEMS ->
		t_log[AT(1, t_count[1])] = 2; t_count[1]++ }
	:: d_step { !lost && u_state[0] == RUN && u_count[0] < t_count[u_expects[0]] -> u_consume(0) }
	:: d_step { !lost && u_state[1] == RUN && t_state[u_expects[1]] == RUN &&
		u_count[1] < t_count[u_expects[1]] -> u_consume(1) }
	:: d_step { !lost && d_expects == 0 && d_count < u_count[0] -> d_consume(0) }
	:: d_step { !lost && d_expects == 1 && d_count < u_count[1] -> d_consume(1) }
	:: d_step { !lost && u_state[1] == COLLECT -> u_takes_over() }
	:: d_step { !lost && t_state[1] == COLLECT && MAY_ANSWER(u_now) -> t_takes_over(u_now) }
	od
}

/* Both are running, and U holds again what D depends on. */
#define RECOVERED (t_state[t_now] == RUN && u_state[u_now] == RUN && u_count[u_now] >= d_count)
#if defined(EXCESS) || SURVIVE > 1
#define MAY_FAIL true
#else
#define MAY_FAIL ((t_now == 0 && u_now == 0) || RECOVERED)
#endif

proctype faults()
{
	do
#ifdef ONE_DOMAIN
	:: d_step { !lost && t_now == 0 ->
		t_now = 1; t_state[1] = COLLECT; u_now = 1; u_state[1] = COLLECT }
#else
	:: d_step { !lost && t_now == 0 && MAY_FAIL -> t_now = 1; t_state[1] = COLLECT }
	:: d_step { !lost && u_now == 0 && MAY_FAIL -> u_now = 1; u_state[1] = COLLECT }
#endif
	:: timeout -> assert(lost || d_count == ITEMS); break
	od
}

init {
	atomic { t_state[0] = RUN; u_state[0] = RUN; run tasks(); run faults() }
}
