/* .npz files that are written: they read back the same, and are whole or not there. */
#include "formats/npy.h"
#include "tests/support/npz_builder.h"
#include "tests/support/scratch_model.h"

#include "core/file.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <string.h>

TestSuite(npz_write, .init = scratch_enter, .fini = scratch_leave);

static const mc_dtype kinds[] = {MC_F16, MC_F32, MC_F64, MC_I8,  MC_I16, MC_I32,
                                 MC_I64, MC_U8,  MC_U16, MC_U32, MC_U64, MC_BOOL};
enum { KINDS = sizeof kinds / sizeof *kinds };

static const char *name_of(size_t kind)
{
    return mc_dtype_about(kinds[kind])->name;
}

enum { ROWS = 3, ROW = 6 };

static void write_all(const char *path, bool replace)
{
    mc_npz_out *out;
    mc_err err = {0};
    mc_npz_member m[KINDS + 2];
    for (size_t k = 0; k < KINDS; k++)
        m[k] = (mc_npz_member){name_of(k), kinds[k], ROWS, 2, {2, 3}};
    m[KINDS] = (mc_npz_member){"out/flat", MC_I32, ROWS, 0, {0}};
    m[KINDS + 1] = (mc_npz_member){"none", MC_F32, ROWS, 1, {0}};
    cr_assert_eq(mc_npz_out_open(path, replace, m, KINDS + 2, &out, &err), MC_OK, "%s", err.text);
    for (uint64_t r = 0; r < ROWS; r++) {
        for (size_t k = 0; k < KINDS; k++) {
            unsigned char row[ROW * 8];
            for (size_t i = 0; i < sizeof row; i++)
                row[i] = kinds[k] == MC_BOOL ? (i + r) % 2 : (unsigned char)(i * 7 + r + k);
            cr_assert_eq(mc_npz_out_row(out, k, r, row, &err), MC_OK, "%s", err.text);
        }
        const int32_t flat = (int32_t)r - 1;
        cr_assert_eq(mc_npz_out_row(out, KINDS, r, &flat, &err), MC_OK, "%s", err.text);
        cr_assert_eq(mc_npz_out_row(out, KINDS + 1, r, NULL, &err), MC_OK, "%s", err.text);
    }
    cr_assert_eq(mc_npz_out_commit(out, &err), MC_OK, "%s", err.text);
}

static void expect_kind(const mc_array *a, size_t k)
{
    const size_t width = mc_dtype_about(kinds[k])->bits / 8;
    unsigned char back[ROWS * ROW * 8];
    cr_expect_str_eq(a->name, name_of(k));
    cr_expect_eq(a->dtype, kinds[k]);
    cr_assert(a->ndim == 3 && a->dim[0] == ROWS && a->dim[1] == 2 && a->dim[2] == 3);
    mc_array_read(a, 0, ROWS * ROW, back);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < ROW * width; i++)
            cr_expect_eq(back[r * ROW * width + i],
                         kinds[k] == MC_BOOL ? (i + r) % 2 : (unsigned char)(i * 7 + r + k));
}

Test(npz_write, that_was_written_reads_back_the_same)
{
    mc_map map;
    mc_npz npz;
    mc_err err = {0};
    write_all("out.npz", false);
    cr_assert_eq(mc_map_open("out.npz", 0, &map, &err), MC_OK, "%s", err.text);
    const mc_npz_source from = {.bytes = map.data, .n = map.size, .name = "out.npz", .map = &map};
    cr_assert_eq(mc_npz_read(&from, &npz, &err), MC_OK, "%s", err.text);
    cr_assert_eq(npz.arrays, KINDS + 2);
    for (size_t k = 0; k < KINDS; k++) expect_kind(&npz.array[k], k);
    const mc_array *flat = npz_find(&npz, "out/flat"), *none = npz_find(&npz, "none");
    cr_assert(flat->ndim == 1 && flat->count == ROWS);
    for (uint64_t i = 0; i < ROWS; i++) cr_expect_eq(npz_element(flat, i), (double)i - 1.0);
    cr_expect(none->ndim == 2 && none->dim[0] == ROWS && none->dim[1] == 0);
    mc_npz_close(&npz);

    write_all("out.npz", true); /* the same arrays, the same bytes */
    mc_map again;
    cr_assert_eq(mc_map_open("out.npz", 0, &again, &err), MC_OK);
    cr_assert_eq(again.size, map.size);
    cr_expect_eq(memcmp(again.data, map.data, map.size), 0);
    mc_map_close(&again);
    mc_map_close(&map);
}

static void expect_empty_folder(void)
{
    DIR *dir = opendir(".");
    cr_assert_not_null(dir);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;)
        cr_expect(strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0, "%s", e->d_name);
    closedir(dir);
}

Test(npz_write, that_is_not_whole_is_not_written)
{
    const mc_npz_member m = {"a", MC_F32, 2, 1, {1}};
    mc_npz_out *out;
    mc_err err = {0};
    const float x = 1.0f;
    cr_assert_eq(mc_npz_out_open("o.npz", false, &m, 1, &out, &err), MC_OK, "%s", err.text);
    cr_expect_eq(mc_npz_out_row(out, 0, 1, &x, &err), MC_E_INTERNAL);
    cr_expect_str_eq(err.text, "array 'a.npy': row 1 after 0 of 2");
    cr_expect_eq(mc_npz_out_row(out, 0, 0, &x, &err), MC_OK);
    cr_expect_eq(mc_npz_out_commit(out, &err), MC_E_INTERNAL);
    cr_expect_str_eq(err.text, "array 'a.npy': 1 of 2 rows");
    cr_assert_eq(mc_npz_out_open("o.npz", false, &m, 1, &out, &err), MC_OK, "%s", err.text);
    mc_npz_out_discard(out);
    mc_npz_out_discard(NULL);
    expect_empty_folder();
}

static void member_refused(const mc_npz_member *m, size_t n, mc_status status, const char *message)
{
    mc_npz_out *out;
    mc_err err = {0};
    cr_expect_eq(mc_npz_out_open("o.npz", false, m, n, &out, &err), status);
    cr_expect_str_eq(err.text, message);
    cr_expect_null(out);
    expect_empty_folder();
}

Test(npz_write, refuses_to_write_what_it_could_not_read)
{
    const mc_npz_member bf16 = {"a", MC_BF16, 1, 0, {0}},
                        large = {"a", MC_F32, (uint64_t)1 << 40, 2, {1 << 20, 1 << 20}},
                        twice[] = {{"a", MC_F32, 1, 0, {0}}, {"a", MC_I32, 1, 0, {0}}};
    member_refused(&bf16, 1, MC_E_UNSUPPORTED, "array 'a': BF16 cannot be written as .npy");
    member_refused(&large, 1, MC_E_UNSUPPORTED, "array 'a': its shape overflows");
    member_refused(twice, 2, MC_E_UNSUPPORTED, "array 'a.npy' stands twice");

    char name[258];
    memset(name, 'n', 257);
    name[257] = '\0';
    const mc_npz_member wide = {name, MC_F32, 1, 0, {0}};
    mc_npz_out *out;
    mc_err err = {0};
    cr_expect_eq(mc_npz_out_open("o.npz", false, &wide, 1, &out, &err), MC_E_UNSUPPORTED);
    cr_expect_not_null(strstr(err.text, "nn...\": its name is longer than 256 bytes"));
    expect_empty_folder();
}
