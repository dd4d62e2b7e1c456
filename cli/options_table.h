/* The table of options: what one line of it says. The parser (options_parse.c), help.c, man.c and
 * completion.c walk it; nothing else knows an option by name.
 *
 * To add an option, give mc_options a field and the table in options_table.c an entry. */
#ifndef MC_CLI_OPTIONS_TABLE_H
#define MC_CLI_OPTIONS_TABLE_H

#include "cli/options.h"

typedef enum {
    MC_HEADING_SCHEME,
    MC_HEADING_PLAN,
    MC_HEADING_CALIBRATION,
    MC_HEADING_INPUT,
    MC_HEADING_DATA,
    MC_HEADING_OUTPUT,
    MC_HEADING_REPORT,
    MC_HEADING_GENERAL,
    MC_HEADING_COUNT
} mc_heading;

typedef struct mc_option mc_option;

/* Where values go. Lists are made room for `most` entries when their first one comes. */
typedef struct {
    mc_options *out;
    mc_arena *mem;
    size_t most;
} mc_option_sink;

typedef mc_status mc_option_set(const mc_option *option, const char *value, mc_option_sink *to,
                                mc_err *err);

struct mc_option {
    const char *name;   /* "group": --group; NULL when there is only the brief form */
    const char *brief;  /* "j": -j, "MD": -MD; or NULL */
    const char *arg;    /* what the value is called, "FILE"; NULL: takes none */
    const char *help;   /* one line, lower case, no full stop */
    const char *words;  /* values with a name: "full restricted"; or NULL */
    const char *(*word_at)(size_t i); /* the same from another table; or NULL */
    mc_heading heading;
    unsigned commands;  /* set of 1 << MC_COMMAND_… */
    bool repeats;       /* may be given more than once */
    bool file;          /* the value is the name of a file */
    mc_option_set *set;
    size_t field;       /* offset in mc_options */
    uint64_t least, most; /* numbers: what is allowed; flags that choose: the value */
};

const mc_option *mc_option_at(size_t i);
const char *mc_heading_text(mc_heading heading);

/* Does `command` take it? (NULL: is it for every command?) */
bool mc_option_takes(const mc_option *option, const mc_command *command);

/* "--group" or "-MF". */
enum { MC_OPTION_TEXT = 48 };
const char *mc_option_text(const mc_option *option, char text[MC_OPTION_TEXT]);

/* Is it the scheme, whose name is a pattern? "w4a8" (no dashes) matches it. */
bool mc_option_is_scheme(const mc_option *option);
bool mc_scheme_matches(const char *name);

/* The i-th named value, NULL past the last; `room` may be used to hold it. */
enum { MC_OPTION_WORD = 40 };
const char *mc_option_word(const mc_option *option, size_t i, char room[MC_OPTION_WORD]);

/* All named values with ", " between them, cut to fit. */
void mc_option_words(const mc_option *option, char *text, size_t room);

#endif
