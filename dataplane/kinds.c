#include <string.h>

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

const struct weir_operator *weir_operator_find(const char *kind)
{
	for (const struct weir_operator *const *at = weir_operators; *at; at++)
		if (strcmp((*at)->kind, kind) == 0)
			return *at;
	return NULL;
}
