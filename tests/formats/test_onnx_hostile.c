/* ONNX files that are damaged or meant to do damage: each is refused, with a message that says what
 * and where. */
#include "tests/support/onnx_builder.h"
#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(onnx_hostile, .init = scratch_enter, .fini = scratch_leave);

static const int64_t vector4[] = {4, -1};
static const float four[] = {1, 2, 3, 4};

static void refused(proto model, mc_status status, const char *message)
{
    onnx_put("m.onnx", model);
    scratch_refused("m.onnx", status, message);
}

static proto node(const char *op, const char *in, const char *out)
{
    return onnx_node(op, (const char *[]){in, NULL}, (const char *[]){out, NULL});
}

/* ---- the wire ---- */

Test(onnx_hostile, is_refused_when_cut_at_any_byte)
{
    proto m = onnx_model(onnx_small_graph());
    for (size_t n = 0; n < m.n; n++) {
        mc_model model;
        mc_err err = {0};
        scratch_put("m.onnx", m.at, n);
        cr_assert_eq(mc_model_open("m.onnx", NULL, &model, &err), MC_E_FORMAT, "cut at %zu", n);
        cr_assert_eq(strncmp(err.text, "m.onnx: ", 8), 0, "%s", err.text);
    }
    onnx_put("m.onnx", m);
    mc_model model = scratch_open("m.onnx");
    mc_model_close(&model);
}

/* Whatever a flipped byte makes of it: an answer, never a crash (run with sanitizers). */
Test(onnx_hostile, is_read_or_refused_with_any_byte_changed)
{
    static const unsigned char flip[] = {0x01, 0x02, 0x07, 0x08, 0x10, 0x80, 0xff};
    proto m = onnx_model(onnx_small_graph());
    for (size_t i = 0; i < m.n * sizeof flip; i++) {
        unsigned char *at = &m.at[i / sizeof flip];
        const unsigned char was = *at;
        *at ^= flip[i % sizeof flip];
        scratch_put("m.onnx", m.at, m.n);
        *at = was;
        mc_model model;
        mc_err err = {0};
        const mc_status got = mc_model_open("m.onnx", NULL, &model, &err);
        cr_assert(got == MC_OK || got == MC_E_FORMAT || got == MC_E_UNSUPPORTED, "%s", err.text);
        if (got == MC_OK) mc_model_close(&model);
    }
    proto_free(&m);
}

Test(onnx_hostile, refuses_a_million_groups_inside_each_other)
{
    enum { GROUPS = 1000000 };
    proto m = onnx_model(onnx_small_graph());
    unsigned char *groups = malloc(GROUPS);
    cr_assert(groups);
    memset(groups, 0x13, GROUPS); /* field 2, wire type 3 */
    proto_raw(&m, groups, GROUPS);
    free(groups);
    refused(m, MC_E_FORMAT, "m.onnx: byte 123: ModelProto holds a group, which no format here has");
}

Test(onnx_hostile, refuses_messages_too_deep_inside_each_other)
{
    proto g = onnx_small_graph();
    for (int i = 0; i < 33; i++) {
        proto n = node("If", "x", "z"), outer = {0};
        proto_move(&n, 5, onnx_attr_graph("then_branch", g));
        proto_move(&outer, 1, n);
        g = outer;
    }
    mc_model model;
    mc_err err = {0};
    onnx_put("m.onnx", onnx_model(g));
    cr_assert_eq(mc_model_open("m.onnx", NULL, &model, &err), MC_E_FORMAT);
    cr_assert(strstr(err.text, "lies more than 100 messages deep"), "%s", err.text);
}

Test(onnx_hostile, refuses_a_varint_of_eleven_bytes)
{
    proto m = onnx_model(onnx_small_graph());
    proto_raw(&m, "\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12);
    refused(m, MC_E_FORMAT,
            "m.onnx: byte 123: ModelProto holds a number that is no varint of 64 bits");
}

Test(onnx_hostile, refuses_two_graphs_which_protobuf_would_merge)
{
    proto m = onnx_model(onnx_small_graph());
    proto_move(&m, 7, onnx_small_graph());
    refused(m, MC_E_FORMAT, "m.onnx: byte 123: ModelProto.graph appears twice");
}

Test(onnx_hostile, refuses_a_known_field_of_another_wire_type)
{
    proto m = onnx_model(onnx_small_graph());
    proto_float(&m, 1, 8.0f);
    refused(m, MC_E_FORMAT,
            "m.onnx: byte 123: ModelProto.ir_version has another wire type than ONNX gives it");
}

Test(onnx_hostile, refuses_names_that_are_no_text)
{
    proto g = onnx_small_graph();
    proto_bytes(&g, 2, "a\0b", 3);
    refused(onnx_model(g), MC_E_FORMAT,
            "m.onnx: byte 123: GraphProto.name is not UTF-8 without NUL");
    g = onnx_small_graph();
    proto_bytes(&g, 2, "\xff", 1);
    refused(onnx_model(g), MC_E_FORMAT,
            "m.onnx: byte 123: GraphProto.name is not UTF-8 without NUL");
}

/* ---- the model ---- */

Test(onnx_hostile, refuses_a_model_without_what_it_must_have)
{
    proto m = {0}, opset = {0};
    refused(m, MC_E_FORMAT, "m.onnx: ir_version is 0, must be 1 or more");
    m = (proto){0};
    proto_int(&m, 1, 8);
    refused(m, MC_E_FORMAT, "m.onnx: imports no operator set");
    m = (proto){0};
    proto_int(&m, 1, 8);
    proto_int(&opset, 2, 17);
    proto_move(&m, 8, opset);
    refused(m, MC_E_FORMAT, "m.onnx: holds no graph");
    m = onnx_model(onnx_small_graph());
    opset = (proto){0};
    proto_int(&opset, 2, -17);
    proto_move(&m, 8, opset);
    refused(m, MC_E_FORMAT,
            "m.onnx: opset_import of domain \"\" has version -17, must be 1 to 2^31-1");
    m = onnx_model(onnx_small_graph());
    proto_move(&m, 14, onnx_string("a", "1"));
    proto_move(&m, 14, onnx_string("a", "2"));
    refused(m, MC_E_FORMAT, "m.onnx: metadata_props has key \"a\" twice");
}

/* ---- the graph ---- */

Test(onnx_hostile, refuses_a_cycle)
{
    proto g = onnx_small_graph();
    proto_move(&g, 1, node("Relu", "b", "a"));
    proto_move(&g, 1, node("Relu", "a", "b"));
    onnx_put("m.onnx", onnx_model(g));
    mc_model model;
    mc_err err = {0};
    cr_assert_eq(mc_model_open("m.onnx", NULL, &model, &err), MC_E_FORMAT);
    cr_assert(strstr(err.text, "the graph has a cycle"), "%s", err.text);
}

Test(onnx_hostile, refuses_two_sources_of_a_value)
{
    proto g = onnx_small_graph();
    proto_move(&g, 1, node("Relu", "x", "y"));
    refused(
        onnx_model(g), MC_E_FORMAT,
        "m.onnx: node \"\" (\"Relu\"): an output is named \"y\", which is something else's name");
    g = onnx_small_graph();
    proto_move(&g, 5, onnx_raw_tensor("w", 1, vector4, four, sizeof four));
    refused(onnx_model(g), MC_E_FORMAT,
            "m.onnx: an initializer is named \"w\", which is something else's name");
    g = onnx_small_graph();
    proto_move(&g, 11, onnx_value("x", 1, vector4));
    refused(onnx_model(g), MC_E_FORMAT,
            "m.onnx: an input is named \"x\", which is something else's name");
}

Test(onnx_hostile, refuses_what_nothing_gives)
{
    proto g = onnx_small_graph();
    proto_move(&g, 1, node("Relu", "ghost", "z"));
    refused(onnx_model(g), MC_E_FORMAT,
            "m.onnx: node 1 \"\" (\"Relu\"): \"ghost\" is taken, but nothing gives it");
    g = onnx_small_graph();
    proto_move(&g, 12, onnx_value("ghost", 1, vector4));
    refused(onnx_model(g), MC_E_FORMAT,
            "m.onnx: an output of the graph: \"ghost\" is taken, but nothing gives it");
}

static void refused_attr(proto attr, const char *why)
{
    char message[256];
    proto g = onnx_small_graph(), n = node("Relu", "x", "z");
    proto_move(&n, 5, attr);
    proto_move(&g, 1, n);
    snprintf(message, sizeof message, "m.onnx: node 1 \"\" (\"Relu\"): attribute \"a\"%s", why);
    refused(onnx_model(g), MC_E_FORMAT, message);
}

Test(onnx_hostile, refuses_attributes_whose_kind_and_value_disagree)
{
    proto a = onnx_attr_int("a", 1);
    proto_int(&a, 20, 1);
    refused_attr(a, ": type is 1, its value is of another");
    a = onnx_attr_int("a", 1);
    proto_float(&a, 2, 1.0f);
    refused_attr(a, ": has values of two kinds");
    a = onnx_attr_int("a", 1);
    proto_int(&a, 20, 99);
    refused_attr(a, ": type is 99, must be 1 to 14");
    a = (proto){0};
    proto_text(&a, 1, "a");
    refused_attr(a, ": has neither type, value nor ref_attr_name");
    a = (proto){0};
    proto_text(&a, 1, "a");
    proto_int(&a, 20, 4);
    refused_attr(a, ": has neither value nor ref_attr_name");
}

Test(onnx_hostile, refuses_an_attribute_that_appears_twice)
{
    proto g = onnx_small_graph(), n = node("Relu", "x", "z");
    proto_move(&n, 5, onnx_attr_int("a", 1));
    proto_move(&n, 5, onnx_attr_int("a", 2));
    proto_move(&g, 1, n);
    refused(onnx_model(g), MC_E_FORMAT,
            "m.onnx: node 1 \"\" (\"Relu\"): attribute \"a\" appears twice");
}

/* A million nodes in a row, none of them in order, with names that begin alike. */
Test(onnx_hostile, reads_many_nodes_in_linear_time, .timeout = 60)
{
    enum { NODES = 200000 };
    proto g = {0};
    char in[64], out[64];
    for (int i = NODES; i > 0; i--) {
        snprintf(in, sizeof in, i == 1 ? "x" : "model.layers.block.output.%d", i - 1);
        snprintf(out, sizeof out, "model.layers.block.output.%d", i);
        proto_move(&g, 1, node("Relu", in, out));
    }
    proto_move(&g, 11, onnx_value("x", 1, vector4));
    proto_move(&g, 12, onnx_value(out, 1, vector4));
    onnx_put("m.onnx", onnx_model(g));
    mc_model model = scratch_open("m.onnx");
    cr_assert_eq(model.graph->nodes, NODES);
    cr_assert_eq(model.graph->value[model.graph->node[0].in[0]].producer, MC_NONE);
    mc_model_close(&model);
}

/* ---- tensors ---- */

static void refused_tensor(proto tensor, mc_status status, const char *why)
{
    char message[256];
    proto g = onnx_small_graph();
    proto_move(&g, 5, tensor);
    snprintf(message, sizeof message, "m.onnx: initializer \"t\": %s", why);
    refused(onnx_model(g), status, message);
}

Test(onnx_hostile, refuses_dimensions_that_are_negative_or_overflow)
{
    refused_tensor(onnx_tensor("t", 1, (int64_t[]){-5, -1}), MC_E_FORMAT,
                   "dimension 0 is -5, must be 0 or more");
    refused_tensor(onnx_tensor("t", 1, (int64_t[]){INT64_C(1) << 31, INT64_C(1) << 31, -1}),
                   MC_E_FORMAT, "dimension 1 of 2147483648 makes it larger than 2^63 bits");
    refused_tensor(onnx_tensor("t", 1, (int64_t[]){INT64_C(1) << 31, INT64_C(1) << 31, 0, -1}),
                   MC_E_FORMAT, "dimension 1 of 2147483648 makes it larger than 2^63 bits");
    refused_tensor(onnx_tensor("t", 1, (int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1, -1}),
                   MC_E_UNSUPPORTED, "has more than 8 dimensions");
}

Test(onnx_hostile, refuses_data_of_another_size_than_the_shape)
{
    refused_tensor(onnx_raw_tensor("t", 1, vector4, four, 12), MC_E_FORMAT,
                   "shape [4] of F32 needs 16 bytes of raw_data, 12 are there");
    proto t = onnx_tensor("t", 1, vector4);
    proto_bytes(&t, 4, four, 8);
    refused_tensor(t, MC_E_FORMAT, "shape [4] of F32 needs 4 elements of float_data, 2 are there");
    refused_tensor(onnx_tensor("t", 1, vector4), MC_E_FORMAT,
                   "shape [4] of F32 needs 4 elements of float_data, 0 are there");
}

Test(onnx_hostile, refuses_storages_that_the_type_cannot_have)
{
    proto t = onnx_tensor("t", 1, vector4);
    proto_bytes(&t, 7, "\1\2\3\4", 4);
    refused_tensor(t, MC_E_FORMAT, "is F32, which int64_data cannot hold");
    t = onnx_raw_tensor("t", 1, vector4, four, sizeof four);
    proto_bytes(&t, 4, four, sizeof four);
    refused_tensor(t, MC_E_FORMAT, "has both float_data and raw_data, must have one of them");
    refused_tensor(onnx_raw_tensor("t", 8, vector4, four, 4), MC_E_FORMAT,
                   "is STRING, which raw_data cannot hold");
}

Test(onnx_hostile, refuses_types_it_does_not_know)
{
    refused_tensor(onnx_tensor("t", 0, vector4), MC_E_FORMAT, "data_type is 0, must be 1 or more");
    refused_tensor(onnx_tensor("t", 99, vector4), MC_E_UNSUPPORTED, "data_type 99 is not known");
}

Test(onnx_hostile, refuses_numbers_beyond_their_type)
{
    proto t = onnx_tensor("t", 2, (int64_t[]){1, -1});
    proto_int(&t, 5, 256);
    refused_tensor(t, MC_E_FORMAT, "int32_data holds 256, which is no U8");
    t = onnx_tensor("t", 3, (int64_t[]){1, -1});
    proto_int(&t, 5, -129);
    refused_tensor(t, MC_E_FORMAT, "int32_data holds -129, which is no I8");
    t = onnx_tensor("t", 12, (int64_t[]){1, -1});
    proto_int(&t, 11, INT64_C(1) << 32);
    refused_tensor(t, MC_E_FORMAT, "uint64_data holds 4294967296, which is no U32");
}
