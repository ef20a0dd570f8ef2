#include "dataplane/link_gate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// What memif's control protocol says that matters here: a message begins with its type, u16, and
// after CONNECTED none but a farewell follows.
enum {
	MESSAGE_BYTES_MAX = 256,
	MESSAGE_FILES_MAX = 4,
	MESSAGE_CONNECTED = 7,
	BACKLOG = 4,
	SHAKE_NS = 2000000000,
	QUIET_MS = 1000,
};

enum gate_state {
	GATE_IDLE,    // no connection, and the driver has closed its end
	GATE_SHAKING, // the drivers talk
	GATE_OPEN,    // they have agreed
	GATE_ENDING,  // the driver is told; until it has closed its end
};

struct link_gate {
	enum gate_state state;
	bool server;
	int listener; // for the other end; a client's: for its own driver
	int inner, outer;
	int64_t shaking_since_ns;
	struct sockaddr_un outer_at, inner_at;
	socklen_t outer_bytes, inner_bytes;
};

// ---- device arguments

bool link_device_argument(const char *device, const char *name, char *out, size_t out_bytes)
{
	size_t bytes = strlen(name);
	for (const char *at = strchr(device, ','); at != NULL; at = strchr(at, ',')) {
		at++;
		if (strncmp(at, name, bytes) != 0 || at[bytes] != '=')
			continue;
		snprintf(out, out_bytes, "%.*s", (int)strcspn(at + bytes + 1, ","), at + bytes + 1);
		return true;
	}
	return false;
}

bool link_device_is_client(const char *device)
{
	char role[16];
	if (strncmp(device, "net_memif", 9) != 0)
		return false;
	return !link_device_argument(device, "role", role, sizeof(role)) ||
		strcmp(role, "client") == 0 || strcmp(role, "slave") == 0;
}

// An abstract name is as long as its text, as the driver has it.
static int address_set(struct sockaddr_un *at, socklen_t *ret_bytes, bool abstract,
	const char *format, const char *path, const char *id)
{
	char *text = at->sun_path + abstract;
	size_t room = sizeof(at->sun_path) - abstract;
	*at = (struct sockaddr_un){.sun_family = AF_UNIX};
	int bytes = snprintf(text, room, format, path, id);
	if (bytes < 0 || (size_t)bytes >= room)
		return -ENAMETOOLONG;
	*ret_bytes = abstract
		? (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)bytes)
		: (socklen_t)sizeof(*at);
	return 0;
}

// The driver's socket lies beside the real one, where the same users may reach it.
static int addresses_set(struct link_gate *g, const char *device)
{
	char path[sizeof(g->outer_at.sun_path) + 1], text[8], id[16];
	if (!link_device_argument(device, "socket", path, sizeof(path)))
		snprintf(path, sizeof(path), "/run/memif.sock");
	bool abstract = !link_device_argument(device, "socket-abstract", text, sizeof(text)) ||
		strcmp(text, "no") != 0;
	if (!link_device_argument(device, "id", id, sizeof(id)))
		snprintf(id, sizeof(id), "0");
	int error = address_set(&g->outer_at, &g->outer_bytes, abstract, "%s", path, "");
	if (error != 0)
		return error;
	return address_set(&g->inner_at, &g->inner_bytes, abstract,
		g->server ? "%s.server%s" : "%s.client%s", path, id);
}

// All arguments but those of the socket, which becomes the inner one.
static int device_write(const struct link_gate *g, const char *device,
	char out[LINK_GATE_DEVICE_BYTES])
{
	bool abstract = g->inner_at.sun_path[0] == '\0';
	size_t used = strcspn(device, ",");
	int bytes = snprintf(out, LINK_GATE_DEVICE_BYTES, "%.*s,socket=%s,socket-abstract=%s",
		(int)used, device, g->inner_at.sun_path + abstract, abstract ? "yes" : "no");
	for (const char *at = device + used; *at == ',' && bytes < LINK_GATE_DEVICE_BYTES;) {
		size_t length = 1 + strcspn(at + 1, ",");
		if (strncmp(at, ",socket", 7) != 0)
			bytes += snprintf(out + bytes, (size_t)(LINK_GATE_DEVICE_BYTES - bytes),
				"%.*s", (int)length, at);
		at += length;
	}
	return bytes >= LINK_GATE_DEVICE_BYTES ? -ENAMETOOLONG : 0;
}

// ---- sockets

static int socket_new(int flags)
{
	return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
}

static void socket_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

// Returns the connected socket, or -errno.
static int connect_to(const struct sockaddr_un *at, socklen_t bytes)
{
	int fd = socket_new(SOCK_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)at, bytes) == 0)
		return fd;
	int error = errno;
	close(fd);
	return -error;
}

// A socket that a dead process left behind makes room; one that is alive does not, and must not
// even notice: memif's driver in DPDK 22.11 ends its process over a connection that ends at once.
// One of another type is refused before there is a connection.
static int make_room(const struct sockaddr_un *at, socklen_t bytes)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int error = connect(fd, (const struct sockaddr *)at, bytes) < 0 ? errno : 0;
	close(fd);
	if (error == 0 || error == EPROTOTYPE)
		return -EADDRINUSE;
	if (error != ECONNREFUSED)
		return error == ENOENT ? 0 : -error;
	bool left = at->sun_path[0] != '\0';
	return left && unlink(at->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

// Returns the listening socket, or -errno.
static int listen_at(const struct sockaddr_un *at, socklen_t bytes)
{
	int error = make_room(at, bytes);
	if (error != 0)
		return error;
	int fd = socket_new(SOCK_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)at, bytes) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

// ---- beginning and end

int link_gate_create(const char *device, struct link_gate **ret_gate,
	char ret_device[LINK_GATE_DEVICE_BYTES])
{
	struct link_gate *g = calloc(1, sizeof(*g));
	if (g == NULL)
		return -ENOMEM;
	g->server = !link_device_is_client(device);
	g->listener = g->inner = g->outer = -1;
	int error = addresses_set(g, device);
	if (error == 0)
		error = device_write(g, device, ret_device);
	if (error == 0 && g->server) // where the driver will listen
		error = make_room(&g->inner_at, g->inner_bytes);
	if (error == 0) {
		g->listener = g->server ? listen_at(&g->outer_at, g->outer_bytes)
					: listen_at(&g->inner_at, g->inner_bytes);
		error = g->listener < 0 ? g->listener : 0;
	}
	if (error != 0) {
		link_gate_destroy(g);
		return error;
	}
	*ret_gate = g;
	return 0;
}

void link_gate_destroy(struct link_gate *g)
{
	if (g == NULL)
		return;
	const struct sockaddr_un *own = g->server ? &g->outer_at : &g->inner_at;
	if (g->listener >= 0 && own->sun_path[0] != '\0')
		unlink(own->sun_path);
	socket_close(&g->listener);
	socket_close(&g->inner);
	socket_close(&g->outer);
	free(g);
}

// ---- connections

static int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void begin(struct link_gate *g)
{
	g->state = GATE_SHAKING;
	g->shaking_since_ns = now_ns();
}

static void idle(struct link_gate *g)
{
	socket_close(&g->inner);
	socket_close(&g->outer);
	g->state = GATE_IDLE;
}

// A server's: whoever comes is led to the driver.
static void take_client(struct link_gate *g)
{
	g->outer = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (g->outer < 0)
		return;
	g->inner = connect_to(&g->inner_at, g->inner_bytes);
	if (g->inner >= 0)
		begin(g);
	else
		idle(g);
}

bool link_gate_connect(struct link_gate *g)
{
	if (g->outer < 0)
		g->outer = connect_to(&g->outer_at, g->outer_bytes);
	if (g->outer < 0)
		g->outer = -1;
	return g->outer >= 0;
}

// A client's driver was started.
static void take_driver(struct link_gate *g)
{
	g->inner = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (g->inner >= 0 && g->outer >= 0)
		begin(g);
	else if (g->inner >= 0)
		idle(g);
}

void link_gate_end(struct link_gate *g)
{
	socket_close(&g->outer);
	shutdown(g->inner, SHUT_WR); // it hangs up in turn once it has unmapped everything
	g->state = GATE_ENDING;
}

bool link_gate_is_open(const struct link_gate *g)
{
	return g->state == GATE_OPEN;
}

bool link_gate_is_idle(const struct link_gate *g)
{
	return g->state == GATE_IDLE;
}

// ---- messages

union control {
	struct cmsghdr header; // for its alignment
	char bytes[CMSG_SPACE(MESSAGE_FILES_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

static void close_files(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0);
			at += sizeof(int)) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
			close(fd);
		}
	}
}

// Returns the type of a message that was passed on, 0: there is none, -1: this end is gone, or the
// one it is for does not take it.
static int pass_one(int from, int to)
{
	char text[MESSAGE_BYTES_MAX];
	union control control;
	struct iovec part = {text, sizeof(text)};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	uint16_t type;
	ssize_t bytes = recvmsg(from, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (bytes < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (bytes < (ssize_t)sizeof(type))
		return -1;
	bool whole = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
	part.iov_len = (size_t)bytes;
	message.msg_flags = 0;
	bool passed = whole && sendmsg(to, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == bytes;
	close_files(&message);
	memcpy(&type, text, sizeof(type));
	return passed ? type : -1;
}

static bool pass_from_driver(struct link_gate *g)
{
	int type = pass_one(g->inner, g->outer);
	if (type == -1 && g->state == GATE_OPEN)
		return true; // either end may be gone; the driver is told in any case
	if (type == -1)
		idle(g);
	else if (type == MESSAGE_CONNECTED && g->server)
		g->state = GATE_OPEN;
	return false;
}

static bool pass_from_other(struct link_gate *g)
{
	if (g->state == GATE_OPEN) // whatever it says now, the driver would unmap
		return true;
	int type = pass_one(g->outer, g->inner);
	if (type == MESSAGE_CONNECTED && !g->server)
		g->state = GATE_OPEN;
	return type == -1;
}

// While the driver ends, nothing else is looked at.
static void await_driver(struct link_gate *g)
{
	char text[MESSAGE_BYTES_MAX];
	ssize_t bytes = recv(g->inner, text, sizeof(text), MSG_DONTWAIT);
	if (bytes == 0 || (bytes < 0 && errno != EAGAIN && errno != EINTR))
		idle(g);
}

bool link_gate_wait(struct link_gate *g, int ms)
{
	bool talks = g->state == GATE_SHAKING || g->state == GATE_OPEN;
	struct pollfd ends[] = {{.fd = g->state == GATE_IDLE ? g->listener : -1, .events = POLLIN},
		{.fd = g->state != GATE_IDLE ? g->inner : -1, .events = POLLIN},
		{.fd = talks ? g->outer : -1, .events = POLLIN}};
	if (poll(ends, 3, ms) < 0)
		return false;
	if (ends[0].revents != 0 && g->server)
		take_client(g);
	else if (ends[0].revents != 0)
		take_driver(g);
	if (ends[1].revents != 0 && g->state == GATE_ENDING)
		await_driver(g);
	else if (ends[1].revents != 0 && pass_from_driver(g))
		return true;
	if (ends[2].revents != 0 && g->outer >= 0 && pass_from_other(g))
		return true;
	return g->state == GATE_SHAKING && now_ns() - g->shaking_since_ns > SHAKE_NS;
}

void link_gate_close(struct link_gate *g)
{
	enum { WAIT_MS = 10 };
	if (g->state == GATE_SHAKING || g->state == GATE_OPEN)
		link_gate_end(g);
	for (int ms = 0; g->state == GATE_ENDING && ms < QUIET_MS; ms += WAIT_MS)
		link_gate_wait(g, WAIT_MS);
}
