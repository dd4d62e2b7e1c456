/* Chains: what --method understands, and what it refuses in which words. */
#include "quant/chain.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static mc_chain chain;
static mc_err err;

static void understood(const char *text)
{
    cr_assert_eq(mc_chain_parse(text, &chain, &err), MC_OK, "%s: %s", text, err.text);
}

static void refused(const char *text, const char *message)
{
    err = (mc_err){0};
    cr_expect_eq(mc_chain_parse(text, &chain, &err), MC_E_USAGE, "%s", text);
    cr_expect_str_eq(err.text, message, "%s\n gave %s\n not  %s", text, err.text, message);
}

Test(chain, one_method_is_a_chain)
{
    understood("gptq");
    cr_expect_eq(chain.transforms, 0);
    cr_expect_str_eq(chain.rounding.method->name, "gptq");
    cr_expect_eq(chain.rounding.param[0], 0.01); /* damp, as it is when nothing is said */
    cr_expect_not(chain.correct[MC_CORRECTION_compensate] || chain.correct[MC_CORRECTION_bias]);
}

Test(chain, links_stand_in_the_order_given)
{
    understood("smoothquant:alpha=0.8+cle+compensate+gptaq:damp=0.05,rounds=7+bias");
    cr_assert_eq(chain.transforms, 2);
    cr_expect_str_eq(chain.transform[0].transform->name, "smoothquant");
    cr_expect_eq(chain.transform[0].setup.param[0], 0.8);
    cr_expect_null(chain.transform[0].setup.method);
    cr_expect_str_eq(chain.transform[1].transform->name, "cle");
    cr_expect_str_eq(chain.rounding.method->name, "gptaq");
    cr_expect_eq(chain.rounding.param[0], 0.05);
    cr_expect_eq(chain.rounding.param[4], 7.0);
    cr_expect(chain.correct[MC_CORRECTION_compensate] && chain.correct[MC_CORRECTION_bias]);
}

Test(chain, every_name_is_a_link_of_its_own)
{
    size_t methods = 0, transforms = 0, corrections = 0, n = 0;
    for (; mc_chain_name_at(n); n++) {
        understood(mc_chain_name_at(n));
        methods += chain.rounding.method != NULL;
        transforms += chain.transforms;
        for (size_t i = 0; i < MC_CORRECTION_COUNT; i++) corrections += chain.correct[i];
        for (size_t k = 0; k < n; k++) cr_expect_str_neq(mc_chain_name_at(k), mc_chain_name_at(n));
    }
    cr_expect_eq(corrections, (size_t)MC_CORRECTION_COUNT);
    cr_expect_eq(methods + transforms + corrections, n);
    cr_expect_null(mc_quant_at(methods));
    cr_expect_null(mc_transform_at(transforms));
    cr_expect_null(mc_correction_at(corrections));
}

/* A chain without a method leaves the choice to the plan. */
Test(chain, needs_no_method)
{
    understood("rotate");
    cr_expect_eq(chain.transforms, 1);
    cr_expect_null(chain.rounding.method);
    cr_expect_eq(mc_chain_wants(&chain), 0u);
    cr_expect_not(mc_chain_wants_data(&chain));
}

Test(chain, knows_what_data_it_wants)
{
    static const struct {
        const char *text;
        unsigned moments;
        bool data;
    } cases[] = {
        {"rtn", 0, false},
        {"hqq", 0, false},
        {"rotate+mse", 0, false},
        {"cle+rtn", 0, false},
        {"imatrix", MC_QUANT_SQUARES, true},
        {"gptq", MC_QUANT_GRAM, true},
        {"gptaq", MC_QUANT_GRAM | MC_QUANT_CROSS, true},
        {"awq+rtn", 0, true},
        {"smoothquant+rtn", 0, true},
        {"rtn+bias", 0, true},
        {"compensate+rtn", MC_QUANT_GRAM | MC_QUANT_CROSS, true},
        {"compensate+imatrix", MC_QUANT_SQUARES | MC_QUANT_GRAM | MC_QUANT_CROSS, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        understood(cases[i].text);
        cr_expect_eq(mc_chain_wants(&chain), cases[i].moments, "%s: %u", cases[i].text,
                     mc_chain_wants(&chain));
        cr_expect_eq(mc_chain_wants_data(&chain), cases[i].data, "%s", cases[i].text);
    }
}

Test(chain, refuses_orders_that_mean_nothing)
{
    refused("rtn+gptq", "rtn and gptq both choose codes; a chain has one such method");
    refused("gptq+gptq", "gptq and gptq both choose codes; a chain has one such method");
    refused("gptq+awq", "awq is a transform and stands in front of gptq");
    refused("gptq+compensate", "compensate comes before codes are chosen, in front of gptq");
    refused("compensate+compensate+gptq", "compensate is named twice");
    refused("gptq+bias+bias", "bias is named twice");
    refused("cle+cle+rtn", "cle is named twice");
    refused("awq+smoothquant+rtn", "awq and smoothquant both scale what norms give; take one");
    refused("rotate+awq+rtn", "rotate and awq exclude each other: behind a rotation a norm has no "
                              "channels of its own to be scaled");
    refused("awq+rotate+rtn", "awq and rotate exclude each other: behind a rotation a norm has no "
                              "channels of its own to be scaled");
}

Test(chain, refuses_corrections_out_of_place)
{
    refused("bias+gptq", "bias comes after codes were chosen, behind gptq");
    refused("compensate+awq+gptq", "awq is a transform and stands in front of compensate");
}

Test(chain, names_the_link_that_is_wrong)
{
    static const char *const texts[] = {"",
                                        "+",
                                        "gptq+",
                                        "+gptq",
                                        "gtpq",
                                        "gptq ",
                                        "gptq:dampp=1",
                                        "gptq:damp",
                                        "gptq:damp=2",
                                        "gptq:damp=nan",
                                        "awq:grid=0+rtn",
                                        "bias:x=1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        err = (mc_err){0};
        cr_expect_eq(mc_chain_parse(texts[i], &chain, &err), MC_E_USAGE, "%s", texts[i]);
        cr_expect(strlen(err.text) > 10, "%s: %s", texts[i], err.text);
    }
    cr_expect_eq(mc_chain_parse("awq+gtpq", &chain, &err), MC_E_USAGE);
    cr_expect(strstr(err.text, "there is no method \"gtpq\"; did you mean \"gptq\"?"), "%s",
              err.text);
}

/* More links than there is room for are refused, not written behind the end. */
Test(chain, holds_no_more_transforms_than_it_has_room_for)
{
    char text[256] = "";
    size_t n = 0;
    for (size_t i = 0; mc_transform_at(i); i++) {
        const mc_transform *t = mc_transform_at(i);
        if (t->rotates || (t->scales_norms && n++ > 0)) continue;
        strcat(text, t->name);
        strcat(text, "+");
    }
    strcat(text, "rtn");
    understood(text);
    cr_expect_leq(chain.transforms, (size_t)MC_CHAIN_TRANSFORMS);
}

Test(chain, what_auto_stands_for_is_understood)
{
    static const double bits[] = {1, 1.58, 2, 3, 4, 8};
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        for (int data = 0; data < 2; data++)
            for (int norms = 0; norms < 2; norms++) {
                understood(mc_auto_chain(bits[i], data, norms));
                cr_expect_not_null(chain.rounding.method);
                cr_expect(data || !mc_chain_wants_data(&chain));
                cr_expect_eq(data && bits[i] >= 2, mc_chain_wants_data(&chain));
            }
}
