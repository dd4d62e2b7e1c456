/* The parser: walks argv once, finds each option in the table and lets it store its value, then
 * looks at the whole: does the command take these options and this many arguments? */
#include "cli/commands.h"
#include "cli/options_table.h"
#include "cli/presets.h"
#include "cli/suggest.h"

#include <string.h>

enum { OPTIONS_MOST = 96 };

typedef struct {
    int argc, at;
    char **argv;
    bool only_args; /* behind "--" */
    bool seen[OPTIONS_MOST];
    mc_option_sink to;
} parser;

/* ---- finding ---- */

/* The option of that name (no dashes, `length` bytes), and its place in the table. */
static const mc_option *find_long(const char *name, size_t length, size_t *place)
{
    const mc_option *option;
    for (size_t i = 0; (option = mc_option_at(i)); i++) {
        const bool scheme = mc_option_is_scheme(option) && mc_scheme_matches(name);
        const bool same = option->name && strlen(option->name) == length &&
                          memcmp(option->name, name, length) == 0;
        if (!scheme && (!same || mc_option_is_scheme(option))) continue;
        *place = i;
        return option;
    }
    return NULL;
}

/* May `rest` stand right behind the brief form? -j4 and -MFfile are values, -json is a mistake. */
static bool may_follow(const mc_option *option, const char *rest)
{
    if (*rest == '\0') return true;
    const bool digit = *rest >= '0' && *rest <= '9';
    return option->arg && (digit || option->most == 0);
}

/* The longest brief form that begins `text`. */
static const mc_option *find_brief(const char *text, size_t *place)
{
    const mc_option *best = NULL;
    const mc_option *option;
    for (size_t i = 0; (option = mc_option_at(i)); i++) {
        if (!option->brief) continue;
        const size_t length = strlen(option->brief);
        if (strncmp(text, option->brief, length) != 0) continue;
        if (!may_follow(option, text + length)) continue;
        if (best && strlen(best->brief) >= length) continue;
        best = option;
        *place = i;
    }
    return best;
}

static mc_status unknown_option(const char *text, mc_err *err)
{
    const size_t length = strcspn(text, "=");
    char near[MC_OPTION_TEXT];
    if (mc_suggest_option(text, length, near))
        return mc_fail(err, MC_E_USAGE, "unknown option %.*s; did you mean %s?", (int)length, text,
                       near);
    return mc_fail(err, MC_E_USAGE, "unknown option %.*s; 'mcompress help' lists all", (int)length,
                   text);
}

static mc_status unknown_command(const char *name, mc_err *err)
{
    const char *near = mc_suggest_command(name);
    if (near) return mc_fail(err, MC_E_USAGE, "unknown command '%s'; did you mean %s?", name, near);
    return mc_fail(err, MC_E_USAGE, "unknown command '%s'; 'mcompress help' lists all", name);
}

/* ---- one argument ---- */

/* The value of an option: behind the '=', or the next argument. */
static mc_status take_value(parser *p, const mc_option *option, const char *inside,
                            const char **value, mc_err *err)
{
    char text[MC_OPTION_TEXT];
    mc_option_text(option, text);
    *value = inside;
    if (!option->arg) {
        if (!inside) return MC_OK;
        return mc_fail(err, MC_E_USAGE, "%s takes no value, found '%s'", text, inside);
    }
    if (!inside) {
        if (p->at + 1 >= p->argc)
            return mc_fail(err, MC_E_USAGE, "%s needs a value: %s", text, option->arg);
        *value = p->argv[++p->at];
        if (strncmp(*value, "--", 2) == 0)
            return mc_fail(err, MC_E_USAGE, "%s needs a value: %s, found the option %s", text,
                           option->arg, *value);
    }
    if (**value) return MC_OK;
    return mc_fail(err, MC_E_USAGE, "%s needs a value: %s, found ''", text, option->arg);
}

static mc_status take_option(parser *p, const char *text, mc_err *err)
{
    const bool is_long = text[1] == '-';
    const char *name = text + (is_long ? 2 : 1);
    const char *equals = is_long ? strchr(name, '=') : NULL;
    size_t place = 0;
    const mc_option *option =
        is_long ? find_long(name, strcspn(name, "="), &place) : find_brief(name, &place);
    if (!option) return unknown_option(text, err);

    const char *inside = equals ? equals + 1 : NULL;
    if (!is_long && name[strlen(option->brief)]) inside = name + strlen(option->brief);
    const char *value;
    MC_TRY(take_value(p, option, inside, &value, err));
    if (mc_option_is_scheme(option)) value = name;

    const bool single = !option->repeats && (option->arg || mc_option_is_scheme(option));
    if (single && p->seen[place]) {
        char shown[MC_OPTION_TEXT];
        return mc_fail(err, MC_E_USAGE, "%s is given twice", mc_option_text(option, shown));
    }
    p->seen[place] = true;
    return option->set(option, value, &p->to, err);
}

/* Was this option, or another that sets the same choice (--sym, --asym), on the command line? */
static bool was_said(const bool *said, size_t place)
{
    const mc_option *option = mc_option_at(place), *other;
    if (said[place]) return true;
    for (size_t i = 0; option->field && (other = mc_option_at(i)); i++)
        if (said[i] && other->field == option->field) return true;
    return false;
}

/* Does an option of a preset mean nothing beside what the command line says? Then that overrules
 * it, too. A preset's scheme stands in front of its other options. */
static bool is_idle(const mc_options *o, const mc_option *option)
{
    const char *name = option->name ? option->name : "";
    const bool floats = o->activation_bits == 0 || o->activation_bits >= 16;
    if (strcmp(name, "zero") == 0) return o->symmetry == MC_SYM;
    if (strcmp(name, "act") == 0) return floats;
    if (strcmp(name, "observer") == 0)
        return floats || o->act_per_channel || o->act == MC_ACT_KIND_DYNAMIC;
    return false;
}

/* The options of a preset, as far as the command line has not said the same itself. */
static mc_status take_preset(parser *p, const char *name, mc_err *err)
{
    const mc_preset *preset = mc_preset_find(name);
    bool said[OPTIONS_MOST];
    memcpy(said, p->seen, sizeof said);
    const size_t length = strlen(preset->options);
    char *words = mc_copy_text(p->to.mem, preset->options, length), *rest = words;
    if (!words) return mc_no_room(err, "a preset");
    for (char *word; (word = strtok_r(rest, " ", &rest));) {
        size_t place = 0;
        const mc_option *option = find_long(word + 2, strcspn(word + 2, "="), &place);
        if (option && (was_said(said, place) || is_idle(p->to.out, option))) continue;
        if (take_option(p, word, err) != MC_OK) return mc_wrap(err, "--preset %s", name);
    }
    return MC_OK;
}

static mc_status take_arg(parser *p, const char *text, mc_err *err)
{
    mc_options *out = p->to.out;
    if (!out->command) {
        out->command = mc_command_find(text);
        return out->command ? MC_OK : unknown_command(text, err);
    }
    if (out->args == (int)(sizeof out->arg / sizeof out->arg[0]) ||
        out->args == out->command->most_args)
        return mc_fail(err, MC_E_USAGE, "%s: unexpected '%s'; usage: mcompress %s [OPTIONS]%s%s",
                       out->command->name, text, out->command->name, *out->command->args ? " " : "",
                       out->command->args);
    out->arg[out->args++] = text;
    return MC_OK;
}

/* ---- the whole ---- */

/* "quantize", "quantize and verify", "quantize, verify and diff" */
static void list_commands(const mc_option *option, char *text, size_t room)
{
    size_t left = 0;
    for (size_t i = 0; mc_command_at(i); i++) left += mc_option_takes(option, mc_command_at(i));

    text[0] = '\0';
    for (size_t i = 0; mc_command_at(i); i++) {
        if (!mc_option_takes(option, mc_command_at(i))) continue;
        strncat(text, mc_command_at(i)->name, room - strlen(text) - 1);
        left--;
        strncat(text, left == 0 ? "" : left == 1 ? " and " : ", ", room - strlen(text) - 1);
    }
}

static mc_status check_taken(const parser *p, mc_err *err)
{
    const mc_option *option;
    for (size_t i = 0; (option = mc_option_at(i)); i++) {
        if (!p->seen[i] || mc_option_takes(option, p->to.out->command)) continue;
        char text[MC_OPTION_TEXT], commands[256];
        list_commands(option, commands, sizeof commands);
        return mc_fail(err, MC_E_USAGE, "%s does not take %s; it is an option of %s",
                       p->to.out->command->name, mc_option_text(option, text), commands);
    }
    return MC_OK;
}

static mc_status check_together(const mc_options *o, mc_err *err)
{
    if (o->quiet && o->verbose)
        return mc_fail(err, MC_E_USAGE, "--quiet and --verbose contradict each other");
    if (o->symmetry == MC_ASYM && o->sym_grid)
        return mc_fail(err, MC_E_USAGE, "--sym-grid is about --sym, found --asym");
    if (o->symmetry == MC_SYM && o->zero)
        return mc_fail(err, MC_E_USAGE, "--zero is about --asym, found --sym");
    if (o->depfile_path && !o->depfile)
        return mc_fail(err, MC_E_USAGE, "-MF names the depfile of -MD, which is missing");
    return MC_OK;
}

static mc_status check_args(const mc_options *o, mc_err *err)
{
    if (o->args >= o->command->least_args) return MC_OK;
    return mc_fail(err, MC_E_USAGE, "%s: %s; usage: mcompress %s [OPTIONS] %s", o->command->name,
                   o->args == 0 ? "arguments are missing" : "an argument is missing",
                   o->command->name, o->command->args);
}

mc_status mc_options_parse(int argc, char **argv, mc_arena *mem, mc_options *out, mc_err *err)
{
    *out = (mc_options){.argv = (const char *const *)argv};
    parser p = {.argc = argc, .argv = argv, .to = {.out = out, .mem = mem, .most = (size_t)argc}};
    for (p.at = 1; p.at < argc; p.at++) {
        const char *text = argv[p.at];
        if (p.only_args || text[0] != '-' || text[1] == '\0')
            MC_TRY(take_arg(&p, text, err));
        else if (strcmp(text, "--") == 0)
            p.only_args = true;
        else
            MC_TRY(take_option(&p, text, err));
    }

    if (out->version) out->command = &mc_cmd_version;
    if (out->help && !out->command) out->command = &mc_cmd_help;
    if (out->help || out->version) return MC_OK;
    if (!out->command) return mc_fail(err, MC_E_USAGE, "no command; 'mcompress help' lists all");
    MC_TRY(check_taken(&p, err));
    if (out->preset) MC_TRY(take_preset(&p, out->preset, err));
    MC_TRY(check_together(out, err));
    return check_args(out, err);
}
