/* The executor rounds the activations of sites: each once, nothing else, wherever a node is run
 * from. And what only moves numbers does not round them. */
#include "core/act.h"
#include "core/rotation.h"
#include "tests/support/draw.h"
#include "tests/support/pass_case.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    pass_case p; /* its graph `before`, and its inputs */
    mc_exec *exec;
    mc_run *run;
    mc_sites *sites;
} bench;

static bench open_bench(pass_case p, mc_exec_options o)
{
    bench b = {.p = p};
    o.name = "case";
    o.cache_bytes = UINT64_MAX;
    o.activation_bits = 8;
    mc_err *err = &b.p.err;
    cr_assert_eq(mc_graph_check(p.before, "case", err), MC_OK, "%s", err->text);
    b.sites = MC_NEW(&b.p.region.arena, mc_sites, 1);
    cr_assert_eq(mc_sites_find(p.before, &b.p.region.arena, b.sites, err), MC_OK);
    o.sites = b.sites;
    cr_assert_eq(mc_exec_open(p.before, &o, &b.exec, err), MC_OK, "%s", err->text);
    cr_assert_eq(mc_run_open(b.exec, (uint64_t)1 << 28, &b.run, err), MC_OK, "%s", err->text);
    return b;
}

static void close_bench(bench *b)
{
    mc_run_close(b->run);
    mc_exec_close(b->exec);
    pass_end(&b->p);
}

static const mc_nd *run(bench *b)
{
    const mc_nd *in[] = {&b->p.input[0], &b->p.input[1]};
    cr_assert_eq(mc_run_all(b->run, in, b->p.before->inputs, &b->p.err), MC_OK, "%s",
                 b->p.err.text);
    return mc_run_value(b->run, b->p.before->output[0]);
}

/* A copy of input 0 rounded as activations are. */
static mc_nd rounded(bench *b, mc_site_kind kind)
{
    mc_nd x = b->p.input[0];
    mc_act_shape shape;
    const mc_act_spec act = mc_act_dynamic(8);
    x.data = MC_NEW_RAW(&b->p.region.arena, float, x.count);
    cr_assert_not_null(x.data);
    memcpy(x.data, b->p.input[0].data, x.count * sizeof(float));
    cr_assert(mc_act_shape_of(kind, &x, &shape));
    mc_act_round(&act, &shape, x.data);
    return x;
}

/* ---- which nodes ---- */

typedef pass_case builder(void);

static mc_id weight(pass_case *p, int ndim, const int64_t *dim)
{
    return pass_ramp(p, MC_F32, ndim, dim);
}

static pass_case a_matmul(void)
{
    pass_case p = pass_begin();
    const mc_id x = pass_in(&p, "x", MC_F32, 3, (int64_t[]){2, 3, 8});
    pass_out(&p, pass_op(&p, "MatMul", 13, x, weight(&p, 2, (int64_t[]){8, 5})));
    return p;
}

static pass_case a_conv(void)
{
    pass_case p = pass_begin();
    const mc_id x = pass_in(&p, "x", MC_F32, 4, (int64_t[]){2, 3, 5, 5});
    pass_out(&p, pass_op(&p, "Conv", 11, x, weight(&p, 4, (int64_t[]){4, 3, 3, 3})));
    return p;
}

/* x [3, k] by a matrix of as many columns. */
static pass_case a_linear(int64_t k, int64_t outputs)
{
    pass_case p = pass_begin();
    const mc_id in[] = {pass_in(&p, "x", MC_F32, 2, (int64_t[]){3, k}),
                        weight(&p, 2, (int64_t[]){outputs, k})};
    pass_out(&p, mc_graph_apply(p.before, MC_DOMAIN, "Linear", 1, in, 2, "y"));
    return p;
}

/* Two weights: the gates' and the recurrent ones. */
static pass_case an_lstm(void)
{
    pass_case p = pass_begin();
    const mc_id in[] = {pass_in(&p, "x", MC_F32, 3, (int64_t[]){4, 2, 8}),
                        weight(&p, 3, (int64_t[]){1, 12, 8}), weight(&p, 3, (int64_t[]){1, 12, 3})};
    pass_out(&p, pass_op_of(&p, "LSTM", 14, in, 3));
    mc_node_add_int(p.before, "hidden_size", 3);
    return p;
}

static pass_case a_relu(void)
{
    pass_case p = pass_begin();
    pass_out(&p, pass_op(&p, "Relu", 13, pass_in(&p, "x", MC_F32, 2, (int64_t[]){3, 8}), MC_NONE));
    return p;
}

static pass_case a_product_of_activations(void)
{
    pass_case p = pass_begin();
    const mc_id x = pass_in(&p, "x", MC_F32, 2, (int64_t[]){3, 3});
    pass_out(&p, pass_op(&p, "MatMul", 13, x, x));
    return p;
}

/* Bit for bit: floats with an input that was rounded beforehand, where it is a site's. */
static void expect_rounded(builder *build, bool is_site, mc_site_kind kind)
{
    bench quantized = open_bench(build(), (mc_exec_options){.numerics = MC_NUMERICS_FAKE_QUANT});
    bench plain = open_bench(build(), (mc_exec_options){.numerics = MC_NUMERICS_FLOAT});
    if (is_site) {
        const mc_nd without = *run(&plain);
        const mc_nd *with = run(&quantized);
        cr_expect_neq(memcmp(with->data, without.data, with->count * sizeof(float)), 0);
        plain.p.input[0] = rounded(&plain, kind);
    }
    const mc_nd *got = run(&quantized), *want = run(&plain);
    cr_expect_arr_eq(got->data, want->data, want->count * sizeof(float));
    close_bench(&quantized);
    close_bench(&plain);
}

Test(act_exec, rounds_what_meets_a_weight_and_nothing_else)
{
    expect_rounded(a_matmul, true, MC_SITE_LINEAR);
    expect_rounded(a_conv, true, MC_SITE_CONV);
    expect_rounded(an_lstm, true, MC_SITE_RECURRENT);
    expect_rounded(a_relu, false, MC_SITE_LINEAR);
    expect_rounded(a_product_of_activations, false, MC_SITE_LINEAR);
}

/* The rows of a table go on as they are; indices are no activations. */
Test(act_exec, leaves_embeddings)
{
    pass_case p = pass_begin();
    const int64_t index[] = {2, 0, 1};
    const mc_id table = weight(&p, 2, (int64_t[]){3, 8}), x = pass_ints(&p, 3, index);
    const mc_id zero =
        pass_op(&p, "Mul", 13, pass_in(&p, "x", MC_F32, 1, (int64_t[]){1}), pass_number(&p, 0, 0));
    const mc_id cast = pass_op(&p, "Cast", 13, zero, MC_NONE);
    mc_node_add_int(p.before, "to", 7);
    pass_out(&p, pass_op(&p, "Gather", 13, table, pass_op(&p, "Add", 13, x, cast)));
    bench b = open_bench(p, (mc_exec_options){.numerics = MC_NUMERICS_FAKE_QUANT});
    cr_assert_eq(b.sites->sites, 1);
    const float *got = run(&b)->data,
                *rows = (const float *)(const void *)b.sites->site[0].weight->data;
    for (size_t i = 0; i < 3; i++)
        cr_expect_arr_eq(got + 8 * i, rows + 8 * index[i], 8 * sizeof *got);
    close_bench(&b);
}

/* The value itself stays what it was, for whoever else takes it. */
Test(act_exec, leaves_the_value_that_it_rounds_a_copy_of)
{
    pass_case p = pass_begin();
    const mc_id x = pass_in(&p, "x", MC_F32, 2, (int64_t[]){3, 8});
    const mc_id y = pass_op(&p, "Neg", 13, x, MC_NONE);
    pass_out(&p, pass_op(&p, "MatMul", 13, y, weight(&p, 2, (int64_t[]){8, 5})));
    pass_out(&p, y);
    bench b =
        open_bench(p, (mc_exec_options){.numerics = MC_NUMERICS_FAKE_QUANT, .keep_inputs = true});
    (void)run(&b);
    const float *kept = mc_run_value(b.run, y)->data, *given = b.p.input[0].data;
    for (size_t i = 0; i < 24; i++) cr_expect_eq(kept[i], -given[i]);
    close_bench(&b);
}

/* ---- mc_run_apply ---- */

Test(act_exec, applying_a_node_rounds_in_the_same_way)
{
    bench b = open_bench(a_matmul(), (mc_exec_options){.numerics = MC_NUMERICS_FAKE_QUANT});
    bench plain = open_bench(a_matmul(), (mc_exec_options){.numerics = MC_NUMERICS_FLOAT});
    float other[24];
    draw_weights(DRAW_NORMAL, 5, other, 24);
    mc_nd x = {.kind = MC_ND_TENSOR};
    cr_assert_eq(mc_nd_set(&x, MC_F32, 3, (int64_t[]){1, 3, 8}, &b.p.err), MC_OK);
    x.data = other;
    (void)run(&b);
    const mc_nd *in[] = {&x, NULL}, *got, *want;
    cr_assert_eq(mc_run_apply(b.run, 0, in, 2, &got, &b.p.err), MC_OK, "%s", b.p.err.text);

    plain.p.input[0] = x;
    mc_nd by_hand = rounded(&plain, MC_SITE_LINEAR);
    (void)run(&(bench){.p = plain.p, .run = plain.run});
    in[0] = &by_hand;
    cr_assert_eq(mc_run_apply(plain.run, 0, in, 2, &want, &b.p.err), MC_OK, "%s", b.p.err.text);
    cr_expect_eq(got->count, 15);
    cr_expect_arr_eq(got->data, want->data, want->count * sizeof(float));
    cr_expect_neq(memcmp(other, by_hand.data, sizeof other), 0);
    close_bench(&b);
    close_bench(&plain);
}

Test(act_exec, refuses_widths_that_are_no_grids)
{
    static const unsigned bits[] = {0, 1, 9, 16};
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++) {
        pass_case p = a_matmul();
        mc_sites sites;
        mc_exec *exec;
        cr_assert_eq(mc_graph_check(p.before, "case", &p.err), MC_OK);
        cr_assert_eq(mc_sites_find(p.before, &p.region.arena, &sites, &p.err), MC_OK);
        const mc_exec_options o = {.name = "m.onnx",
                                   .numerics = MC_NUMERICS_FAKE_QUANT,
                                   .activation_bits = bits[i],
                                   .sites = &sites};
        cr_expect_eq(mc_exec_open(p.before, &o, &exec, &p.err), MC_E_UNSUPPORTED);
        char want[80];
        snprintf(want, sizeof want, "m.onnx: activations of %u bits (2 to 8 can be simulated)",
                 bits[i]);
        cr_expect_str_eq(p.err.text, want);
        pass_end(&p);
    }
}

/* ---- what only moves ---- */

/* As a container decodes it: one that BF16 cannot hold. */
#define FINE 1.001f

static mc_status fine_numbers(const mc_weights *from, const mc_tensor *t, uint64_t first,
                              uint64_t count, float *out, mc_err *err)
{
    (void)from, (void)t, (void)err;
    for (uint64_t i = 0; i < count; i++) out[i] = FINE + (float)((first + i) % 8);
    return MC_OK;
}

static const mc_weights fine = {.read = fine_numbers};

static mc_id fine_table(pass_case *p)
{
    return pass_ramp(p, MC_BF16, 2, (int64_t[]){4, 6});
}

/* Indices that depend on an input, so that nothing is computed beforehand. */
static mc_id zeros(pass_case *p, size_t n)
{
    const int64_t dim = (int64_t)n, none[8] = {0};
    const mc_id x = pass_in(p, "x", MC_BOOL, 1, &dim), cast = pass_op(p, "Cast", 13, x, MC_NONE);
    mc_node_add_int(p->before, "to", 7);
    return pass_op(p, "Mul", 13, cast, pass_ints(p, n, none));
}

static void expect_fine(pass_case p, mc_id y, bool stays)
{
    pass_out(&p, y);
    bench b = open_bench(p, (mc_exec_options){.weights = &fine});
    const mc_nd *t = run(&b);
    cr_assert_gt(t->count, 0);
    for (size_t i = 0; i < t->count; i++) {
        const float x = ((const float *)t->data)[i];
        const float cut = mc_round_to(MC_BF16, x);
        cr_expect_eq(x != cut, stays, "%s gives %.9g", p.before->node[p.before->nodes - 1].op,
                     (double)x);
    }
    close_bench(&b);
}

static mc_id rows_of(pass_case *p)
{
    return pass_op(p, "Gather", 13, fine_table(p), zeros(p, 2));
}

Test(act_exec, rows_of_a_table_are_moved_as_they_are)
{
    pass_case p = pass_begin();
    expect_fine(p, rows_of(&p), true);
}

Test(act_exec, moving_does_not_round)
{
    static const struct {
        const char *op;
        int version;
        size_t ints;
        int64_t second[4]; /* the second input */
    } cases[] = {
        {"Reshape", 13, 1, {-1}},
        {"Transpose", 13, 0, {0}},
        {"Flatten", 13, 0, {0}},
        {"Unsqueeze", 13, 1, {0}},
        {"Expand", 13, 2, {2, 6}},
        {"Identity", 13, 0, {0}},
        {"Dropout", 13, 0, {0}},
        {"Tile", 13, 2, {1, 2}},
        {"Concat", 13, 0, {0}},
        {"Split", 11, 0, {0}},
        {"Trilu", 14, 0, {0}},
        {"Gather", 13, 1, {1}},
        {"SequenceConstruct", 11, 0, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pass_case p = pass_begin();
        const mc_id x = rows_of(&p);
        const mc_id with =
            cases[i].ints > 0 ? pass_ints(&p, cases[i].ints, cases[i].second) : MC_NONE;
        mc_id y = pass_op(&p, cases[i].op, cases[i].version, x, with);
        if (strcmp(cases[i].op, "Concat") == 0 || strcmp(cases[i].op, "Split") == 0)
            mc_node_add_int(p.before, "axis", 0);
        if (strcmp(cases[i].op, "SequenceConstruct") == 0)
            y = pass_op(&p, "SequenceAt", 11, y,
                        mc_graph_const_i64(p.before, "", 0, NULL, &(int64_t){0}));
        if (strcmp(cases[i].op, "Trilu") == 0) { /* without what it cleared */
            const int64_t first[] = {0};
            y = pass_op(&p, "Gather", 13, y, pass_ints(&p, 1, first));
        }
        expect_fine(p, y, true);
    }
}

Test(act_exec, cutting_and_choosing_do_not_round)
{
    pass_case p = pass_begin();
    const int64_t one[] = {1}, five[] = {5};
    const mc_id x = rows_of(&p);
    const mc_id in[] = {x, pass_ints(&p, 1, one), pass_ints(&p, 1, five), pass_ints(&p, 1, one)};
    const mc_id cut = pass_op_of(&p, "Slice", 13, in, 4);
    const mc_id yes = pass_op(&p, "Cast", 13, zeros(&p, 1), MC_NONE);
    mc_node_add_int(p.before, "to", 9);
    expect_fine(p, pass_op_of(&p, "Where", 9, (mc_id[]){yes, cut, cut}, 3), true);
}

Test(act_exec, computing_rounds)
{
    pass_case p = pass_begin();
    const mc_id x = rows_of(&p);
    expect_fine(p, pass_op(&p, "Max", 13, x, x), false);
    p = pass_begin();
    const mc_id y = rows_of(&p), cast = pass_op(&p, "Cast", 13, y, MC_NONE);
    mc_node_add_int(p.before, "to", 16);
    expect_fine(p, cast, false);
}

/* The first Pad takes its number as an attribute, in f32. */
Test(act_exec, the_first_pad_rounds_its_number)
{
    pass_case p = pass_begin();
    const mc_id x = pass_in(&p, "x", MC_BF16, 1, (int64_t[]){1});
    const mc_id y = pass_op(&p, "Pad", 2, x, MC_NONE);
    const int64_t pads[] = {0, 2};
    mc_node_add_ints(p.before, "pads", pads, 2);
    mc_node_add_float(p.before, "value", FINE);
    expect_fine(p, y, false);
}

/* ---- one spec for each site ---- */

static bench open_with(pass_case p, const mc_act_spec *act, mc_exec_numerics numerics)
{
    return open_bench(p, (mc_exec_options){.act = act, .numerics = numerics});
}

/* Rotations of inputs and weights cancel out: they belong to the model, whatever the numerics. */
Test(act_exec, rotated_weights_on_rotated_inputs_give_the_same)
{
    static const uint32_t blocks[] = {8, 24, 12};
    for (size_t i = 0; i < 3; i++) {
        enum { K = 24, O = 5 };
        bench plain = open_bench(a_linear(K, O), (mc_exec_options){.numerics = MC_NUMERICS_FLOAT});
        const mc_nd want = *run(&plain);
        pass_case p = a_linear(K, O);
        mc_rotation q;
        mc_err err;
        float *w = (float *)(uintptr_t)p.before->value[p.before->node[0].in[1]].constant->data;
        cr_assert_eq(
            mc_rotation_make(MC_ROTATE_HADAMARD, K, blocks[i], 0, &p.region.arena, &q, &err), MC_OK,
            "%s", err.text);
        mc_rotate_f32(&q, false, w, O, K, p.region.arena);
        const mc_act_spec act = {.hadamard = blocks[i]};
        bench rotated = open_with(p, &act, MC_NUMERICS_FLOAT);
        const mc_nd *got = run(&rotated);
        for (size_t k = 0; k < want.count; k++)
            cr_expect_float_eq(((const float *)got->data)[k], ((const float *)want.data)[k], 1e-5f);
        close_bench(&plain);
        close_bench(&rotated);
    }
}

/* The grid is that of the rotated numbers. */
Test(act_exec, rotations_come_before_rounding)
{
    enum { K = 24, O = 5 };
    const mc_act_spec act = {.mode = MC_ACT_DYNAMIC, .bits = 4, .hadamard = 8};
    bench b = open_with(a_linear(K, O), &act, MC_NUMERICS_FAKE_QUANT);
    bench plain = open_bench(a_linear(K, O), (mc_exec_options){.numerics = MC_NUMERICS_FLOAT});
    mc_nd x = plain.p.input[0];
    float turned[72];
    mc_rotation q;
    mc_arena mem = plain.p.region.arena;
    memcpy(turned, x.data, sizeof turned);
    cr_assert_eq(mc_rotation_make(MC_ROTATE_HADAMARD, K, 8, 0, &mem, &q, &b.p.err), MC_OK);
    mc_rotate_f32(&q, false, turned, 3, K, mem);
    mc_act_round(&act, &(mc_act_shape){3, K, 1}, turned);
    plain.p.input[0].data = turned;
    const mc_nd *got = run(&b), *want = run(&plain);
    cr_expect_arr_eq(got->data, want->data, want->count * sizeof(float));
    close_bench(&b);
    close_bench(&plain);
}

Test(act_exec, sites_have_specs_of_their_own)
{
    static const float scale[] = {0.125f};
    const mc_act_spec act[] = {{.mode = MC_ACT_FLOAT},
                               {.mode = MC_ACT_STATIC, .bits = 4, .scales = 1, .scale = scale}};
    pass_case p = a_linear(8, 8);
    const mc_id y =
        mc_graph_apply(p.before, MC_DOMAIN, "Linear", 1,
                       (mc_id[]){p.before->output[0], weight(&p, 2, (int64_t[]){4, 8})}, 2, "z");
    pass_out(&p, y);
    bench b = open_with(p, act, MC_NUMERICS_FAKE_QUANT);
    bench plain = open_bench(a_linear(8, 8), (mc_exec_options){.numerics = MC_NUMERICS_FLOAT});
    const mc_nd *first = run(&b), *want = run(&plain);
    cr_expect_arr_eq(first->data, want->data, want->count * sizeof(float), "the first is rounded");
    float x[24];
    memcpy(x, want->data, sizeof x);
    mc_act_round(&act[1], &(mc_act_shape){3, 8, 1}, x);
    const float *w = (const float *)(const void *)b.sites->site[1].weight->data;
    const float *z = mc_run_value(b.run, y)->data;
    for (size_t i = 0; i < 12; i++) {
        double sum = 0.0;
        for (size_t k = 0; k < 8; k++) sum += (double)x[i / 4 * 8 + k] * (double)w[i % 4 * 8 + k];
        cr_expect_float_eq((double)z[i], sum, 1e-5);
    }
    close_bench(&b);
    close_bench(&plain);
}

static void expect_refused(builder *build, const mc_act_spec *act, mc_status status,
                           const char *text)
{
    pass_case p = build();
    mc_sites sites;
    mc_exec *exec;
    mc_run *r = NULL;
    cr_assert_eq(mc_graph_check(p.before, "case", &p.err), MC_OK);
    cr_assert_eq(mc_sites_find(p.before, &p.region.arena, &sites, &p.err), MC_OK);
    const mc_exec_options o = {
        .name = "m", .numerics = MC_NUMERICS_FAKE_QUANT, .act = act, .sites = &sites};
    mc_status got = mc_exec_open(p.before, &o, &exec, &p.err);
    if (got == MC_OK) {
        const mc_nd *in[] = {&p.input[0], &p.input[1]};
        cr_assert_eq(mc_run_open(exec, (uint64_t)1 << 28, &r, &p.err), MC_OK);
        got = mc_run_all(r, in, p.before->inputs, &p.err);
        mc_run_close(r);
        mc_exec_close(exec);
    }
    cr_expect_eq(got, status);
    cr_expect_not_null(strstr(p.err.text, text), "%s", p.err.text);
    pass_end(&p);
}

Test(act_exec, specs_that_do_not_fit_their_site_are_refused)
{
    static const float scale[] = {1, 2, 3};
    const mc_act_spec three = {.mode = MC_ACT_STATIC, .bits = 8, .scales = 3, .scale = scale};
    expect_refused(a_matmul, &three, MC_E_MISMATCH, "3 scales for an input of [2, 3, 8] F32");
    const mc_act_spec turned = {.hadamard = 2}, odd = {.hadamard = 12}, seven = {.hadamard = 7};
    expect_refused(a_conv, &turned, MC_E_UNSUPPORTED, "its input is rotated online");
    expect_refused(a_matmul, &odd, MC_E_USAGE, "blocks of 12 do not divide vectors of 8");
    expect_refused(a_matmul, &seven, MC_E_UNSUPPORTED, "blocks of 7, which have no Hadamard");
    const mc_act_spec differ[] = {mc_act_dynamic(8), mc_act_dynamic(4)};
    expect_refused(an_lstm, differ, MC_E_USAGE, "its two weights want different inputs");
}
