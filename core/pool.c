/* Persistent workers that all run the same function once a call; the caller is one of them.
 *
 * Pieces are claimed in rising order and a claimed piece always runs. So when a piece fails, every
 * piece before it has run or is running, and the lowest failing index is the same for any number
 * of threads. */
#define _GNU_SOURCE /* sched_getaffinity, CPU_COUNT */

#include "core/pool.h"

#include "core/ckd.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_THREADS = 4096, LINE = 64 };

typedef void (*team_fn)(void *call, mc_arena scratch);

typedef struct {
    mc_pool *pool;
    mc_region scratch;
    pthread_t thread; /* of all but the first, which is the caller */
} worker;

struct mc_pool {
    unsigned threads;
    unsigned started; /* threads that run, the caller not counted */
    worker *worker;

    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t begin, end;
    uint64_t calls; /* a worker runs when this differs from what it saw last */
    unsigned busy;
    bool quit;
    team_fn fn;
    void *call;
};

/* ---- workers ---- */

static void *work(void *argument)
{
    const worker *self = argument;
    mc_pool *pool = self->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->quit && pool->calls == seen) pthread_cond_wait(&pool->begin, &pool->lock);
        if (pool->quit) break;
        seen = pool->calls;
        const team_fn fn = pool->fn;
        void *call = pool->call;
        pthread_mutex_unlock(&pool->lock);

        fn(call, self->scratch.arena);

        pthread_mutex_lock(&pool->lock);
        if (--pool->busy == 0) pthread_cond_signal(&pool->end);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Runs fn(call) once on every worker and waits for all. */
static void run_team(mc_pool *pool, team_fn fn, void *call)
{
    pthread_mutex_lock(&pool->lock);
    pool->fn = fn;
    pool->call = call;
    pool->busy = pool->started;
    pool->calls++;
    pthread_cond_broadcast(&pool->begin);
    pthread_mutex_unlock(&pool->lock);

    fn(call, pool->worker[0].scratch.arena);

    pthread_mutex_lock(&pool->lock);
    while (pool->busy > 0) pthread_cond_wait(&pool->end, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

/* ---- opening ---- */

unsigned mc_processors(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0) return (unsigned)CPU_COUNT(&set);
    const long online = sysconf(_SC_NPROCESSORS_ONLN); /* more than a cpu_set_t can tell */
    return online < 1 ? 1 : (unsigned)online;
}

/* Signals are for the main thread, except those that a thread raises itself: blocked, a broken map
 * would end the program without a word. */
static void block_signals(sigset_t *before)
{
    static const int own[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t blocked;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) sigdelset(&blocked, own[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, before);
}

static mc_status start_threads(mc_pool *pool, mc_err *err)
{
    sigset_t before;
    block_signals(&before);
    int error = 0;
    while (error == 0 && pool->started + 1 < pool->threads) {
        worker *next = &pool->worker[pool->started + 1];
        error = pthread_create(&next->thread, NULL, work, next);
        if (error == 0) pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return mc_fail_errno(err, error, "cannot start thread %u of %u", pool->started + 2,
                             pool->threads);
    return MC_OK;
}

static mc_status fill(mc_pool *pool, size_t scratch_bytes, mc_err *err)
{
    pool->worker = calloc(pool->threads, sizeof *pool->worker);
    if (!pool->worker) return mc_no_room(err, "threads");
    for (unsigned i = 0; i < pool->threads; i++) {
        pool->worker[i].pool = pool;
        MC_TRY(mc_region_open(&pool->worker[i].scratch, scratch_bytes, err));
    }
    return start_threads(pool, err);
}

mc_status mc_pool_open(mc_pool **out, unsigned threads, size_t scratch_bytes, mc_err *err)
{
    *out = NULL;
    if (threads == 0) threads = mc_processors();
    if (threads > MOST_THREADS)
        return mc_fail(err, MC_E_USAGE, "%u threads are more than %d", threads, MOST_THREADS);
    mc_pool *pool = calloc(1, sizeof *pool);
    if (!pool) return mc_no_room(err, "threads");
    pool->threads = threads;
    pthread_mutex_init(&pool->lock, NULL); /* cannot fail with default attributes on Linux */
    pthread_cond_init(&pool->begin, NULL);
    pthread_cond_init(&pool->end, NULL);

    const mc_status status = fill(pool, scratch_bytes, err);
    if (status != MC_OK) {
        mc_pool_close(pool);
        return status;
    }
    *out = pool;
    return MC_OK;
}

void mc_pool_close(mc_pool *pool)
{
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->quit = true;
    pthread_cond_broadcast(&pool->begin);
    pthread_mutex_unlock(&pool->lock);

    for (unsigned i = 1; i <= pool->started; i++) pthread_join(pool->worker[i].thread, NULL);
    for (unsigned i = 0; pool->worker && i < pool->threads; i++)
        mc_region_close(&pool->worker[i].scratch);
    pthread_cond_destroy(&pool->begin);
    pthread_cond_destroy(&pool->end);
    pthread_mutex_destroy(&pool->lock);
    free(pool->worker);
    free(pool);
}

unsigned mc_pool_threads(const mc_pool *pool)
{
    return pool->threads;
}

/* ---- the first failure ---- */

typedef struct {
    size_t at; /* the lowest index that failed, SIZE_MAX while none has */
    mc_err *err;
} failure;

static void note_failure(failure *f, size_t i, mc_status status, const mc_err *err)
{
    if (i >= f->at) return;
    f->at = i;
    *f->err = *err;
    f->err->status = status;
}

/* ---- for ---- */

typedef struct {
    mc_pool_fn fn;
    void *job;
    size_t n;
    atomic_size_t next;
    atomic_bool stop;
    pthread_mutex_t lock; /* over `failed` */
    failure failed;
} for_call;

static void for_work(void *argument, mc_arena scratch)
{
    for_call *c = argument;
    mc_err err = {0};
    while (!atomic_load(&c->stop)) {
        const size_t i = atomic_fetch_add(&c->next, 1);
        if (i >= c->n) break;
        const mc_status status = c->fn(c->job, i, scratch, &err);
        if (status == MC_OK) continue;
        atomic_store(&c->stop, true);
        pthread_mutex_lock(&c->lock);
        note_failure(&c->failed, i, status, &err);
        pthread_mutex_unlock(&c->lock);
    }
}

mc_status mc_pool_for(mc_pool *pool, size_t n, mc_pool_fn fn, void *job, mc_err *err)
{
    for_call c = {.fn = fn, .job = job, .n = n, .failed = {SIZE_MAX, err}};
    pthread_mutex_init(&c.lock, NULL);
    run_team(pool, for_work, &c);
    pthread_mutex_destroy(&c.lock);
    return c.failed.at == SIZE_MAX ? MC_OK : err->status;
}

/* ---- stream ---- */

/* Piece i lives in slot i % slots from the start of its make to the end of its take, so at most
 * `slots` pieces are between the two. */
typedef struct {
    const mc_stream *stream;
    void *job;
    unsigned char *slot;
    size_t stride, slots;

    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t changed;
    size_t next_make, next_take;
    bool taking;
    bool beside, nothing_beside; /* somebody is at it; it had nothing to do */
    bool *made;                  /* by slot */
    failure failed;
} stream_call;

static void *slot_of(const stream_call *c, size_t i)
{
    return c->slot + i % c->slots * c->stride;
}

static bool may_take(const stream_call *c)
{
    return !c->taking && c->next_take < c->failed.at && c->made[c->next_take % c->slots];
}

static bool may_make(const stream_call *c)
{
    return c->failed.at == SIZE_MAX && c->next_make < c->stream->n &&
           c->next_make - c->next_take < c->slots;
}

static bool may_step_aside(const stream_call *c)
{
    return c->stream->aside && !c->beside && !c->nothing_beside;
}

/* Pieces in front of a failed one are still taken: one of them may fail too, and comes first. */
static bool is_over(const stream_call *c)
{
    return c->next_take >= c->stream->n || c->next_take >= c->failed.at;
}

/* All three are called with the lock held, and let go of it while the piece runs. */
static void take_one(stream_call *c, mc_err *err)
{
    const size_t i = c->next_take;
    c->taking = true;
    pthread_mutex_unlock(&c->lock);
    const mc_status status = c->stream->take(c->job, i, slot_of(c, i), err);
    pthread_mutex_lock(&c->lock);
    c->taking = false;
    if (status == MC_OK) {
        c->made[i % c->slots] = false;
        c->next_take++;
    } else {
        note_failure(&c->failed, i, status, err);
    }
}

static void make_one(stream_call *c, mc_arena scratch, mc_err *err)
{
    const size_t i = c->next_make++;
    pthread_mutex_unlock(&c->lock);
    const mc_status status = c->stream->make(c->job, i, slot_of(c, i), scratch, err);
    pthread_mutex_lock(&c->lock);
    c->nothing_beside = false;
    if (status == MC_OK)
        c->made[i % c->slots] = true;
    else
        note_failure(&c->failed, i, status, err);
}

static void step_aside(stream_call *c)
{
    c->beside = true;
    pthread_mutex_unlock(&c->lock);
    const bool more = c->stream->aside(c->job);
    pthread_mutex_lock(&c->lock);
    c->beside = false;
    c->nothing_beside = !more;
}

static void stream_work(void *argument, mc_arena scratch)
{
    stream_call *c = argument;
    mc_err err = {0};
    pthread_mutex_lock(&c->lock);
    while (!is_over(c)) {
        if (may_take(c)) {
            take_one(c, &err);
        } else if (may_step_aside(c)) {
            step_aside(c);
        } else if (may_make(c)) {
            make_one(c, scratch, &err);
        } else {
            pthread_cond_wait(&c->changed, &c->lock);
            continue;
        }
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
}

size_t mc_stream_slots(unsigned threads)
{
    return threads <= 1 ? 1 : 4 * (size_t)threads + 4;
}

mc_status mc_pool_stream(mc_pool *pool, const mc_stream *stream, void *job, mc_err *err)
{
    stream_call c = {.stream = stream, .job = job, .slots = mc_stream_slots(pool->threads)};
    c.failed = (failure){SIZE_MAX, err};
    uint64_t stride;
    size_t bytes;
    if (!mc_align_up(stream->slot_bytes, LINE, &stride) || stride > SIZE_MAX ||
        !mc_mul_size(c.slots, (size_t)stride, &bytes) || !mc_add_size(bytes, c.slots, &bytes))
        return mc_no_room(err, "the slots of a stream");
    c.stride = (size_t)stride;

    mc_region memory;
    MC_TRY(mc_region_open(&memory, bytes, err));
    c.slot = memory.arena.at;
    c.made = (bool *)(c.slot + c.slots * c.stride);
    pthread_mutex_init(&c.lock, NULL);
    pthread_cond_init(&c.changed, NULL);
    run_team(pool, stream_work, &c);
    pthread_cond_destroy(&c.changed);
    pthread_mutex_destroy(&c.lock);
    mc_region_close(&memory);
    return c.failed.at == SIZE_MAX ? MC_OK : err->status;
}
