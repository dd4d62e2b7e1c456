/* Data sets of arrays: samples are what the graph's inputs take, and what does not fit is refused
 * before anything runs. */
#include "tests/support/data_case.h"
#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(dataset_arrays, .init = scratch_enter, .fini = scratch_leave);

static const int64_t any_row[] = {-1, 2}, any[] = {-1};

static data_case one_input(mc_dtype dtype, int ndim, const int64_t *dim)
{
    data_case c = data_begin(MC_TASK_NONE);
    data_input(&c, "x", dtype, ndim, dim);
    return c;
}

/* ---- samples ---- */

Test(dataset_arrays, gives_each_sample_as_all_inputs_of_the_graph)
{
    const float x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const int32_t k[] = {-7, 8, 9};
    const int64_t labels[] = {5, -1, 1000000000000}, square[] = {-1, 2, 2};
    zip_item item[] = {{"labels.npy", npy_of("<i8", "(3,)", labels, sizeof labels), false},
                       {"k.npy", npy_of("<i4", "(3,)", k, sizeof k), true},
                       {"x.npy", npy_of("<f4", "(3, 2, 2)", x, sizeof x), false},
                       {"other.npy", npy_of("<f4", "()", x, 4), false}};
    data_put("d.npz", npz_of(item, 4, (zip_kind){0}));
    data_case c = one_input(MC_F32, 3, square);
    data_input(&c, "k", MC_I64, 1, any);
    mc_dataset *d = data_open(&c, "d.npz", NULL);
    cr_expect_eq(mc_dataset_kind(d), MC_DATA_ARRAYS);
    cr_assert_eq(mc_dataset_samples(d), 3);
    cr_expect_eq(mc_dataset_model(d), &c.model);
    cr_expect_eq(mc_dataset_window(d), 0);
    cr_expect_eq(mc_dataset_dropped(d), 0);
    for (uint64_t i = 0; i < 3; i++) {
        int64_t label;
        data_sample(&c, d, i);
        const mc_nd *in = c.input;
        cr_assert(in[0].dtype == MC_F32 && in[0].ndim == 3 && in[0].count == 4);
        cr_expect(in[0].dim[0] == 1 && in[0].dim[1] == 2 && in[0].dim[2] == 2);
        cr_expect_eq(in[0].kind, MC_ND_TENSOR);
        cr_expect_eq(memcmp(in[0].data, x + 4 * i, 16), 0);
        cr_assert(in[1].dtype == MC_I64 && in[1].ndim == 1 && in[1].dim[0] == 1);
        cr_expect_eq(((const int64_t *)in[1].data)[0], k[i]);
        cr_expect(mc_dataset_label(d, i, &label) && label == labels[i]);
    }
    int64_t label;
    cr_expect_not(mc_dataset_label(d, 3, &label));
    data_sample_refused(&c, d, 3, MC_E_INTERNAL, "d.npz: sample 3 of 3");
    mc_dataset_close(d);
    data_end(&c);
}

Test(dataset_arrays, takes_a_single_npy_as_the_first_input)
{
    const float x[] = {1, 2, 3, 4};
    int64_t label;
    data_put_f32("x.npy", "(2, 2)", x, 4);
    data_case c = one_input(MC_F32, 2, any_row);
    mc_dataset *d = data_open(&c, "x.npy", NULL);
    cr_assert_eq(mc_dataset_samples(d), 2);
    data_sample(&c, d, 1);
    cr_expect_eq(memcmp(c.input[0].data, x + 2, 8), 0);
    cr_expect_not(mc_dataset_label(d, 0, &label));
    cr_expect_null(mc_dataset_tokenizer(d));
    mc_dataset_close(d);

    data_input(&c, "k", MC_I64, 1, any);
    data_refused(&c, "x.npy", NULL, MC_E_FORMAT,
                 "x.npy: no array 'k' for the graph's input (it holds one without a name)");
    data_end(&c);
}

Test(dataset_arrays, reads_fortran_order_and_big_endian_numbers)
{
    /* [[1, 2], [3, 4], [5, 6]] by columns, big-endian */
    const unsigned char x[] = {0, 1, 0, 3, 0, 5, 0, 2, 0, 4, 0, 6};
    data_put("x.npy", npy_text(1, "{'descr': '>i2', 'fortran_order': True, 'shape': (3, 2), }\n", x,
                               sizeof x));
    data_case c = one_input(MC_F32, 2, any_row);
    mc_dataset *d = data_open(&c, "x.npy", NULL);
    for (uint64_t i = 0; i < 3; i++) {
        data_sample(&c, d, i);
        const float *at = c.input[0].data;
        cr_expect(at[0] == (float)(2 * i + 1) && at[1] == (float)(2 * i + 2));
    }
    mc_dataset_close(d);
    data_end(&c);
}

/* ---- what numbers become ---- */

typedef struct {
    const char *descr;
    unsigned char bytes[8];
    mc_dtype to;
    double want;
} conversion;

Test(dataset_arrays, convert_numbers_to_what_the_input_takes)
{
    static const conversion all[] = {
        {"|u1", {200}, MC_F32, 200.0},
        {"|i1", {0xff}, MC_F32, -1.0},
        {"|b1", {1}, MC_F32, 1.0},
        {"|b1", {1}, MC_I64, 1.0},
        {"|u1", {2}, MC_BOOL, 1.0},
        {"<i8", {0}, MC_BOOL, 0.0},
        {"<i8", {0xff, 0xff, 0xff, 0x7f}, MC_I32, 2147483647.0},
        {"<i8", {0, 0, 0, 0x80, 0xff, 0xff, 0xff, 0xff}, MC_I32, -2147483648.0},
        {"<i4", {0xfe, 0xff, 0xff, 0xff}, MC_I64, -2.0},
        {"<u4", {0xff, 0xff, 0xff, 0xff}, MC_I64, 4294967295.0},
        {"<i2", {255}, MC_U8, 255.0},
        {"<i2", {0x80, 0xff}, MC_I8, -128.0},
        {"<i8", {7}, MC_I4, 7.0},
        {"<i8", {15}, MC_U4, 15.0},
        {"<u8", {0, 0, 0, 0, 0, 0, 0, 0x80}, MC_F32, 0x1p63},
        {"<f8", {0, 0, 0, 0, 0, 0, 0xf8, 0x3f}, MC_F32, 1.5},
        {"<f2", {0, 0x3e}, MC_F32, 1.5},
        {"<f2", {0, 0x3e}, MC_F64, 1.5},
        {"<f4", {0xcd, 0xcc, 0xcc, 0x3d}, MC_F16, 0x1.998p-4}, /* 0.1, rounded */
        {"<f4", {0xcd, 0xcc, 0xcc, 0x3d}, MC_BF16, 0x1.9ap-4},
        {"<i4", {1, 1}, MC_BF16, 256.0}, /* 257 */
        {"<f4", {0, 0, 0, 0x80}, MC_F32, 0.0},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        data_put("x.npy",
                 npy_of(all[i].descr, "(1,)", all[i].bytes, (size_t)(all[i].descr[2] - '0')));
        data_case c = one_input(all[i].to, 1, any);
        mc_dataset *d = data_open(&c, "x.npy", NULL);
        data_sample(&c, d, 0);
        cr_expect_eq(c.input[0].dtype, all[i].to);
        cr_expect_eq(mc_nd_real(&c.input[0], 0), all[i].want, "%s: line %d: %g", all[i].descr,
                     (int)i, mc_nd_real(&c.input[0], 0));
        mc_dataset_close(d);
        data_end(&c);
    }
}

Test(dataset_arrays, keep_whole_numbers_of_64_bits_exactly)
{
    const uint64_t x = UINT64_MAX;
    data_put("x.npy", npy_of("<u8", "(1,)", &x, 8));
    data_case c = one_input(MC_U64, 1, any);
    mc_dataset *d = data_open(&c, "x.npy", NULL);
    data_sample(&c, d, 0);
    cr_expect_eq(((const uint64_t *)c.input[0].data)[0], UINT64_MAX);
    mc_dataset_close(d);
    data_end(&c);

    const int64_t y = INT64_MIN + 1;
    data_put("x.npy", npy_of("<i8", "(1,)", &y, 8));
    c = one_input(MC_DTYPE_NONE, MC_RANK_UNKNOWN, NULL); /* then as it is */
    d = data_open(&c, "x.npy", NULL);
    data_sample(&c, d, 0);
    cr_expect_eq(c.input[0].dtype, MC_I64);
    cr_expect_eq(((const int64_t *)c.input[0].data)[0], INT64_MIN + 1);
    mc_dataset_close(d);
    data_end(&c);
}

typedef struct {
    const char *descr;
    unsigned char bytes[8];
    mc_dtype to;
    const char *message;
} refusal;

Test(dataset_arrays, refuse_values_that_the_input_does_not_hold)
{
    static const refusal all[] = {
        {"<i8", {0, 0, 0, 0x80}, MC_I32, "is 2147483648, which I32 does not hold"},
        {"<i8",
         {0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff},
         MC_I32,
         "is -2147483649, which I32 does not hold"},
        {"<i2", {0, 1}, MC_U8, "is 256, which U8 does not hold"},
        {"<i2", {0xff, 0xff}, MC_U64, "is -1, which U64 does not hold"},
        {"<i2", {0x7f, 0xff}, MC_I8, "is -129, which I8 does not hold"},
        {"<i2", {8}, MC_I4, "is 8, which I4 does not hold"},
        {"<i2", {16}, MC_U4, "is 16, which U4 does not hold"},
        {"<u8",
         {0, 0, 0, 0, 0, 0, 0, 0x80},
         MC_I64,
         "is 9223372036854775808, which I64 does not hold"},
        {"<f4", {0, 0, 0xc0, 0x7f}, MC_F32, "is nan, which F32 does not hold"},
        {"<f4", {0, 0, 0x80, 0xff}, MC_F64, "is -inf, which F64 does not hold"},
        {"<f2", {0, 0x7c}, MC_F32, "is inf, which F32 does not hold"},
        {"<f8", {0, 0, 0, 0, 0, 0, 0xf0, 0x47}, MC_F32, "is 3.40282e+38, which F32 does not hold"},
        {"<i4", {0xf0, 0xff}, MC_F16, "is too large for F16"}, /* 65520 */
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const size_t n = (size_t)(all[i].descr[2] - '0');
        unsigned char three[24] = {0};
        char message[256];
        memcpy(three + n, all[i].bytes, n);
        data_put("x.npy", npy_of(all[i].descr, "(1, 3)", three, 3 * n));
        const int64_t row[] = {-1, 3};
        data_case c = one_input(all[i].to, 2, row);
        mc_dataset *d = data_open(&c, "x.npy", NULL);
        snprintf(message, sizeof message, "x.npy: array 'x': element 1 %s", all[i].message);
        data_sample_refused(&c, d, 0, MC_E_FORMAT, message);
        mc_dataset_close(d);
        data_end(&c);
    }
}

/* ---- shapes and kinds ---- */

static void shape_refused(const char *shape, size_t n, int ndim, const int64_t *dim,
                          const char *message)
{
    static const float zeros[64];
    data_put_f32("x.npy", shape, zeros, n);
    data_case c = one_input(MC_F32, ndim, dim);
    data_refused(&c, "x.npy", NULL, MC_E_FORMAT, message);
    data_end(&c);
}

Test(dataset_arrays, refuse_shapes_that_the_input_does_not_take)
{
    const int64_t image[] = {-1, 3, 2, -1};
    shape_refused("(4, 3, 2)", 24, 4, image,
                  "x.npy: array 'x' is [4, 3, 2] F32, the graph's input is [?, 3, 2, ?] F32");
    shape_refused("(4, 2, 3, 1)", 24, 4, image,
                  "x.npy: array 'x' is [4, 2, 3, 1] F32, the graph's input is [?, 3, 2, ?] F32");
    shape_refused("()", 1, MC_RANK_UNKNOWN, NULL,
                  "x.npy: array 'x' is [] F32, the graph's input is [...] F32");
    shape_refused("()", 1, 0, NULL, "x.npy: array 'x' is [] F32, the graph's input is [] F32");
    shape_refused("(3,)", 3, 0, NULL, "x.npy: array 'x' is [3] F32, the graph's input is [] F32");
}

Test(dataset_arrays, take_any_size_where_the_input_does)
{
    static const float x[24];
    const int64_t image[] = {-1, 3, 2, -1};
    data_put_f32("x.npy", "(2, 3, 2, 2)", x, 24);
    data_case c = one_input(MC_F32, 4, image);
    mc_dataset *d = data_open(&c, "x.npy", NULL);
    data_sample(&c, d, 1);
    cr_expect(c.input[0].dim[0] == 1 && c.input[0].dim[3] == 2 && c.input[0].count == 12);
    mc_dataset_close(d);
    data_end(&c);
    c = one_input(MC_F32, MC_RANK_UNKNOWN, NULL);
    d = data_open(&c, "x.npy", NULL);
    cr_expect_eq(mc_dataset_samples(d), 2);
    mc_dataset_close(d);
    data_end(&c);
    const int64_t one_by_one[] = {1, 3, 2, 2};
    c = one_input(MC_F32, 4, one_by_one);
    d = data_open(&c, "x.npy", NULL);
    cr_expect_eq(mc_dataset_samples(d), 2);
    mc_dataset_close(d);
    data_end(&c);
}

Test(dataset_arrays, refuse_graphs_that_take_many_samples_at_once)
{
    const float x[] = {1, 2, 3, 4};
    const int64_t two[] = {2, 2};
    data_put_f32("x.npy", "(2, 2)", x, 4);
    data_case c = one_input(MC_F32, 2, two);
    data_refused(&c, "x.npy", NULL, MC_E_UNSUPPORTED,
                 "x.npy: the graph's input 'x' takes exactly 2 samples at once; 1 or any number "
                 "is needed");
    data_end(&c);
}

Test(dataset_arrays, refuse_floats_for_whole_numbers_before_reading_them)
{
    const float x[] = {1, 2, 3, 4};
    static const mc_dtype whole[] = {MC_I64, MC_BOOL, MC_U8, MC_STRING, MC_C64};
    data_put_f32("x.npy", "(2, 2)", x, 4);
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        char message[256];
        data_case c = one_input(whole[i], 2, any_row);
        snprintf(message, sizeof message,
                 "x.npy: array 'x' is [2, 2] F32, the graph's input is [?, 2] %s",
                 mc_dtype_about(whole[i])->name);
        data_refused(&c, "x.npy", NULL, MC_E_FORMAT, message);
        data_end(&c);
    }
}

/* No array holds what such inputs take. */
Test(dataset_arrays, refuse_inputs_that_take_no_numbers)
{
    static const mc_dtype kinds[] = {MC_STRING, MC_C64};
    data_put("x.npy", npy_of("|u1", "(2,)", "ab", 2));
    for (size_t i = 0; i < 2; i++) {
        char message[256];
        data_case c = one_input(kinds[i], 1, any);
        snprintf(message, sizeof message, "x.npy: array 'x' is [2] U8, the graph's input is [?] %s",
                 mc_dtype_about(kinds[i])->name);
        data_refused(&c, "x.npy", NULL, MC_E_FORMAT, message);
        data_end(&c);
    }
}

/* ---- names and counts ---- */

Test(dataset_arrays, refuse_files_without_an_array_for_each_input)
{
    const float x[] = {1, 2};
    zip_item item[] = {{"arr_0.npy", npy_of("<f4", "(1, 2)", x, 8), false},
                       {"b\n.npy", npy_of("<f4", "(1, 2)", x, 8), false}};
    data_put("d.npz", npz_of(item, 2, (zip_kind){0}));
    data_case c = one_input(MC_F32, 2, any_row);
    data_refused(&c, "d.npz", NULL, MC_E_FORMAT,
                 "d.npz: no array 'x' for the graph's input (it holds \"arr_0\", \"b\\n\")");
    data_end(&c);
}

Test(dataset_arrays, name_only_some_of_very_many_arrays)
{
    enum { N = 200 };
    static char name[N][64];
    zip_item item[N];
    for (size_t i = 0; i < N; i++) {
        snprintf(name[i], sizeof name[i], "an_array_whose_name_is_long_%03d.npy", (int)i);
        item[i] = (zip_item){name[i], npy_of("|u1", "(1,)", "x", 1), false};
    }
    data_put("d.npz", npz_of(item, N, (zip_kind){0}));
    data_case c = one_input(MC_F32, 1, any);
    mc_dataset_options options = {0};
    mc_dataset *d;
    mc_err err = {0};
    cr_expect_eq(mc_dataset_open("d.npz", &c.model, &options, &d, &err), MC_E_FORMAT);
    const char *end = strstr(err.text, ", ...)");
    cr_expect(end && end[6] == '\0', "%s", err.text);
    data_end(&c);
}

Test(dataset_arrays, refuse_inputs_of_different_numbers_of_samples)
{
    const float x[] = {1, 2, 3, 4};
    zip_item item[] = {{"x.npy", npy_of("<f4", "(2, 2)", x, 16), false},
                       {"k.npy", npy_of("|u1", "(3,)", "abc", 3), false}};
    data_put("d.npz", npz_of(item, 2, (zip_kind){0}));
    data_case c = one_input(MC_F32, 2, any_row);
    data_input(&c, "k", MC_I64, 1, any);
    data_refused(&c, "d.npz", NULL, MC_E_FORMAT, "d.npz: array 'k' has 3 samples, the others 2");
    data_end(&c);
}

static void labels_refused(const char *descr, const char *shape, size_t n, const char *found)
{
    const float x[] = {1, 2, 3, 4};
    char message[256];
    zip_item item[] = {{"x.npy", npy_of("<f4", "(2, 2)", x, 16), false},
                       {"labels.npy", npy_of(descr, shape, x, n), false}};
    data_put("d.npz", npz_of(item, 2, (zip_kind){0}));
    data_case c = one_input(MC_F32, 2, any_row);
    snprintf(message, sizeof message,
             "d.npz: array 'labels' is %s, needed is a whole number for each of 2 samples", found);
    data_refused(&c, "d.npz", NULL, MC_E_FORMAT, message);
    data_end(&c);
}

Test(dataset_arrays, refuse_labels_that_are_not_one_a_sample)
{
    labels_refused("<f4", "(2,)", 8, "[2] F32");
    labels_refused("|u1", "(3,)", 3, "[3] U8");
    labels_refused("|u1", "(2, 2)", 4, "[2, 2] U8");
    labels_refused("|u1", "()", 1, "[] U8");
}

Test(dataset_arrays, may_have_labels_of_any_whole_kind)
{
    static const struct {
        const char *descr, *shape;
        size_t n;
    } kinds[] = {{"|u1", "(2,)", 2}, {"<u2", "(2, 1)", 4}, {">i4", "(2,)", 8}, {"|b1", "(2,)", 2}};
    static const unsigned char bytes[4][8] = {{0, 1}, {0, 0, 1}, {0, 0, 0, 0, 0, 0, 0, 1}, {0, 1}};
    const float x[] = {1, 2, 3, 4};
    for (size_t k = 0; k < 4; k++) {
        zip_item item[] = {
            {"x.npy", npy_of("<f4", "(2, 2)", x, 16), false},
            {"labels.npy", npy_of(kinds[k].descr, kinds[k].shape, bytes[k], kinds[k].n), false}};
        data_put("d.npz", npz_of(item, 2, (zip_kind){0}));
        data_case c = one_input(MC_F32, 2, any_row);
        mc_dataset *d = data_open(&c, "d.npz", NULL);
        for (uint64_t i = 0; i < 2; i++) {
            int64_t label = -5;
            cr_expect(mc_dataset_label(d, i, &label));
            cr_expect_eq(label, (int64_t)i, "%s", kinds[k].descr);
        }
        mc_dataset_close(d);
        data_end(&c);
    }
}

Test(dataset_arrays, refuse_sets_without_a_sample)
{
    shape_refused("(0, 2)", 0, 2, any_row, "x.npy: holds no sample");
    /* More samples than there are bytes: none holds a number. */
    const int64_t empty[] = {-1, 0};
    shape_refused("(4611686018427387904, 0)", 0, 2, empty, "x.npy: its samples hold no number");
}

Test(dataset_arrays, may_have_inputs_without_numbers_beside_others)
{
    const float x[] = {1, 2, 3, 4};
    const int64_t cache[] = {-1, 2, -1};
    zip_item item[] = {{"x.npy", npy_of("<f4", "(2, 2)", x, 16), false},
                       {"past.npy", npy_of("<f4", "(2, 2, 0)", NULL, 0), false}};
    data_put("d.npz", npz_of(item, 2, (zip_kind){0}));
    data_case c = one_input(MC_F32, 2, any_row);
    data_input(&c, "past", MC_F32, 3, cache);
    mc_dataset *d = data_open(&c, "d.npz", NULL);
    data_sample(&c, d, 1);
    cr_expect(c.input[1].count == 0 && c.input[1].ndim == 3 && c.input[1].dim[2] == 0);
    cr_expect_not_null(c.input[1].data);
    mc_dataset_close(d);
    data_end(&c);
}

Test(dataset_arrays, name_the_file_that_is_damaged)
{
    scratch_put_text("x.npz", "PK\3\4 and no more than that");
    scratch_put_text("y.npy", "\x93NUMPY");
    data_case c = one_input(MC_F32, 2, any_row);
    data_refused(&c, "x.npz", NULL, MC_E_FORMAT,
                 "x.npz: zip archive: it has no directory (is the file cut off?)");
    data_refused(&c, "y.npy", NULL, MC_E_FORMAT, "y.npy: not a .npy file");
    data_end(&c);
}

Test(dataset_arrays, need_a_model_that_can_be_run)
{
    data_case c = one_input(MC_F32, 2, any_row);
    mc_graph *graph = c.model.graph;
    c.model.graph = NULL;
    data_refused(&c, "x.npy", NULL, MC_E_UNSUPPORTED,
                 "x.npy: data needs a model that can be run: it has no graph");
    c.model.no_graph = "config.json names no architecture";
    data_refused(&c, "x.npy", NULL, MC_E_UNSUPPORTED,
                 "x.npy: data needs a model that can be run: config.json names no architecture");
    c.model.graph = graph;
    data_refused(&c, "x.npy", NULL, MC_E_IO, "x.npy: cannot open: No such file or directory");
    data_end(&c);
}
