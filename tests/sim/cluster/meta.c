// Metadata of the simulated world: one server that is sometimes slow or gone, and a client in every
// controller whose requests may end as unknown, done or not.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"
#include "tests/sim/cluster/cluster.h"

enum { REQUEST_NS_MAX = 1000 };

struct sim_meta {
	struct meta meta;
	struct process *process;
	uint64_t lease;
	int64_t ttl_ns;
	char watched[META_KEY_MAX];
};

// A request on its way, with its own copy of everything.
struct request {
	struct cluster *cluster;
	uint32_t process;
	uint64_t boot, number, lease;
	bool list;
	char prefix[META_KEY_MAX];
	struct meta_compare compares[META_OPS_MAX];
	struct meta_put puts[META_OPS_MAX];
	char keys[2 * META_OPS_MAX][META_KEY_MAX];
	uint32_t compare_count, put_count;
	int64_t asked_ns;
	bool answered;
	enum meta_outcome outcome;
	int64_t revision;
	struct stored *listed;
	uint32_t listed_count;
	uint32_t pending; // events that hold it
};

static int64_t delay(struct cluster *c)
{
	return 50000 + (int64_t)random_in(&c->random, 0, (uint64_t)c->server.delay_ns);
}

const struct stored *sim_meta_find(const struct cluster *c, const char *key)
{
	for (size_t i = 0; i < c->server.count; i++)
		if (strcmp(c->server.keys[i].key, key) == 0)
			return &c->server.keys[i];
	return NULL;
}

static void hint(void *owner, void *argument)
{
	struct process *p = owner;
	if (!process_runs(p) || !p->meta)
		return;
	p->meta->meta.events.changed(p->meta->meta.events.owner);
	process_wake(p);
}

static void hint_all(struct cluster *c)
{
	for (uint32_t i = 0; i < c->controllers; i++)
		if (random_chance(&c->random, 900))
			vtime_at(&c->time, c->time.now_ns + delay(c), hint, &c->processes[i], NULL);
}

static void key_put(struct cluster *c, const struct meta_put *put, uint64_t lease)
{
	struct server *s = &c->server;
	struct stored *found = (struct stored *)sim_meta_find(c, put->key);
	ledger_write(c, found, put);
	cluster_trace_write(c, put);
	if (!put->value) {
		if (found) {
			free(found->value);
			*found = s->keys[--s->count];
		}
		return;
	}
	if (!found) {
		if (s->count == s->room) {
			s->room = s->room ? 2 * s->room : 32;
			s->keys = realloc(s->keys, s->room * sizeof(*s->keys));
			VERIFY(s->keys);
		}
		found = &s->keys[s->count++];
		*found = (struct stored){0};
		strcpy(found->key, put->key);
	}
	free(found->value);
	found->value = malloc(put->bytes + 1);
	VERIFY(found->value);
	memcpy(found->value, put->value, put->bytes);
	found->bytes = put->bytes;
	found->revision = s->revision;
	found->lease = put->leased ? lease : 0;
}

static struct lease *lease_find(struct cluster *c, uint64_t id)
{
	for (uint32_t i = 0; i < c->server.lease_count; i++)
		if (c->server.leases[i].id == id)
			return &c->server.leases[i];
	return NULL;
}

static void lease_end(struct cluster *c, uint64_t id)
{
	struct lease *lease = lease_find(c, id);
	if (lease)
		*lease = c->server.leases[--c->server.lease_count];
	for (size_t i = c->server.count; i-- > 0;) {
		struct stored *key = &c->server.keys[i];
		if (key->lease != id)
			continue;
		const struct meta_put put = {key->key, NULL, 0, false};
		c->server.revision++;
		key_put(c, &put, 0);
	}
	hint_all(c);
}

static void expire(void *owner, void *argument)
{
	struct cluster *c = owner;
	if (c->ending)
		return;
	for (uint32_t i = c->server.lease_count; i-- > 0;)
		if (!c->server.gone && c->server.leases[i].until_ns < c->time.now_ns)
			lease_end(c, c->server.leases[i].id);
	vtime_at(&c->time, c->time.now_ns + 20 * c->ms, expire, c, NULL);
}

void sim_meta_server_start(struct cluster *c)
{
	expire(c, NULL);
}

static void apply(struct cluster *c, struct request *r)
{
	r->outcome = META_CONFLICT;
	r->revision = c->server.revision;
	for (uint32_t i = 0; i < r->compare_count; i++) {
		const struct stored *found = sim_meta_find(c, r->compares[i].key);
		if ((found ? found->revision : 0) != r->compares[i].revision)
			return;
	}
	for (uint32_t i = 0; i < r->put_count; i++)
		if (r->puts[i].leased && !lease_find(c, r->lease))
			return;
	r->outcome = META_DONE;
	r->revision = ++c->server.revision;
	for (uint32_t i = 0; i < r->put_count; i++)
		key_put(c, &r->puts[i], r->lease);
	hint_all(c);
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct stored *)a)->key, ((const struct stored *)b)->key);
}

static void read_all(struct cluster *c, struct request *r)
{
	r->outcome = META_DONE;
	r->revision = c->server.revision;
	r->listed = calloc(c->server.count + 1, sizeof(*r->listed));
	VERIFY(r->listed);
	for (size_t i = 0; i < c->server.count; i++) {
		const struct stored *key = &c->server.keys[i];
		if (strncmp(key->key, r->prefix, strlen(r->prefix)) != 0)
			continue;
		struct stored *copy = &r->listed[r->listed_count++];
		*copy = *key;
		copy->value = malloc(key->bytes + 1);
		VERIFY(copy->value);
		memcpy(copy->value, key->value, key->bytes);
	}
	qsort(r->listed, r->listed_count, sizeof(*r->listed), by_key);
}

static void request_drop(struct request *r)
{
	if (--r->pending > 0)
		return;
	for (uint32_t i = 0; i < r->put_count; i++)
		free((void *)r->puts[i].value);
	for (uint32_t i = 0; i < r->listed_count; i++)
		free(r->listed[i].value);
	free(r->listed);
	free(r);
}

static void give_list(struct sim_meta *m, struct request *r)
{
	struct meta_entry *entries = calloc(r->listed_count + 1, sizeof(*entries));
	VERIFY(entries);
	for (uint32_t i = 0; i < r->listed_count; i++)
		entries[i] = (struct meta_entry){r->listed[i].key, r->listed[i].value,
			r->listed[i].bytes, r->listed[i].revision};
	m->meta.events.listed(m->meta.events.owner, r->number, r->outcome, entries,
		r->outcome == META_DONE ? r->listed_count : 0, r->revision);
	free(entries);
}

// A process that sleeps gets its answers when it is woken.
static void give(void *owner, void *argument)
{
	struct request *r = argument;
	struct cluster *c = owner;
	struct process *p = &c->processes[r->process];
	if (p->paused && p->boot == r->boot) {
		vtime_at(&c->time, c->time.now_ns + 20 * c->ms, give, c, r);
		return;
	}
	if (p->up && p->boot == r->boot && !r->answered) {
		r->answered = true;
		if (r->list)
			give_list(p->meta, r);
		else
			p->meta->meta.events.answered(p->meta->meta.events.owner, r->number,
				r->outcome, r->revision);
		process_wake(p);
	}
	request_drop(r);
}

static void time_out(void *owner, void *argument)
{
	struct request *r = argument;
	struct cluster *c = owner;
	struct process *p = &c->processes[r->process];
	if (!r->answered && p->boot == r->boot && p->up) {
		if (p->paused) {
			vtime_at(&c->time, c->time.now_ns + 20 * c->ms, time_out, c, r);
			return;
		}
		enum meta_outcome outcome = r->outcome;
		r->outcome = META_UNKNOWN;
		r->pending++;
		give(c, r);
		r->outcome = outcome;
	}
	request_drop(r);
}

static void arrive(void *owner, void *argument)
{
	struct request *r = argument;
	struct cluster *c = owner;
	struct process *p = &c->processes[r->process];
	if (c->server.gone && random_chance(&c->random, 700)) { // it waits for the server
		vtime_at(&c->time, c->time.now_ns + 50 * c->ms, arrive, c, r);
		return;
	}
	bool lost = c->server.gone || (p->meta_cut && p->boot == r->boot);
	if (!lost && r->list)
		read_all(c, r);
	else if (!lost)
		apply(c, r);
	lost |= c->faults && random_chance(&c->random, 20);
	if (lost) // the answer
		request_drop(r);
	else
		vtime_at(&c->time, c->time.now_ns + delay(c), give, c, r);
}

static void request_send(struct process *p, struct request *r)
{
	struct cluster *c = p->cluster;
	r->cluster = c;
	r->process = p->index;
	r->boot = p->boot;
	r->lease = p->meta->lease;
	r->pending = 2;
	vtime_at(&c->time, c->time.now_ns + delay(c), arrive, c, r);
	vtime_at(&c->time, c->time.now_ns + REQUEST_NS_MAX * c->ms, time_out, c, r);
}

static int meta_txn(struct meta *meta, uint64_t number, const struct meta_txn *txn, int64_t now_ns)
{
	struct request *r = calloc(1, sizeof(*r));
	VERIFY(r && txn->compare_count <= META_OPS_MAX && txn->put_count <= META_OPS_MAX);
	r->number = number;
	r->compare_count = txn->compare_count;
	r->put_count = txn->put_count;
	for (uint32_t i = 0; i < txn->compare_count; i++) {
		strcpy(r->keys[i], txn->compares[i].key);
		r->compares[i] = (struct meta_compare){r->keys[i], txn->compares[i].revision};
	}
	for (uint32_t i = 0; i < txn->put_count; i++) {
		const struct meta_put *put = &txn->puts[i];
		char *key = r->keys[META_OPS_MAX + i];
		void *value = put->value ? malloc(put->bytes + 1) : NULL;
		strcpy(key, put->key);
		if (value)
			memcpy(value, put->value, put->bytes);
		r->puts[i] = (struct meta_put){key, value, put->bytes, put->leased};
	}
	request_send(((struct sim_meta *)meta)->process, r);
	return 0;
}

static int meta_list(struct meta *meta, uint64_t number, const char *prefix, int64_t now_ns)
{
	struct request *r = calloc(1, sizeof(*r));
	VERIFY(r);
	r->number = number;
	r->list = true;
	strcpy(r->prefix, prefix);
	request_send(((struct sim_meta *)meta)->process, r);
	return 0;
}

static int meta_watch(struct meta *meta, const char *prefix)
{
	strcpy(((struct sim_meta *)meta)->watched, prefix);
	return 0;
}

// One renewal: the server's time counts from its arrival, the client's from before it was sent.
struct renewal {
	struct process *process;
	uint64_t boot, lease;
	int64_t sent_ns, ttl_ns;
	bool granted;
};

static void renew(void *owner, void *argument);

// Of two leases asked for at once only the first counts.
static void take_renewal(struct process *p, const struct renewal *r)
{
	struct sim_meta *m = p->meta;
	if (r->granted && m->lease == 0)
		m->lease = r->lease;
	if (m->lease != r->lease)
		return;
	if (!r->granted)
		m->lease = 0;
	int64_t until_ns = p->cluster->server.journal ? INT64_MAX : r->sent_ns + m->ttl_ns;
	m->meta.events.lease(m->meta.events.owner, r->granted ? until_ns : 0);
	process_wake(p);
}

static void renewed(void *owner, void *argument)
{
	struct renewal *r = argument;
	struct process *p = r->process;
	struct cluster *c = owner;
	if (p->up && p->boot == r->boot && p->paused) {
		vtime_at(&c->time, c->time.now_ns + 20 * c->ms, renewed, c, r);
		return;
	}
	if (p->up && p->boot == r->boot)
		take_renewal(p, r);
	free(r);
}

static void renewal_arrives(void *owner, void *argument)
{
	struct renewal *r = argument;
	struct cluster *c = owner;
	struct lease *lease = lease_find(c, r->lease);
	bool lost = c->server.gone || r->process->meta_cut ||
		(c->faults && random_chance(&c->random, 20));
	if (!lost && r->lease == 0 && c->server.lease_count < 64) {
		lease = &c->server.leases[c->server.lease_count++];
		*lease = (struct lease){++c->server.lease_next, 0};
		r->lease = lease->id;
	}
	if (lost) {
		free(r);
		return;
	}
	r->granted = lease != NULL;
	if (lease)
		lease->until_ns = c->server.journal ? INT64_MAX : c->time.now_ns + r->ttl_ns;
	vtime_at(&c->time, c->time.now_ns + delay(c), renewed, c, r);
}

static void renew(void *owner, void *argument)
{
	struct process *p = owner;
	struct cluster *c = p->cluster;
	if (!p->up || !p->meta || (void *)p->boot != argument)
		return;
	vtime_at(&c->time, c->time.now_ns + p->meta->ttl_ns / 4, renew, p, argument);
	if (p->paused)
		return;
	struct renewal *r = calloc(1, sizeof(*r));
	VERIFY(r);
	*r = (struct renewal){p, p->boot, p->meta->lease, c->time.now_ns, p->meta->ttl_ns, false};
	vtime_at(&c->time, c->time.now_ns + delay(c), renewal_arrives, c, r);
}

static int meta_keep_lease(struct meta *meta, int64_t ttl_ns)
{
	struct sim_meta *m = (struct sim_meta *)meta;
	m->ttl_ns = ttl_ns;
	vtime_at(&m->process->cluster->time, 0, renew, m->process, (void *)m->process->boot);
	return 0;
}

static const struct meta_ops ops = {meta_txn, meta_list, meta_watch, meta_keep_lease, NULL, NULL};

struct meta *sim_meta_create(struct process *p)
{
	p->meta = calloc(1, sizeof(*p->meta));
	VERIFY(p->meta);
	p->meta->meta.ops = &ops;
	p->meta->process = p;
	return &p->meta->meta;
}

void sim_meta_destroy(struct process *p)
{
	bool ends = p->meta != NULL && p->meta->lease != 0 && p->cluster->server.journal;
	if (ends && !p->cluster->ending)
		lease_end(p->cluster, p->meta->lease);
	free(p->meta);
	p->meta = NULL;
}

void sim_meta_end(struct cluster *c)
{
	for (size_t i = 0; i < c->server.count; i++)
		free(c->server.keys[i].value);
	free(c->server.keys);
}
