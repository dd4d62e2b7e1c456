/* Threads. All of them start here; nothing else in the program creates one.
 *
 * Work is cut into pieces by its shape, never by the number of threads, so results are the
 * same for every thread count. When pieces fail, the error of the lowest index is returned. */
#ifndef MC_CORE_POOL_H
#define MC_CORE_POOL_H

#include "core/arena.h"
#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct mc_pool mc_pool;

/* `threads` workers (0: one per processor the process may use), the caller's thread among them,
 * each with `scratch_bytes` of scratch memory of its own. */
mc_status mc_pool_open(mc_pool **out, unsigned threads, size_t scratch_bytes, mc_err *err);
void mc_pool_close(mc_pool *pool);
unsigned mc_pool_threads(const mc_pool *pool);

/* Processors that this process may use; what 0 threads stands for. */
unsigned mc_processors(void);

/* Piece `i` of a job. `scratch` is empty again for each piece. */
typedef mc_status (*mc_pool_fn)(void *job, size_t i, mc_arena scratch, mc_err *err);

/* Runs fn(job, i) for i = 0 … n-1 on all threads, starting in rising order. Not from a piece. */
mc_status mc_pool_for(mc_pool *pool, size_t n, mc_pool_fn fn, void *job, mc_err *err);

/* A stream of pieces: `make` runs in parallel, `take` runs one at a time in order of i. What
 * make(i) leaves in its slot (slot_bytes, not cleared), take(i) finds there. A fixed number of
 * slots bounds the memory.
 *
 * `aside` (may be NULL) is work that runs along, one at a time on any thread: one bounded step of
 * it, or false when there is none until another piece was made. What is left when the last piece
 * was taken is the caller's. */
typedef struct {
    size_t n;
    size_t slot_bytes;
    mc_status (*make)(void *job, size_t i, void *slot, mc_arena scratch, mc_err *err);
    mc_status (*take)(void *job, size_t i, void *slot, mc_err *err);
    bool (*aside)(void *job);
} mc_stream;

/* Slots that a pool of `threads` uses; for memory estimates. */
size_t mc_stream_slots(unsigned threads);

mc_status mc_pool_stream(mc_pool *pool, const mc_stream *stream, void *job, mc_err *err);

#endif
