/* Files of log-probabilities: bytes by hand, what comes back, and that a file that was cut off is
 * refused. */
#include "verify/logits_file.h"

#include "core/bytes.h"
#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

TestSuite(logits_file, .init = scratch_enter, .fini = scratch_leave);

static mc_err err;

static float f32_at(const unsigned char *at)
{
    const uint32_t bits = mc_load_u32le(at);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* ---- a row ---- */

Test(logits_file, a_row_is_scale_least_and_codes)
{
    cr_expect_eq(mc_logits_row_bytes(4), 8u + 4 * 2);
    cr_expect_eq(mc_logits_row_bytes(3), 8u + 4 * 2, "an odd number is filled up");
    static const float log_p[] = {-1.0f, -9.0f, -5.0f};
    unsigned char row[16];
    memset(row, 0xaa, sizeof row);
    mc_logits_encode(log_p, 3, row);
    cr_expect_eq(f32_at(row), 8.0f / 65535.0f);
    cr_expect_eq(f32_at(row + 4), -9.0f);
    cr_expect_eq(mc_load_u16le(row + 8), 65535u);
    cr_expect_eq(mc_load_u16le(row + 10), 0u);
    cr_expect_leq(abs((int)mc_load_u16le(row + 12) - 32768), 1);
    cr_expect_eq(mc_load_u16le(row + 14), 0u);
}

Test(logits_file, what_is_less_than_16_nats_below_the_largest_becomes_that)
{
    static const float log_p[] = {-0.5f, -40.0f, -(float)INFINITY, -16.0f};
    unsigned char row[16];
    mc_logits_encode(log_p, 4, row);
    cr_expect_eq(f32_at(row + 4), -16.5f);
    cr_expect_eq(mc_load_u16le(row + 10), 0u);
    cr_expect_eq(mc_load_u16le(row + 12), 0u);
    cr_expect_eq(mc_load_u16le(row + 14), 2048u, "0.5 of 16 nats, in 65535 steps");
}

Test(logits_file, equal_log_probabilities_have_no_scale)
{
    static const float log_p[] = {-0.6931472f, -0.6931472f};
    unsigned char row[12];
    mc_logits_encode(log_p, 2, row);
    cr_expect_eq(f32_at(row), 0.0f);
    cr_expect_eq(f32_at(row + 4), log_p[0]);
    cr_expect_eq(mc_load_u32le(row + 8), 0u);
}

/* ---- a file ---- */

enum { WINDOW = 6, WORDS = 5, CHUNKS = 2, ROWS = WINDOW - 1 - WINDOW / 2 };
enum { FILE_BYTES = 20 + CHUNKS * WINDOW * 4 + CHUNKS * ROWS * (8 + 6 * 2) };

static float log_p_of(size_t chunk, size_t row, size_t word)
{
    return -0.25f * (float)(1 + word * (1 + row) + 3 * chunk);
}

static void write_file(void)
{
    mc_logits_out *out;
    cr_assert_eq(mc_logits_out_open("f.bin", false, WINDOW, WORDS, CHUNKS, &out, &err), MC_OK, "%s",
                 err.text);
    for (uint32_t c = 0; c < CHUNKS; c++) {
        unsigned char rows[ROWS * (8 + 6 * 2)];
        int32_t ids[WINDOW];
        cr_assert_eq(sizeof rows, ROWS * mc_logits_row_bytes(WORDS));
        for (uint32_t i = 0; i < WINDOW; i++) ids[i] = (int32_t)(100 * c + i);
        for (size_t r = 0; r < ROWS; r++) {
            float log_p[WORDS];
            for (size_t v = 0; v < WORDS; v++) log_p[v] = log_p_of(c, r, v);
            mc_logits_encode(log_p, WORDS, rows + r * mc_logits_row_bytes(WORDS));
        }
        cr_assert_eq(mc_logits_out_chunk(out, c, ids, rows, &err), MC_OK, "%s", err.text);
    }
    cr_assert_eq(mc_logits_out_commit(out, &err), MC_OK, "%s", err.text);
}

static size_t read_bytes(unsigned char *bytes, size_t room)
{
    FILE *f = fopen("f.bin", "rb");
    cr_assert_not_null(f);
    const size_t n = fread(bytes, 1, room, f);
    fclose(f);
    return n;
}

Test(logits_file, head_then_tokens_then_rows)
{
    unsigned char bytes[FILE_BYTES + 1];
    write_file();
    cr_assert_eq(read_bytes(bytes, sizeof bytes), (size_t)FILE_BYTES);
    cr_expect_arr_eq(bytes, "_logits_", 8);
    cr_expect_eq(mc_load_u32le(bytes + 8), (uint32_t)WINDOW);
    cr_expect_eq(mc_load_u32le(bytes + 12), (uint32_t)WORDS);
    cr_expect_eq(mc_load_u32le(bytes + 16), (uint32_t)CHUNKS);
    for (uint32_t i = 0; i < CHUNKS * WINDOW; i++)
        cr_expect_eq(mc_load_u32le(bytes + 20 + 4 * i), 100 * (i / WINDOW) + i % WINDOW);
    const unsigned char *row = bytes + 20 + 4 * CHUNKS * WINDOW;
    for (size_t i = 0; i < CHUNKS * ROWS; i++)
        cr_expect_eq(f32_at(row + 20 * i + 4), log_p_of(i / ROWS, i % ROWS, WORDS - 1), "least");
}

Test(logits_file, what_was_written_is_read_to_half_a_step)
{
    mc_logits_file f;
    write_file();
    cr_assert_eq(mc_logits_open("f.bin", &f, &err), MC_OK, "%s", err.text);
    cr_expect_eq(f.window, (uint32_t)WINDOW);
    cr_expect_eq(f.vocabulary, (uint32_t)WORDS);
    cr_expect_eq(f.chunks, (uint32_t)CHUNKS);
    cr_expect_eq(f.rows, (uint32_t)ROWS);
    for (uint32_t c = 0; c < CHUNKS; c++)
        for (uint32_t r = 0; r < ROWS; r++) {
            float log_p[WORDS];
            mc_logits_row(&f, c, r, log_p);
            const double step = 0.25 * (WORDS - 1) * (1 + r) / 65535.0;
            for (size_t v = 0; v < WORDS; v++)
                cr_expect_float_eq((double)log_p[v], (double)log_p_of(c, r, v), 0.5 * step + 1e-6);
        }
    mc_logits_close(&f);
}

static void expect_refused(const unsigned char *bytes, size_t n)
{
    mc_logits_file f;
    err = (mc_err){0};
    scratch_put("g.bin", bytes, n);
    cr_expect_eq(mc_logits_open("g.bin", &f, &err), MC_E_FORMAT, "%zu bytes", n);
    cr_expect(strstr(err.text, "g.bin"), "%s", err.text);
}

Test(logits_file, a_file_of_another_length_is_refused)
{
    unsigned char bytes[FILE_BYTES + 1] = {0};
    write_file();
    cr_assert_eq(read_bytes(bytes, FILE_BYTES), (size_t)FILE_BYTES);
    static const size_t cuts[] = {1, 7, 8, 19, 20, 21, 60, FILE_BYTES - 1, FILE_BYTES + 1};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) expect_refused(bytes, cuts[i]);
}

Test(logits_file, a_head_that_makes_no_sense_is_refused)
{
    static const struct {
        size_t at;
        uint32_t value;
    } wrong[] = {{8, 0},  {8, 3},  {8, UINT32_MAX},  {12, 0},         {12, 1},
                 {16, 0}, {16, 3}, {12, UINT32_MAX}, {16, UINT32_MAX}};
    unsigned char bytes[FILE_BYTES];
    write_file();
    cr_assert_eq(read_bytes(bytes, sizeof bytes), sizeof bytes);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        unsigned char other[FILE_BYTES];
        memcpy(other, bytes, sizeof other);
        mc_store_u32le(other + wrong[i].at, wrong[i].value);
        expect_refused(other, sizeof other);
    }
    bytes[7] = '-';
    expect_refused(bytes, sizeof bytes);
}

Test(logits_file, a_file_that_is_there_stays_unless_it_may_be_replaced)
{
    mc_logits_out *out;
    scratch_put_text("f.bin", "mine");
    const mc_status status = mc_logits_out_open("f.bin", false, WINDOW, WORDS, CHUNKS, &out, &err);
    cr_expect_neq(status, MC_OK);
    cr_expect_null(out);
    cr_assert_eq(mc_logits_out_open("f.bin", true, WINDOW, WORDS, CHUNKS, &out, &err), MC_OK);
    mc_logits_out_discard(out);
    unsigned char bytes[8];
    cr_expect_eq(read_bytes(bytes, sizeof bytes), 4u, "thrown away before it was whole");
}

Test(logits_file, a_window_without_scored_positions_is_refused)
{
    mc_logits_out *out;
    cr_expect_eq(mc_logits_out_open("f.bin", false, 3, WORDS, CHUNKS, &out, &err),
                 MC_E_UNSUPPORTED);
    cr_expect_null(out);
    cr_expect_neq(access("f.bin", F_OK), 0);
}
