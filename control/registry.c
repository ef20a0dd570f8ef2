// What the cluster's records say, and writing them: one transaction at a time, each comparing the
// leader's key and every record it changes. A transaction whose outcome is unknown, or that met
// another one, is followed by reading everything anew.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/controller_parts.h"
#include "numa/assert.h"

#define LEADER_KEY "weir/election/leader"

enum { RECORDS_MAX = (META_OPS_MAX - 2) / 2, RETRY_NS = 50000000 };

// What a transaction is built from. A new job is two keys.
struct write {
	struct meta_compare compares[META_OPS_MAX];
	struct meta_put puts[META_OPS_MAX];
	uint32_t compare_count, put_count, record_count;
	size_t bytes;
	char keys[META_OPS_MAX][META_KEY_MAX];
};

// Note a request as under way, or that it could not be made.
bool registry_ask(struct controller *c, enum ask ask, int rc)
{
	if (rc == 0) {
		c->ask = ask;
		c->asked_ns = c->now_ns;
	} else {
		c->retry_ns = c->now_ns + RETRY_NS;
	}
	return rc == 0;
}

static void write_key(struct write *w, const char *folder, const char *name, int64_t revision,
	const void *record)
{
	char *key = w->keys[w->put_count];
	size_t bytes = 0;
	void *value = record ? record_pack(record, &bytes) : NULL;
	snprintf(key, META_KEY_MAX, "weir/%s/%s", folder, name);
	w->compares[w->compare_count++] = (struct meta_compare){key, revision};
	w->puts[w->put_count++] = (struct meta_put){key, value, bytes, false};
	w->bytes += bytes;
}

static void write_node(struct write *w, struct node *node)
{
	node->entry.dirty = false;
	node->entry.writing = true;
	w->record_count++;
	write_key(w, "nodes", node->record->name, node->entry.revision, node->record);
}

static void write_job(struct write *w, struct job_entry *job)
{
	const char *id = job->record->id;
	bool remove = job->entry.remove;
	job->entry.dirty = false;
	job->entry.writing = true;
	w->record_count++;
	write_key(w, "jobs", id, job->entry.revision, remove ? NULL : job->record);
	if (job->entry.revision == 0)
		write_key(w, "specs", id, 0, job->spec);
	if (!remove)
		return;
	snprintf(w->keys[w->put_count], META_KEY_MAX, "weir/specs/%s", id);
	w->puts[w->put_count] = (struct meta_put){w->keys[w->put_count], NULL, 0, false};
	w->put_count++;
}

static bool write_has_room(const struct controller *c, const struct write *w)
{
	uint32_t records_max = c->write_alone ? 1 : RECORDS_MAX;
	return w->record_count < records_max && w->bytes < META_VALUE_MAX / 2;
}

static void gather(struct controller *c, struct write *w)
{
	w->compares[w->compare_count++] = (struct meta_compare){LEADER_KEY, c->leader_revision};
	for (uint32_t i = 0; i < c->node_count && write_has_room(c, w); i++)
		if (c->nodes[i]->entry.dirty)
			write_node(w, c->nodes[i]);
	for (uint32_t i = 0; i < c->job_count && write_has_room(c, w); i++)
		if (c->jobs[i]->entry.dirty)
			write_job(w, c->jobs[i]);
}

static void give_back(struct controller *c)
{
	for (uint32_t i = 0; i < c->node_count; i++) {
		struct entry *entry = &c->nodes[i]->entry;
		entry->dirty |= entry->writing;
		entry->writing = false;
	}
	for (uint32_t i = 0; i < c->job_count; i++) {
		struct entry *entry = &c->jobs[i]->entry;
		entry->dirty |= entry->writing;
		entry->writing = false;
	}
}

static bool is_anything_dirty(const struct controller *c)
{
	bool dirty = false;
	for (uint32_t i = 0; i < c->node_count && !dirty; i++)
		dirty = c->nodes[i]->entry.dirty;
	for (uint32_t i = 0; i < c->job_count && !dirty; i++)
		dirty = c->jobs[i]->entry.dirty;
	return dirty;
}

void registry_step(struct controller *c)
{
	struct meta *meta = c->config.meta;
	if (c->ask != ASK_NOTHING || c->now_ns < c->retry_ns || c->phase != PHASE_LEADING)
		return;
	if (c->reload) {
		registry_ask(c, ASK_LOAD, meta->ops->list(meta, ++c->request, "weir/", c->now_ns));
		return;
	}
	if (!is_anything_dirty(c))
		return;
	struct write *w = calloc(1, sizeof(*w));
	VERIFY(w);
	gather(c, w);
	const struct meta_txn txn = {w->compares, w->compare_count, w->puts, w->put_count};
	if (!registry_ask(c, ASK_WRITE, meta->ops->txn(meta, ++c->request, &txn, c->now_ns)))
		give_back(c);
	for (uint32_t i = 0; i < w->put_count; i++)
		free((void *)w->puts[i].value);
	free(w);
}

static void job_remove(struct controller *c, uint32_t index)
{
	job_entry_free(c->jobs[index]);
	memmove(&c->jobs[index], &c->jobs[index + 1],
		(--c->job_count - index) * sizeof(struct job_entry *));
}

static void settle(struct controller *c, int64_t revision)
{
	for (uint32_t i = 0; i < c->node_count; i++) {
		struct node *node = c->nodes[i];
		if (!node->entry.writing)
			continue;
		node->entry.writing = false;
		node->entry.revision = revision;
		membership_settled(c, node);
	}
	for (uint32_t i = c->job_count; i-- > 0;) {
		struct job_entry *job = c->jobs[i];
		if (!job->entry.writing)
			continue;
		job->entry.writing = false;
		job->entry.revision = revision;
		if (job->entry.remove)
			job_remove(c, i);
		else
			jobs_settled(c, job);
	}
}

// A record that metadata refuses by itself: a new job is refused, too; others are tried again.
static void refused(struct controller *c)
{
	for (uint32_t i = c->job_count; c->write_alone && i-- > 0;) {
		struct job_entry *job = c->jobs[i];
		if (!job->entry.writing || job->entry.revision != 0)
			continue;
		requests_answer(c, job, "metadata refuses the job: too large, or full");
		job_remove(c, i);
	}
	give_back(c);
	c->write_alone = true;
	c->retry_ns = c->now_ns + RETRY_NS;
}

void registry_answered(struct controller *c, enum meta_outcome outcome, int64_t revision)
{
	if (c->phase != PHASE_LEADING)
		return;
	if (outcome == META_DONE) {
		c->write_alone = false;
		settle(c, revision);
	} else if (outcome == META_REFUSED) {
		refused(c);
	} else {
		give_back(c);
		c->reload = true;
	}
}

static int node_order(const void *name, const void *node)
{
	return strcmp(name, (*(struct node *const *)node)->record->name);
}

struct node *registry_node(struct controller *c, const char *name)
{
	struct node **found = bsearch(name, c->nodes, c->node_count, sizeof(*c->nodes), node_order);
	return found ? *found : NULL;
}

struct node *registry_add_node(struct controller *c, Weir__NodeRecord *record)
{
	uint32_t at = c->node_count;
	if (at == CONTROLLER_NODES_MAX)
		return NULL;
	struct node *node = calloc(1, sizeof(*node));
	VERIFY(node);
	node->record = record;
	for (; at > 0 && strcmp(c->nodes[at - 1]->record->name, record->name) > 0; at--)
		c->nodes[at] = c->nodes[at - 1];
	c->nodes[at] = node;
	c->node_count++;
	return node;
}

struct job_entry *registry_job(struct controller *c, const char *id)
{
	for (uint32_t i = 0; i < c->job_count; i++)
		if (strcmp(c->jobs[i]->record->id, id) == 0)
			return c->jobs[i];
	return NULL;
}

// The oldest that ended makes room.
static bool make_room(struct controller *c)
{
	for (uint32_t i = 0; i < c->job_count; i++) {
		struct job_entry *job = c->jobs[i];
		if (!job_is_ended(job) || !entry_is_settled(&job->entry))
			continue;
		job->entry.remove = true;
		job->entry.dirty = true;
		return true;
	}
	return false;
}

struct job_entry *registry_add_job(struct controller *c, Weir__JobRecord *record,
	Weir__JobSpec *spec)
{
	uint32_t ended = 0;
	for (uint32_t i = 0; i < c->job_count; i++)
		ended += job_is_ended(c->jobs[i]) && !c->jobs[i]->entry.remove;
	if (ended > c->config.ended_max)
		make_room(c);
	if (c->job_count == CONTROLLER_JOBS_MAX)
		return NULL;
	struct job_entry *job = calloc(1, sizeof(*job));
	VERIFY(job);
	job->record = record;
	job->spec = spec;
	c->jobs[c->job_count++] = job;
	return job;
}

void job_entry_free(struct job_entry *job)
{
	for (size_t i = 0; job->last && i < job->record->n_participants; i++)
		record_free(job->last[i]);
	record_free(job->record);
	record_free(job->spec);
	free(job->last);
	free(job->nodes);
	free(job->standings);
	free(job);
}

static void node_free(struct node *node)
{
	node_free_parts(node);
	record_free(node->record);
	free(node);
}

void registry_forget(struct controller *c)
{
	for (uint32_t i = 0; i < c->node_count; i++)
		node_free(c->nodes[i]);
	for (uint32_t i = 0; i < c->job_count; i++)
		job_entry_free(c->jobs[i]);
	c->node_count = 0;
	c->job_count = 0;
	memset(c->seats, 0, sizeof(c->seats));
}

static const char *name_in(const char *key, const char *folder)
{
	size_t bytes = strlen(folder);
	return strncmp(key, folder, bytes) == 0 ? key + bytes : NULL;
}

// Where this leader knows a node already, what it knows of its connection stays.
static void load_node(struct controller *c, const struct meta_entry *entry)
{
	Weir__NodeRecord *record = node_record_read(entry->value, entry->bytes);
	if (!record)
		return;
	struct node *node = registry_node(c, record->name);
	if (!node)
		node = registry_add_node(c, record_copy(record));
	bool ours = node && node->entry.dirty && node->entry.revision == entry->revision;
	if (node && !ours) {
		record_free(node->record);
		node->record = record_copy(record);
		node->entry = (struct entry){.revision = entry->revision};
		membership_settled(c, node);
	}
	record_free(record);
}

static void load_job(struct controller *c, const struct meta_entry *entry)
{
	Weir__JobRecord *record = job_record_read(entry->value, entry->bytes);
	if (!record)
		return;
	struct job_entry *job = registry_job(c, record->id);
	if (!job)
		job = registry_add_job(c, record_copy(record), NULL);
	bool ours = job && job->entry.dirty && job->entry.revision == entry->revision;
	if (job && !ours) {
		record_free(job->record);
		job->record = record_copy(record);
		job->entry = (struct entry){.revision = entry->revision};
		jobs_settled(c, job);
	}
	record_free(record);
}

static void load_spec(struct controller *c, const struct meta_entry *entry, const char *id)
{
	struct job_entry *job = registry_job(c, id);
	if (job && !job->spec)
		job->spec = job_spec_read(entry->value, entry->bytes);
}

// What another leader removed, or what a write that never took place was to remove.
static void drop_absent(struct controller *c, const struct meta_entry *entries, uint32_t count)
{
	for (uint32_t i = c->job_count; i-- > 0;) {
		struct job_entry *job = c->jobs[i];
		bool there = job->entry.dirty && job->entry.revision == 0;
		for (uint32_t k = 0; k < count && !there; k++) {
			const char *id = name_in(entries[k].key, "weir/jobs/");
			there = id && strcmp(id, job->record->id) == 0;
		}
		if (!there)
			job_remove(c, i);
	}
}

static int64_t leader_revision(const struct meta_entry *entries, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(entries[i].key, LEADER_KEY) == 0)
			return entries[i].revision;
	return 0;
}

static int by_submission(const void *a, const void *b)
{
	const Weir__JobRecord *x = (*(struct job_entry *const *)a)->record;
	const Weir__JobRecord *y = (*(struct job_entry *const *)b)->record;
	if (x->submitted_at != y->submitted_at)
		return x->submitted_at < y->submitted_at ? -1 : 1;
	return strcmp(x->id, y->id);
}

void registry_load(struct controller *c, const struct meta_entry *entries, uint32_t count)
{
	bool fresh = c->phase == PHASE_LOADING;
	if (leader_revision(entries, count) != c->leader_revision) {
		election_step_down(c, "another one was elected");
		return;
	}
	if (fresh)
		registry_forget(
			c); // what an earlier term of its own knew is old, and wanted is void
	for (uint32_t i = 0; i < count; i++) {
		if (name_in(entries[i].key, "weir/nodes/"))
			load_node(c, &entries[i]);
		else if (name_in(entries[i].key, "weir/jobs/"))
			load_job(c, &entries[i]);
	}
	for (uint32_t i = 0; i < count; i++) {
		const char *id = name_in(entries[i].key, "weir/specs/");
		if (id)
			load_spec(c, &entries[i], id);
	}
	drop_absent(c, entries, count);
	if (fresh && protocol_refuses_to_lead(c)) {
		c->resigning = true;
		return;
	}
	qsort(c->jobs, c->job_count, sizeof(*c->jobs), by_submission);
	c->phase = PHASE_LEADING;
	c->reload = false;
	if (!fresh)
		return;
	c->leading_since_ns = c->now_ns;
	events_add(c, "controller %s leads, term %llu", c->config.name,
		(unsigned long long)c->term);
}
