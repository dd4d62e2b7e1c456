/* Every option there is, in the order in which help shows them. */
#include "cli/options_table.h"

#include "calib/observe.h"
#include "cli/commands.h"
#include "cli/options_values.h"
#include "cli/presets.h"
#include "core/levels.h"
#include "formats/target.h"
#include "quant/chain.h"
#include "verify/report.h"

#include <stdio.h>
#include <string.h>

#define ON(name)  (1u << MC_COMMAND_##name)
#define EVERY     ((1u << MC_COMMAND_COUNT) - 1)
#define MODELS    (ON(quantize) | ON(calibrate) | ON(verify) | ON(inspect) | ON(diff))
#define FIELD(of) .field = offsetof(mc_options, of)

static const char *method_at(size_t i)
{
    return i == 0 ? "auto" : mc_chain_name_at(i - 1);
}

static const char *preset_at(size_t i)
{
    const mc_preset *preset = mc_preset_at(i);
    return preset ? preset->name : NULL;
}

static const char *observer_at(size_t i)
{
    const mc_observer *observer = mc_observer_at(i);
    return observer ? observer->name : NULL;
}

static const char *target_at(size_t i)
{
    const mc_target *target = mc_target_at(i);
    return target ? target->name : NULL;
}

/* The tables only: integers are chosen by --wXaY. */
static const char *levels_at(size_t i)
{
    for (size_t at = 0;; at++) {
        const mc_levels *levels = mc_levels_at(at);
        if (!levels) return NULL;
        if (levels->value && i-- == 0) return levels->name;
    }
}

/* clang-format off */
static const mc_option options[] = {
    {.name = "wXaY[kvZ]", .heading = MC_HEADING_SCHEME, .commands = ON(quantize),
     .help = "weights X bits, activations Y, KV cache Z", .set = mc_set_scheme,
     .words = "w4a8 w4a16 w8a8 w8a16 w6a8 w5a8 w3a16 w2a16 w1.58a8 w1a8 w4a8kv8 w4a8kv4"},
    {.name = "group", .arg = "N", .heading = MC_HEADING_SCHEME, .commands = ON(quantize),
     .help = "weights under one scale: N, channel or tensor", .words = "channel tensor",
     .set = mc_set_group, FIELD(group), .least = 1, .most = UINT32_MAX},
    {.name = "sym", .heading = MC_HEADING_SCHEME, .commands = ON(quantize),
     .help = "a grid around zero (the default)",
     .set = mc_set_choose, FIELD(symmetry), .least = MC_SYM},
    {.name = "asym", .heading = MC_HEADING_SCHEME, .commands = ON(quantize),
     .help = "a grid with an offset", .set = mc_set_choose, FIELD(symmetry), .least = MC_ASYM},
    {.name = "sym-grid", .arg = "KIND", .heading = MC_HEADING_SCHEME, .commands = ON(quantize),
     .help = "full: -8..7, positive scales; restricted: -7..7",
     .words = "full restricted positive",
     .set = mc_set_word, FIELD(sym_grid)},
    {.name = "zero", .arg = "KIND", .heading = MC_HEADING_SCHEME, .commands = ON(quantize),
     .help = "the offset of --asym: integer or float", .words = "integer float",
     .set = mc_set_word, FIELD(zero)},
    {.name = "scale-dtype", .arg = "TYPE", .heading = MC_HEADING_SCHEME, .commands = ON(quantize),
     .help = "of scales: f16 bf16 f32 e8m0 e4m3 e4m3xf32 kBxG",
     .words = "f16 bf16 f32 e8m0 e4m3 e4m3xf32 k6x8", .set = mc_set_scale_dtype,
     FIELD(scale_dtype)},
    {.name = "levels", .arg = "NAME", .heading = MC_HEADING_SCHEME, .commands = ON(quantize),
     .help = "a table of levels instead of integers", .word_at = levels_at,
     .set = mc_set_levels, FIELD(levels)},

    {.name = "method", .arg = "NAME[:K=V,...]", .heading = MC_HEADING_PLAN,
     .commands = ON(quantize), .help = "how codes are chosen (see 'methods')",
     .word_at = method_at, .set = mc_set_method, FIELD(method)},
    {.name = "calib", .arg = "DATA", .heading = MC_HEADING_CALIBRATION,
     .commands = ON(quantize) | ON(calibrate),
     .help = "choose codes with it: text, ids, npz, statistics", .file = true,
     .set = mc_set_text, FIELD(calib)},
    {.name = "max-tokens", .arg = "N", .heading = MC_HEADING_CALIBRATION,
     .commands = ON(quantize) | ON(calibrate),
     .help = "calibrate on at most N tokens (samples, of arrays)",
     .set = mc_set_number, FIELD(max_tokens), .least = 1, .most = UINT64_MAX},
    {.name = "sequential", .heading = MC_HEADING_CALIBRATION, .commands = ON(quantize),
     .help = "for inputs that coded weights give (the default)",
     .set = mc_set_choose, FIELD(sequence), .least = MC_SEQUENCE_YES},
    {.name = "no-sequential", .heading = MC_HEADING_CALIBRATION, .commands = ON(quantize),
     .help = "for inputs of the float model",
     .set = mc_set_choose, FIELD(sequence), .least = MC_SEQUENCE_NO},
    {.name = "checkpoint", .arg = "FOLDER", .heading = MC_HEADING_CALIBRATION,
     .commands = ON(quantize), .help = "keep what is coded there, and go on from it", .file = true,
     .set = mc_set_text, FIELD(checkpoint)},
    {.name = "no-gram", .heading = MC_HEADING_CALIBRATION, .commands = ON(calibrate),
     .help = "leave out second moments across inputs", .set = mc_set_true, FIELD(no_gram)},
    {.name = "merge", .arg = "STATS", .heading = MC_HEADING_CALIBRATION, .commands = ON(calibrate),
     .help = "add this file of statistics; twice or more", .repeats = true, .file = true,
     .set = mc_set_merge},
    {.name = "act", .arg = "KIND", .heading = MC_HEADING_CALIBRATION, .commands = ON(quantize),
     .help = "scales of activations: dynamic or static", .words = "dynamic static",
     .set = mc_set_word, FIELD(act)},
    {.name = "act-sym", .heading = MC_HEADING_CALIBRATION, .commands = ON(quantize),
     .help = "codes around zero (dynamic: the default)",
     .set = mc_set_choose, FIELD(act_symmetry), .least = MC_SYM},
    {.name = "act-asym", .heading = MC_HEADING_CALIBRATION, .commands = ON(quantize),
     .help = "codes with a zero point (static: the default)",
     .set = mc_set_choose, FIELD(act_symmetry), .least = MC_ASYM},
    {.name = "act-pow2", .heading = MC_HEADING_CALIBRATION, .commands = ON(quantize),
     .help = "scales of activations are powers of two",
     .set = mc_set_true, FIELD(act_power_of_two)},
    {.name = "act-per-channel", .heading = MC_HEADING_CALIBRATION, .commands = ON(quantize),
     .help = "a static scale for each channel", .set = mc_set_true, FIELD(act_per_channel)},
    {.name = "kv-group", .arg = "N", .heading = MC_HEADING_CALIBRATION, .commands = ON(quantize),
     .help = "tokens of keys, channels of values under a scale", .words = "32 64 128",
     .set = mc_set_number, FIELD(kv_group), .least = 32, .most = 128},
    {.name = "kv-window", .arg = "N", .heading = MC_HEADING_CALIBRATION, .commands = ON(quantize),
     .help = "newest tokens of the cache that stay as they are",
     .set = mc_set_kv_window, FIELD(kv_window), .least = 0, .most = 1 << 20},
    {.name = "observer", .arg = "NAME[:K=V]", .heading = MC_HEADING_CALIBRATION,
     .commands = ON(quantize), .help = "how static scales are chosen", .word_at = observer_at,
     .set = mc_set_observer, FIELD(observer)},
    {.name = "preset", .arg = "NAME", .heading = MC_HEADING_PLAN, .commands = ON(quantize),
     .help = "a set of options by name (see 'methods')", .word_at = preset_at,
     .set = mc_set_preset, FIELD(preset)},
    {.name = "explain", .arg = "TENSOR", .heading = MC_HEADING_PLAN, .commands = ON(quantize),
     .help = "say why a tensor got what it got", .repeats = true, .set = mc_set_explain},
    {.name = "bits", .arg = "REGEX=N", .heading = MC_HEADING_PLAN, .commands = ON(quantize),
     .help = "N bits for matching tensors; the last match wins", .repeats = true,
     .set = mc_set_bits},
    {.name = "keep", .arg = "REGEX", .heading = MC_HEADING_PLAN, .commands = ON(quantize),
     .help = "leave matching tensors as they are", .repeats = true, .set = mc_set_keep},
    {.name = "no-fallback", .heading = MC_HEADING_PLAN, .commands = ON(quantize),
     .help = "exit 4 when a tensor cannot take the scheme",
     .set = mc_set_true, FIELD(no_fallback)},
    {.name = "target", .arg = "NAME", .heading = MC_HEADING_PLAN, .commands = ON(quantize),
     .help = "the device to pack for (see 'targets')", .word_at = target_at,
     .set = mc_set_target, FIELD(target)},
    {.name = "align", .arg = "N", .heading = MC_HEADING_PLAN, .commands = ON(quantize),
     .help = "align sections to N bytes, 64 to 4096", .set = mc_set_align, FIELD(align),
     .least = 64, .most = 4096},
    {.name = "compress", .heading = MC_HEADING_PLAN, .commands = ON(quantize),
     .help = "zlib for each section that shrinks", .set = mc_set_true, FIELD(compress)},
    {.name = "no-side-files", .heading = MC_HEADING_PLAN, .commands = ON(quantize),
     .help = "leave config.json and the tokenizer out",
     .set = mc_set_true, FIELD(no_side_files)},
    {.name = "max-flash", .arg = "SIZE", .heading = MC_HEADING_PLAN, .commands = ON(quantize),
     .help = "exit 7 when the container is larger", .set = mc_set_size, FIELD(max_flash)},
    {.name = "dry-run", .heading = MC_HEADING_PLAN, .commands = ON(quantize),
     .help = "print the plan and write nothing", .set = mc_set_true, FIELD(dry_run)},

    {.name = "reference", .arg = "IN", .heading = MC_HEADING_INPUT, .commands = ON(verify),
     .help = "the model the container was made from", .file = true,
     .set = mc_set_text, FIELD(reference)},
    {.name = "data", .arg = "[NAME=]DATA", .heading = MC_HEADING_DATA,
     .commands = ON(quantize) | ON(calibrate) | ON(verify),
     .help = "run both models on it: npz, ids, text, folder",
     .repeats = true, .file = true, .set = mc_set_data},
    {.name = "quick", .arg = "N", .heading = MC_HEADING_DATA, .commands = ON(quantize) | ON(verify),
     .help = "only N samples of each data set", .set = mc_set_number, FIELD(quick),
     .least = 1, .most = UINT64_MAX},
    {.name = "seed", .arg = "N", .heading = MC_HEADING_DATA,
     .commands = ON(quantize) | ON(calibrate) | ON(verify),
     .help = "shuffle samples by it", .set = mc_set_seed, FIELD(seed), .most = UINT64_MAX},
    {.name = "window", .arg = "N", .heading = MC_HEADING_DATA,
     .commands = ON(quantize) | ON(calibrate) | ON(verify), .help = "tokens of a sample of text",
     .set = mc_set_number, FIELD(window), .least = 2, .most = 1 << 20},
    {.name = "numerics", .arg = "KIND", .heading = MC_HEADING_DATA,
     .commands = ON(quantize) | ON(verify), .help = "float, fake-quant or integer activations",
     .words = "float fake-quant integer", .set = mc_set_word, FIELD(numerics)},
    {.name = "dump", .arg = "FILE.npz", .heading = MC_HEADING_DATA,
     .commands = ON(quantize) | ON(verify), .help = "write both models' outputs", .file = true,
     .set = mc_set_text, FIELD(dump)},
    {.name = "score", .arg = "CMD", .heading = MC_HEADING_DATA,
     .commands = ON(quantize) | ON(verify),
     .help = "a program that prints a number for the dump", .set = mc_set_text, FIELD(score)},
    {.name = "logits-out", .arg = "FILE", .heading = MC_HEADING_DATA, .commands = ON(verify),
     .help = "write the original's for llama-perplexity", .file = true,
     .set = mc_set_text, FIELD(logits_out)},
    {.name = "logits-in", .arg = "FILE", .heading = MC_HEADING_DATA, .commands = ON(verify),
     .help = "compare with a file of llama-perplexity", .file = true,
     .set = mc_set_text, FIELD(logits_in)},

    {.name = "no-follow", .heading = MC_HEADING_INPUT, .commands = MODELS,
     .help = "refuse symbolic links among the inputs", .set = mc_set_true, FIELD(no_follow)},
    {.name = "external-data", .arg = "KIND", .heading = MC_HEADING_INPUT, .commands = MODELS,
     .help = "files an ONNX model names: strict, follow, none", .words = "strict follow none",
     .set = mc_set_word, FIELD(external)},

    {.name = "force", .heading = MC_HEADING_OUTPUT,
     .commands = ON(quantize) | ON(calibrate) | ON(verify),
     .help = "replace whatever the output is now", .set = mc_set_true, FIELD(force)},
    {.name = "write-if-changed", .heading = MC_HEADING_OUTPUT, .commands = ON(quantize),
     .help = "keep OUT and its time when its bytes stay",
     .set = mc_set_true, FIELD(write_if_changed)},
    {.name = "no-fsync", .heading = MC_HEADING_OUTPUT,
     .commands = ON(quantize) | ON(calibrate),
     .help = "leave writing to disk to the system", .set = mc_set_true, FIELD(no_fsync)},
    {.brief = "MD", .heading = MC_HEADING_OUTPUT, .commands = ON(quantize),
     .help = "write a depfile for make or ninja, OUT.d", .set = mc_set_true, FIELD(depfile)},
    {.brief = "MF", .arg = "FILE", .heading = MC_HEADING_OUTPUT, .commands = ON(quantize),
     .help = "the name of that depfile", .file = true, .set = mc_set_text, FIELD(depfile_path)},

    {.name = "report", .arg = "FILE", .heading = MC_HEADING_REPORT,
     .commands = ON(quantize) | ON(verify), .help = "write the report as JSON", .file = true,
     .set = mc_set_text, FIELD(report)},
    {.name = "html", .arg = "FILE", .heading = MC_HEADING_REPORT,
     .commands = ON(quantize) | ON(verify), .help = "write the report as one page", .file = true,
     .set = mc_set_text, FIELD(html)},
    {.name = "require", .arg = "'METRIC OP N'", .heading = MC_HEADING_REPORT,
     .commands = ON(quantize) | ON(verify), .help = "exit 1 unless it holds; may be repeated",
     .repeats = true, .word_at = mc_report_metric_name, .set = mc_set_require},
    {.name = "strict", .heading = MC_HEADING_REPORT,
     .commands = ON(quantize) | ON(verify) | ON(diff),
     .help = "fail for what is not measured, or differs", .set = mc_set_true, FIELD(strict)},

    {.name = "threads", .brief = "j", .arg = "N", .heading = MC_HEADING_GENERAL,
     .commands = ON(quantize) | ON(calibrate) | ON(verify) | ON(diff),
     .help = "threads; 0: one per processor (the default)",
     .set = mc_set_unsigned, FIELD(threads), .least = 0, .most = 1024},
    {.name = "memory-limit", .arg = "SIZE", .heading = MC_HEADING_GENERAL,
     .commands = ON(quantize) | ON(calibrate) | ON(verify) | ON(diff),
     .help = "exit 7 when more would be needed",
     .set = mc_set_size, FIELD(memory_limit)},
    {.name = "json", .heading = MC_HEADING_GENERAL,
     .commands = MODELS | ON(methods) | ON(targets) | ON(version),
     .help = "print JSON", .set = mc_set_true, FIELD(json)},
    {.name = "man", .heading = MC_HEADING_GENERAL, .commands = ON(help),
     .help = "print the manual page's source", .set = mc_set_true, FIELD(man)},
    {.name = "quiet", .brief = "q", .heading = MC_HEADING_GENERAL, .commands = EVERY,
     .help = "errors only, no progress", .set = mc_set_true, FIELD(quiet)},
    {.name = "verbose", .brief = "v", .heading = MC_HEADING_GENERAL, .commands = EVERY,
     .help = "say more; twice: still more", .repeats = true, .set = mc_set_count, FIELD(verbose)},
    {.name = "version", .heading = MC_HEADING_GENERAL, .commands = EVERY,
     .help = "print the version", .set = mc_set_true, FIELD(version)},
    {.name = "help", .brief = "h", .heading = MC_HEADING_GENERAL, .commands = EVERY,
     .help = "print this help", .set = mc_set_true, FIELD(help)},
};
/* clang-format on */

const mc_option *mc_option_at(size_t i)
{
    return i < sizeof options / sizeof options[0] ? &options[i] : NULL;
}

const char *mc_heading_text(mc_heading heading)
{
    static const char *const text[MC_HEADING_COUNT] = {
        [MC_HEADING_SCHEME] = "Scheme", [MC_HEADING_PLAN] = "Plan",
        [MC_HEADING_CALIBRATION] = "Calibration",
        [MC_HEADING_INPUT] = "Input",   [MC_HEADING_DATA] = "Data",
        [MC_HEADING_OUTPUT] = "Output", [MC_HEADING_REPORT] = "Report",
        [MC_HEADING_GENERAL] = "General",
    };
    return text[heading];
}

bool mc_option_takes(const mc_option *option, const mc_command *command)
{
    if (!command) return option->commands == EVERY;
    return (option->commands >> mc_command_index(command) & 1) != 0;
}

const char *mc_option_text(const mc_option *option, char text[MC_OPTION_TEXT])
{
    snprintf(text, MC_OPTION_TEXT, "%s%s", option->name ? "--" : "-",
             option->name ? option->name : option->brief);
    return text;
}

bool mc_option_is_scheme(const mc_option *option)
{
    return option->set == mc_set_scheme;
}

bool mc_scheme_matches(const char *name)
{
    return name[0] == 'w' && name[1] >= '0' && name[1] <= '9';
}

const char *mc_option_word(const mc_option *option, size_t i, char room[MC_OPTION_WORD])
{
    if (option->word_at) return option->word_at(i);
    if (!option->words) return NULL;

    const char *at = option->words;
    for (; i > 0 && at; i--) {
        at = strchr(at, ' ');
        if (at) at++;
    }
    if (!at) return NULL;
    snprintf(room, MC_OPTION_WORD, "%.*s", (int)strcspn(at, " "), at);
    return room;
}

void mc_option_words(const mc_option *option, char *text, size_t room)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; used < room; i++) {
        char word[MC_OPTION_WORD];
        const char *name = mc_option_word(option, i, word);
        if (!name) return;
        const int n = snprintf(text + used, room - used, "%s%s", i ? ", " : "", name);
        if (n < 0) return;
        used += (size_t)n;
    }
}
