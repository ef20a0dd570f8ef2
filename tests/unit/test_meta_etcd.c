// Metadata in a real etcd, which the test starts, stops, wakes and ends; skipped where none is.
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/etcd_json.h"
#include "control/meta_etcd.h"
#include "numa/clock.h"

enum { TEXT = 512, STATE = 4096 };
#define MS 1000000ll

struct client {
	struct meta *meta;
	unsigned answers, hints, leases, losses;
	uint64_t request;
	enum meta_outcome outcome;
	int64_t revision, until_ns;
	char state[STATE];
};

static struct event_base *base;
static struct event *ticker;
static unsigned ticks;
static struct client a, b;
static char directory[] = "/tmp/weir-etcd-XXXXXX", endpoint[TEXT], why[META_ETCD_WHY_BYTES];
static pid_t server;
static uint16_t ports[2];
static bool secure;

static void on_answered(void *owner, uint64_t request, enum meta_outcome outcome, int64_t revision)
{
	struct client *c = owner;
	c->answers++;
	c->request = request;
	c->outcome = outcome;
	c->revision = revision;
}

static void on_listed(void *owner, uint64_t request, enum meta_outcome outcome,
	const struct meta_entry *entries, uint32_t count, int64_t revision)
{
	struct client *c = owner;
	size_t at = 0;
	c->state[0] = 0;
	for (uint32_t i = 0; i < count; i++)
		at += (size_t)snprintf(c->state + at, STATE - at, "%s=%.*s ", entries[i].key,
			(int)entries[i].bytes, (const char *)entries[i].value);
	on_answered(owner, request, outcome, count == 1 ? entries[0].revision : revision);
}

static void on_changed(void *owner)
{
	((struct client *)owner)->hints++;
}

static void on_lease(void *owner, int64_t until_ns)
{
	struct client *c = owner;
	c->leases += until_ns != 0;
	c->losses += until_ns == 0;
	c->until_ns = until_ns;
}

static void tick(evutil_socket_t fd, short what, void *owner)
{
	ticks++;
}

static void wait_for(const unsigned *figure, unsigned wanted)
{
	time_t limit = time(NULL) + 60;
	while (*figure < wanted && time(NULL) < limit)
		event_base_loop(base, EVLOOP_ONCE);
	assert_true(*figure >= wanted);
}

static uint16_t free_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (void *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (void *)&at, &bytes), 0);
	close(fd);
	return ntohs(at.sin_port);
}

static void server_start(void)
{
	char data[TEXT], client[TEXT], peer[64], cluster[TEXT], files[3][TEXT];
	snprintf(data, TEXT, "--data-dir=%s/data", directory);
	snprintf(client, TEXT, "%s", endpoint);
	snprintf(peer, sizeof(peer), "http://127.0.0.1:%u", ports[1]);
	snprintf(cluster, TEXT, "--initial-cluster=default=%s", peer);
	snprintf(files[0], TEXT, "--cert-file=%s/etcd.pem", directory);
	snprintf(files[1], TEXT, "--key-file=%s/etcd.key", directory);
	snprintf(files[2], TEXT, "--trusted-ca-file=%s/ca.pem", directory);
	server = fork();
	if (server != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	char log[TEXT];
	snprintf(log, TEXT, "%s/log", directory);
	int fd = open(log, O_CREAT | O_WRONLY | O_APPEND, 0600);
	dup2(fd, 1);
	dup2(fd, 2);
	execlp("etcd", "etcd", data, cluster, "--listen-client-urls", client,
		"--advertise-client-urls", client, "--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--log-level=error",
		secure ? files[0] : NULL, files[1], files[2], "--client-cert-auth", NULL);
	_exit(127);
}

static void server_end(void)
{
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	server = 0;
}

static struct meta_etcd_config config_of(const char *first)
{
	struct meta_etcd_config config = {.endpoints = {first ? first : endpoint, endpoint},
		.endpoint_count = first ? 2 : 1,
		.timeout_ns = 3000 * MS,
		.hint_ns = 3600 * 1000 * MS};
	return config;
}

static void client_make(struct client *c, const struct meta_etcd_config *config)
{
	*c = (struct client){.meta = NULL};
	struct meta_events events = {on_answered, on_listed, on_changed, on_lease, c};
	if (meta_etcd_create(base, config, &events, &c->meta, why) != 0)
		fail_msg("%s", why);
}

static void client_end(struct client *c)
{
	if (c->meta)
		c->meta->ops->destroy(c->meta);
	c->meta = NULL;
}

static enum meta_outcome txn(struct client *c, const struct meta_txn *t)
{
	unsigned before = c->answers;
	assert_int_equal(c->meta->ops->txn(c->meta, 5, t, clock_now_ns()), 0);
	assert_int_equal(c->answers, before);
	wait_for(&c->answers, before + 1);
	assert_int_equal(c->request, 5);
	return c->outcome;
}

static enum meta_outcome put_as(struct client *c, const char *key, const char *value,
	int64_t expect, bool leased)
{
	struct meta_compare compare = {key, expect};
	struct meta_put p = {key, value, value ? strlen(value) : 0, leased};
	return txn(c, &(struct meta_txn){&compare, 1, &p, 1});
}

static enum meta_outcome put(struct client *c, const char *key, const char *value, int64_t expect)
{
	return put_as(c, key, value, expect, false);
}

static enum meta_outcome list(struct client *c, const char *prefix)
{
	unsigned before = c->answers;
	assert_int_equal(c->meta->ops->list(c->meta, 6, prefix, clock_now_ns()), 0);
	wait_for(&c->answers, before + 1);
	assert_int_equal(c->request, 6);
	return c->outcome;
}

// As etcd comes up, requests are answered within their time or not at all.
static void wait_until_served(struct client *c)
{
	for (int i = 0; i < 30 && list(c, "none") != META_DONE; i++)
		;
	assert_int_equal(c->outcome, META_DONE);
}

static int clients_make(void **unused)
{
	char command[TEXT];
	snprintf(command, TEXT, "rm -rf %s/data", directory);
	if (system(command) != 0)
		return -1;
	for (int i = 0; i < 2; i++)
		ports[i] = free_port();
	snprintf(endpoint, TEXT, "%s://127.0.0.1:%u", secure ? "https" : "http", ports[0]);
	server_start();
	struct meta_etcd_config config = config_of(NULL);
	client_make(&a, &config);
	client_make(&b, &config);
	wait_until_served(&a);
	return 0;
}

static int clients_end(void **unused)
{
	client_end(&a);
	client_end(&b);
	server_end();
	return 0;
}

static void compares_and_swaps(void **unused)
{
	assert_int_equal(put(&a, "k", "one", 0), META_DONE);
	int64_t first = a.revision;
	assert_int_equal(put(&b, "k", "two", 0), META_CONFLICT);
	assert_int_equal(list(&b, "k"), META_DONE);
	assert_string_equal(b.state, "k=one ");
	assert_int_equal(b.revision, first);
	assert_int_equal(put(&b, "k", "two", first), META_DONE);
	assert_true(b.revision > first);
	assert_int_equal(put(&a, "k/1", "", 0), META_DONE);
	assert_int_equal(put(&a, "l", "x", 0), META_DONE);
	list(&a, "k");
	assert_string_equal(a.state, "k=two k/1= ");
	list(&a, "");
	assert_string_equal(a.state, "k=two k/1= l=x ");
	struct meta_compare c[] = {{"k", b.revision}, {"none", 0}};
	struct meta_put p[] = {{"k", NULL, 0, false}, {"m", "y", 1, false}};
	list(&b, "k/1");
	list(&b, "l");
	c[0] = (struct meta_compare){"l", b.revision};
	assert_int_equal(txn(&a, &(struct meta_txn){c, 2, p, 2}), META_DONE);
	list(&b, "");
	assert_string_equal(b.state, "k/1= l=x m=y ");
	assert_null(a.meta->ops->trouble(a.meta));
}

static void what_etcd_does_not_take_is_refused(void **unused)
{
	static char large[META_VALUE_MAX + 1];
	struct meta_put p[] = {
		{"x", large, META_VALUE_MAX, false}, {"y", large, META_VALUE_MAX, false}};
	assert_int_equal(txn(&a, &(struct meta_txn){NULL, 0, p, 1}), META_DONE);
	assert_int_equal(txn(&a, &(struct meta_txn){NULL, 0, p, 2}), META_REFUSED);
	p[0].bytes++;
	assert_int_equal(txn(&a, &(struct meta_txn){NULL, 0, p, 1}), META_REFUSED);
	assert_int_equal(put(&a, "", "", 0), META_REFUSED);
	assert_int_equal(put_as(&a, "leader", "a", 0, true), META_REFUSED);
	list(&a, "");
	assert_int_equal(strncmp(a.state, "x=", 2), 0);
}

// Both count up one number as fast as they can: every success counts once.
static void two_race(void **unused)
{
	struct client *clients[] = {&a, &b};
	char value[2][16];
	int done = 0, conflicts = 0, number = 0;
	assert_int_equal(put(&a, "n", "0", 0), META_DONE);
	while (done < 100) {
		struct meta_compare c[2];
		for (int i = 0; i < 2; i++) {
			list(clients[i], "n");
			sscanf(clients[i]->state, "n=%d", &number);
			snprintf(value[i], sizeof(value[i]), "%d", number + 1);
			c[i] = (struct meta_compare){"n", clients[i]->revision};
		}
		unsigned before[] = {a.answers, b.answers};
		for (int i = 0; i < 2; i++) {
			struct meta_put p = {"n", value[i], strlen(value[i]), false};
			struct meta_txn t = {&c[i], 1, &p, 1};
			clients[i]->meta->ops->txn(clients[i]->meta, 5, &t, clock_now_ns());
		}
		for (int i = 0; i < 2; i++) {
			wait_for(&clients[i]->answers, before[i] + 1);
			done += clients[i]->outcome == META_DONE;
			conflicts += clients[i]->outcome == META_CONFLICT;
		}
	}
	assert_int_equal(conflicts, done); // one of two each time
	list(&a, "n");
	sscanf(a.state, "n=%d", &number);
	assert_int_equal(number, done);
}

static void a_lease_is_kept_and_given_back(void **unused)
{
	assert_int_equal(a.meta->ops->keep_lease(a.meta, 2000 * MS), 0);
	wait_for(&a.leases, 1);
	assert_true(a.until_ns > clock_now_ns() && a.until_ns <= clock_now_ns() + 2000 * MS);
	assert_int_equal(put_as(&a, "leader", "a", 0, true), META_DONE);
	wait_for(&a.leases, 5); // longer than the lease
	assert_int_equal(a.losses, 0);
	list(&b, "leader");
	assert_string_equal(b.state, "leader=a ");
	client_end(&a);
	list(&b, "leader");
	assert_string_equal(b.state, "");
}

static void a_lease_is_lost_in_a_pause(void **unused)
{
	assert_int_equal(a.meta->ops->keep_lease(a.meta, 2000 * MS), 0);
	wait_for(&a.leases, 1);
	assert_int_equal(put_as(&a, "leader", "a", 0, true), META_DONE);
	sleep(3); // as if the process were stopped
	unsigned before = a.leases;
	wait_for(&a.losses, 1);
	assert_int_equal(a.leases, before);
	wait_for(&a.leases, before + 1);
	list(&b, "leader");
	assert_string_equal(b.state, "");
	assert_int_equal(put_as(&a, "leader", "a", 0, true), META_DONE);
}

static void hints_come_also_after_a_restart(void **unused)
{
	assert_int_equal(a.meta->ops->watch(a.meta, "job/"), 0);
	wait_for(&a.hints, 1); // the watch begins
	wait_for(&ticks, ticks + 10);
	a.hints = 0;
	assert_int_equal(put(&b, "job/1", "x", 0), META_DONE);
	wait_for(&a.hints, 1);
	server_end();
	server_start();
	wait_until_served(&b);
	wait_for(&ticks, ticks + 40);
	a.hints = 0;
	assert_int_equal(put(&b, "job/2", "x", 0), META_DONE);
	wait_for(&a.hints, 1);
}

static void hints_come_where_a_watch_is_silent(void **unused)
{
	struct meta_etcd_config config = config_of(NULL);
	config.hint_ns = 50 * MS;
	client_end(&b);
	client_make(&b, &config);
	assert_int_equal(b.meta->ops->watch(b.meta, "job/"), 0);
	wait_for(&b.hints, 5);
}

static void answered_survives_a_restart(void **unused)
{
	int64_t before = 0;
	for (int round = 0; round < 3; round++) {
		assert_int_equal(put(&a, "k", round ? "new" : "old", before), META_DONE);
		before = a.revision;
		server_end();
		assert_int_equal(put(&a, "lost", "x", 0), META_UNKNOWN);
		assert_non_null(a.meta->ops->trouble(a.meta));
		assert_int_equal(list(&a, ""), META_UNKNOWN);
		server_start();
		wait_until_served(&a);
		assert_null(a.meta->ops->trouble(a.meta));
		list(&a, "");
		assert_string_equal(a.state, round ? "k=new " : "k=old ");
	}
}

// A shortened outage: silence, then all heals by itself.
static void silence_is_unknown_and_heals(void **unused)
{
	struct meta_etcd_config config = config_of(NULL);
	config.timeout_ns = 500 * MS;
	client_end(&a);
	client_make(&a, &config);
	assert_int_equal(a.meta->ops->keep_lease(a.meta, 2000 * MS), 0);
	wait_for(&a.leases, 1);
	assert_int_equal(put(&a, "k", "1", 0), META_DONE);
	int64_t before = a.revision;
	kill(server, SIGSTOP);
	assert_int_equal(put(&a, "k", "2", before), META_UNKNOWN);
	assert_int_equal(list(&a, "k"), META_UNKNOWN);
	wait_for(&a.losses, 1);
	kill(server, SIGCONT);
	unsigned leases = a.leases;
	wait_until_served(&a);
	wait_for(&a.leases, leases + 1);
	list(&a, "k");
	assert_true(strcmp(a.state, "k=1 ") == 0 || strcmp(a.state, "k=2 ") == 0);
	assert_int_equal(put(&a, "k", "3", a.revision), META_DONE);
}

static void the_next_endpoint_is_asked(void **unused)
{
	char nobody[TEXT];
	snprintf(nobody, TEXT, "http://127.0.0.1:%u", free_port());
	struct meta_etcd_config config = config_of(nobody);
	client_end(&b);
	client_make(&b, &config);
	assert_int_equal(put(&b, "k", "1", 0), META_DONE);
	list(&a, "k");
	assert_string_equal(a.state, "k=1 ");
}

// A server that answers the first request and ends the connection upon the second: that one may
// have been acted on, so it must not come again.
static bool request_read(int fd)
{
	char data[4096];
	size_t bytes = 0;
	ssize_t n = 1;
	while (n > 0 && (bytes == 0 || data[bytes - 1] != '}')) {
		n = read(fd, data + bytes, sizeof(data) - bytes);
		bytes += n > 0 ? (size_t)n : 0;
	}
	return n > 0;
}

static void breaker_run(int listener, int count)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n"
				     "{\"header\":{\"revision\":\"7\"},\"succeeded\":true}";
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int fd = accept(listener, NULL, NULL);
	if (request_read(fd) && write(fd, answer, sizeof(answer) - 1) > 0 && request_read(fd))
		close(fd);
	for (int next; (next = accept(listener, NULL, NULL)) >= 0; close(next))
		if (request_read(next) && write(count, "x", 1) != 1)
			_exit(1);
}

static void what_may_have_been_done_is_not_sent_again(void **unused)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM, 0), count[2];
	assert_int_equal(pipe2(count, O_NONBLOCK), 0);
	assert_int_equal(bind(listener, (void *)&at, sizeof(at)), 0);
	assert_int_equal(listen(listener, 10), 0);
	assert_int_equal(getsockname(listener, (void *)&at, &bytes), 0);
	pid_t breaker = fork();
	if (breaker == 0)
		breaker_run(listener, count[1]);
	char url[TEXT], one;
	snprintf(url, TEXT, "http://127.0.0.1:%u", ntohs(at.sin_port));
	struct meta_etcd_config config = config_of(NULL);
	config.endpoints[0] = url;
	client_end(&b);
	client_make(&b, &config);
	assert_int_equal(put(&b, "k", "1", 0), META_DONE);
	assert_int_equal(b.revision, 7);
	assert_int_equal(put(&b, "k", "2", 7), META_UNKNOWN);
	wait_for(&ticks, ticks + 20);
	assert_int_equal(read(count[0], &one, 1), -1);
	kill(breaker, SIGKILL);
	waitpid(breaker, NULL, 0);
	close(listener);
	close(count[0]);
	close(count[1]);
}

static void its_queue_is_bounded(void **unused)
{
	unsigned before = a.answers;
	for (int i = 0; i < META_ETCD_QUEUE_MAX; i++)
		assert_int_equal(a.meta->ops->list(a.meta, 6, "", clock_now_ns()), 0);
	assert_int_equal(a.meta->ops->list(a.meta, 6, "", clock_now_ns()), -ENOBUFS);
	wait_for(&a.answers, before + META_ETCD_QUEUE_MAX);
	assert_int_equal(a.outcome, META_DONE);
}

static int secure_make(void **unused)
{
	char command[2 * TEXT];
	snprintf(command, sizeof(command), "%s/../make-certificates %s etcd client", WEIR_TEST_DATA,
		directory);
	if (system("command -v openssl >/dev/null") != 0 || system(command) != 0)
		return -1;
	secure = true;
	for (int i = 0; i < 2; i++)
		ports[i] = free_port();
	snprintf(command, sizeof(command), "rm -rf %s/data", directory);
	snprintf(endpoint, TEXT, "https://127.0.0.1:%u", ports[0]);
	if (system(command) != 0)
		return -1;
	server_start();
	return 0;
}

static int secure_end(void **unused)
{
	secure = false;
	return clients_end(NULL);
}

static void certificates_are_wanted_on_both_sides(void **unused)
{
	static char files[3][TEXT];
	struct meta_etcd_config config = config_of(NULL);
	snprintf(files[0], TEXT, "%s/ca.pem", directory);
	snprintf(files[1], TEXT, "%s/client.pem", directory);
	snprintf(files[2], TEXT, "%s/client.key", directory);
	config.tls = (struct tls_files){files[0], files[1], files[2]};
	client_make(&a, &config);
	wait_until_served(&a);
	assert_int_equal(put(&a, "k", "1", 0), META_DONE);
	config.tls = (struct tls_files){NULL, NULL, NULL};
	config.timeout_ns = 2000 * MS;
	client_make(&b, &config);
	assert_int_equal(put(&b, "k", "2", 0), META_UNKNOWN);
	const char *trouble = b.meta->ops->trouble(b.meta);
	if (!trouble || !strstr(trouble, "certificate"))
		fail_msg("%s", trouble ? trouble : "nothing");
}

static void odd_answers_are_none(void **unused)
{
#define KVS "{\"header\":{\"revision\":\"5\"},\"kvs\":"
	static const char *const bad[] = {"", "{", "[]", "null", "{\"header\":3}",
		"{\"header\":{\"revision\":\"-1\"}}", KVS "[3]}",
		KVS "[{\"key\":\"!!!!\",\"mod_revision\":\"1\"}]}",
		KVS "[{\"key\":\"eA==\",\"mod_revision\":\"1\"}]}"};
#undef KVS
	struct etcd_range range;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(etcd_json_read_range(bad[i], strlen(bad[i]), "weir/", &range),
			-EBADMSG);
	bool succeeded;
	int64_t number, id;
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(etcd_json_read_txn(bad[i], strlen(bad[i]), &succeeded, &number),
			-EBADMSG);
		assert_int_equal(etcd_json_read_lease(bad[i], strlen(bad[i]), &id, &number),
			-EBADMSG);
	}
}

static int all_begin(void **unused)
{
	signal(SIGPIPE, SIG_IGN);
	clock_init();
	base = event_base_new();
	ticker = event_new(base, -1, EV_PERSIST, tick, NULL);
	struct timeval every = {.tv_usec = 10000};
	return event_add(ticker, &every) == 0 && mkdtemp(directory) ? 0 : -1;
}

static int all_end(void **unused)
{
	char command[TEXT];
	event_free(ticker);
	event_base_free(base);
	snprintf(command, TEXT, "rm -r %s", directory);
	return system(command);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, clients_make, clients_end)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(odd_answers_are_none),
		TEST(compares_and_swaps),
		TEST(what_etcd_does_not_take_is_refused),
		TEST(two_race),
		TEST(a_lease_is_kept_and_given_back),
		TEST(a_lease_is_lost_in_a_pause),
		TEST(hints_come_also_after_a_restart),
		TEST(hints_come_where_a_watch_is_silent),
		TEST(answered_survives_a_restart),
		TEST(silence_is_unknown_and_heals),
		TEST(the_next_endpoint_is_asked),
		TEST(what_may_have_been_done_is_not_sent_again),
		TEST(its_queue_is_bounded),
		cmocka_unit_test_setup_teardown(certificates_are_wanted_on_both_sides, secure_make,
			secure_end),
	};
	if (system("command -v etcd >/dev/null") != 0)
		return 77;
	return cmocka_run_group_tests(tests, all_begin, all_end);
}
