// The kind `null`: counts and hashes what reaches it.
#pragma once

#include "dataplane/operator.h"

extern const struct weir_operator sink_null;
