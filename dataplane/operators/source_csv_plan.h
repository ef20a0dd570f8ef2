// What a CSV source is told: its parameters, checked.
#pragma once

#include "dataplane/csv.h"
#include "dataplane/operator.h"

enum { REJECT_VARIANT = 1 };

enum on_error { ON_ERROR_FAIL, ON_ERROR_SKIP, ON_ERROR_ROUTE };
enum header { HEADER_AUTO, HEADER_YES, HEADER_NO };

// What the parameters say.
struct source_csv_settings {
	const char *path;
	struct weir_schema schema, rejects;
	int time_field; // -1: none
	int64_t bound_ns;
	enum header header;
	enum csv_times times;
	enum on_error on_error;
	uint64_t pace; // 0: no limit
	uint32_t record_bytes_max;
};

extern const struct weir_param source_csv_params[];

// Check the parameters and make them plan->detail.  Returns 0, or -EINVAL after weir_plan_error.
int source_csv_plan(struct weir_plan *plan);
void source_csv_unplan(struct weir_plan *plan);
