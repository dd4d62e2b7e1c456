/* Things that are lent to the pieces of a pool, one at a time: runs of an executor, buffers. There
 * must be as many as threads; which one a piece gets must not matter. */
#ifndef MC_CORE_LEND_H
#define MC_CORE_LEND_H

#include "core/arena.h"

#include <stdatomic.h>
#include <stddef.h>

typedef struct {
    atomic_flag *busy;
    size_t n;
} mc_lend;

static inline mc_status mc_lend_open(mc_lend *lend, size_t n, mc_arena *mem, mc_err *err)
{
    *lend = (mc_lend){.busy = MC_NEW(mem, atomic_flag, n), .n = n};
    if (!lend->busy) return mc_no_room(err, "what threads are lent");
    for (size_t i = 0; i < n; i++) atomic_flag_clear(&lend->busy[i]);
    return MC_OK;
}

/* The index of one that nobody uses. */
static inline size_t mc_lend_take(mc_lend *lend)
{
    for (size_t i = 0;; i = (i + 1) % lend->n)
        if (!atomic_flag_test_and_set(&lend->busy[i])) return i;
}

static inline void mc_lend_give(mc_lend *lend, size_t i)
{
    atomic_flag_clear(&lend->busy[i]);
}

#endif
