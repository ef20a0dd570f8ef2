#include "tests/sim/scale.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"
#include "tests/sim/scale_world.h"

enum { PATIENCE_MS = 120000, REST_MS = 10000, LOOK_US = 100 };

// ---- the client

// Number 1 gets all workers, number 2 waits for them.
static void send_job(struct scale_actor *client, uint64_t peer, uint64_t number)
{
	char text[256], token[16];
	snprintf(text, sizeof(text),
		"version: 1\njob: j\nworkers: {count: %u}\nrecovery: {survive: 1 host}\n"
		"operators:\n  - {id: s, kind: nexmark, events: 10}\n"
		"  - {id: n, kind: 'null', input: s.bid}\n",
		client->world->nodes);
	Weir__Message message = WEIR__MESSAGE__INIT;
	Weir__Request request = WEIR__REQUEST__INIT;
	Weir__Submit submit = WEIR__SUBMIT__INIT;
	Weir__JobSpec spec = WEIR__JOB_SPEC__INIT;
	spec.file = (char *)"scale.yaml";
	spec.text = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
	snprintf(token, sizeof(token), "scale-%u", (unsigned)number);
	submit.token = token;
	submit.spec = &spec;
	message.number = number;
	message.body_case = WEIR__MESSAGE__BODY_REQUEST;
	message.request = &request;
	request.what_case = WEIR__REQUEST__WHAT_SUBMIT;
	request.submit = &submit;
	message_send(&client->bus, peer, &message);
}

static void on_opened(void *owner, uint64_t peer, const char *name)
{
	send_job(owner, peer, 1);
	send_job(owner, peer, 2);
}

static void on_closed(void *owner, uint64_t peer, const char *why)
{
}

static void on_received(void *owner, uint64_t peer, const void *data, size_t bytes)
{
	struct scale_actor *client = owner;
	Weir__Message *m = message_read(data, bytes);
	VERIFY(m && m->body_case == WEIR__MESSAGE__BODY_REPLY && !*m->reply->error);
	if (m->number == 1)
		snprintf(client->world->job, sizeof(client->world->job), "%s", m->reply->job);
	message_free(m);
}

static void submit(struct scale_world *w)
{
	struct scale_actor *client = &w->actors[w->count - 1];
	client->bus.events = (struct bus_events){on_opened, on_closed, on_received, client};
	client->bus.ops->connect(&client->bus, w->actors[0].name);
	scale_bus_flush(client, w->meta.time.now_ns);
}

// ---- what is waited for

static bool have_joined(const struct scale_world *w, uint64_t term)
{
	char joined[32];
	bool all = true;
	int bytes =
		snprintf(joined, sizeof(joined), "joined, term %llu,", (unsigned long long)term);
	for (uint32_t i = 0; i < w->nodes && all; i++) {
		const struct agent *agent = w->actors[SCALE_CONTROLLERS + i].agent;
		all = agent && strncmp(agent_state(agent), joined, (size_t)bytes) == 0;
	}
	return all;
}

static bool have_joined_first(const struct scale_world *w)
{
	return have_joined(w, 1);
}

static bool have_joined_second(const struct scale_world *w)
{
	return have_joined(w, 2);
}

static bool all_run(const struct scale_world *w)
{
	return w->running == w->nodes;
}

// Returns how long it took; INT64_MAX: it did not come about.
static int64_t await(struct scale_world *w, bool (*is_there)(const struct scale_world *))
{
	int64_t from_ns = w->meta.time.now_ns, until_ns = from_ns + PATIENCE_MS * MS;
	while (!is_there(w)) {
		if (w->meta.time.now_ns > until_ns)
			return INT64_MAX;
		scale_world_run(w, w->meta.time.now_ns + LOOK_US * 1000);
	}
	return w->meta.time.now_ns - from_ns;
}

static bool is_job_whole(const struct scale_world *w)
{
	Weir__JobRecord *record = ledger_job(&w->meta, w->job);
	bool whole = record && record->state == WEIR__JOB_STATE__JOB_RUNNING &&
		record->n_participants == w->nodes && record->n_covers == w->nodes;
	for (size_t i = 0; whole && i < record->n_participants; i++)
		whole = !record->participants[i]->lost;
	record_free(record);
	return whole;
}

// ---- a run

static void rest(struct scale_world *w, struct scale_result *result)
{
	struct scale_actor *leader = &w->actors[0];
	scale_world_run(w, w->meta.time.now_ns + REST_MS * MS);
	result->longest_ns = leader->longest_ns;
	int64_t cpu_ns = leader->cpu_ns;
	uint64_t messages = leader->received + leader->sent;
	scale_world_run(w, w->meta.time.now_ns + REST_MS * MS);
	result->leader_share = (double)(leader->cpu_ns - cpu_ns) / (REST_MS * MS);
	result->messages_per_second =
		(double)(leader->received + leader->sent - messages) * 1000 / REST_MS;
}

static void change_leader(struct scale_world *w, struct scale_result *result)
{
	scale_actor_kill(&w->actors[0]);
	result->leader_bytes = w->actors[0].heap_bytes;
	result->changed_ns = await(w, have_joined_second);
	scale_world_run(w, w->meta.time.now_ns + REST_MS * MS);
	int64_t longest_ns = w->actors[1].longest_ns;
	if (longest_ns > result->longest_ns)
		result->longest_ns = longest_ns;
}

static const char *what_is_wrong(const struct scale_world *w, const struct scale_result *result)
{
	return result->joined_ns == INT64_MAX     ? "not every node has joined"
		: result->running_ns == INT64_MAX ? "the job does not run on all nodes"
		: result->changed_ns == INT64_MAX ? "not every node has joined the next leader"
		: w->cut_off > 0                  ? "a living node was taken for dead"
		: w->disturbed                    ? "a part of the job was disturbed"
		: !is_job_whole(w)                ? "the job's record is not whole"
		: !have_joined_second(w)          ? "a node went apart"
						  : NULL;
}

void scale_run(uint32_t nodes, struct scale_result *ret_result)
{
	struct scale_world *w = calloc(1, sizeof(*w));
	struct scale_result result = {.nodes = nodes};
	VERIFY(w);
	scale_world_create(w, nodes);
	scale_world_run(w, SCALE_START_NS);
	result.joined_ns = await(w, have_joined_first);
	submit(w);
	result.running_ns = await(w, all_run);
	rest(w, &result);
	change_leader(w, &result);
	result.why = what_is_wrong(w, &result);
	result.good = result.why == NULL;
	scale_world_destroy(w);
	free(w);
	*ret_result = result;
}

static double ms(int64_t ns)
{
	return (double)ns / MS;
}

void scale_print(const struct scale_result *results, uint32_t count)
{
	printf("%5s  %10s  %12s  %11s  %10s  %12s  %12s  %9s\n", "nodes", "joined ms",
		"to running ms", "leader core", "messages/s", "leader change", "longest step",
		"memory");
	for (uint32_t i = 0; i < count; i++) {
		const struct scale_result *r = &results[i];
		if (r->good)
			printf("%5u  %10.1f  %13.1f  %10.3f%%  %10.0f  %10.1f ms  %9.2f ms  "
			       "%5.1f MiB\n",
				r->nodes, ms(r->joined_ns), ms(r->running_ns),
				100 * r->leader_share, r->messages_per_second, ms(r->changed_ns),
				ms(r->longest_ns), (double)r->leader_bytes / (1 << 20));
		else
			printf("%5u  %s\n", r->nodes, r->why);
	}
}
