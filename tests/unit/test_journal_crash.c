// The journal on a disk that crashes and fails at every call: what was answered is there.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/meta_map.h"
#include "tests/unit/crash_disk.h"
#include "tests/unit/journal_fixture.h"

enum { PERHAPS_MAX = 16, RUNS = WEIR_SANITIZED ? 100 : 500 };

// What must be there: the state after all that was answered, or also after what was not.
struct model {
	struct meta_map map;
	int64_t revision;
	char sure[STATE_BYTES];
	uint32_t perhaps_count; // answered UNKNOWN, or not at all, since the last DONE
	char perhaps[PERHAPS_MAX][STATE_BYTES];
};

static void model_apply(struct model *m, const struct meta_txn *t)
{
	m->revision++;
	for (uint32_t i = 0; i < t->put_count; i++)
		if (t->puts[i].value)
			meta_map_put(&m->map, &t->puts[i], m->revision);
		else
			meta_map_delete(&m->map, t->puts[i].key);
}

static void model_copy(struct model *to, const struct model *from)
{
	for (uint32_t i = 0; i < from->map.count; i++) {
		const struct meta_entry *e = &from->map.entries[i];
		struct meta_put p = {e->key, e->value, e->bytes, false};
		meta_map_put(&to->map, &p, e->revision);
	}
}

static void model_write(struct model *m, char *out)
{
	state_write(out, m->map.entries, m->map.count);
	sprintf(out + strlen(out), "at %ld", (long)m->revision);
}

// The state as the journal has it.
static const char *journal_state(void)
{
	list("");
	sprintf(state + strlen(state), "at %ld", (long)revision);
	return state;
}

static uint64_t stream;

static uint32_t draw(uint32_t limit)
{
	stream = stream * 6364136223846793005 + 1442695040888963407;
	return (uint32_t)(stream >> 33) % limit;
}

static void random_txn(struct meta_put puts[3], struct meta_txn *t)
{
	static char values[3][60000];
	static const char *const keys[] = {"a", "b", "c", "d", "e", "f"};
	uint32_t first = draw(6);
	*t = (struct meta_txn){NULL, 0, puts, 1 + draw(3)};
	for (uint32_t i = 0; i < t->put_count; i++) {
		uint32_t bytes = draw(3) ? draw(200) : draw(sizeof(values[i]));
		memset(values[i], (int)draw(256), bytes);
		puts[i] = (struct meta_put){keys[(first + i) % 6], values[i], bytes, false};
		if (draw(4) == 0)
			puts[i] = (struct meta_put){.key = keys[(first + i) % 6]};
	}
}

// The journal's answer to random transactions until the disk dies or `count` are done.
static void run_txns(struct crash_disk *disk, struct model *m, int count)
{
	struct meta_put puts[3];
	struct meta_txn t;
	for (int i = 0; i < count && !disk->dead; i++) {
		random_txn(puts, &t);
		enum meta_outcome is = txn(&t);
		bool known = !disk->dead && is != META_UNKNOWN;
		if (known && is == META_REFUSED) {
			assert_string_equal(journal_state(), m->sure);
			continue;
		}
		struct model next = {.revision = m->revision};
		model_copy(&next, m);
		model_apply(&next, &t);
		if (known) {
			meta_map_free(&m->map);
			*m = next;
			model_write(m, m->sure);
			assert_string_equal(journal_state(), m->sure);
		} else {
			assert_true(m->perhaps_count < PERHAPS_MAX);
			model_write(&next, m->perhaps[m->perhaps_count++]);
			meta_map_free(&next.map);
		}
	}
}

static bool model_allows(const struct model *m, const char *is)
{
	bool allowed = strcmp(is, m->sure) == 0;
	for (uint32_t i = 0; i < m->perhaps_count; i++)
		allowed |= strcmp(is, m->perhaps[i]) == 0;
	return allowed;
}

static bool open_on(struct crash_disk *disk)
{
	return meta_journal_open_on(&disk->disk, "sim", &events, &meta, why) == 0;
}

// Returns how often the journal was compacted.
static unsigned crash_run(uint64_t seed, int txns, bool failing)
{
	struct crash_disk disk;
	struct model m = {.revision = 0};
	static const int errors[] = {-ENOSPC, -EIO};
	stream = seed;
	crash_disk_init(&disk, seed);
	disk.crash_at = 1 + draw((uint32_t)txns * 2);
	if (failing) {
		disk.fail_from = 1 + draw((uint32_t)txns * 2);
		disk.fail_upto = disk.fail_from + 1 + draw(6);
		disk.fail_with = errors[draw(2)];
	}
	model_write(&m, m.sure);
	if (open_on(&disk)) {
		run_txns(&disk, &m, txns);
		close_journal();
	}
	crash_disk_restart(&disk);
	if (!open_on(&disk))
		fail_msg("seed %lu: %s", (unsigned long)seed, why);
	const char *is = journal_state();
	if (!model_allows(&m, is))
		fail_msg("seed %lu:\n%s\nis not\n%s", (unsigned long)seed, is, m.sure);
	assert_int_equal(put("after", "x", 0), META_DONE);
	close_journal();
	meta_map_free(&m.map);
	unsigned publishes = disk.publishes;
	crash_disk_free(&disk);
	return publishes;
}

static void survives_a_crash_at_any_call(void **unused)
{
	unsigned publishes = 0;
	for (uint64_t seed = 1; seed <= RUNS; seed++)
		publishes += crash_run(seed, 10, false);
	for (uint64_t seed = 1; seed <= RUNS / 4; seed++)
		publishes += crash_run(seed, 160, false);
	assert_true(publishes > RUNS + RUNS / 4 + RUNS / 16); // compactions were among them
}

static void survives_failures_and_a_crash(void **unused)
{
	for (uint64_t seed = 1; seed <= RUNS; seed++)
		crash_run(seed, 10, true);
	for (uint64_t seed = 1; seed <= RUNS / 4; seed++)
		crash_run(seed, 160, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(survives_a_crash_at_any_call),
		cmocka_unit_test(survives_failures_and_a_crash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
