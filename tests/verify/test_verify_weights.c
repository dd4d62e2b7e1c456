/* Containers measured against references made for them: figures against a plain loop, totals, what
 * the manifest tells, the same report for any number of threads. */
#include "tests/support/measured_pair.h"
#include "verify/metrics.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static container_builder builder; /* too large for a stack */
static measured_pair p;
static mc_report report;

static void measure(void)
{
    cr_assert_eq(measured_pair_run(&p, 2, &report), MC_OK, "%s", p.err.text);
}

static mc_grid int4(void)
{
    return (mc_grid){.levels = mc_levels_int(4), .scale_dtype = MC_F16};
}

/* ---- figures ---- */

typedef struct {
    double ww, ee, wv, vv, most;
    uint64_t most_at, zeros, clipped, histogram[256];
} plain;

/* One pass, one sum, one element at a time. */
static plain measure_plainly(size_t weight)
{
    plain s = {0};
    const mc_weight_spec *spec = &p.container.weight[weight];
    const mc_tensor *t = measured_pair_reference(&p, weight);
    const mc_weight_shape shape = mc_weight_code_shape(spec);
    mc_arena mem = p.memory.arena;
    mc_qmat q;
    cr_assert_eq(mc_container_qmat(&p.container, weight, 0, shape.rows, &mem, &q, &p.err), MC_OK);
    float *w = MC_NEW(&mem, float, t->count), *v = MC_NEW(&mem, float, t->count);
    mc_to_f32(t->dtype, t->data, w, (size_t)t->count);
    cr_assert_eq(mc_container_to_f32(&p.container, weight, 0, t->count, v, &p.err), MC_OK);
    for (size_t i = 0; i < t->count; i++) {
        const double a = (double)w[i], b = (double)v[i], e = fabs(a - b);
        s.ww += a * a;
        s.ee += e * e;
        s.wv += a * b;
        s.vv += b * b;
        if (e > s.most) s.most_at = i;
        if (e > s.most) s.most = e;
        s.zeros += v[i] == 0.0f;
        s.clipped += mc_grid_clipped_row(&q.grid, &q.params[i / q.group], &w[i], 1, 1);
        s.histogram[q.code[i]]++;
    }
    return s;
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-10 * fmax(1.0, fabs(b));
}

static void expect_figures(size_t weight)
{
    const mc_tensor_report *r = &report.tensor[weight];
    const plain s = measure_plainly(weight);
    const double n = (double)r->count;
    cr_expect_str_eq(r->name, p.container.weight[weight].name);
    cr_expect(near(r->sqnr_db, 10 * log10(s.ww / s.ee)), "%s: %g dB", r->name, r->sqnr_db);
    cr_expect(near(r->relative_error, sqrt(s.ee / s.ww)));
    cr_expect(near(r->cosine, s.wv / sqrt(s.ww * s.vv)));
    cr_expect_eq(r->max_abs_error, s.most);
    cr_expect_eq(r->max_abs_index, s.most_at);
    cr_expect_eq(r->zeros, (double)s.zeros / n);
    cr_expect_eq(r->clipped, (double)s.clipped / n);
    cr_expect_arr_eq(r->histogram, s.histogram, sizeof s.histogram);
    cr_expect_eq(r->bytes, mc_weight_bytes(r->spec));
    cr_expect_eq(r->bits_per_weight, 8.0 * (double)r->bytes / n);
}

Test(verify_weights, figures_are_those_of_a_plain_loop)
{
    container_builder_begin(&builder, 1);
    const mc_grid zero = {
        .levels = mc_levels_int(3), .offset = MC_OFFSET_ZERO, .scale_dtype = MC_F16};
    const mc_grid two_level = {.levels = mc_levels_int(4),
                               .offset = MC_OFFSET_FREE,
                               .scale_dtype = MC_F16,
                               .sub_bits = 6,
                               .super = 8};
    const mc_grid table = {.levels = mc_levels_find("ternary"), .scale_dtype = MC_F16};
    container_builder_quantized(&builder, int4(), 300, 256, 32);
    container_builder_quantized(&builder, int4(), 3, 40000, 40000); /* wider than a chunk */
    container_builder_quantized(&builder, zero, 77, 333, 111);      /* rows that share bytes */
    container_builder_quantized(&builder, zero, 130, 150, 0);       /* one scale for all */
    container_builder_quantized(&builder, two_level, 50, 512, 32);
    container_builder_quantized(&builder, table, 64, 100, 100);
    container_builder_quantized(&builder, int4(), 2, 30000, 1000); /* chunks end within groups */
    container_builder_quantized(&builder, int4(), 1, 1, 1);
    for (size_t w = 0; w < builder.weights; w++) builder.weight[w].dtype = w % 2 ? MC_F32 : MC_BF16;
    measured_pair_open(&p, &builder, true);
    measure();
    for (size_t w = 0; w < p.container.weights; w++)
        if (p.container.weight[w].rows * p.container.weight[w].cols > 1) expect_figures(w);
    measured_pair_close(&p);
}

Test(verify_weights, tensors_of_several_pieces_are_one)
{
    container_builder_begin(&builder, 2);
    container_builder_quantized(&builder, int4(), 1100, 2048, 32);
    container_builder_quantized(
        &builder, (mc_grid){.levels = mc_levels_int(3), .scale_dtype = MC_F16}, 1, 2500001, 0);
    for (size_t w = 0; w < builder.weights; w++) builder.weight[w].dtype = MC_F32;
    measured_pair_open(&p, &builder, true);
    measure();
    expect_figures(0);
    expect_figures(1);
    measured_pair_close(&p);
}

/* Windows of a weight with one scale begin at whole bytes of all encodings. */
Test(verify_weights, one_scale_for_a_large_tensor_is_read_in_windows)
{
    static const char *const levels[] = {"ternary", "e2m1", "int3", "int5", "int8", "int1"};
    container_builder_begin(&builder, 11);
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        container_builder_quantized(
            &builder, (mc_grid){.levels = mc_levels_find(levels[i]), .scale_dtype = MC_F16}, 211,
            i == 2 ? 5003 : 333, 0);
    container_builder_quantized(&builder,
                                (mc_grid){.levels = mc_levels_int(4),
                                          .offset = MC_OFFSET_FREE,
                                          .scale_dtype = MC_F16,
                                          .sub_bits = 6,
                                          .super = 8},
                                100, 1000, 0);
    cr_assert_geq(builder.weights, 6u);
    for (size_t w = 0; w < builder.weights; w++) builder.weight[w].dtype = MC_F32;
    measured_pair_open(&p, &builder, true);
    measure();
    for (size_t w = 0; w < builder.weights; w++) expect_figures(w);
    measured_pair_close(&p);
}

/* Every kind of weight there is; the source is what the container decodes to. */
Test(verify_weights, nothing_lost_is_exact_for_every_kind_of_weight)
{
    container_builder_begin(&builder, 3);
    container_builder_everything(&builder);
    for (size_t w = 0; w < builder.weights; w++)
        if (builder.weight[w].form == MC_FORM_QUANTIZED) builder.weight[w].dtype = MC_F32;
    measured_pair_open(&p, &builder, false);
    measure();
    for (size_t w = 0; w < report.tensors; w++) {
        const mc_tensor_report *t = &report.tensor[w];
        cr_expect_eq(t->sqnr_db, (double)INFINITY, "%s: %g dB", t->name, t->sqnr_db);
        cr_expect_eq(t->relative_error, 0.0);
        cr_expect_eq(t->max_abs_error, 0.0);
        cr_expect_eq(t->cosine, 1.0);
        cr_expect_eq(t->clipped, 0.0);
    }
    cr_expect_eq(report.min_tensor_sqnr_db, (double)INFINITY);
    cr_expect_eq(report.mean_tensor_sqnr_db, (double)INFINITY);
    cr_expect_null(report.worst_tensor);
    measured_pair_close(&p);
}

Test(verify_weights, any_number_of_threads_gives_the_same_report)
{
    static const unsigned threads[] = {1, 2, 7};
    char *wanted = NULL;
    container_builder_begin(&builder, 4);
    container_builder_dense(&builder, MC_F32, (const int[]){1500, 1000, -1});
    container_builder_quantized(&builder, int4(), 3000, 1024, 32);
    container_builder_quantized(&builder, int4(), 100, 64, 32);
    builder.weight[1].dtype = builder.weight[2].dtype = MC_F32;
    measured_pair_open(&p, &builder, true);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(measured_pair_run(&p, threads[i], &report), MC_OK, "%s", p.err.text);
        char *json = mc_report_json(&report, false), *html = mc_report_html(&report);
        char *text = mc_report_text(&report, false);
        cr_assert(json && html && text);
        char *all = malloc(strlen(json) + strlen(html) + strlen(text) + 1);
        cr_assert_not_null(all);
        strcat(strcat(strcpy(all, json), html), text);
        if (!wanted) wanted = strdup(all);
        cr_expect_str_eq(all, wanted, "%u threads", threads[i]);
        free(json);
        free(html);
        free(text);
        free(all);
    }
    free(wanted);
    measured_pair_close(&p);
}

static void count_to(void *to, uint64_t bytes)
{
    atomic_fetch_add((atomic_uint_least64_t *)to, bytes);
}

Test(verify_weights, the_meter_gets_every_byte_of_the_tensors)
{
    atomic_uint_least64_t seen = 0;
    container_builder_begin(&builder, 13);
    container_builder_little(&builder);
    container_builder_quantized(&builder, int4(), 3000, 1024, 32);
    container_builder_dense(&builder, MC_F6_E2M3, (const int[]){4, 1000001, -1});
    measured_pair_open(&p, &builder, true);
    p.meter = (mc_meter){count_to, &seen};
    measure();
    uint64_t wanted = 0;
    for (size_t i = 0; i < p.model.tensors; i++) wanted += p.model.tensor[i].bytes;
    cr_expect_eq(atomic_load(&seen), wanted);
    measured_pair_close(&p);
}

Test(verify_weights, the_memory_bound_grows_with_threads_rows_and_what_was_inflated)
{
    container_builder_begin(&builder, 14);
    container_builder_quantized(&builder, int4(), 400, 1024, 32);
    container_builder_quantized(&builder, int4(), 2, 300000, 0); /* unpacked a little at a time */
    measured_pair_open(&p, &builder, false);
    const uint64_t one = mc_verify_memory(&p.container, 1), two = mc_verify_memory(&p.container, 2);
    cr_expect_geq(two - one, mc_verify_scratch_bytes() + sizeof(mc_sums));
    measured_pair_close(&p);

    builder.weights = 1;
    container_builder_quantized(&builder, int4(), 2, 4000000, 32);
    measured_pair_open(&p, &builder, false);
    cr_expect_geq(mc_verify_memory(&p.container, 1) - one, 4000000u, "a row is unpacked whole");
    cr_expect_geq(mc_verify_memory(&p.container, 2) - two, 8000000u, "by each thread");
    measured_pair_close(&p);

    static const unsigned char zeros[500000];
    uint64_t bytes[2];
    builder.weights = 1;
    builder.side[builder.sides++] = (mc_side_file){"zeros", zeros, sizeof zeros};
    for (size_t compress = 0; compress < 2; compress++) {
        builder.compress = compress;
        measured_pair_open(&p, &builder, false);
        bytes[compress] = mc_verify_memory(&p.container, 1);
        cr_expect_eq(mc_container_inflated_bytes(&p.container) >= sizeof zeros, compress == 1);
        measured_pair_close(&p);
    }
    cr_expect_geq(bytes[1] - bytes[0], sizeof zeros);
}

Test(verify_weights, totals_are_made_of_the_tensors)
{
    container_builder_begin(&builder, 5);
    container_builder_little(&builder);
    measured_pair_open(&p, &builder, true);
    p.source.map.size += 100; /* a header in front of the tensors, as far as sizes go */
    measure();
    p.source.map.size -= 100;
    const mc_report *r = &report;
    double least = (double)INFINITY, sum = 0, bytes = 0, count = 0, clipped = 0, zeros = 0;
    uint64_t parameters = 0, source = 0;
    for (size_t i = 0; i < r->tensors; i++) {
        const mc_tensor_report *t = &r->tensor[i];
        parameters += t->count;
        source += t->source_bytes;
        if (t->spec->form != MC_FORM_QUANTIZED) continue;
        least = fmin(least, t->sqnr_db);
        sum += t->sqnr_db;
        bytes += (double)t->bytes;
        count += (double)t->count;
        clipped += t->clipped * (double)t->count;
        zeros += t->zeros * (double)t->count;
    }
    cr_expect_eq(r->tensors, 7u);
    cr_expect_eq(r->quantized, 5u);
    cr_expect_eq(r->parameters, parameters);
    cr_expect_eq((double)r->quantized_parameters, count);
    cr_expect_eq(r->min_tensor_sqnr_db, least);
    cr_expect(near(r->mean_tensor_sqnr_db, sum / 5));
    cr_expect_eq(r->bits_per_weight, 8 * bytes / count);
    cr_expect(near(r->clipped, clipped / count));
    cr_expect(near(r->zeros, zeros / count));
    cr_expect_eq(r->source_bytes, source + 100 + p.container.side[0].bytes);
    cr_expect_eq(r->container_bytes, p.container.map.size);
    const mc_size_split splits[] = {r->source_split, r->container_split};
    const uint64_t wholes[] = {r->source_bytes, r->container_bytes};
    for (size_t i = 0; i < 2; i++)
        cr_expect_eq(splits[i].codes + splits[i].grids + splits[i].dense + splits[i].side +
                         splits[i].frame,
                     wholes[i]);
    cr_expect_eq(r->source_split.frame, 100u);
    cr_expect_eq(r->container_split.side, p.container.side[0].bytes);
    cr_expect_eq(r->container_split.dense, r->tensor[0].bytes + r->tensor[4].bytes);
    cr_expect_eq((double)(r->container_split.codes + r->container_split.grids), bytes);
    cr_expect_str_eq(r->worst_tensor, r->tensor[r->worst_first[0]].name);
    measured_pair_close(&p);
}

Test(verify_weights, the_order_is_worst_first_then_carried)
{
    container_builder_begin(&builder, 6);
    container_builder_little(&builder);
    measured_pair_open(&p, &builder, true);
    measure();
    const mc_report *r = &report;
    for (size_t i = 1; i < r->quantized; i++)
        cr_expect_leq(r->tensor[r->worst_first[i - 1]].sqnr_db,
                      r->tensor[r->worst_first[i]].sqnr_db);
    cr_expect_eq(r->worst_first[5], 0u); /* the two dense ones, in their order */
    cr_expect_eq(r->worst_first[6], 4u);
    measured_pair_close(&p);
}

Test(verify_weights, a_container_of_carried_tensors_is_exact)
{
    container_builder_begin(&builder, 7);
    container_builder_dense(&builder, MC_F32, (const int[]){3, 5, -1});
    container_builder_dense(&builder, MC_F6_E2M3, (const int[]){40, -1});
    measured_pair_open(&p, &builder, true);
    measure();
    cr_expect_eq(report.min_tensor_sqnr_db, (double)INFINITY);
    cr_expect(isnan(report.bits_per_weight), "of no weights");
    cr_expect_eq(report.quantized, 0u);
    cr_expect(isnan(report.tensor[1].zeros), "F6_E2M3 has no values here");
    measured_pair_close(&p);
}

Test(verify_weights, zeros_of_carried_tensors_are_counted)
{
    container_builder_begin(&builder, 8);
    container_builder_dense(&builder, MC_F32, (const int[]){20000, -1});
    measured_pair_open(&p, &builder, true);
    measure();
    const float *w = (const float *)(const void *)p.model.tensor[0].data;
    size_t zeros = 0;
    for (size_t i = 0; i < 20000; i++) zeros += w[i] == 0.0f;
    cr_expect_eq(report.tensor[0].zeros, (double)zeros / 20000);
    measured_pair_close(&p);
}

/* ---- what the container says ---- */

static void open_two(void)
{
    container_builder_begin(&builder, 9);
    container_builder_dense(&builder, MC_BF16, (const int[]){40, 3, -1});
    container_builder_quantized(&builder, int4(), 400, 64, 32);
    builder.weight[1].dtype = MC_F32;
    measured_pair_open(&p, &builder, true);
}

Test(verify_weights, the_manifest_gives_reasons_and_the_recipe)
{
    open_two();
    static const char manifest[] =
        "{\"tool\":\"test\",\"recipe\": {\"method\": \"rtn\"},"
        "\"kept\":{\"layer0.weight\":\"asked by --keep\",\"layer1.weight\":\"no\"}}";
    p.container.manifest = manifest;
    p.container.manifest_bytes = sizeof manifest - 1;
    measure();
    cr_expect_str_eq(report.tensor[0].kept_because, "asked by --keep");
    cr_expect_null(report.tensor[1].kept_because, "it was not kept");
    /* printf '{"method":"rtn"}' | sha256sum */
    cr_expect_str_eq(report.recipe_hash,
                     "318f24e0595c9da058988adb4fb01b64e0a3892979d2543d75f815dba6d469c8");
    char root[MC_SHA256_HEX];
    mc_hex(p.container.root, MC_SHA256_BYTES, root);
    cr_expect_str_eq(report.container_hash, root);
    measured_pair_close(&p);
}

/* "layer10.weight" stands before "layer2.weight" in the order of names, and not in the file. */
Test(verify_weights, reasons_find_their_tensors_in_any_order)
{
    enum { TENSORS = 12 };
    char manifest[1024] = "{\"kept\":{\"nobody\":\"-\"";
    container_builder_begin(&builder, 12);
    for (size_t i = 0; i < TENSORS; i++)
        container_builder_dense(&builder, MC_BF16, (const int[]){2, -1});
    for (size_t i = TENSORS; i-- > 0;) {
        const size_t used = strlen(manifest);
        snprintf(manifest + used, sizeof manifest - used, ",\"layer%zu.weight\":\"%zu\"", i, i);
    }
    strcat(manifest, "}}");
    measured_pair_open(&p, &builder, false);
    p.container.manifest = manifest;
    p.container.manifest_bytes = strlen(manifest);
    measure();
    for (size_t i = 0; i < TENSORS; i++) {
        char wanted[8];
        snprintf(wanted, sizeof wanted, "%zu", i);
        cr_assert_not_null(report.tensor[i].kept_because, "%zu", i);
        cr_expect_str_eq(report.tensor[i].kept_because, wanted);
    }
    measured_pair_close(&p);
}

Test(verify_weights, a_manifest_without_them_is_fine_and_a_broken_one_is_not)
{
    open_two();
    measure();
    cr_expect_str_eq(report.recipe_hash, "");
    cr_expect_null(report.tensor[0].kept_because);
    p.container.manifest = "{\"recipe\":";
    p.container.manifest_bytes = 10;
    cr_expect_neq(measured_pair_run(&p, 1, &report), MC_OK);
    cr_expect_eq(strncmp(p.err.text, "c.bin: manifest", 15), 0, "%s", p.err.text);
    measured_pair_close(&p);
}

Test(verify_weights, the_headline_says_what_was_not_measured)
{
    static const struct {
        mc_numerics numerics;
        const char *headline;
    } wanted[] = {
        {{8, MCPK_ACT_DYNAMIC, 16, false, false},
         "activations: int8 dynamic recorded, not measured"},
        {{8, MCPK_ACT_STATIC, 16, false, false}, "activations: int8 static recorded, not measured"},
        {{4, MCPK_ACT_DYNAMIC, 16, false, false},
         "activations: int4 dynamic recorded, not measured"},
        {{16, MCPK_ACT_NONE, 16, false, false}, "activations: not quantized"},
        {{16, MCPK_ACT_NONE, 8, false, false},
         "activations: not quantized; kv cache: int8 recorded, not measured"},
        {{8, MCPK_ACT_DYNAMIC, 4, false, false},
         "activations: int8 dynamic recorded, not measured; kv cache: int4 recorded, not measured"},
        {{8, MCPK_ACT_DYNAMIC, 16, true, false}, "activations: int8 dynamic measured"},
        {{8, MCPK_ACT_DYNAMIC, 4, true, true},
         "activations: int8 dynamic measured; kv cache: int4 measured"},
        {{16, MCPK_ACT_STATIC, 16, false, false},
         "activations: int16 static recorded, not measured"},
    };
    open_two();
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        p.container.numerics = wanted[i].numerics;
        measure();
        cr_expect_str_eq(report.headline, wanted[i].headline);
    }
    measured_pair_close(&p);
}
