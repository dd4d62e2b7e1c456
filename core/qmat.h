/* A quantized matrix, before any device has a say in how it is packed: codes, one byte each,
 * and the numbers of every group. Row-local: rows [a, b) of it are a qmat of their own. */
#ifndef MC_CORE_QMAT_H
#define MC_CORE_QMAT_H

#include "core/arena.h"
#include "core/grid.h"

typedef struct {
    mc_grid grid;
    size_t rows, cols;
    size_t group;      /* columns that share a scale; divides cols; cols for one scale a row */
    uint8_t *code;     /* rows x cols */
    mc_params *params; /* rows x cols/group */
    mc_sub *sub;       /* rows x cols/group, two-level scales only, else NULL */
    mc_super *super;   /* rows x ceil(cols/group / grid.super), two-level scales only, else NULL */
} mc_qmat;

/* Lays out `q` (grid, rows, cols, group set) in `mem`; the bytes are not cleared. */
mc_status mc_qmat_alloc(mc_qmat *q, mc_arena *mem, mc_err *err);

/* Bytes that mc_qmat_alloc takes, alignment included; for memory estimates. */
size_t mc_qmat_bytes(const mc_grid *grid, size_t rows, size_t cols, size_t group);

static inline size_t mc_qmat_groups(const mc_qmat *q) /* of one row */
{
    return q->cols / q->group;
}

/* Groups under super-scales of one row: 0 when plain. */
size_t mc_qmat_supers(const mc_qmat *q);

/* Rows [first, first + rows) as a matrix of their own; a view. */
mc_qmat mc_qmat_rows(const mc_qmat *q, size_t first, size_t rows);

/* The value at one place, by the definition (mc_grid_value): the plain reference that tests hold
 * whole rows to. */
float mc_qmat_value(const mc_qmat *q, size_t row, size_t col);

#endif
