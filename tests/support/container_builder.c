/* Made-up weights and their containers. */
#include "tests/support/container_builder.h"

#include "core/bytes.h"
#include "core/rng.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char container_builder_manifest[] = "{\"tool\":\"test\"}";

static const unsigned char side_bytes[] =
    "{\"model_type\":\"made up\",\"hidden_size\":64,\"vocab\":"
    "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}";

void container_builder_begin(container_builder *b, uint64_t seed)
{
    *b = (container_builder){.seed = seed, .align = 64};
    b->side[b->sides++] = (mc_side_file){"config.json", side_bytes, sizeof side_bytes - 1};
}

static mc_weight_spec *add(container_builder *b)
{
    if (b->weights == CONTAINER_MOST_WEIGHTS) abort();
    mc_weight_spec *w = &b->weight[b->weights];
    (void)snprintf(b->name[b->weights], sizeof b->name[0], "layer%zu.weight", b->weights);
    b->weights++;
    return w;
}

/* The builder may be moved, so names are set when they are needed. */
static void set_names(const container_builder *b, mc_weight_spec *weight)
{
    memcpy(weight, b->weight, b->weights * sizeof *weight);
    for (size_t i = 0; i < b->weights; i++) weight[i].name = b->name[i];
}

void container_builder_dense(container_builder *b, mc_dtype dtype, const int *dims)
{
    mc_weight_spec *w = add(b);
    *w = (mc_weight_spec){.form = MC_FORM_DENSE, .dtype = dtype, .rows = 1, .cols = 1};
    for (; dims[w->ndim] >= 0; w->ndim++) {
        w->dim[w->ndim] = (uint64_t)dims[w->ndim];
        w->cols *= w->dim[w->ndim];
    }
    if (w->ndim < 2) return;
    w->rows = w->dim[0];
    w->cols = 1;
    for (int i = 1; i < w->ndim; i++) w->cols *= w->dim[i];
}

bool container_builder_quantized(container_builder *b, mc_grid grid, size_t rows, size_t cols,
                                 size_t group)
{
    mc_err err;
    if (mc_grid_check(&grid, &err) != MC_OK) return false;
    mc_weight_spec *w = add(b);
    *w = (mc_weight_spec){.form = MC_FORM_QUANTIZED,
                          .dtype = MC_BF16,
                          .ndim = 2,
                          .dim = {rows, cols},
                          .rows = rows,
                          .cols = cols,
                          .grid = grid,
                          .group = group};
    return true;
}

void container_builder_transpose(container_builder *b)
{
    mc_weight_spec *w = &b->weight[b->weights - 1];
    w->dim[0] = w->cols;
    w->dim[1] = w->rows;
    mc_weight_transpose(w);
}

void container_builder_sites(container_builder *b, bool rotated)
{
    static const float scale[] = {0.5f, 0x1p-20f, 3.0f, 1e-3f};
    static const int16_t zero[] = {-128, 127, 0, 5};
    static const mc_kv_spec kv = {.bits = 4, .group = 32, .window = 100, .hadamard = true};
    static mc_site_act act[] = {
        {0, NULL, {.mode = MC_ACT_STATIC, .bits = 8, .scales = 1, .scale = scale}},
        {0,
         "layer.0/MatMul",
         {.mode = MC_ACT_STATIC,
          .bits = 8,
          .asymmetric = true,
          .scales = 4,
          .scale = scale,
          .zero = zero}},
        {0, "layer.1/MatMul", {.mode = MC_ACT_DYNAMIC, .bits = 8, .asymmetric = true}},
        {1, NULL, {.mode = MC_ACT_DYNAMIC, .bits = 4, .power_of_two = true}},
        {1, "é", {.mode = MC_ACT_FLOAT}},
        {MCPK_NO_WEIGHT,
         "head",
         {.mode = MC_ACT_STATIC,
          .bits = 16,
          .asymmetric = true,
          .scales = 1,
          .scale = scale + 3,
          .zero = zero + 3}},
    };
    act[3].act.hadamard = rotated ? 64 : 0;
    b->act = act;
    b->acts = sizeof act / sizeof *act;
    b->kv = &kv;
}

static const mc_dtype scale_dtypes[] = {MC_F16, MC_BF16, MC_F32, MC_F8_E8M0, MC_F8_E4M3};
enum { SCALE_DTYPES = sizeof scale_dtypes / sizeof *scale_dtypes };

static void add_plain(container_builder *b)
{
    const mc_levels *levels;
    for (size_t l = 0; (levels = mc_levels_at(l)); l++)
        for (unsigned offset = 0; offset < 3; offset++)
            for (size_t d = 0; d < SCALE_DTYPES; d++)
                container_builder_quantized(b,
                                            (mc_grid){.levels = levels,
                                                      .offset = (mc_offset)offset,
                                                      .scale_dtype = scale_dtypes[d]},
                                            5, 21, 7);
}

static void add_two_level(container_builder *b)
{
    const mc_levels *levels;
    for (size_t l = 0; (levels = mc_levels_at(l)); l++)
        for (unsigned offset = 0; offset < 3; offset++) {
            const mc_grid grid = {.levels = levels,
                                  .offset = (mc_offset)offset,
                                  .scale_dtype = MC_F16,
                                  .sub_bits = 4 + (unsigned)(l % 5),
                                  .super = 3};
            container_builder_quantized(b, grid, 3, 30, 3);
            container_builder_quantized(b, grid, 3, 31, 31); /* one group a row */
        }
}

/* NVFP4, and the other shapes of scales under one number of the tensor. */
static void add_tensor_scaled(container_builder *b)
{
    const mc_grid nvfp4 = {
        .levels = mc_levels_find("e2m1"), .scale_dtype = MC_F8_E4M3, .tensor_scaled = true};
    mc_grid zero = nvfp4, negative = nvfp4;
    zero.levels = mc_levels_int(3);
    zero.offset = MC_OFFSET_ZERO;
    negative.levels = mc_levels_find("e4m3");
    negative.negative_scale = true;
    container_builder_quantized(b, nvfp4, 6, 32, 16);
    container_builder_quantized(b, nvfp4, 5, 21, 7);
    container_builder_transpose(b);
    container_builder_quantized(b, zero, 7, 13, 13);
    container_builder_quantized(b, negative, 7, 13, 0);
}

static void add_groups(container_builder *b)
{
    for (unsigned bits = 1; bits <= 8; bits++) {
        const mc_grid zero = {
            .levels = mc_levels_int(bits), .offset = MC_OFFSET_ZERO, .scale_dtype = MC_F16};
        const mc_grid two_level = {.levels = mc_levels_int(bits),
                                   .offset = MC_OFFSET_FREE,
                                   .scale_dtype = MC_F32,
                                   .sub_bits = 6,
                                   .super = 8};
        container_builder_quantized(b, zero, 7, 13, 13); /* a scale a row */
        container_builder_quantized(b, zero, 7, 13, 0);  /* one for all */
        container_builder_quantized(b, two_level, 5, 24, 3);
        container_builder_transpose(b);
        container_builder_quantized(b, zero, 7, 13, 1);
        container_builder_quantized(b, two_level, 7, 13, 0);
    }
    const mc_grid four = {.levels = mc_levels_int(4), .scale_dtype = MC_F16};
    mc_grid other = four;
    other.restricted = true;
    container_builder_quantized(b, other, 3, 32, 32);
    other.restricted = false;
    other.negative_scale = true;
    container_builder_quantized(b, other, 3, 32, 32);
    container_builder_quantized(b, four, 1, 5000, 5000); /* longer than a decoder's chunk */
    container_builder_quantized(b, four, 40, 256, 32);
}

void container_builder_everything(container_builder *b)
{
    for (unsigned d = 1; d <= MC_I2; d++)
        container_builder_dense(b, (mc_dtype)d, (const int[]){3, 10, -1});
    container_builder_dense(b, MC_F32, (const int[]){-1});
    container_builder_dense(b, MC_F32, (const int[]){0, 4, -1});
    container_builder_dense(b, MC_F16, (const int[]){7, -1});
    container_builder_dense(b, MC_BF16, (const int[]){2, 3, 1, 2, 1, 2, 1, 2, -1});
    add_plain(b);
    add_two_level(b);
    add_tensor_scaled(b);
    add_groups(b);
}

void container_builder_little(container_builder *b)
{
    const mc_grid four = {.levels = mc_levels_int(4), .scale_dtype = MC_F16};
    mc_grid zero = four, two_level = four;
    zero.levels = mc_levels_int(3);
    zero.offset = MC_OFFSET_ZERO;
    two_level.offset = MC_OFFSET_FREE;
    two_level.sub_bits = 6;
    two_level.super = 2;
    container_builder_dense(b, MC_F32, (const int[]){3, -1});
    container_builder_quantized(b, four, 2, 32, 16);
    container_builder_quantized(b, zero, 3, 9, 3);
    container_builder_quantized(b, two_level, 2, 24, 8);
    container_builder_dense(b, MC_BF16, (const int[]){2, 2, -1});
    container_builder_quantized(
        b, (mc_grid){.levels = mc_levels_find("ternary"), .scale_dtype = MC_BF16}, 3, 7, 0);
    container_builder_quantized(b,
                                (mc_grid){.levels = mc_levels_find("e2m1"),
                                          .scale_dtype = MC_F8_E4M3,
                                          .tensor_scaled = true},
                                2, 32, 32);
}

/* ---- contents ---- */

static float stored(const mc_grid *grid, mc_rng rng, uint64_t i, bool may_be_negative)
{
    float x = 0.001f + mc_rng_unit(rng, i);
    if (may_be_negative && mc_rng_below(rng, i + (1u << 30), 2)) x = -x;
    const float rounded = mc_round_to(grid->scale_dtype, x);
    return grid->tensor_scaled ? grid->tensor_scale * rounded : rounded;
}

static void fill_params(const mc_qmat *q, mc_rng rng)
{
    const mc_grid *g = &q->grid;
    const bool is_free = g->offset == MC_OFFSET_FREE;
    const size_t groups = mc_qmat_groups(q), supers = mc_qmat_supers(q);
    for (size_t i = 0; i < q->rows * supers; i++)
        q->super[i] = (mc_super){stored(g, rng, 4 * i, g->negative_scale),
                                 is_free ? stored(g, rng, 4 * i + 1, true) : 0.0f};
    for (size_t i = 0; i < q->rows * groups; i++) {
        mc_params *p = &q->params[i];
        *p = (mc_params){0};
        if (g->offset == MC_OFFSET_ZERO)
            p->zero = (uint8_t)mc_rng_below(rng, 7 * i + 3, UINT64_C(1) << g->levels->bits);
        else if (!is_free && !g->levels->value)
            p->zero = (uint8_t)(1 << (g->levels->bits - 1));
        if (!g->sub_bits) {
            p->scale = stored(g, rng, 5 * i, g->negative_scale);
            if (is_free) p->offset = stored(g, rng, 5 * i + 1, true);
            continue;
        }
        const mc_super s = q->super[i / groups * supers + i % groups / g->super];
        mc_sub *sub = &q->sub[i];
        sub->scale = (uint8_t)mc_rng_below(rng, 9 * i, UINT64_C(1) << g->sub_bits);
        sub->offset = 0;
        if (is_free)
            sub->offset = (uint8_t)mc_rng_below(rng, 9 * i + 1, UINT64_C(1) << g->sub_bits);
        p->scale = s.scale * (float)sub->scale;
        p->offset = s.offset * (float)sub->offset;
    }
}

void container_builder_qmat(const container_builder *b, size_t w, mc_arena *mem, mc_qmat *q)
{
    mc_err err;
    const mc_weight_spec *spec = &b->weight[w];
    const mc_weight_shape shape = mc_weight_code_shape(spec);
    const mc_rng rng = {b->seed, 2 * w};
    *q =
        (mc_qmat){.grid = spec->grid, .rows = shape.rows, .cols = shape.cols, .group = shape.group};
    if (q->grid.tensor_scaled) q->grid.tensor_scale = 0.0017f + mc_rng_unit(rng, 1u << 20);
    if (mc_qmat_alloc(q, mem, &err) != MC_OK) abort();
    const unsigned first = mc_grid_first(&spec->grid);
    const unsigned codes = mc_grid_codes(&spec->grid) - first;
    for (size_t i = 0; i < q->rows * q->cols; i++)
        q->code[i] = (uint8_t)(first + mc_rng_below(rng, i, codes));
    fill_params(q, (mc_rng){b->seed, 2 * w + 1});
}

unsigned char *container_builder_bytes(const container_builder *b, size_t w, mc_arena *mem,
                                       uint64_t *bytes)
{
    const mc_weight_spec *spec = &b->weight[w];
    *bytes = mc_weight_bytes(spec);
    unsigned char *data = MC_NEW(mem, unsigned char, (size_t)*bytes + 1);
    if (!data) abort();
    for (size_t i = 0; i < *bytes; i++)
        data[i] = (unsigned char)mc_rng_u32((mc_rng){b->seed, 2 * w}, i);
    return data;
}

/* ---- writing ---- */

static mc_status write_dense(const container_builder *b, const mc_layout *layout, size_t w,
                             mc_pack *pack, mc_arena scratch, mc_err *err)
{
    uint64_t bytes;
    mc_slab slab;
    const unsigned char *data = container_builder_bytes(b, w, &scratch, &bytes);
    const uint64_t step = b->slab_rows ? b->slab_rows : bytes + 1;
    for (uint64_t at = 0; at < bytes; at += step) {
        const uint64_t n = bytes - at < step ? bytes - at : step;
        mc_pack_dense(layout, w, at, data + at, n, &slab);
        MC_TRY(mc_pack_put(pack, &slab, err));
        MC_TRY(mc_pack_seal(pack, &slab, err));
    }
    return MC_OK;
}

static mc_qmat rows_of(const mc_qmat *q, size_t row, size_t rows)
{
    const size_t groups = mc_qmat_groups(q);
    mc_qmat part = *q;
    part.rows = rows;
    part.code += row * q->cols;
    part.params += row * groups;
    if (part.sub) part.sub += row * groups;
    if (part.super) part.super += row * mc_qmat_supers(q);
    return part;
}

static mc_status write_quantized(const container_builder *b, const mc_layout *layout, size_t w,
                                 mc_pack *pack, mc_arena scratch, mc_err *err)
{
    mc_qmat q;
    mc_slab slab;
    const mc_weight_spec *spec = &layout->spec->weight[w];
    container_builder_qmat(b, w, &scratch, &q);
    const size_t multiple = mc_pack_row_step(spec);
    size_t step = b->slab_rows ? (b->slab_rows + multiple - 1) / multiple * multiple : q.rows;
    for (size_t row = 0; row < q.rows; row += step) {
        if (step > q.rows - row) step = q.rows - row;
        mc_arena mem = scratch;
        unsigned char *room = MC_NEW_RAW(&mem, unsigned char, mc_pack_slab_bytes(spec, step));
        const mc_qmat part = rows_of(&q, row, step);
        if (!room) abort();
        mc_pack_encode(layout, w, row, &part, room, &slab);
        MC_TRY(mc_pack_put(pack, &slab, err));
        MC_TRY(mc_pack_seal(pack, &slab, err));
    }
    return MC_OK;
}

static mc_status write_all(const container_builder *b, const mc_layout *layout, mc_out *out,
                           mc_arena scratch, mc_err *err)
{
    mc_pack *pack;
    uint8_t root[MC_SHA256_BYTES];
    uint64_t bytes;
    MC_TRY(mc_pack_open(out, layout, &pack, err));
    mc_status status = MC_OK;
    for (size_t w = 0; w < b->weights && status == MC_OK; w++)
        status = b->weight[w].form == MC_FORM_DENSE
                     ? write_dense(b, layout, w, pack, scratch, err)
                     : write_quantized(b, layout, w, pack, scratch, err);
    if (status == MC_OK)
        status = mc_pack_finish(pack, container_builder_manifest, root, &bytes, err);
    mc_pack_close(pack);
    return status;
}

mc_status container_builder_write(const container_builder *b, const char *path, mc_err *err)
{
    mc_region memory;
    mc_layout layout;
    mc_out *out = NULL;
    MC_TRY(mc_region_open(&memory, (size_t)1 << 26, err));
    mc_weight_spec *weight = MC_NEW(&memory.arena, mc_weight_spec, b->weights + 1);
    if (!weight) abort();
    set_names(b, weight);
    const mc_numerics usual = {
        .activation_bits = 8, .activation_mode = MCPK_ACT_DYNAMIC, .kv_bits = 16};
    const mc_container_spec spec = {
        .act = b->act,
        .acts = b->acts,
        .kv = b->kv,
        .weight = weight,
        .weights = b->weights,
        .side = b->side,
        .sides = b->sides,
        .manifest_bytes = strlen(container_builder_manifest),
        .align = b->align,
        .target = 1,
        .numerics = mc_site_numerics(b->act, b->acts, b->kv, usual),
        .compress = b->compress,
    };
    mc_status status = mc_container_layout(&spec, &memory.arena, &layout, err);
    if (status == MC_OK)
        status = mc_out_open(path, b->compress ? 0 : layout.file_bytes,
                             (mc_out_options){.no_fsync = true}, &out, err);
    if (status == MC_OK) status = write_all(b, &layout, out, memory.arena, err);
    if (status == MC_OK)
        status = mc_out_commit(out, NULL, NULL, err);
    else
        mc_out_discard(out);
    mc_region_close(&memory);
    return status;
}

/* ---- images ---- */

char *container_builder_folder(void)
{
    const char *tmp = getenv("TMPDIR");
    char path[512];
    (void)snprintf(path, sizeof path, "%s/mcpk-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(path)) abort();
    return strdup(path);
}

unsigned char *container_builder_image(const container_builder *b, size_t *bytes)
{
    char path[600];
    mc_err err;
    mc_map map;
    char *folder = container_builder_folder();
    (void)snprintf(path, sizeof path, "%s/c.bin", folder);
    if (container_builder_write(b, path, &err) != MC_OK ||
        mc_map_open(path, 0, &map, &err) != MC_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
    unsigned char *image = malloc(map.size);
    if (!image) abort();
    memcpy(image, map.data, map.size);
    *bytes = map.size;
    mc_map_close(&map);
    unlink(path);
    rmdir(folder);
    free(folder);
    return image;
}

mc_map container_builder_map(const unsigned char *bytes, size_t n)
{
    mc_err err;
    mc_map map;
    FILE *file = tmpfile();
    if (!file || fwrite(bytes, 1, n, file) != n || fflush(file) != 0 ||
        mc_map_open_fd(fileno(file), "test", &map, &err) != MC_OK)
        abort();
    (void)fclose(file);
    return map;
}

static void digest(unsigned char *from, size_t n, unsigned char *to)
{
    mc_err err;
    if (mc_sha256_of(from, n, to, &err) != MC_OK) abort();
}

static bool at_hand(const unsigned char *entry, size_t bytes)
{
    const uint64_t offset = mc_load_u64le(entry + MCPK_P_OFFSET);
    return offset <= bytes && mc_load_u64le(entry + MCPK_P_STORED) <= bytes - offset;
}

static void repair_crcs(unsigned char *image, size_t bytes, unsigned char *index, uint32_t parts)
{
    unsigned char *table = NULL;
    for (uint32_t i = 0; i < parts && !table; i++)
        if (mc_load_u16le(index + 64 * i + MCPK_P_TYPE) == MCPK_SECTION_CRC)
            table = image + mc_load_u64le(index + 64 * i + MCPK_P_OFFSET);
    for (uint32_t i = 0; i < parts && table; i++) {
        const unsigned char *entry = index + 64 * i;
        if (mc_load_u16le(entry + MCPK_P_TYPE) == MCPK_SECTION_CRC || !at_hand(entry, bytes))
            continue;
        const unsigned char *from = image + mc_load_u64le(entry + MCPK_P_OFFSET);
        uint64_t left = mc_load_u64le(entry + MCPK_P_STORED);
        for (; left > 0; table += 4) {
            const size_t n = left < MCPK_CRC_CHUNK ? (size_t)left : MCPK_CRC_CHUNK;
            mc_store_u32le(table, mc_crc32c(0, from, n));
            from += n;
            left -= n;
        }
    }
}

void container_builder_repair(unsigned char *image, size_t bytes)
{
    const uint32_t parts = mc_load_u32le(image + MCPK_AT_PARTS);
    unsigned char *index = image + mc_load_u64le(image + MCPK_AT_INDEX);
    unsigned char *hashes = image + mc_load_u64le(image + MCPK_AT_HASHES);
    const uint64_t root = mc_load_u64le(image + MCPK_AT_ROOT);
    repair_crcs(image, bytes, index, parts);
    for (uint32_t i = 0; i < parts; i++) {
        const unsigned char *entry = index + MCPK_PART_BYTES * i;
        if (!at_hand(entry, bytes)) continue;
        digest(image + mc_load_u64le(entry + MCPK_P_OFFSET),
               (size_t)mc_load_u64le(entry + MCPK_P_STORED), hashes + MCPK_HASH_BYTES * i);
    }
    digest(image, (size_t)root, image + root);
}
