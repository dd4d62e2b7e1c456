/* Pooling as loops over rows of outputs. */
#ifndef MC_CORE_OPS_OP_POOL_ROWS_H
#define MC_CORE_OPS_OP_POOL_ROWS_H

#include "core/arena.h"
#include "core/op.h"

typedef enum {
    MC_POOL_MAX,
    MC_POOL_MEAN,
    MC_POOL_NORM, /* (sum of |x|^p)^(1/p) */
} mc_pool_kind;

typedef struct {
    mc_pool_kind kind;
    size_t planes;      /* samples x channels */
    mc_window window;   /* of three axes */
    bool count_pads;    /* of a mean */
    bool columns_first; /* how indices count places: the first axis fastest */
    double p;
} mc_pooling;

/* Rows of doubles that mc_pool_run takes. */
size_t mc_pool_scratch(const mc_pooling *pool);

/* x and y of one dtype: F32, F64, for MAX also I8 and U8. `index` (I64) may be NULL: of maxima, the
 * place in x; -1 in a window of pads only, whose maximum is the lowest number there is. */
mc_status mc_pool_run(const mc_pooling *pool, const mc_nd *x, mc_nd *y, mc_nd *index,
                      mc_arena scratch, mc_err *err);

/* All of a plane of `n` numbers. */
void mc_pool_whole(const mc_pooling *pool, const mc_nd *x, size_t n, mc_nd *y);

#endif
