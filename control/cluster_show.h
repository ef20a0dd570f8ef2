// A cluster's answers as tables for a terminal and as JSON with a schema.
#pragma once

#include <stdio.h>

#include "control/messages.pb-c.h"

void show_jobs(const Weir__Reply *reply, FILE *out);
void show_job(const Weir__Reply *reply, FILE *out); // the first, in detail
void show_nodes(const Weir__Reply *reply, FILE *out);
void show_events(const Weir__Reply *reply, FILE *out);

void show_jobs_json(const Weir__Reply *reply, FILE *out);
void show_job_json(const Weir__Reply *reply, FILE *out);
void show_nodes_json(const Weir__Reply *reply, FILE *out);
void show_events_json(const Weir__Reply *reply, FILE *out);
