/* The command line: what is understood, and what is refused in which words. */
#include "cli/commands.h"
#include "cli/options_table.h"
#include "cli/options_values.h"
#include "cli/suggest.h"
#include "core/nearest.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { WORDS = 64 };

static unsigned char memory[1 << 16];
static char text[1024];
static char *words[WORDS];

/* Parses a line that is cut at blanks; ' for a word with blanks inside. */
static mc_status parse(const char *line, mc_options *out, mc_err *err)
{
    int argc = 0;
    bool quoted = false, inside = false;
    snprintf(text, sizeof text, "mcompress %s", line);
    for (char *at = text; *at; at++) {
        if (*at == '\'') {
            quoted = !quoted;
            if (!inside) words[argc++] = at + 1;
            inside = true;
            memmove(at, at + 1, strlen(at));
            if (words[argc - 1] == at + 1) words[argc - 1] = at;
            at--;
        } else if (*at == ' ' && !quoted) {
            *at = '\0';
            inside = false;
        } else if (!inside) {
            words[argc++] = at;
            inside = true;
        }
        cr_assert(argc < WORDS);
    }
    words[argc] = NULL;
    mc_arena arena = {memory, memory + sizeof memory};
    return mc_options_parse(argc, words, &arena, out, err);
}

static mc_options understood(const char *line)
{
    mc_options options;
    mc_err err = {0};
    cr_assert_eq(parse(line, &options, &err), MC_OK, "%s: %s", line, err.text);
    return options;
}

static void refused(const char *line, const char *message)
{
    mc_options options;
    mc_err err = {0};
    cr_expect_eq(parse(line, &options, &err), MC_E_USAGE, "%s", line);
    cr_expect_str_eq(err.text, message, "%s\n gave %s\n not  %s", line, err.text, message);
}

/* ---- what is understood ---- */

Test(options, come_before_between_and_behind_arguments)
{
    const char *const lines[] = {
        "quantize --w4a8 --group 64 -j 3 a b", "quantize a --w4a8 --group=64 b -j3",
        "--w4a8 --group 64 quantize a -j 3 b", "quantize --group 64 --threads=3 --w4a8 -- a b"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        const mc_options o = understood(lines[i]);
        cr_expect_eq(o.command, &mc_cmd_quantize);
        cr_expect_eq(o.args, 2);
        cr_expect_str_eq(o.arg[0], "a");
        cr_expect_str_eq(o.arg[1], "b");
        cr_expect_eq(o.weight_bits, 4.0);
        cr_expect_eq(o.activation_bits, 8u);
        cr_expect_eq(o.kv_bits, 0u);
        cr_expect_eq(o.group_kind, MC_GROUP_SIZE);
        cr_expect_eq(o.group, 64u);
        cr_expect_eq(o.threads, 3u);
        cr_expect_str_eq(o.argv[1], words[1]);
    }
}

Test(options, behind_two_dashes_are_arguments)
{
    const mc_options o = understood("quantize --w8 -- --json -");
    cr_expect(!o.json);
    cr_expect_str_eq(o.arg[0], "--json");
    cr_expect_str_eq(o.arg[1], "-");
}

Test(options, all_have_a_place_to_go)
{
    const mc_options o = understood(
        "quantize in out --w1.58a16kv4 --sym --sym-grid restricted --scale-dtype bf16 "
        "--levels ternary --method mse --bits attn=8 --bits 'a=b=1.58' --keep norm --keep bias "
        "--no-fallback --target generic --align 4096 --compress --max-flash 2MiB --dry-run "
        "--no-follow --force --write-if-changed --no-fsync -MD -MF x.d --report r.json --html "
        "r.html "
        "--strict --memory-limit 1G --json -v -v");
    cr_expect_eq(o.weight_bits, 1.58);
    cr_expect_eq(o.activation_bits, 16u);
    cr_expect_eq(o.kv_bits, 4u);
    cr_expect_eq(o.symmetry, MC_SYM);
    cr_expect_eq(o.sym_grid, MC_SYM_GRID_RESTRICTED);
    cr_expect_eq(o.scale_dtype, MC_BF16);
    cr_expect_str_eq(o.levels, "ternary");
    cr_expect_str_eq(o.method, "mse");
    cr_assert_eq(o.bits_rules, 2u);
    cr_expect_str_eq(o.bits[0].pattern, "attn");
    cr_expect_eq(o.bits[0].bits, 8.0);
    cr_expect_str_eq(o.bits[1].pattern, "a=b");
    cr_expect_eq(o.bits[1].bits, 1.58);
    cr_assert_eq(o.keeps, 2u);
    cr_expect_str_eq(o.keep[0], "norm");
    cr_expect_str_eq(o.keep[1], "bias");
    cr_expect(o.no_fallback && o.compress && o.dry_run && o.no_follow && o.force);
    cr_expect(o.write_if_changed && o.no_fsync && o.depfile && o.strict && o.json && !o.quiet);
    cr_expect_str_eq(o.target, "generic");
    cr_expect_eq(o.align, 4096u);
    cr_expect_eq(o.max_flash, 2u << 20);
    cr_expect_str_eq(o.depfile_path, "x.d");
    cr_expect_str_eq(o.report, "r.json");
    cr_expect_str_eq(o.html, "r.html");
    cr_expect_eq(o.memory_limit, 1u << 30);
    cr_expect_eq(o.verbose, 2u);
}

Test(options, of_asymmetric_grids_and_two_level_scales)
{
    mc_options o =
        understood("quantize a b --w2 --asym --zero float --scale-dtype k6x8 --group channel");
    cr_expect_eq(o.weight_bits, 2.0);
    cr_expect_eq(o.activation_bits, 0u);
    cr_expect_eq(o.symmetry, MC_ASYM);
    cr_expect_eq(o.zero, MC_ZERO_FLOAT);
    cr_expect_eq(o.scale_dtype, MC_F16);
    cr_expect_eq(o.sub_bits, 6u);
    cr_expect_eq(o.super, 8u);
    cr_expect_eq(o.group_kind, MC_GROUP_CHANNEL);

    o = understood("quantize a b --w4 --scale-dtype e4m3xf32");
    cr_expect_eq(o.scale_dtype, MC_F8_E4M3);
    cr_expect(o.tensor_scaled);
    cr_expect_eq(o.sub_bits, 0u);
    o = understood("quantize a b --w4 --scale-dtype e4m3");
    cr_expect_eq(o.scale_dtype, MC_F8_E4M3);
    cr_expect_not(o.tensor_scaled);

    o = understood("quantize a b --w2 --group tensor --scale-dtype k8x64 -MFx.d -MD");
    cr_expect_eq(o.group_kind, MC_GROUP_TENSOR);
    cr_expect_eq(o.sub_bits, 8u);
    cr_expect_eq(o.super, 64u);
    cr_expect_str_eq(o.depfile_path, "x.d");
}

Test(options, of_verify)
{
    const mc_options o = understood("verify c.bin --reference m --require 'min_tensor_sqnr_db>=20' "
                                    "--require 'container_bytes <= 262144' -q");
    cr_expect_eq(o.command, &mc_cmd_verify);
    cr_expect_str_eq(o.reference, "m");
    cr_assert_eq(o.requires, 2u);
    cr_expect_str_eq(o.require[0], "min_tensor_sqnr_db>=20");
    cr_expect_str_eq(o.require[1], "container_bytes <= 262144");
    cr_expect(o.quiet);
}

Test(options, of_running_the_models)
{
    const mc_options o = understood(
        "verify v.bin --reference in --data eval.npz --quick 100 --seed 0 --window 256 "
        "--numerics integer --dump d.npz --score './score.sh -x' --logits-out l.bin --logits-in "
        "m.bin");
    cr_assert_eq(o.datas, 1u);
    cr_expect_str_eq(o.data[0].name, "");
    cr_expect_str_eq(o.data[0].path, "eval.npz");
    cr_expect_eq(o.quick, 100u);
    cr_expect(o.seeded);
    cr_expect_eq(o.seed, 0u);
    cr_expect_eq(o.window, 256u);
    cr_expect_eq(o.numerics, MC_NUMERICS_SAID_INTEGER);
    cr_expect_str_eq(o.dump, "d.npz");
    cr_expect_str_eq(o.score, "./score.sh -x");
    cr_expect_str_eq(o.logits_out, "l.bin");
    cr_expect_str_eq(o.logits_in, "m.bin");
    cr_expect_eq(understood("verify v.bin --numerics float").numerics, MC_NUMERICS_SAID_FLOAT);
    cr_expect_eq(understood("quantize --w4 a b --numerics fake-quant").numerics,
                 MC_NUMERICS_SAID_FAKE_QUANT);
    cr_expect_eq(understood("verify v.bin --seed 18446744073709551615").seed, UINT64_MAX);

    const mc_options none = understood("verify v.bin");
    cr_expect_eq(none.datas, 0u);
    cr_expect_eq(none.numerics, MC_NUMERICS_UNSET);
    cr_expect_not(none.seeded);
}

Test(options, data_sets_may_have_names)
{
    const mc_options o = understood("quantize --w4 a b --data wiki=w.txt --data=Code_2-x=c=d.txt "
                                    "--data ./e=f.txt");
    static const char *const names[] = {"wiki", "Code_2-x", ""};
    static const char *const paths[] = {"w.txt", "c=d.txt", "./e=f.txt"};
    cr_assert_eq(o.datas, 3u);
    for (size_t i = 0; i < 3; i++) {
        cr_expect_str_eq(o.data[i].name, names[i]);
        cr_expect_str_eq(o.data[i].path, paths[i]);
    }
}

Test(options, help_and_version_need_no_arguments)
{
    cr_expect_eq(understood("--help").command, &mc_cmd_help);
    cr_expect_eq(understood("-h").command, &mc_cmd_help);
    cr_expect_eq(understood("--version").command, &mc_cmd_version);
    const mc_options o = understood("quantize --help");
    cr_expect_eq(o.command, &mc_cmd_quantize);
    cr_expect(o.help);
}

/* ---- sizes and numbers ---- */

static uint64_t size_of(const char *value)
{
    uint64_t bytes = 0;
    bool fits = false;
    cr_assert(mc_parse_size(value, &bytes, &fits), "%s", value);
    cr_assert(fits, "%s", value);
    return bytes;
}

Test(sizes, have_units_of_1024_and_of_1000)
{
    cr_expect_eq(size_of("65536"), 65536u);
    cr_expect_eq(size_of("7B"), 7u);
    cr_expect_eq(size_of("64K"), 65536u);
    cr_expect_eq(size_of("64KiB"), 65536u);
    cr_expect_eq(size_of("64kB"), 64000u);
    cr_expect_eq(size_of("2MiB"), 2u << 20);
    cr_expect_eq(size_of("3MB"), 3000000u);
    cr_expect_eq(size_of("1G"), 1u << 30);
    cr_expect_eq(size_of("2GB"), 2000000000u);
    cr_expect_eq(size_of("1TiB"), UINT64_C(1) << 40);
    cr_expect_eq(size_of("18446744073709551615"), UINT64_MAX);
    cr_expect_eq(size_of("16777215TiB"), UINT64_C(16777215) << 40);
}

Test(sizes, that_are_none_are_refused)
{
    const char *const bad[] = {"",    "K",    "1.5G", "-1",  "+1",  " 1",   "1 ",
                               "1,0", "0x10", "1k",   "1e3", "1KB", "1MiBs"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t bytes;
        bool fits;
        cr_expect(!mc_parse_size(bad[i], &bytes, &fits), "%s", bad[i]);
    }
}

Test(sizes, beyond_64_bits_do_not_fit)
{
    const char *const big[] = {"18446744073709551616", "16777216TiB", "99999999999999999999999K"};
    for (size_t i = 0; i < sizeof big / sizeof big[0]; i++) {
        uint64_t bytes;
        bool fits = true;
        cr_expect(mc_parse_size(big[i], &bytes, &fits), "%s", big[i]);
        cr_expect(!fits, "%s", big[i]);
    }
}

Test(numbers, are_digits_only_and_bounded)
{
    uint64_t n;
    cr_expect(mc_parse_u64("0", 10, &n) && n == 0);
    cr_expect(mc_parse_u64("10", 10, &n) && n == 10);
    cr_expect(!mc_parse_u64("11", 10, &n));
    cr_expect(!mc_parse_u64("", 10, &n));
    cr_expect(!mc_parse_u64("-1", 10, &n));
    cr_expect(!mc_parse_u64("1x", 10, &n));
    cr_expect(!mc_parse_u64("18446744073709551616", UINT64_MAX, &n));
}

/* ---- messages ---- */

Test(messages, of_the_scheme)
{
    refused("quantize --w9a8", "--w9a8: weight bits 9, allowed: 1, 1.58, 2 to 8");
    refused("quantize --w16", "--w16: weight bits 16, allowed: 1, 1.58, 2 to 8");
    refused("quantize --w1.5a8", "--w1.5a8: weight bits 1.5, allowed: 1, 1.58, 2 to 8");
    refused("quantize --w4a5", "--w4a5: activation bits 5, allowed: 4, 8, 16");
    refused("quantize --w4a", "--w4a: activation bits missing, allowed: 4, 8, 16");
    refused("quantize --w4a8kv2", "--w4a8kv2: KV cache bits 2, allowed: 4, 8, 16");
    refused("quantize --w4a8x", "--w4a8x: 'x' is too much, expected --wX, --wXaY or --wXaYkvZ");
    refused("quantize --w4kv8", "--w4kv8: 'kv8' is too much, expected --wX, --wXaY or --wXaYkvZ");
    refused("quantize --w4a8=1", "--wXaY[kvZ] takes no value, found '1'");
    refused("quantize --w4a8 --w8a8", "--wXaY[kvZ] is given twice");
}

Test(messages, of_values)
{
    refused("quantize --group 0", "--group 0: allowed: 1 to 4294967295, channel, tensor");
    refused("quantize --group row", "--group row: allowed: 1 to 4294967295, channel, tensor");
    refused("quantize --sym-grid half", "--sym-grid half: allowed: full, restricted, positive");
    refused("quantize --zero none", "--zero none: allowed: integer, float");
    refused("quantize --scale-dtype f8", "--scale-dtype f8: allowed: f16, bf16, f32, e8m0, e4m3, "
                                         "e4m3xf32, or kBxG with B 4 to 8 and G 2 to 256");
    const char *const two_level[] = {"k9x8", "k3x8", "k6x257", "k6x1", "k6", "x8", "k6x8x", "K6x8"};
    for (size_t i = 0; i < sizeof two_level / sizeof two_level[0]; i++) {
        char line[64], message[160];
        snprintf(line, sizeof line, "quantize --scale-dtype %s", two_level[i]);
        snprintf(
            message, sizeof message,
            "--scale-dtype %s: allowed: f16, bf16, f32, e8m0, e4m3, e4m3xf32, or kBxG with B 4 "
            "to 8 and G 2 to 256",
            two_level[i]);
        refused(line, message);
    }
    refused("quantize --target mars", "--target mars: allowed: generic");
    refused("quantize --align 100", "--align 100: allowed: a power of two, 64 to 4096");
    refused("quantize --align 8192", "--align 8192: allowed: a power of two, 64 to 4096");
    refused("quantize --max-flash 1.5G",
            "--max-flash 1.5G: allowed: a number of bytes such as 65536, 64KiB, 2MiB or 1GiB");
    refused("quantize --max-flash 0", "--max-flash 0: allowed: 1 byte or more");
    refused("quantize --memory-limit 99999999T",
            "--memory-limit 99999999T: allowed: less than 2^64 bytes");
    refused("quantize --threads 1025", "--threads 1025: allowed: 0 to 1024");
    refused("quantize -j x", "--threads x: allowed: 0 to 1024");
    refused("quantize -j9x", "--threads 9x: allowed: 0 to 1024");
}

Test(messages, of_data_sets)
{
    refused("verify v.bin --data a --data b",
            "--data b: has no name; several data sets need a name each");
    refused("verify v.bin --data x=a --data y=b --data x=c",
            "--data x=c: the name is taken; several data sets need a name each");
    refused("verify v.bin --data x=", "--data x=: allowed: a file or folder, or NAME=FILE");
    refused("verify v.bin --data=", "--data needs a value: [NAME=]DATA, found ''");
    refused("verify v.bin --data", "--data needs a value: [NAME=]DATA");
    refused("verify v.bin --quick 0", "--quick 0: allowed: 1 to 18446744073709551615");
    refused("verify v.bin --quick -1", "--quick -1: allowed: 1 to 18446744073709551615");
    refused("verify v.bin --seed x", "--seed x: allowed: 0 to 18446744073709551615");
    refused("verify v.bin --window 1", "--window 1: allowed: 2 to 1048576");
    refused("verify v.bin --window 1048577", "--window 1048577: allowed: 2 to 1048576");
    refused("verify v.bin --numerics int", "--numerics int: allowed: float, fake-quant, integer");
    refused("verify v.bin --dump", "--dump needs a value: FILE.npz");
    refused("quantize --w4 a b --logits-out l",
            "quantize does not take --logits-out; it is an option of verify");
    refused("inspect v.bin --data a",
            "inspect does not take --data; it is an option of quantize, calibrate and verify");
}

Test(messages, of_rules)
{
    refused("quantize --bits attn", "--bits attn: no '=', expected REGEX=N");
    refused("quantize --bits attn=9", "--bits attn=9: bits 9, allowed: 1, 1.58, 2 to 8, 16");
    refused("quantize --bits attn=", "--bits attn=: bits missing, allowed: 1, 1.58, 2 to 8, 16");
    refused("quantize --bits '(=4'", "--bits (: Unmatched ( or \\(");
    refused("quantize --keep '(a{99}){99}'",
            "--keep (a{99}){99}: its repetitions multiply beyond 1024");
    refused("quantize --keep '((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)'",
            "--keep ((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+): its repetitions multiply beyond 1024");
    refused("quantize --keep 'a++'", "--keep a++: two repetitions in a row");
    refused("quantize --keep 'a{2}*'", "--keep a{2}*: two repetitions in a row");
    refused("quantize --keep 'a[b'", "--keep a[b: Unmatched [, [^, [:, [., or [=");
}

Test(messages, of_names_in_other_tables)
{
    mc_options options;
    mc_err err = {0};
    cr_expect_eq(parse("quantize --levels int4", &options, &err), MC_E_USAGE);
    cr_expect(strncmp(err.text, "--levels int4: allowed: binary, ternary, ", 41) == 0, "%s",
              err.text);
    cr_expect_eq(parse("quantize --method magic", &options, &err), MC_E_USAGE);
    cr_expect(strncmp(err.text, "--method: ", 10) == 0, "%s", err.text);
    cr_expect_eq(parse("verify --require 'beauty>=1'", &options, &err), MC_E_USAGE);
    cr_expect(strncmp(err.text, "--require: ", 11) == 0, "%s", err.text);
}

Test(messages, of_missing_values)
{
    refused("quantize --group", "--group needs a value: N");
    refused("quantize --report --json", "--report needs a value: FILE, found the option --json");
    refused("quantize --report=", "--report needs a value: FILE, found ''");
    refused("quantize --json=yes", "--json takes no value, found 'yes'");
    refused("quantize -MF", "-MF needs a value: FILE");
}

Test(messages, of_repetitions_and_contradictions)
{
    refused("quantize --group 32 --group=64", "--group is given twice");
    refused("quantize -j 2 --threads 3", "--threads is given twice");
    refused("quantize --sym --asym", "--sym and --asym contradict each other");
    refused("quantize --asym --sym", "--asym and --sym contradict each other");
    refused("quantize a b -q -v", "--quiet and --verbose contradict each other");
    refused("quantize a b --asym --sym-grid full", "--sym-grid is about --sym, found --asym");
    refused("quantize a b --sym --zero float", "--zero is about --asym, found --sym");
    refused("quantize a b -MF x.d", "-MF names the depfile of -MD, which is missing");
    understood("quantize a b --json --json --sym --sym");
}

Test(messages, of_what_is_unknown)
{
    refused("quantize --quiett", "unknown option --quiett; did you mean --quiet?");
    refused("quantize --gruop=4", "unknown option --gruop; did you mean --group?");
    refused("quantize --memroy-limt=1G",
            "unknown option --memroy-limt; did you mean --memory-limit?");
    refused("quantize --verb", "unknown option --verb; did you mean --verbose?");
    refused("quantize -json", "unknown option -json; did you mean --json?");
    refused("quantize -MDx", "unknown option -MDx; did you mean -MD?");
    refused("quantize -z", "unknown option -z; 'mcompress help' lists all");
    refused("quantize --calibration", "unknown option --calibration; 'mcompress help' lists all");
    refused("quantise a b", "unknown command 'quantise'; did you mean quantize?");
    refused("frobnicate", "unknown command 'frobnicate'; 'mcompress help' lists all");
    refused("--json", "no command; 'mcompress help' lists all");
}

Test(messages, of_options_that_the_command_does_not_take)
{
    refused("verify c --group 32", "verify does not take --group; it is an option of quantize");
    refused("inspect f --html x",
            "inspect does not take --html; it is an option of quantize and verify");
    refused("methods --strict",
            "methods does not take --strict; it is an option of quantize, verify and diff");
    refused("verify c -MD", "verify does not take -MD; it is an option of quantize");
}

Test(messages, of_the_number_of_arguments)
{
    refused("diff", "diff: arguments are missing; usage: mcompress diff [OPTIONS] A B");
    refused("diff a", "diff: an argument is missing; usage: mcompress diff [OPTIONS] A B");
    refused("diff a b c", "diff: unexpected 'c'; usage: mcompress diff [OPTIONS] A B");
    refused("methods x", "methods: unexpected 'x'; usage: mcompress methods [OPTIONS]");
}

/* ---- the tables ---- */

Test(edit_distance, counts_letters_and_swaps)
{
    cr_expect_eq(mc_edit_distance("", 0, "", 0), 0u);
    cr_expect_eq(mc_edit_distance("abc", 3, "", 0), 3u);
    cr_expect_eq(mc_edit_distance("kitten", 6, "sitting", 7), 3u);
    cr_expect_eq(mc_edit_distance("ca", 2, "ac", 2), 1u);
    cr_expect_eq(mc_edit_distance("gruop", 5, "group", 5), 1u);
    char longer[80] = "";
    cr_expect_eq(mc_edit_distance(longer, 64, "a", 1), UINT_MAX);
}

Test(option_table, says_each_thing_once)
{
    const mc_option *a, *b;
    for (size_t i = 0; (a = mc_option_at(i)); i++) {
        cr_expect(a->set && a->help && (a->name || a->brief), "entry %zu", i);
        cr_expect_neq(a->commands, 0u, "entry %zu", i);
        cr_expect(strlen(a->help) <= 50, "%s", a->help);
        for (size_t k = 0; k < i; k++) {
            b = mc_option_at(k);
            cr_expect(!a->name || !b->name || strcmp(a->name, b->name) != 0, "%s", a->name);
            cr_expect(!a->brief || !b->brief || strcmp(a->brief, b->brief) != 0, "%s", a->brief);
        }
    }
}

/* Help promises them, so they must be taken. */
Test(option_table, takes_every_named_value)
{
    const mc_option *option;
    for (size_t i = 0; (option = mc_option_at(i)); i++) {
        char room[MC_OPTION_WORD];
        const char *word;
        if (option->repeats) continue; /* metrics are half of a value */
        for (size_t k = 0; (word = mc_option_word(option, k, room)); k++) {
            char line[128];
            if (mc_option_is_scheme(option))
                snprintf(line, sizeof line, "quantize a b --%s", word);
            else
                snprintf(line, sizeof line, "quantize a b --%s %s", option->name, word);
            understood(line);
        }
    }
}

Test(commands, have_names_summaries_and_examples)
{
    const mc_command *command;
    for (size_t i = 0; (command = mc_command_at(i)); i++) {
        cr_expect_eq(mc_command_find(command->name), command);
        cr_expect_eq(mc_command_index(command), i);
        cr_expect(command->run && command->args && strlen(command->summary) > 0, "%s",
                  command->name);
        cr_expect(command->least_args <= command->most_args && command->most_args <= 4);
    }
    cr_expect_null(mc_command_find("nothing"));
}
