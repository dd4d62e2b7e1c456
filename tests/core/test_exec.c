/* The executor: what it computes beforehand, what it keeps, what it gives back, and that it does
 * the same every time. Operators have tests of their own. */
#include "core/exec.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { WIDE = 4096 }; /* elements of a tensor that is not small: 16 KiB */

static mc_region region;
static mc_graph *g;
static mc_exec *exec;
static mc_run *run;
static mc_err err;

static void enter(void)
{
    cr_assert_eq(mc_region_open(&region, (size_t)1 << 26, &err), MC_OK, "%s", err.text);
    g = mc_graph_new(&region.arena, "g");
}

static void leave(void)
{
    mc_run_close(run);
    mc_exec_close(exec);
    mc_region_close(&region);
}

TestSuite(exec, .init = enter, .fini = leave);

/* ---- building ---- */

static mc_id input_of(mc_dtype dtype, const char *name, int64_t n)
{
    return mc_graph_add_input(g, name, dtype, 1, &n);
}

static mc_id input(const char *name, int64_t n)
{
    return input_of(MC_F32, name, n);
}

static mc_id unary(const char *op, mc_id x, const char *name)
{
    return mc_graph_apply(g, "", op, 13, &x, 1, name);
}

static mc_id binary(const char *op, mc_id a, mc_id b, const char *name)
{
    return mc_graph_apply(g, "", op, 13, (mc_id[]){a, b}, 2, name);
}

/* i / 8 + shift: exact in every small float's neighbourhood that the tests use. */
static float *numbers(size_t n, float shift)
{
    float *x = MC_NEW(&region.arena, float, n);
    cr_assert_not_null(x);
    for (size_t i = 0; i < n; i++) x[i] = (float)(i % 16) * 0.125f + shift;
    return x;
}

static mc_id constant(const char *name, mc_dtype dtype, int64_t n, float shift)
{
    mc_tensor *t = MC_NEW(&region.arena, mc_tensor, 1);
    const size_t bytes = (size_t)n * mc_dtype_about(dtype)->bits / 8;
    unsigned char *data = mc_alloc(&region.arena, bytes, 1);
    mc_from_f32(dtype, numbers((size_t)n, shift), data, (size_t)n);
    *t = (mc_tensor){.name = name,
                     .dtype = dtype,
                     .ndim = 1,
                     .dim = {(uint64_t)n},
                     .data = data,
                     .bytes = bytes,
                     .count = (uint64_t)n};
    return mc_graph_add_constant(g, t);
}

/* Of F32 or a small float that holds the numbers. */
static mc_nd vector_of(mc_dtype dtype, int64_t n, float *data)
{
    mc_nd t = {.data = data};
    cr_assert_eq(mc_nd_set(&t, dtype, 1, &n, &err), MC_OK);
    return t;
}

static mc_nd vector(int64_t n, float *data)
{
    return vector_of(MC_F32, n, data);
}

static mc_status try_open(mc_exec_options options)
{
    options.name = "m.onnx";
    MC_TRY(mc_graph_check(g, "m.onnx", &err));
    MC_TRY(mc_exec_open(g, &options, &exec, &err));
    return mc_run_open(exec, (uint64_t)1 << 30, &run, &err);
}

static void open_exec(mc_exec_options options)
{
    cr_assert_eq(try_open(options), MC_OK, "%s", err.text);
}

static void open_plain(void)
{
    open_exec((mc_exec_options){.cache_bytes = UINT64_MAX});
}

/* ---- running ---- */

static const float *all_of(const mc_nd *x, mc_id value)
{
    cr_assert_eq(mc_run_all(run, &x, 1, &err), MC_OK, "%s", err.text);
    const mc_nd *t = mc_run_value(run, value);
    cr_assert_not_null(t);
    return t->data;
}

/* The steps of a pass as "0 3 4". */
static const char *steps_of(const mc_nd *x, size_t inputs)
{
    static char text[256];
    text[0] = '\0';
    cr_assert_eq(mc_run_begin(run, &x, inputs, &err), MC_OK, "%s", err.text);
    for (;;) {
        mc_id node;
        cr_assert_eq(mc_run_step(run, &node, &err), MC_OK, "%s", err.text);
        if (node == MC_NONE) return text;
        const size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "%s%lu", n > 0 ? " " : "", (unsigned long)node);
    }
}

Test(exec, runs_a_graph)
{
    const mc_id x = input("x", 4), w = constant("w", MC_F32, 4, -0.25f);
    const mc_id y = unary("Relu", binary("Add", x, w, "sum"), "y");
    mc_graph_add_output(g, y);
    open_plain();
    float in[4] = {0.125f, -1.0f, 0.5f, 0.0f};
    const mc_nd nd = vector(4, in);
    const float *out = all_of(&nd, y);
    static const float want[] = {0.0f, 0.0f, 0.5f, 0.125f};
    for (size_t i = 0; i < 4; i++) cr_expect_eq(out[i], want[i]);
}

Test(exec, runs_only_what_depends_on_inputs_and_is_needed)
{
    const mc_id x = input("x", 4), a = constant("a", MC_F32, 4, 1), b = constant("b", MC_F32, 4, 2);
    const mc_id ab = binary("Add", a, b, "ab");     /* 0: constant */
    const mc_id between = unary("Neg", ab, "neg");  /* 1: constant */
    const mc_id abs = unary("Abs", between, "abs"); /* 2: constant */
    (void)unary("Relu", x, "dead");                 /* 3: not needed */
    const mc_id y = binary("Add", x, abs, "y");     /* 4 */
    mc_graph_add_output(g, y);
    mc_graph_add_output(g, ab);
    open_plain();
    float in[4] = {1, 2, 3, 4};
    const mc_nd nd = vector(4, in);
    cr_expect_str_eq(steps_of(&nd, 1), "4");
    const mc_nd *sum = mc_run_value(run, ab);
    cr_assert_not_null(sum, "an output that is constant");
    cr_expect_eq(((const float *)sum->data)[0], 3.0f);
    cr_expect_null(mc_run_value(run, between), "what only other constants needed is gone");
    cr_expect_eq(((const float *)mc_run_value(run, y)->data)[1], 2.0f + 3.25f);
}

Test(exec, a_graph_of_constants_alone_has_no_steps)
{
    const mc_id y = unary("Relu", constant("w", MC_F32, 4, -1), "y");
    mc_graph_add_output(g, y);
    open_plain();
    cr_expect_str_eq(steps_of(NULL, 0), "");
    cr_expect_eq(((const float *)mc_run_value(run, y)->data)[0], 0.0f);
}

/* ---- memory ---- */

static uint64_t peak_of_chain(bool keep_inputs)
{
    mc_id x = input("x", WIDE);
    for (int i = 0; i < 1000; i++) x = unary(i % 2 ? "Neg" : "Abs", x, "v");
    mc_graph_add_output(g, x);
    open_exec((mc_exec_options){.cache_bytes = UINT64_MAX, .keep_inputs = keep_inputs});
    const mc_nd nd = vector(WIDE, numbers(WIDE, -1.0f));
    for (int pass = 0; pass < 3; pass++) {
        const float *out = all_of(&nd, x);
        cr_expect(out[0] == -1.0f && out[7] == -0.125f && out[9] == -0.125f);
    }
    return mc_run_peak(run);
}

Test(exec, memory_of_a_chain_does_not_grow_with_it)
{
    const uint64_t peak = peak_of_chain(true), tensor = WIDE * sizeof(float);
    cr_expect(peak >= 2 * tensor && peak <= 3 * tensor, "%llu", (unsigned long long)peak);
}

Test(exec, operators_reuse_the_memory_of_what_they_used_last)
{
    const uint64_t peak = peak_of_chain(false), tensor = WIDE * sizeof(float);
    cr_expect(peak <= tensor + 8192, "%llu", (unsigned long long)peak);
}

Test(exec, never_overwrites_what_somebody_still_needs)
{
    const mc_id x = input("x", WIDE);
    const mc_id a = unary("Neg", x, "a");     /* x is the caller's */
    const mc_id b = unary("Abs", a, "b");     /* a is used below */
    const mc_id c = binary("Sub", b, a, "c"); /* the last use of a; b is an output */
    const mc_id d = binary("Add", c, c, "d"); /* twice the same */
    mc_graph_add_output(g, b);
    mc_graph_add_output(g, d);
    open_plain();
    float *in = numbers(WIDE, 0.5f);
    const mc_nd nd = vector(WIDE, in);
    const float *got_d = all_of(&nd, d), *got_b = mc_run_value(run, b)->data;
    for (size_t i = 0; i < WIDE; i++) {
        const float want = 0.5f + (float)(i % 16) * 0.125f;
        cr_assert(in[i] == want && got_b[i] == want && got_d[i] == 4.0f * want, "[%zu]", i);
    }
}

Test(exec, values_go_at_the_step_after_their_last_use)
{
    const mc_id x = input("x", 4), a = unary("Neg", x, "a"), b = unary("Neg", a, "b");
    const mc_id c = unary("Neg", b, "c");
    mc_graph_add_output(g, c);
    open_exec((mc_exec_options){.keep_inputs = true});
    const mc_nd nd = vector(4, numbers(4, 1)), *in = &nd;
    cr_assert_eq(mc_run_begin(run, &in, 1, &err), MC_OK);
    mc_id node;
    for (int i = 0; i < 2; i++) cr_assert_eq(mc_run_step(run, &node, &err), MC_OK);
    cr_expect(mc_run_value(run, a) && mc_run_value(run, b) && !mc_run_value(run, c));
    cr_assert_eq(mc_run_step(run, &node, &err), MC_OK);
    cr_expect(!mc_run_value(run, a) && mc_run_value(run, b) && mc_run_value(run, c));
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(mc_run_step(run, &node, &err), MC_OK);
        cr_expect_eq(node, MC_NONE);
        cr_expect(!mc_run_value(run, b) && mc_run_value(run, c));
    }
    cr_assert_eq(mc_run_begin(run, &in, 1, &err), MC_OK);
    cr_expect_null(mc_run_value(run, c));
}

Test(exec, too_little_room_names_the_node)
{
    const mc_id y = unary("Neg", input("x", WIDE), "y");
    mc_graph_add_output(g, y);
    const mc_exec_options options = {.name = "m.onnx"};
    cr_assert_eq(mc_exec_open(g, &options, &exec, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_run_open(exec, 4096, &run, &err), MC_OK, "%s", err.text);
    const mc_nd nd = vector(WIDE, numbers(WIDE, 1)), *in = &nd;
    cr_expect_eq(mc_run_all(run, &in, 1, &err), MC_E_BUDGET);
    cr_expect_str_eq(err.text,
                     "m.onnx: node 0 'y' (Neg, opset 13): no room for output 0, [4096] F32");
}

/* ---- constants ---- */

/* x + w, where w is large enough to count. */
static mc_id with_weight(mc_dtype dtype)
{
    const mc_id x = input_of(dtype, "x", WIDE), w = constant("w", dtype, WIDE, 1.0f);
    const mc_id y = binary("Add", x, w, "y");
    mc_graph_add_output(g, y);
    return y;
}

static void expect_sum(mc_dtype dtype, mc_id y)
{
    const mc_nd nd = vector_of(dtype, WIDE, numbers(WIDE, 0.0f));
    const float *out = all_of(&nd, y);
    for (size_t i = 0; i < WIDE; i++) cr_assert_eq(out[i], 1.0f + (float)(i % 16) * 0.25f);
}

Test(exec, weights_in_f16_are_decoded_once)
{
    const mc_id y = with_weight(MC_F16);
    open_plain();
    expect_sum(MC_F16, y);
    cr_expect(mc_run_peak(run) < WIDE * 4 + 8192, "the weight is not in the run's memory");
}

Test(exec, weights_beyond_the_cache_are_decoded_at_every_use)
{
    const mc_id y = with_weight(MC_BF16);
    open_exec((mc_exec_options){.cache_bytes = 0});
    expect_sum(MC_BF16, y);
    expect_sum(MC_BF16, y);
    cr_expect(mc_run_peak(run) >= 2 * WIDE * 4);
}

Test(exec, weights_in_f32_are_views)
{
    const mc_id y = with_weight(MC_F32);
    open_exec((mc_exec_options){.cache_bytes = 0});
    expect_sum(MC_F32, y);
    const mc_id w = mc_graph_find(g, "w");
    cr_expect_eq(mc_run_value(run, w)->data, g->value[w].constant->data);
}

typedef struct {
    mc_weights weights;
    unsigned reads;
} other_weights;

static mc_status read_twos(const mc_weights *from, const mc_tensor *tensor, uint64_t first,
                           uint64_t count, float *out, mc_err *e)
{
    (void)first, (void)e;
    cr_assert_str_eq(tensor->name, "w");
    ((other_weights *)(uintptr_t)from)->reads++;
    for (uint64_t i = 0; i < count; i++) out[i] = 2.0f;
    return MC_OK;
}

Test(exec, real_numbers_come_from_the_weights_that_are_given)
{
    const mc_id y = with_weight(MC_F32);
    other_weights twos = {.weights.read = read_twos};
    open_exec((mc_exec_options){.cache_bytes = UINT64_MAX, .weights = &twos.weights});
    const mc_nd nd = vector(WIDE, numbers(WIDE, 0.0f));
    for (int pass = 0; pass < 3; pass++) cr_expect_eq(all_of(&nd, y)[3], 2.375f);
    cr_expect_eq(twos.reads, 1);
}

Test(exec, weights_of_doubles_are_widened)
{
    const mc_id x = mc_graph_add_input(g, "x", MC_F64, 1, (int64_t[]){3});
    const mc_id y = binary("Add", x, constant("w", MC_F32, 3, 0), "y");
    ((mc_tensor *)(uintptr_t)g->value[1].constant)->dtype = MC_F64;
    ((mc_tensor *)(uintptr_t)g->value[1].constant)->bytes = 24;
    g->value[1].dtype = MC_F64;
    mc_graph_add_output(g, y);
    other_weights twos = {.weights.read = read_twos};
    open_exec((mc_exec_options){.cache_bytes = UINT64_MAX, .weights = &twos.weights});
    double in[3] = {0.5, 1.5, 1e-30};
    mc_nd nd = {.dtype = MC_F64, .ndim = 1, .dim = {3}, .count = 3, .data = in};
    const mc_nd *one = &nd;
    cr_assert_eq(mc_run_all(run, &one, 1, &err), MC_OK, "%s", err.text);
    const double *out = mc_run_value(run, y)->data;
    cr_expect(out[0] == 2.5 && out[1] == 3.5 && out[2] == 2.0);
}

Test(exec, whole_numbers_come_from_the_file)
{
    const mc_id x = mc_graph_add_input(g, "x", MC_I64, 1, (int64_t[]){2});
    const mc_id k = mc_graph_const_i64(g, "k", 1, (int64_t[]){2}, (int64_t[]){10, -20});
    const mc_id y = binary("Add", x, k, "y");
    mc_graph_add_output(g, y);
    other_weights twos = {.weights.read = read_twos};
    open_exec((mc_exec_options){.weights = &twos.weights});
    int64_t in[] = {1, 2};
    mc_nd nd = {.dtype = MC_I64, .ndim = 1, .dim = {2}, .count = 2, .data = in};
    const mc_nd *one = &nd;
    cr_assert_eq(mc_run_all(run, &one, 1, &err), MC_OK, "%s", err.text);
    const int64_t *out = mc_run_value(run, y)->data;
    cr_expect(out[0] == 11 && out[1] == -18 && twos.reads == 0);
}

Test(exec, what_is_too_large_to_be_kept_is_computed_in_every_pass)
{
    const mc_id x = input("x", WIDE), a = constant("a", MC_F32, WIDE, 0.5f);
    const mc_id b = constant("b", MC_F32, WIDE, 0.5f);
    const mc_id y = binary("Mul", x, binary("Add", a, b, "ab"), "y");
    mc_graph_add_output(g, y);
    open_exec((mc_exec_options){.cache_bytes = 0});
    const mc_nd nd = vector(WIDE, numbers(WIDE, 1.0f));
    cr_expect_str_eq(steps_of(&nd, 1), "0 1");
    cr_expect_eq(((const float *)mc_run_value(run, y)->data)[2], 1.25f * 1.5f);

    const mc_nd *in[] = {&nd, NULL}, *out; /* also for a node taken alone */
    cr_assert_eq(mc_run_apply(run, 1, in, 2, &out, &err), MC_OK, "%s", err.text);
    cr_expect_eq(((const float *)out->data)[2], 1.25f * 1.5f);
}

Test(exec, any_output_of_what_is_not_kept_can_be_computed_for_a_node_alone)
{
    const mc_id x = input("x", WIDE), w = constant("w", MC_F32, 3 * WIDE, 1.0f);
    const int64_t two = 2;
    const mc_id lengths = mc_graph_const_i64(g, "lengths", 1, &two, (int64_t[]){2 * WIDE, WIDE});
    mc_id in[] = {w, lengths};
    mc_id out[] = {mc_graph_add_value(g, "a"), mc_graph_add_value(g, "b")};
    const mc_node node = {.name = "parts",
                          .op = "Split",
                          .version = 13,
                          .in = in,
                          .ins = 2,
                          .out = out,
                          .outs = 2,
                          .origin = MC_NONE};
    cr_assert_not_null(mc_graph_add_node(g, &node));
    mc_graph_add_output(g, binary("Mul", x, out[1], "y"));
    open_exec((mc_exec_options){.cache_bytes = 0});
    const mc_nd nd = vector(WIDE, numbers(WIDE, 1.0f));
    const mc_nd *given[] = {&nd, NULL}, *got;
    cr_assert_eq(mc_run_apply(run, 1, given, 2, &got, &err), MC_OK, "%s", err.text);
    cr_expect(got->count == WIDE && ((const float *)got->data)[2] == 1.25f * 1.25f);
}

/* ---- numbers ---- */

Test(exec, small_floats_are_rounded_behind_every_node)
{
    const mc_id x = mc_graph_add_input(g, "x", MC_F16, 1, (int64_t[]){2});
    const mc_id once = binary("Add", x, x, "once");
    const mc_id y = binary("Mul", once, x, "y");
    mc_graph_add_output(g, y);
    open_plain();
    float in[] = {1.0f + 0x1p-10f, 3.0f};
    mc_nd nd = {.dtype = MC_F16, .ndim = 1, .dim = {2}, .count = 2, .data = in};
    const mc_nd *one = &nd;
    cr_assert_eq(mc_run_all(run, &one, 1, &err), MC_OK, "%s", err.text);
    const float *out = mc_run_value(run, y)->data;
    const float exact = (2.0f + 0x1p-9f) * (1.0f + 0x1p-10f); /* 2 + 2^-8 + 2^-19 */
    cr_expect(out[0] == 2.0f + 0x1p-8f && out[0] != exact && out[1] == 18.0f);
}

Test(exec, gives_the_same_in_any_number_of_runs)
{
    const mc_id x = input("x", WIDE), w = constant("w", MC_F32, WIDE, 0.3f);
    const mc_id y = unary("Sqrt", unary("Abs", binary("Mul", x, w, "xw"), "abs"), "y");
    mc_graph_add_output(g, y);
    open_plain();
    const mc_nd nd = vector(WIDE, numbers(WIDE, 0.7f)), other = vector(WIDE, numbers(WIDE, 9.0f));
    float first[WIDE];
    memcpy(first, all_of(&nd, y), sizeof first);
    mc_run *second;
    cr_assert_eq(mc_run_open(exec, (uint64_t)1 << 30, &second, &err), MC_OK);
    for (int pass = 0; pass < 5; pass++) {
        (void)all_of(&other, y);
        const mc_nd *in = &nd;
        cr_assert_eq(mc_run_all(second, &in, 1, &err), MC_OK);
        cr_expect_eq(memcmp(mc_run_value(second, y)->data, first, sizeof first), 0);
        cr_expect_eq(memcmp(all_of(&nd, y), first, sizeof first), 0);
    }
    mc_run_close(second);
}

/* ---- a node alone ---- */

Test(exec, a_node_can_be_applied_to_other_inputs_at_any_time)
{
    const mc_id x = input_of(MC_F16, "x", 4), w = constant("w", MC_F16, 4, 1.0f);
    const mc_id a = binary("Add", x, w, "a"), y = unary("Neg", a, "y");
    mc_graph_add_output(g, y);
    open_plain();
    float other[4] = {10, 20, 30, 40};
    const mc_nd nd = vector_of(MC_F16, 4, numbers(4, 0));
    const mc_nd given = vector_of(MC_F16, 4, other);
    const mc_nd *in[] = {&given, NULL}, *out;
    cr_assert_eq(mc_run_apply(run, 0, in, 2, &out, &err), MC_OK, "%s", err.text);
    cr_expect_eq(((const float *)out->data)[1], 21.125f);

    const float *before = all_of(&nd, y);
    cr_assert_eq(mc_run_apply(run, 0, in, 1, &out, &err), MC_OK, "%s", err.text);
    cr_expect_eq(((const float *)out->data)[3], 41.375f);
    cr_expect_eq(before[1], -1.25f, "the pass keeps its values");
}

Test(exec, a_node_that_lacks_an_input_cannot_be_applied)
{
    const mc_id x = input("x", 4), y = unary("Neg", x, "y");
    mc_graph_add_output(g, y);
    (void)unary("Neg", x, "unused");
    open_plain();
    const mc_nd *out;
    cr_expect_eq(mc_run_apply(run, 0, NULL, 0, &out, &err), MC_E_USAGE);
    cr_expect_str_eq(err.text, "m.onnx: node 0 'y' (Neg, opset 13): input 0, 'x', is not there");
    cr_expect_eq(mc_run_apply(run, 1, NULL, 0, &out, &err), MC_E_USAGE);
    cr_expect_eq(mc_run_apply(run, 99, NULL, 0, &out, &err), MC_E_USAGE);
}

/* ---- refusals ---- */

Test(exec, an_unknown_operator_is_refused_by_name)
{
    const mc_id x = input("x", 4);
    mc_id v = unary("Neg", x, "a");
    v = mc_graph_apply(g, "com.acme", "FooBar", 3, &v, 1, "x1");
    mc_graph_add_output(g, v);
    cr_expect_eq(try_open((mc_exec_options){0}), MC_E_UNSUPPORTED);
    cr_expect_str_eq(err.text, "m.onnx: node 1 'x1' (FooBar of com.acme, opset 3): this operator "
                               "is not known, so the model cannot be run");
    const mc_graph *inside;
    cr_expect_eq(mc_graph_unknown(g, &inside), 1);
    cr_expect_eq(inside, g);
}

Test(exec, an_unknown_operator_that_nothing_needs_is_no_trouble)
{
    const mc_id x = input("x", 4);
    (void)mc_graph_apply(g, "com.acme", "FooBar", 3, &x, 1, "x1");
    const mc_id y = unary("Neg", x, "y");
    mc_graph_add_output(g, y);
    open_plain();
    const mc_nd nd = vector(4, numbers(4, 1));
    cr_expect_eq(all_of(&nd, y)[0], -1.0f);
}

Test(exec, an_operator_of_a_newer_opset_takes_the_newest_line)
{
    cr_expect_null(mc_op_find("", "Relu", 0));
    cr_expect_not_null(mc_op_find("ai.onnx", "Relu", MC_OPSET_NEWEST));
    cr_expect_eq(mc_op_find("", "Relu", MC_OPSET_NEWEST), mc_op_find("", "Relu", 1000));
    cr_expect_null(mc_op_find("", "Nothing", 13));
}

static void refused_input(const mc_nd *in, size_t inputs, const char *message)
{
    cr_expect_eq(mc_run_begin(run, &in, inputs, &err), MC_E_USAGE);
    cr_expect_str_eq(err.text, message);
}

Test(exec, inputs_are_checked)
{
    mc_graph_add_output(g, unary("Neg", input("x", 4), "y"));
    open_plain();
    float data[4] = {0};
    mc_nd nd = {.dtype = MC_F32, .ndim = 2, .dim = {2, 2}, .count = 4, .data = data};
    refused_input(&nd, 1, "m.onnx: input 'x' is [2, 2] F32 (1 dimensions are needed)");
    nd = (mc_nd){.dtype = MC_I32, .ndim = 1, .dim = {4}, .count = 4, .data = data};
    refused_input(&nd, 1, "m.onnx: input 'x' is [4] I32 (F32 is needed)");
    refused_input(NULL, 1, "m.onnx: input 'x' is missing");
    refused_input(NULL, 0, "m.onnx: 0 inputs were given (1 are needed)");
    mc_id node;
    cr_expect_eq(mc_run_step(run, &node, &err), MC_E_USAGE);
}

Test(exec, a_pass_that_failed_can_be_begun_anew)
{
    const mc_id x = mc_graph_add_input(g, "x", MC_F32, 1, (int64_t[]){-1});
    const mc_id y = binary("Add", x, constant("w", MC_F32, 4, 1), "y");
    mc_graph_add_output(g, y);
    open_plain();
    const mc_nd wrong = vector(3, numbers(3, 0)), right = vector(4, numbers(4, 0));
    const mc_nd *in = &wrong;
    cr_expect_eq(mc_run_all(run, &in, 1, &err), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "m.onnx: node 0 'y' (Add, opset 13): shapes [3] F32 and [4] F32 do "
                               "not fit each other");
    mc_id node;
    cr_expect_eq(mc_run_step(run, &node, &err), MC_E_USAGE);
    cr_expect_eq(all_of(&right, y)[1], 1.25f);
}

Test(exec, complex_numbers_are_refused)
{
    const mc_id x = input("x", 2);
    mc_tensor t = {.name = "c",
                   .dtype = MC_C64,
                   .ndim = 1,
                   .dim = {2},
                   .count = 2,
                   .bytes = 16,
                   .data = (const unsigned char *)"0123456789abcdef"};
    mc_graph_add_output(g, binary("Add", x, mc_graph_add_constant(g, &t), "y"));
    cr_expect_eq(try_open((mc_exec_options){0}), MC_E_UNSUPPORTED);
    cr_expect_str_eq(err.text, "m.onnx: constant 'c' is C64, which cannot be computed with");
}

Test(exec, a_constant_with_too_few_bytes_is_refused)
{
    const mc_id x = input("x", 4);
    mc_tensor t = {.name = "w",
                   .dtype = MC_F32,
                   .ndim = 1,
                   .dim = {4},
                   .count = 4,
                   .bytes = 15,
                   .data = (const unsigned char *)"0123456789abcdef"};
    mc_graph_add_output(g, binary("Add", x, mc_graph_add_constant(g, &t), "y"));
    cr_expect_eq(try_open((mc_exec_options){0}), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "m.onnx: constant 'w' has fewer bytes than its shape says");
}
