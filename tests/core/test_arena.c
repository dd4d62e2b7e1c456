/* Arenas hand out aligned room until it ends, loans cost nothing, and what lies between two
 * allocations is out of bounds. */
#define _GNU_SOURCE /* mincore */

#include "core/arena.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#endif

static mc_region open_region(size_t bytes)
{
    mc_region region;
    mc_err err = {0};
    cr_assert_eq(mc_region_open(&region, bytes, &err), MC_OK, "%s", err.text);
    return region;
}

Test(arena, gives_aligned_zeros)
{
    _Alignas(64) static unsigned char room[1024];
    memset(room, 0xaa, sizeof room);
    mc_arena arena = {room + 1, room + sizeof room};
    for (size_t n = 1; n < 5; n++) {
        const unsigned char *p = mc_alloc(&arena, n, 3);
        cr_assert_not_null(p);
        cr_expect_eq((uintptr_t)p % 64, 0);
        for (size_t i = 0; i < 3 * n; i++) cr_expect_eq(p[i], 0);
    }
}

Test(arena, raw_room_is_not_touched)
{
    _Alignas(64) static unsigned char room[128];
    memset(room, 0xaa, sizeof room);
    mc_arena arena = {room, room + sizeof room};
    const unsigned char *p = mc_alloc_raw(&arena, 4, 4);
    cr_assert_not_null(p);
    for (size_t i = 0; i < 16; i++) cr_expect_eq(p[i], 0xaa);
}

Test(arena, allocations_do_not_overlap)
{
    mc_region region = open_region(1 << 16);
    unsigned char *last_end = region.arena.at;
    for (size_t n = 1; n < 200; n++) {
        unsigned char *p = mc_alloc(&region.arena, n, 1);
        cr_assert(p >= last_end);
        memset(p, 1, n);
        last_end = p + n;
    }
    mc_region_close(&region);
}

Test(arena, an_exact_fit_fits_and_one_more_byte_does_not)
{
    _Alignas(64) static unsigned char room[256];
    mc_arena arena = {room, room + sizeof room};
    mc_arena again = arena;
    cr_expect_null(mc_alloc(&again, 257, 1));
    cr_expect_eq(again.at, arena.at); /* a refusal takes nothing */
    cr_expect_not_null(mc_alloc(&again, 256, 1));
    cr_expect_null(mc_alloc(&again, 1, 1));
}

Test(arena, a_size_that_overflows_does_not_fit)
{
    static unsigned char room[256];
    mc_arena arena = {room, room + sizeof room};
    cr_expect_null(mc_alloc(&arena, SIZE_MAX / 2 + 1, 2));
    cr_expect_null(mc_alloc(&arena, SIZE_MAX, SIZE_MAX));
    cr_expect_null(mc_alloc_raw(&arena, SIZE_MAX, 1));
    cr_expect_null(mc_copy_text(&arena, "x", SIZE_MAX));
}

Test(arena, nothing_always_fits_before_the_end)
{
    mc_region region = open_region(4096);
    cr_expect_not_null(mc_alloc(&region.arena, 0, 8));
    cr_expect_not_null(mc_alloc(&region.arena, 8, 0));
    mc_region_close(&region);
}

static const unsigned char *borrow(mc_arena scratch)
{
    unsigned char *p = mc_alloc(&scratch, 100, 1);
    if (p) memset(p, 7, 100);
    return p;
}

Test(arena, a_loan_is_free_again_when_it_ends)
{
    mc_region region = open_region(4096);
    const unsigned char *first = borrow(region.arena);
    cr_expect_eq(borrow(region.arena), first);
    unsigned char *longer = mc_alloc(&region.arena, 300, 1); /* over the loan and its gap */
    cr_assert_eq((const unsigned char *)longer, first);
    memset(longer, 1, 300);
    mc_region_close(&region);
}

Test(arena, copies_and_formats_text)
{
    mc_region region = open_region(4096);
    memset(region.arena.at, 'x', 1000);
    cr_expect_str_eq(mc_copy_text(&region.arena, "weights", 6), "weight");
    cr_expect_str_eq(mc_copy_text(&region.arena, "", 0), "");
    cr_expect_str_eq(mc_format(&region.arena, "%s.%d", "layer", 12), "layer.12");
    mc_region_close(&region);
}

Test(arena, text_that_does_not_fit_is_null)
{
    _Alignas(64) static unsigned char room[64];
    mc_arena arena = {room, room + sizeof room};
    mc_arena again = arena;
    cr_expect_null(mc_format(&again, "%64d", 1));
    cr_expect_not_null(mc_format(&again, "%63d", 1));
    cr_expect_null(mc_copy_text(&again, "", 0));
}

Test(arena, says_what_found_no_room)
{
    mc_err err = {0};
    cr_expect_eq(mc_no_room(&err, "12 tensors"), MC_E_BUDGET);
    cr_expect_str_eq(err.text, "no room for 12 tensors");
}

Test(region, holds_as_many_lines_as_it_was_asked_for)
{
    mc_region region = open_region(64 * 1024);
    for (size_t i = 0; i < 1024; i++) cr_assert_not_null(mc_alloc(&region.arena, 64, 1));
    mc_region_close(&region);
}

Test(region, costs_nothing_until_it_is_touched)
{
    mc_region region = open_region((size_t)1 << 36);
    unsigned char *p = mc_alloc_raw(&region.arena, (size_t)1 << 35, 1);
    cr_assert_not_null(p);
    p[0] = p[((size_t)1 << 35) - 1] = 1;

    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char resident = 1;
    cr_assert_eq(mincore(p + 1024 * page, page, &resident), 0);
    cr_expect_eq(resident & 1, 0);
    mc_region_close(&region);
}

Test(region, may_be_empty_and_closed_twice)
{
    mc_region region = open_region(0);
    cr_expect_null(mc_alloc(&region.arena, 1, 1));
    mc_region_close(&region);
    mc_region_close(&region);
}

Test(region, names_the_bytes_it_could_not_get)
{
    mc_region region;
    mc_err err = {0};
    cr_expect_eq(mc_region_open(&region, SIZE_MAX - 4096, &err), MC_E_BUDGET);
    cr_expect_eq(err.status, MC_E_BUDGET);
    cr_expect(strstr(err.text, "cannot reserve 18446744073709547519 bytes of memory"), "%s",
              err.text);
    mc_region_close(&region);
}

#ifdef WITH_ASAN
Test(arena, the_sanitizer_sees_writes_between_allocations)
{
    mc_region region = open_region(4096);
    unsigned char *a = mc_alloc(&region.arena, 64, 1);
    unsigned char *b = mc_alloc(&region.arena, 10, 1);
    cr_expect(!__asan_address_is_poisoned(a + 63));
    cr_expect(__asan_address_is_poisoned(a + 64));
    cr_expect(!__asan_address_is_poisoned(b + 9));
    cr_expect(__asan_address_is_poisoned(b + 10));
    mc_region_close(&region);
}
#endif
