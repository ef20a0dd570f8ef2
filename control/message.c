#include "control/message.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "control/workload.h"
#include "numa/assert.h"

// What unpacking one message may take: a few bytes can name a large structure.
struct budget {
	ProtobufCAllocator allocator;
	size_t left;
};

static void *budget_alloc(void *data, size_t bytes)
{
	struct budget *budget = data;
	if (bytes > budget->left)
		return NULL;
	budget->left -= bytes;
	return malloc(bytes);
}

static void budget_free(void *data, void *memory)
{
	free(memory);
}

static bool fields_are_sound(const ProtobufCMessage *m);

static bool field_is_sound(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *field)
{
	const uint8_t *at = (const uint8_t *)m + field->offset;
	const uint8_t *quantifier = (const uint8_t *)m + field->quantifier_offset;
	bool good = true;
	if (field->type != PROTOBUF_C_TYPE_MESSAGE)
		return true;
	if (field->label != PROTOBUF_C_LABEL_REPEATED) {
		bool absent = field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
			*(const uint32_t *)quantifier != field->id;
		const ProtobufCMessage *inner = absent ? NULL : *(ProtobufCMessage *const *)at;
		return !inner || fields_are_sound(inner);
	}
	for (size_t i = 0; i < *(const size_t *)quantifier && good; i++)
		good = fields_are_sound((*(ProtobufCMessage * *const *)at)[i]);
	return good;
}

// A field numbered 0 is read but, packed again, would not be: no record may keep one.
static bool fields_are_sound(const ProtobufCMessage *m)
{
	bool good = true;
	for (unsigned i = 0; i < m->n_unknown_fields && good; i++)
		good = m->unknown_fields[i].tag != 0;
	for (unsigned i = 0; i < m->descriptor->n_fields && good; i++)
		good = field_is_sound(m, &m->descriptor->fields[i]);
	return good;
}

static void *unpack(const ProtobufCMessageDescriptor *kind, const void *data, size_t bytes)
{
	struct budget budget = {
		.allocator = {budget_alloc, budget_free, &budget}, .left = MESSAGE_HEAP_MAX};
	if (bytes > BUS_MESSAGE_MAX)
		return NULL;
	ProtobufCMessage *m = protobuf_c_message_unpack(kind, &budget.allocator, bytes, data);
	if (!m || fields_are_sound(m))
		return m;
	record_free(m);
	return NULL;
}

bool name_is_plain(const char *name, size_t bytes_max)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
	size_t bytes = strlen(name);
	return bytes > 0 && bytes <= bytes_max && strspn(name, letters) == bytes;
}

static bool is_job(const char *id)
{
	return name_is_plain(id, MESSAGE_NAME_MAX);
}

static bool is_node(const char *name)
{
	return name_is_plain(name, MESSAGE_NAME_MAX);
}

// A line for people: too long is refused, what would move a terminal's cursor is replaced.
static bool is_line(char *text)
{
	if (strlen(text) > MESSAGE_TEXT_MAX)
		return false;
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7F)
			*text = '?';
	return true;
}

static bool are_lines(char **texts, size_t count, size_t count_max)
{
	bool good = count <= count_max;
	for (size_t i = 0; i < count && good; i++)
		good = is_line(texts[i]);
	return good;
}

static bool places_check(const uint32_t *places, size_t count)
{
	bool good = count <= MESSAGE_PARTICIPANTS_MAX;
	for (size_t i = 0; i < count && good; i++)
		good = places[i] < MESSAGE_PARTICIPANTS_MAX;
	return good;
}

static bool figures_check(const Weir__OperatorFigures *figures)
{
	bool good = is_line(figures->id) && is_line(figures->kind) && figures->role <= 2;
	for (size_t i = 0; i < figures->n_results && good; i++)
		good = is_line(figures->results[i]->name);
	return good;
}

static bool covers_check(Weir__Cover **covers, size_t count)
{
	bool good = count <= MESSAGE_PARTICIPANTS_MAX;
	for (size_t i = 0; i < count && good; i++)
		good = covers[i]->n_by <= MESSAGE_PARTICIPANTS_MAX;
	for (size_t i = 0; i < count && good; i++)
		for (size_t k = 0; k < covers[i]->n_by && good; k++)
			good = covers[i]->by[k] < count;
	return good;
}

static bool parts_check(Weir__Part **parts, size_t count, size_t count_max)
{
	bool good = count <= count_max;
	for (size_t i = 0; i < count && good; i++) {
		const Weir__Part *part = parts[i];
		good = is_job(part->job) && is_line(part->error) &&
			part->state <= WEIR__PART_STATE__PART_FAILED && (int)part->state >= 0 &&
			covers_check(part->covers, part->n_covers) &&
			part->n_lost <= MESSAGE_PARTICIPANTS_MAX &&
			places_check(part->admitted, part->n_admitted) &&
			places_check(part->repaired, part->n_repaired);
		for (size_t k = 0; k < part->n_operators && good; k++)
			good = figures_check(part->operators[k]);
	}
	return good;
}

static bool node_check(const Weir__NodeRecord *node)
{
	return node && is_node(node->name) && is_line(node->host) && is_line(node->rack) &&
		node->workers > 0 && node->workers <= MESSAGE_WORKERS_MAX &&
		are_lines(node->links, node->n_links, MESSAGE_LINKS_MAX);
}

// Sets may hold any text that a shell passes on; whoever applies them checks them.
static bool spec_check(const Weir__JobSpec *spec)
{
	bool good = spec && is_line(spec->file) && spec->text.len <= MESSAGE_JOB_TEXT_MAX &&
		spec->n_sets <= MESSAGE_SETS_MAX;
	size_t bytes = 0;
	for (size_t i = 0; good && i < spec->n_sets; i++)
		good = (bytes += strlen(spec->sets[i])) <= MESSAGE_JOB_TEXT_MAX / 2;
	return good;
}

static bool replacement_check(const Weir__Replacement *r, uint32_t workers)
{
	return is_node(r->node) && is_line(r->host) && is_line(r->rack) &&
		are_lines(r->links, r->n_links, MESSAGE_LINKS_MAX) &&
		r->node_worker <= MESSAGE_WORKERS_MAX - workers;
}

static bool participant_check(const Weir__Participant *p)
{
	return is_node(p->node) && is_line(p->host) && is_line(p->rack) &&
		is_line(p->planned_host) && is_line(p->planned_rack) && is_line(p->lost_why) &&
		are_lines(p->links, p->n_links, MESSAGE_LINKS_MAX) && p->workers > 0 &&
		p->workers <= MESSAGE_WORKERS_MAX &&
		p->node_worker <= MESSAGE_WORKERS_MAX - p->workers &&
		(!p->repair || replacement_check(p->repair, p->workers));
}

static bool participants_check(Weir__Participant **participants, size_t count)
{
	uint32_t workers = 0;
	if (count > MESSAGE_PARTICIPANTS_MAX)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!participant_check(participants[i]) || participants[i]->first_worker != workers)
			return false;
		workers += participants[i]->workers;
	}
	return workers <= MESSAGE_WORKERS_MAX;
}

static bool admit_check(const Weir__Admit *admit)
{
	return is_job(admit->job) && admit->place < MESSAGE_PARTICIPANTS_MAX && admit->as &&
		participant_check(admit->as);
}

static bool prepare_check(const Weir__Prepare *prepare)
{
	return is_job(prepare->job) && prepare->spec && spec_check(prepare->spec) &&
		prepare->self < prepare->n_participants &&
		participants_check(prepare->participants, prepare->n_participants);
}

static bool job_check(const Weir__JobRecord *job)
{
	return job && is_job(job->id) && is_line(job->name) && is_line(job->token) &&
		is_line(job->error) && job->state <= WEIR__JOB_STATE__JOB_FAILED &&
		(int)job->state >= 0 && job->workers <= MESSAGE_WORKERS_MAX &&
		participants_check(job->participants, job->n_participants) &&
		(job->n_covers == 0 || job->n_covers == job->n_participants) &&
		covers_check(job->covers, job->n_covers);
}

static bool request_check(const Weir__Request *request)
{
	switch (request->what_case) {
	case WEIR__REQUEST__WHAT_SUBMIT:
		return name_is_plain(request->submit->token, MESSAGE_NAME_MAX) &&
			spec_check(request->submit->spec);
	case WEIR__REQUEST__WHAT_CANCEL:
		return is_line(request->cancel->job);
	case WEIR__REQUEST__WHAT_STATUS:
		return is_line(request->status);
	case WEIR__REQUEST__WHAT__NOT_SET:
		return false;
	default:
		return true;
	}
}

static bool repair_status_check(const Weir__JobStatus *job)
{
	const Weir__RepairStatus *repair = job->repair;
	return !repair ||
		(repair->place < job->record->n_participants && is_line(repair->node) &&
			is_line(repair->step));
}

static bool reply_check(const Weir__Reply *reply)
{
	bool good = is_line(reply->warning) && is_line(reply->job) && is_line(reply->controller);
	for (char *at = reply->error; *at; at++) // several lines, when a job file is wrong
		if ((unsigned char)*at < ' ' && *at != '\n')
			*at = '?';
	for (size_t i = 0; i < reply->n_jobs && good; i++)
		good = job_check(reply->jobs[i]->record) && is_line(reply->jobs[i]->waiting) &&
			is_line(reply->jobs[i]->survives) && repair_status_check(reply->jobs[i]) &&
			parts_check(reply->jobs[i]->parts, reply->jobs[i]->n_parts,
				MESSAGE_PARTICIPANTS_MAX);
	for (size_t i = 0; i < reply->n_nodes && good; i++) {
		const Weir__NodeStatus *node = reply->nodes[i];
		good = node_check(node->record) && is_line(node->state) && is_line(node->reason) &&
			parts_check(node->parts, node->n_parts, MESSAGE_PARTS_MAX);
	}
	for (size_t i = 0; i < reply->n_events && good; i++)
		good = is_line(reply->events[i]->text);
	return good;
}

static bool body_check(const Weir__Message *m)
{
	switch (m->body_case) {
	case WEIR__MESSAGE__BODY_JOIN:
		return node_check(m->join->node) &&
			parts_check(m->join->parts, m->join->n_parts, MESSAGE_PARTS_MAX);
	case WEIR__MESSAGE__BODY_WELCOME:
		return m->welcome->heartbeat_ns >= 1000000 &&
			m->welcome->heartbeat_ns < 1ULL << 40 &&
			m->welcome->silence_ns >= 1000000 && m->welcome->silence_ns < 1ULL << 40 &&
			m->welcome->lease_ns < 1ULL << 40;
	case WEIR__MESSAGE__BODY_REDIRECT:
		return is_line(m->redirect->address) && is_line(m->redirect->reason);
	case WEIR__MESSAGE__BODY_REPORT:
		return parts_check(m->report->parts, m->report->n_parts, MESSAGE_PARTS_MAX);
	case WEIR__MESSAGE__BODY_PREPARE:
		return prepare_check(m->prepare);
	case WEIR__MESSAGE__BODY_START:
	case WEIR__MESSAGE__BODY_INTERRUPT:
	case WEIR__MESSAGE__BODY_PUBLISH:
	case WEIR__MESSAGE__BODY_ABORT: // one member for all
		return is_job(m->start->job);
	case WEIR__MESSAGE__BODY_LOSE:
		return is_job(m->lose->job) && m->lose->participant < MESSAGE_PARTICIPANTS_MAX;
	case WEIR__MESSAGE__BODY_ADMIT:
		return admit_check(m->admit);
	case WEIR__MESSAGE__BODY_REQUEST:
		return request_check(m->request);
	case WEIR__MESSAGE__BODY_REPLY:
		return reply_check(m->reply);
	default: // a later version's: the receiver passes over it
		return true;
	}
}

Weir__Message *message_read(const void *data, size_t bytes)
{
	Weir__Message *message = unpack(&weir__message__descriptor, data, bytes);
	if (message && message->version >= MESSAGE_VERSION && body_check(message))
		return message;
	message_free(message);
	return NULL;
}

void message_free(Weir__Message *message)
{
	record_free(message);
}

int message_send(struct bus *bus, uint64_t peer, Weir__Message *message)
{
	size_t bytes;
	message->version = MESSAGE_VERSION;
	void *data = record_pack(message, &bytes);
	int rc = bus->ops->send(bus, peer, data, bytes);
	free(data);
	return rc;
}

static void *checked(void *record, bool good)
{
	if (good)
		return record;
	record_free(record);
	return NULL;
}

Weir__LeaderRecord *leader_record_read(const void *data, size_t bytes)
{
	Weir__LeaderRecord *leader = unpack(&weir__leader_record__descriptor, data, bytes);
	return checked(leader,
		leader && is_line(leader->name) && is_line(leader->address) &&
			leader->format == MESSAGE_VERSION);
}

Weir__NodeRecord *node_record_read(const void *data, size_t bytes)
{
	Weir__NodeRecord *node = unpack(&weir__node_record__descriptor, data, bytes);
	return checked(node, node && node_check(node) && node->format == MESSAGE_VERSION);
}

Weir__JobRecord *job_record_read(const void *data, size_t bytes)
{
	Weir__JobRecord *job = unpack(&weir__job_record__descriptor, data, bytes);
	return checked(job, job && job_check(job) && job->format == MESSAGE_VERSION);
}

Weir__JobSpec *job_spec_read(const void *data, size_t bytes)
{
	Weir__JobSpec *spec = unpack(&weir__job_spec__descriptor, data, bytes);
	return checked(spec, spec && spec_check(spec) && spec->format == MESSAGE_VERSION);
}

void record_free(void *record)
{
	if (record)
		protobuf_c_message_free_unpacked(record, NULL);
}

void *record_pack(const void *record, size_t *ret_bytes)
{
	*ret_bytes = protobuf_c_message_get_packed_size(record);
	void *data = malloc(*ret_bytes + 1);
	VERIFY(data);
	protobuf_c_message_pack(record, data);
	return data;
}

void *record_copy(const void *record)
{
	size_t bytes;
	const ProtobufCMessage *base = record;
	void *data = record_pack(record, &bytes);
	void *copy = protobuf_c_message_unpack(base->descriptor, NULL, bytes, data);
	VERIFY(copy);
	free(data);
	return copy;
}

void text_set(char **field, const char *value)
{
	if (*field && *field != protobuf_c_empty_string)
		free(*field);
	*field = *value ? strdup(value) : (char *)protobuf_c_empty_string;
	VERIFY(*field);
}

const char *job_state_name(Weir__JobState state)
{
	static const char *const names[] = {"submitted", "preparing", "running", "publishing",
		"finished", "interrupted", "cancelled", "failed"};
	return state < sizeof(names) / sizeof(*names) ? names[state] : "?";
}

const char *part_state_name(Weir__PartState state)
{
	static const char *const names[] = {
#define WORKLOAD_STATE(name, text) text,
		WORKLOAD_STATES(WORKLOAD_STATE)
#undef WORKLOAD_STATE
	};
	static_assert((int)WORKLOAD_STATE_COUNT == WEIR__PART_STATE__PART_FAILED + 1,
		"the same states");
	return (int)state < (int)WORKLOAD_STATE_COUNT ? names[state] : "?";
}
