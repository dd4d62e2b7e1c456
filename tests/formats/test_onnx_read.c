/* ONNX files that are good, in all the ways that protobuf allows, and what becomes of them. */
#include "core/op.h"
#include "formats/onnx.h"
#include "formats/onnx_file.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(onnx_read, .init = scratch_enter, .fini = scratch_leave);

static const int64_t vector4[] = {4, -1}, scalar[] = {-1};

static proto one_node(const char *op, const char *in, const char *out)
{
    return onnx_node(op, (const char *[]){in, NULL}, (const char *[]){out, NULL});
}

Test(onnx_read, makes_a_model_of_a_file)
{
    proto graph = onnx_small_graph();
    proto m = onnx_model(graph);
    proto_move(&m, 14, onnx_string("zoo", "1"));
    proto_move(&m, 14, onnx_string("author", "me"));
    onnx_put("small.onnx", m);

    mc_model model = scratch_open("small.onnx");
    cr_assert_str_eq(model.format, "onnx");
    cr_assert_eq(model.sources, 1);
    cr_assert_str_eq(model.source[0].role, "weights");
    cr_assert_eq(model.tensors, 1);
    const mc_tensor *w = &model.tensor[0];
    cr_assert_str_eq(w->name, "w");
    cr_assert(w->dtype == MC_F32 && w->ndim == 2 && w->dim[0] == 4 && w->dim[1] == 2);
    const unsigned char *begin = model.source[0].map.data;
    cr_assert(w->data >= begin && w->data + w->bytes <= begin + model.source[0].map.size,
              "the data is a view into the file");
    cr_assert_eq(model.metadatas, 2);
    cr_assert_str_eq(model.metadata[0].key, "author");

    const mc_graph *g = model.graph;
    cr_assert(g && g->nodes == 1 && g->inputs == 1 && g->outputs == 1);
    cr_assert_str_eq(g->node[0].op, "MatMul");
    cr_assert_eq(g->node[0].version, 17);
    cr_assert_str_eq(g->value[g->input[0]].name, "x");
    cr_assert_eq(g->value[g->node[0].in[1]].constant, w);
    const mc_value *y = &g->value[g->output[0]];
    cr_assert(y->producer == 0 && y->ndim == 2 && y->dim[1] == 2 && y->dtype == MC_F32);
    cr_assert_eq(model.task, MC_TASK_CLASSIFY);
    cr_assert(model.opsets == 1 && model.opset[0].version == 17);
    mc_model_close(&model);
}

static mc_task task_of_ids(int ids_type, const int64_t *out_dim)
{
    proto graph = {0};
    proto_move(&graph, 1,
               onnx_node("Gather", (const char *const[]){"table", "ids", NULL},
                         (const char *const[]){"logits", NULL}));
    proto_text(&graph, 2, "g");
    const float table[8] = {0};
    proto_move(&graph, 5,
               onnx_raw_tensor("table", 1, (const int64_t[]){4, 2, -1}, table, sizeof table));
    proto_move(&graph, 11, onnx_value("ids", ids_type, (const int64_t[]){1, 3, -1}));
    proto_move(&graph, 12, onnx_value("logits", 1, out_dim));
    onnx_put("m.onnx", onnx_model(graph));
    mc_model model = scratch_open("m.onnx");
    const mc_task task = model.task;
    mc_model_close(&model);
    return task;
}

Test(onnx_read, whole_numbers_in_and_numbers_for_each_out_is_a_language)
{
    const int64_t each[] = {1, 3, 2, -1}, flat[] = {3, -1};
    cr_expect_eq(task_of_ids(7, each), MC_TASK_LANGUAGE);
    cr_expect_eq(task_of_ids(6, each), MC_TASK_LANGUAGE);
    cr_expect_eq(task_of_ids(7, flat), MC_TASK_NONE);
}

Test(onnx_read, finds_a_model_by_its_content_whatever_its_name)
{
    onnx_put("weights.bin", onnx_model(onnx_small_graph()));
    mc_model model = scratch_open("weights.bin");
    cr_assert_str_eq(model.format, "onnx");
    mc_model_close(&model);
}

Test(onnx_read, takes_fields_in_any_order_and_passes_over_those_it_does_not_know)
{
    proto g = {0}, m = {0}, opset = {0}, t = {0}, n = {0};
    static const float w[] = {1, 2, 3, 4};
    proto_move(&g, 12, onnx_value("y", 1, vector4));
    proto_bytes(&t, 9, w, sizeof w); /* data before type and shape */
    proto_text(&t, 8, "w");
    proto_int(&t, 2, 1);
    proto_int(&t, 1, 4);
    proto_move(&g, 5, t);
    proto_text(&n, 4, "Add");
    proto_float(&n, 500, 1.0f);
    proto_int(&n, 501, -1);
    proto_text(&n, 502, "?");
    proto_text(&n, 2, "y");
    proto_text(&n, 1, "x");
    proto_text(&n, 1, "w");
    proto_move(&g, 1, n);
    proto_move(&g, 11, onnx_value("x", 1, vector4));
    proto_move(&m, 7, g);
    proto_int(&opset, 2, 13);
    proto_text(&opset, 1, "ai.onnx"); /* another name of "" */
    proto_move(&m, 8, opset);
    proto_int(&m, 1, 3);
    proto_int(&m, 1, 7); /* the last one counts */
    onnx_put("m.onnx", m);

    mc_model model = scratch_open("m.onnx");
    cr_assert_eq(model.onnx->ir_version, 7);
    cr_assert_eq(model.graph->node[0].version, 13);
    cr_assert_str_eq(model.graph->node[0].domain, "");
    cr_assert_eq(memcmp(model.tensor[0].data, w, sizeof w), 0);
    mc_model_close(&model);
}

Test(onnx_read, keeps_every_field_that_the_graph_does_not_model)
{
    proto g = onnx_small_graph();
    proto_text(&g, 10, "a doc");
    proto_move(&g, 13, onnx_value("y", 1, vector4));
    proto_text(&g, 77, "unknown");
    const size_t graph_bytes = g.n;
    proto m = onnx_model(g);
    proto_text(&m, 2, "a producer");
    const size_t bytes = m.n;
    onnx_put("m.onnx", m);

    mc_model model = scratch_open("m.onnx");
    const mc_onnx_file *file = model.onnx;
    cr_assert_eq(file->raw.bytes, bytes);
    cr_assert_eq(file->rests, 3, "ir_version, opset_import, producer_name");
    cr_assert_eq(file->graphs, 1);
    cr_assert_eq(file->graph[0].raw.bytes, graph_bytes);
    cr_assert_eq(file->graph[0].rests, 4, "name, doc_string, value_info, the unknown one");
    const mc_raw last = file->graph[0].rest[3];
    cr_assert_eq(memcmp(last.at + last.bytes - 7, "unknown", 7), 0);
    cr_assert(file->tensor[0].node == MC_NONE &&
              file->tensor[0].value == model.graph->node[0].in[1]);
    mc_model_close(&model);
}

Test(onnx_read, lists_the_tensors_of_constants_under_the_name_of_their_output)
{
    static const float a[] = {1, 2, 3, 4};
    proto g = {0};
    proto_move(&g, 1,
               onnx_node("Add", (const char *[]){"x", "late", NULL}, (const char *[]){"y", NULL}));
    proto c = onnx_node("Constant", (const char *[]){NULL}, (const char *[]){"late", NULL});
    proto_move(&c, 5, onnx_attr_tensor("value", onnx_raw_tensor("inner", 1, vector4, a, sizeof a)));
    proto_move(&g, 1, c); /* behind the node that takes it */
    proto_move(&g, 11, onnx_value("x", 1, vector4));
    proto_move(&g, 12, onnx_value("y", 1, vector4));
    onnx_put("m.onnx", onnx_model(g));

    mc_model model = scratch_open("m.onnx");
    cr_assert_eq(model.tensors, 1);
    cr_assert_str_eq(model.tensor[0].name, "late");
    cr_assert_str_eq(model.graph->node[0].op, "Constant", "nodes are put in order");
    cr_assert_eq(mc_node_attr(&model.graph->node[0], "value")->t, &model.tensor[0]);
    cr_assert_eq(model.onnx->tensor[0].node, 0);
    mc_model_close(&model);
}

/* If(c) with branches that each hold a constant "k" and take "w" from outside. */
static proto branch(float value)
{
    proto g = {0};
    proto_move(&g, 5, onnx_raw_tensor("k", 1, scalar, &value, sizeof value));
    proto_move(&g, 1,
               onnx_node("Add", (const char *[]){"w", "k", NULL}, (const char *[]){"r", NULL}));
    proto_move(&g, 12, onnx_value("r", 1, vector4));
    return g;
}

static proto if_graph(void)
{
    static const float w[] = {1, 2, 3, 4};
    proto g = {0}, n = one_node("If", "c", "y");
    proto_move(&n, 5, onnx_attr_graph("then_branch", branch(1)));
    proto_move(&n, 5, onnx_attr_graph("else_branch", branch(2)));
    proto_move(&g, 1, n);
    proto_move(&g, 5, onnx_raw_tensor("w", 1, vector4, w, sizeof w));
    proto_move(&g, 11, onnx_value("c", 9, scalar));
    proto_move(&g, 12, onnx_value("y", 1, vector4));
    return g;
}

Test(onnx_read, gives_subgraphs_the_values_that_they_take_from_outside)
{
    onnx_put("m.onnx", onnx_model(if_graph()));
    mc_model model = scratch_open("m.onnx");
    const mc_attr *then = mc_node_attr(&model.graph->node[0], "then_branch");
    const mc_graph *body = then->g[0];
    cr_assert_eq(body->outer, model.graph);
    const mc_value *w = &body->value[body->node[0].in[0]];
    cr_assert_str_eq(w->name, "w");
    cr_assert_str_eq(model.graph->value[w->outer].name, "w");
    cr_assert(model.graph->value[w->outer].constant);
    mc_model_close(&model);
}

Test(onnx_read, tells_tensors_of_one_name_in_sibling_graphs_apart_by_a_number)
{
    onnx_put("m.onnx", onnx_model(if_graph()));
    mc_model model = scratch_open("m.onnx");
    cr_assert_eq(model.tensors, 3);
    cr_assert_str_eq(model.tensor[0].name, "k");
    cr_assert_str_eq(model.tensor[1].name, "k#2");
    cr_assert_str_eq(model.tensor[2].name, "w");
    float first, second;
    memcpy(&first, model.tensor[0].data, sizeof first);
    memcpy(&second, model.tensor[1].data, sizeof second);
    cr_assert(first == 1.0f && second == 2.0f, "the first in the file keeps the name");
    const mc_attr *other = mc_node_attr(&model.graph->node[0], "else_branch");
    const mc_graph *body = other->g[0];
    cr_assert_eq(body->value[body->node[0].in[1]].constant, &model.tensor[1]);
    mc_model_close(&model);
}

Test(onnx_read, takes_inputs_that_have_initializers_as_constants)
{
    proto g = onnx_small_graph();
    proto_move(&g, 11, onnx_value("w", 1, (int64_t[]){4, 2, -1}));
    onnx_put("m.onnx", onnx_model(g));
    mc_model model = scratch_open("m.onnx");
    cr_assert_eq(model.graph->inputs, 1);
    cr_assert_eq(model.onnx->graph[0].inputs, 2, "the file's own list stays known");
    mc_model_close(&model);
}

Test(onnx_read, leaves_symbolic_and_negative_dimensions_open)
{
    proto g = onnx_small_graph(), value = {0}, type = {0}, tensor = {0}, shape = {0}, d = {0};
    proto_text(&d, 2, "batch");
    proto_move(&shape, 1, d);
    d = (proto){0};
    proto_int(&d, 1, -7);
    proto_move(&shape, 1, d);
    proto_int(&tensor, 1, 10);
    proto_move(&tensor, 2, shape);
    proto_move(&type, 1, tensor);
    proto_text(&value, 1, "z");
    proto_move(&value, 2, type);
    proto_move(&g, 11, value);
    onnx_put("m.onnx", onnx_model(g));
    mc_model model = scratch_open("m.onnx");
    const mc_value *z = &model.graph->value[model.graph->input[1]];
    cr_assert(z->dtype == MC_F16 && z->ndim == 2 && z->dim[0] == -1 && z->dim[1] == -1);
    cr_assert_str_eq(z->dim_name[0], "batch");
    mc_model_close(&model);
}

Test(onnx_read, keeps_unknown_operators_and_their_attributes)
{
    proto g = onnx_small_graph(), n = one_node("Mystery", "x", "m");
    proto_text(&n, 7, "com.acme");
    proto depth = onnx_attr_int("depth", 5);
    proto_int(&depth, 3, -3); /* the last one counts */
    proto_move(&n, 5, depth);
    proto sparse = {0}, empty = {0};
    proto_text(&sparse, 1, "table");
    proto_int(&sparse, 20, 11);
    proto_move(&sparse, 22, empty);
    proto_move(&n, 5, sparse);
    proto_move(&g, 1, n);
    onnx_put("m.onnx", onnx_model(g));
    mc_model model = scratch_open("m.onnx");
    const mc_node *node = &model.graph->node[1];
    cr_assert_str_eq(node->domain, "com.acme");
    cr_assert_eq(mc_node_int(node, "depth", 0), -3);
    cr_assert_eq(mc_node_attr(node, "table")->kind, MC_ATTR_OTHER);
    cr_assert(node->raw.at != NULL);
    mc_model_close(&model);
}

Test(onnx_read, reads_only_the_weights_of_an_opset_that_is_newer_than_known)
{
    proto m = {0}, opset = {0};
    proto_int(&m, 1, 13);
    proto_int(&opset, 2, MC_OPSET_NEWEST + 1);
    proto_move(&m, 8, opset);
    proto_move(&m, 7, onnx_small_graph());
    onnx_put("m.onnx", m);
    mc_model model = scratch_open("m.onnx");
    cr_assert(!model.graph);
    cr_assert_str_eq(model.no_graph,
                     "the model is of opset 26 of ai.onnx, the newest that is known is 25");
    cr_assert_eq(model.tensors, 1);
    mc_model_close(&model);
}

Test(onnx_read, reads_only_the_weights_beside_a_sparse_initializer)
{
    proto g = onnx_small_graph(), sparse = {0};
    static const float one = 1;
    proto_move(&sparse, 1, onnx_raw_tensor("s", 1, (int64_t[]){1, -1}, &one, sizeof one));
    proto_move(&g, 15, sparse);
    proto_move(&g, 1, one_node("Relu", "s", "t"));
    onnx_put("m.onnx", onnx_model(g));
    mc_model model = scratch_open("m.onnx");
    cr_assert(!model.graph);
    cr_assert_str_eq(model.no_graph, "value \"s\" has a sparse initializer");
    mc_model_close(&model);
}

Test(onnx_read, says_what_kind_of_value_test_data_must_be)
{
    proto g = onnx_small_graph(), value = {0}, type = {0}, sequence = {0};
    proto_move(&type, 4, sequence);
    proto_text(&value, 1, "list");
    proto_move(&value, 2, type);
    proto_move(&g, 11, value);
    onnx_put("m.onnx", onnx_model(g));
    mc_model model = scratch_open("m.onnx");
    cr_assert_eq(mc_onnx_value_kind(&model.graph->value[model.graph->input[0]]), MC_ND_TENSOR);
    cr_assert_eq(mc_onnx_value_kind(&model.graph->value[model.graph->input[1]]), MC_ND_SEQUENCE);
    mc_model_close(&model);
}

Test(onnx_read, names_the_model_of_a_folder_that_holds_no_other)
{
    onnx_put("d/m.onnx", onnx_model(onnx_small_graph()));
    scratch_refused("d", MC_E_USAGE,
                    "d: holds no safetensors file: give the ONNX file \"m.onnx\" by its name");
}
