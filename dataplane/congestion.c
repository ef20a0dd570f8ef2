#include "dataplane/congestion.h"

#include <math.h>

#include "numa/assert.h"

enum {
	WINDOW_FIRST = 16,
	WINDOW_MIN = 2,
	WINDOW_DRAINED = 4,
	STRETCH_NS = 2000000000, // the least round trip is forgotten after two of them
	DRAIN_NS = 20000000,     // and a hundred round trips, from one drain to the next
	DRAIN_ROUNDS = 3,        // the one under way, one that empties the queue, one that measures
	RISES_SLOW = 5,          // additive for so long, as TIMELY's
	LOSS_COUNTED = 128,
	BACKOFF_MAX = 6,
};

static const double DECREASE = 0.8, DECREASE_MOST = 0.5, LOSS_CHANCE = 0.1;

void congestion_create(struct congestion *c, const struct congestion_config *config)
{
	*c = (struct congestion){.config = *config};
	congestion_restart(c);
}

void congestion_restart(struct congestion *c)
{
	struct congestion_config config = c->config;
	*c = (struct congestion){.config = config,
		.window = WINDOW_FIRST < config.window_max ? WINDOW_FIRST : config.window_max,
		.least_ns = {INT64_MAX, INT64_MAX},
		.round_least_ns = INT64_MAX,
		.ramping = true};
}

int64_t congestion_least_ns(const struct congestion *c)
{
	int64_t least = c->least_ns[0] < c->least_ns[1] ? c->least_ns[0] : c->least_ns[1];
	return least == INT64_MAX ? 0 : least;
}

static void set_window(struct congestion *c, double window)
{
	if (window < WINDOW_MIN)
		window = WINDOW_MIN;
	c->window = window > c->config.window_max ? c->config.window_max : window;
}

// Faster than the window alone would: pacing only spreads what the window allows. A mean far above
// the round's least comes of a host that lost its core and says nothing of the path; a session that
// went by it would creep for as long as the mean remembers.
static void set_pace(struct congestion *c)
{
	enum { MEAN_MOST = 4 };
	double gain = c->ramping ? 2.5 : 1.25;
	int64_t rtt_ns = c->srtt_ns;
	if (rtt_ns / MEAN_MOST > c->round_least_ns)
		rtt_ns = c->round_least_ns * MEAN_MOST;
	c->pace_ns = (int64_t)((double)rtt_ns / (c->window * gain));
}

static void turn_stretch(struct congestion *c, int64_t now_ns)
{
	c->stretch_end_ns = now_ns + STRETCH_NS;
	c->least_ns[1] = c->least_ns[0];
	c->least_ns[0] = INT64_MAX;
}

// A standing queue hides the true least round trip, and who began when it stood takes more than its
// share: so a session that fills its window lets the queue run empty now and then.
static void drain(struct congestion *c, int64_t now_ns)
{
	bool first = c->drain_at_ns == 0;
	c->drain_at_ns = now_ns + DRAIN_NS + 100 * c->srtt_ns;
	if (first || c->draining != 0 || !c->filled || c->window <= WINDOW_DRAINED)
		return;
	c->kept = c->window;
	c->draining = DRAIN_ROUNDS;
	set_window(c, WINDOW_DRAINED);
}

void congestion_sample(struct congestion *c, int64_t rtt_ns, int64_t now_ns)
{
	if (rtt_ns < 1)
		rtt_ns = 1;
	if (c->srtt_ns == 0) {
		c->srtt_ns = rtt_ns;
		c->deviation_ns = rtt_ns / 2;
		set_pace(c);
	} else {
		int64_t off = rtt_ns - c->srtt_ns;
		c->deviation_ns += ((off < 0 ? -off : off) - c->deviation_ns) / 4;
		c->srtt_ns += off / 8;
		if (c->srtt_ns < 1)
			c->srtt_ns = 1;
	}
	if (now_ns >= c->stretch_end_ns)
		turn_stretch(c, now_ns);
	if (now_ns >= c->drain_at_ns)
		drain(c, now_ns);
	if (rtt_ns < c->least_ns[0])
		c->least_ns[0] = rtt_ns;
	if (rtt_ns < c->round_least_ns)
		c->round_least_ns = rtt_ns;
}

// What loss says: nothing as long as it may be chance.
static double loss_factor(struct congestion *c)
{
	if (c->counted < LOSS_COUNTED)
		return 1;
	double share = (double)c->lost / c->counted;
	c->counted = c->lost = 0;
	if (share <= LOSS_CHANCE)
		return 1;
	return share > 1 ? DECREASE_MOST : 1 - share * DECREASE_MOST;
}

// A session with a small window bears more delay than one with a large one (Swift's flow-based
// scaling), so that windows grow alike however well each knows the least round trip.
static int64_t target_ns(const struct congestion *c)
{
	double scale = 0.25 + 4 / sqrt(c->window);
	return (int64_t)((double)c->config.queue_target_ns * scale);
}

static double delay_factor(const struct congestion *c)
{
	int64_t queue_ns = c->round_least_ns - congestion_least_ns(c);
	int64_t over = queue_ns - target_ns(c);
	if (over <= 0)
		return 1;
	double factor = 1 - DECREASE * (double)over / (double)c->round_least_ns;
	return factor < DECREASE_MOST ? DECREASE_MOST : factor;
}

static void rise(struct congestion *c)
{
	if (!c->round_limited)
		return;
	double more = 1;
	if (c->ramping)
		more = c->round_acked;
	else if (++c->rises > RISES_SLOW)
		more += c->window / 16;
	set_window(c, c->window + more);
}

static void fall(struct congestion *c, double factor)
{
	c->ramping = false;
	c->rises = 0;
	c->waiting = 1; // what is in flight still met the old queue
	set_window(c, c->window * factor);
}

static void end_round(struct congestion *c)
{
	if (c->draining != 0) {
		if (--c->draining == 0)
			set_window(c, c->kept);
		return;
	}
	if (c->waiting != 0) {
		c->waiting--;
		return;
	}
	double by_delay = delay_factor(c), by_loss = loss_factor(c);
	double factor = by_delay < by_loss ? by_delay : by_loss;
	if (factor < 1)
		fall(c, factor);
	else
		rise(c);
}

void congestion_lost(struct congestion *c, bool after_all)
{
	if (!after_all)
		c->lost++;
	else if (c->lost != 0)
		c->lost--;
}

void congestion_advance(struct congestion *c, uint32_t acked, uint64_t first, uint64_t next,
	bool limited)
{
	c->counted += acked;
	c->round_acked += acked;
	c->round_limited |= limited;
	if (acked != 0)
		c->backoff = 0;
	if (first < c->round_end || c->round_least_ns == INT64_MAX)
		return;
	end_round(c);
	set_pace(c);
	c->round_end = next;
	c->round_least_ns = INT64_MAX;
	c->round_acked = 0;
	c->filled = c->round_limited;
	c->round_limited = false;
}

void congestion_timeout(struct congestion *c)
{
	if (c->backoff < BACKOFF_MAX)
		c->backoff++;
	c->draining = c->waiting = 0;
	c->rises = 0;
	c->ramping = true;
	c->window = WINDOW_DRAINED < c->config.window_max ? WINDOW_DRAINED : c->config.window_max;
	set_pace(c);
}

int64_t congestion_rto_ns(const struct congestion *c)
{
	const struct congestion_config *config = &c->config;
	int64_t rto = c->srtt_ns == 0 ? 10 * config->rto_min_ns
				      : c->srtt_ns + 4 * c->deviation_ns + config->ack_delay_ns;
	if (rto < config->rto_min_ns)
		rto = config->rto_min_ns;
	rto <<= c->backoff;
	return rto > config->rto_max_ns ? config->rto_max_ns : rto;
}
