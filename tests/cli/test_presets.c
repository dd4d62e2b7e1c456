/* Presets: each is a command line that is understood, and what the user says himself wins. */
#include "cli/presets.h"

#include "cli/commands.h"
#include "cli/options_table.h"
#include "calib/observe.h"
#include "quant/chain.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { WORDS = 32 };

/* Options point into what they were read from: the last two lines stay. */
static unsigned char memory[2][1 << 16];
static char texts[2][1024];
static size_t turn;
static mc_err err;

static mc_status parse(const char *line, mc_options *out)
{
    turn = 1 - turn;
    char *words[WORDS], *rest = texts[turn];
    int argc = 0;
    snprintf(texts[turn], sizeof texts[turn], "mcompress %s", line);
    for (char *word; (word = strtok_r(rest, " ", &rest));) words[argc++] = word;
    words[argc] = NULL;
    mc_arena arena = {memory[turn], memory[turn] + sizeof memory[turn]};
    err = (mc_err){0};
    return mc_options_parse(argc, words, &arena, out, &err);
}

static mc_options understood(const char *line)
{
    mc_options o;
    cr_assert_eq(parse(line, &o), MC_OK, "%s: %s", line, err.text);
    return o;
}

static void refused(const char *line, const char *message)
{
    mc_options o;
    cr_expect_eq(parse(line, &o), MC_E_USAGE, "%s", line);
    cr_expect_str_eq(err.text, message, "%s\n gave %s\n not  %s", line, err.text, message);
}

/* The command line that a preset stands for: its options with a command in front and the names
 * behind. */
static mc_options spelled_out(const mc_preset *preset, const char *scheme)
{
    char line[512];
    snprintf(line, sizeof line, "quantize %s %s --calib d a b", scheme, preset->options);
    return understood(line);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void expect_same(const mc_options *a, const mc_options *b, const char *name)
{
    cr_expect_eq(a->weight_bits, b->weight_bits, "%s", name);
    cr_expect_eq(a->activation_bits, b->activation_bits, "%s", name);
    cr_expect_eq(a->kv_bits, b->kv_bits, "%s", name);
    cr_expect(same_text(a->method, b->method), "%s", name);
    cr_expect(same_text(a->observer, b->observer), "%s", name);
    cr_expect_eq(a->group_kind, b->group_kind, "%s", name);
    cr_expect_eq(a->group, b->group, "%s", name);
    cr_expect_eq(a->symmetry, b->symmetry, "%s", name);
    cr_expect_eq(a->zero, b->zero, "%s", name);
    cr_expect_eq(a->act, b->act, "%s", name);
    cr_expect(same_text(a->levels, b->levels), "%s", name);
}

Test(presets, each_is_the_options_that_it_names)
{
    size_t n = 0;
    for (const mc_preset *p; (p = mc_preset_at(n)); n++) {
        char line[256];
        const char *scheme = n < 4 ? "--w4a8" : ""; /* the first four take any */
        snprintf(line, sizeof line, "quantize %s --calib d --preset %s a b", scheme, p->name);
        const mc_options got = understood(line), wanted = spelled_out(p, scheme);
        expect_same(&got, &wanted, p->name);
        cr_expect(got.weight_bits > 0.0, "%s brings no scheme", p->name);
        cr_expect_not_null(got.method, "%s", p->name);
        cr_expect_str_eq(got.preset, p->name);
        cr_expect_eq(mc_preset_find(p->name), p);
    }
    cr_expect_geq(n, 10);
    cr_expect_null(mc_preset_find("none"));
    cr_expect_null(mc_preset_find(""));
}

Test(presets, methods_and_observers_are_understood)
{
    for (size_t i = 0; mc_preset_at(i); i++) {
        mc_chain chain;
        mc_observe_setup observer;
        const mc_options o = spelled_out(mc_preset_at(i), i < 4 ? "--w4a8" : "");
        cr_expect_eq(mc_chain_parse(o.method, &chain, &err), MC_OK, "%s: %s", mc_preset_at(i)->name,
                     err.text);
        cr_expect_not_null(chain.rounding.method, "%s", mc_preset_at(i)->name);
        if (!o.observer) continue;
        cr_expect_eq(mc_observe_setup_parse(o.observer, &observer, &err), MC_OK, "%s", err.text);
    }
}

Test(presets, what_is_said_wins_wherever_it_stands)
{
    static const char *const lines[] = {
        "quantize --preset w4g128 --group 64 --w3a8 --method rtn a b",
        "quantize --group 64 --w3a8 --method rtn --preset w4g128 a b",
        "--method rtn --preset=w4g128 quantize --w3a8 a b --group=64",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const mc_options o = understood(lines[i]);
        cr_expect_eq(o.weight_bits, 3.0);
        cr_expect_eq(o.activation_bits, 8u);
        cr_expect_eq(o.group, 64u);
        cr_expect_str_eq(o.method, "rtn");
    }
}

/* Two options that set one thing are the same choice. */
Test(presets, the_other_of_a_pair_wins_too)
{
    mc_options o = understood("quantize --preset w3g64 a b");
    cr_expect_eq(o.symmetry, MC_ASYM);
    o = understood("quantize --preset w3g64 --sym a b");
    cr_expect_eq(o.symmetry, MC_SYM);
    o = understood("quantize --sym --preset w3g64 a b");
    cr_expect_eq(o.symmetry, MC_SYM);
    o = understood("quantize --preset w3g64 --asym a b");
    cr_expect_eq(o.symmetry, MC_ASYM);
    o = understood("quantize --preset w8a16 --group tensor a b");
    cr_expect_eq(o.group_kind, MC_GROUP_TENSOR);
}

/* What hangs on an overruled option goes with it. */
Test(presets, options_that_would_mean_nothing_are_left_out)
{
    mc_options o = understood("quantize --w4a16 --preset data-free a b");
    cr_expect_neq(o.zero, 0);
    o = understood("quantize --w4a16 --preset data-free --sym a b");
    cr_expect_eq(o.symmetry, MC_SYM);
    cr_expect_eq(o.zero, 0);
    o = understood("quantize --preset w4a8-int a b");
    cr_expect_eq(o.act, MC_ACT_KIND_STATIC);
    cr_expect_str_eq(o.observer, "percentile:p=99.999");
    o = understood("quantize --preset w4a8-int --act dynamic a b");
    cr_expect_eq(o.act, MC_ACT_KIND_DYNAMIC);
    cr_expect_null(o.observer);
    o = understood("quantize --preset w4a8-int --act-per-channel a b");
    cr_expect_eq(o.act, MC_ACT_KIND_STATIC);
    cr_expect_null(o.observer);
    o = understood("quantize --preset w4a8-int --w4a16 a b");
    cr_expect_eq(o.act, MC_ACT_KIND_UNSET);
    cr_expect_null(o.observer);
    o = understood("quantize --preset w4a8-int --observer minmax a b");
    cr_expect_str_eq(o.observer, "minmax");
    cr_expect_eq(o.act, MC_ACT_KIND_STATIC);
}

Test(presets, are_refused_by_their_own_name)
{
    refused("quantize --preset best --preset fast a b", "--preset is given twice");
    refused("verify --preset best a", "verify does not take --preset; it is an option of quantize");
    refused("inspect --preset w4g128 a",
            "inspect does not take --preset; it is an option of quantize");
    refused("quantize --preset w4g128", "quantize: arguments are missing; usage: mcompress "
                                        "quantize [OPTIONS] IN OUT");
    refused("--preset best", "no command; 'mcompress help' lists all");
    mc_options o;
    cr_expect_eq(parse("quantize --preset bset a b", &o), MC_E_USAGE);
    cr_expect(strstr(err.text, "--preset bset: allowed: fast, balanced, best"), "%s", err.text);
    cr_expect_eq(parse("quantize --preset= a b", &o), MC_E_USAGE);
}

/* A contradiction that the user made himself stays one. */
Test(presets, do_not_hide_contradictions)
{
    refused("quantize --preset w3g64 --sym --zero float a b",
            "--zero is about --asym, found --sym");
}
