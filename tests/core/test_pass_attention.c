/* Attention written out: found in every spelling, left alone where Attention is something else. */
#include "tests/support/pass_case.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>

enum { BATCH = 2, HEADS = 3, TOKENS = 5, WIDTH = 4 };

typedef enum { NO_MASK, ADDED, FILLED, FILLED_OTHERWISE, BOTH } masking;

/* How it is spelled; zeros: softmax(q k^T / 2) v, k behind a Transpose of [0, 2, 3, 1]. */
typedef struct {
    masking mask;
    float fill; /* 0: -FLT_MAX */
    bool mends_nan;
    bool scales_q_and_k, scales_behind_mask;
    bool k_is_turned;   /* k comes as [batch, heads, width, tokens], from nowhere */
    bool k_is_computed; /* turned by reshape, transpose, reshape */
    bool scores_are_output, weights_are_output, softmax_is_output;
    int axis;        /* of Softmax; 0: -1 */
    int version;     /* of Softmax; 0: 13 */
    int64_t q_heads; /* 0: as many */
    int64_t mask_dims[5];
    int mask_rank; /* 0: [BATCH, 1, TOKENS, TOKENS] */
    int scale_rank;
    mc_dtype dtype;     /* 0: F32 */
    bool unknown_sizes; /* batch and tokens are not known */
} spelling;

static mc_dtype type_of(const spelling *s)
{
    return s->dtype ? s->dtype : MC_F32;
}

static mc_id turned(pass_case *p, mc_id x, const int64_t perm[4])
{
    const mc_id y = pass_op(p, "Transpose", 13, x, MC_NONE);
    mc_node_add_ints(p->before, "perm", perm, 4);
    return y;
}

static mc_id input(pass_case *p, const spelling *s, const char *name, int64_t heads)
{
    static const int64_t heads_first[] = {0, 2, 1, 3};
    const int64_t dim[] = {s->unknown_sizes ? -1 : BATCH, s->unknown_sizes ? -1 : TOKENS, heads,
                           WIDTH};
    return turned(p, pass_in(p, name, type_of(s), 4, dim), heads_first);
}

static mc_id times(pass_case *p, const spelling *s, mc_id x, float factor)
{
    mc_id number = pass_number(p, s->scale_rank, factor);
    if (s->dtype) {
        number = pass_op(p, "Cast", 13, number, MC_NONE);
        mc_node_add_int(p->before, "to", 10);
    }
    return pass_op(p, "Mul", 13, x, number);
}

/* [b, h, t, d] to [b, h, d, t] by way of three dimensions, sizes taken from Shape. */
static mc_id folded(pass_case *p, mc_id k)
{
    static const int64_t swap[] = {0, 2, 1}, end[] = {INT64_MAX}, two[] = {-2}, one[] = {-1},
                         begin[] = {0};
    const mc_id shape = pass_op(p, "Shape", 13, k, MC_NONE), open = pass_ints(p, 1, one);
    const mc_id last[] = {shape, pass_ints(p, 1, one), pass_ints(p, 1, end)};
    const mc_id before[] = {shape, pass_ints(p, 1, two), pass_ints(p, 1, one)};
    const mc_id front[] = {shape, pass_ints(p, 1, begin), pass_ints(p, 1, two)};
    const mc_id width = pass_op_of(p, "Slice", 13, last, 3);
    const mc_id tokens = pass_op_of(p, "Slice", 13, before, 3);
    const mc_id batch = pass_op_of(p, "Slice", 13, front, 3);
    const mc_id three = pass_op_of(p, "Concat", 13, (mc_id[]){open, tokens, width}, 3);
    mc_node_add_int(p->before, "axis", 0);
    const mc_id back = pass_op_of(p, "Concat", 13, (mc_id[]){batch, width, tokens}, 3);
    mc_node_add_int(p->before, "axis", 0);
    const mc_id turn = pass_op(p, "Transpose", 13, pass_op(p, "Reshape", 13, k, three), MC_NONE);
    mc_node_add_ints(p->before, "perm", swap, 3);
    return pass_op(p, "Reshape", 13, turn, back);
}

static mc_id key(pass_case *p, const spelling *s)
{
    static const int64_t tokens_last[] = {0, 2, 3, 1};
    const int64_t turned_dim[] = {BATCH, HEADS, WIDTH, TOKENS},
                  dim[] = {BATCH, TOKENS, HEADS, WIDTH};
    if (s->k_is_turned) return pass_in(p, "k", type_of(s), 4, turned_dim);
    if (s->k_is_computed || s->unknown_sizes) return folded(p, input(p, s, "k", HEADS));
    return turned(p, pass_in(p, "k", type_of(s), 4, dim), tokens_last);
}

static mc_id mask_of(pass_case *p, const spelling *s, mc_dtype dtype)
{
    static const int64_t usual[] = {BATCH, 1, TOKENS, TOKENS};
    const int64_t open[] = {-1, 1, -1, -1};
    if (s->mask_rank > 0) return pass_in(p, "mask", dtype, s->mask_rank, s->mask_dims);
    const mc_id mask = pass_in(p, "mask", dtype, 4, s->unknown_sizes ? open : usual);
    return mask;
}

static mc_id filled(pass_case *p, const spelling *s, mc_id scores, bool hidden_first)
{
    const mc_id low = pass_number(p, 0, s->fill < 0 ? s->fill : -FLT_MAX);
    const mc_id truth = mask_of(p, s, MC_BOOL);
    const mc_id in[] = {truth, hidden_first ? low : scores, hidden_first ? scores : low};
    return pass_op_of(p, "Where", 9, in, 3);
}

static mc_id masked(pass_case *p, const spelling *s, mc_id scores)
{
    if (s->mask == FILLED || s->mask == FILLED_OTHERWISE)
        return filled(p, s, scores, s->mask == FILLED);
    if (s->mask == BOTH) {
        const int64_t row[] = {1, 1, 1, s->unknown_sizes ? 3 : TOKENS};
        return pass_op(p, "Add", 13, filled(p, s, scores, false), pass_ramp(p, MC_F32, 4, row));
    }
    return s->mask == ADDED ? pass_op(p, "Add", 13, scores, mask_of(p, s, type_of(s))) : scores;
}

static mc_id softmax(pass_case *p, const spelling *s, mc_id scores)
{
    const mc_id y = pass_op(p, "Softmax", s->version ? s->version : 13, scores, MC_NONE);
    if (s->axis) mc_node_add_int(p->before, "axis", s->axis);
    if (s->softmax_is_output) pass_out(p, y);
    if (!s->mends_nan) return y;
    const mc_id in[] = {pass_op(p, "IsNaN", 13, y, MC_NONE), pass_number(p, 0, 0), y};
    return pass_op_of(p, "Where", 9, in, 3);
}

static pass_case build(const spelling *s)
{
    pass_case p = pass_begin();
    mc_id q = input(&p, s, "q", s->q_heads ? s->q_heads : HEADS), k = key(&p, s);
    const mc_id v = input(&p, s, "v", HEADS);
    if (s->scales_q_and_k) {
        q = times(&p, s, q, 0.70710678f);
        k = times(&p, s, k, 0.70710678f);
    }
    mc_id scores = pass_op(&p, "MatMul", 13, q, k);
    if (s->scores_are_output) pass_out(&p, scores);
    if (!s->scales_q_and_k && !s->scales_behind_mask) scores = times(&p, s, scores, 0.5f);
    scores = masked(&p, s, scores);
    if (s->scales_behind_mask) scores = times(&p, s, scores, 0.5f);
    const mc_id weights = softmax(&p, s, scores);
    if (s->weights_are_output) pass_out(&p, weights);
    pass_out(&p, pass_op(&p, "MatMul", 13, weights, v));
    return p;
}

/* Softmax and two products of at most 5 terms around 1. */
static void expect(spelling s, size_t n)
{
    pass_case p = build(&s);
    pass_prepare(&p);
    cr_expect_eq(pass_count(&p, "Attention"), n);
    cr_expect_eq(pass_count(&p, "Softmax"), 1 - n);
    if (n > 0) cr_expect_eq(pass_find(&p, "Attention")->origin, p.before->nodes - 1);
    pass_same(&p, s.dtype ? 0 : 4e-6);
    pass_end(&p);
}

Test(pass_attention, is_found_however_it_is_scaled_and_turned)
{
    expect((spelling){0}, 1);
    expect((spelling){.scales_q_and_k = true}, 1);
    expect((spelling){.k_is_turned = true}, 1);
    expect((spelling){.k_is_computed = true}, 1);
    expect((spelling){.k_is_computed = true, .scales_q_and_k = true}, 1);
    expect((spelling){.unknown_sizes = true, .scales_q_and_k = true}, 1);
    expect((spelling){.scale_rank = 4}, 1);
}

Test(pass_attention, needs_no_transposition_for_a_key_that_was_turned)
{
    static const spelling s[] = {{0}, {.k_is_computed = true}, {.unknown_sizes = true}};
    for (size_t i = 0; i < 3; i++) {
        pass_case p = build(&s[i]);
        pass_prepare(&p);
        cr_expect_eq(pass_count(&p, "Transpose"), 3);
        pass_end(&p);
    }
}

Test(pass_attention, is_found_with_masks)
{
    for (masking mask = ADDED; mask <= BOTH; mask++) {
        expect((spelling){.mask = mask}, 1);
        expect((spelling){.mask = mask, .mends_nan = true, .fill = -INFINITY}, 1);
        expect((spelling){.mask = mask, .unknown_sizes = true}, 1);
    }
    expect((spelling){.mends_nan = true}, 1);
    expect((spelling){.mask = ADDED, .mask_rank = 1, .mask_dims = {TOKENS}}, 1);
    expect((spelling){.mask = ADDED, .mask_rank = 2, .mask_dims = {TOKENS, 1}}, 1);
    expect((spelling){.mask = FILLED, .mask_rank = 3, .mask_dims = {HEADS, TOKENS, TOKENS}}, 1);
}

Test(pass_attention, knows_the_last_axis)
{
    expect((spelling){.axis = 3}, 1);
    expect((spelling){.axis = 3, .version = 11}, 1);
    expect((spelling){.axis = 2}, 0);
    expect((spelling){.version = 11}, 0); /* axis 1, and all behind it */
}

Test(pass_attention, leaves_what_only_looks_like_it)
{
    expect((spelling){.mask = FILLED, .fill = -1e4f}, 0); /* rows that see nothing keep scores */
    expect((spelling){.mask = FILLED, .fill = -1e9f}, 0);
    expect((spelling){.mask = ADDED, .scales_behind_mask = true}, 0);
    expect((spelling){.scores_are_output = true}, 0);
    expect((spelling){.weights_are_output = true}, 0);
    expect((spelling){.weights_are_output = true, .mends_nan = true}, 0);
    expect((spelling){.softmax_is_output = true, .mends_nan = true}, 0);
    expect((spelling){.q_heads = 1}, 0); /* spread over the heads of k */
    expect((spelling){.scale_rank = 5}, 0);
    expect((spelling){.mask = ADDED, .mask_rank = 5, .mask_dims = {1, 1, 1, 1, TOKENS}}, 0);
}

Test(pass_attention, leaves_small_floats)
{
    expect((spelling){.dtype = MC_F16}, 0);
}

static double scale_of(pass_case *p)
{
    pass_prepare(p);
    const double scale = mc_node_float(pass_find(p, "Attention"), "scale", 0);
    pass_end(p);
    return scale;
}

Test(pass_attention, gives_the_product_of_the_factors)
{
    pass_case p = build(&(spelling){0});
    const double behind = scale_of(&p);
    p = build(&(spelling){.scales_q_and_k = true});
    const double before = scale_of(&p);
    cr_expect_float_eq(behind, 0.5, 1e-7);
    cr_expect_float_eq(before, 0.5, 1e-7);
}

/* d from Shape, and what is made of it; the scores are not scaled by what may differ. */
Test(pass_attention, follows_sizes_that_are_known)
{
    static const int64_t last[] = {-1}, end[] = {INT64_MAX}, first[] = {0}, one[] = {1};
    for (int i = 0; i < 2; i++) {
        pass_case p = pass_begin();
        const spelling s = {.unknown_sizes = i == 1};
        const mc_id q = input(&p, &s, "q", HEADS), k = key(&p, &s), v = input(&p, &s, "v", HEADS);
        const mc_id in[] = {pass_op(&p, "Shape", 13, q, MC_NONE),
                            pass_ints(&p, 1, i == 0 ? last : first),
                            pass_ints(&p, 1, i == 0 ? end : one)};
        mc_id n = pass_op(&p, "Cast", 13, pass_op_of(&p, "Slice", 13, in, 3), MC_NONE);
        mc_node_add_int(p.before, "to", 1);
        n = pass_op(
            &p, "Sqrt", 13,
            pass_op(&p, "Div", 13, pass_number(&p, 1, 1), pass_op(&p, "Sqrt", 13, n, MC_NONE)),
            MC_NONE);
        const mc_id a = pass_op(&p, "Mul", 13, q, n), b = pass_op(&p, "Mul", 13, k, n);
        const mc_id w = pass_op(&p, "Softmax", 13, pass_op(&p, "MatMul", 13, a, b), MC_NONE);
        pass_out(&p, pass_op(&p, "MatMul", 13, w, v));
        pass_prepare(&p);
        cr_expect_eq(pass_count(&p, "Attention"), i == 0);
        cr_expect_eq(pass_count(&p, "Mul"), i == 0 ? 0 : 2);
        pass_same(&p, 4e-6);
        pass_end(&p);
    }
}

/* A row that sees nothing: zeros, as exporters mend it. */
Test(pass_attention, rows_that_see_nothing_are_zeros)
{
    pass_case p =
        build(&(spelling){.mask = FILLED_OTHERWISE, .fill = -INFINITY, .mends_nan = true});
    unsigned char *truth = p.input[3].data;
    for (size_t i = 0; i < TOKENS; i++) truth[i] = 0;
    pass_prepare(&p);
    cr_expect_eq(pass_count(&p, "Attention"), 1);
    pass_same(&p, 4e-6);
    pass_end(&p);
}

Test(pass_attention, survives_nodes_without_inputs)
{
    static const char *const op[] = {"Softmax", "Where", "Add",       "Mul",     "Div",
                                     "MatMul",  "IsNaN", "Transpose", "Reshape", "Concat",
                                     "Shape",   "Slice", "Gather",    "Sqrt",    "Unsqueeze"};
    for (size_t i = 0; i < sizeof op / sizeof op[0]; i++) {
        pass_case p = pass_begin();
        const mc_id x = pass_in(&p, "x", MC_F32, 4, (int64_t[]){2, 2, 2, 2});
        const mc_id none = pass_op_of(&p, op[i], 13, NULL, 0);
        const mc_id scores = pass_op(&p, "MatMul", 13, pass_op(&p, "Mul", 13, x, none), none);
        const mc_id with = pass_op(&p, "Add", 13, pass_op(&p, "Div", 13, scores, none), none);
        pass_out(&p, pass_op(&p, "MatMul", 13, pass_op(&p, "Softmax", 13, with, MC_NONE), x));
        pass_out(&p, pass_op(&p, "MatMul", 13, none, x));
        pass_prepare(&p);
        pass_end(&p);
    }
}
