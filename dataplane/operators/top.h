// top: the best rows of each window by one field, ties included.
#pragma once

#include "dataplane/operator.h"

extern const struct weir_operator top_kind;
