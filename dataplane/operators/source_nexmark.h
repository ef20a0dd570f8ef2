// The source of NEXMark events, made as they are read.
#pragma once

#include "dataplane/operator.h"

extern const struct weir_operator source_nexmark;
