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

const char *weir_operator_unfit(const struct weir_operator *kind)
{
	if (kind->version != WEIR_OPERATOR_VERSION)
		return "it is built with another version of dataplane/operator.h; build it anew";
	if (kind->size < WEIR_OPERATOR_SIZE_MIN)
		return "its `size` is less than that of any operator; set it to "
		       "sizeof(struct weir_operator)";
	bool begins = WEIR_OPERATOR_HAS(kind, restore_begin);
	if (begins != WEIR_OPERATOR_HAS(kind, restore_group) ||
		begins != WEIR_OPERATOR_HAS(kind, keys))
		return "of restore_begin, restore_group and keys it has some but not all; give it "
		       "all or none";
	if ((WEIR_OPERATOR_HAS(kind, snapshot_part) && kind->snapshot == NULL) ||
		(WEIR_OPERATOR_HAS(kind, restore_part) && kind->restore == NULL))
		return "it has snapshot_part or restore_part without snapshot or restore; add that";
	return NULL;
}
