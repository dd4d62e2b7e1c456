/* Rotations: what is refused, and by which name; what is turned. */
#include "tests/support/golden_model.h"
#include "tests/support/transformed.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static transformed family(const char *name)
{
    char path[512];
    return transformed_open(golden_path(name, "", path));
}

static void refused(const char *model, const double *param, const char *message)
{
    transformed t = family(model);
    cr_expect_eq(transformed_try(&t, "rotate", param), MC_E_UNSUPPORTED, "%s", model);
    cr_expect_not_null(strstr(t.err.text, message), "%s: %s", model, t.err.text);
    transformed_close(&t);
}

Test(transform_rotate, names_what_cannot_be_rotated)
{
    refused("gemma2", NULL,
            "'model.layers.0.post_attention_layernorm' (RMSNormalization, opset 23) writes into "
            "the residual stream and cannot be rotated");
    refused("bert", NULL, "(Add, opset 23) reads the residual stream and cannot be rotated");
    refused("vit", NULL, "(Concat, opset 23) writes into the residual stream");
    refused("qwen3", NULL,
            "tensor 'model.embed_tokens.weight' is the embedding and the head behind");
    refused("gpt2", NULL, "untie them first");
}

Test(transform_rotate, says_that_a_convolutional_net_has_no_stream)
{
    transformed t = transformed_open(MC_SOURCE_DIR "/examples/mnist/mnist.onnx");
    cr_expect_eq(transformed_try(&t, "rotate", NULL), MC_E_UNSUPPORTED);
    cr_expect_str_eq(t.err.text, "the model has no residual stream: no norm in front of a matrix");
    transformed_close(&t);
}

Test(transform_rotate, online_rotations_need_a_target_that_runs_them)
{
    for (int r4 = 0; r4 < 2; r4++) {
        transformed t = family("llama");
        t.online = false;
        const double param[] = {1, 0, !r4, r4};
        cr_expect_eq(transformed_try(&t, "rotate", param), MC_E_UNSUPPORTED);
        cr_expect_str_eq(t.err.text, r4 ? "r4=1 needs a target that runs Hadamard transforms; this "
                                          "one does not"
                                        : "r3=1 needs a target that runs Hadamard transforms; this "
                                          "one does not");
        transformed_close(&t);
    }
}

Test(transform_rotate, says_which_sites_the_device_rotates)
{
    transformed t = family("llama"); /* inner size 48 = 12 * 4 */
    transformed_apply(&t, "rotate", (double[]){1, 0, 1, 1});
    for (size_t i = 0; i < t.sites->sites; i++) {
        const bool down = strstr(t.sites->site[i].name, "down_proj") != NULL;
        cr_expect_eq(t.hadamard[i], down ? 48u : 0u, "%s", t.sites->site[i].name);
    }
    cr_expect(t.kv_hadamard);
    transformed_close(&t);
}

Test(transform_rotate, a_block_that_does_not_divide_is_refused_with_both_numbers)
{
    transformed t = family("llama");
    cr_expect_eq(transformed_try(&t, "rotate", (double[]){0, 12, 0, 0}), MC_E_USAGE);
    cr_expect_not_null(strstr(t.err.text, "12"), "%s", t.err.text);
    cr_expect_not_null(strstr(t.err.text, "32"), "%s", t.err.text);
    transformed_close(&t);
}

/* Turned columns keep the length of rows, turned rows that of columns; gains are folded before. */
Test(transform_rotate, keeps_lengths_and_leaves_gains_of_one)
{
    enum { WIDTH = 32, ROWS = 96 };
    transformed t = family("llama"), was = family("llama");
    transformed_apply(&t, "rotate", NULL);
    const float *e = transformed_tensor(&t, "model.embed_tokens.weight");
    const float *old = transformed_tensor(&was, "model.embed_tokens.weight");
    double moved = 0;
    for (size_t r = 0; r < ROWS; r++) {
        double a = 0, b = 0;
        for (size_t i = r * WIDTH; i < (r + 1) * WIDTH; i++) {
            a += (double)e[i] * (double)e[i];
            b += (double)old[i] * (double)old[i];
            moved = fmax(moved, fabs((double)e[i] - (double)old[i]));
        }
        cr_expect_float_eq(a, b, 1e-6 * b);
    }
    cr_expect_gt(moved, 1e-3);
    const float *gain = transformed_tensor(&t, "model.layers.1.input_layernorm.weight");
    for (size_t i = 0; i < WIDTH; i++) cr_expect_eq(gain[i], 1.0f);
    transformed_close(&t);
    transformed_close(&was);
}

Test(transform_rotate, of_a_layernorm_keeps_the_mean_of_the_stream)
{
    enum { WIDTH = 32, ROWS = 96 };
    transformed t = family("gpt2_bare"), was = family("gpt2_bare");
    transformed_apply(&t, "rotate", NULL);
    const mc_tensor *table = NULL;
    for (size_t i = 0; i < t.model.tensors; i++)
        if (strstr(t.model.tensor[i].name, "wte.weight")) table = &t.model.tensor[i];
    cr_assert_not_null(table);
    const float *e = transformed_tensor(&t, table->name),
                *o = transformed_tensor(&was, table->name);
    for (size_t r = 0; r < table->dim[0]; r++) {
        double a = 0, b = 0, size = 0;
        for (size_t i = r * WIDTH; i < (r + 1) * WIDTH; i++) {
            a += (double)e[i];
            b += (double)o[i];
            size += fabs((double)o[i]);
        }
        cr_expect_float_eq(a, b, 1e-5 * size);
    }
    transformed_close(&t);
    transformed_close(&was);
}

Test(transform_rotate, the_same_seed_gives_the_same_rotation)
{
    transformed a = family("llama"), b = family("llama");
    transformed_apply(&a, "rotate", NULL);
    transformed_apply(&b, "rotate", NULL);
    const mc_tensor *w = mc_model_find(&a.model, "model.embed_tokens.weight");
    cr_expect_arr_eq(transformed_tensor(&a, w->name), transformed_tensor(&b, w->name),
                     w->count * sizeof(float));
    transformed_close(&a);
    transformed_close(&b);
}

Test(transform_rotate, a_matrix_that_serves_others_is_named)
{
    enum { WIDTH = 8 };
    const uint64_t square[] = {WIDTH, WIDTH};
    transformed t = transformed_begin();
    const mc_id x = transformed_in(&t, 3, (int64_t[]){2, 5, WIDTH});
    const mc_id gain = transformed_weight(&t, "a", 1, square, NULL);
    const mc_id w = transformed_weight(&t, "b", 2, square, NULL);
    const mc_id first = transformed_weight(&t, "c", 2, square, NULL);
    const mc_id stream = transformed_node(&t, "MatMul", "first", (mc_id[]){x, first}, 2);
    const mc_id y = transformed_node(&t, "RMSNormalization", "norm", (mc_id[]){stream, gain}, 2);
    mc_graph_add_output(t.model.graph, transformed_node(&t, "MatMul", "last", (mc_id[]){y, w}, 2));
    mc_graph_add_output(t.model.graph, transformed_node(&t, "MatMul", "aside", (mc_id[]){x, w}, 2));
    transformed_ready(&t);
    cr_expect_eq(transformed_try(&t, "rotate", NULL), MC_E_UNSUPPORTED);
    cr_expect_str_eq(t.err.text,
                     "tensor 'b' serves others beside the residual stream and cannot be "
                     "rotated");
    transformed_close(&t);
}

/* x -> matrix = stream; stream + matrix(norm(stream)); a last norm and matrix. Gains are stored
 * less one. */
Test(transform_rotate, folds_gains_that_are_stored_less_one)
{
    enum { WIDTH = 8 };
    static const char *const gain[] = {"a", "c"}, *const weight[] = {"b", "d"};
    const uint64_t square[] = {WIDTH, WIDTH}, row[] = {WIDTH};
    const float one = 1;
    transformed t = transformed_begin();
    const mc_id x = transformed_in(&t, 3, (int64_t[]){2, 5, WIDTH});
    mc_id part[2], stream = MC_NONE;
    const mc_id plus = mc_graph_const_f32(t.model.graph, "one", 0, NULL, &one);
    mc_id g[2], w[2];
    for (size_t i = 0; i < 2; i++) {
        g[i] = transformed_weight(&t, gain[i], 1, row, NULL);
        w[i] = transformed_weight(&t, weight[i], 2, square, NULL);
    }
    const mc_id first = transformed_weight(&t, "e", 2, square, NULL);
    stream = transformed_node(&t, "MatMul", "first", (mc_id[]){x, first}, 2);
    for (size_t i = 0; i < 2; i++) {
        const mc_id scale = transformed_node(&t, "Add", "", (mc_id[]){g[i], plus}, 2);
        const mc_id y = transformed_node(&t, "RMSNormalization", "", (mc_id[]){stream, scale}, 2);
        part[i] = transformed_node(&t, "MatMul", "", (mc_id[]){y, w[i]}, 2);
        if (i == 0) stream = transformed_node(&t, "Add", "sum", (mc_id[]){stream, part[0]}, 2);
    }
    mc_graph_add_output(t.model.graph, part[1]);
    transformed_ready(&t);
    transformed_apply(&t, "rotate", NULL);
    const float *stored = transformed_tensor(&t, "a");
    for (size_t i = 0; i < WIDTH; i++) cr_expect_eq(stored[i], 0.0f);
    cr_expect_leq(transformed_distance(&t), 1e-5);
    transformed_close(&t);
}
