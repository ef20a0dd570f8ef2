// The groups of microbenchmarks; each registers its own.
#pragma once

void micro_ring(const int cpus[2]); // rings and channels between two threads
void micro_frame(void);             // frames built and taken apart on one thread
void micro_key(void);               // hashing of keys
void micro_table(void);             // read-modify-write of a keyed counter
