// q0, pass through: every bid's whole record is hashed as the null sink does. Partitioned, each
// thread has an equal share of the bytes; there is no key.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "perf/baseline/baseline.h"
#include "perf/baseline/bid.h"
#include "perf/baseline/walk.h"
#include "state/record.h"

struct share {
	alignas(64) const uint8_t *first, *limit;
	struct tally tally;
};

struct q0 {
	uint32_t loops;
	struct share shares[TEAM_THREADS_MAX];
};

static int create(const struct rows *rows, uint32_t threads, void **ret_self)
{
	struct q0 *q = aligned_alloc(64, sizeof(*q));
	if (q == NULL)
		return -ENOMEM;
	memset(q, 0, sizeof(*q));
	q->loops = rows->loops;
	const uint8_t *at = rows->first;
	for (uint32_t i = 0; i < threads; i++) {
		const uint8_t *limit = rows->first + rows_bytes(rows) / threads * (i + 1);
		q->shares[i].first = at;
		while (at < (i + 1 == threads ? rows->limit : limit))
			at += record_length(at);
		q->shares[i].limit = at;
	}
	*ret_self = q;
	return 0;
}

static void work(void *self, uint32_t part)
{
	struct q0 *q = self;
	struct share *share = &q->shares[part];
	struct tally tally = {0, 0};

	for (uint32_t loop = 0; loop < q->loops; loop++) {
		const uint8_t *line = share->first;
		for (const uint8_t *at = share->first; at < share->limit;) {
			uint32_t length = record_length(at);
			line = walk_ahead(line, at + length);
			if (record_variant(at) == BID_VARIANT) {
				tally.hash += XXH3_64bits(at, length);
				tally.records++;
			}
			at += length;
		}
	}
	share->tally = tally;
}

static struct tally finish(void *self)
{
	struct q0 *q = self;
	struct tally sum = {0, 0};

	for (uint32_t i = 0; i < TEAM_THREADS_MAX; i++) {
		sum.records += q->shares[i].tally.records;
		sum.hash += q->shares[i].tally.hash;
	}
	return sum;
}

const struct baseline baseline_q0 = {
	.name = "q0",
	.summary = "every bid's record hashed",
	.create = create,
	.destroy = free,
	.work = work,
	.finish = finish,
};
