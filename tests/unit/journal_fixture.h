// What the tests of the journal share: it is opened, asked and its answers kept.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/meta_journal.h"

enum { STATE_BYTES = 4 << 10 };

static struct meta *meta;
static char why[JOURNAL_WHY_BYTES];

// The last answer, and the last listing as text.
static enum meta_outcome outcome;
static int64_t revision, lease;
static unsigned answers, hints;
static uint64_t request;
static char state[STATE_BYTES];

static inline uint32_t sum(const void *data, size_t bytes)
{
	uint32_t s = 1;
	for (size_t i = 0; i < bytes; i++)
		s = s * 31 + ((const uint8_t *)data)[i];
	return s;
}

static inline void state_write(char *out, const struct meta_entry *entries, uint32_t count)
{
	size_t at = 0;
	out[0] = 0;
	for (uint32_t i = 0; i < count; i++)
		at += (size_t)snprintf(out + at, STATE_BYTES - at, "%s=%ld:%zu:%x ", entries[i].key,
			(long)entries[i].revision, entries[i].bytes,
			sum(entries[i].value, entries[i].bytes));
}

static inline void on_answered(void *owner, uint64_t number, enum meta_outcome is, int64_t at)
{
	answers++;
	request = number;
	outcome = is;
	revision = at;
}

static inline void on_listed(void *owner, uint64_t number, enum meta_outcome is,
	const struct meta_entry *entries, uint32_t count, int64_t at)
{
	on_answered(owner, number, is, at);
	state_write(state, entries, count);
}

static inline void on_changed(void *owner)
{
	hints++;
}

static inline void on_lease(void *owner, int64_t until_ns)
{
	lease = until_ns;
}

static const struct meta_events events = {on_answered, on_listed, on_changed, on_lease, NULL};

static inline void close_journal(void)
{
	meta->ops->destroy(meta);
	meta = NULL;
}

static inline void step_all(void)
{
	while (meta->ops->step(meta, 0) != INT64_MAX)
		;
}

static inline enum meta_outcome txn(const struct meta_txn *t)
{
	static uint64_t number;
	unsigned before = answers;
	assert_int_equal(meta->ops->txn(meta, ++number, t, 0), 0);
	assert_int_equal(answers, before);
	step_all();
	assert_int_equal(answers, before + 1);
	assert_int_equal(request, number);
	return outcome;
}

// Put `value` if the key's revision is `expect`; a NULL value deletes.
static inline enum meta_outcome put(const char *key, const char *value, int64_t expect)
{
	struct meta_compare c = {key, expect};
	struct meta_put p = {.key = key, .value = value, .bytes = value ? strlen(value) : 0};
	return txn(&(struct meta_txn){&c, 1, &p, 1});
}

static inline const char *list(const char *prefix)
{
	assert_int_equal(meta->ops->list(meta, 77, prefix, 0), 0);
	step_all();
	assert_int_equal(request, 77);
	assert_int_equal(outcome, META_DONE);
	return state;
}
