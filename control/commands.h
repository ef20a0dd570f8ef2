// The subcommands of `weir`. Each parses its own arguments and returns the exit code: 0 done, 1 the
// job failed, 2 wrong use or config.
#pragma once

int run_command(int argc, char **argv);     // run a job to its end
int check_command(int argc, char **argv);   // check job files
int kinds_command(int argc, char **argv);   // list kinds and their parameters
int topo_command(int argc, char **argv);    // draw a host and what would run where
int nexmark_command(int argc, char **argv); // write NEXMark events as CSV

// Of a cluster, asked of its controllers:
int submit_command(int argc, char **argv); // have a job run
int list_command(int argc, char **argv);   // list jobs
int status_command(int argc, char **argv); // what a job does, in detail
int cancel_command(int argc, char **argv); // end a job early
int nodes_command(int argc, char **argv);  // list nodes
int events_command(int argc, char **argv); // what happened
