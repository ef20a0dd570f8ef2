#include "control/meta_etcd.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/etcd_json.h"
#include "control/http.h"
#include "numa/assert.h"
#include "numa/clock.h"

#define MS 1000000ll
#define SECOND (1000 * MS)
enum { PAUSE_MS = 100, REVOKE_MS = 500, URL_BYTES = 512 };

enum call_kind { CALL_TXN, CALL_LIST, CALL_GRANT, CALL_KEEP, CALL_REVOKE, CALL_WATCH };
static const char *const paths[] = {"/v3/kv/txn", "/v3/kv/range", "/v3/lease/grant",
	"/v3/lease/keepalive", "/v3/lease/revoke", "/v3/watch"};

struct call {
	struct call *next, **link;
	struct etcd *etcd;
	enum call_kind kind;
	uint64_t request;
	char *body; // NULL: to be refused
	uint32_t endpoint, tries;
	int64_t begin_ns, sent_ns, deadline_ns;
	int64_t next_ns;        // of the next try, while none is under way
	struct http_call *http; // the try under way
};

struct lease {
	int64_t ttl_ns; // asked for; 0: none
	int64_t id;     // 0: none is held
	int64_t until_ns, next_ns;
	struct call *call; // that asks for it, or renews it
};

struct etcd {
	struct meta meta;
	struct event_base *base;
	struct event *timer;
	struct http *http;
	struct tls_files tls;
	char endpoints[META_ETCD_ENDPOINTS_MAX][URL_BYTES - 32], space[ETCD_PREFIX_MAX];
	uint32_t endpoint_count, endpoint; // the one in use
	int64_t timeout_ns, hint_ns, hint_next_ns;
	uint32_t call_count, watch_count;
	struct call *calls;
	struct lease lease;
	char trouble[META_ETCD_WHY_BYTES];
};

static struct etcd *of(struct meta *meta)
{
	return (struct etcd *)meta;
}

static void call_free(struct call *call)
{
	*call->link = call->next;
	if (call->next)
		call->next->link = call->link;
	call->etcd->call_count--;
	if (call->etcd->lease.call == call)
		call->etcd->lease.call = NULL;
	http_cancel(call->http);
	free(call->body);
	free(call);
}

static struct call *call_create(struct etcd *e, enum call_kind kind, char *body, int64_t now_ns)
{
	struct call *call = calloc(1, sizeof(*call));
	VERIFY(call != NULL);
	*call = (struct call){.next = e->calls,
		.link = &e->calls,
		.etcd = e,
		.kind = kind,
		.body = body,
		.begin_ns = now_ns,
		.next_ns = now_ns,
		.deadline_ns = kind == CALL_WATCH ? INT64_MAX : now_ns + e->timeout_ns};
	if (call->next)
		call->next->link = &call->next;
	e->calls = call;
	e->call_count++;
	return call;
}

// Tell the caller that a request came to nothing, and forget it. Reading is answered likewise.
static void call_answer(struct call *call, enum meta_outcome outcome, int64_t revision)
{
	struct meta_events events = call->etcd->meta.events;
	enum call_kind kind = call->kind;
	uint64_t request = call->request;
	call_free(call);
	if (kind == CALL_TXN)
		events.answered(events.owner, request, outcome, revision);
	else if (kind == CALL_LIST)
		events.listed(events.owner, request, outcome, NULL, 0, 0);
}

static void txn_answered(struct call *call, const struct http_answer *answer)
{
	bool succeeded;
	int64_t revision;
	if (etcd_json_read_txn(answer->body, answer->bytes, &succeeded, &revision) != 0)
		call_answer(call, META_UNKNOWN, 0);
	else
		call_answer(call, succeeded ? META_DONE : META_CONFLICT, revision);
}

static void list_answered(struct call *call, const struct http_answer *answer)
{
	struct meta_events events = call->etcd->meta.events;
	uint64_t request = call->request;
	struct etcd_range range;
	if (etcd_json_read_range(answer->body, answer->bytes, call->etcd->space, &range) != 0) {
		call_answer(call, META_UNKNOWN, 0);
		return;
	}
	call_free(call);
	events.listed(events.owner, request, META_DONE, range.entries, range.count, range.revision);
	etcd_range_free(&range);
}

static void lease_lose(struct etcd *e, int64_t now_ns)
{
	if (e->lease.call)
		call_free(e->lease.call);
	// What was put with it goes now, if etcd hears of it, and not only when it runs out there.
	call_create(e, CALL_REVOKE, etcd_json_lease(e->lease.id), now_ns);
	e->lease.id = 0;
	e->lease.next_ns = now_ns;
	e->meta.events.lease(e->meta.events.owner, 0);
}

static void lease_answered(struct call *call, const struct http_answer *answer, int64_t now_ns)
{
	struct etcd *e = call->etcd;
	struct lease *lease = &e->lease;
	int64_t id, ttl_s, sent_ns = call->sent_ns;
	enum call_kind kind = call->kind;
	bool read = etcd_json_read_lease(answer->body, answer->bytes, &id, &ttl_s) == 0;
	call_free(call);
	if (!read)
		return;
	if (kind == CALL_KEEP && (id != lease->id || ttl_s <= 0)) {
		if (id == lease->id)
			lease_lose(e, now_ns);
		return;
	}
	lease->id = id;
	lease->until_ns = sent_ns + ttl_s * SECOND;
	lease->next_ns = sent_ns + ttl_s * SECOND / 3;
	if (lease->until_ns > now_ns)
		e->meta.events.lease(e->meta.events.owner, lease->until_ns);
}

static void trouble_set(struct etcd *e, uint32_t endpoint, const char *text)
{
	snprintf(e->trouble, sizeof(e->trouble), "etcd at %s: %s", e->endpoints[endpoint], text);
}

// A try failed: the next one is with another endpoint, unless this may have done something.
static void call_failed(struct call *call, bool sent, int64_t now_ns)
{
	struct etcd *e = call->etcd;
	if (e->endpoint == call->endpoint)
		e->endpoint = (e->endpoint + 1) % e->endpoint_count;
	bool pause = ++call->tries % e->endpoint_count == 0;
	call->next_ns = pause ? now_ns + PAUSE_MS * MS : now_ns;
	if (call->kind == CALL_TXN && sent)
		call_answer(call, META_UNKNOWN, 0);
	else if (call->kind == CALL_REVOKE || call->next_ns + PAUSE_MS * MS >= call->deadline_ns)
		call->deadline_ns = now_ns; // no time for another: the next round ends it
}

static int64_t work(struct etcd *e, int64_t now_ns);

static void try_answered(void *owner, const struct http_answer *answer)
{
	struct call *call = owner;
	struct etcd *e = call->etcd;
	int64_t now_ns = clock_now_ns();
	char text[256];
	call->http = NULL; // it frees itself
	if (answer->status == 200 && call->kind != CALL_WATCH) {
		e->trouble[0] = 0;
		if (call->kind == CALL_TXN)
			txn_answered(call, answer);
		else if (call->kind == CALL_LIST)
			list_answered(call, answer);
		else if (call->kind == CALL_REVOKE)
			call_free(call);
		else
			lease_answered(call, answer, now_ns);
	} else if (answer->status != 0 &&
		etcd_json_read_error(answer->body, answer->bytes, text, sizeof(text)) ==
			META_REFUSED) {
		// A lease that etcd does not know is lost, whatever it was asked for.
		trouble_set(e, call->endpoint, text);
		if (call->kind == CALL_WATCH)
			call->next_ns = now_ns + SECOND;
		else
			call_answer(call, META_REFUSED, 0);
	} else {
		// That a later try had no time left says less than why the first one failed.
		bool telling = call->tries == 0 || now_ns < call->deadline_ns;
		if (telling && (call->kind != CALL_WATCH || answer->status == 0))
			trouble_set(e, call->endpoint, answer->status ? text : answer->error);
		call_failed(call, answer->sent, now_ns);
	}
	work(e, now_ns);
}

static void watch_noticed(void *owner)
{
	struct etcd *e = ((struct call *)owner)->etcd;
	e->hint_next_ns = clock_now_ns() + e->hint_ns;
	e->meta.events.changed(e->meta.events.owner);
}

// How long one try may take. A transaction has no second; others leave time for one.
static uint32_t try_ms(const struct call *call, int64_t now_ns)
{
	int64_t left_ms = (call->deadline_ns - now_ns + MS - 1) / MS;
	if (call->kind == CALL_WATCH)
		return 0;
	if (call->kind != CALL_TXN && call->etcd->endpoint_count > 1)
		left_ms = (left_ms + 1) / 2;
	return left_ms > 0 ? (uint32_t)left_ms : 1;
}

static void call_try(struct call *call, int64_t now_ns)
{
	struct etcd *e = call->etcd;
	char url[URL_BYTES];
	call->endpoint = e->endpoint;
	call->sent_ns = now_ns;
	snprintf(url, sizeof(url), "%s%s", e->endpoints[e->endpoint], paths[call->kind]);
	struct http_post post = {.url = url,
		.body = strdup(call->body),
		.timeout_ms = try_ms(call, now_ns),
		.answered = try_answered,
		.noticed = watch_noticed,
		.owner = call};
	VERIFY(post.body != NULL);
	call->http = http_post(e->http, &post);
}

static void lease_work(struct etcd *e, int64_t now_ns)
{
	struct lease *lease = &e->lease;
	if (lease->id && now_ns >= lease->until_ns)
		lease_lose(e, now_ns);
	if (lease->ttl_ns == 0 || lease->call || now_ns < lease->next_ns)
		return;
	int64_t ttl_s = (lease->ttl_ns + SECOND - 1) / SECOND;
	lease->next_ns = now_ns + PAUSE_MS * MS;
	if (lease->id)
		lease->call = call_create(e, CALL_KEEP, etcd_json_lease(lease->id), now_ns);
	else
		lease->call = call_create(e, CALL_GRANT, etcd_json_grant(ttl_s), now_ns);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

// Begin tries, end what has no time left; events may change the list, so it is then begun anew.
static int64_t calls_work(struct etcd *e, int64_t now_ns)
{
	int64_t next_ns = INT64_MAX;
	for (struct call *call = e->calls; call;) {
		if (call->http) {
			call = call->next;
		} else if (now_ns >= call->deadline_ns || !call->body) {
			call_answer(call, call->body ? META_UNKNOWN : META_REFUSED, 0);
			call = e->calls;
			next_ns = INT64_MAX;
		} else {
			if (now_ns >= call->next_ns)
				call_try(call, now_ns);
			else
				next_ns = earlier(next_ns, call->next_ns);
			call = call->next;
		}
	}
	return next_ns;
}

static int64_t work(struct etcd *e, int64_t now_ns)
{
	lease_work(e, now_ns);
	if (e->watch_count > 0 && now_ns >= e->hint_next_ns) {
		e->hint_next_ns = now_ns + e->hint_ns;
		e->meta.events.changed(e->meta.events.owner);
	}
	int64_t next_ns = calls_work(e, now_ns);
	if (e->watch_count > 0)
		next_ns = earlier(next_ns, e->hint_next_ns);
	if (e->lease.id)
		next_ns = earlier(next_ns, e->lease.until_ns);
	if (e->lease.ttl_ns > 0 && !e->lease.call)
		next_ns = earlier(next_ns, e->lease.next_ns);
	evtimer_del(e->timer);
	if (next_ns != INT64_MAX) {
		int64_t after_us = next_ns > now_ns ? (next_ns - now_ns + 999) / 1000 : 0;
		struct timeval after = {after_us / 1000000, after_us % 1000000};
		evtimer_add(e->timer, &after);
	}
	return next_ns;
}

static void timer_come(evutil_socket_t fd, short what, void *owner)
{
	work(owner, clock_now_ns());
}

// From the next turn of the loop on: no event within a call.
static void work_soon(struct etcd *e)
{
	struct timeval now = {0, 0};
	evtimer_add(e->timer, &now);
}

static bool leased(const struct meta_txn *txn)
{
	for (uint32_t i = 0; i < txn->put_count; i++)
		if (txn->puts[i].leased)
			return true;
	return false;
}

static int etcd_txn(struct meta *meta, uint64_t request, const struct meta_txn *txn, int64_t now_ns)
{
	struct etcd *e = of(meta);
	if (e->call_count >= META_ETCD_QUEUE_MAX)
		return -ENOBUFS;
	bool refused = meta_txn_wrong(txn) || (leased(txn) && e->lease.id == 0);
	char *body = refused ? NULL : etcd_json_txn(e->space, txn, e->lease.id);
	struct call *call = call_create(e, CALL_TXN, body, now_ns);
	call->request = request;
	work_soon(e);
	return 0;
}

static int etcd_list(struct meta *meta, uint64_t request, const char *prefix, int64_t now_ns)
{
	struct etcd *e = of(meta);
	if (strlen(prefix) > META_KEY_MAX)
		return -EINVAL;
	if (e->call_count >= META_ETCD_QUEUE_MAX)
		return -ENOBUFS;
	call_create(e, CALL_LIST, etcd_json_range(e->space, prefix), now_ns)->request = request;
	work_soon(e);
	return 0;
}

static int etcd_watch(struct meta *meta, const char *prefix)
{
	struct etcd *e = of(meta);
	if (e->watch_count == META_ETCD_WATCHES_MAX || strlen(prefix) > META_KEY_MAX)
		return -ENOSPC;
	e->watch_count++;
	call_create(e, CALL_WATCH, etcd_json_watch(e->space, prefix), clock_now_ns());
	work_soon(e);
	return 0;
}

static int etcd_keep_lease(struct meta *meta, int64_t ttl_ns)
{
	of(meta)->lease.ttl_ns = ttl_ns;
	work_soon(of(meta));
	return 0;
}

static int64_t etcd_step(struct meta *meta, int64_t now_ns)
{
	return work(of(meta), now_ns);
}

static const char *etcd_trouble(const struct meta *meta)
{
	const struct etcd *e = (const struct etcd *)meta;
	return e->trouble[0] ? e->trouble : NULL;
}

static void etcd_destroy(struct meta *meta)
{
	struct etcd *e = of(meta);
	char url[URL_BYTES];
	while (e->calls)
		call_free(e->calls);
	snprintf(url, sizeof(url), "%s%s", e->endpoints[e->endpoint], paths[CALL_REVOKE]);
	// So that the next leader need not wait for it to run out.
	if (e->lease.id)
		http_post_and_wait(e->http, url, etcd_json_lease(e->lease.id), REVOKE_MS);
	http_destroy(e->http);
	if (e->timer)
		event_free(e->timer);
	free(e);
}

static const struct meta_ops ops = {.txn = etcd_txn,
	.list = etcd_list,
	.watch = etcd_watch,
	.keep_lease = etcd_keep_lease,
	.step = etcd_step,
	.trouble = etcd_trouble,
	.destroy = etcd_destroy};

const char *meta_etcd_config_wrong(const struct meta_etcd_config *config)
{
	const char *space = config->space;
	if (config->endpoint_count == 0 || config->endpoint_count > META_ETCD_ENDPOINTS_MAX)
		return "endpoints: give 1 to 9 of them";
	if (space && (!space[0] || strlen(space) >= ETCD_PREFIX_MAX))
		return "prefix: 1 to 127 bytes";
	for (uint32_t i = 0; i < config->endpoint_count; i++) {
		const char *url = config->endpoints[i];
		bool known = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
		if (!known || strlen(url) >= URL_BYTES - 32 || url[strlen(url) - 1] == '/')
			return "endpoints: write http://host:port or https://host:port";
	}
	return NULL;
}

int meta_etcd_create(struct event_base *base, const struct meta_etcd_config *config,
	const struct meta_events *events, struct meta **ret_meta, char ret_why[META_ETCD_WHY_BYTES])
{
	const char *wrong = meta_etcd_config_wrong(config);
	snprintf(ret_why, META_ETCD_WHY_BYTES, "%s", wrong ? wrong : "");
	if (wrong)
		return -EINVAL;
	struct etcd *e = calloc(1, sizeof(*e));
	VERIFY(e != NULL);
	*e = (struct etcd){.meta = {&ops, *events},
		.base = base,
		.tls = config->tls,
		.endpoint_count = config->endpoint_count,
		.timeout_ns = config->timeout_ns ? config->timeout_ns : 2 * SECOND,
		.hint_ns = config->hint_ns ? config->hint_ns : 5 * SECOND};
	snprintf(e->space, sizeof(e->space), "%s", config->space ? config->space : "weir/");
	for (uint32_t i = 0; i < config->endpoint_count; i++)
		snprintf(e->endpoints[i], sizeof(e->endpoints[i]), "%s", config->endpoints[i]);
	e->timer = evtimer_new(base, timer_come, e);
	e->http = http_create(base, &e->tls);
	VERIFY(e->timer != NULL && e->http != NULL);
	*ret_meta = &e->meta;
	return 0;
}
