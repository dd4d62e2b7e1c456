/* The two streams. Standard output is the result: whatever cannot be written there is MC_E_IO.
 * Standard error is the talk: messages of main and of the log, and the progress line. */
#ifndef MC_CLI_OUTPUT_H
#define MC_CLI_OUTPUT_H

#include "cli/options.h"
#include "core/json.h"
#include "core/text.h"

/* Descriptors 0 to 2 exist afterwards, so that no output file can become one of them. */
void mc_stdio_open(void);

/* Hands on what is still held back: did standard output take everything? Call last. */
mc_status mc_stdout_finish(mc_err *err);

/* Prints to standard output. */
mc_status mc_print(mc_err *err, const char *fmt, ...) MC_PRINTF(2, 3);

/* Prints what was built, and frees it: a text (NULL: memory ran out, MC_E_BUDGET), which gets a
 * line end when it has none, an mc_text, or an indented JSON value. */
mc_status mc_print_and_free(char *text, mc_err *err);
mc_status mc_print_text(mc_text *text, mc_err *err);
mc_status mc_print_json(mc_json_out *json, mc_err *err);

/* "mcompress: WHAT: TEXT" (`what` may be NULL) as one line on standard error, above the progress
 * line; what could take over a terminal is shown as an escape. */
void mc_complain(const char *what, const char *text);

/* Lets the log speak on standard error: errors when quiet, warnings, with -v infos, with -vv
 * all. */
void mc_log_to_stderr(const mc_options *options);

/* Standard output is a terminal with colours, and there is no NO_COLOR. */
bool mc_stdout_has_color(void);

/* A terminal on that descriptor, and TERM is not "dumb". */
bool mc_is_terminal(int fd);

/* A name from a file, with escapes for what could take over a terminal, filled up with blanks to
 * `width` characters (0: not at all). */
void mc_text_add_name(mc_text *text, const char *name, size_t width);

/* Characters that mc_text_add_name takes without filling. */
size_t mc_name_width(const char *name);

#endif
