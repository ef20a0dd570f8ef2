#include "dataplane/counters.h"

const char *const weir_drop_names[WEIR_DROP_COUNT] = {
#define X(id, name) name,
	WEIR_DROPS(X)
#undef X
};
