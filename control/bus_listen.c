#include "control/bus_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

struct bus_listen {
	struct bus_listen_events events;
	struct evconnlistener *listener;
	struct event *pause;     // after an accept that failed, until the next try
	char path[BUS_PATH_MAX]; // of a UNIX socket
};

static void connection_come(struct evconnlistener *listener, evutil_socket_t fd,
	struct sockaddr *from, int bytes, void *owner)
{
	struct bus_listen *listen = owner;
	listen->events.accepted(listen->events.owner, fd, listen->path[0] != 0);
}

// Descriptors have run out: the socket stays readable, so without a pause this would be a spin.
static void accept_failed(struct evconnlistener *listener, void *owner)
{
	struct bus_listen *listen = owner;
	struct timeval pause = {.tv_usec = 100000};
	evconnlistener_disable(listener);
	evtimer_add(listen->pause, &pause);
}

static void pause_ended(evutil_socket_t fd, short what, void *owner)
{
	evconnlistener_enable(((struct bus_listen *)owner)->listener);
}

static int bound_socket(const struct sockaddr *address, socklen_t bytes)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int one = 1, error = 0;
	if (address->sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, address, bytes) != 0) {
		error = -errno;
		close(fd);
	}
	return error ? error : fd;
}

static int bind_tcp(const struct bus_address *address)
{
	char port[8];
	snprintf(port, sizeof(port), "%u", address->port);
	struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
				.ai_socktype = SOCK_STREAM},
			*found;
	if (getaddrinfo(address->host, port, &hints, &found) != 0)
		return -EADDRNOTAVAIL;
	int fd = -EADDRNOTAVAIL;
	for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next)
		fd = bound_socket(a->ai_addr, a->ai_addrlen);
	freeaddrinfo(found);
	return fd;
}

// Whether somebody serves the socket.
static bool socket_is_served(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool served = fd < 0 || connect(fd, (const void *)at, sizeof(*at)) == 0 || errno == EAGAIN;
	if (fd >= 0)
		close(fd);
	return served;
}

static int bind_unix(const struct bus_address *address)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct stat file;
	memcpy(at.sun_path, address->path, sizeof(at.sun_path));
	if (lstat(at.sun_path, &file) == 0) {
		if (!S_ISSOCK(file.st_mode))
			return -EEXIST;
		if (socket_is_served(&at))
			return -EADDRINUSE;
		unlink(at.sun_path);
	}
	mode_t mask = umask(0177);
	int fd = bound_socket((void *)&at, sizeof(at));
	umask(mask);
	return fd;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage at;
	socklen_t bytes = sizeof(at);
	if (getsockname(fd, (void *)&at, &bytes) != 0)
		return 0;
	if (at.ss_family == AF_INET)
		return ntohs(((struct sockaddr_in *)&at)->sin_port);
	return at.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&at)->sin6_port) : 0;
}

int bus_listen_create(struct event_base *base, const struct bus_address *address,
	const struct bus_listen_events *events, struct bus_listen **ret_listen, uint16_t *ret_port)
{
	struct bus_listen *listen = calloc(1, sizeof(*listen));
	if (!listen)
		return -ENOMEM;
	int fd = address->is_unix ? bind_unix(address) : bind_tcp(address);
	if (fd < 0) {
		free(listen);
		return fd;
	}
	listen->events = *events;
	memcpy(listen->path, address->path, sizeof(listen->path));
	listen->pause = evtimer_new(base, pause_ended, listen);
	if (listen->pause)
		listen->listener = evconnlistener_new(base, connection_come, listen,
			LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG, fd);
	if (!listen->listener) {
		close(fd);
		bus_listen_destroy(listen);
		return -ENOMEM;
	}
	evconnlistener_set_error_cb(listen->listener, accept_failed);
	if (ret_port)
		*ret_port = port_of(fd);
	*ret_listen = listen;
	return 0;
}

void bus_listen_destroy(struct bus_listen *listen)
{
	if (listen->listener)
		evconnlistener_free(listen->listener);
	if (listen->pause)
		event_free(listen->pause);
	if (listen->path[0])
		unlink(listen->path);
	free(listen);
}

void bus_socket_tune(int fd, uint32_t silent_ms)
{
	int one = 1, idle_s = (int)(silent_ms + 2999) / 3000, probes = 2;
	unsigned int timeout_ms = silent_ms;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0)
		return; // a UNIX socket
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}
