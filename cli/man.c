/* Manual pages as mdoc(7) source: every sentence on a line of its own, nothing that could be taken
 * for a macro. */
#include "cli/help.h"
#include "cli/options_table.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Of the last change to what the pages say. */
#define PAGE_DATE "November 20, 2026"

enum { COLUMNS = 78 };

/* A word, with what roff would act on escaped. */
static void add_word(mc_text *text, const char *word, size_t n, bool first)
{
    if (first && (*word == '.' || *word == '\'')) mc_text_add(text, "\\&");
    for (size_t i = 0; i < n; i++) {
        if (word[i] == '\\')
            mc_text_add(text, "\\e");
        else if (word[i] == '-')
            mc_text_add(text, "\\-");
        else
            mc_text_add_bytes(text, word + i, 1);
    }
}

/* Running text; `n` bytes. */
static void add_prose(mc_text *text, const char *at, size_t n)
{
    const char *const end = at + n;
    size_t column = 0;
    while (at < end) {
        size_t word = 0;
        while (at + word < end && at[word] != ' ' && at[word] != '\n') word++;
        if (column > 0 && column + 1 + word > COLUMNS) {
            mc_text_add(text, "\n");
            column = 0;
        } else if (column > 0) {
            mc_text_add(text, " ");
            column++;
        }
        add_word(text, at, word, column == 0);
        column += word;
        if (word > 0 && at[word - 1] == '.' && at + word < end) {
            mc_text_add(text, "\n");
            column = 0;
        }
        at += word;
        while (at < end && (*at == ' ' || *at == '\n')) at++;
    }
    mc_text_add(text, "\n");
}

static void add_paragraphs(mc_text *text, const char *at)
{
    for (bool first = true; *at; first = false) {
        const char *end = strstr(at, "\n\n");
        const size_t length = end ? (size_t)(end - at) : strlen(at);
        if (!first) mc_text_add(text, ".Pp\n");
        add_prose(text, at, length);
        at += length;
        at += strspn(at, "\n");
    }
}

/* An argument of a macro: quoted, since it may hold blanks. */
static void add_quoted(mc_text *text, const char *arg)
{
    mc_text_add(text, "\"");
    for (; *arg; arg++) {
        if (*arg == '"')
            mc_text_add(text, "\"\"");
        else
            add_word(text, arg, 1, false);
    }
    mc_text_add(text, "\"");
}

static void add_option(mc_text *text, const mc_option *option)
{
    mc_text_add(text, ".It");
    if (option->brief) mc_text_addf(text, " Fl %s", option->brief);
    if (option->brief && option->name) mc_text_add(text, " ,");
    if (option->name) mc_text_addf(text, " Fl \\-%s", option->name);
    if (option->arg) {
        mc_text_add(text, " Ar ");
        add_quoted(text, option->arg);
    }
    mc_text_add(text, "\n");

    char words[1024];
    mc_option_words(option, words, sizeof words);
    mc_text line;
    mc_text_open(&line);
    mc_text_addf(&line, "%c%s.", toupper((unsigned char)option->help[0]), option->help + 1);
    if (*words) mc_text_addf(&line, " Names: %s.", words);
    add_prose(text, line.at, line.length);
    mc_text_close(&line);
}

static void add_options(mc_text *text, const mc_command *command)
{
    for (unsigned h = 0; h < MC_HEADING_COUNT; h++) {
        bool any = false;
        const mc_option *option;
        for (size_t i = 0; (option = mc_option_at(i)); i++) {
            if (option->heading != (mc_heading)h || !mc_option_takes(option, command)) continue;
            if (!any)
                mc_text_addf(text, ".Ss %s\n.Bl -tag -width Ds\n", mc_heading_text((mc_heading)h));
            any = true;
            add_option(text, option);
        }
        if (any) mc_text_add(text, ".El\n");
    }
}

static void add_exit_status(mc_text *text)
{
    mc_text_add(text, ".Sh EXIT STATUS\n.Bl -tag -width Ds\n");
    const mc_exit_code *code;
    for (size_t i = 0; (code = mc_exit_code_at(i)); i++) {
        mc_text_addf(text, ".It %d\n", (int)code->status);
        add_prose(text, code->text, strlen(code->text));
    }
    mc_text_add(text, ".El\n");
}

static void add_examples(mc_text *text, const char *examples)
{
    mc_text_add(text, ".Sh EXAMPLES\n.Bd -literal -offset indent\n");
    while (*examples) {
        const size_t length = strcspn(examples, "\n");
        add_word(text, examples, length, true);
        mc_text_add(text, "\n");
        examples += length + (examples[length] == '\n');
    }
    mc_text_add(text, ".Ed\n");
}

static void add_environment(mc_text *text)
{
    mc_text_add(text,
                ".Sh ENVIRONMENT\n.Bl -tag -width Ds\n"
                ".It Ev NO_COLOR\nWhen it is set, no colours are used.\n"
                ".It Ev TERM\nOn a terminal called\n.Dq dumb\n"
                "there are no colours and no progress line.\n"
                ".It Ev TMPDIR\nWhere archives are unpacked, into files without a name.\n.El\n");
}

static void add_head(mc_text *text, const mc_command *command)
{
    mc_text_add(text, ".Dd " PAGE_DATE "\n.Dt MCOMPRESS");
    if (command) {
        mc_text_add(text, "\\-");
        for (const char *at = command->name; *at; at++)
            mc_text_addf(text, "%c", toupper((unsigned char)*at));
    }
    mc_text_addf(text, " 1\n.Os\n.Sh NAME\n.Nm mcompress%s%s\n.Nd %s\n", command ? "-" : "",
                 command ? command->name : "", command ? command->summary : MC_HELP_PURPOSE);
}

static void add_command_list(mc_text *text)
{
    mc_text_add(text, ".Sh COMMANDS\n.Bl -tag -width Ds\n");
    const mc_command *command;
    for (size_t i = 0; (command = mc_command_at(i)); i++) {
        mc_text_addf(text, ".It Cm %s", command->name);
        if (*command->args) {
            mc_text_add(text, " Ar ");
            add_quoted(text, command->args);
        }
        mc_text_addf(text, "\n%c%s.\n", toupper((unsigned char)command->summary[0]),
                     command->summary + 1);
    }
    mc_text_add(text, ".El\n.Sh OPTIONS\nThese are taken by every command.\n");
    add_options(text, NULL);
}

/* The first command in the order of the alphabet that comes after `last`; manual pages are listed
 * so. */
static const mc_command *next_by_name(const mc_command *last)
{
    const mc_command *next = NULL;
    const mc_command *command;
    for (size_t i = 0; (command = mc_command_at(i)); i++) {
        if (last && strcmp(command->name, last->name) <= 0) continue;
        if (!next || strcmp(command->name, next->name) < 0) next = command;
    }
    return next;
}

static void add_see_also(mc_text *text, const mc_command *self)
{
    mc_text_add(text, ".Sh SEE ALSO\n");
    if (self) {
        mc_text_add(text, ".Xr mcompress 1\n");
        return;
    }
    const mc_command *command = next_by_name(NULL);
    while (command) {
        const mc_command *next = next_by_name(command);
        mc_text_addf(text, ".Xr mcompress-%s 1%s\n", command->name, next ? " ," : "");
        command = next;
    }
}

void mc_man_page(mc_text *text, const mc_command *command)
{
    add_head(text, command);
    mc_text_add(text, ".Sh SYNOPSIS\n.Nm mcompress\n");
    if (command)
        mc_text_addf(text, ".Cm %s\n.Op Ar options\n", command->name);
    else
        mc_text_add(text, ".Ar command\n.Op Ar options\n.Ar args\n");
    if (command && *command->args) {
        mc_text_add(text, ".Ar ");
        add_quoted(text, command->args);
        mc_text_add(text, "\n");
    }

    mc_text_add(text, ".Sh DESCRIPTION\n");
    if (!command) {
        mc_text_add(text, ".Nm\ntakes a trained model, makes its weights small, packs them into a\n"
                          "container that a device can use in place, and measures on the written\n"
                          "file what that cost.\n"
                          "Results go to standard output, messages to standard error.\n");
        add_command_list(text);
        add_environment(text);
    } else {
        add_paragraphs(text, command->details ? command->details : command->summary);
        add_options(text, command);
    }
    add_exit_status(text);
    if (command && command->examples) add_examples(text, command->examples);
    add_see_also(text, command);
}
