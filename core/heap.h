/* Memory that is handed out and given back in any order, over address space that becomes memory
 * when it is touched: where the values of a run lie. The smallest free block that fits is taken, of
 * equal ones the lowest; neighbours join when they are free. The same calls give the same
 * places. */
#ifndef MC_CORE_HEAP_H
#define MC_CORE_HEAP_H

#include "core/err.h"

#include <stddef.h>
#include <stdint.h>

enum { MC_HEAP_BINS = 64 };

typedef uint32_t mc_block; /* a block's number; 0 is none */

typedef struct mc_heap_entry mc_heap_entry;

typedef struct {
    unsigned char *base;
    size_t mapped;               /* bytes */
    size_t reached;              /* bytes from base on that were ever in a block */
    mc_heap_entry *entry; /* by block number */
    uint32_t entries, entry_room;
    uint32_t unused;             /* entries that stand for no block, chained */
    uint32_t bin[MC_HEAP_BINS];  /* free blocks of 2^i..2^(i+1) lines, chained */
    size_t used, peak;           /* bytes */
} mc_heap;

/* For `bytes` bytes of blocks. MC_E_BUDGET when the address space is not there. */
mc_status mc_heap_open(mc_heap *heap, size_t bytes, mc_err *err);

/* Gives everything back; a zeroed heap is allowed. */
void mc_heap_close(mc_heap *heap);

/* A block of at least `bytes` bytes (also when that is 0), aligned to 64; 0 when there is none. The
 * bytes are whatever was there. */
mc_block mc_heap_take(mc_heap *heap, size_t bytes);
void *mc_heap_at(const mc_heap *heap, mc_block block);

/* Block 0 is allowed. */
void mc_heap_give(mc_heap *heap, mc_block block);

/* Bytes in blocks now, and the most since it was opened. */
size_t mc_heap_used(const mc_heap *heap);
size_t mc_heap_peak(const mc_heap *heap);

/* How many stretches of free bytes there are, for tests: 1 when all was given back. */
size_t mc_heap_gaps(const mc_heap *heap);

#endif
