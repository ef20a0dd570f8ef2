#include "perf/sink_timeline.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "numa/arena.h"
#include "numa/assert.h"
#include "numa/clock.h"
#include "state/table.h"

enum { KINDS_MAX = 64 };

struct sink {
	struct timeline_head *head; // the mapped file
	struct timeline_entry *entries;
	size_t file_bytes;
	uint32_t due_at;
	uint64_t count, hash;
	struct table state;
};

static const struct weir_param params[] = {
	{.name = "folder",
		.type = WEIR_PARAM_STRING,
		.required = true,
		.doc = "Where each instance makes its file, <task>-<process>.timeline."},
	{.name = "room",
		.type = WEIR_PARAM_INT,
		.required = true,
		.min = 1,
		.max = 1 << 28,
		.doc = "Records that a file can hold; one more fails the job."},
	{.name = "keys",
		.type = WEIR_PARAM_INT,
		.default_text = "1",
		.min = 1,
		.max = 1 << 26,
		.doc = "Keys of a task's state, all there from the start; every record updates "
		       "one."},
	{.name = NULL},
};

static int sink_plan(struct weir_plan *plan)
{
	int due = schema_find(plan->input, "scheduled");

	if (due < 0) {
		weir_plan_error(plan, plan->params, "needs scheduled records");
		return -EINVAL;
	}
	plan->keys[0] = (uint16_t)due;
	plan->key_count = 1;
	plan->fields_used = schema_all_fields(plan->input);
	return 0;
}

static int64_t wall_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now); // in the process, no call into the kernel
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

// All of the file is there before the job starts, so that a record costs no page fault either.
static int map_file(struct sink *s, const struct weir_context *ctx, const char *folder,
	uint64_t room)
{
	char path[512];
	int used = snprintf(path, sizeof(path), "%s/%" PRIu32 "-%d.timeline", folder,
		ctx->task_index, (int)getpid());

	if (used >= (int)sizeof(path))
		return -ENAMETOOLONG;
	int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (file < 0)
		return -errno;
	s->file_bytes = TIMELINE_HEAD_BYTES + room * sizeof(struct timeline_entry);
	int error = -posix_fallocate(file, 0, (off_t)s->file_bytes);
	void *at = error != 0 ? MAP_FAILED
			      : mmap(NULL, s->file_bytes, PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_POPULATE, file, 0);
	if (error == 0 && at == MAP_FAILED)
		error = -errno;
	close(file);
	if (error != 0)
		return error;
	s->head = at;
	s->entries = (void *)((uint8_t *)at + TIMELINE_HEAD_BYTES);
	s->head->room = room;
	s->head->task_index = ctx->task_index;
	s->head->task_count = ctx->task_count;
	return 0;
}

static int fill_state(struct sink *s, uint32_t keys)
{
	if (table_reserve(&s->state, keys) != 0)
		return -ENOMEM;
	for (uint32_t key = 0; key < keys; key++) {
		uint8_t *entry = table_take_int64(&s->state, key);
		if (entry == NULL)
			return -ENOMEM;
		((struct table_entry *)entry)->rows = 1;
	}
	s->head->state_bytes = (uint64_t)table_capacity(&s->state) * s->state.stride;
	return 0;
}

static void sink_destroy(void *self)
{
	struct sink *s = self;

	if (s != NULL && s->head != NULL)
		munmap(s->head, s->file_bytes);
}

static int sink_create(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self)
{
	struct sink *s = arena_alloc(ctx->arena, sizeof(*s), 64);
	const char *folder = weir_param_text(plan->params, "folder", "");

	if (s == NULL)
		return -ENOMEM;
	s->due_at = plan->input->fields[plan->keys[0]].offset;
	table_create(&s->state, ctx->pool, TABLE_INT64, false, TABLE_INT64_HEAD, NULL);
	int error = map_file(s, ctx, folder, (uint64_t)weir_param_int(plan->params, "room", 1));
	if (error == 0)
		error = fill_state(s, (uint32_t)weir_param_int(plan->params, "keys", 1));
	if (error != 0) {
		weir_fail(ctx, "%s: %s", folder, strerror(-error));
		sink_destroy(s);
		return error;
	}
	s->head->magic = TIMELINE_MAGIC;
	*ret_self = s;
	return 0;
}

static void note_start(struct sink *s, const struct weir_context *ctx)
{
	if (s->head->start_ns == 0)
		s->head->start_ns = wall_clock_ns() - (clock_now_ns() - ctx->start_ns);
}

static bool take(struct sink *s, const uint8_t *record, uint64_t at)
{
	int64_t due_ns = record_int64(record, s->due_at);
	uint64_t key = key_hash_int64(due_ns) % s->state.count;
	uint8_t *entry = table_take_int64(&s->state, (int64_t)key);

	if (entry == NULL || at >= s->head->room)
		return false;
	((struct table_entry *)entry)->rows++;
	s->entries[at].scheduled_ns = due_ns;
	s->hash += record_hash(record);
	return true;
}

static enum weir_flow sink_process(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	struct sink *s = self;
	uint64_t first = s->count;

	if (in->form != WEIR_PACKED)
		return weir_fail(ctx, "records must come from an exchange");
	note_start(s, ctx);
	for (; in->first < in->limit; in->first += record_length(in->first)) {
		if (record_variant(in->first) != in->schema->variant)
			continue;
		if (!take(s, in->first, s->count))
			return weir_fail(ctx, "the timeline is full");
		s->count++;
	}
	int64_t at_ns = wall_clock_ns();
	for (uint64_t i = first; i < s->count; i++)
		s->entries[i].at_ns = at_ns;
	atomic_store_explicit(&s->head->count, s->count, memory_order_release);
	ctx->counters->records_in += s->count - first;
	return WEIR_DONE;
}

// The same whatever the order of the records, as count and hash are.
static uint64_t state_hash(const struct sink *s)
{
	uint64_t hash = 0;

	for (uint32_t i = 0; i < s->state.count; i++) {
		const uint8_t *entry = table_at(&s->state, i);
		hash += key_hash_int64(entry_word(entry)) * entry_rows(entry);
	}
	return hash;
}

static void sink_report(const void *self, struct weir_reporter *reporter)
{
	const struct sink *s = self;

	reporter->add(reporter, "count", s->count);
	reporter->add(reporter, "hash", s->hash + state_hash(s));
}

const struct weir_operator sink_timeline = {
	.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "timeline",
	.summary = "Notes in a file which records came and when.",
	.role = WEIR_SINK,
	.params = params,
	.plan = sink_plan,
	.create = sink_create,
	.destroy = sink_destroy,
	.process = sink_process,
	.report = sink_report,
};

const struct weir_operator *const *timeline_kinds(void)
{
	static const struct weir_operator *kinds[KINDS_MAX + 1]; // NULL at the end
	uint32_t count = 0;

	for (; weir_operators[count] != NULL; count++) {
		VERIFY(count < KINDS_MAX - 1);
		kinds[count] = weir_operators[count];
	}
	kinds[count] = &sink_timeline;
	return kinds;
}
