/* STATS files: what was written comes back, interrupted runs go on to the same bytes, files of one
 * model add up, and what breaks a rule is refused by name. */
#include "calib/stats_file.h"

#include "core/file.h"
#include "formats/safetensors.h"
#include "tests/support/draw.h"
#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

TestSuite(stats_file, .init = scratch_enter, .fini = scratch_leave);

#define HASH  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

static const mc_stats_about about = {HASH, "first 8 of calib.npy", 8, 4096, 512};
static const mc_stats_options plain = {.no_fsync = true};
static const mc_stats_options resume = {.resume = true, .no_fsync = true};

/* ---- blocks ---- */

enum { ROWS = 50, CHANNELS = 6 };

typedef struct {
    mc_region room;
    mc_moment_sums moments;
    mc_channels channels;
    mc_histogram histogram;
    const char *weight[2];
    mc_stats_block block;
} made;

/* From drawn rows; `name` gets "NAME" and "NAME.v" as its weights. */
static void make(made *m, const char *name, const char *second, uint64_t seed, unsigned what)
{
    static float x[ROWS * CHANNELS];
    mc_err err = {0};
    mc_nd nd = {0};
    *m = (made){.weight = {name, second}};
    cr_assert_eq(mc_region_open(&m->room, 1 << 22, &err), MC_OK);
    draw_weights(DRAW_NORMAL, seed, x, ROWS * CHANNELS);
    cr_assert_eq(mc_nd_set(&nd, MC_F32, 2, (int64_t[]){ROWS, CHANNELS}, &err), MC_OK);
    nd.data = x;
    const mc_site_rows rows = mc_site_rows_of(&nd);
    const mc_moment_rows in = {.site = name, .x = &rows, .samples = 1};
    mc_arena *mem = &m->room.arena;
    cr_assert_eq(mc_moments_new(CHANNELS, 1, what, mem, &m->moments, &err), MC_OK);
    cr_assert_eq(mc_moments_add(&m->moments, &in, NULL, *mem, &err), MC_OK);
    mc_moments_mirror(&m->moments);
    cr_assert_eq(mc_channels_alloc(mem, CHANNELS, &m->channels, &err), MC_OK);
    cr_assert_eq(mc_channels_add(&m->channels, x, ROWS, 1, &err), MC_OK);
    mc_histogram_add(&m->histogram, x, ROWS * CHANNELS);
    m->block = (mc_stats_block){.name = name,
                                .weight = m->weight,
                                .weights = second ? 2 : 1,
                                .moments = &m->moments.view,
                                .channels = &m->channels,
                                .histogram = &m->histogram};
}

static mc_stats_out *begin(const char *path, const mc_stats_about *of, mc_stats_options options)
{
    mc_stats_out *out;
    mc_err err = {0};
    cr_assert_eq(mc_stats_out_open(path, of, options, &out, &err), MC_OK, "%s", err.text);
    return out;
}

static void add(mc_stats_out *out, const made *m)
{
    mc_err err = {0};
    cr_assert_eq(mc_stats_out_add(out, &m->block, &err), MC_OK, "%s", err.text);
}

static void commit(mc_stats_out *out)
{
    mc_err err = {0};
    cr_assert_eq(mc_stats_out_commit(out, &err), MC_OK, "%s", err.text);
}

static void write_two(const char *path, const mc_stats_about *of, uint64_t seed)
{
    made a, b;
    make(&a, "block.0.q", "block.0.v", seed, MC_MOMENTS_GRAM);
    make(&b, "block.0", NULL, seed + 1, 0);
    b.block.channels = NULL;
    b.block.histogram = NULL;
    mc_stats_out *out = begin(path, of, plain);
    add(out, &a);
    add(out, &b);
    commit(out);
    mc_region_close(&a.room);
    mc_region_close(&b.room);
}

static mc_stats *opened(const char *path)
{
    mc_stats *s;
    mc_err err = {0};
    cr_assert_eq(mc_stats_open(path, &s, &err), MC_OK, "%s", err.text);
    return s;
}

static void expect_refused(const char *path, mc_status status, const char *why)
{
    mc_stats *s;
    mc_err err = {0};
    cr_expect_eq(mc_stats_open(path, &s, &err), status, "%s", err.text);
    cr_expect_null(s);
    cr_expect(strncmp(err.text, path, strlen(path)) == 0 && strstr(err.text, why), "%s", err.text);
}

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static void expect_same_files(const char *a, const char *b)
{
    mc_map x, y;
    mc_err err;
    cr_assert_eq(mc_map_open(a, 0, &x, &err), MC_OK);
    cr_assert_eq(mc_map_open(b, 0, &y, &err), MC_OK);
    cr_assert_eq(x.size, y.size);
    cr_expect_arr_eq(x.data, y.data, x.size);
    mc_map_close(&x);
    mc_map_close(&y);
}

/* ---- there and back ---- */

static void expect_moments(const mc_moments *got, const mc_moments *want)
{
    cr_assert(got->n == want->n && got->groups == want->groups && got->rows == want->rows);
    cr_expect_arr_eq(got->sum, want->sum, got->n * sizeof(double));
    cr_expect_arr_eq(got->square, want->square, got->n * sizeof(double));
    if (want->gram) cr_expect_arr_eq(got->gram, want->gram, got->n * got->n * sizeof(double));
}

Test(stats_file, gives_back_what_was_written)
{
    made a;
    make(&a, "block.0.q", "block.0.v", 1, MC_MOMENTS_GRAM);
    write_two("s.st", &about, 1);
    mc_stats *s = opened("s.st");
    const mc_stats_about *of = mc_stats_of(s);
    cr_expect_str_eq(of->model, HASH);
    cr_expect_str_eq(of->data, about.data);
    cr_expect(of->samples == 8 && of->tokens == 4096 && of->window == 512);

    const mc_stats_entry *e = mc_stats_find(s, "block.0.v"), *other = mc_stats_find(s, "block.0");
    cr_assert(e && other && e != other);
    cr_expect_eq(mc_stats_find(s, "block.0.q"), e);
    cr_expect_null(mc_stats_find(s, "block.0.o"));
    cr_expect(mc_stats_at(s, 0) == other && mc_stats_at(s, 1) == e && !mc_stats_at(s, 2));
    cr_assert(e->weights == 2 && e->gram && e->histogram && e->channels == CHANNELS);
    cr_expect(strcmp(e->weight[0], "block.0.q") == 0 && strcmp(e->weight[1], "block.0.v") == 0);
    cr_expect(e->n == CHANNELS && e->groups == 1 && e->rows == ROWS);
    cr_expect(!other->gram && !other->histogram && other->channels == 0 && other->weights == 1);

    made b;
    mc_err err = {0};
    mc_arena *mem = &a.room.arena;
    cr_assert_eq(mc_stats_moments(s, e, true, mem, &b.moments, &err), MC_OK, "%s", err.text);
    expect_moments(&b.moments.view, &a.moments.view);
    cr_assert_eq(mc_stats_moments(s, e, false, mem, &b.moments, &err), MC_OK);
    cr_expect_null(b.moments.view.gram);
    cr_assert_eq(mc_stats_channels(s, e, mem, &b.channels, &err), MC_OK, "%s", err.text);
    cr_expect_eq(b.channels.rows, ROWS);
    cr_expect_arr_eq(b.channels.least, a.channels.least, CHANNELS * sizeof(float));
    cr_expect_arr_eq(b.channels.most, a.channels.most, CHANNELS * sizeof(float));
    cr_expect_arr_eq(b.channels.sum, a.channels.sum, CHANNELS * sizeof(double));
    cr_expect_arr_eq(b.channels.abs, a.channels.abs, CHANNELS * sizeof(double));
    cr_expect_arr_eq(b.channels.square, a.channels.square, CHANNELS * sizeof(double));
    cr_assert_eq(mc_stats_histogram(s, e, &b.histogram, &err), MC_OK, "%s", err.text);
    cr_expect_arr_eq(&b.histogram, &a.histogram, sizeof a.histogram);

    cr_expect_eq(mc_stats_moments(s, other, true, mem, &b.moments, &err), MC_E_UNSUPPORTED);
    cr_expect(strstr(err.text, "no Gram"), "%s", err.text);
    cr_expect_eq(mc_stats_channels(s, other, mem, &b.channels, &err), MC_E_UNSUPPORTED);
    cr_expect_eq(mc_stats_histogram(s, other, &b.histogram, &err), MC_E_UNSUPPORTED);
    mc_stats_close(s);
    mc_region_close(&a.room);
    cr_expect_not(exists("s.st.partial"));
}

Test(stats_file, is_for_one_model_only)
{
    write_two("s.st", &about, 1);
    mc_stats *s = opened("s.st");
    mc_err err = {0};
    cr_expect_eq(mc_stats_check_model(s, HASH, &err), MC_OK);
    cr_expect_eq(mc_stats_check_model(s, OTHER, &err), MC_E_MISMATCH);
    cr_expect_str_eq(err.text, "s.st: was collected from a model with the hash " HASH
                               ", this one has " OTHER);
    mc_stats_close(s);
}

/* The digest of "a", 0, its 4 bytes, "b.c", 0, its 2 bytes, by sha256sum. */
Test(stats_file, names_a_model_by_its_tensors)
{
    scratch_put_model("m.safetensors",
                      "{\"b.c\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[4,6]},"
                      "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                      6);
    mc_model m = scratch_open("m.safetensors");
    char hex[MC_SHA256_HEX];
    mc_err err = {0};
    cr_assert_eq(mc_stats_hash_model(&m, hex, &err), MC_OK, "%s", err.text);
    cr_expect_str_eq(hex, "7f2bf332d749a2c8b760e71f17344fe792dc0c54c0f94497c517c4fefb383696");
    mc_model_close(&m);
}

/* ---- going on ---- */

Test(stats_file, goes_on_where_it_stopped_and_is_the_same)
{
    made m[3];
    static const char *const name[] = {"c", "a", "b"};
    for (size_t i = 0; i < 3; i++) make(&m[i], name[i], NULL, i, MC_MOMENTS_GRAM);
    mc_stats_out *out = begin("whole.st", &about, plain);
    for (size_t i = 0; i < 3; i++) add(out, &m[i]);
    commit(out);

    out = begin("s.st", &about, resume);
    add(out, &m[1]);
    mc_stats_out_close(out);
    cr_expect_not(exists("s.st"));
    expect_refused("s.st.partial/00000.safetensors", MC_E_UNSUPPORTED, "part of an unfinished");
    out = begin("s.st", &about, resume);
    cr_expect(mc_stats_out_has(out, "a") && !mc_stats_out_has(out, "b"));
    add(out, &m[2]);
    mc_stats_out_close(out);
    out = begin("s.st", &about, resume);
    cr_expect(mc_stats_out_has(out, "a") && mc_stats_out_has(out, "b"));
    add(out, &m[0]);
    commit(out);
    cr_expect_not(exists("s.st.partial"));
    expect_same_files("s.st", "whole.st");
    for (size_t i = 0; i < 3; i++) mc_region_close(&m[i].room);
}

static void resume_refused(const mc_stats_about *of, const char *why)
{
    mc_stats_out *out;
    mc_err err = {0};
    cr_expect_eq(mc_stats_out_open("s.st", of, resume, &out, &err), MC_E_MISMATCH);
    cr_expect_null(out);
    cr_expect(strstr(err.text, "s.st.partial: was begun with") && strstr(err.text, why), "%s",
              err.text);
}

Test(stats_file, does_not_go_on_with_something_else)
{
    made m;
    make(&m, "a", NULL, 1, 0);
    mc_stats_out *out = begin("s.st", &about, plain);
    add(out, &m);
    mc_stats_out_close(out);
    mc_stats_about of = about;
    of.model = OTHER;
    resume_refused(&of, "the model");
    of = about;
    of.data = "x";
    resume_refused(&of, "the data \"first 8 of calib.npy\", now it is \"x\"");
    of = about;
    of.samples = 9;
    resume_refused(&of, "8 samples, now there are 9");
    of = about;
    of.tokens = 1;
    resume_refused(&of, "4096 tokens");
    of = about;
    of.window = 2;
    resume_refused(&of, "512 tokens a window");

    out = begin("s.st", &of, plain); /* without resume it begins anew */
    cr_expect_not(mc_stats_out_has(out, "a"));
    mc_stats_out_close(out);
    mc_err err = {0};
    cr_expect_eq(mc_stats_partial_remove("s.st", &err), MC_OK);
    cr_expect_not(exists("s.st.partial"));
    cr_expect_eq(mc_stats_partial_remove("s.st", &err), MC_OK, "nothing to remove is fine");
    mc_region_close(&m.room);
}

Test(stats_file, has_each_block_once_and_replaces_nothing_unasked)
{
    made m;
    make(&m, "a", NULL, 1, MC_MOMENTS_GRAM);
    m.moments.view.cross = m.moments.gram;
    mc_err err = {0};
    mc_stats_out *out = begin("s.st", &about, plain);
    cr_expect_eq(mc_stats_out_add(out, &m.block, &err), MC_E_INTERNAL);
    cr_expect(strstr(err.text, "two streams"), "%s", err.text);
    mc_region_close(&m.room);
    make(&m, "a", NULL, 1, 0);
    add(out, &m);
    cr_expect_eq(mc_stats_out_add(out, &m.block, &err), MC_E_INTERNAL);
    cr_expect(strstr(err.text, "before"), "%s", err.text);
    commit(out);
    cr_expect_eq(mc_stats_out_open("s.st", &about, plain, &out, &err), MC_E_USAGE);
    mc_region_close(&m.room);
}

/* ---- adding ---- */

Test(stats_file, of_one_model_add_up)
{
    mc_stats_about second = about;
    second.data = "the rest";
    write_two("a.st", &about, 1);
    write_two("b.st", &second, 7);
    mc_stats *in[] = {opened("a.st"), opened("b.st")};
    mc_err err = {0};
    cr_assert_eq(mc_stats_merge((const mc_stats *const *)in, 2, "c.st", plain, &err), MC_OK, "%s",
                 err.text);
    mc_stats *s = opened("c.st");
    cr_expect_str_eq(mc_stats_of(s)->data, "first 8 of calib.npy; the rest");
    cr_expect(mc_stats_of(s)->samples == 16 && mc_stats_of(s)->tokens == 8192);

    made a, b, sum;
    make(&a, "x", NULL, 1, MC_MOMENTS_GRAM);
    make(&b, "x", NULL, 7, MC_MOMENTS_GRAM);
    cr_assert_eq(mc_moments_merge(&a.moments, &b.moments.view, &err), MC_OK);
    mc_moments_mirror(&a.moments);
    cr_assert_eq(mc_channels_merge(&a.channels, &b.channels, &err), MC_OK);
    mc_histogram_merge(&a.histogram, &b.histogram);
    const mc_stats_entry *e = mc_stats_find(s, "block.0.v");
    mc_arena *mem = &b.room.arena;
    cr_assert_eq(mc_stats_moments(s, e, true, mem, &sum.moments, &err), MC_OK);
    expect_moments(&sum.moments.view, &a.moments.view);
    cr_assert_eq(mc_stats_channels(s, e, mem, &sum.channels, &err), MC_OK);
    cr_expect_arr_eq(sum.channels.abs, a.channels.abs, CHANNELS * sizeof(double));
    cr_expect_arr_eq(sum.channels.most, a.channels.most, CHANNELS * sizeof(float));
    cr_assert_eq(mc_stats_histogram(s, e, &sum.histogram, &err), MC_OK);
    cr_expect_arr_eq(&sum.histogram, &a.histogram, sizeof a.histogram);
    mc_stats_close(s);
    mc_stats_close(in[0]);
    mc_stats_close(in[1]);
    mc_region_close(&a.room);
    mc_region_close(&b.room);
}

static void merge_refused(const char *b, mc_status status, const char *why)
{
    mc_stats *in[] = {opened("a.st"), opened(b)};
    mc_err err = {0};
    cr_expect_eq(mc_stats_merge((const mc_stats *const *)in, 2, "c.st", plain, &err), status);
    cr_expect(strstr(err.text, why), "%s", err.text);
    cr_expect_not(exists("c.st") || exists("c.st.partial"));
    mc_stats_close(in[0]);
    mc_stats_close(in[1]);
}

Test(stats_file, of_different_models_or_blocks_do_not)
{
    mc_stats_about other = about;
    other.model = OTHER;
    write_two("a.st", &about, 1);
    write_two("model.st", &other, 1);
    merge_refused("model.st", MC_E_MISMATCH, "model.st: was collected from a model with the hash");
    other = about;
    other.window = 256;
    write_two("window.st", &other, 1);
    merge_refused("window.st", MC_E_MISMATCH, "window.st: windows of 256 tokens");

    made m;
    make(&m, "block.0", NULL, 1, 0);
    mc_stats_out *out = begin("less.st", &about, plain);
    m.block.channels = NULL;
    m.block.histogram = NULL;
    add(out, &m);
    commit(out);
    merge_refused("less.st", MC_E_MISMATCH, "less.st: block \"block.0.q\" is only in one of them");
    mc_region_close(&m.room);
}

/* ---- hostile files ---- */

typedef struct {
    mc_tensor tensor[8];
    mc_pair pair[10];
    mc_safetensors content;
} file_of;

static const int64_t two_rows[] = {2};
static const double sum[] = {1, -2, 3}, square[] = {1, 4, 9}, gram[] = {1, 0, 4, 0, 0, 9};

static mc_tensor tensor(const char *name, mc_dtype dtype, int ndim, uint64_t a, uint64_t b,
                        const void *data)
{
    mc_tensor t = {.name = name, .dtype = dtype, .ndim = ndim, .dim = {a, b}, .data = data};
    t.count = ndim == 2 ? a * b : a;
    t.bytes = t.count * mc_dtype_about(dtype)->bits / 8;
    return t;
}

static void good(file_of *f)
{
    *f = (file_of){.tensor = {tensor("w/rows", MC_I64, 1, 1, 0, two_rows),
                              tensor("w/sum", MC_F64, 2, 1, 3, sum),
                              tensor("w/square", MC_F64, 2, 1, 3, square),
                              tensor("w/gram", MC_F64, 2, 1, 6, gram)},
                   .pair = {{"format", "mcompress-stats"},
                            {"version", "1"},
                            {"model", HASH},
                            {"data", "d"},
                            {"samples", "2"},
                            {"tokens", "0"},
                            {"window", "0"},
                            {"weight/w", "w"}}};
    f->content = (mc_safetensors){f->tensor, 4, f->pair, 8};
}

static void put(const file_of *f)
{
    mc_region room;
    mc_out *out;
    mc_err err = {0};
    cr_assert_eq(mc_region_open(&room, mc_safetensors_write_memory(&f->content), &err), MC_OK);
    const mc_out_options options = {.replace = true, .no_fsync = true};
    cr_assert_eq(mc_out_open("f.st", 0, options, &out, &err), MC_OK);
    cr_assert_eq(mc_safetensors_write(out, &f->content, room.arena, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_out_commit(out, NULL, NULL, &err), MC_OK);
    mc_region_close(&room);
}

static void put_refused(const file_of *f, mc_status status, const char *why)
{
    put(f);
    expect_refused("f.st", status, why);
}

Test(stats_file, of_a_stranger_is_read)
{
    file_of f;
    good(&f);
    put(&f);
    mc_stats *s = opened("f.st");
    const mc_stats_entry *e = mc_stats_find(s, "w");
    mc_region room;
    mc_moment_sums m;
    mc_err err = {0};
    cr_assert(e && e->gram && e->n == 3 && e->rows == 2);
    cr_assert_eq(mc_region_open(&room, mc_moments_bytes(3, 1, MC_MOMENTS_GRAM), &err), MC_OK);
    cr_assert_eq(mc_stats_moments(s, e, true, &room.arena, &m, &err), MC_OK, "%s", err.text);
    cr_expect(m.gram[4] == 4 && m.gram[8] == 9 && m.gram[1] == 0);
    mc_region_close(&room);
    mc_stats_close(s);
}

Test(stats_file, takes_names_with_slashes)
{
    file_of f;
    good(&f);
    f.tensor[0].name = "a/w/rows";
    f.tensor[1].name = "a/w/sum";
    f.tensor[2].name = "a/w/square";
    f.tensor[3].name = "a/w/gram";
    f.pair[7] = (mc_pair){"weight/a/w/v", "a/w"};
    put(&f);
    mc_stats *s = opened("f.st");
    const mc_stats_entry *e = mc_stats_find(s, "a/w/v");
    cr_assert_not_null(e);
    cr_expect(strcmp(e->name, "a/w") == 0 && e->gram);
    mc_stats_close(s);
}

Test(stats_file, says_which_metadata_is_wrong)
{
    static const struct {
        size_t pair;
        const char *value;
        mc_status status;
        const char *why;
    } wrong[] = {
        {0, "pt", MC_E_FORMAT, "\"format\" is \"pt\", must be \"mcompress-stats\""},
        {1, "2", MC_E_UNSUPPORTED, "statistics of version \"2\" (1 can be read)"},
        {2, "0123", MC_E_FORMAT, "must be 64 hexadecimal digits"},
        {2, "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF", MC_E_FORMAT,
         "must be 64 hexadecimal digits"},
        {4, "-1", MC_E_FORMAT, "\"samples\" is \"-1\", must be a whole number"},
        {5, "9223372036854775808", MC_E_FORMAT, "\"tokens\""},
        {6, "", MC_E_FORMAT, "\"window\""},
        {7, "v", MC_E_FORMAT, "\"w/gram\" belongs to no block"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        file_of f;
        good(&f);
        f.pair[wrong[i].pair].value = wrong[i].value;
        put_refused(&f, wrong[i].status, wrong[i].why);
    }
    file_of f;
    good(&f);
    f.pair[3] = (mc_pair){"date", "d"};
    put_refused(&f, MC_E_FORMAT, "__metadata__ has no \"data\"");
    good(&f);
    f.pair[8] = (mc_pair){"weight/z", "z"};
    f.content.metadatas = 9;
    put_refused(&f, MC_E_FORMAT, "block \"z\" has no \"rows\"");
}

Test(stats_file, says_which_tensor_is_wrong)
{
    static const int64_t negative[] = {-1};
    static const float single[] = {1, 2, 3};
    const struct {
        mc_tensor tensor;
        size_t at;
        const char *why;
    } wrong[] = {
        {tensor("w/extra", MC_F64, 2, 1, 3, sum), 3, "\"w/extra\" is none that a block has"},
        {tensor("gram", MC_F64, 2, 1, 6, gram), 3, "\"gram\" is none that a block has"},
        {tensor("v/gram", MC_F64, 2, 1, 6, gram), 3, "\"v/gram\" belongs to no block"},
        {tensor("w/sum", MC_F32, 2, 1, 3, single), 1, "\"w/sum\" is of F32, must be F64"},
        {tensor("w/sum", MC_F64, 1, 3, 0, sum), 1, "must have the shape [groups, columns]"},
        {tensor("w/sum", MC_F64, 2, 1, 0, sum), 1, "must have the shape [groups, columns]"},
        {tensor("w/square", MC_F64, 2, 1, 2, square), 2, "has the shape [1, 2], must have [1, 3]"},
        {tensor("w/gram", MC_F64, 2, 1, 5, gram), 3, "has the shape [1, 5], must have [1, 6]"},
        {tensor("w/rows", MC_I64, 1, 0, 0, two_rows), 0, "must have [1]"},
        {tensor("w/rows", MC_I64, 1, 1, 0, negative), 0, "is -1, must not be negative"},
        {tensor("w/channel_sum", MC_F64, 1, 3, 0, sum), 3, "has no \"channel_rows\""},
        {tensor("w/histogram_range", MC_F32, 1, 2, 0, single), 3, "has no \"histogram\""},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        file_of f;
        good(&f);
        f.tensor[wrong[i].at] = wrong[i].tensor;
        put_refused(&f, MC_E_FORMAT, wrong[i].why);
    }
}

static void moments_refused(file_of *f, size_t tensor, double *numbers, size_t at, double value)
{
    mc_region room;
    mc_moment_sums m;
    mc_err err = {0};
    numbers[at] = value;
    f->tensor[tensor].data = (const unsigned char *)numbers;
    put(f);
    mc_stats *s = opened("f.st");
    cr_assert_eq(mc_region_open(&room, mc_moments_bytes(3, 1, MC_MOMENTS_GRAM), &err), MC_OK);
    const mc_status status =
        mc_stats_moments(s, mc_stats_find(s, "w"), true, &room.arena, &m, &err);
    cr_expect_eq(status, MC_E_FORMAT);
    char place[64];
    snprintf(place, sizeof place, "f.st: tensor \"%s\": element %zu is", f->tensor[tensor].name,
             at);
    cr_expect(strstr(err.text, place), "%s, not %s", err.text, place);
    mc_region_close(&room);
    mc_stats_close(s);
}

Test(stats_file, refuses_numbers_that_no_sum_can_be)
{
    file_of f;
    good(&f);
    moments_refused(&f, 1, (double[]){1, 2, 3}, 1, (double)NAN);
    good(&f);
    moments_refused(&f, 2, (double[]){1, 4, 9}, 2, -1);
    good(&f);
    moments_refused(&f, 3, (double[]){1, 0, 4, 0, 0, 9}, 4, (double)INFINITY);
    good(&f);
    moments_refused(&f, 3, (double[]){1, 0, 4, 0, 0, 9}, 2, -4);
}
