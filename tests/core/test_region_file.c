/* Regions over files: what is in them stays when their pages go. */
#include "core/arena.h"
#include "formats/scratch.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BYTES = 1 << 20 };

static mc_region opened(size_t bytes, int *fd)
{
    mc_scratch file;
    mc_region region;
    mc_err err = {0};
    cr_assert_eq(mc_scratch_open(NULL, &file, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_region_open_file(&region, file.fd, bytes, &err), MC_OK, "%s", err.text);
    if (fd) cr_assert_geq(*fd = dup(file.fd), 0);
    mc_scratch_close(&file); /* the region does not need it any more */
    return region;
}

/* Pages of it that are in memory for this process are not told; what is told is that the numbers
 * are the file's. */
Test(region_file, numbers_stay_when_pages_are_released)
{
    int fd;
    mc_region region = opened(BYTES * 4, &fd);
    uint32_t *x = MC_NEW_RAW(&region.arena, uint32_t, BYTES);
    cr_assert_not_null(x);
    for (uint32_t i = 0; i < BYTES; i++) x[i] = i * 2654435761u;
    mc_region_release(&region);
    for (uint32_t i = 0; i < BYTES; i++) cr_assert_eq(x[i], i * 2654435761u);
    uint32_t there;
    cr_assert_eq(pread(fd, &there, sizeof there,
                       4 * 1000 + ((unsigned char *)x - (unsigned char *)region.base)),
                 4);
    cr_expect_eq(there, 1000 * 2654435761u);
    x[7] = 5; /* and go on changing */
    mc_region_release(&region);
    cr_expect_eq(x[7], 5u);
    close(fd);
    mc_region_close(&region);
}

Test(region_file, is_zero_where_nobody_wrote)
{
    mc_region region = opened(BYTES, NULL);
    const unsigned char *x = MC_NEW_RAW(&region.arena, unsigned char, BYTES);
    cr_assert_not_null(x);
    for (size_t i = 0; i < BYTES; i++) cr_assert_eq(x[i], 0);
    cr_expect_null(MC_NEW(&region.arena, unsigned char, 2 * BYTES));
    mc_region_close(&region);
}

/* Anonymous memory has no file to go to. */
Test(region_file, releasing_memory_without_a_file_keeps_it)
{
    mc_region region;
    mc_err err = {0};
    cr_assert_eq(mc_region_open(&region, BYTES, &err), MC_OK);
    unsigned char *x = MC_NEW(&region.arena, unsigned char, 4096);
    x[100] = 9;
    mc_region_release(&region);
    cr_expect_eq(x[100], 9);
    mc_region_close(&region);
    mc_region_release(&region); /* a closed one: nothing to do */
}

/* Only what is used takes room on the disk, and in memory; a region for values of unknown size
 * claims far more than there is. */
Test(region_file, claims_far_more_than_there_is)
{
    for (int round = 0; round < 50; round++) {
        mc_region of_file = opened((size_t)1 << 36, NULL), plain;
        mc_err err = {0};
        cr_assert_eq(mc_region_open(&plain, (size_t)1 << 36, &err), MC_OK, "%s", err.text);
        unsigned char *a = MC_NEW(&of_file.arena, unsigned char, 10);
        unsigned char *b = MC_NEW(&plain.arena, unsigned char, 10);
        cr_assert(a && b);
        a[9] = b[9] = (unsigned char)round;
        mc_region_close(&of_file);
        mc_region_close(&plain);
    }
}

Test(region_file, a_file_that_cannot_be_made_so_long_is_refused)
{
    mc_region region;
    mc_err err = {0};
    const int closed = dup(0);
    close(closed);
    cr_expect_eq(mc_region_open_file(&region, closed, BYTES, &err), MC_E_BUDGET);
    cr_expect_str_eq(err.text, "cannot reserve 1048576 bytes of memory: Bad file descriptor");
    mc_region_close(&region); /* nothing to give back */
}
