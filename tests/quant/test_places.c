/* Where channels can be scaled, shifted, rotated: on graphs of families, and on small ones where
 * one thing differs. */
#include "tests/support/golden_model.h"
#include "tests/support/transformed.h"

#include <criterion/criterion.h>
#include <string.h>

static transformed family(const char *name)
{
    char path[512];
    return transformed_open(golden_path(name, "", path));
}

static const mc_place *need(const transformed *t, const char *consumer)
{
    const mc_place *p = transformed_place(t, consumer);
    cr_assert_not_null(p, "no place in front of %s", consumer);
    return p;
}

static size_t count(const transformed *t, mc_place_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < t->places.places; i++) n += t->places.place[i].kind == kind;
    return n;
}

Test(places, of_a_llama_are_norms_values_and_the_gated_product)
{
    transformed t = family("llama");
    cr_expect_eq(count(&t, MC_PLACE_NORM), 5u); /* two a layer, and the head's */
    cr_expect_eq(count(&t, MC_PLACE_LINEAR), 4u);
    cr_expect_eq(t.places.places, 9u);

    const mc_place *norm = need(&t, "layers.0.self_attn.k_proj");
    cr_expect_eq(norm->kind, MC_PLACE_NORM);
    cr_expect_eq(norm->sites, 3u);
    cr_expect_str_eq(norm->gain->name, "model.layers.0.input_layernorm.weight");
    cr_expect_null(norm->bias);
    cr_expect(!norm->takes_shift);

    const mc_place *down = need(&t, "layers.1.mlp.down_proj");
    cr_expect_str_eq(down->producer->name, "model.layers.1.mlp.up_proj");
    cr_expect_eq(down->head, 0u);
    transformed_close(&t);
}

Test(places, a_value_head_is_shared_by_its_query_heads)
{
    transformed t = family("llama"); /* 4 heads of 8, 2 of keys and values */
    const mc_place *p = need(&t, "layers.0.self_attn.o_proj");
    cr_expect_eq(p->width, 32u);
    cr_expect_eq(p->channels, 16u);
    cr_expect_eq(p->head, 8u);
    for (uint32_t i = 0; i < 32; i++) cr_expect_eq(p->from[i], i / 16 * 8 + i % 8);
    transformed_close(&t);
}

Test(places, parts_of_fused_matrices_are_found_where_they_lie)
{
    transformed t = family("phi3"); /* q 32, k 16, v 16; gate 48, up 48 */
    const mc_place *o = need(&t, "layers.0.self_attn.o_proj");
    cr_expect_str_eq(o->producer->name, "model.layers.0.self_attn.qkv_proj");
    cr_expect_eq(o->channels, 64u);
    cr_expect_eq(o->from[0], 48u);
    cr_expect_eq(o->from[31], 48u + 15u);
    const mc_place *down = need(&t, "layers.0.mlp.down_proj");
    cr_expect_eq(down->channels, 96u);
    cr_expect_eq(down->from[0], 48u);
    transformed_close(&t);
}

Test(places, a_norm_in_front_of_experts_has_the_router_and_all_of_them)
{
    transformed apart = family("mixtral"), stacked = family("mixtral_stacked");
    const mc_place *a = need(&apart, "layers.0.block_sparse_moe.gate");
    const mc_place *b = need(&stacked, "layers.0.mlp.gate");
    size_t routers = 0;
    for (size_t i = 0; i < a->sites; i++) routers += apart.sites->site[a->site[i]].router;
    cr_expect_eq(routers, 1u);
    cr_expect_eq(a->sites % 2, 1u);           /* the router, and two matrices of each expert */
    cr_expect_eq(b->sites, a->sites / 2 + 1); /* … which may be one */
    cr_expect_eq(a->to->sites, 1u);           /* experts take rows of it, not the value itself */
    cr_expect_null(transformed_place(&stacked, "experts.0.w2")); /* one tensor for all experts */
    cr_expect_not_null(transformed_place(&apart, "experts.0.w2"));
    transformed_close(&apart);
    transformed_close(&stacked);
}

Test(places, end_at_functions_that_bend_and_go_on_behind_relu)
{
    transformed gelu = family("gpt2"), relu = family("opt");
    cr_expect_null(transformed_place(&gelu, "mlp.c_proj"));
    const mc_place *p = need(&relu, "layers.0.fc2");
    cr_expect_eq(p->kind, MC_PLACE_CONV);
    cr_expect(p->rectified);
    cr_expect(p->takes_shift);
    transformed_close(&gelu);
    transformed_close(&relu);
}

Test(places, a_matrix_that_is_an_embedding_too_is_in_none)
{
    transformed t = family("opt");
    cr_expect_null(transformed_place(&t, "lm_head"));
    transformed_close(&t);
}

Test(places, biases_may_stand_in_nodes_of_their_own)
{
    transformed t = family("gpt2"); /* MatMul by [in, out], then Add */
    const mc_place *p = need(&t, "attn.c_proj");
    cr_expect_str_eq(p->bias->name, "transformer.h.0.attn.c_attn.bias");
    cr_expect_eq(p->from[0], 64u);
    cr_expect(p->takes_shift);
    cr_expect(p->producer->transposed);
    transformed_close(&t);
}

Test(places, a_mask_keeps_values_from_being_shifted)
{
    transformed t = family("bert"); /* where nothing is seen attention gives zeros */
    cr_expect(!need(&t, "layer.0.attention.output.dense")->takes_shift);
    transformed_close(&t);
}

Test(places, gains_may_be_stored_less_one)
{
    transformed t = family("gemma2");
    const mc_place *p = need(&t, "layers.0.self_attn.q_proj");
    cr_expect_eq(p->gain_offset, 1.0);
    cr_expect_eq(need(&t, "layers.0.mlp.down_proj")->gain_offset, 0.0);
    transformed_close(&t);
}

Test(places, sums_end_them_and_batchnorm_does_not)
{
    transformed t = transformed_open(MC_SOURCE_DIR "/examples/resnet8/resnet8.onnx");
    cr_expect_eq(t.places.places, 3u); /* the first of two convolutions in each block */
    for (size_t i = 0; i < t.places.places; i++) {
        const mc_place *p = &t.places.place[i];
        const mc_site_output *o = &t.places.output[p->producer - t.sites->site];
        cr_expect_eq(p->kind, MC_PLACE_CONV);
        cr_expect(p->rectified);
        cr_expect(!p->takes_shift, "%s: zeros of the padding are not shifted", p->name);
        cr_expect_not_null(o->norm.variance);
        cr_expect_eq(p->bias, o->norm.bias);
    }
    transformed_close(&t);
}

/* ---- graphs where one thing differs ---- */

enum { WIDTH = 8 };

static mc_id layer_norm(transformed *t, mc_id x)
{
    const mc_id gain = transformed_weight(t, "a.gain", 1, (uint64_t[]){WIDTH}, NULL);
    const mc_id bias = transformed_weight(t, "a.shift", 1, (uint64_t[]){WIDTH}, NULL);
    return transformed_node(t, "LayerNormalization", "norm", (mc_id[]){x, gain, bias}, 3);
}

static mc_id times(transformed *t, const char *weight, const char *name, mc_id x)
{
    const mc_id w = transformed_weight(t, weight, 2, (uint64_t[]){WIDTH, WIDTH}, NULL);
    return transformed_node(t, "MatMul", name, (mc_id[]){x, w}, 2);
}

static mc_id input(transformed *t)
{
    return transformed_in(t, 3, (int64_t[]){2, 5, WIDTH});
}

Test(places, end_where_somebody_else_takes_the_value)
{
    for (int other = 0; other < 3; other++) {
        transformed t = transformed_begin();
        const mc_id x = input(&t), y = layer_norm(&t, x), z = times(&t, "b", "matrix", y);
        mc_graph_add_output(t.model.graph, z);
        if (other == 1)
            mc_graph_add_output(t.model.graph, transformed_node(&t, "Relu", "relu", &y, 1));
        if (other == 2) mc_graph_add_output(t.model.graph, y);
        transformed_ready(&t);
        cr_expect_eq(t.places.places, other == 0 ? 1u : 0u);
        transformed_close(&t);
    }
}

Test(places, end_where_somebody_else_takes_what_lies_between)
{
    for (int other = 0; other < 2; other++) {
        transformed t = transformed_begin();
        const mc_id x = input(&t), y = times(&t, "a", "first", x);
        const mc_id bent = transformed_node(&t, "Relu", "relu", &y, 1);
        mc_graph_add_output(t.model.graph, times(&t, "b", "last", bent));
        if (other) mc_graph_add_output(t.model.graph, transformed_node(&t, "Tanh", "tanh", &y, 1));
        transformed_ready(&t);
        cr_expect_eq(t.places.places, other ? 0u : 1u);
        transformed_close(&t);
    }
}

Test(places, end_where_a_tensor_serves_somebody_else)
{
    transformed t = transformed_begin();
    const mc_id x = input(&t), y = layer_norm(&t, x);
    const mc_id w = transformed_weight(&t, "b", 2, (uint64_t[]){WIDTH, WIDTH}, NULL);
    const mc_id z = transformed_node(&t, "MatMul", "first", (mc_id[]){y, w}, 2);
    const mc_id bent = transformed_node(&t, "Tanh", "tanh", &z, 1);
    mc_graph_add_output(t.model.graph,
                        transformed_node(&t, "MatMul", "again", (mc_id[]){bent, w}, 2));
    transformed_ready(&t);
    cr_expect_eq(t.places.places, 0u);
    transformed_close(&t);
}

/* As exporters write attention: heads apart, [batch, heads, tokens, size]. */
Test(places, lead_through_heads_that_were_taken_apart)
{
    transformed t = transformed_begin();
    const mc_id x = input(&t), y = layer_norm(&t, x);
    const int64_t apart[] = {2, 5, 2, WIDTH / 2}, joined[] = {2, 5, WIDTH}, perm[] = {0, 2, 1, 3};
    const mc_id four = mc_graph_const_i64(t.model.graph, "four", 1, (int64_t[]){4}, apart);
    const mc_id three = mc_graph_const_i64(t.model.graph, "three", 1, (int64_t[]){3}, joined);
    mc_id qkv[3];
    for (size_t i = 0; i < 3; i++) {
        static const char *const weight[] = {"q", "v", "w"}, *const name[] = {"nq", "nk", "nv"};
        const mc_id m = times(&t, weight[i], name[i], y);
        const mc_id r = transformed_node(&t, "Reshape", "", (mc_id[]){m, four}, 2);
        qkv[i] = transformed_node(&t, "Transpose", "", &r, 1);
        mc_node_add_ints(t.model.graph, "perm", perm, 4);
    }
    const mc_id seen = mc_graph_apply(t.model.graph, "", "Attention", 23, qkv, 3, "attention");
    const mc_id back = transformed_node(&t, "Transpose", "", &seen, 1);
    mc_node_add_ints(t.model.graph, "perm", perm, 4);
    const mc_id all = transformed_node(&t, "Reshape", "", (mc_id[]){back, three}, 2);
    mc_graph_add_output(t.model.graph, times(&t, "x", "out", all));
    transformed_ready(&t);
    const mc_place *p = need(&t, "out");
    cr_expect_str_eq(p->producer->name, "nv");
    cr_expect_eq(p->head, (size_t)WIDTH / 2);
    for (uint32_t i = 0; i < WIDTH; i++) cr_expect_eq(p->from[i], i);
    transformed_apply(&t, "smoothquant", NULL);
    cr_expect_lt(transformed_distance(&t), 1e-5);
    transformed_close(&t);
}

Test(places, lead_through_pooling_and_flattening)
{
    transformed t = transformed_begin();
    const mc_id x = transformed_in(&t, 4, (int64_t[]){2, 3, 6, 6});
    const mc_id w = transformed_weight(&t, "a", 4, (uint64_t[]){4, 3, 3, 3}, NULL);
    mc_id y = transformed_node(&t, "Conv", "conv", (mc_id[]){x, w}, 2);
    y = transformed_node(&t, "Relu", "relu", &y, 1);
    y = transformed_node(&t, "MaxPool", "pool", &y, 1);
    mc_node_add_ints(t.model.graph, "kernel_shape", (int64_t[]){2, 2}, 2);
    mc_node_add_ints(t.model.graph, "strides", (int64_t[]){2, 2}, 2);
    y = transformed_node(&t, "Flatten", "flat", &y, 1);
    const mc_id m = transformed_weight(&t, "b", 2, (uint64_t[]){16, 5}, NULL);
    y = transformed_node(&t, "MatMul", "matrix", (mc_id[]){y, m}, 2);
    mc_graph_add_output(t.model.graph, y);
    transformed_ready(&t);
    const mc_place *p = need(&t, "matrix");
    cr_expect_eq(p->channels, 4u);
    for (uint32_t i = 0; i < 16; i++) cr_expect_eq(p->from[i], i / 4);
    transformed_apply(&t, "cle", NULL);
    cr_expect_lt(transformed_distance(&t), 1e-5);
    transformed_close(&t);
}
