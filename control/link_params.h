// The `links:` section of a node's config file (docs/links.md).
#pragma once

#include "control/params.h"
#include "dataplane/links.h"

// The table of a link's parameters, but for `neighbours`, which is a list of maps.
extern const struct weir_param link_table[];

// Read a list of links. Errors are added to the scope's; the configs' texts live on its heap.
// Returns how many there are, at most LINKS_MAX.
uint32_t link_params_load(const struct params_scope *scope, const struct weir_value *list,
	struct link_config configs[LINKS_MAX]);

// Say what making link `index` of the list found wrong, at the place in the file.
void link_params_problem(const struct params_scope *scope, const struct weir_value *list,
	uint32_t index, const struct link_problem *problem);
