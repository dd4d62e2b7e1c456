/* The writer: the same bytes however the slabs come, and no finished file when one is missing. */
#include "tests/support/container_builder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static container_builder builder;

static unsigned char *everything(uint64_t seed, size_t slab_rows, bool compress, size_t *bytes)
{
    container_builder_begin(&builder, seed);
    container_builder_everything(&builder);
    builder.slab_rows = slab_rows;
    builder.compress = compress;
    return container_builder_image(&builder, bytes);
}

static void expect_same_bytes(bool compress)
{
    size_t n, m;
    unsigned char *whole = everything(1, 0, compress, &n);
    for (size_t rows = 1; rows <= 3; rows++) {
        unsigned char *cut = everything(1, rows, compress, &m);
        cr_assert_eq(n, m, "slabs of %zu rows: %zu bytes, not %zu", rows, m, n);
        cr_assert_eq(memcmp(whole, cut, n), 0, "slabs of %zu rows", rows);
        free(cut);
    }
    free(whole);
}

Test(container_write, gives_the_same_bytes_for_slabs_of_any_size)
{
    expect_same_bytes(false);
}

Test(container_write, gives_the_same_bytes_for_slabs_of_any_size_when_compressing)
{
    expect_same_bytes(true);
}

Test(container_write, compresses_only_what_gets_smaller)
{
    size_t raw_bytes, bytes;
    container_builder_begin(&builder, 3);
    const mc_grid eight = {.levels = mc_levels_int(8), .scale_dtype = MC_F32};
    container_builder_quantized(&builder, eight, 16, 64, 64); /* random: does not */
    unsigned char *raw = container_builder_image(&builder, &raw_bytes);
    builder.compress = true;
    unsigned char *image = container_builder_image(&builder, &bytes);
    mc_err err;
    mc_container c;
    cr_assert_eq(mc_container_open_map(container_builder_map(image, bytes), "c", &c, &err), MC_OK,
                 "%s", err.text);
    cr_expect_eq(c.part[c.first_part[0]].flags, MCPK_REQUIRED);
    size_t zlib = 0;
    for (size_t i = 0; i < c.parts; i++) {
        if (!(c.part[i].flags & MCPK_ZLIB)) continue;
        zlib++;
        cr_expect_eq(c.part[i].type, MCPK_SECTION_SIDE);
        cr_expect_lt(c.part[i].stored, c.part[i].raw);
    }
    cr_expect_eq(zlib, 1);
    cr_expect_lt(bytes, raw_bytes);
    mc_container_close(&c);
    free(image);
    free(raw);
}

/* ---- by hand ---- */

typedef struct {
    mc_region memory;
    char *folder;
    char path[600];
    mc_weight_spec weight;
    mc_container_spec spec;
    mc_layout layout;
    mc_out *out;
    mc_pack *pack;
    mc_err err;
} writing;

static writing *begin(bool compress)
{
    static writing w;
    cr_assert_eq(mc_region_open(&w.memory, 1 << 20, &w.err), MC_OK);
    w.folder = container_builder_folder();
    (void)snprintf(w.path, sizeof w.path, "%s/c.bin", w.folder);
    w.weight = (mc_weight_spec){.name = "bias",
                                .form = MC_FORM_DENSE,
                                .dtype = MC_U8,
                                .ndim = 1,
                                .dim = {100},
                                .rows = 1,
                                .cols = 100};
    w.spec = (mc_container_spec){.weight = &w.weight,
                                 .weights = 1,
                                 .manifest_bytes = 2,
                                 .align = 64,
                                 .numerics = {.activation_bits = 16, .kv_bits = 16},
                                 .compress = compress};
    cr_assert_eq(mc_container_layout(&w.spec, &w.memory.arena, &w.layout, &w.err), MC_OK);
    cr_assert_eq(mc_out_open(w.path, 0, (mc_out_options){.no_fsync = true}, &w.out, &w.err), MC_OK);
    cr_assert_eq(mc_pack_open(w.out, &w.layout, &w.pack, &w.err), MC_OK);
    return &w;
}

static mc_status seal(writing *w, uint64_t offset, uint64_t n)
{
    static const unsigned char data[200];
    mc_slab slab;
    mc_pack_dense(&w->layout, 0, offset, data, n, &slab);
    return mc_pack_seal(w->pack, &slab, &w->err);
}

static void end(writing *w)
{
    mc_pack_close(w->pack);
    mc_out_discard(w->out);
    cr_expect_neq(access(w->path, F_OK), 0, "a file was left");
    rmdir(w->folder);
    free(w->folder);
    mc_region_close(&w->memory);
}

Test(container_write, refuses_to_finish_when_bytes_are_missing)
{
    for (int compress = 0; compress < 2; compress++) {
        uint8_t root[MC_SHA256_BYTES];
        uint64_t bytes;
        writing *w = begin(compress);
        cr_expect_eq(seal(w, 0, 60), MC_OK);
        cr_expect_eq(mc_pack_finish(w->pack, "{}", root, &bytes, &w->err), MC_E_INTERNAL);
        cr_expect_str_eq(w->err.text, "weight \"bias\": dense: 60 of 100 bytes were sealed");
        end(w);
    }
}

Test(container_write, refuses_slabs_out_of_order)
{
    for (int compress = 0; compress < 2; compress++) {
        writing *w = begin(compress);
        cr_expect_eq(seal(w, 60, 40), MC_E_INTERNAL);
        cr_expect_str_eq(w->err.text, "weight \"bias\": dense: bytes 60 + 40 come after 0 of 100");
        cr_expect_eq(seal(w, 0, 60), MC_OK);
        cr_expect_eq(seal(w, 0, 60), MC_E_INTERNAL);
        cr_expect_eq(seal(w, 60, 41), MC_E_INTERNAL);
        cr_expect_eq(seal(w, 60, 40), MC_OK);
        end(w);
    }
}

Test(container_write, refuses_bytes_outside_their_part)
{
    static const unsigned char data[200];
    mc_slab slab;
    writing *w = begin(false);
    mc_pack_dense(&w->layout, 0, 90, data, 11, &slab);
    cr_expect_eq(mc_pack_put(w->pack, &slab, &w->err), MC_E_INTERNAL);
    slab.piece[0].part = 99;
    cr_expect_eq(mc_pack_put(w->pack, &slab, &w->err), MC_E_INTERNAL);
    cr_expect_eq(mc_pack_seal(w->pack, &slab, &w->err), MC_E_INTERNAL);
    end(w);
}
