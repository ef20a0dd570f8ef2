// What the memory itself gives: scanning the rows' lines in order, and copying them.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "numa/arena.h"
#include "perf/baseline/baseline.h"

enum { COPY_BYTES = 8192, COPY_WINDOW_BYTES = 64 << 20 };

struct probe {
	struct rows rows;
	uint32_t threads;
	struct arena arena;
	struct tally sums[TEAM_THREADS_MAX];
};

static int create(const struct rows *rows, uint32_t threads, void **ret_self)
{
	struct probe *p = calloc(1, sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	p->rows = *rows;
	p->threads = threads;
	int err = arena_create(&p->arena, (size_t)COPY_WINDOW_BYTES * threads, -1, false);
	if (err != 0)
		free(p);
	else
		*ret_self = p;
	return err;
}

static void destroy(void *self)
{
	struct probe *p = self;

	if (p == NULL)
		return;
	arena_destroy(&p->arena);
	free(p);
}

// The part's share of the rows' bytes, whole lines.
static const uint8_t *share(const struct probe *p, uint32_t part, size_t *ret_bytes)
{
	size_t bytes = rows_bytes(&p->rows) / p->threads & ~(size_t)63;
	*ret_bytes = bytes;
	return p->rows.first + bytes * part;
}

static void scan_work(void *self, uint32_t part)
{
	struct probe *p = self;
	size_t bytes;
	const uint8_t *first = share(p, part, &bytes);
	uint64_t sum = 0;

	for (uint32_t loop = 0; loop < p->rows.loops; loop++)
		for (size_t at = 0; at < bytes; at += 64) {
			uint64_t word;
			memcpy(&word, first + at, sizeof(word));
			sum += word;
		}
	p->sums[part] = (struct tally){bytes / 64 * p->rows.loops, sum};
}

static void copy(const struct probe *p, uint32_t part, size_t window)
{
	uint8_t *out = p->arena.base + (size_t)COPY_WINDOW_BYTES * part;
	size_t bytes;
	const uint8_t *first = share(p, part, &bytes);

	for (uint32_t loop = 0; loop < p->rows.loops; loop++)
		for (size_t at = 0; at + COPY_BYTES <= bytes; at += COPY_BYTES) {
			memcpy(out + at % window, first + at, COPY_BYTES);
			__asm__ volatile("" ::: "memory");
		}
}

static void copy_far_work(void *self, uint32_t part)
{
	copy(self, part, COPY_WINDOW_BYTES);
}

static void copy_near_work(void *self, uint32_t part)
{
	copy(self, part, COPY_BYTES);
}

static struct tally finish(void *self)
{
	struct probe *p = self;
	struct tally sum = {0, 0};

	for (uint32_t i = 0; i < p->threads; i++) {
		sum.records += p->sums[i].records;
		sum.hash += p->sums[i].hash;
	}
	return sum;
}

const struct baseline baseline_scan = {
	.name = "scan",
	.summary = "every line of the rows touched once, in order",
	.create = create,
	.destroy = destroy,
	.work = scan_work,
	.finish = finish,
};

const struct baseline baseline_copy_far = {
	.name = "memcpy_dram",
	.summary = "the rows copied to memory outside the caches",
	.create = create,
	.destroy = destroy,
	.work = copy_far_work,
	.finish = finish,
};

const struct baseline baseline_copy_near = {
	.name = "memcpy_8k",
	.summary = "the rows copied through an 8 KiB buffer",
	.create = create,
	.destroy = destroy,
	.work = copy_near_work,
	.finish = finish,
};
