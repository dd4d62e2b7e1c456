/* A heap hands out aligned room that nobody else has, takes the best block, joins what was given
 * back, and does the same every time. */
#include "core/heap.h"

#include "core/poison.h"
#include "core/rng.h"

#include <criterion/criterion.h>
#include <string.h>

static mc_heap open_heap(size_t bytes)
{
    mc_heap heap;
    mc_err err = {0};
    cr_assert_eq(mc_heap_open(&heap, bytes, &err), MC_OK, "%s", err.text);
    return heap;
}

enum { SHADOW = 300, STEPS = 20000 };

typedef struct {
    mc_block block;
    size_t bytes;
    unsigned char mark;
} held;

static void check(const mc_heap *heap, const held *h)
{
    const unsigned char *at = mc_heap_at(heap, h->block);
    for (size_t i = 0; i < h->bytes; i++) cr_assert_eq(at[i], h->mark);
}

/* Every block keeps its bytes, whatever happens around it; at the end one stretch is left. */
static size_t churn(uint64_t seed)
{
    mc_heap heap = open_heap((size_t)1 << 24);
    static held all[SHADOW];
    memset(all, 0, sizeof all);
    const mc_rng rng = {.seed = seed};
    size_t sum = 0;
    for (size_t step = 0; step < STEPS; step++) {
        held *h = &all[mc_rng_below(rng, 3 * step, SHADOW)];
        if (h->block) {
            check(&heap, h);
            mc_heap_give(&heap, h->block);
            h->block = 0;
            continue;
        }
        const uint64_t most = (uint64_t)1 << mc_rng_below(rng, 3 * step + 1, 15);
        h->bytes = (size_t)mc_rng_below(rng, 3 * step + 2, most);
        h->mark = (unsigned char)step;
        h->block = mc_heap_take(&heap, h->bytes);
        cr_assert_neq(h->block, 0);
        unsigned char *at = mc_heap_at(&heap, h->block);
        cr_assert_eq((uintptr_t)at % 64, 0);
        memset(at, h->mark, h->bytes);
        sum = sum * 31 + (size_t)(at - heap.base);
    }
    for (size_t i = 0; i < SHADOW; i++) {
        if (all[i].block) check(&heap, &all[i]);
        mc_heap_give(&heap, all[i].block);
    }
    cr_expect_eq(mc_heap_used(&heap), 0);
    cr_expect_eq(mc_heap_gaps(&heap), 1);
    mc_heap_close(&heap);
    return sum;
}

Test(heap, keeps_blocks_apart_and_ends_in_one_piece)
{
    for (uint64_t seed = 1; seed < 6; seed++) (void)churn(seed);
}

Test(heap, gives_the_same_places_every_time)
{
    cr_expect_eq(churn(7), churn(7));
}

Test(heap, takes_the_smallest_gap_that_fits)
{
    mc_heap heap = open_heap(1 << 20);
    const mc_block large = mc_heap_take(&heap, 64 * 200), wall = mc_heap_take(&heap, 64);
    const mc_block small = mc_heap_take(&heap, 64 * 130), wall2 = mc_heap_take(&heap, 64);
    const void *at = mc_heap_at(&heap, small);
    mc_heap_give(&heap, large);
    mc_heap_give(&heap, small);
    const mc_block again = mc_heap_take(&heap, 64 * 129);
    cr_expect_eq(mc_heap_at(&heap, again), at);
    (void)wall, (void)wall2;
    mc_heap_close(&heap);
}

Test(heap, of_equal_gaps_takes_the_lowest)
{
    mc_heap heap = open_heap(1 << 20);
    mc_block block[6];
    for (size_t i = 0; i < 6; i++) block[i] = mc_heap_take(&heap, 640);
    const void *lowest = mc_heap_at(&heap, block[0]);
    mc_heap_give(&heap, block[0]);
    mc_heap_give(&heap, block[4]);
    mc_heap_give(&heap, block[2]);
    cr_expect_eq(mc_heap_at(&heap, mc_heap_take(&heap, 640)), lowest);
    mc_heap_close(&heap);
}

Test(heap, joins_neighbours_on_both_sides)
{
    mc_heap heap = open_heap(1 << 16);
    const mc_block a = mc_heap_take(&heap, 1000), b = mc_heap_take(&heap, 1000);
    const mc_block c = mc_heap_take(&heap, 1000), d = mc_heap_take(&heap, 1000);
    mc_heap_give(&heap, a);
    mc_heap_give(&heap, c);
    cr_expect_eq(mc_heap_gaps(&heap), 3);
    mc_heap_give(&heap, b);
    cr_expect_eq(mc_heap_gaps(&heap), 2);
    mc_heap_give(&heap, d);
    cr_expect_eq(mc_heap_gaps(&heap), 1);
    mc_heap_close(&heap);
}

Test(heap, counts_what_is_used_and_the_most)
{
    mc_heap heap = open_heap(1 << 20);
    const mc_block a = mc_heap_take(&heap, 6400), b = mc_heap_take(&heap, 100);
    cr_expect_eq(mc_heap_used(&heap), 6400 + 128);
    mc_heap_give(&heap, a);
    mc_heap_give(&heap, b);
    cr_expect_eq(mc_heap_used(&heap), 0);
    cr_expect_eq(mc_heap_peak(&heap), 6400 + 128);
    mc_heap_close(&heap);
}

Test(heap, refuses_what_does_not_fit_and_goes_on)
{
    mc_heap heap = open_heap(1 << 16);
    cr_expect_eq(mc_heap_take(&heap, (size_t)1 << 40), 0);
    cr_expect_eq(mc_heap_take(&heap, SIZE_MAX), 0);
    const mc_block block = mc_heap_take(&heap, 1 << 15);
    cr_expect_neq(block, 0);
    mc_heap_give(&heap, block);
    mc_heap_give(&heap, block); /* twice does no harm */
    mc_heap_give(&heap, 0);
    cr_expect_eq(mc_heap_gaps(&heap), 1);
    mc_heap_close(&heap);
    mc_heap_close(&heap);
}

Test(heap, may_be_empty)
{
    mc_heap heap = open_heap(0);
    cr_expect_eq(mc_heap_take(&heap, 1), 0);
    mc_heap_close(&heap);
}

#ifdef MC_WITH_ASAN
Test(heap, the_sanitizer_sees_writes_beside_blocks)
{
    mc_heap heap = open_heap(1 << 16);
    const mc_block block = mc_heap_take(&heap, 100);
    unsigned char *at = mc_heap_at(&heap, block);
    cr_expect(!__asan_address_is_poisoned(at + 99));
    cr_expect(__asan_address_is_poisoned(at + 100));
    mc_heap_give(&heap, block);
    cr_expect(__asan_address_is_poisoned(at));
    mc_heap_close(&heap);
}
#endif
