#include <argp.h>

#include "control/programs.h"

const char *argp_program_version = "weir-controller " WEIR_VERSION;

int main(int argc, char **argv)
{
	return controller_program(argc, argv, weir_operators);
}
