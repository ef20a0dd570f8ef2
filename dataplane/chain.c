#include "dataplane/chain.h"

#include <stdio.h>

#include "dataplane/chain_groups.h"
#include "numa/assert.h"

static enum weir_flow run_batch(struct chain_link *link)
{
	if (UNLIKELY(link->absent != NULL)) {
		enum weir_flow ready = chain_groups_for_batch(link);
		if (ready != WEIR_DONE)
			return ready;
	}
	enum weir_flow flow = link->kind->process(link->self, &link->ctx, &link->batch);
	ASSERT(flow != WEIR_DONE || batch_is_empty(&link->batch));
	if (UNLIKELY(link->ctx.error[0] != '\0')) // weir_drop
		return WEIR_FAILED;
	if (flow == WEIR_DONE)
		link->pending = PENDING_NONE;
	return flow;
}

static enum weir_flow run_watermark(struct chain_link *link)
{
	if (link->kind->watermark != NULL) {
		enum weir_flow flow = WEIR_DONE;
		if (UNLIKELY(link->absent != NULL))
			flow = chain_groups_for_watermark(link);
		if (flow == WEIR_DONE)
			flow = link->kind->watermark(link->self, &link->ctx, link->watermark_ns);
		if (flow != WEIR_DONE)
			return flow;
	}
	link->pending = PENDING_NONE;
	return link->next == NULL ? WEIR_DONE : chain_watermark(link->next, link->watermark_ns);
}

static enum weir_flow run_finish(struct chain_link *link)
{
	if (link->kind->finish != NULL) {
		enum weir_flow flow = WEIR_DONE;
		if (UNLIKELY(link->absent != NULL))
			flow = chain_groups_for_all(link);
		if (flow == WEIR_DONE)
			flow = link->kind->finish(link->self, &link->ctx);
		if (flow != WEIR_DONE)
			return flow;
	}
	link->pending = PENDING_NONE;
	return link->next == NULL ? WEIR_DONE : chain_finish(link->next);
}

static enum weir_flow run(struct chain_link *link)
{
	switch (link->pending) {
	case PENDING_BATCH:
		return run_batch(link);
	case PENDING_WATERMARK:
		return run_watermark(link);
	case PENDING_FINISH:
		return run_finish(link);
	case PENDING_NONE:
		break;
	}
	return WEIR_DONE;
}

enum weir_flow chain_batch(struct chain_link *link, const struct weir_batch *batch)
{
	ASSERT(link->pending == PENDING_NONE);
	link->pending = PENDING_BATCH;
	link->batch = *batch;
	link->batch.schema = link->input;
	return run_batch(link);
}

enum weir_flow chain_watermark(struct chain_link *link, int64_t watermark_ns)
{
	ASSERT(link->pending == PENDING_NONE);
	link->pending = PENDING_WATERMARK;
	link->watermark_ns = watermark_ns;
	return run_watermark(link);
}

enum weir_flow chain_finish(struct chain_link *link)
{
	ASSERT(link->pending == PENDING_NONE);
	link->pending = PENDING_FINISH;
	return run_finish(link);
}

enum weir_flow chain_resume(struct chain_link *links, uint32_t count)
{
	for (uint32_t i = count; i-- > 0;) {
		enum weir_flow flow = run(&links[i]);
		if (flow != WEIR_DONE)
			return flow;
	}
	return WEIR_DONE;
}

bool chain_is_drained(const struct chain_link *links, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (links[i].pending != PENDING_NONE)
			return false;
	return true;
}

enum weir_flow weir_emit(struct weir_context *ctx, const struct weir_batch *batch)
{
	struct chain_link *link = ctx->link;
	if (batch->form == WEIR_PACKED)
		link->emits_packed = true;
	else
		ctx->counters->records_out += batch->count - batch->at;
	return chain_batch(link->next, batch);
}

enum weir_flow weir_emit_watermark(struct weir_context *ctx, int64_t watermark_ns)
{
	ASSERT(ctx->produced == ctx->link->produced_before);
	ctx->link->marks++;
	return chain_watermark(ctx->link->next, watermark_ns);
}

void weir_drop(struct weir_context *ctx, enum weir_drop reason, uint64_t records)
{
	static const char *const why[WEIR_DROP_COUNT] = {
		[WEIR_DROP_WRONG_TYPE] = "a text is not of the type it is cast to",
		[WEIR_DROP_TOO_LARGE] = "a record with this one's texts is larger than a frame "
					"holds: exchange.frame less 64 bytes",
		[WEIR_DROP_OUT_OF_RANGE] = "a value is null or out of range, or a time's window "
					   "reaches beyond the years 1677 to 2262",
		[WEIR_DROP_LATE] = "a record is earlier than windows that are closed",
	};
	ctx->counters->dropped[reason] += records;
	if (records != 0 && ctx->link->drops_fail && ctx->error[0] == '\0')
		weir_fail(ctx, "%s (%s); correct the input, or set `on_error: skip` at its source",
			why[reason] ? why[reason] : "a record is dropped", weir_drop_names[reason]);
}

enum weir_flow weir_fail(struct weir_context *ctx, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(ctx->error, sizeof(ctx->error), format, args);
	va_end(args);
	return WEIR_FAILED;
}
