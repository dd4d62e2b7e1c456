/* Copies of strided blocks: every operator that only moves elements says where they lie and where
 * they go. Dimensions that run on are joined; what is left is walked plane by plane, where rows
 * that are contiguous on both sides are copied whole and transposed planes go in square blocks. */
#include "core/ops/op_move_shared.h"

#include "core/ops/op_args_shared.h"

#include <string.h>

void mc_move_add(mc_move *m, int64_t dim, int64_t from, int64_t to)
{
    if (dim == 1) return;
    const int last = m->ndim - 1;
    if (last >= 0 && m->from[last] == dim * from && m->to[last] == dim * to) {
        m->dim[last] *= dim;
        m->from[last] = from;
        m->to[last] = to;
        return;
    }
    m->dim[m->ndim] = dim;
    m->from[m->ndim] = from;
    m->to[m->ndim++] = to;
}

void mc_move_strides(const mc_nd *t, int64_t stride[MC_MAX_DIMS])
{
    int64_t step = 1;
    for (int i = t->ndim - 1; i >= 0; i--) {
        stride[i] = step;
        step *= t->dim[i] > 0 ? t->dim[i] : 1;
    }
}

/* The two innermost dimensions of a walk, in bytes. */
typedef struct {
    size_t width;
    int64_t rows, cols;
    int64_t from_row, from_col, to_row, to_col;
} plane;

enum { BLOCK = 32 }; /* rows and columns of a transposed block */

static void copy_rows(const plane *p, const unsigned char *from, unsigned char *to)
{
    const size_t bytes = (size_t)p->cols * p->width;
    for (int64_t r = 0; r < p->rows; r++) memcpy(to + r * p->to_row, from + r * p->from_row, bytes);
}

/* Elements one by one. The width is a constant so that memcpy is one move.
 *
 * turn_: a transposed plane, contiguous along rows on one side and along columns on the other. Its
 * blocks go through a buffer: lines a power of two apart share a place in caches. */
#define COPY_PLANE(width)                                                                        \
    static void copy_##width(const plane *p, const unsigned char *from, unsigned char *to)       \
    {                                                                                            \
        for (int64_t r = 0; r < p->rows; r++)                                                    \
            for (int64_t c = 0; c < p->cols; c++)                                                \
                memcpy(to + r * p->to_row + c * p->to_col,                                       \
                       from + r * p->from_row + c * p->from_col, width);                         \
    }                                                                                            \
    static void turn_block_##width(const plane *p, const unsigned char *from, unsigned char *to, \
                                   size_t rows, size_t cols)                                     \
    {                                                                                            \
        unsigned char tile[BLOCK][BLOCK * (width)];                                              \
        for (size_t c = 0; c < cols; c++)                                                        \
            memcpy(tile[c], from + (int64_t)c * p->from_col, rows * (width));                    \
        for (size_t r = 0; r < rows; r++)                                                        \
            for (size_t c = 0; c < cols; c++)                                                    \
                memcpy(to + (int64_t)r * p->to_row + c * (width), tile[c] + r * (width), width); \
    }                                                                                            \
    static void turn_##width(const plane *p, const unsigned char *from, unsigned char *to)       \
    {                                                                                            \
        for (int64_t r = 0; r < p->rows; r += BLOCK) {                                           \
            const size_t rows = p->rows - r < BLOCK ? (size_t)(p->rows - r) : BLOCK;             \
            for (int64_t c = 0; c < p->cols; c += BLOCK) {                                       \
                const size_t cols = p->cols - c < BLOCK ? (size_t)(p->cols - c) : BLOCK;         \
                turn_block_##width(p, from + r * p->from_row + c * p->from_col,                  \
                                   to + r * p->to_row + c * p->to_col, rows, cols);              \
            }                                                                                    \
        }                                                                                        \
    }
COPY_PLANE(1)
COPY_PLANE(2)
COPY_PLANE(4)
COPY_PLANE(8)
COPY_PLANE(16)

typedef void (*plane_fn)(const plane *p, const unsigned char *from, unsigned char *to);

static plane_fn pick_plane(const plane *p)
{
    const int64_t width = (int64_t)p->width;
    if (p->from_col == width && p->to_col == width) return copy_rows;
    const bool turned = p->from_row == width && p->to_col == width;
    switch (p->width) {
    case 1: return turned ? turn_1 : copy_1;
    case 2: return turned ? turn_2 : copy_2;
    case 4: return turned ? turn_4 : copy_4;
    case 8: return turned ? turn_8 : copy_8;
    default: return turned ? turn_16 : copy_16;
    }
}

/* The dimension that makes a plane with the last one: the contiguous one of `from` where the last
 * is not, for then blocks serve; else the one next to it. -1: there is none. */
static int plane_row(const mc_move *m)
{
    const int last = m->ndim - 1;
    if (m->from[last] != 1)
        for (int i = 0; i < last; i++)
            if (m->from[i] == 1) return i;
    return last - 1;
}

void mc_move_run(const mc_move *m, size_t width, const void *from, void *to)
{
    for (int i = 0; i < m->ndim; i++)
        if (m->dim[i] <= 0) return;
    if (m->ndim == 0) {
        memcpy(to, from, width);
        return;
    }

    const int last = m->ndim - 1, row = plane_row(m);
    const int64_t w = (int64_t)width;
    plane p = {.width = width,
               .rows = 1,
               .cols = m->dim[last],
               .from_col = m->from[last] * w,
               .to_col = m->to[last] * w};
    if (row >= 0) {
        p.rows = m->dim[row];
        p.from_row = m->from[row] * w;
        p.to_row = m->to[row] * w;
    }
    const plane_fn copy = pick_plane(&p);

    const unsigned char *in = from;
    unsigned char *out = to;
    int64_t at[MC_MOVE_DIMS] = {0};
    for (;;) {
        copy(&p, in, out);
        int i = last - 1;
        for (; i >= 0; i--) {
            if (i == row) continue;
            in += m->from[i] * w;
            out += m->to[i] * w;
            if (++at[i] < m->dim[i]) break;
            in -= m->dim[i] * m->from[i] * w;
            out -= m->dim[i] * m->to[i] * w;
            at[i] = 0;
        }
        if (i < 0) return;
    }
}

/* ---- parameters ---- */

mc_status mc_op_list_read(const mc_call *call, const char *attr, size_t input, mc_op_list *out,
                          mc_err *err)
{
    *out = (mc_op_list){.known = true};
    if (attr) {
        const int64_t *value;
        const size_t n = mc_node_ints(call->node, attr, &value);
        if (!value) return MC_OK;
        if (n > MC_MOVE_DIMS)
            return mc_fail(err, MC_E_FORMAT, "attribute '%s' has %zu numbers (at most %d)", attr, n,
                           (int)MC_MOVE_DIMS);
        memcpy(out->at, value, n * sizeof *value);
        out->n = (int)n;
        out->given = true;
        return MC_OK;
    }
    if (input >= call->ins || !call->in[input]) return MC_OK;
    const mc_nd *in = call->in[input];
    size_t n = 0;
    out->given = true;
    MC_TRY(mc_op_ints(call, input, out->at, MC_MOVE_DIMS, &n, &out->known, err));
    out->n = (int)n;
    if (out->known) return MC_OK;
    out->n = in->ndim == 0 ? 1 : in->ndim == 1 && in->dim[0] >= 0 ? (int)n : -1;
    if (in->ndim == 1 && in->dim[0] > MC_MOVE_DIMS)
        return mc_fail(err, MC_E_FORMAT, "input %zu has %lld numbers (at most %d)", input,
                       (long long)in->dim[0], (int)MC_MOVE_DIMS);
    if (in->ndim == 1 && in->dim[0] >= 0) out->n = (int)in->dim[0];
    return MC_OK;
}

mc_status mc_op_axis(int64_t axis, int ndim, const char *what, int *out, mc_err *err)
{
    if (axis < -(int64_t)ndim || axis >= ndim)
        return mc_fail(err, MC_E_FORMAT, "%s %lld is outside [%d, %d)", what, (long long)axis,
                       -ndim, ndim);
    *out = (int)(axis < 0 ? axis + ndim : axis);
    return MC_OK;
}

mc_status mc_op_list_axes(mc_op_list *list, int ndim, const char *what, mc_err *err)
{
    bool seen[MC_MOVE_DIMS] = {false};
    for (int i = 0; i < list->n; i++) {
        int axis = 0;
        MC_TRY(mc_op_axis(list->at[i], ndim, what, &axis, err));
        if (seen[axis]) return mc_fail(err, MC_E_FORMAT, "%s name dimension %d twice", what, axis);
        seen[axis] = true;
        list->at[i] = axis;
    }
    return MC_OK;
}

mc_status mc_op_unknown(const mc_call *call, size_t i, mc_dtype dtype, int ndim, mc_err *err)
{
    int64_t dim[MC_MAX_DIMS];
    for (int k = 0; k < MC_MAX_DIMS; k++) dim[k] = -1;
    return mc_arg_set(call, i, dtype, ndim < 0 ? MC_RANK_UNKNOWN : ndim, dim, err);
}

mc_status mc_op_rank(const mc_call *call, size_t input, int least, int most, mc_err *err)
{
    const int ndim = call->in[input]->ndim;
    if (ndim < 0 || (ndim >= least && ndim <= most)) return MC_OK;
    if (least == most)
        return mc_fail(err, MC_E_FORMAT, "input %zu has %d dimensions (%d are needed)", input, ndim,
                       least);
    return mc_fail(err, MC_E_FORMAT, "input %zu has %d dimensions (%d to %d are allowed)", input,
                   ndim, least, most);
}

mc_status mc_op_copy(const mc_call *call, mc_err *err)
{
    (void)err;
    const mc_nd *in = call->in[0];
    mc_nd *out = call->out[0];
    if (out && out->count > 0 && out->data != in->data)
        memcpy(out->data, in->data, out->count * mc_nd_width(out->dtype));
    return MC_OK;
}
