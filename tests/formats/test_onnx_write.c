/* ONNX files of graphs that were changed or built. */
#include "core/bytes.h"
#include "formats/onnx.h"
#include "formats/onnx_file.h"
#include "formats/onnx_write_parts.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/onnx_same.h"
#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static mc_region room;

static void enter(void)
{
    mc_err err;
    scratch_enter();
    cr_assert_eq(mc_region_open(&room, 1 << 20, &err), MC_OK);
}

static void leave(void)
{
    mc_region_close(&room);
    scratch_leave();
}

TestSuite(onnx_write, .init = enter, .fini = leave);

static const int64_t vector4[] = {4, -1}, scalar[] = {-1};
typedef const char *const names[];

static void put(const mc_model *m, const mc_onnx_write_options *options, const char *path)
{
    mc_err err = {0};
    cr_assert_eq(mc_onnx_write(m, options, path, &err), MC_OK, "%s", err.text);
}

static void refused(const mc_model *m, const mc_onnx_write_options *options, mc_status status,
                    const char *message)
{
    mc_err err = {0};
    cr_expect_eq(mc_onnx_write(m, options, "out.onnx", &err), status);
    cr_expect_str_eq(err.text, message);
}

/* The model that m becomes; m stays open, and its file does not matter any more. */
static mc_model written(const mc_model *m)
{
    const mc_onnx_write_options options = {.replace = true};
    put(m, &options, "written.onnx");
    return scratch_open("written.onnx");
}

/* t = Add(x, w), y = LeakyRelu(t), all of them described. */
static proto chain(void)
{
    static const float w[] = {1, 2, 3, 4};
    proto g = {0}, leaky = onnx_node("LeakyRelu", (names){"t", NULL}, (names){"y", NULL});
    proto alpha = {0};
    proto_text(&alpha, 1, "alpha");
    proto_float(&alpha, 2, 0.5f);
    proto_text(&alpha, 13, "a doc");
    proto_int(&alpha, 20, 1);
    proto_text(&leaky, 6, "a doc");
    proto_move(&leaky, 5, alpha);
    proto_move(&g, 1, onnx_node("Add", (names){"x", "w", NULL}, (names){"t", NULL}));
    proto_move(&g, 1, leaky);
    proto_text(&g, 2, "chain");
    proto_move(&g, 5, onnx_raw_tensor("w", 1, vector4, w, sizeof w));
    proto_move(&g, 11, onnx_value("x", 1, vector4));
    proto_move(&g, 12, onnx_value("y", 1, vector4));
    proto_move(&g, 13, onnx_value("t", 1, vector4));
    proto_move(&g, 13, onnx_value("no such value", 1, vector4));
    return g;
}

static mc_model chain_model(void)
{
    onnx_put("m.onnx", onnx_model(chain()));
    return scratch_open("m.onnx");
}

static mc_id named(const mc_graph *g, const char *name)
{
    const mc_id id = mc_graph_find(g, name);
    cr_assert_neq(id, MC_NONE, "%s", name);
    return id;
}

/* ---- changes ---- */

Test(onnx_write, leaves_out_nodes_that_are_gone_and_what_is_said_about_their_values)
{
    mc_model m = chain_model();
    mc_graph *g = m.graph;
    g->node[1].in[0] = g->input[0]; /* y = LeakyRelu(x) */
    g->node[1].raw = (mc_raw){0};
    g->node[0] = g->node[1];
    g->nodes = 1;
    g->value[named(g, "w")].constant = NULL;

    mc_model after = written(&m);
    const mc_graph *h = after.graph;
    cr_assert_eq(h->nodes, 1);
    cr_assert_str_eq(h->node[0].op, "LeakyRelu");
    cr_assert_str_eq(h->value[h->node[0].in[0]].name, "x");
    cr_assert_eq(mc_node_float(&h->node[0], "alpha", 0), 0.5);
    cr_assert_eq(after.tensors, 0, "w is no initializer any more");
    cr_assert_eq(mc_graph_find(h, "t"), MC_NONE);
    cr_assert_eq(after.onnx->graph[0].rests, 2, "the name and the info that is of no value");
    mc_model_close(&after);
    mc_model_close(&m);
}

Test(onnx_write, writes_nodes_that_were_added_to_a_copy)
{
    mc_model m = chain_model(), changed = m;
    mc_graph *g = changed.graph = mc_graph_copy(m.graph, &room.arena);
    const float two = 2;
    mc_id in[3] = {named(g, "t"), MC_NONE, MC_NONE};
    in[2] = mc_graph_const_f32(g, "most", 0, NULL, &two);
    const mc_id clipped = mc_graph_apply(g, "", "Clip", 17, in, 3, "");
    const mc_id gelu = mc_graph_apply(g, MC_DOMAIN_MS, "QuickGelu", 1, &clipped, 1, "gelu");
    mc_node_add_float(g, "alpha", 1.5f);
    mc_node_add_int(g, "i", -1);
    mc_node_add_text(g, "s", "text");
    mc_node_add_ints(g, "list", (int64_t[]){3, -4}, 2);
    mc_node_add_ints(g, "none", NULL, 0);
    g->node[1].in[0] = gelu;
    g->node[1].raw = (mc_raw){0};

    mc_model after = written(&changed);
    const mc_graph *h = after.graph;
    cr_assert_eq(h->nodes, 4);
    cr_assert_eq(after.opsets, 2);
    cr_assert(strcmp(after.opset[1].domain, MC_DOMAIN_MS) == 0 && after.opset[1].version == 1);
    const mc_node *clip = &h->node[h->value[named(h, "gelu")].producer - 1], *n = clip + 1;
    cr_assert_str_eq(clip->op, "Clip");
    cr_assert(clip->ins == 3 && clip->in[1] == MC_NONE);
    cr_assert_eq(mc_load_u32le(h->value[clip->in[2]].constant->data), 0x40000000);
    cr_assert_str_eq(h->value[clip->out[0]].name, "mcompress.5.0", "it had no name");
    cr_assert_eq(n->in[0], clip->out[0]);
    cr_assert_str_eq(n->domain, MC_DOMAIN_MS);
    cr_assert_eq(mc_node_float(n, "alpha", 0), 1.5);
    cr_assert_eq(mc_node_int(n, "i", 0), -1);
    cr_assert_str_eq(mc_node_text(n, "s", ""), "text");
    const int64_t *list;
    cr_assert(mc_node_ints(n, "list", &list) == 2 && list[0] == 3 && list[1] == -4);
    cr_assert_eq(mc_node_attr(n, "none")->kind, MC_ATTR_INTS);
    mc_model_close(&after);
    mc_model_close(&m);
}

Test(onnx_write, keeps_attributes_of_changed_nodes_and_the_rest_of_nodes_with_changed_attributes)
{
    mc_model m = chain_model();
    mc_attr *alpha = &m.graph->node[1].attr[0];
    const float slope = 0.125f;
    m.graph->node[1].raw = (mc_raw){0};
    mc_model after = written(&m);
    cr_assert_eq(mc_node_attr(&after.graph->node[1], "alpha")->raw.bytes, alpha->raw.bytes);
    mc_model_close(&after);
    mc_model_close(&m);

    m = chain_model();
    alpha = &m.graph->node[1].attr[0];
    alpha->f = &slope;
    alpha->raw = (mc_raw){0};
    after = written(&m);
    cr_assert_eq(mc_node_float(&after.graph->node[1], "alpha", 0), 0.125);
    const mc_raw raw = after.graph->node[1].raw;
    const mc_cursor doc = mc_onnx_part((mc_cursor){raw.at, raw.at + raw.bytes}, 6);
    cr_assert(mc_onnx_is(doc, "a doc"), "the node's own bytes");
    mc_model_close(&after);
    mc_model_close(&m);
}

Test(onnx_write, writes_shapes_and_tensors_as_they_are_now)
{
    mc_model m = chain_model();
    mc_graph *g = m.graph;
    const mc_tensor half = {.name = "w",
                            .dtype = MC_F32,
                            .ndim = 1,
                            .dim = {2},
                            .count = 2,
                            .bytes = 8,
                            .data = m.tensor[0].data + 4};
    g->value[named(g, "w")].constant = &half;
    for (size_t i = 0; i < g->values; i++) {
        mc_value *v = &g->value[i];
        v->dim[0] = 2;
        if (strcmp(v->name, "y") == 0) {
            v->dim[0] = -1;
            v->dim_name[0] = "half";
        }
        v->raw = (mc_raw){0};
    }
    mc_model after = written(&m);
    const mc_graph *h = after.graph;
    cr_assert_eq(h->value[named(h, "x")].dim[0], 2);
    cr_assert_eq(h->value[named(h, "t")].dim[0], 2, "of value_info");
    cr_assert(h->value[named(h, "t")].raw.at);
    cr_assert_str_eq(h->value[named(h, "y")].dim_name[0], "half");
    const mc_tensor *w = &after.tensor[0];
    cr_assert(w->ndim == 1 && w->dim[0] == 2);
    cr_assert_eq(memcmp(w->data, (float[]){2, 3}, 8), 0);
    mc_model_close(&after);
    mc_model_close(&m);
}

Test(onnx_write, takes_inputs_and_outputs_from_the_graph)
{
    mc_model m = chain_model(), changed = m;
    mc_graph *g = changed.graph = mc_graph_copy(m.graph, &room.arena);
    const mc_id more = mc_graph_add_input(g, "more", MC_I64, 2, (int64_t[]){-1, 3});
    mc_graph_add_output(g, named(g, "t"));
    cr_assert_neq(more, MC_NONE);
    mc_model after = written(&changed);
    const mc_graph *h = after.graph;
    cr_assert_eq(h->inputs, 2);
    const mc_value *v = &h->value[h->input[1]];
    cr_assert(strcmp(v->name, "more") == 0 && v->dtype == MC_I64 && v->ndim == 2 && v->dim[1] == 3);
    cr_assert_eq(v->dim[0], -1);
    cr_assert_eq(h->outputs, 2);
    cr_assert_str_eq(h->value[h->output[1]].name, "t");
    mc_model_close(&after);
    mc_model_close(&m);
}

Test(onnx_write, keeps_what_is_said_about_an_output_each_time_that_it_is_listed)
{
    proto g = chain();
    proto_move(&g, 12, onnx_value("t", 1, vector4));
    proto_move(&g, 12, onnx_value("y", 1, (int64_t[]){9, -1}));
    onnx_put("m.onnx", onnx_model(g));
    mc_model m = scratch_open("m.onnx"), after = written(&m);
    const char *found = onnx_difference(&m, &after);
    cr_expect_null(found, "%s", found);
    mc_model_close(&after);
    mc_model_close(&m);
}

/* c ? w + 1 : w + 2, where the subgraphs take w from outside. */
static mc_model if_model(void)
{
    static const float w[] = {1, 2, 3, 4};
    proto g = {0}, n = onnx_node("If", (names){"c", NULL}, (names){"y", NULL});
    for (int i = 1; i <= 2; i++) {
        proto body = {0};
        const float k = (float)i;
        proto_move(&body, 5, onnx_raw_tensor("k", 1, scalar, &k, sizeof k));
        proto_move(&body, 1, onnx_node("Add", (names){"w", "k", NULL}, (names){"r", NULL}));
        proto_text(&body, 2, "body");
        proto_text(&body, 10, "a doc");
        proto_move(&body, 12, onnx_value("r", 1, vector4));
        proto_move(&n, 5, onnx_attr_graph(i == 1 ? "then_branch" : "else_branch", body));
    }
    proto_move(&g, 1, n);
    proto_move(&g, 5, onnx_raw_tensor("w", 1, vector4, w, sizeof w));
    proto_move(&g, 11, onnx_value("c", 9, scalar));
    proto_move(&g, 12, onnx_value("y", 1, vector4));
    onnx_put("m.onnx", onnx_model(g));
    return scratch_open("m.onnx");
}

Test(onnx_write, writes_changes_inside_subgraphs)
{
    mc_model m = if_model(), changed = m;
    mc_graph *g = changed.graph = mc_graph_copy(m.graph, &room.arena);
    mc_graph *then = g->node[0].attr[0].g[0], *otherwise = g->node[0].attr[1].g[0];
    then->node[0].op = "Mul"; /* the If keeps its bytes */
    then->node[0].raw = (mc_raw){0};
    g->value[named(g, "w")].name = "weight"; /* what takes it loses its bytes */
    otherwise->node[0].raw = (mc_raw){0};

    mc_model after = written(&changed);
    const mc_attr *attr = after.graph->node[0].attr;
    const mc_graph *body = attr[0].g[0];
    cr_assert_str_eq(body->node[0].op, "Mul");
    cr_assert_str_eq(body->value[body->node[0].in[0]].name, "weight");
    cr_assert_eq(body->value[body->node[0].in[0]].outer, named(after.graph, "weight"));
    cr_assert_eq(after.onnx->graph[1].rests, 2, "name and doc_string");
    cr_assert_str_eq(attr[1].g[0]->node[0].op, "Add");
    mc_model_close(&after);
    mc_model_close(&m);
}

Test(onnx_write, writes_subgraphs_whose_attributes_have_lost_their_bytes)
{
    mc_model m = if_model();
    mc_node *n = &m.graph->node[0];
    n->raw = n->attr[0].raw = n->attr[1].raw = (mc_raw){0};
    mc_model after = written(&m);
    cr_assert_eq(after.tensors, 3);
    cr_assert_eq(after.onnx->graph[1].rests, 2, "the graph's own bytes are still known");
    mc_model_close(&after);
    mc_model_close(&m);
}

Test(onnx_write, keeps_what_subgraphs_say_about_values_from_outside)
{
    static const float w[] = {1, 2, 3, 4};
    proto g = {0}, n = onnx_node("If", (names){"c", NULL}, (names){"y", NULL});
    for (int i = 0; i < 2; i++) {
        proto body = {0}, out = onnx_value("w", 1, (int64_t[]){7, -1});
        proto_move(&body, 1, onnx_node("Relu", (names){"w", NULL}, (names){"r", NULL}));
        proto_text(&out, 3, "a doc");
        proto_move(&body, 12, out);
        proto_move(&body, 13, onnx_value("w", 1, (int64_t[]){8, -1}));
        proto_move(&n, 5, onnx_attr_graph(i == 0 ? "then_branch" : "else_branch", body));
    }
    proto_move(&g, 1, n);
    proto_move(&g, 5, onnx_raw_tensor("w", 1, vector4, w, sizeof w));
    proto_move(&g, 11, onnx_value("c", 9, scalar));
    proto_move(&g, 12, onnx_value("y", 1, vector4));
    onnx_put("m.onnx", onnx_model(g));
    mc_model m = scratch_open("m.onnx"), after = written(&m);
    const char *found = onnx_difference(&m, &after);
    cr_expect_null(found, "%s", found);
    mc_model_close(&after);
    mc_model_close(&m);
}

Test(onnx_write, writes_changes_inside_functions)
{
    mc_model m = scratch_open(MC_SOURCE_DIR "/tests/golden/onnx/functions.onnx");
    mc_node *n = m.graph->function[0].body->node; /* LeakyRelu, whose alpha is the call's slope */
    n->raw = n->attr[0].raw = (mc_raw){0};
    n->name = "slope";
    mc_model after = written(&m);
    const mc_function *f = &after.graph->function[0];
    cr_assert_str_eq(f->body->node[0].name, "slope");
    cr_assert_str_eq(f->body->node[0].attr[0].refers, "slope");
    cr_assert(f->fallbacks == 1 && f->fallback[0].f[0] == 0.25f);
    mc_model_close(&after);
    mc_model_close(&m);
}

Test(onnx_write, refuses_attributes_that_are_only_known_as_bytes_once_they_have_none)
{
    mc_model m = scratch_open(MC_SOURCE_DIR "/tests/golden/onnx/unknown.onnx");
    mc_node *n = &m.graph->node[0];
    n->raw = (mc_raw){0};
    mc_model after = written(&m);
    cr_assert_eq(after.graph->node[0].attrs, n->attrs, "the attributes still have theirs");
    mc_model_close(&after);
    for (size_t i = 0; i < n->attrs; i++)
        if (strcmp(n->attr[i].name, "sparse") == 0) n->attr[i].raw = (mc_raw){0};
    refused(&m, NULL, MC_E_UNSUPPORTED,
            "out.onnx: node 0 'm' (Mystery of com.acme, opset 3): attribute \"sparse\": cannot be "
            "written once it is changed");
    mc_model_close(&m);
}

Test(onnx_write, lists_new_initializers_as_inputs_before_ir_4)
{
    proto m = {0}, opset = {0}, g = chain();
    proto_move(&g, 11, onnx_value("w", 1, vector4));
    proto_int(&m, 1, 3);
    proto_int(&opset, 2, 9);
    proto_move(&m, 8, opset);
    proto_move(&m, 7, g);
    onnx_put("m.onnx", m);
    mc_model model = scratch_open("m.onnx"), changed = model;
    mc_graph *copy = changed.graph = mc_graph_copy(model.graph, &room.arena);
    const int64_t five = 5;
    cr_assert_neq(mc_graph_const_i64(copy, "five", 0, NULL, &five), MC_NONE);
    mc_model after = written(&changed);
    cr_assert_eq(after.graph->inputs, 1);
    cr_assert_eq(after.onnx->graph[0].inputs, 3, "x, w, five");
    cr_assert_eq(after.tensors, 2);
    mc_model_close(&after);
    mc_model_close(&model);
}

/* ---- graphs that were built ---- */

static mc_graph *built(void)
{
    mc_graph *g = mc_graph_new(&room.arena, "");
    const float w[] = {1, 2};
    mc_id in[2] = {mc_graph_add_input(g, "x", MC_F32, 2, (int64_t[]){-1, 2}), MC_NONE};
    in[1] = mc_graph_const_f32(g, "w", 1, (int64_t[]){2}, w);
    const mc_id y = mc_graph_apply(g, "", "Mul", 21, in, 2, "y");
    g->value[y].dtype = MC_F32;
    g->value[y].ndim = MC_RANK_UNKNOWN;
    cr_assert(mc_graph_add_output(g, y));
    return g;
}

Test(onnx_write, writes_a_graph_that_was_built)
{
    const mc_model m = {.graph = built()};
    mc_model after = written(&m);
    cr_assert_eq(after.onnx->ir_version, 10);
    cr_assert(after.opsets == 1 && after.opset[0].version == 21);
    cr_assert_str_eq(after.graph->name, "graph", "ONNX wants one");
    cr_assert_eq(after.graph->nodes, 1);
    cr_assert_eq(after.graph->value[after.graph->output[0]].ndim, MC_RANK_UNKNOWN);
    cr_assert_eq(memcmp(after.tensor[0].data, (float[]){1, 2}, 8), 0);
    mc_model_close(&after);
}

Test(onnx_write, names_the_operator_that_onnx_has_not)
{
    mc_model m = {.graph = built()};
    mc_graph_apply(m.graph, MC_DOMAIN, "RouteTopK", 1, NULL, 0, "routes");
    refused(&m, NULL, MC_E_UNSUPPORTED,
            "out.onnx: node 1 'routes' (RouteTopK of ai.mcompress, opset 1): the operator has no "
            "counterpart in ONNX");
    cr_assert_neq(access("out.onnx", F_OK), 0);
}

Test(onnx_write, refuses_two_versions_of_one_domain)
{
    const mc_model m = {.graph = built()};
    mc_graph_apply(m.graph, "", "Relu", 13, m.graph->output, 1, "z");
    refused(&m, NULL, MC_E_UNSUPPORTED,
            "out.onnx: node 1 'z' (Relu, opset 13): is of version 13, but other nodes of domain "
            "\"\" are of 21");
}

Test(onnx_write, refuses_outputs_of_unknown_type_and_two_values_of_one_name)
{
    const mc_model m = {.graph = built()};
    m.graph->value[m.graph->output[0]].dtype = MC_DTYPE_NONE;
    refused(&m, NULL, MC_E_UNSUPPORTED, "out.onnx: value \"y\": its type is not known");
    m.graph->value[m.graph->output[0]].dtype = MC_F6_E2M3;
    refused(&m, NULL, MC_E_UNSUPPORTED, "out.onnx: value \"y\": its type is none of ONNX");
    m.graph->value[m.graph->output[0]].name = "x";
    refused(&m, NULL, MC_E_USAGE, "out.onnx: two values are called \"x\"");
}

Test(onnx_write, refuses_what_has_no_data)
{
    const mc_model m = {.graph = built()}, none = {.no_graph = "config.json names no architecture"};
    mc_tensor t = *m.graph->value[1].constant;
    t.data = NULL;
    m.graph->value[1].constant = &t;
    refused(&m, NULL, MC_E_USAGE, "out.onnx: initializer \"w\": its data is not there");
    t.dtype = MC_STRING;
    refused(&m, NULL, MC_E_UNSUPPORTED,
            "out.onnx: initializer \"w\": holds strings, which cannot be written anew");
    refused(&none, NULL, MC_E_USAGE,
            "out.onnx: the model has no graph: config.json names no architecture");
    cr_assert_neq(access("out.onnx", F_OK), 0);
}
