#include "control/jitter.h"

enum { SMOOTH_INTERVAL = 8, SMOOTH_DEVIATION = 4, DEVIATIONS = 8, DELAYS = 4, HALVINGS_MAX = 62 };

#define HALVED_NS 30000000000LL // a delay counts half after so long

void jitter_begin(struct jitter *j, int64_t interval_ns)
{
	*j = (struct jitter){.interval_ns = interval_ns};
}

// What is left of the longest delay: halved again and again, in straight lines between.
static int64_t faded(const struct jitter *j, int64_t now_ns)
{
	int64_t age_ns = now_ns - j->delay_at_ns, halvings = age_ns / HALVED_NS;
	if (halvings > HALVINGS_MAX)
		return 0;
	int64_t left_ns = j->delay_ns >> halvings;
	return left_ns - left_ns / 2 * (age_ns % HALVED_NS / 1000) / (HALVED_NS / 1000);
}

void jitter_delayed(struct jitter *j, int64_t now_ns, int64_t delay_ns)
{
	if (delay_ns <= faded(j, now_ns))
		return;
	j->delay_ns = delay_ns;
	j->delay_at_ns = now_ns;
}

void jitter_note(struct jitter *j, int64_t now_ns, int64_t interval_ns)
{
	int64_t off_ns = interval_ns - j->interval_ns;
	jitter_delayed(j, now_ns, off_ns);
	j->interval_ns += off_ns / SMOOTH_INTERVAL;
	j->deviation_ns += ((off_ns < 0 ? -off_ns : off_ns) - j->deviation_ns) / SMOOTH_DEVIATION;
}

int64_t jitter_limit(const struct jitter *j, int64_t now_ns, int64_t least_ns, int64_t most_ns)
{
	int64_t deviations_ns = DEVIATIONS * j->deviation_ns;
	int64_t delays_ns = DELAYS * faded(j, now_ns);
	int64_t wanted_ns =
		j->interval_ns + (deviations_ns > delays_ns ? deviations_ns : delays_ns);
	if (wanted_ns < least_ns)
		return least_ns;
	return wanted_ns < most_ns ? wanted_ns : most_ns;
}
