/* Help: complete, made for a terminal of 80 columns, and the same as what the parser takes. */
#include "cli/help.h"
#include "cli/options_table.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCREEN = 90 };

static char *taken(mc_text *text)
{
    char *all = mc_text_take(text);
    cr_assert_not_null(all);
    return all;
}

static char *help_of(const mc_command *command, bool details)
{
    mc_text text;
    mc_text_open(&text);
    if (command)
        mc_help_command(&text, command, details);
    else
        mc_help_overview(&text);
    return taken(&text);
}

static char *page_of(const mc_command *command)
{
    mc_text text;
    mc_text_open(&text);
    mc_man_page(&text, command);
    return taken(&text);
}

/* Every line but those of examples, which people copy. */
static size_t count_lines(const char *text, size_t columns)
{
    size_t lines = 0;
    for (; *text; lines++) {
        const size_t n = strcspn(text, "\n");
        const bool example = strncmp(text, "  mcompress ", 12) == 0;
        cr_expect(n < columns || example, "%zu columns: %.*s", n, (int)n, text);
        cr_expect(n == 0 || text[n - 1] != ' ', "a blank at the end of: %.*s", (int)n, text);
        text += n + (text[n] == '\n');
    }
    return lines;
}

Test(help, fits_80_columns_and_a_screen)
{
    char *overview = help_of(NULL, false);
    cr_expect_leq(count_lines(overview, 80), (size_t)SCREEN);
    free(overview);
    for (size_t i = 0; mc_command_at(i); i++) {
        char *brief = help_of(mc_command_at(i), false), *full = help_of(mc_command_at(i), true);
        cr_expect_leq(count_lines(brief, 80), (size_t)SCREEN, "%s", mc_command_at(i)->name);
        count_lines(full, 80);
        free(brief);
        free(full);
    }
}

Test(help, shows_the_options_of_a_command_and_no_others)
{
    for (size_t i = 0; mc_command_at(i); i++) {
        const mc_command *command = mc_command_at(i);
        char *text = help_of(command, false);
        const mc_option *option;
        for (size_t k = 0; (option = mc_option_at(k)); k++) {
            char name[MC_OPTION_TEXT], entry[MC_OPTION_TEXT + 4];
            mc_option_text(option, name);
            snprintf(entry, sizeof entry, "%s%s%s", option->name && option->brief ? ", " : "  ",
                     name, option->arg ? " " : "");
            const bool shown = strstr(text, entry) && strstr(text, option->help);
            if (mc_option_takes(option, command))
                cr_expect(shown, "%s: %s is missing", command->name, name);
            else if (option->name && !mc_option_is_scheme(option))
                cr_expect(!shown, "%s: %s is shown", command->name, name);
        }
        free(text);
    }
}

Test(help, lists_all_commands_and_exit_codes)
{
    char *text = help_of(NULL, false);
    for (size_t i = 0; mc_command_at(i); i++) cr_expect(strstr(text, mc_command_at(i)->summary));
    for (size_t i = 0; mc_exit_code_at(i); i++) {
        char code[16];
        snprintf(code, sizeof code, "\n  %2d  ", (int)mc_exit_code_at(i)->status);
        cr_expect(strstr(text, code), "%s", code);
    }
    free(text);
}

/* A line is a macro that we meant, or text that cannot be taken for one. */
Test(man, pages_have_the_sections_of_a_manual)
{
    static const char *const macros[] = {".Dd ", ".Dt ", ".Os",  ".Sh ", ".Nm",  ".Nd ",
                                         ".Cm ", ".Op ", ".Ar ", ".Ss ", ".Bl ", ".It",
                                         ".El",  ".Pp",  ".Bd ", ".Ed",  ".Xr ", ".Dq "};
    for (size_t i = 0; i <= MC_COMMAND_COUNT; i++) {
        char *page = page_of(mc_command_at(i));
        cr_expect(strstr(page, ".Sh NAME\n") && strstr(page, ".Sh SYNOPSIS\n"));
        cr_expect(strstr(page, ".Sh DESCRIPTION\n") && strstr(page, ".Sh EXIT STATUS\n"));
        for (const char *at = page; *at; at += strcspn(at, "\n") + 1) {
            if (*at != '.') continue;
            bool known = false;
            for (size_t m = 0; m < sizeof macros / sizeof macros[0]; m++)
                known |= strncmp(at, macros[m], strlen(macros[m])) == 0;
            cr_expect(known, "%.*s", (int)strcspn(at, "\n"), at);
        }
        free(page);
    }
}

Test(man, pages_name_every_option)
{
    for (size_t i = 0; mc_command_at(i); i++) {
        char *page = page_of(mc_command_at(i));
        const mc_option *option;
        for (size_t k = 0; (option = mc_option_at(k)); k++) {
            char flag[64];
            snprintf(flag, sizeof flag, option->name ? "Fl \\-%s" : "Fl %s",
                     option->name ? option->name : option->brief);
            if (mc_option_takes(option, mc_command_at(i)))
                cr_expect(strstr(page, flag), "%s", flag);
        }
        free(page);
    }
}
