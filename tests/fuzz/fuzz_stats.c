/* A STATS file: the input is the whole file. What is accepted must have blocks that are found by
 * their weights, and numbers that are given out or refused, never anything else. */
#include "tests/fuzz/fuzz_file.h"

#include "calib/stats_file.h"
#include "core/bytes.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) abort();
}

static void check_failure(mc_status status, const mc_err *err)
{
    must(status == MC_E_FORMAT || status == MC_E_UNSUPPORTED || status == MC_E_BUDGET);
    must(memchr(err->text, '\0', sizeof err->text) && mc_is_utf8(err->text, strlen(err->text)));
}

static void check_moments(const mc_stats *s, const mc_stats_entry *e)
{
    const size_t bytes = mc_moments_bytes(e->n, e->groups, e->gram ? MC_MOMENTS_GRAM : 0);
    mc_err err = {0};
    mc_region room;
    mc_moment_sums m;
    must(bytes < SIZE_MAX / 4 && mc_region_open(&room, bytes, &err) == MC_OK);
    const mc_status status = mc_stats_moments(s, e, e->gram, &room.arena, &m, &err);
    if (status != MC_OK) check_failure(status, &err);
    for (size_t i = 0; status == MC_OK && i < e->n * e->groups; i++) {
        must(isfinite(m.view.sum[i]) && m.view.square[i] >= 0.0);
        const size_t group = i / e->n, row = i % e->n, first = group * e->n * e->n;
        for (size_t k = 0; e->gram && k < e->n; k++)
            must(m.view.gram[first + row * e->n + k] == m.view.gram[first + k * e->n + row]);
    }
    mc_region_close(&room);
}

static void check_rest(const mc_stats *s, const mc_stats_entry *e)
{
    mc_err err = {0};
    mc_region room;
    mc_channels c;
    static mc_histogram h;
    must(mc_region_open(&room, mc_channels_bytes(e->channels) + 256, &err) == MC_OK);
    mc_status status = mc_stats_channels(s, e, &room.arena, &c, &err);
    if (status != MC_OK) check_failure(status, &err);
    must(status == MC_OK || e->channels == 0 || status == MC_E_FORMAT);
    mc_region_close(&room);
    status = mc_stats_histogram(s, e, &h, &err);
    if (status != MC_OK) check_failure(status, &err);
    must(status == MC_OK || !e->histogram || status == MC_E_FORMAT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    mc_err err = {0};
    mc_stats *s;
    const int fd = fuzz_file(data, size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const mc_status status = mc_stats_open(path, &s, &err);
    close(fd);
    if (status != MC_OK) {
        check_failure(status, &err);
        return 0;
    }
    for (size_t i = 0; mc_stats_at(s, i); i++) {
        const mc_stats_entry *e = mc_stats_at(s, i);
        must(e->weights > 0 && e->n > 0 && e->groups > 0);
        for (size_t k = 0; k < e->weights; k++) must(mc_stats_find(s, e->weight[k]) == e);
        check_moments(s, e);
        check_rest(s, e);
    }
    mc_stats_close(s);
    return 0;
}
