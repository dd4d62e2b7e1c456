/* Help for the terminal. Lines end before column 80; what an option is called stands left, what it
 * does right. */
#include "cli/help.h"

#include "cli/options_table.h"

#include <stdio.h>
#include <string.h>

enum { COLUMNS = 80, LEFT = 29, LEFT_COMMANDS = 22 };

static const mc_exit_code codes[] = {
    {MC_OK, "done"},
    {MC_E_GATE, "a gate of --require failed (the result stands as OUT.rejected)"},
    {MC_E_USAGE, "the request makes no sense, or OUT exists"},
    {MC_E_FORMAT, "invalid input, NaN and infinity among it"},
    {MC_E_UNSUPPORTED, "valid, but not supported"},
    {MC_E_IO, "reading or writing failed"},
    {MC_E_MISMATCH, "a hash does not match, or the container is not what it says"},
    {MC_E_BUDGET, "a limit of memory, flash or size cannot be met"},
    {MC_E_INTERNAL, "a bug of mcompress"},
};

const mc_exit_code *mc_exit_code_at(size_t i)
{
    return i < sizeof codes / sizeof codes[0] ? &codes[i] : NULL;
}

/* Words from `at` on, in lines that begin at column `indent`; the first one is already there. */
static void add_wrapped(mc_text *text, const char *at, size_t indent)
{
    size_t column = indent;
    for (; *at;) {
        const size_t word = strcspn(at, " \n");
        if (column > indent && column + 1 + word >= COLUMNS) {
            mc_text_add(text, "\n");
            mc_text_add_repeated(text, ' ', indent);
            column = indent;
        } else if (column > indent) {
            mc_text_add(text, " ");
            column++;
        }
        mc_text_add_bytes(text, at, word);
        column += word;
        at += word;
        at += strspn(at, " \n");
    }
    mc_text_add(text, "\n");
}

/* Paragraphs, which stand apart by an empty line. */
static void add_paragraphs(mc_text *text, const char *at)
{
    while (*at) {
        const char *end = strstr(at, "\n\n");
        const size_t length = end ? (size_t)(end - at) : strlen(at);
        char paragraph[2048];
        snprintf(paragraph, sizeof paragraph, "%.*s", (int)length, at);
        mc_text_add(text, "\n");
        add_wrapped(text, paragraph, 0);
        at += length;
        at += strspn(at, "\n");
    }
}

static void add_entry(mc_text *text, const char *left, const char *right, size_t column)
{
    mc_text_addf(text, "  %s", left);
    const size_t used = 2 + strlen(left);
    if (used + 2 > column) {
        mc_text_add(text, "\n");
        mc_text_add_repeated(text, ' ', column);
    } else {
        mc_text_add_repeated(text, ' ', column - used);
    }
    add_wrapped(text, right, column);
}

static void add_option(mc_text *text, const mc_option *option)
{
    char left[128], name[MC_OPTION_TEXT];
    const bool both = option->name && option->brief;
    snprintf(left, sizeof left, "%s%s%s%s%s%s", both ? "-" : "", both ? option->brief : "",
             both ? ", " : "", mc_option_text(option, name), option->arg ? " " : "",
             option->arg ? option->arg : "");
    add_entry(text, left, option->help, LEFT);
}

static void add_options(mc_text *text, const mc_command *command)
{
    for (unsigned h = 0; h < MC_HEADING_COUNT; h++) {
        bool any = false;
        const mc_option *option;
        for (size_t i = 0; (option = mc_option_at(i)); i++) {
            if (option->heading != (mc_heading)h || !mc_option_takes(option, command)) continue;
            if (!any) mc_text_addf(text, "\n%s:\n", mc_heading_text((mc_heading)h));
            any = true;
            add_option(text, option);
        }
    }
}

/* Lines "mcompress …", each indented. */
static void add_examples(mc_text *text, const char *at)
{
    mc_text_add(text, "\nExamples:\n");
    while (*at) {
        const size_t length = strcspn(at, "\n");
        mc_text_add(text, "  ");
        mc_text_add_bytes(text, at, length);
        mc_text_add(text, "\n");
        at += length + (at[length] == '\n');
    }
}

void mc_help_usage(mc_text *text)
{
    mc_text_add(text, "usage: mcompress COMMAND [OPTIONS] ARGS\n"
                      "       mcompress quantize --w4a8 IN OUT\n"
                      "       mcompress help [COMMAND]\n");
}

void mc_help_overview(mc_text *text)
{
    mc_text_add(text, "mcompress: " MC_HELP_PURPOSE "\n\n"
                      "usage: mcompress COMMAND [OPTIONS] ARGS\n\nCommands:\n");
    const mc_command *command;
    for (size_t i = 0; (command = mc_command_at(i)); i++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", command->name, command->args);
        add_entry(text, left, command->summary, LEFT_COMMANDS);
    }
    add_options(text, NULL);

    mc_text_add(text, "\nExit codes:\n");
    const mc_exit_code *code;
    for (size_t i = 0; (code = mc_exit_code_at(i)); i++) {
        mc_text_addf(text, "  %2d  ", (int)code->status);
        add_wrapped(text, code->text, 6);
    }
    mc_text_add(text, "\n'mcompress help COMMAND' says more about a command.\n");
}

void mc_help_command(mc_text *text, const mc_command *command, bool details)
{
    mc_text_addf(text, "mcompress %s: %s\n\nusage: mcompress %s [OPTIONS]%s%s\n", command->name,
                 command->summary, command->name, *command->args ? " " : "", command->args);
    if (details && command->details) add_paragraphs(text, command->details);
    add_options(text, command);
    if (command->examples) add_examples(text, command->examples);
}
