#include <argp.h>

#include "control/programs.h"

const char *argp_program_version = "weir-node " WEIR_VERSION;

int main(int argc, char **argv)
{
	return node_program(argc, argv, weir_operators);
}
