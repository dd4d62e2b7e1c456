/* The pool and its stream under load, for ThreadSanitizer, under which Criterion cannot start its
 * processes. Prints TAP like the others. What is checked here too: every piece runs once, takes
 * come in order, and the error of the lowest index wins. */
#include "core/pool.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { PIECES = 2000, SLOT_BYTES = 256, THREADS = 4, ROUNDS = 20 };

typedef struct {
    uint32_t made[PIECES]; /* each written by one thread, read after the end */
    uint32_t next;         /* that take() expects */
    uint64_t sum;
    bool in_order;
    uint32_t asides; /* steps of the work that runs along */
    size_t fails_at; /* and at every later multiple of 7 */
} work;

static bool fails(const work *w, size_t i)
{
    return i >= w->fails_at && (i - w->fails_at) % 7 == 0;
}

static mc_status piece(void *job, size_t i, mc_arena scratch, mc_err *err)
{
    work *w = job;
    unsigned char *bytes = MC_NEW(&scratch, unsigned char, SLOT_BYTES);
    if (!bytes || fails(w, i)) return mc_fail(err, MC_E_FORMAT, "piece %zu", i);
    memset(bytes, (int)(i % 251), SLOT_BYTES);
    w->made[i] += 1u + bytes[SLOT_BYTES - 1];
    return MC_OK;
}

static mc_status make(void *job, size_t i, void *slot, mc_arena scratch, mc_err *err)
{
    memset(slot, (int)(i % 251), SLOT_BYTES);
    return piece(job, i, scratch, err);
}

static mc_status take(void *job, size_t i, void *slot, mc_err *err)
{
    work *w = job;
    const unsigned char *bytes = slot;
    (void)err;
    w->in_order =
        w->in_order && i == w->next && bytes[0] == i % 251 && bytes[SLOT_BYTES - 1] == i % 251;
    w->next++;
    w->sum += i;
    return MC_OK;
}

static bool aside(void *job)
{
    work *w = job;
    if (w->asides == PIECES / 2) return false;
    w->asides++;
    return true;
}

static bool each_once(const work *w)
{
    for (size_t i = 0; i < PIECES; i++)
        if (w->made[i] != 1u + i % 251) return false;
    return true;
}

static bool report(const char *name, bool holds)
{
    printf("%s - %s\n", holds ? "ok" : "not ok", name);
    return holds;
}

static bool runs_all(mc_pool *pool)
{
    static work w;
    static const mc_stream stream = {
        .n = PIECES, .slot_bytes = SLOT_BYTES, .make = make, .take = take, .aside = aside};
    bool loops = true, streams = true;
    mc_err err = {0};
    for (int round = 0; round < ROUNDS; round++) {
        w = (work){.fails_at = PIECES, .in_order = true};
        loops = mc_pool_for(pool, PIECES, piece, &w, &err) == MC_OK && each_once(&w) && loops;
        w = (work){.fails_at = PIECES, .in_order = true};
        streams = mc_pool_stream(pool, &stream, &w, &err) == MC_OK && each_once(&w) && w.in_order &&
                  w.next == PIECES && w.asides <= PIECES / 2 &&
                  w.sum == (uint64_t)PIECES * (PIECES - 1) / 2 && streams;
    }
    const bool said = report("every piece of a loop runs once", loops);
    return report("every piece of a stream is made once and taken in order", streams) && said;
}

static bool lowest_error_wins(mc_pool *pool)
{
    static work w;
    static const mc_stream stream = {
        .n = PIECES, .slot_bytes = SLOT_BYTES, .make = make, .take = take, .aside = aside};
    bool loops = true, streams = true;
    for (int round = 0; round < ROUNDS; round++) {
        mc_err err = {0};
        w = (work){.fails_at = 900, .in_order = true};
        loops = mc_pool_for(pool, PIECES, piece, &w, &err) == MC_E_FORMAT &&
                strcmp(err.text, "piece 900") == 0 && loops;
        w = (work){.fails_at = 900, .in_order = true};
        streams = mc_pool_stream(pool, &stream, &w, &err) == MC_E_FORMAT &&
                  strcmp(err.text, "piece 900") == 0 && w.in_order && w.next <= 900 && streams;
    }
    const bool said = report("the lowest error of a loop wins", loops);
    return report("the lowest error of a stream wins", streams) && said;
}

int main(void)
{
    mc_pool *pool;
    mc_err err = {0};
    if (mc_pool_open(&pool, THREADS, 4096, &err) != MC_OK) return 1;
    const bool all = runs_all(pool);
    const bool first = lowest_error_wins(pool);
    mc_pool_close(pool);
    printf("1..4\n");
    return !(all && first);
}
