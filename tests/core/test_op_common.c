/* What operators share: broadcasting of shapes that are partly known, lists of whole numbers, and
 * windows. */
#include "core/op.h"

#include <criterion/criterion.h>
#include <string.h>

static mc_nd shaped(int ndim, const int64_t *dim)
{
    mc_nd t = {0};
    mc_err err = {0};
    cr_assert_eq(mc_nd_set(&t, MC_F32, ndim, dim, &err), MC_OK, "%s", err.text);
    return t;
}

static void broadcast(mc_nd a, mc_nd b, const char *want)
{
    char text[MC_ND_TEXT];
    mc_nd out = {.dtype = MC_F32};
    mc_err err = {0};
    cr_assert_eq(mc_op_broadcast(&a, &b, &out, &err), MC_OK, "%s", err.text);
    cr_expect_str_eq(mc_nd_show(&out, text), want);
    cr_assert_eq(mc_op_broadcast(&b, &a, &out, &err), MC_OK, "%s", err.text);
    cr_expect_str_eq(mc_nd_show(&out, text), want);
}

Test(op_common, shapes_broadcast_from_the_right)
{
    broadcast(shaped(3, (int64_t[]){2, 1, 4}), shaped(2, (int64_t[]){3, 1}), "[2, 3, 4] F32");
    broadcast(shaped(0, NULL), shaped(2, (int64_t[]){3, 0}), "[3, 0] F32");
    broadcast(shaped(2, (int64_t[]){1, 0}), shaped(2, (int64_t[]){5, 1}), "[5, 0] F32");
}

Test(op_common, unknown_dimensions_are_decided_by_the_other_side)
{
    broadcast(shaped(2, (int64_t[]){-1, -1}), shaped(2, (int64_t[]){7, 1}), "[7, ?] F32");
    broadcast(shaped(1, (int64_t[]){-1}), shaped(2, (int64_t[]){7, -1}), "[7, ?] F32");
    broadcast(shaped(MC_RANK_UNKNOWN, NULL), shaped(1, (int64_t[]){7}), "[...] F32");
}

Test(op_common, shapes_that_do_not_broadcast_are_named)
{
    const mc_nd a = shaped(2, (int64_t[]){2, 3}), b = shaped(1, (int64_t[]){2});
    mc_nd out = {0};
    mc_err err = {0};
    cr_expect_eq(mc_op_broadcast(&a, &b, &out, &err), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "shapes [2, 3] F32 and [2] F32 do not fit each other");
}

/* ---- lists ---- */

static mc_status ints(const mc_nd *t, size_t room, int64_t *out, size_t *n, bool *known,
                      mc_err *err)
{
    const mc_nd *in[] = {t};
    const mc_call call = {.in = in, .ins = 1};
    return mc_op_ints(&call, 0, out, room, n, known, err);
}

Test(op_common, lists_may_be_missing_unknown_or_there)
{
    int64_t out[4];
    size_t n = 9;
    bool known = false;
    mc_err err = {0};
    cr_expect(ints(NULL, 4, out, &n, &known, &err) == MC_OK && n == 0 && known);

    int32_t data[] = {3, -1};
    mc_nd t = {.dtype = MC_I32, .ndim = 1, .dim = {2}, .count = 2};
    cr_expect(ints(&t, 4, out, &n, &known, &err) == MC_OK && n == 0 && !known);
    t.data = data;
    cr_expect(ints(&t, 4, out, &n, &known, &err) == MC_OK && n == 2 && known && out[1] == -1);
    cr_expect_eq(ints(&t, 1, out, &n, &known, &err), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "input 0 has 2 numbers (at most 1 are allowed)");
    t.dtype = MC_F32;
    cr_expect_eq(ints(&t, 4, out, &n, &known, &err), MC_E_UNSUPPORTED);
    cr_expect_str_eq(err.text, "input 0 is [2] F32, which the operator does not take");
}

/* ---- windows ---- */

typedef struct {
    int64_t in, kernel, stride, dilation, begin, end;
    bool ceil_mode;
    const char *mode;
} axis;

static mc_status fit(axis a, mc_window *w, mc_err *err)
{
    const int64_t pads[] = {a.begin, a.end};
    const mc_attr attr[] = {
        {.name = "strides", .kind = MC_ATTR_INTS, .count = 1, .i = &a.stride},
        {.name = "dilations", .kind = MC_ATTR_INTS, .count = 1, .i = &a.dilation},
        {.name = "pads", .kind = MC_ATTR_INTS, .count = 2, .i = pads},
        {.name = "auto_pad", .kind = MC_ATTR_STRING, .count = 1, .s = &a.mode},
        {.name = "ceil_mode", .kind = MC_ATTR_INT, .count = 1, .i = (int64_t[]){a.ceil_mode}}};
    const mc_node node = {.attr = (mc_attr *)(uintptr_t)attr, .attrs = 5};
    const mc_call call = {.node = &node};
    const mc_nd x = shaped(3, (int64_t[]){1, 1, a.in});
    return mc_op_window(&call, &x, &a.kernel, w, err);
}

/* How many windows begin at multiples of the stride and lie inside, or with ceil_mode begin inside
 * the input or its first pad: counted one by one. */
static int64_t counted(axis a)
{
    const int64_t reach = (a.kernel - 1) * a.dilation + 1, all = a.in + a.begin + a.end;
    int64_t n = 0;
    for (int64_t at = 0; at < all; at += a.stride) {
        const bool inside = at + reach <= all;
        const bool hangs_over = a.ceil_mode && at < a.in + a.begin && at - a.stride + reach < all;
        if (inside || hangs_over) n++;
    }
    return n;
}

Test(op_common, windows_are_as_many_as_counted)
{
    mc_err err = {0};
    mc_window w;
    for (unsigned code = 0; code < 9u * 4 * 3 * 2 * 3 * 3 * 2; code++) {
        unsigned c = code;
        axis a = {.mode = "NOTSET"};
        a.in = 1 + c % 9, c /= 9;
        a.kernel = 1 + c % 4, c /= 4;
        a.stride = 1 + c % 3, c /= 3;
        a.dilation = 1 + c % 2, c /= 2;
        a.begin = c % 3, c /= 3;
        a.end = c % 3, c /= 3;
        a.ceil_mode = c % 2;
        const bool fits = (a.kernel - 1) * a.dilation + 1 <= a.in + a.begin + a.end;
        cr_assert_eq(fit(a, &w, &err), fits ? MC_OK : MC_E_FORMAT);
        if (fits) cr_assert_eq(w.out[0], counted(a), "code %u: %lld", code, (long long)w.out[0]);
    }
}

Test(op_common, pads_for_the_same_size_go_to_one_end)
{
    mc_err err = {0};
    mc_window w;
    const axis upper = {7, 4, 2, 1, 9, 9, false, "SAME_UPPER"};
    cr_assert_eq(fit(upper, &w, &err), MC_OK, "%s", err.text);
    cr_expect(w.out[0] == 4 && w.pad_begin[0] == 1 && w.pad_end[0] == 2);
    axis lower = upper;
    lower.mode = "SAME_LOWER";
    cr_assert_eq(fit(lower, &w, &err), MC_OK);
    cr_expect(w.out[0] == 4 && w.pad_begin[0] == 2 && w.pad_end[0] == 1);
    axis valid = upper;
    valid.mode = "VALID";
    cr_assert_eq(fit(valid, &w, &err), MC_OK);
    cr_expect(w.out[0] == 2 && w.pad_begin[0] == 0 && w.pad_end[0] == 0);
}

Test(op_common, windows_of_odd_numbers_are_refused)
{
    mc_err err = {0};
    mc_window w;
    cr_expect_eq(fit((axis){7, 3, 0, 1, 0, 0, false, "NOTSET"}, &w, &err), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "strides[0] is 0 (1 to 1073741824 are allowed)");
    cr_expect_eq(fit((axis){7, 3, 1, 1, -1, 0, false, "NOTSET"}, &w, &err), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "pads[0] is -1 (0 to 1073741824 are allowed)");
    cr_expect_eq(fit((axis){7, 3, 1, 1, 0, 0, false, "SOME"}, &w, &err), MC_E_FORMAT);
    cr_expect_eq(fit((axis){7, 0, 1, 1, 0, 0, false, "NOTSET"}, &w, &err), MC_E_FORMAT);
    cr_expect_eq(fit((axis){2, 3, 1, 1, 0, 0, false, "NOTSET"}, &w, &err), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "a window of 3 does not fit axis 2 of 2 with pads of 0 and 0");
}

Test(op_common, unknown_sizes_of_windows_stay_unknown)
{
    mc_err err = {0};
    mc_window w;
    cr_assert_eq(fit((axis){-1, 3, 1, 1, 0, 0, false, "NOTSET"}, &w, &err), MC_OK, "%s", err.text);
    cr_expect_eq(w.out[0], -1);
}
