#include "control/bus_socket.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "control/bus_address.h"
#include "control/bus_frame.h"
#include "control/bus_listen.h"
#include "numa/assert.h"

enum {
	PEERS_DEFAULT = 2048,
	QUEUE_DEFAULT = 32 << 20,
	SILENT_MS_DEFAULT = 10000,
	SLOT_BITS = 16, // of a peer's number; the rest counts up, so that numbers do not come again
	NAME_MAX_BYTES = 300,
};

struct peer {
	struct bus_socket *bus;
	uint64_t number;
	struct bufferevent *stream;
	struct event *timer; // until it is open, and has spoken if accepted: else it is given up
	bool open, accepted;
	bool in_use;               // its messages are being given out
	bool closing;              // closed meanwhile
	enum bus_closing reason;   // that the timer gives
	char why[BUS_WHY_BYTES];   // likewise
	char name[NAME_MAX_BYTES]; // the address asked for
};

struct bus_socket {
	struct bus bus;
	struct event_base *base;
	struct evdns_base *names; // made when a name is first to be resolved
	SSL_CTX *tls;             // NULL: none
	bool plaintext;
	uint32_t peers_max, peer_count;
	uint64_t queue_bytes, peers_made;
	uint32_t silent_ms;
	struct bus_listen *listeners[BUS_LISTENERS_MAX];
	uint32_t listener_count;
	uint64_t closings[BUS_CLOSING_COUNT];
	struct peer **peers;
};

const char *const bus_closing_names[BUS_CLOSING_COUNT] = {
#define X(name, text) text,
	BUS_CLOSINGS(X)
#undef X
};

static struct bus_socket *of(struct bus *bus)
{
	return (struct bus_socket *)bus;
}

static struct peer *peer_find(const struct bus_socket *bus, uint64_t number)
{
	uint64_t slot = number & ((1u << SLOT_BITS) - 1);
	struct peer *peer = slot < bus->peers_max ? bus->peers[slot] : NULL;
	return peer && peer->number == number && !peer->closing ? peer : NULL;
}

static void peer_free(struct peer *peer)
{
	struct bus_socket *bus = peer->bus;
	SSL *ssl = peer->stream ? bufferevent_openssl_get_ssl(peer->stream) : NULL;
	if (ssl && peer->open) {
		// Say goodbye once; the peer's is not waited for.
		SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN);
		SSL_shutdown(ssl);
	}
	if (peer->stream)
		bufferevent_free(peer->stream);
	if (peer->timer)
		event_free(peer->timer);
	bus->peers[peer->number & ((1u << SLOT_BITS) - 1)] = NULL;
	bus->peer_count--;
	free(peer);
}

// Close and free, later if messages of it are being given out.
static void peer_end(struct peer *peer)
{
	peer->closing = true;
	if (!peer->in_use)
		peer_free(peer);
}

// Close it for a reason of our own or the network's, and tell. An end that was accepted and never
// opened was never told of either.
static void peer_fail(struct peer *peer, enum bus_closing reason, const char *why)
{
	struct bus_socket *bus = peer->bus;
	uint64_t number = peer->number;
	bool tell = peer->open || !peer->accepted;
	char text[BUS_WHY_BYTES];
	snprintf(text, sizeof(text), "%s", why);
	bus->closings[reason]++;
	peer_end(peer);
	if (tell)
		bus->bus.events.closed(bus->bus.events.owner, number, text);
}

static void timer_come(evutil_socket_t fd, short what, void *owner)
{
	struct peer *peer = owner;
	peer_fail(peer, peer->reason, peer->why);
}

// Give up `after_ms` from now unless it opens before.
static void peer_expire(struct peer *peer, uint32_t after_ms, enum bus_closing reason,
	const char *why)
{
	struct timeval after = {after_ms / 1000, after_ms % 1000 * 1000};
	peer->reason = reason;
	snprintf(peer->why, sizeof(peer->why), "%s", why);
	evtimer_add(peer->timer, &after);
}

// Whoever connects has something to say: one that does not would keep others out for good.
static void peer_open(struct peer *peer)
{
	struct bus_socket *bus = peer->bus;
	evtimer_del(peer->timer);
	if (peer->accepted)
		peer_expire(peer, bus->silent_ms, BUS_CLOSING_SILENT, "it says nothing");
	peer->open = true;
	bus_socket_tune(bufferevent_getfd(peer->stream), bus->silent_ms);
	bus->bus.events.opened(bus->bus.events.owner, peer->number,
		peer->accepted ? NULL : peer->name);
}

static void frame_fail(struct peer *peer, enum bus_frame_state state)
{
	switch (state) {
	case BUS_FRAME_UNKNOWN:
		peer_fail(peer, BUS_CLOSING_VERSION, "it sent a message of a later version");
		return;
	case BUS_FRAME_RESERVED:
		peer_fail(peer, BUS_CLOSING_RESERVED, "it sent reserved bytes that are not 0");
		return;
	case BUS_FRAME_LENGTH:
		peer_fail(peer, BUS_CLOSING_LENGTH, "it sent a message longer than 16 MiB");
		return;
	case BUS_FRAME_CHECKSUM:
		peer_fail(peer, BUS_CLOSING_CHECKSUM, "it sent a message with a wrong checksum");
		return;
	default:
		peer_fail(peer, BUS_CLOSING_MAGIC, "it sent what is not a message");
	}
}

static void stream_read(struct bufferevent *stream, void *owner)
{
	struct peer *peer = owner;
	struct bus_events *events = &peer->bus->bus.events;
	struct evbuffer *in = bufferevent_get_input(stream);
	const void *message;
	size_t bytes;
	enum bus_frame_state state = BUS_FRAME_PART;
	peer->in_use = true;
	while (!peer->closing &&
		(state = bus_frame_next(in, &message, &bytes)) == BUS_FRAME_WHOLE) {
		evtimer_del(peer->timer);
		events->received(events->owner, peer->number, message, bytes);
		bus_frame_drop(in, bytes);
	}
	peer->in_use = false;
	if (peer->closing)
		peer_free(peer);
	else if (state != BUS_FRAME_PART)
		frame_fail(peer, state);
}

// What an error event means.
static enum bus_closing stream_reason(struct peer *peer, int error, char why[BUS_WHY_BYTES])
{
	unsigned long tls = bufferevent_get_openssl_error(peer->stream);
	SSL *ssl = bufferevent_openssl_get_ssl(peer->stream);
	if (ssl && SSL_get_verify_result(ssl) != X509_V_OK) {
		snprintf(why, BUS_WHY_BYTES, "TLS: %s",
			X509_verify_cert_error_string(SSL_get_verify_result(ssl)));
		return BUS_CLOSING_TLS;
	}
	if (tls != 0 && ERR_GET_REASON(tls) != SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		int n = snprintf(why, BUS_WHY_BYTES, "TLS: ");
		tls_error_text(tls, why + n, BUS_WHY_BYTES - (size_t)n);
		return BUS_CLOSING_TLS;
	}
	int dns = bufferevent_socket_get_dns_error(peer->stream);
	if (dns != 0) {
		snprintf(why, BUS_WHY_BYTES, "%s", evutil_gai_strerror(dns));
		return BUS_CLOSING_REFUSED;
	}
	if (tls != 0 || error == 0) {
		snprintf(why, BUS_WHY_BYTES, "the connection ended");
		return BUS_CLOSING_ENDED;
	}
	snprintf(why, BUS_WHY_BYTES, "%s", strerror(error));
	if (error == ETIMEDOUT)
		return BUS_CLOSING_SILENT;
	return peer->open ? BUS_CLOSING_RESET : BUS_CLOSING_REFUSED;
}

static void stream_event(struct bufferevent *stream, short what, void *owner)
{
	struct peer *peer = owner;
	int error = EVUTIL_SOCKET_ERROR();
	char why[BUS_WHY_BYTES];
	if (what & BEV_EVENT_CONNECTED) {
		peer_open(peer);
	} else if (what & BEV_EVENT_EOF) {
		peer_fail(peer, BUS_CLOSING_ENDED, "the connection was closed by the peer");
	} else {
		enum bus_closing reason = stream_reason(peer, error, why);
		peer_fail(peer, reason, why);
	}
}

// A peer without a stream.  Returns NULL when there are too many, or without memory.
static struct peer *peer_create(struct bus_socket *bus)
{
	uint64_t slot = 0;
	if (bus->peer_count == bus->peers_max)
		return NULL;
	while (bus->peers[slot])
		slot++;
	struct peer *peer = calloc(1, sizeof(*peer));
	if (!peer)
		return NULL;
	peer->timer = evtimer_new(bus->base, timer_come, peer);
	if (!peer->timer) {
		free(peer);
		return NULL;
	}
	peer->bus = bus;
	peer->number = ++bus->peers_made << SLOT_BITS | slot;
	bus->peers[slot] = peer;
	bus->peer_count++;
	return peer;
}

// Give it a stream on `fd`, -1 for one to be connected.
static bool peer_stream(struct peer *peer, int fd, SSL *ssl)
{
	struct event_base *base = peer->bus->base;
	int options = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS;
	if (ssl)
		peer->stream = bufferevent_openssl_socket_new(base, fd, ssl,
			peer->accepted ? BUFFEREVENT_SSL_ACCEPTING : BUFFEREVENT_SSL_CONNECTING,
			options);
	else
		peer->stream = bufferevent_socket_new(base, fd, options);
	if (!peer->stream)
		return false;
	bufferevent_setcb(peer->stream, stream_read, NULL, stream_event, peer);
	bufferevent_setwatermark(peer->stream, EV_READ, 0,
		BUS_FRAME_HEADER_BYTES + BUS_MESSAGE_MAX);
	return bufferevent_enable(peer->stream, EV_READ | EV_WRITE) == 0;
}

static void accepted(void *owner, int fd, bool is_unix)
{
	struct bus_socket *bus = owner;
	struct peer *peer = peer_create(bus);
	bool tls = bus->tls && !is_unix;
	SSL *ssl = peer && tls ? tls_end_create(bus->tls, NULL) : NULL;
	if (peer)
		peer->accepted = true;
	if (!peer || (tls && !ssl) || !peer_stream(peer, fd, ssl)) {
		bus->closings[BUS_CLOSING_FULL]++;
		if (!peer || !peer->stream)
			evutil_closesocket(fd);
		if (peer)
			peer_free(peer);
		return;
	}
	if (tls)
		peer_expire(peer, bus->silent_ms, BUS_CLOSING_SILENT, "no TLS handshake in time");
	else
		peer_open(peer);
}

// Returns whether connecting is under way; else errno says why not.
static bool peer_connect(struct peer *peer, const struct bus_address *address)
{
	struct bus_socket *bus = peer->bus;
	if (address->is_unix) {
		struct sockaddr_un to = {.sun_family = AF_UNIX};
		memcpy(to.sun_path, address->path, sizeof(to.sun_path));
		return bufferevent_socket_connect(peer->stream, (void *)&to, sizeof(to)) == 0;
	}
	struct evutil_addrinfo numeric = {.ai_flags = EVUTIL_AI_NUMERICHOST}, *found = NULL;
	if (evutil_getaddrinfo(address->host, NULL, &numeric, &found) == 0)
		evutil_freeaddrinfo(found);
	else if (!bus->names)
		bus->names = evdns_base_new(bus->base,
			EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	errno = EADDRNOTAVAIL;
	return bufferevent_socket_connect_hostname(peer->stream, bus->names, AF_UNSPEC,
		       address->host, address->port) == 0;
}

static bool tls_missing(const struct bus_socket *bus, const struct bus_address *address)
{
	return !bus->tls && !bus->plaintext && !bus_address_is_local(address);
}

static uint64_t socket_connect(struct bus *base, const char *text)
{
	struct bus_socket *bus = of(base);
	struct bus_address address;
	const char *wrong = bus_address_parse(text, &address);
	struct peer *peer = peer_create(bus);
	if (!peer)
		return 0;
	snprintf(peer->name, sizeof(peer->name), "%s", text);
	if (!wrong && tls_missing(bus, &address))
		wrong = "connections to other hosts need certificates (tls) or plaintext: true";
	if (wrong) {
		peer_expire(peer, 0, BUS_CLOSING_REFUSED, wrong);
		return peer->number;
	}
	bool tls = bus->tls && !address.is_unix;
	SSL *ssl = tls ? tls_end_create(bus->tls, address.host) : NULL;
	if ((tls && !ssl) || !peer_stream(peer, -1, ssl)) {
		peer_free(peer);
		return 0;
	}
	peer_expire(peer, bus->silent_ms, BUS_CLOSING_SILENT, "no answer in time");
	if (!peer_connect(peer, &address))
		peer_expire(peer, 0, BUS_CLOSING_REFUSED, strerror(errno));
	return peer->number;
}

static int socket_send(struct bus *base, uint64_t number, const void *message, size_t bytes)
{
	struct peer *peer = peer_find(of(base), number);
	if (!peer || !peer->open)
		return -ENOTCONN;
	if (bytes > BUS_MESSAGE_MAX)
		return -EMSGSIZE;
	struct evbuffer *out = bufferevent_get_output(peer->stream);
	if (evbuffer_get_length(out) + BUS_FRAME_HEADER_BYTES + bytes > peer->bus->queue_bytes)
		return -ENOBUFS;
	return bus_frame_put(out, message, bytes) == 0 ? 0 : -ENOBUFS;
}

static void socket_close(struct bus *base, uint64_t number)
{
	struct peer *peer = peer_find(of(base), number);
	if (peer)
		peer_end(peer);
}

static void socket_destroy(struct bus *base)
{
	struct bus_socket *bus = of(base);
	for (uint32_t i = 0; i < bus->peers_max; i++)
		if (bus->peers[i])
			peer_free(bus->peers[i]);
	for (uint32_t i = 0; i < bus->listener_count; i++)
		bus_listen_destroy(bus->listeners[i]);
	if (bus->names)
		evdns_base_free(bus->names, 1);
	SSL_CTX_free(bus->tls);
	free(bus->peers);
	free(bus);
}

static const struct bus_ops ops = {socket_connect, socket_send, socket_close, socket_destroy};

int bus_socket_create(struct event_base *base, const struct bus_socket_config *config,
	const struct bus_events *events, struct bus **ret_bus, char ret_why[BUS_WHY_BYTES])
{
	struct bus_socket *bus = calloc(1, sizeof(*bus));
	int error = -ENOMEM;
	if (!bus)
		goto err;
	*bus = (struct bus_socket){.bus = {&ops, *events},
		.base = base,
		.plaintext = config->plaintext,
		.peers_max = config->peers_max ? config->peers_max : PEERS_DEFAULT,
		.queue_bytes = config->queue_bytes ? config->queue_bytes : QUEUE_DEFAULT,
		.silent_ms = config->silent_ms ? config->silent_ms : SILENT_MS_DEFAULT};
	VERIFY(bus->peers_max <= BUS_PEERS_MAX);
	bus->peers = calloc(bus->peers_max, sizeof(*bus->peers));
	if (!bus->peers)
		goto err;
	if (tls_wanted(&config->tls)) {
		error = tls_context_create(&config->tls, &bus->tls, ret_why);
		if (error)
			goto err_told;
	}
	*ret_bus = &bus->bus;
	return 0;
err:
	snprintf(ret_why, BUS_WHY_BYTES, "%s", strerror(-error));
err_told:
	if (bus)
		free(bus->peers);
	free(bus);
	return error;
}

static const char *listen_problem(int error)
{
	switch (-error) {
	case EADDRINUSE:
		return "another process serves there; end that one, or write another address";
	case EADDRNOTAVAIL:
		return "is no address of this host; `ip address` lists them";
	case ENOENT:
		return "the socket's folder is not there; make it";
	case EEXIST:
		return "a file that is no socket is there; write another path";
	case EACCES:
		return "this user may not serve there; give it the folder, or write another "
		       "address";
	default:
		return strerror(-error);
	}
}

int bus_socket_listen(struct bus *base, const char *text, uint16_t *ret_port,
	char ret_why[BUS_WHY_BYTES])
{
	struct bus_socket *bus = of(base);
	struct bus_address address;
	const char *wrong = bus_address_parse(text, &address);
	int error = -EINVAL;
	if (!wrong && tls_missing(bus, &address)) {
		wrong = "listening for other hosts needs certificates (tls) or plaintext: true";
		error = -EPERM;
	}
	if (!wrong && bus->listener_count == BUS_LISTENERS_MAX)
		wrong = "too many addresses to listen at";
	if (wrong) {
		snprintf(ret_why, BUS_WHY_BYTES, "%s: %s", text, wrong);
		return error;
	}
	struct bus_listen_events events = {accepted, bus};
	struct bus_listen *listener;
	error = bus_listen_create(bus->base, &address, &events, &listener, ret_port);
	if (error)
		snprintf(ret_why, BUS_WHY_BYTES, "%s: %s", text, listen_problem(error));
	else
		bus->listeners[bus->listener_count++] = listener;
	return error;
}

uint64_t bus_socket_closings(const struct bus *base, enum bus_closing reason)
{
	return ((const struct bus_socket *)base)->closings[reason];
}
