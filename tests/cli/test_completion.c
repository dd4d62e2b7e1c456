/* Completion scripts: every command, option and named value is in them. */
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/options_table.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static char *script_of(size_t shell)
{
    mc_text text;
    mc_text_open(&text);
    mc_shell_at(shell)->write(&text);
    char *all = mc_text_take(&text);
    cr_assert_not_null(all);
    return all;
}

Test(completion, knows_three_shells)
{
    cr_expect_str_eq(mc_shell_at(0)->name, "bash");
    cr_expect_str_eq(mc_shell_at(1)->name, "zsh");
    cr_expect_str_eq(mc_shell_at(2)->name, "fish");
    cr_expect_null(mc_shell_at(3));
}

Test(completion, holds_every_command_option_and_value)
{
    for (size_t s = 0; mc_shell_at(s); s++) {
        char *script = script_of(s);
        for (size_t i = 0; mc_command_at(i); i++) cr_expect(strstr(script, mc_command_at(i)->name));
        const mc_option *option;
        for (size_t i = 0; (option = mc_option_at(i)); i++) {
            char room[MC_OPTION_WORD];
            const char *word;
            if (option->name && !mc_option_is_scheme(option))
                cr_expect(strstr(script, option->name), "%s: %s", mc_shell_at(s)->name,
                          option->name);
            for (size_t k = 0; (word = mc_option_word(option, k, room)); k++)
                cr_expect(strstr(script, word), "%s: %s", mc_shell_at(s)->name, word);
        }
        cr_expect_null(strstr(script, "wXaY"), "the pattern is no option");
        free(script);
    }
}

/* Help texts hold quotes, brackets and colons; outside of quotes they would end the script. */
Test(completion, leaves_no_quote_open)
{
    for (size_t s = 0; mc_shell_at(s); s++) {
        char *script = script_of(s);
        size_t quotes = 0;
        for (const char *at = script; *at; at++) {
            if (*at == '\\' && at[1] == '\'') {
                at++;
                continue;
            }
            quotes += *at == '\'';
        }
        cr_expect_eq(quotes % 2, 0u, "%s: %zu", mc_shell_at(s)->name, quotes);
        free(script);
    }
}
