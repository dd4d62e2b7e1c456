/* What a container says of its sites and of its KV cache is what is measured: tests/golden/hf/llama
 * against a container of its own weights. */
#include "core/rotation.h"
#include "tests/support/data_case.h"
#include "tests/support/golden_model.h"
#include "tests/support/scratch_model.h"
#include "verify/verify_data.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define ATTENTION "model.layers.0.self_attn."
#define DOWN      "model.layers.0.mlp.down_proj.weight" /* [32, 48] */

enum { WINDOW = 60, WINDOWS = 2, VOCABULARY = 96 };

typedef struct {
    mc_region memory;
    mc_model model;
    mc_weight_spec *weight;
    mc_site_act act[8];
    size_t acts;
    const mc_kv_spec *kv;
    uint32_t rotated; /* block that the weights of DOWN are rotated by */
    mc_numerics numerics;
    mc_container container;
    mc_data_report report;
    mc_err err;
} bench;

TestSuite(verify_sites, .init = scratch_enter, .fini = scratch_leave);

static bench begin(void)
{
    char path[512];
    bench b = {.numerics = {.activation_bits = 16, .kv_bits = 16}};
    cr_assert_eq(mc_region_open(&b.memory, (size_t)1 << 30, &b.err), MC_OK);
    b.model = golden_open(golden_path("llama", "", path));
    b.weight = MC_NEW(&b.memory.arena, mc_weight_spec, b.model.tensors);
    for (size_t i = 0; i < b.model.tensors; i++) {
        const mc_tensor *t = &b.model.tensor[i];
        mc_weight_spec *w = &b.weight[i];
        *w = (mc_weight_spec){
            .name = t->name, .form = MC_FORM_DENSE, .dtype = t->dtype, .ndim = t->ndim};
        memcpy(w->dim, t->dim, sizeof w->dim);
        mc_tensor_shape(t, &w->rows, &w->cols);
    }
    return b;
}

static uint32_t weight_of(const bench *b, const char *name)
{
    uint32_t i = 0;
    while (strcmp(b->weight[i].name, name) != 0) i++;
    return i;
}

static void say(bench *b, const char *weight, mc_act_spec act)
{
    b->act[b->acts++] = (mc_site_act){weight_of(b, weight), NULL, act};
    mc_site_acts_sort(b->act, b->acts);
}

static const unsigned char *bytes_of(bench *b, const mc_tensor *t)
{
    mc_rotation q;
    if (b->rotated == 0 || strcmp(t->name, DOWN) != 0) return t->data;
    cr_assert_eq(t->dtype, MC_F32);
    float *x = MC_NEW(&b->memory.arena, float, t->count);
    memcpy(x, t->data, t->bytes);
    cr_assert_eq(
        mc_rotation_make(MC_ROTATE_HADAMARD, 48, b->rotated, 0, &b->memory.arena, &q, &b->err),
        MC_OK, "%s", b->err.text);
    mc_rotate_f32(&q, false, x, 32, 48, b->memory.arena);
    return (const unsigned char *)x;
}

static void pack_all(bench *b, mc_out *out, const mc_layout *layout)
{
    mc_pack *pack;
    uint8_t root[MC_SHA256_BYTES];
    uint64_t bytes;
    cr_assert_eq(mc_pack_open(out, layout, &pack, &b->err), MC_OK, "%s", b->err.text);
    for (size_t i = 0; i < b->model.tensors; i++) {
        const mc_tensor *t = &b->model.tensor[i];
        mc_slab slab;
        mc_pack_dense(layout, i, 0, bytes_of(b, t), t->bytes, &slab);
        cr_assert_eq(mc_pack_put(pack, &slab, &b->err), MC_OK, "%s", b->err.text);
        cr_assert_eq(mc_pack_seal(pack, &slab, &b->err), MC_OK, "%s", b->err.text);
    }
    cr_assert_eq(mc_pack_finish(pack, "{}", root, &bytes, &b->err), MC_OK, "%s", b->err.text);
    mc_pack_close(pack);
}

static void pack(bench *b)
{
    mc_layout layout;
    mc_out *out;
    const mc_container_spec spec = {
        .weight = b->weight,
        .weights = b->model.tensors,
        .manifest_bytes = 2,
        .align = 64,
        .target = 1,
        .numerics = mc_site_numerics(b->act, b->acts, b->kv, b->numerics),
        .act = b->act,
        .acts = b->acts,
        .kv = b->kv,
    };
    cr_assert_eq(mc_container_layout(&spec, &b->memory.arena, &layout, &b->err), MC_OK);
    const mc_out_options fresh = {.no_fsync = true};
    cr_assert_eq(mc_out_open("c.bin", layout.file_bytes, fresh, &out, &b->err), MC_OK, "%s",
                 b->err.text);
    pack_all(b, out, &layout);
    cr_assert_eq(mc_out_commit(out, NULL, NULL, &b->err), MC_OK);
    cr_assert_eq(mc_container_open("c.bin", 0, &b->container, &b->err), MC_OK, "%s", b->err.text);
}

static mc_status verify(bench *b, mc_exec_numerics numerics)
{
    int64_t ids[WINDOW * WINDOWS];
    mc_pool *pool;
    for (size_t i = 0; i < WINDOW * WINDOWS; i++) ids[i] = (int64_t)(i * i * 7 + i) % VOCABULARY;
    data_put_i64("ids.npy", "(120,)", ids, WINDOW * WINDOWS);
    pack(b);
    cr_assert_eq(mc_pool_open(&pool, 1, 0, &b->err), MC_OK);
    const mc_named_data data = {"", "ids.npy"};
    const mc_data_input in = {.reference = &b->model,
                              .container = &b->container,
                              .data = &data,
                              .datas = 1,
                              .options = {.window = WINDOW},
                              .numerics = numerics,
                              .cache_bytes = UINT64_MAX,
                              .pool = pool};
    const mc_status status = mc_verify_data(&in, &b->memory.arena, &b->report, &b->err);
    mc_pool_close(pool);
    return status;
}

static void end(bench *b)
{
    mc_container_close(&b->container);
    mc_model_close(&b->model);
    mc_region_close(&b->memory);
}

static const mc_site_report *site_of(const bench *b, const char *tensor)
{
    size_t i = 0;
    while (strcmp(b->report.site[i].tensor, tensor) != 0) i++;
    return &b->report.site[i];
}

/* ---- activations ---- */

static const float scale[] = {0.02f};
static const mc_act_spec fixed = {.mode = MC_ACT_STATIC, .bits = 8, .scales = 1, .scale = scale};

Test(verify_sites, inputs_are_taken_as_the_container_says)
{
    bench b = begin();
    say(&b, ATTENTION "q_proj.weight", fixed);
    say(&b, ATTENTION "o_proj.weight", (mc_act_spec){.mode = MC_ACT_DYNAMIC, .bits = 4});
    cr_assert_eq(verify(&b, MC_NUMERICS_FAKE_QUANT), MC_OK, "%s", b.err.text);
    const mc_site_report *q = site_of(&b, ATTENTION "q_proj.weight");
    cr_expect_eq(q->input.mode, MC_ACT_STATIC);
    cr_expect_eq(q->input.scales, 1);
    cr_expect_eq(q->input_bits, 8);
    cr_expect(isfinite(q->own_output_sqnr_db));
    cr_expect_eq(site_of(&b, ATTENTION "o_proj.weight")->input_bits, 4);
    const mc_site_report *k = site_of(&b, ATTENTION "k_proj.weight");
    cr_expect_eq(k->input.mode, MC_ACT_FLOAT);
    cr_expect_eq(k->input_bits, 16);
    cr_expect_eq(k->own_output_sqnr_db, (double)INFINITY, "it was not touched");
    cr_expect_gt(b.report.outcome[0].kl_mean, 0.0);
    cr_expect_str_eq(b.report.simulated, "fake-quant");
    cr_expect_eq(b.report.activation_bits, 4);
    end(&b);
}

Test(verify_sites, without_numerics_they_are_taken_as_they_are)
{
    bench b = begin();
    say(&b, ATTENTION "q_proj.weight", fixed);
    cr_assert_eq(verify(&b, MC_NUMERICS_FLOAT), MC_OK, "%s", b.err.text);
    cr_expect_eq(site_of(&b, ATTENTION "q_proj.weight")->input.mode, MC_ACT_FLOAT);
    cr_expect_eq(b.report.outcome[0].kl_mean, 0.0);
    end(&b);
}

Test(verify_sites, a_header_alone_speaks_for_all)
{
    bench b = begin();
    b.numerics.activation_bits = 8;
    b.numerics.activation_mode = MCPK_ACT_DYNAMIC;
    cr_assert_eq(verify(&b, MC_NUMERICS_FAKE_QUANT), MC_OK, "%s", b.err.text);
    for (size_t i = 0; i < b.report.sites; i++) {
        const bool table = b.report.site[i].kind == MC_SITE_EMBEDDING;
        cr_expect_eq(b.report.site[i].input_bits, table ? 16u : 8u);
        cr_expect_eq(b.report.site[i].input.mode, table ? MC_ACT_FLOAT : MC_ACT_DYNAMIC);
    }
    end(&b);
}

/* ---- rotations ---- */

static const mc_act_spec turned = {.mode = MC_ACT_FLOAT, .hadamard = 16};

/* Whatever the numerics, and that is what undoes the weights. */
Test(verify_sites, rotated_inputs_meet_rotated_weights)
{
    for (int said = 0; said < 2; said++) {
        bench b = begin();
        b.rotated = 16;
        if (said) say(&b, DOWN, turned);
        cr_assert_eq(verify(&b, MC_NUMERICS_FLOAT), MC_OK, "%s", b.err.text);
        const double db = site_of(&b, DOWN)->own_output_sqnr_db;
        cr_expect(said ? db > 120.0 : db < 20.0, "%g dB", db);
        cr_expect_eq(site_of(&b, DOWN)->input.hadamard, said ? 16u : 0u);
        end(&b);
        remove("c.bin");
        remove("ids.npy");
    }
}

Test(verify_sites, rotations_of_sites_that_are_not_there_are_refused)
{
    bench b = begin();
    b.act[b.acts++] = (mc_site_act){MCPK_NO_WEIGHT, "nowhere", turned};
    cr_expect_eq(verify(&b, MC_NUMERICS_FLOAT), MC_E_MISMATCH);
    cr_expect_str_eq(b.err.text, "c.bin: the input of site \"nowhere\" is rotated online, the "
                                 "reference has no such site");
    end(&b);
    remove("c.bin");
    remove("ids.npy");
    b = begin();
    say(&b, "model.norm.weight", turned);
    cr_expect_eq(verify(&b, MC_NUMERICS_FLOAT), MC_E_MISMATCH);
    cr_expect_str_eq(b.err.text, "c.bin: the input of weight \"model.norm.weight\" is rotated "
                                 "online, the reference has no such site");
    end(&b);
}

/* ---- the KV cache ---- */

static double kl_with(const mc_kv_spec *kv, mc_exec_numerics numerics, uint64_t applied)
{
    bench b = begin();
    b.kv = kv;
    cr_assert_eq(verify(&b, numerics), MC_OK, "%s", b.err.text);
    const double kl = b.report.outcome[0].kl_mean;
    cr_expect_eq(b.report.kv_applied, applied);
    cr_expect_eq(b.report.kv_left, 0);
    cr_expect_null(b.report.kv_why);
    cr_expect_eq(b.report.activation_bits, 16);
    end(&b);
    remove("c.bin");
    remove("ids.npy");
    return kl;
}

Test(verify_sites, caches_are_quantized_as_the_container_says)
{
    const mc_kv_spec eight = {.bits = 8, .group = 8, .window = 8};
    const mc_kv_spec two = {.bits = 2, .group = 8, .window = 8};
    const mc_kv_spec whole = {.bits = 2, .group = 8, .window = WINDOW};
    const double fine = kl_with(&eight, MC_NUMERICS_FAKE_QUANT, 2);
    const double coarse = kl_with(&two, MC_NUMERICS_FAKE_QUANT, 2);
    cr_expect_gt(fine, 0.0);
    cr_expect_gt(coarse, 100.0 * fine, "%g with 2 bits, %g with 8", coarse, fine);
    cr_expect_lt(fabs(kl_with(&whole, MC_NUMERICS_FAKE_QUANT, 2)), 1e-9);
    cr_expect_eq(kl_with(&two, MC_NUMERICS_FLOAT, 0), 0.0);
    cr_expect_eq(kl_with(NULL, MC_NUMERICS_FAKE_QUANT, 0), 0.0);
}
