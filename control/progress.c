#include "control/progress.h"

#include <inttypes.h>

#include "dataplane/engine.h"

void progress_show(struct progress *progress, uint64_t records, double seconds,
	const struct engine_checkpoints *checkpoints)
{
	double span = seconds - progress->seconds;
	double rate = span > 0 ? (double)(records - progress->records) / span : 0;
	fprintf(progress->out, "\r\033[K%.0f s  %" PRIu64 " records  %.3g million/s", seconds,
		records, rate / 1e6);
	if (checkpoints != NULL)
		fprintf(progress->out, "  %u checkpoints, %u early, waited %.0f%%",
			checkpoints->committed, checkpoints->early,
			100 * checkpoints->waiting_share_max);
	fflush(progress->out);
	*progress = (struct progress){progress->out, true, records, seconds};
}

void progress_clear(struct progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", progress->out);
	progress->shown = false;
}
