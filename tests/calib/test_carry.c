/* Values that wait between stages: what was put is what is got, of any thread, in memory or not. */
#include "calib/carry.h"

#include "core/pool.h"
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 200, VALUES = 3 };

static unsigned char lists[1 << 12];
static mc_carry carry;
static mc_err err;

static void open_carry(bool spills)
{
    mc_arena mem = {lists, lists + sizeof lists};
    cr_assert_eq(mc_carry_open(&carry, SAMPLES, VALUES, spills, &mem, &err), MC_OK);
}

static void add(mc_id value)
{
    cr_assert_eq(mc_carry_add(&carry, value, &err), MC_OK, "%s", err.text);
}

/* Sample i is a row of i % 40 numbers, so that some have none. */
static mc_nd sample_of(size_t i, float *room)
{
    for (size_t k = 0; k < i % 40; k++) room[k] = (float)(i * 64 + k);
    return op_f32(2, (const int64_t[]){1, (int64_t)(i % 40)}, room);
}

static mc_status put(void *job, size_t i, mc_arena scratch, mc_err *e)
{
    (void)scratch;
    float room[64];
    const mc_nd nd = sample_of(i, room);
    return mc_carry_put(&carry, *(const mc_id *)job, i, &nd, e);
}

static void put_all(mc_id value, unsigned threads)
{
    mc_pool *pool;
    cr_assert_eq(mc_pool_open(&pool, threads, 1 << 12, &err), MC_OK);
    cr_assert_eq(mc_pool_for(pool, SAMPLES, put, &value, &err), MC_OK, "%s", err.text);
    mc_pool_close(pool);
}

static void expect_all(mc_id value)
{
    for (size_t i = 0; i < SAMPLES; i++) {
        float room[64];
        const mc_nd wanted = sample_of(i, room), got = mc_carry_get(&carry, value, i);
        cr_assert(mc_nd_same_shape(&got, &wanted) && got.dtype == MC_F32 && got.count == i % 40);
        cr_assert_not_null(got.data);
        cr_assert_eq((uintptr_t)got.data % 64, 0u);
        cr_assert(got.count == 0 || memcmp(got.data, room, got.count * 4) == 0, "sample %zu", i);
    }
}

Test(carry, gives_what_was_put)
{
    for (int spills = 0; spills < 2; spills++)
        for (unsigned threads = 1; threads <= 3; threads += 2) {
            open_carry(spills);
            cr_expect_not(mc_carry_has(&carry, 1));
            add(1);
            add(2);
            cr_expect(mc_carry_has(&carry, 1) && !mc_carry_has(&carry, 0));
            put_all(1, threads);
            put_all(2, threads);
            mc_carry_release(&carry);
            expect_all(1);
            expect_all(2);
            mc_carry_drop(&carry, 1);
            mc_carry_drop(&carry, 1); /* it is gone already */
            mc_carry_drop(&carry, 0); /* it was never there */
            cr_expect_not(mc_carry_has(&carry, 1));
            expect_all(2);
            mc_carry_close(&carry);
            cr_expect_null(carry.column);
            mc_carry_close(&carry);
        }
}

/* Each tensor starts a line of the cache. */
Test(carry, counts_what_waits)
{
    open_carry(false);
    add(0);
    cr_expect_eq(mc_carry_bytes(&carry), 0u);
    float room[64] = {0};
    const mc_nd small = op_f32(1, (const int64_t[]){3}, room);
    const mc_nd none = op_f32(1, (const int64_t[]){0}, room);
    const mc_nd full = op_f32(1, (const int64_t[]){16}, room);
    cr_assert_eq(mc_carry_put(&carry, 0, 0, &small, &err), MC_OK);
    cr_expect_eq(mc_carry_bytes(&carry), 64u);
    cr_assert_eq(mc_carry_put(&carry, 0, 1, &none, &err), MC_OK);
    cr_assert_eq(mc_carry_put(&carry, 0, 2, &full, &err), MC_OK);
    cr_expect_eq(mc_carry_bytes(&carry), 128u);
    add(1);
    cr_assert_eq(mc_carry_put(&carry, 1, 0, &full, &err), MC_OK);
    cr_expect_eq(mc_carry_bytes(&carry), 192u);
    mc_carry_drop(&carry, 0);
    cr_expect_eq(mc_carry_bytes(&carry), 64u);
    mc_carry_close(&carry);
}

Test(carry, keeps_any_dtype_and_a_copy_that_may_be_changed)
{
    open_carry(true);
    add(0);
    int64_t whole[] = {-5, INT64_MAX};
    const mc_nd ids = op_i64(2, (const int64_t[]){1, 2}, whole);
    const mc_nd flag = op_nd(MC_BOOL, 0, NULL, &(uint8_t){1});
    const mc_nd half = op_nd(MC_F16, 1, (const int64_t[]){1}, &(float){0.5f});
    cr_assert_eq(mc_carry_put(&carry, 0, 0, &ids, &err), MC_OK);
    cr_assert_eq(mc_carry_put(&carry, 0, 1, &flag, &err), MC_OK);
    cr_assert_eq(mc_carry_put(&carry, 0, 2, &half, &err), MC_OK);
    whole[0] = 0;
    mc_nd got = mc_carry_get(&carry, 0, 0);
    cr_expect(got.dtype == MC_I64 && ((int64_t *)got.data)[0] == -5);
    ((int64_t *)got.data)[1] = 7;
    mc_carry_release(&carry);
    got = mc_carry_get(&carry, 0, 0);
    cr_expect_eq(((int64_t *)got.data)[1], 7);
    got = mc_carry_get(&carry, 0, 1);
    cr_expect(got.dtype == MC_BOOL && got.ndim == 0 && *(uint8_t *)got.data == 1);
    got = mc_carry_get(&carry, 0, 2);
    cr_expect(got.dtype == MC_F16 && *(float *)got.data == 0.5f);
    mc_carry_close(&carry);
}

Test(carry, refuses_what_is_no_tensor_of_numbers)
{
    static const char message[] =
        "it is no tensor of numbers, and calibration cannot carry it from stage to stage";
    open_carry(false);
    add(0);
    float x = 1;
    const mc_nd item = op_f32(0, NULL, &x);
    const mc_nd_text word = {"a", 1};
    mc_nd odd[] = {{.kind = MC_ND_SEQUENCE, .dtype = MC_F32, .item = &item, .items = 1},
                   {.kind = MC_ND_OPTIONAL, .dtype = MC_F32},
                   {.kind = MC_ND_TENSOR, .dtype = MC_STRING, .count = 1, .data = (void *)&word},
                   item,
                   item};
    odd[3].ndim = MC_RANK_UNKNOWN;
    odd[4].data = NULL;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        cr_expect_eq(mc_carry_put(&carry, 0, 0, &odd[i], &err), MC_E_UNSUPPORTED, "%zu", i);
        cr_expect_str_eq(err.text, message);
    }
    mc_carry_close(&carry);
}

Test(carry, says_when_a_column_is_full)
{
    open_carry(false);
    carry.most_bytes = 1 << 16;
    add(0);
    static float x[4096];
    const mc_nd much = op_f32(1, (const int64_t[]){4096}, x);
    mc_status status = MC_OK;
    size_t i = 0;
    while (status == MC_OK && i < SAMPLES) status = mc_carry_put(&carry, 0, i++, &much, &err);
    cr_expect_eq(status, MC_E_BUDGET);
    cr_expect_leq(i, 9u); /* AddressSanitizer doubles the room */
    cr_expect_str_eq(err.text, "no room for the values between stages");
    cr_expect_eq(mc_carry_put(&carry, 0, i, &much, &err), MC_E_BUDGET);
    carry.most_bytes = 64; /* not even its own lists */
    cr_expect_eq(mc_carry_add(&carry, 1, &err), MC_E_BUDGET);
    cr_expect_not(mc_carry_has(&carry, 1));
    mc_carry_close(&carry);
}
