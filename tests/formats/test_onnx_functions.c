/* Local functions: read as they stand, run as their bodies. */
#include "core/exec.h"
#include "core/passes.h"
#include "formats/onnx.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(onnx_functions, .init = scratch_enter, .fini = scratch_leave);

static const int64_t vector4[] = {4, -1}, scalar[] = {-1};

typedef const char *const names[];

static proto opset(const char *domain, int64_t version)
{
    proto o = {0};
    proto_text(&o, 1, domain);
    proto_int(&o, 2, version);
    return o;
}

static proto in_domain(proto node, const char *domain)
{
    proto_text(&node, 7, domain);
    return node;
}

static proto with(proto node, proto attr)
{
    proto_move(&node, 5, attr);
    return node;
}

/* An attribute of a body's node that stands for the call's. */
static proto refers(const char *name, int64_t type, const char *to)
{
    proto a = {0};
    proto_text(&a, 1, name);
    proto_int(&a, 20, type);
    proto_text(&a, 21, to);
    return a;
}

static proto attr_float(const char *name, float value)
{
    proto a = {0};
    proto_text(&a, 1, name);
    proto_int(&a, 20, 1);
    proto_float(&a, 2, value);
    return a;
}

static proto function(const char *name, names in, names out)
{
    proto f = {0};
    proto_text(&f, 1, name);
    proto_text(&f, 10, "mine");
    for (; *in; in++) proto_text(&f, 4, *in);
    for (; *out; out++) proto_text(&f, 5, *out);
    proto_move(&f, 9, opset("", 16));
    proto_move(&f, 9, opset("mine", 1));
    return f;
}

/* A model that calls mine.`op`(x [4]) -> y with such an attribute (or none: empty). */
static proto calling(const char *op, proto attr)
{
    proto g = {0}, n = in_domain(onnx_node(op, (names){"x", NULL}, (names){"y", NULL}), "mine");
    if (attr.n > 0) n = with(n, attr);
    proto_text(&n, 3, "call");
    proto_move(&g, 1, n);
    proto_move(&g, 11, onnx_value("x", 1, vector4));
    proto_move(&g, 12, onnx_value("y", 1, vector4));
    proto m = onnx_model(g);
    proto_move(&m, 8, opset("mine", 1));
    return m;
}

/* leaky(x) = LeakyRelu(x, alpha = slope), slope 0.5 unless the call says so. */
static proto leaky(void)
{
    proto f = function("leaky", (names){"a", NULL}, (names){"b", NULL});
    proto_move(&f, 7,
               with(onnx_node("LeakyRelu", (names){"a", NULL}, (names){"b", NULL}),
                    refers("alpha", 1, "slope")));
    proto_move(&f, 11, attr_float("slope", 0.5f));
    return f;
}

/* The model, its graph with the bodies in it, and what becomes of x = -2, -1, 1, 2. */
typedef struct {
    mc_model model;
    mc_region memory;
    mc_graph *graph;
    float y[4];
} outcome;

static mc_status expand(outcome *o, mc_err *err)
{
    o->model = scratch_open("m.onnx");
    cr_assert_eq(mc_region_open(&o->memory, (size_t)1 << 30, err), MC_OK);
    o->graph = mc_graph_copy(o->model.graph, &o->memory.arena);
    cr_assert(o->graph);
    mc_region scratch; /* apart from the memory that the graph grows in */
    cr_assert_eq(mc_region_open(&scratch, 1 << 26, err), MC_OK);
    const mc_status status = mc_pass_functions(o->graph, scratch.arena, err);
    mc_region_close(&scratch);
    return status;
}

static outcome run(proto model)
{
    static const float x[] = {-2, -1, 1, 2};
    outcome o = {0};
    mc_err err = {0};
    mc_exec *exec;
    mc_run *run;
    onnx_put("m.onnx", model);
    cr_assert_eq(expand(&o, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_graph_check(o.graph, "g", &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_graph_order(o.graph, "g", o.memory.arena, &err), MC_OK, "%s", err.text);

    mc_nd in = {.data = (void *)(uintptr_t)x};
    cr_assert_eq(mc_nd_set(&in, MC_F32, 1, (int64_t[]){4}, &err), MC_OK);
    const mc_exec_options options = {.name = "m", .cache_bytes = UINT64_MAX};
    cr_assert_eq(mc_exec_open(o.graph, &options, &exec, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_run_open(exec, 0, &run, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_run_all(run, (const mc_nd *[]){&in}, 1, &err), MC_OK, "%s", err.text);
    memcpy(o.y, mc_run_value(run, o.graph->output[0])->data, sizeof o.y);
    mc_run_close(run);
    mc_exec_close(exec);
    return o;
}

static void leave(outcome *o)
{
    mc_region_close(&o->memory);
    mc_model_close(&o->model);
}

static void gives(proto model, float a, float b, float c, float d)
{
    outcome o = run(model);
    cr_assert(o.y[0] == a && o.y[1] == b && o.y[2] == c && o.y[3] == d, "%g %g %g %g",
              (double)o.y[0], (double)o.y[1], (double)o.y[2], (double)o.y[3]);
    leave(&o);
}

Test(onnx_functions, stay_calls_in_the_source_graph)
{
    proto m = calling("leaky", (proto){0});
    proto_move(&m, 25, leaky());
    outcome o = run(m);
    const mc_graph *g = o.model.graph;
    cr_assert_eq(g->nodes, 1);
    cr_assert_str_eq(g->node[0].op, "leaky");
    cr_assert_eq(g->functions, 1);
    cr_assert_str_eq(g->function[0].domain, "mine");
    cr_assert_eq(o.graph->functions, 0);
    cr_assert_eq(o.graph->node[0].origin, 0);
    cr_assert_eq(o.graph->node[0].version, 16, "the function's own operator set holds");
    leave(&o);
}

Test(onnx_functions, take_attributes_of_the_call_or_their_defaults)
{
    proto m = calling("leaky", attr_float("slope", 0.25f));
    proto_move(&m, 25, leaky());
    gives(m, -0.5f, -0.25f, 1, 2);
    m = calling("leaky", (proto){0});
    proto_move(&m, 25, leaky());
    gives(m, -1, -0.5f, 1, 2);

    proto f =
        function("plain", (names){"a", NULL}, (names){"b", NULL}); /* alpha: 0.01 if left out */
    proto_move(&f, 7,
               with(onnx_node("LeakyRelu", (names){"a", NULL}, (names){"b", NULL}),
                    refers("alpha", 1, "slope")));
    m = calling("plain", (proto){0});
    proto_move(&m, 25, f);
    gives(m, -2 * 0.01f, -0.01f, 1, 2);
}

Test(onnx_functions, call_each_other_and_keep_their_values_apart)
{
    /* twice(x) = leaky(leaky(x; slope = s); slope = 0.5), with inner values of one name. */
    proto f = function("twice", (names){"a", NULL}, (names){"c", NULL});
    proto_move(&f, 7,
               with(in_domain(onnx_node("leaky", (names){"a", NULL}, (names){"b", NULL}), "mine"),
                    refers("slope", 1, "s")));
    proto_move(&f, 7,
               in_domain(onnx_node("leaky", (names){"b", NULL}, (names){"c", NULL}), "mine"));
    proto m = calling("twice", attr_float("s", 0.25f));
    proto_move(&m, 25, f);
    proto_move(&m, 25, leaky());
    gives(m, -0.25f, -0.125f, 1, 2);
}

Test(onnx_functions, may_give_an_input_or_leave_inputs_out)
{
    /* same(x, low?) gives x itself; Clip takes the missing low. */
    proto f = function("same", (names){"a", "low", NULL}, (names){"a", NULL});
    proto_move(&f, 7, onnx_node("Clip", (names){"a", "low", NULL}, (names){"unused", NULL}));
    proto m = calling("same", (proto){0});
    proto_move(&m, 25, f);
    gives(m, -2, -1, 1, 2);
}

Test(onnx_functions, hand_their_values_and_attributes_to_graphs_inside)
{
    /* choose(x) = If(true) { LeakyRelu(b, alpha = slope) } else { b }, b = Neg(x) */
    static const unsigned char yes = 1;
    proto then = {0}, other = {0};
    proto_move(&then, 1,
               with(onnx_node("LeakyRelu", (names){"b", NULL}, (names){"t", NULL}),
                    refers("alpha", 1, "slope")));
    proto_move(&then, 12, onnx_value("t", 1, vector4));
    proto_move(&other, 1, onnx_node("Abs", (names){"b", NULL}, (names){"e", NULL}));
    proto_move(&other, 12, onnx_value("e", 1, vector4));
    proto f = function("choose", (names){"a", NULL}, (names){"y", NULL});
    proto_move(&f, 7,
               with(onnx_node("Constant", (names){NULL}, (names){"yes", NULL}),
                    onnx_attr_tensor("value", onnx_raw_tensor("", 9, scalar, &yes, 1))));
    proto_move(&f, 7, onnx_node("Neg", (names){"a", NULL}, (names){"b", NULL}));
    proto_move(&f, 7,
               with(with(onnx_node("If", (names){"yes", NULL}, (names){"y", NULL}),
                         onnx_attr_graph("then_branch", then)),
                    onnx_attr_graph("else_branch", other)));
    proto m = calling("choose", attr_float("slope", 0.25f));
    proto_move(&m, 25, f);
    gives(m, 2, 1, -0.25f, -0.5f);
}

static void refused(proto model, const char *message)
{
    outcome o = {0};
    mc_err err = {0};
    onnx_put("m.onnx", model);
    cr_assert_eq(expand(&o, &err), MC_E_FORMAT);
    cr_assert_str_eq(err.text, message);
    leave(&o);
}

Test(onnx_functions, that_call_themselves_are_refused)
{
    proto f = function("again", (names){"a", NULL}, (names){"b", NULL});
    proto_move(&f, 7,
               in_domain(onnx_node("again", (names){"a", NULL}, (names){"b", NULL}), "mine"));
    proto m = calling("again", (proto){0});
    proto_move(&m, 25, f);
    refused(m, "call 'call' of function again: functions call each other, deeper than 32");
}

Test(onnx_functions, that_double_at_every_level_are_refused)
{
    proto m = calling("f0", (proto){0});
    for (int i = 0; i < 30; i++) {
        char name[16], next[16];
        snprintf(name, sizeof name, "f%d", i);
        snprintf(next, sizeof next, "f%d", i + 1);
        const char *op = i == 29 ? "Neg" : next, *domain = i == 29 ? "" : "mine";
        proto f = function(name, (names){"a", NULL}, (names){"c", NULL});
        proto_move(&f, 7, in_domain(onnx_node(op, (names){"a", NULL}, (names){"b", NULL}), domain));
        proto_move(&f, 7, in_domain(onnx_node(op, (names){"b", NULL}, (names){"c", NULL}), domain));
        proto_move(&m, 25, f);
    }
    refused(m, "call 'call' of function f0: functions become more than 1048576 nodes");
}

Test(onnx_functions, refuse_calls_with_too_many_inputs)
{
    proto g = {0};
    proto n = in_domain(onnx_node("leaky", (names){"x", "x", NULL}, (names){"y", NULL}), "mine");
    proto_move(&g, 1, n);
    proto_move(&g, 11, onnx_value("x", 1, vector4));
    proto_move(&g, 12, onnx_value("y", 1, vector4));
    proto m = onnx_model(g);
    proto_move(&m, 25, leaky());
    refused(m, "call '' of function leaky: 2 inputs and 1 outputs, at most 1 and 1 are allowed");
}

Test(onnx_functions, of_one_name_are_refused)
{
    proto m = calling("leaky", (proto){0});
    proto_move(&m, 25, leaky());
    proto_move(&m, 25, leaky());
    onnx_put("m.onnx", m);
    scratch_refused("m.onnx", MC_E_FORMAT,
                    "m.onnx: function \"leaky\" of domain \"mine\" appears twice");
}

Test(onnx_functions, differ_by_overload)
{
    proto m = calling("leaky", (proto){0}), f = leaky();
    proto_text(&f, 13, "other");
    proto_move(&m, 25, f);
    proto_move(&m, 25, leaky());
    gives(m, -1, -0.5f, 1, 2);
}
