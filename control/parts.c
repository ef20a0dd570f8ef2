// The parts of jobs that a node has, as it told and as it was told.
#include <stdlib.h>
#include <string.h>

#include "control/controller_parts.h"
#include "numa/assert.h"

struct part *node_part(struct node *node, const char *job, uint64_t incarnation)
{
	for (uint32_t i = 0; i < node->part_count; i++) {
		Weir__Part *told = node->parts[i].told;
		if (told->incarnation == incarnation && strcmp(told->job, job) == 0)
			return &node->parts[i];
	}
	return NULL;
}

static struct part *append(struct node *node, Weir__Part *told)
{
	node->parts = realloc(node->parts, (node->part_count + 1) * sizeof(*node->parts));
	VERIFY(node->parts);
	node->parts[node->part_count] = (struct part){.told = told};
	return &node->parts[node->part_count++];
}

struct part *node_add_part(struct node *node, const char *job, uint64_t incarnation)
{
	Weir__Part part = WEIR__PART__INIT;
	part.job = (char *)job;
	part.incarnation = incarnation;
	return append(node, record_copy(&part));
}

static void part_free(struct part *part)
{
	record_free(part->told);
	free(part->losses);
}

// Figures come now and then, and covers with them; between, the last ones stay.
static void keep_figures(Weir__Part *told, Weir__Part *before)
{
	if (told->n_covers == 0) {
		told->n_covers = before->n_covers;
		told->covers = before->covers;
		before->n_covers = 0;
		before->covers = NULL;
	}
	if (told->n_operators > 0)
		return;
	told->n_operators = before->n_operators;
	told->operators = before->operators;
	before->n_operators = 0;
	before->operators = NULL;
}

// Returns whether anything changed that a job may wait for.
static bool take_part(struct controller *c, struct node *node, const Weir__Part *told)
{
	struct part *part = node_part(node, told->job, told->incarnation);
	uint32_t place = part ? part->place : 0;
	takeover_heard(c, node, told, &place);
	if (!part) {
		part = append(node, record_copy(told));
		part->moved_ns = c->now_ns;
		part->place = place;
		return true;
	}
	part->place = place;
	Weir__Part *before = part->told;
	bool changed = before->state != told->state || before->n_lost != told->n_lost ||
		before->n_admitted != told->n_admitted || before->n_repaired != told->n_repaired;
	bool running = before->state == WEIR__PART_STATE__PART_RUNNING;
	if (running && before->progress != told->progress)
		membership_moved(c, node, c->now_ns - part->moved_ns);
	if (changed || before->progress != told->progress)
		part->moved_ns = c->now_ns;
	part->told = record_copy(told);
	keep_figures(part->told, before);
	record_free(before);
	return changed;
}

static bool is_among(const struct part *part, Weir__Part **parts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (parts[i]->incarnation == part->told->incarnation &&
			strcmp(parts[i]->job, part->told->job) == 0)
			return true;
	return false;
}

void node_take_parts(struct controller *c, struct node *node, Weir__Part **parts, size_t count,
	uint64_t seen)
{
	bool changed = false;
	for (size_t i = 0; i < count; i++)
		changed |= take_part(c, node, parts[i]);
	for (uint32_t i = node->part_count; i-- > 0;) {
		struct part *part = &node->parts[i];
		if (is_among(part, parts, count) || part->number > seen)
			continue;
		part_free(part);
		*part = node->parts[--node->part_count];
		changed = true;
	}
	node->look |= changed;
}

void node_free_parts(struct node *node)
{
	for (uint32_t i = 0; i < node->part_count; i++)
		part_free(&node->parts[i]);
	free(node->parts);
	node->parts = NULL;
	node->part_count = 0;
}
