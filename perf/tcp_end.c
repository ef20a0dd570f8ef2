// One end of a kernel TCP connection, tuned as one would for each purpose: large writes for
// throughput, one small record there and back without Nagle's delay for round trips. The yardstick
// of perf/cluster.py for links over a kernel interface.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "numa/clock.h"
#include "numa/pin.h"

enum {
	PORT = 4400,
	CHUNK = 256 << 10,
	RECORD = 24,
	PINGS_MAX = 1 << 20,
	WARM_UP_NS = 500000000,
	CONNECT_TRIES = 200,
};

static char chunk[CHUNK];

static int listen_and_accept(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(listener, 1) != 0)
		return -1;
	return accept(listener, NULL, NULL);
}

static int connect_to(const char *host)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	inet_pton(AF_INET, host, &at.sin_addr);
	for (int i = 0; i < CONNECT_TRIES; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
			return fd;
		close(fd);
		usleep(50000);
	}
	return -1;
}

static bool read_all(int fd, char *out, size_t bytes)
{
	for (size_t at = 0; at < bytes;) {
		ssize_t got = read(fd, out + at, bytes - at);
		if (got <= 0)
			return false;
		at += (size_t)got;
	}
	return true;
}

static void receive_throughput(int fd, double seconds)
{
	int64_t start_ns = clock_now_ns() + WARM_UP_NS,
		end_ns = start_ns + (int64_t)(seconds * 1e9);
	int64_t now_ns;
	double bytes = 0;
	while ((now_ns = clock_now_ns()) < end_ns) {
		ssize_t got = read(fd, chunk, sizeof(chunk));
		if (got <= 0)
			break;
		if (now_ns >= start_ns)
			bytes += (double)got;
	}
	printf("{\"bits\": %.0f, \"records\": %.0f}\n", bytes * 8 / seconds,
		bytes / RECORD / seconds);
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

static int ask(int fd, double seconds)
{
	int64_t *took = calloc(PINGS_MAX, sizeof(*took));
	int64_t start_ns = clock_now_ns() + WARM_UP_NS,
		end_ns = start_ns + (int64_t)(seconds * 1e9);
	uint32_t count = 0;
	if (took == NULL)
		return 1;
	for (int64_t now_ns = 0; count < PINGS_MAX && (now_ns < end_ns || count == 0);) {
		now_ns = clock_now_ns();
		if (write(fd, chunk, RECORD) != RECORD || !read_all(fd, chunk, RECORD))
			break;
		if (now_ns >= start_ns)
			took[count++] = clock_now_ns() - now_ns;
	}
	qsort(took, count, sizeof(*took), compare);
	if (count != 0)
		printf("{\"count\": %u, \"p50\": %ld, \"p99\": %ld, \"p99.9\": %ld}\n", count,
			took[count / 2], took[(uint64_t)count * 99 / 100],
			took[(uint64_t)count * 999 / 1000]);
	free(took);
	return count == 0;
}

// usage: tcp_end CPU SECONDS send|receive|ask|answer [HOST]
int main(int argc, char **argv)
{
	int one = 1;
	if (argc < 4)
		return 2;
	clock_init();
	double seconds = strtod(argv[2], NULL);
	int fd = argc > 4 ? connect_to(argv[4]) : listen_and_accept();
	if (fd < 0 || pin_thread((unsigned)strtoul(argv[1], NULL, 10)) != 0) {
		fprintf(stderr, "tcp_end: no connection\n");
		return 1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (strcmp(argv[3], "receive") == 0)
		receive_throughput(fd, seconds);
	else if (strcmp(argv[3], "ask") == 0)
		return ask(fd, seconds);
	else if (strcmp(argv[3], "send") == 0)
		while (write(fd, chunk, sizeof(chunk)) > 0)
			;
	else
		while (read_all(fd, chunk, RECORD) && write(fd, chunk, RECORD) == RECORD)
			;
	return 0;
}
