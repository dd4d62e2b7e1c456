/* ONNX in one file or two: which tensors go where, and how large both become. */
#include "core/bytes.h"
#include "formats/onnx_write_parts.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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

TestSuite(onnx_write_files, .init = enter, .fini = leave);

static const int64_t vector4[] = {4, -1}, scalar[] = {-1};

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

/* y = x + w, with further tensors. */
static mc_model sum_model(proto more)
{
    static const float w[] = {1, 2, 3, 4};
    proto g = {0};
    proto_move(&g, 1,
               onnx_node("Add", (const char *[]){"x", "w", NULL}, (const char *[]){"y", NULL}));
    proto_move(&g, 5, onnx_raw_tensor("w", 1, vector4, w, sizeof w));
    proto_raw(&g, more.at, more.n);
    proto_free(&more);
    proto_move(&g, 11, onnx_value("x", 1, vector4));
    proto_move(&g, 12, onnx_value("y", 1, vector4));
    onnx_put("m.onnx", onnx_model(g));
    return scratch_open("m.onnx");
}

static const unsigned char *doubled(void *of, const mc_tensor *t)
{
    static float data[8];
    cr_assert_eq(t->bytes, sizeof data);
    cr_assert_str_eq(t->name, of);
    memcpy(data, t->data, sizeof data);
    for (size_t i = 0; i < 8; i++) data[i] *= 2;
    return (const unsigned char *)data;
}

Test(onnx_write_files, takes_bytes_from_whoever_has_them)
{
    onnx_put("m.onnx", onnx_model(onnx_small_graph()));
    mc_model m = scratch_open("m.onnx");
    char name[] = "w";
    mc_onnx_write_options options = {.bytes = doubled, .of = name};
    for (int external = 0; external < 2; external++) {
        const char *path = external ? "2.onnx" : "1.onnx";
        options.external_from = external ? 1 : 0;
        put(&m, &options, path);
        mc_model after = scratch_open(path);
        cr_assert_eq(after.tensor[0].source, (uint32_t)external);
        cr_assert_eq(memcmp(after.tensor[0].data, (float[]){2, 4, 6, 8, 10, 12, 14, 16}, 32), 0);
        mc_model_close(&after);
    }
    mc_model_close(&m);
}

static const char *entry(mc_raw tensor, const char *key)
{
    static char text[64];
    mc_cursor in = {tensor.at, tensor.at + tensor.bytes};
    mc_wire_field f;
    while (mc_wire_next(&in, &f)) {
        if (f.number != 13 || !mc_onnx_is(mc_onnx_part(f.bytes, 1), key)) continue;
        const mc_cursor value = mc_onnx_part(f.bytes, 2);
        snprintf(text, sizeof text, "%.*s", (int)mc_left(&value), (const char *)value.at);
        return text;
    }
    return "";
}

Test(onnx_write_files, puts_tensors_from_a_size_on_into_a_file_on_page_boundaries)
{
    proto g = {0};
    static const double d[] = {1, 2, 3};
    proto_move(&g, 5, onnx_raw_tensor("d", 11, (int64_t[]){3, -1}, d, sizeof d));
    static const float s = 1;
    proto_move(&g, 5, onnx_raw_tensor("s", 1, scalar, &s, sizeof s));
    mc_model m = sum_model(g);
    cr_assert_eq(mkdir("to", 0777), 0);
    put(&m, &(mc_onnx_write_options){.external_from = 16}, "to/out.onnx");
    mc_model after = scratch_open("to/out.onnx"); /* d, s, w */
    cr_assert_eq(after.sources, 2);
    cr_assert_str_eq(after.source[1].path, "to/out.onnx.data");
    cr_assert_eq(after.source[1].map.size, 4096 + sizeof d);
    cr_assert_eq(after.tensor[1].source, 0, "s has 4 bytes");
    const mc_raw raw = after.onnx->tensor[0].raw;
    cr_assert_str_eq(entry(raw, "location"), "out.onnx.data");
    cr_assert_str_eq(entry(raw, "offset"), "4096");
    cr_assert_str_eq(entry(raw, "length"), "24");
    cr_assert(mc_all_zero(after.source[1].map.data + 16, 4096 - 16));
    mc_model_close(&after);
    mc_model_close(&m);
}

Test(onnx_write_files, replaces_neither_file_unless_told_to)
{
    mc_model m = sum_model((proto){0});
    mc_onnx_write_options options = {.external_from = 1};
    scratch_put_text("out.onnx.data", "old");
    refused(&m, &options, MC_E_USAGE, "out.onnx.data: exists (use --force to replace it)");
    cr_assert_neq(access("out.onnx", F_OK), 0, "nothing is left behind");
    cr_assert_eq(unlink("out.onnx.data"), 0);
    scratch_put_text("out.onnx", "old");
    refused(&m, &options, MC_E_USAGE, "out.onnx: exists (use --force to replace it)");
    cr_assert_neq(access("out.onnx.data", F_OK), 0);
    options.replace = true;
    put(&m, &options, "out.onnx");
    mc_model after = scratch_open("out.onnx");
    cr_assert_eq(after.sources, 2);
    mc_model_close(&after);
    mc_model_close(&m);
}

Test(onnx_write_files, may_replace_the_files_it_reads)
{
    mc_model m = sum_model((proto){0});
    put(&m, &(mc_onnx_write_options){.external_from = 1, .replace = true}, "m.onnx");
    mc_model_close(&m);
    m = scratch_open("m.onnx");
    put(&m, &(mc_onnx_write_options){.external_from = 1, .replace = true}, "m.onnx");
    mc_model after = scratch_open("m.onnx");
    cr_assert_eq(memcmp(after.tensor[0].data, m.tensor[0].data, 16), 0);
    mc_model_close(&after);
    mc_model_close(&m);
}

Test(onnx_write_files, refuses_sparse_tensors_whose_numbers_are_in_files)
{
    proto sparse = {0}, more = {0}, values = onnx_tensor("s", 1, vector4);
    proto_move(&values, 13, onnx_string("location", "numbers"));
    proto_int(&values, 14, 1);
    proto_move(&sparse, 1, values);
    proto_move(&more, 15, sparse);
    mc_model m = sum_model(more);
    refused(&m, NULL, MC_E_UNSUPPORTED, "out.onnx: a sparse initializer is external data");
    mc_model_close(&m);
}

Test(onnx_write_files, wants_a_name_that_a_model_can_hold)
{
    mc_model m = sum_model((proto){0});
    const mc_onnx_write_options options = {.external_from = 1};
    mc_err err = {0};
    put(&m, NULL, "\xff.onnx");
    cr_assert_eq(mc_onnx_write(&m, &options, "\xfe.onnx", &err), MC_E_USAGE);
    cr_assert(strstr(err.text, "its name must be UTF-8"), "%s", err.text);
    mc_model_close(&m);
}

/* ---- sizes ---- */

static mc_onnx_sizes sizes_of(const mc_model *m, uint64_t external_from)
{
    const mc_onnx_write_options options = {.external_from = external_from};
    mc_onnx_sizes sizes;
    mc_err err = {0};
    cr_assert_eq(mc_onnx_write_sizes(m, &options, "big.onnx", &sizes, &err), MC_OK, "%s", err.text);
    return sizes;
}

Test(onnx_write_files, knows_the_sizes_beforehand)
{
    mc_model m = sum_model((proto){0});
    for (uint64_t from = 0; from < 2; from++) {
        const mc_onnx_sizes sizes = sizes_of(&m, from);
        put(&m, &(mc_onnx_write_options){.external_from = from, .replace = true}, "out.onnx");
        struct stat about;
        cr_assert_eq(stat("out.onnx", &about), 0);
        cr_expect_eq((uint64_t)about.st_size, sizes.model);
        cr_expect_eq(sizes.data, from == 1 ? 16u : 0u);
    }
    mc_model_close(&m);
}

/* Data that is never looked at: only sizes are asked for. */
static mc_model large(uint64_t first, uint64_t second)
{
    static unsigned char none[1];
    mc_tensor *t = MC_NEW(&room.arena, mc_tensor, 2);
    t[0] = (mc_tensor){.name = "a",
                       .dtype = MC_U8,
                       .ndim = 1,
                       .dim = {first},
                       .bytes = first,
                       .count = first,
                       .data = none};
    t[1] = (mc_tensor){.name = "b",
                       .dtype = MC_U8,
                       .ndim = 1,
                       .dim = {second},
                       .bytes = second,
                       .count = second,
                       .data = none};
    mc_model m = {.graph = mc_graph_new(&room.arena, "large")};
    mc_graph_add_constant(m.graph, &t[0]);
    mc_graph_add_constant(m.graph, &t[1]);
    return m;
}

Test(onnx_write_files, moves_tensors_out_of_a_model_beyond_1_9_gb)
{
    mc_model m = large(1899990000, 1023);
    cr_assert_eq(sizes_of(&m, 0).data, 0);
    m = large(1900000000, 1023);
    mc_onnx_sizes sizes = sizes_of(&m, 0);
    cr_assert_eq(sizes.data, 1900000000);
    cr_assert_lt(sizes.model, 2000u, "the small one stays");
    m = large((UINT64_C(5) << 30) + 1, UINT64_C(3) << 30);
    sizes = sizes_of(&m, 0);
    cr_assert_eq(sizes.data, (UINT64_C(5) << 30) + 4096 + (UINT64_C(3) << 30));
}

Test(onnx_write_files, refuses_a_model_that_protobuf_cannot_hold)
{
    const mc_model m = large(UINT64_C(1) << 31, 8);
    refused(&m, &(mc_onnx_write_options){.external_from = UINT64_MAX}, MC_E_UNSUPPORTED,
            "out.onnx: the model has 2147483716 bytes without external data, at most 2147483647 "
            "are possible");
}
