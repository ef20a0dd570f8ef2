#include "control/workload_part.h"

static void add_lost(struct workload_part *part, uint32_t lost)
{
	bool known = false;
	for (uint32_t i = 0; i < part->lost_count; i++)
		known |= part->lost[i] == lost;
	if (known)
		return;
	part->lost[part->lost_count++] = lost;
	part->owed |= state_of(part) >= WORKLOAD_PUBLISHING;
}

static void leave_out_lost(struct workload_part *part, uint32_t found)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < part->lost_count; i++)
		if (part->lost[i] != found)
			part->lost[kept++] = part->lost[i];
	part->lost_count = kept;
}

static void refuse(struct workload_part *part, uint32_t place, const char *why)
{
	if (why != part->refusal)
		snprintf(part->refusal, sizeof(part->refusal), "%s", why);
	part->admissions[place].refused = true;
	add_lost(part, place);
}

// The engine gives a place up that it cannot feed.
void part_note_places(struct workload_part *part)
{
	part->admitted_count = part->repaired_count = 0;
	for (uint32_t i = 0; i < part->request.participant_count; i++) {
		const struct admission *admission = &part->admissions[i];
		const struct workload_participant *p = &part->participants[i];
		if (admission->boot == 0 || admission->refused)
			continue;
		const char *error = engine_repair_error(part->engine, p->first_worker, p->workers);
		if (error != NULL) {
			refuse(part, i, error);
			continue;
		}
		if (engine_has_admitted(part->engine, p->first_worker, p->workers))
			part->admitted[part->admitted_count++] = i;
		if (admission->feed &&
			engine_has_repaired(part->engine, p->first_worker, p->workers))
			part->repaired[part->repaired_count++] = i;
	}
}

void part_lose(struct workload_part *part, uint32_t lost, uint64_t successor, bool alone)
{
	const struct workload_participant *p = &part->participants[lost];
	engine_lose(part->engine, p->first_worker, p->workers, successor, alone);
	part->admissions[lost] = (struct admission){0};
	part->refusal[0] = 0;
	add_lost(part, lost);
	part_note_places(part);
}

static void admit(struct workload_engine *w, struct workload_part *part,
	const struct workload_admission *told)
{
	struct workload_participant *p = &part->participants[told->place];
	*p = part_keep_participant(&part->heap, told->as);
	p->boot = told->boot;
	part->admissions[told->place] = (struct admission){.boot = told->boot};
	if (part_reach(w, part, told->place, part->refusal) != 0) {
		refuse(part, told->place, part->refusal);
		return;
	}
	leave_out_lost(part, told->place);
	engine_admit(part->engine, p->first_worker, p->workers);
}

void part_admit(struct workload_engine *w, struct workload_part *part,
	const struct workload_admission *told)
{
	struct admission *admission = &part->admissions[told->place];
	const struct workload_participant *p = &part->participants[told->place];
	bool known = admission->boot == told->boot;
	if (told->as->first_worker != p->first_worker || told->as->workers != p->workers)
		return;
	if (!told->feed && !known)
		admit(w, part, told);
	if (!told->feed || !known || admission->feed || admission->refused)
		return;
	admission->feed = true;
	engine_feed(part->engine, p->first_worker, p->workers);
}
