// Somebody who submits and cancels jobs, asks again when no answer comes, and follows redirects.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/message.h"
#include "numa/assert.h"
#include "tests/sim/cluster/cluster.h"

static struct process *self(struct cluster *c)
{
	return &c->processes[c->count - 1];
}

static void forget_peer(struct client *client, bool other)
{
	client->peer = 0;
	client->opened = false;
	client->target += other;
}

static Weir__JobSpec spec_of(struct cluster *c, uint32_t job, char *text, size_t bytes)
{
	Weir__JobSpec spec = WEIR__JOB_SPEC__INIT;
	c->work->write_job(c, job, text, bytes);
	spec.file = (char *)"sim.yaml";
	spec.text = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
	return spec;
}

static void ask(struct cluster *c)
{
	struct client *client = &c->client;
	struct client_job *job = &client->jobs[client->about];
	struct bus *bus = sim_bus_of(self(c));
	char text[SIM_JOB_BYTES];
	Weir__Message message = WEIR__MESSAGE__INIT;
	Weir__Request request = WEIR__REQUEST__INIT;
	Weir__Submit submit = WEIR__SUBMIT__INIT;
	Weir__Cancel cancel = WEIR__CANCEL__INIT;
	Weir__JobSpec spec = spec_of(c, client->about, text, sizeof(text));
	submit.token = job->token;
	submit.spec = &spec;
	cancel.job = job->id;
	cancel.publish = client->publish;
	message.number = client->number;
	message.body_case = WEIR__MESSAGE__BODY_REQUEST;
	message.request = &request;
	request.what_case = client->doing == CLIENT_SUBMIT ? WEIR__REQUEST__WHAT_SUBMIT
							   : WEIR__REQUEST__WHAT_CANCEL;
	if (client->doing == CLIENT_SUBMIT)
		request.submit = &submit;
	else
		request.cancel = &cancel;
	message_send(bus, client->peer, &message);
}

static void on_opened(void *owner, uint64_t peer, const char *name)
{
	struct cluster *c = owner;
	if (peer != c->client.peer)
		return;
	c->client.opened = true;
	ask(c);
}

static void on_closed(void *owner, uint64_t peer, const char *why)
{
	struct cluster *c = owner;
	if (peer == c->client.peer)
		forget_peer(&c->client, true);
}

static void check_reply(struct cluster *c, const Weir__Reply *reply)
{
	struct client *client = &c->client;
	struct client_job *job = &client->jobs[client->about];
	if (client->doing == CLIENT_SUBMIT && *reply->error)
		return; // asked again
	if (client->doing == CLIENT_SUBMIT && *job->id && strcmp(job->id, reply->job) != 0)
		cluster_violate(c, "token %s gave jobs %s and %s", job->token, job->id, reply->job);
	if (client->doing == CLIENT_SUBMIT) {
		char key[META_KEY_MAX];
		snprintf(job->id, sizeof(job->id), "%s", reply->job);
		snprintf(key, sizeof(key), "weir/jobs/%s", job->id);
		if (!sim_meta_find(c, key))
			cluster_violate(c, "job %s was acknowledged and is not written", job->id);
		job->done = true;
	}
	client->doing = CLIENT_IDLE;
}

static void on_received(void *owner, uint64_t peer, const void *data, size_t bytes)
{
	struct cluster *c = owner;
	struct client *client = &c->client;
	Weir__Message *m = message_read(data, bytes);
	VERIFY(m);
	if (peer == client->peer && m->number == client->number) {
		if (m->body_case == WEIR__MESSAGE__BODY_REPLY)
			check_reply(c, m->reply);
		sim_bus_of(self(c))->ops->close(sim_bus_of(self(c)), peer);
		forget_peer(client, client->doing != CLIENT_IDLE);
	}
	message_free(m);
}

void sim_client_start(struct process *p)
{
	sim_bus_create(p)->events =
		(struct bus_events){on_opened, on_closed, on_received, p->cluster};
}

static void think(struct cluster *c, bool quiet)
{
	struct client *client = &c->client;
	if (!quiet && client->submitted < c->jobs_max && random_chance(&c->random, 30)) {
		client->about = client->submitted++;
		snprintf(client->jobs[client->about].token, sizeof(client->jobs[0].token),
			"t%" PRIu64 "-%u", c->seed, client->about);
		client->doing = CLIENT_SUBMIT;
	} else if (!quiet && client->submitted > 0 && random_chance(&c->random, c->cancels)) {
		client->about = (uint32_t)random_in(&c->random, 0, client->submitted - 1);
		client->publish = random_chance(&c->random, 500);
		client->doing = CLIENT_CANCEL;
	}
}

void sim_client_step(struct process *p, bool quiet)
{
	struct cluster *c = p->cluster;
	struct client *client = &c->client;
	struct bus *bus = sim_bus_of(p);
	if (client->doing == CLIENT_IDLE)
		think(c, quiet);
	if (client->doing == CLIENT_IDLE)
		return;
	if (client->peer && c->time.now_ns - client->asked_ns > 2000 * c->ms) {
		bus->ops->close(bus, client->peer);
		forget_peer(client, true);
	}
	if (client->peer)
		return;
	client->number++;
	client->asked_ns = c->time.now_ns;
	client->peer = bus->ops->connect(bus, c->processes[client->target % c->controllers].name);
}
