/* One script a shell. Each holds the tables as plain words, so completing never runs the
 * program. */
#include "cli/completion.h"

#include "cli/commands.h"
#include "cli/options_table.h"

#include <string.h>

/* Between single quotes of any of the three shells; `special` letters get a backslash. */
static void add_escaped(mc_text *text, const char *from, const char *special)
{
    for (; *from; from++) {
        if (*from == '\'') {
            mc_text_add(text, "'\\''");
            continue;
        }
        if (strchr(special, *from)) mc_text_add(text, "\\");
        mc_text_add_bytes(text, from, 1);
    }
}

static bool has_words(const mc_option *option)
{
    char room[MC_OPTION_WORD];
    return mc_option_word(option, 0, room) != NULL;
}

static void add_words(mc_text *text, const mc_option *option, const char *before)
{
    char room[MC_OPTION_WORD];
    const char *word;
    for (size_t i = 0; (word = mc_option_word(option, i, room)); i++)
        mc_text_addf(text, "%s%s%s", i ? " " : "", before, word);
}

static void add_commands(mc_text *text, const char *between)
{
    for (size_t i = 0; mc_command_at(i); i++)
        mc_text_addf(text, "%s%s", i ? between : "", mc_command_at(i)->name);
}

/* Arguments that are words: commands or shells. Those of all other commands are files. */
static bool has_arg_words(const mc_command *command)
{
    return command == &mc_cmd_help || command == &mc_cmd_completion;
}

static void add_arg_words(mc_text *text, const mc_command *command)
{
    if (command == &mc_cmd_help) add_commands(text, " ");
    if (command != &mc_cmd_completion) return;
    for (size_t i = 0; mc_shell_at(i); i++)
        mc_text_addf(text, "%s%s", i ? " " : "", mc_shell_at(i)->name);
}

static bool takes_files(const mc_command *command)
{
    return command->most_args > 0 && !has_arg_words(command);
}

/* ---- bash ---- */

/* Every spelling of the options that the command takes. */
static void bash_options(mc_text *text, const mc_command *command)
{
    const mc_option *option;
    const char *between = "";
    for (size_t i = 0; (option = mc_option_at(i)); i++) {
        if (!mc_option_takes(option, command)) continue;
        mc_text_add(text, between);
        between = " ";
        if (mc_option_is_scheme(option)) {
            add_words(text, option, "--");
            continue;
        }
        if (option->name) mc_text_addf(text, "--%s", option->name);
        if (option->brief) mc_text_addf(text, "%s-%s", option->name ? " " : "", option->brief);
    }
}

static void bash_value(mc_text *text, const mc_option *option)
{
    mc_text_add(text, "        ");
    if (option->name) mc_text_addf(text, "--%s", option->name);
    if (option->brief) mc_text_addf(text, "%s-%s", option->name ? "|" : "", option->brief);
    mc_text_add(text, ") words='");
    add_words(text, option, "");
    mc_text_addf(text, "'%s value=1 ;;\n", option->file ? " files=1" : "");
}

static void bash_command(mc_text *text, const mc_command *command)
{
    mc_text_addf(text, "            %s) words='", command->name);
    add_arg_words(text, command);
    mc_text_addf(text, "'%s options='", takes_files(command) ? " files=1" : "");
    bash_options(text, command);
    mc_text_add(text, "' ;;\n");
}

static void write_bash(mc_text *text)
{
    mc_text_add(text, "# bash completion for mcompress\n"
                      "_mcompress()\n{\n"
                      "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
                      "    local i command= words= options= files= value=\n"
                      "    # '=' is a word of its own\n"
                      "    if [[ $cur == '=' ]]; then\n"
                      "        cur=\n"
                      "    elif [[ $prev == '=' ]]; then\n"
                      "        prev=${COMP_WORDS[COMP_CWORD-2]}\n"
                      "    fi\n"
                      "    case $prev in\n");
    const mc_option *option;
    for (size_t i = 0; (option = mc_option_at(i)); i++)
        if (option->arg) bash_value(text, option);
    mc_text_add(text, "    esac\n"
                      "    if [[ ! $value ]]; then\n"
                      "        for ((i = 1; i < COMP_CWORD; i++)); do\n"
                      "            case ${COMP_WORDS[i]} in\n"
                      "                ");
    add_commands(text, "|");
    mc_text_add(text, ") command=${COMP_WORDS[i]}; break ;;\n"
                      "            esac\n"
                      "        done\n"
                      "        case $command in\n");
    for (size_t i = 0; mc_command_at(i); i++) bash_command(text, mc_command_at(i));
    mc_text_add(text, "            *) words='");
    add_commands(text, " ");
    mc_text_add(text, "' options='");
    bash_options(text, NULL);
    mc_text_add(text, "' ;;\n"
                      "        esac\n"
                      "        [[ $cur == -* ]] && words=$options files=\n"
                      "    fi\n"
                      "    [[ $files ]] && compopt -o default 2>/dev/null\n"
                      "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                      "}\n"
                      "complete -F _mcompress mcompress\n");
}

/* ---- zsh ---- */

/* "[help]" and, for options with a value, ":what:action'". */
static void zsh_rest(mc_text *text, const mc_option *option)
{
    mc_text_add(text, "'[");
    add_escaped(text, option->help, "[]:");
    mc_text_add(text, "]");
    if (option->arg) {
        mc_text_add(text, ":");
        add_escaped(text, option->arg, "[]:");
        mc_text_add(text, ":");
        if (has_words(option)) {
            mc_text_add(text, "(");
            add_words(text, option, "");
            mc_text_add(text, ")");
        } else if (option->file) {
            mc_text_add(text, "_files");
        }
    }
    mc_text_add(text, "'");
}

static void zsh_option(mc_text *text, const mc_option *option)
{
    char room[MC_OPTION_WORD];
    const char *word;
    if (mc_option_is_scheme(option)) {
        for (size_t i = 0; (word = mc_option_word(option, i, room)); i++) {
            mc_text_addf(text, " \\\n                --%s", word);
            zsh_rest(text, option);
        }
        return;
    }
    const char *const many = option->repeats ? "'*'" : "";
    if (option->name) {
        mc_text_addf(text, " \\\n                %s--%s%s", many, option->name,
                     option->arg ? "=" : "");
        zsh_rest(text, option);
    }
    if (option->brief) {
        mc_text_addf(text, " \\\n                %s-%s", many, option->brief);
        zsh_rest(text, option);
    }
}

static void zsh_command(mc_text *text, const mc_command *command)
{
    mc_text_addf(text, "        %s)\n            _arguments", command ? command->name : "*");
    const mc_option *option;
    for (size_t i = 0; (option = mc_option_at(i)); i++)
        if (mc_option_takes(option, command)) zsh_option(text, option);
    mc_text_add(text, " \\\n                '1:command:->command'");
    if (command && has_arg_words(command)) {
        mc_text_add(text, " '2:word:(");
        add_arg_words(text, command);
        mc_text_add(text, ")'");
    } else if (command && takes_files(command)) {
        mc_text_add(text, " '*:file:_files'");
    }
    mc_text_add(text, " && return ;;\n");
}

static void write_zsh(mc_text *text)
{
    mc_text_add(text, "#compdef mcompress\n"
                      "_mcompress()\n{\n"
                      "    local i command state line\n"
                      "    local -a commands\n"
                      "    commands=(\n");
    for (size_t i = 0; mc_command_at(i); i++) {
        mc_text_addf(text, "        '%s:", mc_command_at(i)->name);
        add_escaped(text, mc_command_at(i)->summary, ":");
        mc_text_add(text, "'\n");
    }
    mc_text_add(text, "    )\n"
                      "    for ((i = 2; i < CURRENT; i++)); do\n"
                      "        case $words[i] in\n"
                      "            ");
    add_commands(text, "|");
    mc_text_add(text, ") command=$words[i]; break ;;\n"
                      "        esac\n"
                      "    done\n"
                      "    case $command in\n");
    for (size_t i = 0; mc_command_at(i); i++) zsh_command(text, mc_command_at(i));
    zsh_command(text, NULL);
    mc_text_add(text, "    esac\n"
                      "    [[ $state == command ]] && _describe command commands\n"
                      "}\n"
                      "if [[ $funcstack[1] == _mcompress ]]; then\n"
                      "    _mcompress \"$@\"\n"
                      "else\n"
                      "    compdef _mcompress mcompress\n"
                      "fi\n");
}

/* ---- fish ---- */

static void fish_quoted(mc_text *text, const char *what)
{
    mc_text_add(text, "'");
    add_escaped(text, what, "\\");
    mc_text_add(text, "'");
}

/* "complete -c mcompress" for those commands that take the option. */
static void fish_begin(mc_text *text, const mc_option *option)
{
    mc_text_add(text, "complete -c mcompress");
    if (mc_option_takes(option, NULL)) return;
    mc_text_add(text, " -n '__fish_seen_subcommand_from");
    for (size_t i = 0; mc_command_at(i); i++)
        if (mc_option_takes(option, mc_command_at(i)))
            mc_text_addf(text, " %s", mc_command_at(i)->name);
    mc_text_add(text, "'");
}

static void fish_option(mc_text *text, const mc_option *option)
{
    char room[MC_OPTION_WORD];
    const char *word;
    if (mc_option_is_scheme(option)) {
        for (size_t i = 0; (word = mc_option_word(option, i, room)); i++) {
            fish_begin(text, option);
            mc_text_addf(text, " -l %s -d ", word);
            fish_quoted(text, option->help);
            mc_text_add(text, "\n");
        }
        return;
    }
    fish_begin(text, option);
    if (option->name) mc_text_addf(text, " -l %s", option->name);
    if (option->brief) mc_text_addf(text, " -%c %s", option->brief[1] ? 'o' : 's', option->brief);
    if (option->arg) mc_text_add(text, option->file ? " -r -F" : " -x");
    if (has_words(option)) {
        mc_text_add(text, " -a '");
        add_words(text, option, "");
        mc_text_add(text, "'");
    }
    mc_text_add(text, " -d ");
    fish_quoted(text, option->help);
    mc_text_add(text, "\n");
}

static void write_fish(mc_text *text)
{
    mc_text_add(text, "# fish completion for mcompress\n"
                      "complete -c mcompress -f\n");
    for (size_t i = 0; mc_command_at(i); i++) {
        const mc_command *command = mc_command_at(i);
        mc_text_addf(text, "complete -c mcompress -n __fish_use_subcommand -a %s -d ",
                     command->name);
        fish_quoted(text, command->summary);
        mc_text_add(text, "\n");
        if (command->most_args == 0) continue;
        mc_text_addf(text, "complete -c mcompress -n '__fish_seen_subcommand_from %s' ",
                     command->name);
        if (has_arg_words(command)) {
            mc_text_add(text, "-a '");
            add_arg_words(text, command);
            mc_text_add(text, "'\n");
        } else {
            mc_text_add(text, "-F\n");
        }
    }
    const mc_option *option;
    for (size_t i = 0; (option = mc_option_at(i)); i++) fish_option(text, option);
}

const mc_shell *mc_shell_at(size_t i)
{
    static const mc_shell shells[] = {
        {"bash", write_bash}, {"zsh", write_zsh}, {"fish", write_fish}};
    return i < sizeof shells / sizeof shells[0] ? &shells[i] : NULL;
}
