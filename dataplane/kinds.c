#include "dataplane/operator.h"
#include "dataplane/operators/rows.h"
#include "dataplane/operators/sink_null.h"
#include "dataplane/operators/sinks.h"
#include "dataplane/operators/source_csv.h"
#include "dataplane/operators/source_memory.h"
#include "dataplane/operators/source_nexmark.h"
#include "dataplane/operators/top.h"
#include "dataplane/operators/window_aggregate.h"

const struct weir_operator *const weir_operators[] = {
	&filter,
	&project,
	&sink_csv,
	&sink_null,
	&sink_stdout,
	&source_csv,
	&source_memory,
	&source_nexmark,
	&top_kind,
	&window_aggregate,
	NULL,
};
