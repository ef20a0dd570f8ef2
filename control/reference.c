#include "control/reference.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "control/cluster_file.h"
#include "control/job.h"
#include "control/units.h"

static const char *const type_words[] = {
	[WEIR_PARAM_BOOL] = "true or false",
	[WEIR_PARAM_INT] = "whole number",
	[WEIR_PARAM_DURATION] = "time",
	[WEIR_PARAM_SIZE] = "size",
	[WEIR_PARAM_RATE] = "rate",
	[WEIR_PARAM_STRING] = "text",
	[WEIR_PARAM_CHOICE] = "choice",
	[WEIR_PARAM_EXPRESSION] = "expression",
	[WEIR_PARAM_FIELD] = "field",
	[WEIR_PARAM_FIELDS] = "list of fields",
	[WEIR_PARAM_TEXTS] = "list of texts",
	[WEIR_PARAM_PAIRS] = "list of `name: text`",
	[WEIR_PARAM_MAP] = "map",
	[WEIR_PARAM_OPERATOR] = "map with a source's `kind`",
};

static const char *const role_words[] = {
	[WEIR_SOURCE] = "source", [WEIR_TRANSFORM] = "transform", [WEIR_SINK] = "sink"};

// What may be written: the type, with choices or bounds.
static void print_type(const struct weir_param *param, FILE *out)
{
	char low[48], high[48];
	fputs(type_words[param->type], out);
	if (param->type == WEIR_PARAM_CHOICE) {
		fputs(": ", out);
		for (const char *at = param->choices; *at; at++) {
			if (*at == '|')
				fputs(", ", out);
			else
				fputc(*at, out);
		}
	}
	units_print(param->type, param->min, low, sizeof(low));
	units_print(param->type, param->max, high, sizeof(high));
	if (param->max == param->min && param->max > 0)
		fprintf(out, ", %s", low);
	else if (param->max > param->min)
		fprintf(out, ", %s to %s", low, high);
	else if (param->min > 0)
		fprintf(out, ", at least %s", low);
}

static void print_presence(const struct weir_param *param, FILE *out)
{
	if (param->required)
		fputs("required", out);
	else if (param->default_text && param->type != WEIR_PARAM_MAP)
		fprintf(out, "default %s", *param->default_text ? param->default_text : "\"\"");
	else
		fputs("optional", out);
}

enum { TEXT_COLUMN = 23, LAST_COLUMN = 96 };

// Words from the text column on, broken into lines.
static void print_wrapped(const char *text, FILE *out)
{
	int column = 0;
	while (*text) {
		int length = (int)strcspn(text, " ");
		if (column == 0 || column + 1 + length > LAST_COLUMN) {
			fprintf(out, "\n%*s", TEXT_COLUMN, "");
			column = TEXT_COLUMN;
		} else {
			fputc(' ', out);
			column++;
		}
		fprintf(out, "%.*s", length, text);
		column += length;
		text += length;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

static void print_table(const struct weir_param *param, int indent, FILE *out)
{
	for (; param && param->name; param++) {
		fprintf(out, "%*s%-*s ", indent, "", TEXT_COLUMN - 1 - indent, param->name);
		print_type(param, out);
		fputs("; ", out);
		print_presence(param, out);
		print_wrapped(param->doc, out);
		if (param->type == WEIR_PARAM_MAP)
			print_table(param->children, indent + 2, out);
	}
}

int reference_print(const struct weir_operator *const *kinds, const char *only, FILE *out)
{
	bool found = false;
	for (; *kinds; kinds++) {
		const struct weir_operator *kind = *kinds;
		if (only && strcmp(only, kind->kind) != 0)
			continue;
		fprintf(out, "%s%s (%s): %s\n", found ? "\n" : "", kind->kind,
			role_words[kind->role], kind->summary);
		print_table(kind->params, 2, out);
		found = true;
	}
	return only && !found ? -ENOENT : 0;
}

// A cell of a table: what would end it is escaped.
static void markdown_cell(const char *text, FILE *out)
{
	for (; *text; text++) {
		if (*text == '|')
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void markdown_rows(const struct weir_param *param, const char *prefix, FILE *out)
{
	for (; param && param->name; param++) {
		char name[256];
		snprintf(name, sizeof(name), "%s%s", prefix, param->name);
		fprintf(out, "| `%s` | ", name);
		print_type(param, out);
		fputs(" | ", out);
		print_presence(param, out);
		fputs(" | ", out);
		markdown_cell(param->doc, out);
		fputs(" |\n", out);
		if (param->type != WEIR_PARAM_MAP)
			continue;
		strncat(name, ".", sizeof(name) - strlen(name) - 1);
		markdown_rows(param->children, name, out);
	}
}

static void markdown_table(const struct weir_param *table, FILE *out)
{
	if (!table->name) {
		fputs("No parameters.\n", out);
		return;
	}
	fputs("| parameter | value | | |\n|---|---|---|---|\n", out);
	markdown_rows(table, "", out);
}

static void markdown_kinds(const struct weir_operator *const *kinds, enum weir_role role, FILE *out)
{
	for (; *kinds; kinds++) {
		if ((*kinds)->role != role)
			continue;
		fprintf(out, "\n### %s\n\n%s\n\n", (*kinds)->kind, (*kinds)->summary);
		markdown_table((*kinds)->params, out);
	}
}

void reference_cluster_markdown(FILE *out)
{
	fputs("# Reference of cluster files\n\n"
	      "Made by `weir kinds --cluster` from the tables that the files are checked against; "
	      "[cluster.md](cluster.md) explains them.\n\n## A controller's file\n\n",
		out);
	markdown_table(controller_file_table, out);
	fputs("\n## A node's file\n\n", out);
	markdown_table(node_file_table, out);
	fputs("\n## A client's file\n\n", out);
	markdown_table(client_file_table, out);
}

void reference_markdown(const struct weir_operator *const *kinds, FILE *out)
{
	fputs("# Reference of job files\n\n"
	      "Made by `weir kinds --markdown` from the tables that jobs are checked against; "
	      "[jobs.md](jobs.md) explains them.\n\n"
	      "Times are written with a unit (`ns`, `us`, `ms`, `s`, `m`, `h`, `d`), sizes with "
	      "`B`, `KiB`, `MiB`, `GiB` or `TiB`, rates with `/s`, `k/s`, `M/s`, `G/s` or `/min` "
	      "(a bare number is a second's).\n\n## The job\n\n",
		out);
	markdown_table(job_table, out);
	fputs("\nBeside these stands `operators`, the list of operators.\n\n## Every operator\n\n",
		out);
	markdown_table(job_operator_table, out);
	static const char *const titles[] = {"Sources", "Transforms", "Sinks"};
	for (int role = WEIR_SOURCE; role <= WEIR_SINK; role++) {
		fprintf(out, "\n## %s\n", titles[role]);
		markdown_kinds(kinds, (enum weir_role)role, out);
	}
}
