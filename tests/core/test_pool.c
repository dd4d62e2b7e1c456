/* What holds for any number of threads: every piece runs once, order where it is promised, the
 * lowest failure wins, and memory stays bounded. */
#include "core/pool.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const unsigned thread_counts[] = {1, 2, 3, 7, 0};

#define EACH_COUNT(t) for (size_t t = 0; t < sizeof thread_counts / sizeof *thread_counts; t++)

static mc_pool *open_pool(unsigned threads, size_t scratch)
{
    mc_pool *pool;
    mc_err err = {0};
    cr_assert_eq(mc_pool_open(&pool, threads, scratch, &err), MC_OK, "%s", err.text);
    return pool;
}

/* Lets pieces overtake each other. */
static void linger(size_t i)
{
    const struct timespec pause = {.tv_nsec = (long)(i * 7919 % 5) * 20000};
    nanosleep(&pause, NULL);
}

/* ---- for ---- */

enum { PIECES = 300 };

static mc_status count(void *job, size_t i, mc_arena scratch, mc_err *err)
{
    (void)scratch, (void)err;
    atomic_int *runs = job;
    atomic_fetch_add(&runs[i], 1);
    return MC_OK;
}

Test(pool, runs_every_piece_once)
{
    EACH_COUNT(t)
    {
        mc_pool *pool = open_pool(thread_counts[t], 0);
        for (size_t n = 0; n <= PIECES; n += 50) {
            atomic_int runs[PIECES + 1] = {0};
            mc_err err = {0};
            cr_assert_eq(mc_pool_for(pool, n, count, runs, &err), MC_OK, "%s", err.text);
            for (size_t i = 0; i <= PIECES; i++) cr_assert_eq(runs[i], i < n ? 1 : 0);
        }
        mc_pool_close(pool);
    }
}

static mc_status borrow(void *job, size_t i, mc_arena scratch, mc_err *err)
{
    (void)job;
    unsigned char *p = mc_alloc(&scratch, 900, 1);
    if (!p) return mc_no_room(err, "scratch");
    memset(p, (int)(i & 0xff), 900);
    linger(i);
    for (size_t k = 0; k < 900; k++)
        if (p[k] != (i & 0xff)) return mc_fail(err, MC_E_INTERNAL, "piece %zu lost its byte", i);
    return MC_OK;
}

Test(pool, scratch_is_private_and_empty_for_each_piece)
{
    mc_pool *pool = open_pool(7, 1000);
    mc_err err = {0};
    cr_expect_eq(mc_pool_for(pool, PIECES, borrow, NULL, &err), MC_OK, "%s", err.text);
    mc_pool_close(pool);
}

typedef struct {
    size_t fails[3]; /* pieces that fail */
    atomic_size_t ran;
} failing;

static mc_status fail_some(void *job, size_t i, mc_arena scratch, mc_err *err)
{
    (void)scratch;
    failing *f = job;
    atomic_fetch_add(&f->ran, 1);
    linger(i);
    for (int k = 0; k < 3; k++)
        if (f->fails[k] == i) return mc_fail(err, MC_E_FORMAT, "piece %zu", i);
    return MC_OK;
}

Test(pool, returns_the_lowest_failure)
{
    EACH_COUNT(t)
    {
        mc_pool *pool = open_pool(thread_counts[t], 0);
        for (size_t first = 0; first < 20; first++) {
            failing f = {.fails = {first + 2, first, first + 1}};
            mc_err err = {0};
            cr_assert_eq(mc_pool_for(pool, PIECES, fail_some, &f, &err), MC_E_FORMAT);
            char wanted[32];
            snprintf(wanted, sizeof wanted, "piece %zu", first);
            cr_assert_str_eq(err.text, wanted);
            cr_assert_eq(err.status, MC_E_FORMAT);
        }
        mc_pool_close(pool);
    }
}

Test(pool, starts_nothing_after_a_failure)
{
    mc_pool *pool = open_pool(1, 0);
    failing f = {.fails = {5, 5, 5}};
    mc_err err = {0};
    cr_expect_eq(mc_pool_for(pool, PIECES, fail_some, &f, &err), MC_E_FORMAT);
    cr_expect_eq(f.ran, 6);
    mc_pool_close(pool);
}

Test(pool, works_again_after_a_failure)
{
    mc_pool *pool = open_pool(3, 0);
    failing f = {.fails = {5, 6, 7}};
    mc_err err = {0};
    cr_expect_eq(mc_pool_for(pool, PIECES, fail_some, &f, &err), MC_E_FORMAT);
    atomic_int runs[PIECES] = {0};
    cr_expect_eq(mc_pool_for(pool, PIECES, count, runs, &err), MC_OK);
    mc_pool_close(pool);
}

Test(pool, has_the_threads_that_were_asked_for)
{
    mc_pool *pool = open_pool(5, 0);
    cr_expect_eq(mc_pool_threads(pool), 5);
    mc_pool_close(pool);
    pool = open_pool(0, 0);
    cr_expect_geq(mc_pool_threads(pool), 1);
    mc_pool_close(pool);
    mc_pool_close(NULL);
}

Test(pool, refuses_more_threads_than_make_sense)
{
    mc_pool *pool;
    mc_err err = {0};
    cr_expect_eq(mc_pool_open(&pool, 5000, 0, &err), MC_E_USAGE);
    cr_expect_str_eq(err.text, "5000 threads are more than 4096");
    cr_expect_null(pool);
}

/* Two pieces that wait for each other end only when two threads run at once. */
static mc_status meet(void *job, size_t i, mc_arena scratch, mc_err *err)
{
    (void)i, (void)scratch;
    atomic_int *here = job;
    atomic_fetch_add(here, 1);
    for (int wait = 0; atomic_load(here) < 2; wait++) {
        if (wait > 20000) return mc_fail(err, MC_E_INTERNAL, "nobody came");
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return MC_OK;
}

Test(pool, pieces_run_at_the_same_time)
{
    mc_pool *pool = open_pool(2, 0);
    atomic_int here = 0;
    mc_err err = {0};
    cr_expect_eq(mc_pool_for(pool, 2, meet, &here, &err), MC_OK, "%s", err.text);
    mc_pool_close(pool);
}

typedef struct {
    atomic_int here;
    sigset_t blocked[2];
} masks;

static mc_status look_at_mask(void *job, size_t i, mc_arena scratch, mc_err *err)
{
    masks *m = job;
    pthread_sigmask(SIG_BLOCK, NULL, &m->blocked[i]);
    return meet(&m->here, i, scratch, err);
}

Test(pool, signals_go_to_the_caller_unless_a_thread_raised_them)
{
    mc_pool *pool = open_pool(2, 0);
    masks m = {.here = 0};
    mc_err err = {0};
    cr_assert_eq(mc_pool_for(pool, 2, look_at_mask, &m, &err), MC_OK, "%s", err.text);
    const sigset_t *a = &m.blocked[0], *b = &m.blocked[1];
    cr_expect_eq(sigismember(a, SIGINT) + sigismember(b, SIGINT), 1);
    cr_expect_eq(sigismember(a, SIGTERM) + sigismember(b, SIGTERM), 1);
    cr_expect_eq(sigismember(a, SIGBUS) + sigismember(b, SIGBUS), 0);
    mc_pool_close(pool);
}

/* ---- stream ---- */

enum { SLOT = 100 };

typedef struct {
    atomic_size_t made, taken;
    size_t slots;
    size_t next; /* only take() touches it: one at a time */
    size_t make_fails[2], take_fails;
    atomic_bool taking;
    atomic_bool stepping, stepped_twice;
    size_t steps;
} flow;

static mc_status make(void *job, size_t i, void *slot, mc_arena scratch, mc_err *err)
{
    flow *f = job;
    const size_t ahead = atomic_fetch_add(&f->made, 1) + 1 - atomic_load(&f->taken);
    if (ahead > f->slots) return mc_fail(err, MC_E_INTERNAL, "%zu pieces are too many", ahead);
    if (!mc_alloc(&scratch, 1000, 1)) return mc_no_room(err, "scratch");
    linger(i);
    memset(slot, (int)(i & 0xff), SLOT);
    if (i == f->make_fails[0] || i == f->make_fails[1])
        return mc_fail(err, MC_E_FORMAT, "make %zu", i);
    return MC_OK;
}

static mc_status take(void *job, size_t i, void *slot, mc_err *err)
{
    flow *f = job;
    if (atomic_exchange(&f->taking, true)) return mc_fail(err, MC_E_INTERNAL, "two at a time");
    if (i != f->next) return mc_fail(err, MC_E_INTERNAL, "%zu came before %zu", i, f->next);
    f->next++;
    const unsigned char *p = slot;
    for (size_t k = 0; k < SLOT; k++)
        if (p[k] != (i & 0xff)) return mc_fail(err, MC_E_INTERNAL, "slot of %zu was changed", i);
    linger(i + 2);
    atomic_store(&f->taking, false);
    atomic_fetch_add(&f->taken, 1);
    return i == f->take_fails ? mc_fail(err, MC_E_IO, "take %zu", i) : MC_OK;
}

static mc_status run_stream(mc_pool *pool, size_t n, flow *f, mc_err *err)
{
    const mc_stream stream = {.n = n, .slot_bytes = SLOT, .make = make, .take = take};
    f->slots = mc_stream_slots(mc_pool_threads(pool));
    return mc_pool_stream(pool, &stream, f, err);
}

static flow no_failure(void)
{
    return (flow){.make_fails = {SIZE_MAX, SIZE_MAX}, .take_fails = SIZE_MAX};
}

Test(stream, takes_in_order_what_was_made)
{
    EACH_COUNT(t)
    {
        mc_pool *pool = open_pool(thread_counts[t], 1000);
        for (size_t n = 0; n <= PIECES; n += 100) {
            flow f = no_failure();
            mc_err err = {0};
            cr_assert_eq(run_stream(pool, n, &f, &err), MC_OK, "%s", err.text);
            cr_assert_eq(f.made, n);
            cr_assert_eq(f.taken, n);
        }
        mc_pool_close(pool);
    }
}

Test(stream, the_lowest_failure_wins_and_all_before_it_are_taken)
{
    EACH_COUNT(t)
    {
        mc_pool *pool = open_pool(thread_counts[t], 1000);
        for (size_t first = 0; first < 20; first++) {
            flow f = no_failure();
            f.make_fails[0] = first + 1;
            f.make_fails[1] = first;
            mc_err err = {0};
            cr_assert_eq(run_stream(pool, PIECES, &f, &err), MC_E_FORMAT, "%s", err.text);
            char wanted[32];
            snprintf(wanted, sizeof wanted, "make %zu", first);
            cr_assert_str_eq(err.text, wanted);
            cr_assert_eq(f.next, first);
        }
        mc_pool_close(pool);
    }
}

Test(stream, a_take_that_fails_comes_before_later_makes)
{
    EACH_COUNT(t)
    {
        mc_pool *pool = open_pool(thread_counts[t], 1000);
        for (size_t first = 0; first < 20; first++) {
            flow f = no_failure();
            f.make_fails[0] = first + 1; /* often fails before the take does */
            f.take_fails = first;
            mc_err err = {0};
            cr_assert_eq(run_stream(pool, PIECES, &f, &err), MC_E_IO, "%s", err.text);
            char wanted[32];
            snprintf(wanted, sizeof wanted, "take %zu", first);
            cr_assert_str_eq(err.text, wanted);
            cr_assert_eq(f.next, first + 1);
        }
        mc_pool_close(pool);
    }
}

Test(stream, has_one_slot_for_one_thread_and_four_each_and_four_for_more)
{
    cr_expect_eq(mc_stream_slots(1), 1);
    cr_expect_eq(mc_stream_slots(2), 12);
    cr_expect_eq(mc_stream_slots(7), 32);
}

/* Counts towards what was made so far, one step at a time. */
static bool count_aside(void *job)
{
    flow *f = job;
    if (atomic_exchange(&f->stepping, true)) atomic_store(&f->stepped_twice, true);
    const size_t wanted = atomic_load(&f->made);
    if (f->steps < wanted) f->steps++;
    const bool more = f->steps < wanted;
    atomic_store(&f->stepping, false);
    return more;
}

Test(stream, steps_aside_one_at_a_time_and_keeps_up_with_what_was_made)
{
    EACH_COUNT(t)
    {
        mc_pool *pool = open_pool(thread_counts[t], 1000);
        const mc_stream stream = {
            .n = PIECES, .slot_bytes = SLOT, .make = make, .take = take, .aside = count_aside};
        flow f = no_failure();
        f.slots = mc_stream_slots(mc_pool_threads(pool));
        mc_err err = {0};
        cr_assert_eq(mc_pool_stream(pool, &stream, &f, &err), MC_OK, "%s", err.text);
        cr_expect_not(f.stepped_twice);
        cr_expect_eq(f.taken, PIECES);
        cr_expect_geq(f.steps, PIECES - 2 * f.slots, "%zu steps", f.steps);
        mc_pool_close(pool);
    }
}

Test(stream, refuses_slots_beyond_the_address_space)
{
    mc_pool *pool = open_pool(2, 0);
    mc_err err = {0};
    const mc_stream stream = {.n = 1, .slot_bytes = SIZE_MAX / 4, .make = make, .take = take};
    cr_expect_eq(mc_pool_stream(pool, &stream, NULL, &err), MC_E_BUDGET);
    cr_expect_str_eq(err.text, "no room for the slots of a stream");
    mc_pool_close(pool);
}
