/* Walks against plain runs: the input of every group of sites has the same bits, whatever the
 * threads, whether values wait in memory or in files, and whatever the weights have become. */
#include "tests/support/onnx_builder.h"
#include "tests/support/op_run.h"
#include "tests/support/scratch_model.h"
#include "tests/support/walk_case.h"

#include "core/act.h"
#include "core/rng.h"
#include "tests/support/npz_builder.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

TestSuite(walk, .init = scratch_enter, .fini = scratch_leave);

enum { WIDTH = 8, ROWS = 5 };

static walk_case c;
static mc_nd *plain[MC_WALK_STREAMS];

static mc_pool *pool_of(unsigned threads)
{
    mc_pool *pool;
    cr_assert_eq(mc_pool_open(&pool, threads, 1 << 16, &c.err), MC_OK);
    return pool;
}

/* All groups, one after the other. */
static void walk_all(const mc_walk_options *options, unsigned streams)
{
    mc_walk *walk;
    size_t groups = 0;
    cr_assert_eq(mc_walk_open(options, &walk, &c.err), MC_OK, "%s", c.err.text);
    cr_expect_eq(mc_walk_two(walk), options->two);
    cr_expect_eq(mc_walk_spills(walk), options->spills);
    while (walk_case_next(&c, walk, streams, plain)) groups++;
    cr_expect_eq(groups, c.groups.groups);
    const mc_input_group *none;
    cr_expect_eq(mc_walk_next(walk, &none, &c.err), MC_OK); /* and none again */
    cr_expect_null(none);
    mc_walk_close(walk);
}

/* Threads and files change nothing. */
static void walk_every_way(mc_walk_options options, unsigned streams)
{
    for (unsigned threads = 1; threads <= 3; threads += 2)
        for (int spills = 0; spills < 2; spills++) {
            options.pool = pool_of(threads);
            options.spills = spills;
            walk_all(&options, streams);
            mc_pool_close(options.pool);
        }
}

/* ---- the models at hand ---- */

static const char *at_source(const char *path, char room[512])
{
    snprintf(room, 512, "%s/%s", MC_SOURCE_DIR, path);
    return room;
}

Test(walk, of_a_language_model_shows_what_a_plain_run_shows)
{
    char model[512], text[512];
    walk_case_open(&c, at_source("examples/tinylm", model),
                   at_source("examples/tinylm/eval.txt", text), 24);
    c.samples = 3;
    plain[0] = walk_case_plain(&c, NULL, NULL);
    cr_assert_gt(c.groups.groups, 10);
    walk_every_way(walk_case_options(&c, NULL), 1);
    walk_case_close(&c);
}

Test(walk, of_a_convolutional_model_shows_what_a_plain_run_shows)
{
    char model[512], data[512];
    walk_case_open(&c, at_source("examples/resnet8/resnet8.onnx", model),
                   at_source("examples/resnet8/eval_200.npz", data), 0);
    c.samples = 4;
    plain[0] = walk_case_plain(&c, NULL, NULL);
    bool branches = false;
    for (size_t g = 0; g < c.groups.groups; g++) branches |= c.groups.group[g].sites > 1;
    cr_expect(branches, "no shortcut shares its input");
    walk_every_way(walk_case_options(&c, NULL), 1);
    walk_case_close(&c);
}

Test(walk, of_experts_shows_what_a_plain_run_shows)
{
    char model[512], ids[512];
    walk_case_open(&c, at_source("tests/golden/hf/mixtral", model),
                   at_source("tests/golden/hf/mixtral/ids.npy", ids), 0);
    scaled_weights w = scaled_weights_of(".gate.weight", -0.5f); /* other experts */
    plain[MC_WALK_MAIN] = walk_case_plain(&c, &w.weights, NULL);
    plain[MC_WALK_FLOAT] = walk_case_plain(&c, NULL, NULL);
    mc_walk_options options = walk_case_options(&c, NULL);
    options.two = true;
    options.weights[MC_WALK_MAIN] = &w.weights;
    walk_every_way(options, 2);
    walk_case_close(&c);
}

/* ---- toys ---- */

static proto drawn(const char *name, int64_t rows, int64_t cols)
{
    float x[256];
    const mc_rng rng = {.seed = 5, .stream = (uint64_t)name[0] * 256 + (uint64_t)name[1]};
    for (int64_t i = 0; i < rows * cols; i++) x[i] = mc_rng_unit(rng, (uint64_t)i) - 0.5f;
    return onnx_raw_tensor(name, 1, (int64_t[]){rows, cols, -1}, x, (size_t)(rows * cols) * 4);
}

static proto node2(const char *op, const char *a, const char *b, const char *out)
{
    return onnx_node(op, (const char *[]){a, b, NULL}, (const char *[]){out, NULL});
}

static proto node1(const char *op, const char *a, const char *out)
{
    return onnx_node(op, (const char *[]){a, NULL}, (const char *[]){out, NULL});
}

static void weight(proto *g, const char *name)
{
    proto_move(g, 5, drawn(name, WIDTH, WIDTH));
}

static void matmul(proto *g, const char *x, const char *w, const char *out)
{
    proto_move(g, 1, node2("MatMul", x, w, out));
    weight(g, w);
}

/* m.onnx of x [1, WIDTH] and data.npy of ROWS samples. */
static void open_toy(proto g, const char *output)
{
    float x[ROWS * WIDTH];
    const mc_rng rng = {.seed = 9};
    for (size_t i = 0; i < ROWS * WIDTH; i++) x[i] = mc_rng_unit(rng, i) - 0.5f;
    proto_text(&g, 2, "toy");
    proto_move(&g, 11, onnx_value("x", 1, (int64_t[]){1, WIDTH, -1}));
    proto_move(&g, 12, onnx_value(output, 1, (int64_t[]){1, WIDTH, -1}));
    onnx_put("m.onnx", onnx_model(g));
    blob b = npy_of("<f4", "(5, 8)", x, sizeof x);
    scratch_put("data.npy", b.at, b.n);
    blob_free(&b);
    walk_case_open(&c, "m.onnx", "data.npy", 0);
    cr_assert_eq(c.samples, ROWS);
}

static proto body(const char *name, const char *output)
{
    proto g = {0};
    proto_text(&g, 2, name);
    proto_move(&g, 12, onnx_value(output, 1, (int64_t[]){1, WIDTH, -1}));
    return g;
}

/* A choice, and in one of its branches another one; both take values of the main graph. */
static proto choice(void)
{
    proto then = body("then", "t"), deep = body("deep", "d"), other = body("other", "o"),
          last = body("last", "e");
    proto_move(&deep, 1, node2("Mul", "h", "r", "d"));
    proto_move(&last, 1, node2("Sub", "r", "h", "e"));
    proto inner = node1("If", "small", "o");
    proto_move(&inner, 5, onnx_attr_graph("then_branch", deep));
    proto_move(&inner, 5, onnx_attr_graph("else_branch", last));
    proto_move(&other, 1, inner);
    proto_move(&then, 1, node2("Add", "r", "w1", "wide"));
    proto_move(
        &then, 1,
        onnx_node("Gather", (const char *[]){"wide", "zero", NULL}, (const char *[]){"t", NULL}));
    proto n = node1("If", "big", "chosen");
    proto_move(&n, 5, onnx_attr_graph("then_branch", then));
    proto_move(&n, 5, onnx_attr_graph("else_branch", other));
    return n;
}

static proto total(const char *x, const char *out)
{
    proto n = node1("ReduceSum", x, out);
    proto_move(&n, 5, onnx_attr_int("keepdims", 0));
    return n;
}

/* x -> w1 -> h, relu r; r -> w2 -> m; a choice that takes r and h; + m -> w3. */
static proto captures(void)
{
    proto g = {0};
    matmul(&g, "x", "w1", "h");
    proto_move(&g, 1, node1("Relu", "h", "r"));
    proto_move(&g, 1, total("x", "sum"));
    proto_move(&g, 1, total("h", "hum"));
    proto_move(&g, 1, node2("Greater", "sum", "null", "big"));
    proto_move(&g, 1, node2("Greater", "hum", "null", "small"));
    matmul(&g, "r", "w2", "m");
    proto_move(&g, 1, choice());
    proto_move(&g, 1, node2("Add", "chosen", "m", "z"));
    matmul(&g, "z", "w3", "y");
    proto_move(&g, 5, onnx_raw_tensor("null", 1, (int64_t[]){-1}, &(float){0.0f}, 4));
    proto_move(&g, 5, onnx_raw_tensor("zero", 7, (int64_t[]){1, -1}, &(int64_t){0}, 8));
    return g;
}

Test(walk, carries_what_subgraphs_take)
{
    open_toy(captures(), "y");
    plain[0] = walk_case_plain(&c, NULL, NULL);
    cr_assert_eq(c.groups.groups, 3);
    walk_every_way(walk_case_options(&c, NULL), 1);
    walk_case_close(&c);
}

Test(walk, runs_loops_whose_bodies_take_values_from_outside)
{
    proto g = {0}, b = {0};
    proto_text(&b, 2, "again");
    proto_move(&b, 1, node2("Mul", "state", "r", "p"));
    proto_move(&b, 1, node2("Add", "p", "h", "next"));
    proto_move(&b, 1, node1("Identity", "on", "still"));
    proto_move(&b, 11, onnx_value("i", 7, (int64_t[]){-1}));
    proto_move(&b, 11, onnx_value("on", 9, (int64_t[]){-1}));
    proto_move(&b, 11, onnx_value("state", 1, (int64_t[]){1, WIDTH, -1}));
    proto_move(&b, 12, onnx_value("still", 9, (int64_t[]){-1}));
    proto_move(&b, 12, onnx_value("next", 1, (int64_t[]){1, WIDTH, -1}));
    matmul(&g, "x", "w1", "h");
    proto_move(&g, 1, node1("Relu", "h", "r"));
    matmul(&g, "r", "w2", "m");
    proto loop = onnx_node("Loop", (const char *[]){"three", "true", "m", NULL},
                           (const char *[]){"z", NULL});
    proto_move(&loop, 5, onnx_attr_graph("body", b));
    proto_move(&g, 1, loop);
    matmul(&g, "z", "w3", "y");
    proto_move(&g, 5, onnx_raw_tensor("three", 7, (int64_t[]){-1}, &(int64_t){3}, 8));
    proto_move(&g, 5, onnx_raw_tensor("true", 9, (int64_t[]){-1}, &(uint8_t){1}, 1));
    open_toy(g, "y");
    plain[0] = walk_case_plain(&c, NULL, NULL);
    cr_assert_eq(c.groups.groups, 3);
    walk_every_way(walk_case_options(&c, NULL), 1);
    walk_case_close(&c);
}

/* One table in front of many stages; and one that is a group's input itself. */
Test(walk, knows_constants_everywhere)
{
    proto g = {0};
    proto_move(&g, 1, node1("Exp", "table", "k"));
    proto_move(&g, 5, drawn("table", 1, WIDTH));
    matmul(&g, "k", "w0", "p");
    matmul(&g, "x", "w1", "h");
    proto_move(&g, 1, node2("Mul", "h", "k", "hk"));
    proto_move(&g, 1, node2("Add", "hk", "p", "hp"));
    matmul(&g, "hp", "w2", "m");
    proto_move(&g, 1, node2("Mul", "m", "k", "mk"));
    matmul(&g, "mk", "w3", "y");
    open_toy(g, "y");
    plain[0] = walk_case_plain(&c, NULL, NULL);
    cr_assert_eq(c.groups.groups, 4);
    const size_t constant = walk_case_group(&c, "k");
    cr_assert_neq(constant, SIZE_MAX);
    cr_expect(c.stages.constant[c.groups.group[constant].value]);
    walk_every_way(walk_case_options(&c, NULL), 1);

    /* Weights reach what they make constant. */
    scaled_weights w = scaled_weights_of("w0", 3.0f);
    plain[0] = walk_case_plain(&c, &w.weights, NULL);
    mc_walk_options options = walk_case_options(&c, NULL);
    options.weights[0] = &w.weights;
    walk_every_way(options, 1);
    walk_case_close(&c);
}

/* ---- weights ---- */

static proto chain(void)
{
    proto g = {0};
    matmul(&g, "x", "w1", "h");
    matmul(&g, "h", "w2", "m");
    proto_move(&g, 1, node2("Add", "m", "h", "s"));
    matmul(&g, "s", "w3", "n");
    proto_move(&g, 1, node2("Add", "n", "h", "t"));
    matmul(&g, "t", "w4", "y");
    return g;
}

Test(walk, changed_weights_count_from_the_next_stage_on)
{
    open_toy(chain(), "y");
    mc_nd *before = walk_case_plain(&c, NULL, NULL);
    scaled_weights w = scaled_weights_of("w2", 0.5f);
    mc_nd *after = walk_case_plain(&c, &w.weights, NULL);
    const size_t last = c.groups.groups - 1;
    cr_expect_not(walk_case_same(&before[last * ROWS], &after[last * ROWS]));

    for (size_t when = 0; when < c.groups.groups; when++) {
        mc_walk *walk;
        mc_walk_options options = walk_case_options(&c, pool_of(2));
        options.weights[0] = &w.weights;
        w.factor = 1.0f;
        plain[0] = when <= 1 ? after : before; /* w2 runs behind the second group */
        cr_assert_eq(mc_walk_open(&options, &walk, &c.err), MC_OK);
        for (size_t g = 0; walk_case_next(&c, walk, 1, plain); g++)
            if (g == when) w.factor = 0.5f;
        mc_walk_close(walk);
        mc_pool_close(options.pool);
    }
    walk_case_close(&c);
}

Test(walk, two_streams_have_weights_of_their_own)
{
    open_toy(captures(), "y");
    scaled_weights main = scaled_weights_of("w1", -1.5f), other = scaled_weights_of("w2", 4.0f);
    plain[MC_WALK_MAIN] = walk_case_plain(&c, &main.weights, NULL);
    plain[MC_WALK_FLOAT] = walk_case_plain(&c, &other.weights, NULL);
    mc_walk_options options = walk_case_options(&c, NULL);
    options.two = true;
    options.weights[MC_WALK_MAIN] = &main.weights;
    options.weights[MC_WALK_FLOAT] = &other.weights;
    walk_every_way(options, 2);
    walk_case_close(&c);
}

/* ---- activations ---- */

/* The main stream is rounded where a site says so at the moment that it runs, the float one
 * never. */
Test(walk, rounds_the_main_stream_as_sites_say)
{
    open_toy(chain(), "y");
    mc_act_spec act[8] = {{.mode = MC_ACT_FLOAT}};
    cr_assert_eq(c.sites.sites, 4);
    for (size_t s = 0; s < 4; s++) act[s] = mc_act_dynamic(s % 2 ? 4 : 8);
    plain[MC_WALK_MAIN] = walk_case_plain(&c, NULL, act);
    plain[MC_WALK_FLOAT] = walk_case_plain(&c, NULL, NULL);
    cr_expect_not(walk_case_same(&plain[0][3 * ROWS], &plain[1][3 * ROWS]));

    for (size_t s = 0; s < 4; s++) act[s] = (mc_act_spec){.bits = 16};
    mc_walk *walk;
    mc_walk_options options = walk_case_options(&c, pool_of(3));
    options.two = true;
    options.act = act;
    cr_assert_eq(mc_walk_open(&options, &walk, &c.err), MC_OK);
    for (size_t g = 0; walk_case_next(&c, walk, 2, plain); g++)
        act[c.groups.group[g].site[0]] = mc_act_dynamic(g % 2 ? 4 : 8);
    mc_walk_close(walk);
    mc_pool_close(options.pool);
    walk_case_close(&c);
}

/* ---- what waits ---- */

static bool waits(const mc_walk *walk, const char *name)
{
    mc_nd nd;
    return mc_walk_value(walk, MC_WALK_MAIN, walk_case_value(&c, name), ROWS - 1, &nd);
}

Test(walk, values_wait_until_their_last_use)
{
    static const char *const names[] = {"x", "h", "m", "s", "n", "t"};
    static const bool there[4][6] = {{true, false, false, false, false, false},
                                     {false, true, false, false, false, false},
                                     {false, true, false, true, false, false},
                                     {false, false, false, false, false, true}};
    open_toy(chain(), "y");
    plain[0] = walk_case_plain(&c, NULL, NULL);
    mc_walk *walk;
    mc_walk_options options = walk_case_options(&c, pool_of(2));
    cr_assert_eq(mc_walk_open(&options, &walk, &c.err), MC_OK);
    for (size_t g = 0; walk_case_next(&c, walk, 1, plain); g++) {
        size_t n = 0;
        for (size_t i = 0; i < 6; i++) {
            cr_expect_eq(waits(walk, names[i]), there[g][i], "%s at group %zu", names[i], g);
            n += there[g][i];
        }
        cr_expect_eq(mc_walk_bytes(walk), n * ROWS * 64u); /* 32 bytes each, in lines of 64 */
    }
    mc_walk_close(walk);
    mc_pool_close(options.pool);
    walk_case_close(&c);
}

static void count(void *to, uint64_t n)
{
    atomic_fetch_add((atomic_uint_fast64_t *)to, n);
}

/* The last stage gives nobody an input: it is not run. */
Test(walk, counts_samples_of_the_stages_that_run)
{
    atomic_uint_fast64_t seen = 0;
    open_toy(chain(), "y");
    plain[0] = walk_case_plain(&c, NULL, NULL);
    mc_walk_options options = walk_case_options(&c, pool_of(3));
    options.meter = (mc_meter){count, &seen};
    walk_all(&options, 1);
    cr_expect_eq(atomic_load(&seen), 4u * ROWS);
    mc_pool_close(options.pool);
    walk_case_close(&c);
}

Test(walk, a_model_without_sites_has_no_groups)
{
    proto g = {0};
    proto_move(&g, 1, node1("Relu", "x", "y"));
    open_toy(g, "y");
    plain[0] = walk_case_plain(&c, NULL, NULL);
    mc_walk_options options = walk_case_options(&c, pool_of(1));
    walk_all(&options, 1);
    mc_pool_close(options.pool);
    walk_case_close(&c);
}

/* ---- refusals ---- */

static void expect_refused(size_t good, mc_status status, const char *message)
{
    mc_walk *walk;
    const mc_input_group *group;
    mc_walk_options options = walk_case_options(&c, pool_of(3));
    cr_assert_eq(mc_walk_open(&options, &walk, &c.err), MC_OK);
    for (size_t g = 0; g < good; g++)
        cr_assert_eq(mc_walk_next(walk, &group, &c.err), MC_OK, "%s", c.err.text);
    cr_expect_eq(mc_walk_next(walk, &group, &c.err), status);
    cr_expect_str_eq(c.err.text, message, "%s", c.err.text);
    cr_expect_null(group);
    mc_walk_close(walk);
    mc_pool_close(options.pool);
    walk_case_close(&c);
}

Test(walk, names_the_site_whose_input_is_not_finite)
{
    proto g = {0};
    matmul(&g, "x", "w1", "h");
    proto_move(&g, 1, node1("Sqrt", "h", "r"));
    matmul(&g, "r", "w2", "y");
    open_toy(g, "y");
    plain[0] = walk_case_plain(&c, NULL, NULL);
    size_t sample = 0, element = 0;
    while (!isnan(((float *)plain[0][ROWS + sample].data)[element]))
        if (++element == WIDTH) sample++, element = 0;
    char wanted[256];
    snprintf(wanted, sizeof wanted,
             "model: input of site \"y\" is not finite: element %zu of sample %zu is nan", element,
             sample);
    expect_refused(1, MC_E_FORMAT, wanted);
}

Test(walk, names_values_that_cannot_wait)
{
    proto g = {0};
    matmul(&g, "x", "w1", "h");
    proto_move(&g, 1, node2("SequenceConstruct", "h", "x", "list"));
    matmul(&g, "h", "w2", "m");
    proto_move(&g, 1, node2("SequenceAt", "list", "one", "item"));
    proto_move(&g, 1, node2("Add", "item", "m", "s"));
    matmul(&g, "s", "w3", "y");
    proto_move(&g, 5, onnx_raw_tensor("one", 7, (int64_t[]){-1}, &(int64_t){1}, 8));
    open_toy(g, "y");
    expect_refused(1, MC_E_UNSUPPORTED,
                   "value 'list': it is no tensor of numbers, and calibration cannot carry it from "
                   "stage to stage");
}
