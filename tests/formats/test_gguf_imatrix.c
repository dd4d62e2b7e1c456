/* GGUF and importance matrices: a file of the gguf package (tests/reference/make_gguf_goldens.py),
 * what is written read again, names, and headers that lie. */
#include "formats/gguf.h"
#include "formats/gguf_imatrix.h"
#include "formats/gguf_names.h"

#include "tests/support/scratch_model.h"

#include "core/bytes.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(gguf_imatrix, .init = scratch_enter, .fini = scratch_leave);

#define GOLDEN MC_SOURCE_DIR "/tests/golden/gguf/imatrix.gguf"

typedef struct {
    mc_map map;
    mc_region room;
    mc_imatrix im;
} read_file;

static mc_status try_read(const char *path, read_file *f, mc_err *err)
{
    cr_assert_eq(mc_map_open(path, 0, &f->map, err), MC_OK, "%s", err->text);
    cr_assert_eq(mc_region_open(&f->room, mc_imatrix_memory(&f->map), err), MC_OK);
    return mc_imatrix_read(&f->map, path, &f->room.arena, &f->im, err);
}

static read_file read_imatrix(const char *path)
{
    read_file f;
    mc_err err = {0};
    cr_assert_eq(try_read(path, &f, &err), MC_OK, "%s", err.text);
    return f;
}

static void close_file(read_file *f)
{
    mc_map_close(&f->map);
    mc_region_close(&f->room);
}

static void expect_part(const mc_imatrix *im, const char *weight, size_t n, float first,
                        double count)
{
    mc_imatrix_part part;
    cr_assert(mc_imatrix_find(im, weight, &part), "%s", weight);
    cr_expect(part.n == n && part.count == count, "%s: %zu, %g", weight, part.n, part.count);
    for (size_t i = 0; i < n; i++)
        cr_expect(part.square[i] == first + (float)i, "%s[%zu] = %g", weight, i,
                  (double)part.square[i]);
}

Test(gguf_imatrix, of_the_gguf_package_is_read)
{
    read_file f = read_imatrix(GOLDEN);
    mc_imatrix_part part;
    cr_expect(mc_imatrix_is(&f.map));
    cr_expect(f.im.chunks == 7 && f.im.chunk_tokens == 512 && f.im.entries == 3);
    cr_assert_eq(f.im.datasets, 2);
    cr_expect_str_eq(f.im.dataset[0], "wiki.txt");
    cr_expect_str_eq(f.im.dataset[1], "caf\xc3\xa9");
    expect_part(&f.im, "model.layers.0.self_attn.q_proj.weight", 5, 1, 10);
    expect_part(&f.im, "blk.0.attn_q.weight", 5, 1, 10);
    for (int e = 0; e < 3; e++) {
        char name[80];
        snprintf(name, sizeof name, "model.layers.0.block_sparse_moe.experts.%d.w2.weight", e);
        expect_part(&f.im, name, 4, 6.0f + 4.0f * (float)e, 20.0 + 10.0 * e);
    }
    expect_part(&f.im, "lm_head.weight", 5, 18, 50);
    cr_expect_not(mc_imatrix_find(&f.im, "model.layers.1.self_attn.q_proj.weight", &part));
    cr_expect_not(
        mc_imatrix_find(&f.im, "model.layers.0.block_sparse_moe.experts.3.w2.weight", &part));
    cr_expect_not(mc_imatrix_find(&f.im, "blk.0.ffn_down_exps.weight", &part),
                  "which expert is not said");
    close_file(&f);
}

/* ---- names ---- */

static void expect_name(const char *weight, const char *want, uint64_t expert)
{
    char name[MC_GGUF_NAME + 1];
    uint64_t got;
    cr_assert(mc_gguf_name(weight, name, &got), "%s", weight);
    cr_expect_str_eq(name, want);
    cr_expect_eq(got, expert);
}

Test(gguf_imatrix, knows_names_of_blocks_and_experts)
{
    char name[MC_GGUF_NAME + 1];
    uint64_t expert;
    expect_name("model.layers.31.mlp.down_proj.weight", "blk.31.ffn_down.weight", MC_GGUF_WHOLE);
    expect_name("model.layers.0.block_sparse_moe.experts.7.w1.weight", "blk.0.ffn_gate_exps.weight",
                7);
    expect_name("model.layers.12.mlp.experts.63.up_proj.weight", "blk.12.ffn_up_exps.weight", 63);
    expect_name("lm_head.weight", "output.weight", MC_GGUF_WHOLE);
    static const char *const unknown[] = {
        "",
        "model.layers.0.mlp.down_proj",
        "model.layers.0.mlp.down_proj.weight2",
        "model.layers..mlp.down_proj.weight",
        "model.layers.01.mlp.down_proj.weight",
        "model.layers.1234567.mlp.down_proj.weight",
        "model.layers.-1.mlp.down_proj.weight",
        "xmodel.layers.0.mlp.down_proj.weight",
    };
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        cr_expect_not(mc_gguf_name(unknown[i], name, &expert), "%s", unknown[i]);
}

/* ---- writing ---- */

static mc_status try_write(const char *path, const mc_imatrix_content *content, mc_err *err)
{
    mc_region room;
    mc_out *out;
    cr_assert_eq(mc_region_open(&room, mc_imatrix_write_memory(content), err), MC_OK);
    const mc_out_options options = {.replace = true, .no_fsync = true};
    cr_assert_eq(mc_out_open(path, 0, options, &out, err), MC_OK);
    const mc_status status = mc_imatrix_write(out, content, room.arena, err);
    if (status == MC_OK)
        cr_assert_eq(mc_out_commit(out, NULL, NULL, err), MC_OK);
    else
        mc_out_discard(out);
    mc_region_close(&room);
    return status;
}

Test(gguf_imatrix, that_was_written_is_read_again)
{
    static const double a[] = {1, 2, 3}, b[] = {4, 5}, c[] = {6, 7};
    static const mc_imatrix_row row[] = {
        {"model.layers.2.mlp.experts.3.down_proj.weight", 2, c, 9},
        {"model.layers.0.self_attn.k_proj.weight", 3, a, 100},
        {"model.layers.2.mlp.experts.1.down_proj.weight", 2, b, 8},
        {"blk.1.attn_v.weight", 3, a, 50},
    };
    mc_err err = {0};
    const mc_imatrix_content content = {row, 4, "calib.npy", 3, 256};
    cr_assert_eq(try_write("a.gguf", &content, &err), MC_OK, "%s", err.text);
    read_file f = read_imatrix("a.gguf");
    cr_expect(f.im.entries == 3 && f.im.chunks == 3 && f.im.chunk_tokens == 256);
    cr_expect(f.im.datasets == 1 && strcmp(f.im.dataset[0], "calib.npy") == 0);
    expect_part(&f.im, "model.layers.0.self_attn.k_proj.weight", 3, 1, 100);
    expect_part(&f.im, "model.layers.1.self_attn.v_proj.weight", 3, 1, 50);
    expect_part(&f.im, "model.layers.2.mlp.experts.1.down_proj.weight", 2, 4, 8);
    expect_part(&f.im, "model.layers.2.mlp.experts.3.down_proj.weight", 2, 6, 9);
    mc_imatrix_part part;
    cr_assert(mc_imatrix_find(&f.im, "model.layers.2.mlp.experts.0.down_proj.weight", &part));
    cr_expect(part.count == 0.0 && part.square[0] == 0.0f, "no row came to it");

    mc_gguf g;
    mc_region room;
    cr_assert_eq(mc_region_open(&room, mc_gguf_memory(&f.map), &err), MC_OK);
    cr_assert_eq(mc_gguf_read(&f.map, "a.gguf", &room.arena, &g, &err), MC_OK);
    for (size_t i = 0; i < g.tensors; i++)
        cr_expect_eq((size_t)(g.tensor[i].data - f.map.data) % MC_GGUF_ALIGN, 0);
    mc_region_close(&room);
    close_file(&f);
}

static void write_refused(const mc_imatrix_row *row, size_t n, mc_status status, const char *why)
{
    mc_err err = {0};
    const mc_imatrix_content content = {row, n, "d", 1, 1};
    cr_expect_eq(try_write("x.gguf", &content, &err), status);
    cr_expect(strstr(err.text, why), "%s", err.text);
}

Test(gguf_imatrix, is_not_written_of_what_no_one_could_use)
{
    static const double bad[] = {1, -1}, nan_[] = {1, (double)NAN}, large[] = {1e39, 0},
                        ok[] = {1, 2};
    const char *q = "model.layers.0.self_attn.q_proj.weight";
    write_refused(&(mc_imatrix_row){"conv1.weight", 2, ok, 1}, 1, MC_E_UNSUPPORTED,
                  "weight \"conv1.weight\": GGUF has no name for it");
    write_refused(&(mc_imatrix_row){q, 2, bad, 1}, 1, MC_E_FORMAT, "of input 1 is -1");
    write_refused(&(mc_imatrix_row){q, 2, nan_, 1}, 1, MC_E_FORMAT, "of input 1 is nan");
    write_refused(&(mc_imatrix_row){q, 2, large, 1}, 1, MC_E_FORMAT, "of input 0 is 1e+39");
    const mc_imatrix_row twice[] = {{q, 2, ok, 1}, {"blk.0.attn_q.weight", 2, ok, 1}};
    write_refused(twice, 2, MC_E_USAGE, "appears twice");
    const mc_imatrix_row widths[] = {
        {"model.layers.0.block_sparse_moe.experts.0.w1.weight", 2, ok, 1},
        {"model.layers.0.block_sparse_moe.experts.1.w1.weight", 1, ok, 1}};
    write_refused(widths, 2, MC_E_USAGE, "have 2 and 1 inputs");
}

/* ---- headers that lie: a GGUF put together byte by byte ---- */

static unsigned char bytes[8192];
static size_t used;

static void u32(uint32_t v)
{
    mc_store_u32le(bytes + used, v);
    used += 4;
}

static void u64(uint64_t v)
{
    mc_store_u64le(bytes + used, v);
    used += 8;
}

static void text(const char *t)
{
    u64(strlen(t));
    memcpy(bytes + used, t, strlen(t));
    used += strlen(t);
}

static void head(uint32_t version, uint64_t tensors, uint64_t pairs)
{
    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, "GGUF", 4);
    used = 4;
    u32(version);
    u64(tensors);
    u64(pairs);
}

static void type_pair(void)
{
    text("general.type");
    u32(MC_GGUF_TEXT);
    text("imatrix");
}

static void tensor(const char *name, uint64_t a, uint64_t b, uint32_t type, uint64_t offset)
{
    text(name);
    u32(2);
    u64(a);
    u64(b);
    u32(type);
    u64(offset);
}

/* The header as it is now, and `more` bytes of numbers, all of them `value`. */
static void finish(size_t more, float value)
{
    used = (used + 31) / 32 * 32;
    for (size_t i = 0; i < more / 4; i++) memcpy(bytes + used + 4 * i, &value, 4);
    used += more;
}

static void refused(mc_status status, const char *why)
{
    read_file f;
    mc_err err = {0};
    scratch_put("x.gguf", bytes, used);
    cr_expect_eq(try_read("x.gguf", &f, &err), status, "%s (not: %s)", err.text, why);
    cr_expect(strncmp(err.text, "x.gguf: ", 8) == 0 && strstr(err.text, why), "%s, not %s",
              err.text, why);
    close_file(&f);
}

static void good(float value)
{
    head(3, 2, 1);
    type_pair();
    tensor("a.in_sum2", 3, 2, MC_GGML_F32, 0);
    tensor("a.counts", 1, 2, MC_GGML_F32, 32);
    finish(64, value);
}

Test(gguf_imatrix, refuses_a_header_that_lies)
{
    good(1);
    scratch_put("x.gguf", bytes, used);
    read_file f = read_imatrix("x.gguf");
    cr_expect(f.im.entries == 1 && f.im.entry[0].matrices == 2 && f.im.entry[0].n == 3);
    close_file(&f);

    used -= 25; /* the last tensor has 8 bytes, then padding that may be missing */
    refused(MC_E_FORMAT, "tensor \"a.counts\" lies beyond the end");
    for (size_t cut = used - 64; cut > 0; cut -= cut > 7 ? 7 : cut) {
        read_file g;
        mc_err err = {0};
        scratch_put("x.gguf", bytes, cut);
        cr_expect_eq(try_read("x.gguf", &g, &err), MC_E_FORMAT, "cut at %zu", cut);
        close_file(&g);
    }
    head(1, 0, 0);
    refused(MC_E_UNSUPPORTED, "GGUF version 1 (2 and 3 can be read)");
    head(3, UINT64_MAX, 1);
    refused(MC_E_FORMAT, "do not fit a file of 24 bytes");
    bytes[0] = 'X';
    refused(MC_E_FORMAT, "must begin with GGUF");
    head(3, 0, 0);
    refused(MC_E_FORMAT, "is no imatrix");
}

Test(gguf_imatrix, refuses_pairs_that_lie)
{
    head(3, 0, 1);
    u64(UINT64_MAX);
    refused(MC_E_FORMAT, "file ends inside a key");
    head(3, 0, 1);
    text("");
    u64(0);
    refused(MC_E_FORMAT, "a key has 0 bytes");
    head(3, 0, 1);
    text("k\xff");
    u64(0);
    refused(MC_E_FORMAT, "is not UTF-8 without NUL");
    head(3, 0, 1);
    text("k");
    u32(13);
    u64(0);
    refused(MC_E_FORMAT, "pair \"k\": its type is 13");
    head(3, 0, 1);
    text("k");
    u32(MC_GGUF_ARRAY);
    u32(MC_GGUF_ARRAY);
    u64(0);
    refused(MC_E_FORMAT, "items of type 9");
    head(3, 0, 1);
    text("k");
    u32(MC_GGUF_ARRAY);
    u32(MC_GGUF_U64);
    u64(UINT64_MAX / 4);
    refused(MC_E_FORMAT, "file ends inside a value");
    head(3, 0, 1);
    text("k");
    u32(MC_GGUF_BOOL);
    bytes[used++] = 2;
    refused(MC_E_FORMAT, "a bool is 2");
    head(3, 0, 2);
    type_pair();
    type_pair();
    refused(MC_E_FORMAT, "key \"general.type\" appears twice");
    head(3, 0, 1);
    text("general.alignment");
    u32(MC_GGUF_U32);
    u32(24);
    refused(MC_E_FORMAT, "general.alignment must be");
}

Test(gguf_imatrix, refuses_tensors_that_lie)
{
    const struct {
        const char *name[2];
        uint64_t dim[2][2];
        uint32_t type;
        uint64_t offset;
        mc_status status;
        const char *why;
    } wrong[] = {
        {{"a.in_sum2", "a.counts"}, {{3, 2}, {1, 2}}, 0, 64, MC_E_FORMAT, "must begin at 32"},
        {{"a.in_sum2", "a.in_sum2"}, {{3, 2}, {3, 2}}, 0, 32, MC_E_FORMAT, "appears twice"},
        {{"a.in_sum2", "a.counts"}, {{3, 2}, {1, 2}}, 4, 32, MC_E_UNSUPPORTED, "has the type 4"},
        {{"a.in_sum2", "a.counts"}, {{3, 2}, {1, 2}}, 8, 32, MC_E_FORMAT, "Q8_0 has blocks of 32"},
        {{"a.in_sum2", "a.counts"}, {{3, 2}, {2, 4}}, 1, 32, MC_E_FORMAT, "are not F32"},
        {{"a.in_sum2", "a.counts"}, {{3, 2}, {1, 3}}, 0, 32, MC_E_FORMAT, "for each matrix"},
        {{"a.in_sum2", "b.counts"}, {{3, 2}, {1, 2}}, 0, 32, MC_E_FORMAT, "has no counts"},
        {{"a.in_sum2", "a.counts"}, {{0, 2}, {1, 2}}, 0, 0, MC_E_FORMAT, "[inputs, matrices]"},
        {{"a.in_sum2", "a.counts"},
         {{3, 2}, {UINT64_MAX, 2}},
         0,
         32,
         MC_E_FORMAT,
         "more than 2^63 elements"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        head(3, 2, 1);
        type_pair();
        tensor(wrong[i].name[0], wrong[i].dim[0][0], wrong[i].dim[0][1], 0, 0);
        tensor(wrong[i].name[1], wrong[i].dim[1][0], wrong[i].dim[1][1], wrong[i].type,
               wrong[i].offset);
        finish(256, 1);
        refused(wrong[i].status, wrong[i].why);
    }
    good(NAN);
    refused(MC_E_FORMAT, "tensor \"a.in_sum2\" has nan at 0");
    good(-1);
    refused(MC_E_FORMAT, "has -1 at 0, must be finite and not negative");
}
