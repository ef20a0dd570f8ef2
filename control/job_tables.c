#include "control/job.h"

#include "dataplane/channel.h"
#include "dataplane/frame.h"

static const struct weir_param workers_table[] = {
	{.name = "count",
		.type = WEIR_PARAM_INT,
		.min = 1,
		.max = JOB_TASKS_MAX,
		.doc = "Workers to run; by default all cores but one, at least 1."},
	{.name = "cpus",
		.type = WEIR_PARAM_STRING,
		.doc = "CPUs to pin workers to, by OS index, as in `2-5,8`; by default the "
		       "placement chooses."},
	{.name = "wait",
		.type = WEIR_PARAM_CHOICE,
		.choices = "spin|yield|sleep",
		.doc = "What a worker without work does: poll on, yield its core, or sleep; by "
		       "default it polls on, and yields where workers share a core."},
	{.name = "state_memory",
		.type = WEIR_PARAM_SIZE,
		.default_text = "256MiB",
		.min = 1 << 20,
		.max = 1LL << 40,
		.doc = "Memory for keyed state, a worker, taken at start."},
	{.name = NULL},
};

static const struct weir_param exchange_table[] = {
	{.name = "frame",
		.type = WEIR_PARAM_SIZE,
		.default_text = "8KiB",
		.min = 512,
		.max = FRAME_BYTES_MAX,
		.doc = "Size of a frame between tasks, its header included."},
	{.name = "credit",
		.type = WEIR_PARAM_INT,
		.default_text = "32",
		.min = 1,
		.max = CHANNEL_FRAMES_MAX,
		.doc = "Frames that may be under way in a channel."},
	{.name = NULL},
};

static const struct weir_param checkpoint_table[] = {
	{.name = "interval",
		.type = WEIR_PARAM_DURATION,
		.default_text = "1s",
		.min = 1000000,
		.doc = "Time from one checkpoint to the next."},
	{.name = "retention",
		.type = WEIR_PARAM_SIZE,
		.min = 64 << 10,
		.max = 1LL << 40,
		.doc = "Items a channel keeps for replay, in bytes; by default 256MiB a worker, "
		       "shared by its channels, at least 1MiB each."},
	{.name = "snapshot",
		.type = WEIR_PARAM_SIZE,
		.default_text = "64MiB",
		.min = 64 << 10,
		.max = 1LL << 40,
		.doc = "Room for the snapshot of a task."},
	{.name = NULL},
};

static const struct weir_param recovery_table[] = {
	{.name = "survive",
		.type = WEIR_PARAM_CHOICE,
		.choices = "1 host|1 rack",
		.default_text = "1 host",
		.doc = "What may die at once: a task and its replica are on different hosts, or in "
		       "different racks."},
	{.name = "within",
		.type = WEIR_PARAM_DURATION,
		.min = 1,
		.doc = "Time after which the job is to go on. Replicas are hot whatever it says: "
		       "there is no slower kind between nodes yet."},
	{.name = "operators",
		.type = WEIR_PARAM_TEXTS,
		.doc = "Ids of the operators whose tasks are replicated, with whatever shares a "
		       "task with them; by default all."},
	{.name = "retention",
		.type = WEIR_PARAM_SIZE,
		.min = 64 << 10,
		.max = 1LL << 40,
		.doc = "What a channel keeps of the items it sent, in bytes; by default 16MiB, or "
		       "less, at least 1MiB, where that would be over 256MiB a worker."},
	{.name = NULL},
};

const struct weir_param job_table[] = {
	{.name = "version",
		.type = WEIR_PARAM_INT,
		.required = true,
		.doc = "Version of the job file's format: 1."},
	{.name = "job", .type = WEIR_PARAM_STRING, .required = true, .doc = "The job's name."},
	{.name = "workers",
		.type = WEIR_PARAM_MAP,
		.children = workers_table,
		.default_text = "{}",
		.doc = "The threads that do the work."},
	{.name = "exchange",
		.type = WEIR_PARAM_MAP,
		.children = exchange_table,
		.default_text = "{}",
		.doc = "Channels between tasks."},
	{.name = "checkpoint",
		.type = WEIR_PARAM_MAP,
		.children = checkpoint_table,
		.doc = "With this section, tasks keep an order log, what they sent, and snapshots "
		       "in memory."},
	{.name = "recovery",
		.type = WEIR_PARAM_MAP,
		.children = recovery_table,
		.doc = "With this section, tasks have replicas on other nodes, which take over "
		       "where a node dies. `weir run` is one process and runs without."},
	{.name = NULL},
};

const struct weir_param job_operator_table[] = {
	{.name = "id",
		.type = WEIR_PARAM_STRING,
		.required = true,
		.doc = "The operator's name in the job: a-z, 0-9, _ and -."},
	{.name = "kind",
		.type = WEIR_PARAM_STRING,
		.required = true,
		.doc = "What it does; `weir kinds` lists the kinds."},
	{.name = "input",
		.type = WEIR_PARAM_STRING,
		.doc = "The operator it reads from, with an output's name where there are several: "
		       "`source.bid`. Sources have none."},
	{.name = "parallelism",
		.type = WEIR_PARAM_INT,
		.min = 1,
		.max = JOB_TASKS_MAX,
		.doc = "Number of its tasks; by default one a worker where its input and kind "
		       "allow it."},
	{.name = NULL},
};
