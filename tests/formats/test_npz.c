/* .npz files: what NumPy and zip writers make is read; archives that lie are refused without a
 * crash. */
#include "formats/npy.h"
#include "tests/support/npz_builder.h"
#include "tests/support/scratch_model.h"

#include "core/bytes.h"
#include "core/file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN MC_SOURCE_DIR "/tests/golden/npy/"

TestSuite(npz, .init = scratch_enter, .fini = scratch_leave);

static mc_status open_blob(const blob *b, uint64_t limit, mc_npz *npz, mc_err *err)
{
    const mc_npz_source from = {.bytes = b->at, .n = b->n, .name = "x.npz", .limit = limit};
    return mc_npz_read(&from, npz, err);
}

static mc_npz open_ok(const blob *b)
{
    mc_npz npz;
    mc_err err = {0};
    cr_assert_eq(open_blob(b, 0, &npz, &err), MC_OK, "%s", err.text);
    return npz;
}

/* Frees the bytes. */
static void refused(blob b, mc_status status, const char *message)
{
    mc_npz npz;
    mc_err err = {0};
    const mc_status found = open_blob(&b, 0, &npz, &err);
    cr_expect_eq(found, status, "%d: %s", (int)found, err.text);
    cr_expect_str_eq(err.text, message);
    cr_expect_eq(npz.arrays, 0);
    mc_npz_close(&npz);
    blob_free(&b);
}

/* Two arrays, the first deflated: 'a' [3] of U8 5 6 7, 'b' [2] of I16 -1 300. */
static blob small(zip_kind kind)
{
    const int16_t b[] = {-1, 300};
    zip_item item[] = {{"a.npy", npy_of("|u1", "(3,)", "\5\6\7", 3), true},
                       {"b.npy", npy_of("<i2", "(2,)", b, sizeof b), false}};
    return npz_of(item, 2, kind);
}

static void expect_small(const mc_npz *npz)
{
    unsigned char a[3];
    int16_t b[2];
    cr_assert_eq(npz->arrays, 2);
    cr_expect_str_eq(npz->array[0].name, "a");
    cr_expect_str_eq(npz->array[1].name, "b");
    cr_assert(npz->array[0].count == 3 && npz->array[1].count == 2);
    mc_array_read(&npz->array[0], 0, 3, a);
    mc_array_read(&npz->array[1], 0, 2, b);
    cr_expect(a[0] == 5 && a[1] == 6 && a[2] == 7);
    cr_expect(b[0] == -1 && b[1] == 300);
}

static unsigned char *record(blob *b, const char *signature, size_t nth)
{
    return b->at + zip_find(b, signature, nth);
}

static const char local_mark[] = "PK\3\4", entry_mark[] = "PK\1\2", end_mark[] = "PK\5\6",
                  end64_mark[] = "PK\6\6", locator_mark[] = "PK\6\7";

/* ---- what NumPy writes ---- */

static const struct {
    const char *name;
    mc_dtype dtype;
} kinds[] = {{"f2", MC_F16}, {"f4", MC_F32}, {"f8", MC_F64}, {"i1", MC_I8},
             {"i2", MC_I16}, {"i4", MC_I32}, {"i8", MC_I64}, {"u1", MC_U8},
             {"u2", MC_U16}, {"u4", MC_U32}, {"u8", MC_U64}, {"b1", MC_BOOL}};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* Element i as tests/reference/make_npy_goldens.py says. */
static double ramp(const char *kind, uint64_t i)
{
    const double x = (double)(i * 37 % 101);
    if (kind[0] == 'b') return i % 3 == 0 ? 1.0 : 0.0;
    return kind[0] == 'f' ? (x - 50.0) / 8.0 : kind[0] == 'i' ? x - 50.0 : x;
}

static mc_npz open_golden(const char *name, mc_map *map)
{
    char path[512];
    mc_npz npz;
    mc_err err = {0};
    snprintf(path, sizeof path, GOLDEN "%s", name);
    cr_assert_eq(mc_map_open(path, 0, map, &err), MC_OK, "%s", err.text);
    const mc_npz_source from = {.bytes = map->data, .n = map->size, .name = name, .map = map};
    cr_assert_eq(mc_npz_read(&from, &npz, &err), MC_OK, "%s", err.text);
    return npz;
}

static void expect_ramp(const mc_array *a, const char *kind)
{
    for (uint64_t i = 0; i < a->count; i++)
        cr_expect_eq(npz_element(a, i), ramp(kind, i), "%s: element %d", a->name, (int)i);
}

Test(npz, reads_every_kind_that_numpy_writes)
{
    static const char *const files[] = {"stored.npz", "deflated.npz", "big_endian.npz"};
    for (size_t f = 0; f < 3; f++) {
        mc_map map;
        mc_npz npz = open_golden(files[f], &map);
        cr_assert_eq(npz.arrays, KINDS);
        for (size_t k = 0; k < KINDS; k++) {
            const mc_array *a = &npz.array[k];
            cr_expect_str_eq(a->name, kinds[k].name);
            cr_expect_eq(a->dtype, kinds[k].dtype);
            cr_expect_eq(a->swapped, f == 2 && kinds[k].name[1] != '1');
            cr_assert(a->ndim == 2 && a->dim[0] == 2 && a->dim[1] == 3 && a->count == 6);
            const bool in_file = a->data >= map.data && a->data < map.data + map.size;
            cr_expect_eq(in_file, f != 1);
            expect_ramp(a, kinds[k].name);
        }
        mc_npz_close(&npz);
        mc_map_close(&map);
    }
}

Test(npz, reads_orders_and_shapes_that_numpy_writes)
{
    mc_map map;
    mc_npz npz = open_golden("fortran.npz", &map);
    cr_expect(npz_find(&npz, "two")->fortran && npz_find(&npz, "four")->fortran);
    expect_ramp(npz_find(&npz, "two"), "i4");
    expect_ramp(npz_find(&npz, "four"), "f4");
    expect_ramp(npz_find(&npz, "big"), "i8");
    mc_npz_close(&npz);
    mc_map_close(&map);

    npz = open_golden("shapes.npz", &map);
    cr_expect(npz_find(&npz, "scalar")->ndim == 0 && npz_find(&npz, "scalar")->count == 1);
    expect_ramp(npz_find(&npz, "scalar"), "f4");
    cr_expect(npz_find(&npz, "empty")->ndim == 2 && npz_find(&npz, "empty")->count == 0);
    cr_expect(npz_find(&npz, "none")->ndim == 1 && npz_find(&npz, "none")->count == 0);
    cr_expect(npz_find(&npz, "eight")->ndim == 8 && npz_find(&npz, "eight")->count == 16);
    expect_ramp(npz_find(&npz, "eight"), "u1");
    mc_npz_close(&npz);
    mc_map_close(&map);
}

/* ---- what zip writers may do ---- */

Test(npz, reads_plain_and_zip64_with_and_without_comment)
{
    static const char *const comments[] = {NULL, "made by hand", "PK\5\6 is how it ends"};
    for (int zip64 = 0; zip64 < 2; zip64++)
        for (size_t i = 0; i < 3; i++) {
            blob b = small((zip_kind){zip64 != 0, comments[i]});
            mc_npz npz = open_ok(&b);
            expect_small(&npz);
            mc_npz_close(&npz);
            blob_free(&b);
        }
}

/* Only what does not fit 32 bits stands in the field of zip64. */
Test(npz, reads_zip64_for_some_of_the_sizes)
{
    blob b = small((zip_kind){.zip64 = true});
    for (size_t i = 0; i < 2; i++) {
        unsigned char *e = record(&b, entry_mark, i), *extra = e + 46 + 5;
        mc_store_u32le(e + 20, (uint32_t)mc_load_u64le(extra + 12));
        mc_store_u32le(e + 24, (uint32_t)mc_load_u64le(extra + 4));
        memcpy(extra + 4, extra + 20, 8);
        memset(extra + 12, 0xff, 16);
    }
    mc_npz npz = open_ok(&b);
    expect_small(&npz);
    mc_npz_close(&npz);
    blob_free(&b);
}

Test(npz, passes_over_what_is_no_array)
{
    zip_item item[] = {{"README", {NULL, 0}, false},
                       {"a.npy", npy_of("|u1", "(1,)", "\5", 1), false},
                       {"notes.txt", npy_of("|u1", "(1,)", "x", 1), true},
                       {"dir/b.npy", npy_of("|u1", "(1,)", "\6", 1), false}};
    blob b = npz_of(item, 4, (zip_kind){0});
    record(&b, entry_mark, 0)[10] = 99; /* a compression that no one knows */
    record(&b, entry_mark, 2)[8] = 1;   /* encrypted */
    mc_npz npz = open_ok(&b);
    cr_assert_eq(npz.arrays, 2);
    cr_expect_str_eq(npz.array[0].name, "a");
    cr_expect_str_eq(npz.array[1].name, "dir/b");
    mc_npz_close(&npz);
    blob_free(&b);
}

Test(npz, refuses_an_array_that_stands_twice)
{
    zip_item item[] = {{"a.npy", npy_of("|u1", "(1,)", "\5", 1), false},
                       {"a.npy", npy_of("|u1", "(1,)", "\6", 1), false}};
    refused(npz_of(item, 2, (zip_kind){0}), MC_E_FORMAT, "x.npz: array \"a\" stands twice");
}

Test(npz, refuses_an_archive_without_arrays)
{
    zip_item item[] = {{"README", npy_of("|u1", "(1,)", "\5", 1), false}};
    refused(npz_of(item, 1, (zip_kind){0}), MC_E_FORMAT,
            "x.npz: zip archive: it holds no .npy file");
    refused(zip_of(NULL, 0, (zip_kind){0}), MC_E_FORMAT,
            "x.npz: zip archive: it holds no .npy file");
}

Test(npz, says_which_array_is_wrong)
{
    zip_item item[] = {{"a\n.npy", npy_of("|u1", "(2,)", "\5", 1), false}};
    refused(npz_of(item, 1, (zip_kind){0}), MC_E_FORMAT,
            "x.npz: array \"a\\n\": 1 bytes of numbers, 2 elements of 8 bits need more");
    zip_item latin[] = {{"\xe4.npy", npy_of("|u1", "(1,)", "\5", 1), false}};
    refused(npz_of(latin, 1, (zip_kind){0}), MC_E_FORMAT,
            "x.npz: zip archive: a member's name is not UTF-8");
    blob nul = small((zip_kind){0});
    record(&nul, entry_mark, 0)[46] = '\0';
    refused(nul, MC_E_FORMAT, "x.npz: zip archive: a member's name is not UTF-8");
}

/* ---- damage ---- */

Test(npz, refuses_members_whose_sum_is_wrong)
{
    blob b = small((zip_kind){0});
    b.at[zip_find(&b, entry_mark, 0) - 1] ^= 1; /* the last number of 'b' */
    refused(b, MC_E_FORMAT, "x.npz: array \"b\" does not match its CRC");
    b = small((zip_kind){0});
    record(&b, entry_mark, 0)[16] ^= 1; /* the sum itself */
    refused(b, MC_E_FORMAT, "x.npz: array \"a\" does not match its CRC");
}

Test(npz, refuses_streams_that_do_not_inflate_to_their_size)
{
    static const int by[] = {1, -1};
    for (size_t i = 0; i < 2; i++) {
        blob b = small((zip_kind){0});
        unsigned char *e = record(&b, entry_mark, 0);
        mc_store_u32le(e + 24, (uint32_t)((int)mc_load_u32le(e + 24) + by[i]));
        refused(b, MC_E_FORMAT, "x.npz: array \"a\" does not inflate to its size");
        b = small((zip_kind){0});
        e = record(&b, entry_mark, 0);
        mc_store_u32le(e + 20, (uint32_t)((int)mc_load_u32le(e + 20) + by[i]));
        refused(b, MC_E_FORMAT, "x.npz: array \"a\" does not inflate to its size");
    }
    blob b = small((zip_kind){0});
    memset(record(&b, local_mark, 0) + 30 + 5, 0xff, 8);
    refused(b, MC_E_FORMAT, "x.npz: array \"a\" does not inflate to its size");
}

Test(npz, cut_off_anywhere_is_refused)
{
    for (int zip64 = 0; zip64 < 2; zip64++) {
        blob whole = small((zip_kind){zip64 != 0, "a comment"});
        for (size_t n = 0; n < whole.n; n++) {
            blob cut = {malloc(n + !n), n};
            memcpy(cut.at, whole.at, n);
            mc_npz npz;
            mc_err err = {0};
            cr_expect_eq(open_blob(&cut, 0, &npz, &err), MC_E_FORMAT, "%zu bytes", n);
            blob_free(&cut);
        }
        blob_free(&whole);
    }
}

/* Whatever byte is another one: an error, or the same numbers. */
Test(npz, with_any_other_byte_never_gives_other_numbers)
{
    static const unsigned char with[] = {0x01, 0x80, 0xff};
    for (int zip64 = 0; zip64 < 2; zip64++) {
        blob b = small((zip_kind){zip64 != 0, NULL});
        for (size_t i = 0; i < b.n * 3; i++) {
            mc_npz npz;
            mc_err err = {0};
            b.at[i / 3] ^= with[i % 3];
            const mc_status status = open_blob(&b, 0, &npz, &err);
            cr_expect(status == MC_OK || status == MC_E_FORMAT || status == MC_E_UNSUPPORTED ||
                          status == MC_E_BUDGET,
                      "%s", err.text);
            for (size_t k = 0; status == MC_OK && k < npz.arrays; k++) {
                const bool first = npz.array[k].dtype == MC_U8;
                cr_expect_eq(npz.array[k].count, first ? 3u : 2u);
                cr_expect_eq(npz_element(&npz.array[k], 1), first ? 6.0 : 300.0);
            }
            if (status == MC_OK) mc_npz_close(&npz);
            b.at[i / 3] ^= with[i % 3];
        }
        blob_free(&b);
    }
}

/* ---- lies ---- */

Test(npz, refuses_a_directory_that_is_not_there)
{
    refused((blob){0}, MC_E_FORMAT, "x.npz: zip archive: it ends before its directory");
    blob b = small((zip_kind){0});
    memset(record(&b, end_mark, 0), 0, 4);
    refused(b, MC_E_FORMAT, "x.npz: zip archive: it has no directory (is the file cut off?)");
    b = small((zip_kind){0});
    mc_store_u32le(record(&b, end_mark, 0) + 16, (uint32_t)b.n + 1);
    refused(b, MC_E_FORMAT, "x.npz: zip archive: its directory lies outside the file");
    b = small((zip_kind){0});
    mc_store_u32le(record(&b, end_mark, 0) + 12, (uint32_t)b.n);
    refused(b, MC_E_FORMAT, "x.npz: zip archive: its directory lies outside the file");
    b = small((zip_kind){0});
    mc_store_u32le(record(&b, end_mark, 0) + 16, 0);
    refused(b, MC_E_FORMAT, "x.npz: zip archive: an entry of its directory is damaged");
}

Test(npz, refuses_a_directory_that_counts_wrong)
{
    blob b = small((zip_kind){0});
    mc_store_u16le(record(&b, end_mark, 0) + 10, 3);
    refused(b, MC_E_FORMAT, "x.npz: zip archive: an entry of its directory is damaged");
    b = small((zip_kind){0});
    mc_store_u16le(record(&b, end_mark, 0) + 10, 1);
    refused(b, MC_E_FORMAT, "x.npz: zip archive: its directory holds more than it says");
    b = small((zip_kind){0});
    mc_store_u16le(record(&b, end_mark, 0) + 10, 4097);
    refused(b, MC_E_UNSUPPORTED, "x.npz: zip archive: 4097 members (at most 4096 are read)");
    b = small((zip_kind){0});
    mc_store_u16le(record(&b, entry_mark, 1) + 28, 60000);
    refused(b, MC_E_FORMAT, "x.npz: zip archive: an entry of its directory is cut off");
}

Test(npz, refuses_zip64_records_that_lie)
{
    static const struct {
        size_t at;
        const char *message;
    } ends[] = {{32, "4611686018427387905 members (at most 4096 are read)"},
                {40, "its directory lies outside the file"},
                {48, "its directory lies outside the file"}};
    for (size_t i = 0; i < 3; i++) {
        char message[256];
        blob b = small((zip_kind){.zip64 = true});
        mc_store_u64le(record(&b, end64_mark, 0) + ends[i].at, ((uint64_t)1 << 62) + 1);
        snprintf(message, sizeof message, "x.npz: zip archive: %s", ends[i].message);
        refused(b, i ? MC_E_FORMAT : MC_E_UNSUPPORTED, message);
    }
    blob b = small((zip_kind){.zip64 = true});
    mc_store_u64le(record(&b, locator_mark, 0) + 8, UINT64_MAX - 4);
    refused(b, MC_E_FORMAT, "x.npz: zip archive: its zip64 record is not where its locator says");
    b = small((zip_kind){.zip64 = true});
    mc_store_u16le(record(&b, entry_mark, 0) + 46 + 5, 9); /* the tag of its extra field */
    refused(b, MC_E_FORMAT, "x.npz: zip archive: the zip64 sizes of a member are damaged");
    b = small((zip_kind){.zip64 = true});
    mc_store_u16le(record(&b, entry_mark, 0) + 46 + 5 + 2, 16); /* its length */
    refused(b, MC_E_FORMAT, "x.npz: zip archive: the zip64 sizes of a member are damaged");
    static const struct {
        size_t at;
        const char *message;
    } sizes[] = {{4, "array \"b\" is stored, but has two sizes"},
                 {12, "zip archive: its members are larger than the file"},
                 {20, "array \"b\" does not begin where the directory says"}};
    for (size_t i = 0; i < 3; i++) {
        char message[256];
        b = small((zip_kind){.zip64 = true});
        mc_store_u64le(record(&b, entry_mark, 1) + 46 + 5 + sizes[i].at, UINT64_MAX - 7);
        snprintf(message, sizeof message, "x.npz: %s", sizes[i].message);
        refused(b, MC_E_FORMAT, message);
    }
}

Test(npz, refuses_members_that_lie)
{
    blob b = small((zip_kind){0});
    mc_store_u32le(record(&b, entry_mark, 1) + 42, (uint32_t)b.n - 3);
    refused(b, MC_E_FORMAT, "x.npz: array \"b\" does not begin where the directory says");
    b = small((zip_kind){0});
    mc_store_u32le(record(&b, entry_mark, 1) + 42, 1);
    refused(b, MC_E_FORMAT, "x.npz: array \"b\" does not begin where the directory says");
    b = small((zip_kind){0});
    mc_store_u16le(record(&b, local_mark, 1) + 26, 60000);
    refused(b, MC_E_FORMAT, "x.npz: array \"b\" reaches beyond the file");
    b = small((zip_kind){0});
    mc_store_u32le(record(&b, entry_mark, 1) + 20,
                   (uint32_t)b.n - mc_load_u32le(record(&b, entry_mark, 0) + 20));
    refused(b, MC_E_FORMAT, "x.npz: array \"b\" reaches beyond the file");
    b = small((zip_kind){0});
    mc_store_u32le(record(&b, entry_mark, 1) + 24, 5);
    refused(b, MC_E_FORMAT, "x.npz: array \"b\" is stored, but has two sizes");
    b = small((zip_kind){0});
    mc_store_u16le(record(&b, entry_mark, 1) + 8, 1);
    refused(b, MC_E_UNSUPPORTED, "x.npz: array \"b\" is encrypted");
    b = small((zip_kind){0});
    mc_store_u16le(record(&b, entry_mark, 1) + 10, 12);
    refused(b, MC_E_UNSUPPORTED, "x.npz: array \"b\": compression 12 (0 and 8 are read)");
}

/* Many entries over the same bytes cost time, so they are refused before any is read. */
Test(npz, refuses_members_that_share_bytes)
{
    static unsigned char zeros[4096];
    zip_item item[] = {{"a.npy", npy_of("|u1", "(4096,)", zeros, sizeof zeros), false},
                       {"b.npy", npy_of("|u1", "(1,)", zeros, 1), false}};
    blob b = npz_of(item, 2, (zip_kind){0});
    memcpy(record(&b, entry_mark, 1) + 16, record(&b, entry_mark, 0) + 16, 12);
    mc_store_u32le(record(&b, entry_mark, 1) + 42, 0);
    refused(b, MC_E_FORMAT, "x.npz: zip archive: its members are larger than the file");
}

/* ---- bombs ---- */

static blob zeros_of(size_t bytes, const char *shape)
{
    unsigned char *zeros = calloc(1, bytes);
    cr_assert_not_null(zeros);
    zip_item item[] = {{"a.npy", npy_of("|u1", shape, zeros, bytes), true}};
    free(zeros);
    return npz_of(item, 1, (zip_kind){0});
}

Test(npz, inflates_no_more_than_its_limit)
{
    blob b = zeros_of(100000, "(100000,)");
    mc_npz npz;
    mc_err err = {0};
    cr_expect_eq(open_blob(&b, 99999, &npz, &err), MC_E_BUDGET);
    cr_expect_str_eq(err.text, "x.npz: its arrays inflate to more than 99999 bytes, the limit");
    cr_assert_eq(open_blob(&b, 101000, &npz, &err), MC_OK, "%s", err.text);
    mc_npz_close(&npz);

    unsigned char *e = record(&b, entry_mark, 0); /* and no more than it promised */
    mc_store_u32le(e + 24, 1000);
    cr_expect_eq(open_blob(&b, 2000, &npz, &err), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "x.npz: array \"a\" does not inflate to its size");
    blob_free(&b);
}

/* What is large goes through a file, and is the same. */
Test(npz, inflates_what_is_large_into_a_scratch_file)
{
    enum { N = 17 << 20 };
    unsigned char *x = malloc(N);
    cr_assert_not_null(x);
    for (size_t i = 0; i < N; i++) x[i] = (unsigned char)(i * i >> 9);
    zip_item item[] = {{"a.npy", npy_of("|u1", "(3,)", "\1\2\3", 3), true},
                       {"b.npy", npy_of("|u1", "(17825792,)", x, N), true},
                       {"c.npy", npy_of("|u1", "(2,)", "\4\5", 2), false}};
    blob b = npz_of(item, 3, (zip_kind){0});
    scratch_put("x.npz", b.at, b.n);
    blob_free(&b);

    mc_map map;
    mc_npz npz;
    mc_err err = {0};
    cr_assert_eq(mc_map_open("x.npz", 0, &map, &err), MC_OK);
    const mc_npz_source from = {.bytes = map.data, .n = map.size, .name = "x.npz", .map = &map};
    cr_assert_eq(mc_npz_read(&from, &npz, &err), MC_OK, "%s", err.text);
    cr_expect_gt(npz.spilled.size, N);
    cr_expect_eq(npz_element(npz_find(&npz, "a"), 2), 3.0);
    cr_expect_eq(npz_element(npz_find(&npz, "c"), 1), 5.0);
    unsigned char *back = malloc(N);
    cr_assert_not_null(back);
    mc_array_read(npz_find(&npz, "b"), 0, N, back);
    cr_expect_eq(memcmp(back, x, N), 0);
    free(back);
    free(x);
    mc_npz_close(&npz);

    setenv("TMPDIR", "gone", 1);
    cr_expect_eq(mc_npz_read(&from, &npz, &err), MC_E_IO);
    cr_expect_str_eq(err.text, "gone: cannot make a scratch file: No such file or directory");
    mc_map_close(&map);
}
