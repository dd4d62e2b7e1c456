/* Laying out a quantized matrix and reading it back. */
#include "core/qmat.h"

#include "core/ckd.h"

mc_status mc_qmat_alloc(mc_qmat *q, mc_arena *mem, mc_err *err)
{
    const size_t groups = q->cols / q->group;
    const bool two_level = q->grid.sub_bits != 0;
    size_t codes = 0;
    size_t all_groups = 0;
    size_t all_supers = 0;
    if (!mc_mul_size(q->rows, q->cols, &codes) || !mc_mul_size(q->rows, groups, &all_groups) ||
        !mc_mul_size(q->rows, mc_qmat_supers(q), &all_supers))
        return mc_no_room(err, "codes");

    q->code = MC_NEW_RAW(mem, uint8_t, codes);
    q->params = MC_NEW_RAW(mem, mc_params, all_groups);
    q->sub = two_level ? MC_NEW_RAW(mem, mc_sub, all_groups) : NULL;
    q->super = two_level ? MC_NEW_RAW(mem, mc_super, all_supers) : NULL;
    if (!q->code || !q->params) return mc_no_room(err, "codes");
    if (two_level && (!q->sub || !q->super)) return mc_no_room(err, "two-level scales");
    return MC_OK;
}

size_t mc_qmat_bytes(const mc_grid *grid, size_t rows, size_t cols, size_t group)
{
    enum { PARTS = 4, APART = 128 }; /* alignment, and the gap that arenas leave under ASan */
    const mc_qmat q = {.grid = *grid, .rows = rows, .cols = cols, .group = group};
    const size_t groups = rows * mc_qmat_groups(&q);
    size_t bytes = rows * cols + groups * sizeof *q.params + (size_t)PARTS * APART;
    if (grid->sub_bits != 0)
        bytes += groups * sizeof *q.sub + rows * mc_qmat_supers(&q) * sizeof *q.super;
    return bytes;
}

size_t mc_qmat_supers(const mc_qmat *q)
{
    if (q->grid.sub_bits == 0) return 0;
    return mc_ceil_div(mc_qmat_groups(q), q->grid.super);
}

float mc_qmat_value(const mc_qmat *q, size_t row, size_t col)
{
    const mc_params p = q->params[row * mc_qmat_groups(q) + col / q->group];
    return mc_grid_value(&q->grid, p, q->code[row * q->cols + col]);
}

mc_qmat mc_qmat_rows(const mc_qmat *q, size_t first, size_t rows)
{
    mc_qmat part = *q;
    part.rows = rows;
    part.code += first * q->cols;
    part.params += first * mc_qmat_groups(q);
    if (part.sub) part.sub += first * mc_qmat_groups(q);
    if (part.super) part.super += first * mc_qmat_supers(q);
    return part;
}
