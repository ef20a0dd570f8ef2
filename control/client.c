#include "control/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/bus_address.h"
#include "control/loop.h"
#include "numa/clock.h"

#define DEFAULT_ADDRESS "unix:/run/weir/controller.sock"
#define TRY_NS 3000000000LL
#define PAUSE_NS 100000000LL
#define ALL_NS 10000000000LL
#define NOBODY_NS 1500000000LL // when no controller could be connected to

struct ask {
	const struct client_place *place;
	Weir__Request *request;
	struct loop *loop;
	struct bus *bus;
	uint64_t peer;
	uint32_t next;
	char redirect[BUS_WHY_BYTES];
	bool ended;   // this try
	bool reached; // one of them
	bool nobody;  // was reached in the time that there is
	bool asked;   // in this try, and not sent elsewhere
	bool unclear; // one that was asked has not answered: it may yet do it
	int64_t try_until_ns, retry_at_ns, begun_ns;
	Weir__Message *reply;
	char *why;
};

static int split(struct client_place *place, const char *text)
{
	char *copy = heap_text(&place->file.file.heap, text, strlen(text)), *at;
	while ((at = strsep(&copy, ",")) && place->addresses.count < CLUSTER_ADDRESSES_MAX) {
		struct bus_address address;
		const char *problem = bus_address_parse(at, &address);
		if (problem) {
			fprintf(stderr, "weir: controller %s %s\n", at, problem);
			return -EINVAL;
		}
		place->addresses.text[place->addresses.count++] = at;
	}
	return 0;
}

static bool find_file(struct client_place *place)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	if (config && *config)
		snprintf(place->path, sizeof(place->path), "%s/weir/client.yaml", config);
	else
		snprintf(place->path, sizeof(place->path), "%s/.config/weir/client.yaml",
			home ? home : "");
	return access(place->path, R_OK) == 0;
}

int client_place_find(struct client_place *place, const char *given)
{
	const char *environment = getenv("WEIR_CONTROLLER");
	memset(place, 0, sizeof(*place));
	if (find_file(place)) {
		client_file_load(&place->file, place->path);
		place->addresses = place->file.controllers;
		if (place->file.file.errors.count > 0) {
			errors_print(&place->file.file.errors, stderr);
			return -EINVAL;
		}
	}
	if (!given)
		given = environment && *environment ? environment : NULL;
	if (!given && place->addresses.count == 0)
		given = DEFAULT_ADDRESS;
	if (!given)
		return 0;
	place->addresses.count = 0;
	return split(place, given);
}

void client_place_destroy(struct client_place *place)
{
	cluster_file_destroy(&place->file.file);
}

static void try_ends(struct ask *ask, const char *why)
{
	const struct addresses *addresses = &ask->place->addresses;
	const char *at = addresses->text[(ask->next + addresses->count - 1) % addresses->count];
	ask->ended = true;
	snprintf(ask->why, BUS_WHY_BYTES, "controller %.200s: %.250s", at, why);
}

static void on_opened(void *owner, uint64_t peer, const char *name)
{
	struct ask *ask = owner;
	Weir__Message message = WEIR__MESSAGE__INIT;
	ask->reached = ask->asked = true;
	message.number = peer;
	message.body_case = WEIR__MESSAGE__BODY_REQUEST;
	message.request = ask->request;
	if (message_send(ask->bus, peer, &message) < 0)
		try_ends(ask, "the request is too large");
}

static void on_closed(void *owner, uint64_t peer, const char *why)
{
	struct ask *ask = owner;
	if (peer != ask->peer)
		return;
	ask->peer = 0;
	try_ends(ask, why);
}

static void on_received(void *owner, uint64_t peer, const void *data, size_t bytes)
{
	struct ask *ask = owner;
	Weir__Message *m = message_read(data, bytes);
	if (!m || peer != ask->peer) {
		message_free(m);
		return;
	}
	if (m->body_case == WEIR__MESSAGE__BODY_REPLY && !ask->reply) {
		ask->reply = m;
		loop_stop(ask->loop);
		return;
	}
	if (m->body_case == WEIR__MESSAGE__BODY_REDIRECT) {
		ask->asked = false;
		try_ends(ask, m->redirect->reason);
		snprintf(ask->redirect, sizeof(ask->redirect), "%.*s", BUS_WHY_BYTES - 1,
			m->redirect->address);
	}
	message_free(m);
}

static void begin_try(struct ask *ask, int64_t now_ns)
{
	const struct addresses *addresses = &ask->place->addresses;
	const char *address = ask->redirect;
	if (!*address)
		address = addresses->text[ask->next++ % addresses->count];
	ask->try_until_ns = now_ns + TRY_NS;
	ask->ended = false;
	ask->unclear |= ask->asked;
	ask->asked = false;
	ask->peer = ask->bus->ops->connect(ask->bus, address);
	*ask->redirect = 0;
	if (!ask->peer)
		try_ends(ask, "cannot be connected to");
}

static int64_t step(void *owner, int64_t now_ns)
{
	struct ask *ask = owner;
	if (ask->begun_ns == 0)
		ask->begun_ns = now_ns;
	if (ask->peer && !ask->ended && now_ns > ask->try_until_ns)
		try_ends(ask, "does not answer");
	if (ask->ended) {
		if (ask->peer)
			ask->bus->ops->close(ask->bus, ask->peer);
		ask->peer = 0;
		ask->ended = false;
		ask->retry_at_ns = *ask->redirect ? now_ns : now_ns + PAUSE_NS;
	}
	if (!ask->peer && now_ns >= ask->retry_at_ns)
		begin_try(ask, now_ns);
	if (now_ns - ask->begun_ns > (ask->reached ? ALL_NS : NOBODY_NS))
		loop_stop(ask->loop);
	return now_ns + PAUSE_NS / 4;
}

static bool changes_a_job(const Weir__Request *request)
{
	return request->what_case == WEIR__REQUEST__WHAT_SUBMIT ||
		request->what_case == WEIR__REQUEST__WHAT_CANCEL;
}

static void add_remedy(const struct ask *ask, char why[BUS_WHY_BYTES])
{
	size_t bytes = strlen(why);
	bool unclear = !ask->reply && (ask->asked || ask->unclear) && changes_a_job(ask->request);
	if (ask->nobody)
		snprintf(why + bytes, BUS_WHY_BYTES - bytes,
			"; is a controller there? --controller or $WEIR_CONTROLLER says where to "
			"look");
	else if (unclear)
		snprintf(why + bytes, BUS_WHY_BYTES - bytes,
			"; it may be done all the same: look at `weir list`");
}

Weir__Message *client_ask(const struct client_place *place, Weir__Request *request,
	char ret_why[BUS_WHY_BYTES])
{
	struct ask ask = {.place = place, .request = request, .why = ret_why};
	const struct bus_events events = {on_opened, on_closed, on_received, &ask};
	*ret_why = 0;
	if (loop_create(&ask.loop) < 0) {
		snprintf(ret_why, BUS_WHY_BYTES, "the event loop did not start");
		return NULL;
	}
	if (bus_socket_create(loop_base(ask.loop), &place->file.file.bus, &events, &ask.bus,
		    ret_why) == 0) {
		loop_add(ask.loop, step, &ask);
		if (loop_run(ask.loop) != 0)
			snprintf(ret_why, BUS_WHY_BYTES, "interrupted");
		else
			ask.nobody = !ask.reached;
		ask.bus->ops->destroy(ask.bus);
	}
	loop_destroy(ask.loop);
	add_remedy(&ask, ret_why);
	return ask.reply;
}
