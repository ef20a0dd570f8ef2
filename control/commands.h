// The subcommands of `weir`. Each parses its own arguments and returns the exit code: 0 done, 1 the
// job failed, 2 wrong use or config.
#pragma once

int run_command(int argc, char **argv);     // run a job to its end
int check_command(int argc, char **argv);   // check job files
int kinds_command(int argc, char **argv);   // list kinds and their parameters
int topo_command(int argc, char **argv);    // draw a host and what would run where
int nexmark_command(int argc, char **argv); // write NEXMark events as CSV
