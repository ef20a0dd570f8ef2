// Why records and frames are dropped, and the counters of one operator of one task.
#pragma once

#include <stdint.h>

#define WEIR_DROPS(X)                                                                              \
	X(MALFORMED, "malformed")         /* a row or record that cannot be parsed */              \
	X(WRONG_TYPE, "wrong_type")       /* a field that is not of its declared type */           \
	X(INVALID_UTF8, "invalid_utf8")   /* a string that is not UTF-8 */                         \
	X(TOO_LARGE, "too_large")         /* a record larger than a frame */                       \
	X(OUT_OF_RANGE, "out_of_range")   /* an overflow in arithmetic, or a time out of range */  \
	X(LATE, "late")                   /* earlier than the source's declared bound allows */    \
	X(FRAME_SHORT, "frame_short")     /* shorter than its header, or than it says */           \
	X(FRAME_SIZE, "frame_size")       /* items do not add up to its length and count */        \
	X(FRAME_VERSION, "frame_version") /* unknown version or type */                            \
	X(FRAME_CHECKSUM, "frame_checksum") /* CRC32C does not match */                            \
	X(FRAME_FENCED, "frame_fenced")     /* of another incarnation or plan version */           \
	X(FRAME_CHANNEL, "frame_channel")   /* of another channel or job */                        \
	X(FRAME_GAP, "frame_gap")           /* begins behind the next item expected */             \
	X(FRAME_REPEATED, "frame_repeated") /* all its items were consumed before */

enum weir_drop {
#define X(id, name) WEIR_DROP_##id,
	WEIR_DROPS(X)
#undef X
		WEIR_DROP_COUNT
};

extern const char *const weir_drop_names[WEIR_DROP_COUNT];

// Written by the owning worker only; read by others when the worker has let go of the job, or as
// worker_ask_figures had it copied.
struct weir_counters {
	uint64_t records_in;
	uint64_t records_out;
	uint64_t routed; // of `dropped`, passed on all the same, to an output of their own
	uint64_t dropped[WEIR_DROP_COUNT];
};
