// The bus over real sockets: UNIX, TCP, TLS; what a peer may do wrong, and that it is counted.
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/bus_socket.h"

enum { TEXT = 512 };

// What one side saw.
struct side {
	struct bus *bus;
	uint64_t peer; // the last one opened
	char name[TEXT], why[TEXT];
	unsigned opened, closed, received;
	size_t bytes; // of the last message
	uint8_t first, last;
	bool echo, close_at_once;
};

static struct event_base *base;
static struct event *ticker; // keeps the loop turning
static unsigned ticks;
static struct side server, client;
static char directory[] = "/tmp/weir-bus-XXXXXX";
static char why[BUS_WHY_BYTES];
static bool certificates;

static void opened(void *owner, uint64_t peer, const char *name)
{
	struct side *side = owner;
	side->opened++;
	side->peer = peer;
	snprintf(side->name, sizeof(side->name), "%s", name ? name : "");
}

static void closed(void *owner, uint64_t peer, const char *reason)
{
	struct side *side = owner;
	side->closed++;
	snprintf(side->why, sizeof(side->why), "%s", reason);
	assert_null(strchr(reason, '\n'));
}

static void received(void *owner, uint64_t peer, const void *message, size_t bytes)
{
	struct side *side = owner;
	side->received++;
	side->bytes = bytes;
	side->first = bytes ? ((const uint8_t *)message)[0] : 0;
	side->last = bytes ? ((const uint8_t *)message)[bytes - 1] : 0;
	if (side->echo)
		assert_int_equal(side->bus->ops->send(side->bus, peer, message, bytes), 0);
	if (side->close_at_once)
		side->bus->ops->close(side->bus, peer);
}

static void side_make(struct side *side, const struct bus_socket_config *config)
{
	*side = (struct side){.bus = NULL};
	struct bus_events events = {opened, closed, received, side};
	why[0] = 0;
	if (bus_socket_create(base, config, &events, &side->bus, why) != 0)
		fail_msg("%s", why);
}

static void side_end(struct side *side)
{
	if (side->bus)
		side->bus->ops->destroy(side->bus);
	side->bus = NULL;
}

static int sides_end(void **state)
{
	side_end(&client);
	side_end(&server);
	return 0;
}

// Turn the loop until `*figure` is at least `wanted`; the test fails if that does not come about.
static void wait_for(const unsigned *figure, unsigned wanted)
{
	time_t limit = time(NULL) + 60;
	while (*figure < wanted && time(NULL) < limit)
		event_base_loop(base, EVLOOP_ONCE);
	assert_true(*figure >= wanted);
}

// For as many ticks of 5 ms.
static void turn(unsigned steps)
{
	steps += ticks;
	wait_for(&ticks, steps);
}

static struct tls_files files_of(const char *name)
{
	static char paths[8][TEXT];
	static unsigned at;
	char *certificate = paths[at++ % 8], *key = paths[at++ % 8];
	static char authority[TEXT];
	snprintf(authority, TEXT, "%s/ca.pem", directory);
	snprintf(certificate, TEXT, "%s/%s.pem", directory, name);
	snprintf(key, TEXT, "%s/%s.key", directory, name);
	return (struct tls_files){authority, certificate, key};
}

// Returns the address to connect to.
static const char *server_listen(const char *address)
{
	static char text[TEXT];
	uint16_t port;
	if (bus_socket_listen(server.bus, address, &port, why) != 0)
		fail_msg("%s", why);
	if (port == 0)
		return address;
	snprintf(text, sizeof(text), "tcp:127.0.0.1:%u", port);
	return text;
}

static const char *unix_address(void)
{
	static char text[TEXT];
	snprintf(text, sizeof(text), "unix:%s/socket", directory);
	return text;
}

static void sides_join(const char *listen_at, const struct tls_files *tls)
{
	struct bus_socket_config config = {.silent_ms = 20000};
	if (tls)
		config.tls = *tls;
	side_make(&server, &config);
	side_make(&client, &config);
	const char *address = server_listen(listen_at);
	uint64_t peer = client.bus->ops->connect(client.bus, address);
	assert_true(peer != 0);
	assert_int_equal(client.bus->ops->send(client.bus, peer, "x", 1), -ENOTCONN);
	assert_int_equal(client.opened, 0);
	wait_for(&client.opened, 1);
	wait_for(&server.opened, 1);
	assert_true(client.peer == peer);
	assert_string_equal(client.name, address);
	assert_string_equal(server.name, "");
}

static void messages_go_both_ways(void)
{
	static const size_t sizes[] = {0, 1, 4096, 100000, BUS_MESSAGE_MAX};
	uint8_t *message = calloc(1, BUS_MESSAGE_MAX + 1);
	assert_non_null(message);
	server.echo = true;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t bytes = sizes[i];
		message[0] = (uint8_t)(i + 1);
		message[bytes ? bytes - 1 : 0] = (uint8_t)(i + 1);
		assert_int_equal(client.bus->ops->send(client.bus, client.peer, message, bytes), 0);
		wait_for(&client.received, i + 1);
		assert_int_equal(client.bytes, bytes);
		assert_int_equal(client.first, bytes ? i + 1 : 0);
		assert_int_equal(client.last, bytes ? i + 1 : 0);
	}
	assert_int_equal(client.bus->ops->send(client.bus, client.peer, message,
				 BUS_MESSAGE_MAX + 1),
		-EMSGSIZE);
	free(message);
}

static void closing_shows_to_the_other(void)
{
	client.bus->ops->close(client.bus, client.peer);
	assert_int_equal(client.bus->ops->send(client.bus, client.peer, "x", 1), -ENOTCONN);
	wait_for(&server.closed, 1);
	assert_int_equal(bus_socket_closings(server.bus, BUS_CLOSING_ENDED), 1);
	assert_int_equal(client.closed, 0);
	assert_int_equal(server.bus->ops->send(server.bus, server.peer, "x", 1), -ENOTCONN);
}

static void over_unix(void **state)
{
	sides_join(unix_address(), NULL);
	struct stat file;
	assert_int_equal(stat(unix_address() + 5, &file), 0);
	assert_int_equal(file.st_mode & 0777, 0600);
	messages_go_both_ways();
	closing_shows_to_the_other();
	sides_end(NULL);
	assert_int_equal(stat(unix_address() + 5, &file), -1);
}

static void over_tcp(void **state)
{
	sides_join("tcp:127.0.0.1:0", NULL);
	messages_go_both_ways();
	closing_shows_to_the_other();
}

static void over_tls(void **state)
{
	if (!certificates)
		skip();
	struct tls_files files = files_of("node");
	sides_join("tcp:127.0.0.1:0", &files);
	messages_go_both_ways();
	closing_shows_to_the_other();
}

static void closing_while_receiving(void **state)
{
	sides_join(unix_address(), NULL);
	server.close_at_once = true;
	for (int i = 0; i < 3; i++)
		assert_int_equal(client.bus->ops->send(client.bus, client.peer, "abc", 3), 0);
	wait_for(&client.closed, 1);
	assert_int_equal(server.received, 1);
	assert_int_equal(server.closed, 0);
}

static void a_name_is_resolved(void **state)
{
	struct bus_socket_config config = {.silent_ms = 20000};
	side_make(&server, &config);
	side_make(&client, &config);
	uint16_t port;
	char address[TEXT];
	assert_int_equal(bus_socket_listen(server.bus, "tcp:localhost:0", &port, why), 0);
	snprintf(address, sizeof(address), "tcp:localhost:%u", port);
	assert_true(client.bus->ops->connect(client.bus, address) != 0);
	wait_for(&client.opened, 1);
}

static void nobody_there(void **state)
{
	static const char *const places[] = {
		"tcp:127.0.0.1:1", "unix:/nonexistent/socket", "tcp:10.0.0.1:7000", "nonsense"};
	struct bus_socket_config config = {.silent_ms = 20000};
	side_make(&client, &config);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(client.bus->ops->connect(client.bus, places[i]) != 0);
		assert_int_equal(client.closed, i);
		wait_for(&client.closed, i + 1);
		assert_true(client.why[0] != 0);
	}
	assert_int_equal(bus_socket_closings(client.bus, BUS_CLOSING_REFUSED), 4);
	assert_int_equal(client.opened, 0);
}

static void other_hosts_need_certificates(void **state)
{
	struct bus_socket_config config = {.silent_ms = 20000};
	uint16_t port;
	side_make(&server, &config);
	assert_int_equal(bus_socket_listen(server.bus, "tcp:0.0.0.0:0", &port, why), -EPERM);
	assert_non_null(strstr(why, "plaintext: true"));
	side_end(&server);
	config.plaintext = true;
	side_make(&server, &config);
	assert_int_equal(bus_socket_listen(server.bus, "tcp:0.0.0.0:0", &port, why), 0);
}

static void a_killed_process_shows_at_once(void **state)
{
	struct bus_socket_config config = {.silent_ms = 60000};
	side_make(&server, &config);
	const char *address = server_listen("tcp:127.0.0.1:0");
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	pid_t child = fork();
	if (child == 0) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		connect(fd, (void *)&to, sizeof(to));
		pause();
	}
	wait_for(&server.opened, 1);
	kill(child, SIGKILL);
	wait_for(&server.closed, 1);
	waitpid(child, NULL, 0);
	assert_int_equal(bus_socket_closings(server.bus, BUS_CLOSING_ENDED) +
			bus_socket_closings(server.bus, BUS_CLOSING_RESET),
		1);
}

static int raw_connect(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	strcpy(at.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (void *)&at, sizeof(at)), 0);
	return fd;
}

static void malformed_input_is_counted(void **state)
{
	static const struct {
		char bytes[20];
		enum bus_closing reason;
	} cases[] = {
		{"GET / HTTP/1.1\r\n\r\n", BUS_CLOSING_MAGIC},
		{"WBUS\2\0\0\0\0\0\0\0\0\0\0\0", BUS_CLOSING_VERSION},
		{"WBUS\1\0\1\0\0\0\0\0\0\0\0\0", BUS_CLOSING_RESERVED},
		{"WBUS\1\0\0\0\0\0\0\2\0\0\0\0", BUS_CLOSING_LENGTH},
		{"WBUS\1\0\0\0\1\0\0\0\0\0\0\0x", BUS_CLOSING_CHECKSUM},
	};
	struct bus_socket_config config = {.silent_ms = 20000};
	side_make(&server, &config);
	server_listen(unix_address());
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char byte;
		int fd = raw_connect(unix_address() + 5);
		assert_int_equal(write(fd, cases[i].bytes, 18), 18);
		wait_for(&server.closed, i + 1);
		assert_int_equal(bus_socket_closings(server.bus, cases[i].reason), 1);
		assert_true(read(fd, &byte, 1) <= 0);
		close(fd);
	}
	assert_int_equal(server.received, 0);
}

static void a_slow_peer_fills_its_queue_alone(void **state)
{
	enum { QUEUE = 1 << 20 };
	struct bus_socket_config config = {.silent_ms = 20000, .queue_bytes = QUEUE};
	static uint8_t message[64 << 10];
	side_make(&server, &config);
	server_listen(unix_address());
	int fd = raw_connect(unix_address() + 5); // never reads
	wait_for(&server.opened, 1);
	int error = 0;
	unsigned sent = 0;
	for (; error == 0 && sent < 1000; sent++) {
		error = server.bus->ops->send(server.bus, server.peer, message, sizeof(message));
		if (sent % 8 == 0)
			turn(1);
	}
	assert_int_equal(error, -ENOBUFS);
	assert_true(sent * sizeof(message) < 4 * QUEUE);
	assert_int_equal(server.closed, 0);
	close(fd);
	wait_for(&server.closed, 1);
}

static void one_peer_too_many(void **state)
{
	struct bus_socket_config config = {.silent_ms = 20000, .peers_max = 2};
	int fds[3];
	char byte;
	side_make(&server, &config);
	server_listen(unix_address());
	for (int i = 0; i < 3; i++)
		fds[i] = raw_connect(unix_address() + 5);
	wait_for(&server.opened, 2);
	turn(10);
	assert_int_equal(server.opened, 2);
	assert_int_equal(bus_socket_closings(server.bus, BUS_CLOSING_FULL), 1);
	assert_int_equal(read(fds[2], &byte, 1), 0);
	assert_true(server.bus->ops->connect(server.bus, unix_address()) == 0);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	wait_for(&server.closed, 2);
	close(raw_connect(unix_address() + 5));
	wait_for(&server.opened, 3);
}

static void a_socket_file_is_taken_over_only_from_the_dead(void **state)
{
	struct bus_socket_config config = {.silent_ms = 20000};
	uint16_t port;
	side_make(&server, &config);
	side_make(&client, &config);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	strcpy(at.sun_path, unix_address() + 5);
	assert_int_equal(bind(fd, (void *)&at, sizeof(at)), 0);
	close(fd); // its file stays
	assert_int_equal(bus_socket_listen(server.bus, unix_address(), &port, why), 0);
	assert_int_equal(bus_socket_listen(client.bus, unix_address(), &port, why), -EADDRINUSE);
	side_end(&server);
	close(open(at.sun_path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(bus_socket_listen(client.bus, unix_address(), &port, why), -EEXIST);
	unlink(at.sun_path);
}

static void tls_refuses(const struct bus_socket_config *config, const char *text)
{
	struct bus_socket_config servers = {.tls = files_of("node"), .silent_ms = 20000};
	side_make(&server, &servers);
	side_make(&client, config);
	const char *address = server_listen("tcp:127.0.0.1:0");
	assert_true(client.bus->ops->connect(client.bus, address) != 0);
	wait_for(&client.closed, 1);
	turn(10);
	assert_int_equal(server.opened, 0);
	assert_int_equal(server.closed, 0); // it never opened
	if (!strstr(client.why, text))
		fail_msg("%s: %s", text, client.why);
	sides_end(NULL);
}

static void creating_fails(const struct bus_socket_config *config)
{
	struct bus_events none = {NULL};
	struct bus *made = NULL;
	assert_int_equal(bus_socket_create(base, config, &none, &made, why), -EINVAL);
	assert_null(made);
}

static void tls_wants_the_right_certificates(void **state)
{
	if (!certificates)
		skip();
	struct bus_socket_config config = {.silent_ms = 20000};
	config.tls = files_of("stranger");
	config.tls.authority = files_of("node").authority;
	tls_refuses(&config, "TLS: ");
	char other[TEXT];
	snprintf(other, sizeof(other), "%s/other/ca.pem", directory);
	config.tls = files_of("node");
	config.tls.authority = other;
	tls_refuses(&config, "TLS: ");
	config.tls.authority = "/nonexistent";
	creating_fails(&config);
	assert_non_null(strstr(why, "tls.authority: /nonexistent"));
	config.tls = (struct tls_files){.certificate = "x"};
	creating_fails(&config);
}

static void tls_wants_the_name_asked_for(void **state)
{
	if (!certificates)
		skip();
	struct bus_socket_config config = {.tls = files_of("elsewhere"), .silent_ms = 20000};
	side_make(&server, &config);
	side_make(&client, &config);
	assert_true(client.bus->ops->connect(client.bus, server_listen("tcp:127.0.0.1:0")) != 0);
	wait_for(&client.closed, 1);
	assert_non_null(strstr(client.why, "IP address mismatch"));
	assert_int_equal(bus_socket_closings(client.bus, BUS_CLOSING_TLS), 1);
	assert_int_equal(server.opened, 0);
}

static void who_says_nothing_is_given_up(void **state)
{
	if (!certificates)
		skip();
	struct bus_socket_config config = {.tls = files_of("node"), .silent_ms = 50};
	side_make(&server, &config);
	const char *address = server_listen("tcp:127.0.0.1:0");
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char byte;
	assert_int_equal(connect(fd, (void *)&to, sizeof(to)), 0);
	for (int i = 0; i < 3000 && bus_socket_closings(server.bus, BUS_CLOSING_SILENT) == 0; i++)
		turn(1);
	assert_int_equal(bus_socket_closings(server.bus, BUS_CLOSING_SILENT), 1);
	assert_true(read(fd, &byte, 1) <= 0);
	assert_int_equal(server.opened + server.closed, 0);
	close(fd);
}

static void who_connects_and_says_nothing_is_given_up(void **state)
{
	struct bus_socket_config config = {.silent_ms = 50};
	side_make(&server, &config);
	side_make(&client, &config);
	const char *address = server_listen(unix_address());
	assert_true(client.bus->ops->connect(client.bus, address) != 0);
	wait_for(&client.opened, 1);
	assert_int_equal(client.bus->ops->send(client.bus, client.peer, "abc", 3), 0);
	int mute = raw_connect(address + 5), halfway = raw_connect(address + 5);
	assert_int_equal(write(halfway, "WBUS", 4), 4);
	wait_for(&server.closed, 2);
	assert_string_equal(server.why, "it says nothing");
	turn(30);
	assert_int_equal(bus_socket_closings(server.bus, BUS_CLOSING_SILENT), 2);
	assert_int_equal(server.received, 1);
	assert_int_equal(client.closed + server.closed, 2); // not who spoke once, nor who was asked
	close(mute);
	close(halfway);
}

static int run(const char *command)
{
	char text[2 * TEXT];
	snprintf(text, sizeof(text), "%s/../make-certificates %s%s", WEIR_TEST_DATA, directory,
		command);
	return system(text);
}

static void tick(evutil_socket_t fd, short what, void *owner)
{
	ticks++;
}

static int all_begin(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	base = event_base_new();
	ticker = base ? event_new(base, -1, EV_PERSIST, tick, NULL) : NULL;
	struct timeval every = {.tv_usec = 5000};
	if (!ticker || event_add(ticker, &every) != 0 || !mkdtemp(directory))
		return -1;
	certificates = system("command -v openssl >/dev/null") == 0;
	if (certificates && (run(" node elsewhere=elsewhere") != 0 || run("/other stranger") != 0))
		return -1;
	char text[2 * TEXT];
	snprintf(text, sizeof(text), "cp %s/other/stranger.* %s", directory, directory);
	return certificates ? system(text) : 0;
}

static int all_end(void **state)
{
	char text[TEXT];
	event_free(ticker);
	event_base_free(base);
	snprintf(text, sizeof(text), "rm -r %s", directory);
	return system(text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, sides_end)
	const struct CMUnitTest tests[] = {
		TEST(over_unix),
		TEST(over_tcp),
		TEST(over_tls),
		TEST(closing_while_receiving),
		TEST(a_name_is_resolved),
		TEST(nobody_there),
		TEST(other_hosts_need_certificates),
		TEST(a_killed_process_shows_at_once),
		TEST(malformed_input_is_counted),
		TEST(a_slow_peer_fills_its_queue_alone),
		TEST(one_peer_too_many),
		TEST(a_socket_file_is_taken_over_only_from_the_dead),
		TEST(tls_wants_the_right_certificates),
		TEST(tls_wants_the_name_asked_for),
		TEST(who_says_nothing_is_given_up),
		TEST(who_connects_and_says_nothing_is_given_up),
	};
	return cmocka_run_group_tests(tests, all_begin, all_end);
}
