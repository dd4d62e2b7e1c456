/* .npy files: what NumPy writes is read, in every kind, version and order; what is wrong is refused
 * by name. */
#include "formats/npy.h"
#include "tests/support/npz_builder.h"

#include "core/file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN MC_SOURCE_DIR "/tests/golden/npy/"

static mc_npz open_ok(const unsigned char *bytes, size_t n)
{
    mc_npz npz;
    mc_err err = {0};
    cr_assert_eq(mc_npy_read(bytes, n, "x.npy", &npz, &err), MC_OK, "%s", err.text);
    cr_assert_eq(npz.arrays, 1);
    cr_expect_str_eq(npz.array[0].name, "");
    return npz;
}

static void refused(blob b, mc_status status, const char *message)
{
    mc_npz npz;
    mc_err err = {0};
    const mc_status found = mc_npy_read(b.at, b.n, "x.npy", &npz, &err);
    cr_expect_eq(found, status, "%d: %s", (int)found, err.text);
    cr_expect_str_eq(err.text, message);
    cr_expect_eq(npz.arrays, 0);
    mc_npz_close(&npz);
    blob_free(&b);
}

static void header_refused(const char *text, mc_status status, const char *message)
{
    char full[512];
    snprintf(full, sizeof full, "x.npy: %s", message);
    refused(npy_text(1, text, "12345678", 8), status, full);
}

/* ---- what is read ---- */

Test(npy, reads_versions_1_to_3_of_numpy)
{
    for (int version = 1; version <= 3; version++) {
        char path[512];
        mc_map map;
        mc_err err = {0};
        snprintf(path, sizeof path, GOLDEN "v%d.npy", version);
        cr_assert_eq(mc_map_open(path, 0, &map, &err), MC_OK, "%s", err.text);
        mc_npz npz = open_ok(map.data, map.size);
        const mc_array *a = npz.array;
        float x[6];
        cr_expect_eq(a->dtype, MC_F32);
        cr_assert_eq(a->ndim, 2);
        cr_expect(a->dim[0] == 2 && a->dim[1] == 3 && a->count == 6 && a->bytes == 24);
        cr_expect_not(a->fortran);
        cr_expect_not(a->swapped);
        mc_array_read(a, 0, 6, x);
        for (int i = 0; i < 6; i++) cr_expect_eq(x[i], (float)(i * 37 % 101 - 50) / 8.0f);
        mc_npz_close(&npz);
        mc_map_close(&map);
    }
}

/* What numpy.lib.format has written over the years, and what it reads. */
Test(npy, reads_headers_of_other_writers)
{
    static const char *const texts[] = {
        "{'descr': '<i4', 'fortran_order': False, 'shape': (2L, 1L)}",
        "{\"shape\": (2,1,), \"fortran_order\":False,\"descr\":\"<i4\"}",
        "{ 'descr':'<i4' , 'shape' : ( 2 , 1 ) , 'fortran_order': False , }   \n",
        "{'descr': '=i4', 'fortran_order': False, 'shape': (2, 1), }\n",
        "{'descr': '|i4', 'fortran_order': False, 'shape': (2, 1), }\n",
    };
    const int32_t data[] = {7, -9};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        blob b = npy_text(1, texts[i], data, sizeof data);
        mc_npz npz = open_ok(b.at, b.n);
        int32_t x[2];
        cr_assert_eq(npz.array[0].ndim, 2, "%s", texts[i]);
        mc_array_read(&npz.array[0], 0, 2, x);
        cr_expect(x[0] == 7 && x[1] == -9);
        mc_npz_close(&npz);
        blob_free(&b);
    }
}

Test(npy, gives_elements_of_fortran_order_in_c_order)
{
    /* [[1, 2, 3], [4, 5, 6]] by columns, big-endian */
    const unsigned char data[] = {0, 1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6};
    blob b = npy_text(1, "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }\n", data,
                      sizeof data);
    mc_npz npz = open_ok(b.at, b.n);
    for (uint64_t first = 0; first < 6; first++)
        for (uint64_t count = 0; first + count <= 6; count++) {
            int16_t x[7];
            memset(x, 0x55, sizeof x);
            mc_array_read(&npz.array[0], first, count, x);
            for (uint64_t i = 0; i < count; i++) cr_expect_eq(x[i], (int16_t)(first + i + 1));
            cr_expect_eq(x[count], 0x5555);
        }
    mc_npz_close(&npz);
    blob_free(&b);
}

Test(npy, may_have_no_axes_or_no_elements)
{
    const double data = 2.5;
    double x;
    blob b = npy_of("<f8", "()", &data, 8);
    mc_npz npz = open_ok(b.at, b.n);
    cr_expect(npz.array[0].ndim == 0 && npz.array[0].count == 1);
    mc_array_read(&npz.array[0], 0, 1, &x);
    cr_expect_eq(x, 2.5);
    mc_npz_close(&npz);
    blob_free(&b);

    b = npy_text(1, "{'descr': '<f8', 'fortran_order': True, 'shape': (3, 0, 4), }\n", NULL, 0);
    npz = open_ok(b.at, b.n);
    cr_expect(npz.array[0].ndim == 3 && npz.array[0].count == 0 && npz.array[0].bytes == 0);
    mc_array_read(&npz.array[0], 0, 0, &x);
    mc_npz_close(&npz);
    blob_free(&b);
}

/* np.save to an open file may write one array after another; the first is the file's. */
Test(npy, may_have_bytes_behind_its_numbers)
{
    blob b = npy_of("|u1", "(2,)", "\1\2\3", 3);
    mc_npz npz = open_ok(b.at, b.n);
    cr_expect_eq(npz.array[0].count, 2);
    mc_npz_close(&npz);
    blob_free(&b);
}

/* ---- what is refused ---- */

Test(npy, refuses_kinds_that_are_no_numbers)
{
    static const struct {
        const char *file, *message;
    } all[] = {
        {"records.npy", "x.npy: 'descr' is no text: records are not read"},
        {"text.npy", "x.npy: numbers of type \"<U2\" (allowed: f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 "
                     "b1)"},
        {"complex.npy", "x.npy: numbers of type \"<c8\" (allowed: f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 "
                        "u8 b1)"},
    };
    for (size_t i = 0; i < 3; i++) {
        char path[512];
        mc_map map;
        mc_npz npz;
        mc_err err = {0};
        snprintf(path, sizeof path, GOLDEN "%s", all[i].file);
        cr_assert_eq(mc_map_open(path, 0, &map, &err), MC_OK, "%s", err.text);
        cr_expect_eq(mc_npy_read(map.data, map.size, "x.npy", &npz, &err), MC_E_UNSUPPORTED);
        cr_expect_str_eq(err.text, all[i].message);
        mc_map_close(&map);
    }
}

Test(npy, refuses_what_is_no_npy)
{
    refused(npy_text(4, "{}", NULL, 0), MC_E_UNSUPPORTED,
            "x.npy: version 4.0 of .npy (1.0, 2.0 and 3.0 are known)");
    refused(npy_text(0, "{}", NULL, 0), MC_E_UNSUPPORTED,
            "x.npy: version 0.0 of .npy (1.0, 2.0 and 3.0 are known)");
    blob minor = npy_of("<f4", "()", "1234", 4);
    minor.at[7] = 1;
    refused(minor, MC_E_UNSUPPORTED, "x.npy: version 1.1 of .npy (1.0, 2.0 and 3.0 are known)");
    blob magic = npy_of("<f4", "()", "1234", 4);
    magic.at[5] = 'X';
    refused(magic, MC_E_FORMAT, "x.npy: not a .npy file");
    refused((blob){0}, MC_E_FORMAT, "x.npy: not a .npy file");
    blob length = npy_text(2, "{}", NULL, 0);
    memset(length.at + 8, 0xff, 4);
    refused(length, MC_E_FORMAT, "x.npy: the file ends in the array's header");
}

#define D "'descr': '<f4', "
#define F "'fortran_order': False, "
#define S "'shape': (2,), "

Test(npy, refuses_headers_that_are_not_the_dictionary)
{
    static const struct {
        const char *text, *message;
    } all[] = {
        {"", "it is no dictionary"},
        {"[]", "it is no dictionary"},
        {"{", "a key is missing"},
        {"{}", "a key is missing"},
        {"{" D F "}", "a key is missing"},
        {"{" D S "}", "a key is missing"},
        {"{" F S "}", "a key is missing"},
        {"{,}", "a key is missing"},
        {"{'descr' '<f4'}", "a key is missing"},
        {"{'descr", "a key is missing"},
        {"{" D F S "'more': 1}", "a key other than descr, fortran_order and shape"},
        {"{" D D F S "}", "a key stands twice"},
        {"{" D F "'shape': (2,) " D "}", "a comma is missing"},
        {"{" D S "'fortran_order': Falsely}", "a comma is missing"},
        {"{" D F S "} x", "something stands behind the dictionary"},
        {"{" D F S, "a key is missing"},
        {"{" D S "'fortran_order': 0}", "'fortran_order' is no True or False"},
        {"{" D F "'shape': 2}", "'shape' is no tuple"},
        {"{" D F "'shape': (2)}", "'shape' is no tuple"},
        {"{" D F "'shape': (2,3", "'shape' does not end"},
        {"{" D F "'shape': (2 3)}", "'shape' does not end"},
        {"{" D F "'shape': (,)}", "'shape' holds something that is no number"},
        {"{" D F "'shape': (-1,)}", "'shape' holds something that is no number"},
        {"{" D F "'shape': (2.0,)}", "'shape' does not end"},
        {"{" D F "'shape': (18446744073709551616,)}", "'shape' holds something that is no number"},
        {"{" D F "'shape': (9223372036854775808,)}", "the shape overflows"},
        {"{" D F "'shape': (4294967296, 4294967296)}", "the shape overflows"},
        {"{" D F "'shape': (4294967296, 0, 4294967296)}", "the shape overflows"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char message[256];
        snprintf(message, sizeof message, "header of the array: %s", all[i].message);
        header_refused(all[i].text, MC_E_FORMAT, message);
    }
    header_refused("{" D F "'shape': (1,1,1,1,1,1,1,1,1)}", MC_E_UNSUPPORTED,
                   "more than 8 dimensions");
}

Test(npy, refuses_kinds_by_a_name_that_can_be_shown)
{
    header_refused("{'descr': '\xff\x1b[2J', " F S "}", MC_E_UNSUPPORTED,
                   "numbers of type \"\\xff\\u001b[2J\" (allowed: f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 "
                   "b1)");
    header_refused("{'descr': 'f4', " F S "}", MC_E_UNSUPPORTED,
                   "numbers of type \"f4\" (allowed: f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1)");
    /* A NUL is no byte order. */
    blob b = npy_of("<f4", "(2,)", "12345678", 8);
    memchr(b.at, '<', b.n) ? *(unsigned char *)memchr(b.at, '<', b.n) = 0 : 0;
    refused(b, MC_E_UNSUPPORTED,
            "x.npy: numbers of type \"\" (allowed: f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1)");
}

Test(npy, refuses_more_elements_than_there_are_bytes)
{
    refused(npy_of("<f4", "(3,)", "12345678", 8), MC_E_FORMAT,
            "x.npy: 8 bytes of numbers, 3 elements of 32 bits need more");
    refused(npy_of("<f8", "(2305843009213693952,)", "12345678", 8), MC_E_FORMAT,
            "x.npy: 8 bytes of numbers, 2305843009213693952 elements of 64 bits need more");
}

Test(npy, cut_off_anywhere_is_refused)
{
    for (unsigned version = 1; version <= 3; version++) {
        blob whole = npy_text(version, "{" D F S "}\n", "12345678", 8);
        for (size_t n = 0; n < whole.n; n++) {
            blob cut = {malloc(n + !n), n};
            memcpy(cut.at, whole.at, n);
            mc_npz npz;
            mc_err err = {0};
            cr_expect_eq(mc_npy_read(cut.at, n, "x", &npz, &err), MC_E_FORMAT, "%zu bytes", n);
            blob_free(&cut);
        }
        blob_free(&whole);
    }
}
