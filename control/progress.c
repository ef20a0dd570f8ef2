#include "control/progress.h"

#include <inttypes.h>

#include "dataplane/engine.h"
#include "state/time_text.h"

#define SECOND_NS 1000000000LL
#define DAY_NS (86400 * SECOND_NS)

// What was long ago is read faster than it happened, and a lag would say nothing.
static void show_event_time(FILE *out, int64_t event_ns, int64_t now_ns)
{
	char text[TIME_TEXT_BYTES];
	if (event_ns < INT64_MIN + SECOND_NS || event_ns == INT64_MAX)
		return;
	int64_t part = event_ns % SECOND_NS;
	time_print(event_ns - part - (part < 0 ? SECOND_NS : 0), text);
	fprintf(out, "  event time %s", text);
	if (event_ns <= now_ns && event_ns > now_ns - DAY_NS)
		fprintf(out, ", %.1f s behind", (double)(now_ns - event_ns) / SECOND_NS);
}

static void show_job(FILE *out, const struct progress_job *job)
{
	const struct engine_checkpoints *checkpoints = job->checkpoints;
	show_event_time(out, job->event_ns, job->now_ns);
	if (checkpoints != NULL)
		fprintf(out, "  %u checkpoints, %u early, waited %.0f%%", checkpoints->committed,
			checkpoints->early, 100 * checkpoints->waiting_share_max);
}

void progress_show(struct progress *progress, uint64_t records, double seconds,
	const struct progress_job *job)
{
	double span = seconds - progress->seconds;
	double rate = span > 0 ? (double)(records - progress->records) / span : 0;
	fprintf(progress->out, "\r\033[K%.0f s  %" PRIu64 " records  %.3g million/s", seconds,
		records, rate / 1e6);
	if (job != NULL)
		show_job(progress->out, job);
	fflush(progress->out);
	*progress = (struct progress){progress->out, true, records, seconds};
}

void progress_clear(struct progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", progress->out);
	progress->shown = false;
}
