/* Columns are address space that fills from the front; threads take their place in it by one atomic
 * addition. Where a tensor lies depends on the threads, what is in it does not. */
#include "calib/carry.h"

#include "core/ckd.h"
#include "formats/scratch.h"

#include <string.h>

enum { ALIGN = 64 };

struct mc_column {
    mc_region region;
    atomic_size_t used;
    mc_nd *nd; /* of each sample */
};

mc_status mc_carry_open(mc_carry *carry, size_t samples, size_t values, bool spills, mc_arena *mem,
                        mc_err *err)
{
    *carry = (mc_carry){.samples = samples,
                        .values = values,
                        .spills = spills,
                        .most_bytes = (size_t)1 << 36,
                        .column = MC_NEW(mem, mc_column *, values + 1)};
    return carry->column ? MC_OK : mc_no_room(err, "the values between stages");
}

static mc_status open_room(const mc_carry *carry, mc_column *column, mc_err *err)
{
    if (!carry->spills) return mc_region_open(&column->region, carry->most_bytes, err);
    mc_scratch file;
    MC_TRY(mc_scratch_open(NULL, &file, err));
    const mc_status status =
        mc_region_open_file(&column->region, file.fd, carry->most_bytes, err);
    mc_scratch_close(&file);
    return status;
}

mc_status mc_carry_add(mc_carry *carry, mc_id value, mc_err *err)
{
    /* The column and its headers lie in front of the numbers, so that they go with them. */
    mc_column column = {.nd = NULL};
    MC_TRY(open_room(carry, &column, err));
    mc_column *at = MC_NEW(&column.region.arena, mc_column, 1);
    mc_nd *nd = MC_NEW(&column.region.arena, mc_nd, carry->samples + 1);
    if (!at || !nd) {
        mc_region_close(&column.region);
        return mc_no_room(err, "the values between stages");
    }
    at->region = column.region;
    at->nd = nd;
    atomic_init(&at->used, 0);
    carry->column[value] = at;
    return MC_OK;
}

mc_status mc_carry_put(mc_carry *carry, mc_id value, size_t sample, const mc_nd *nd, mc_err *err)
{
    mc_column *column = carry->column[value];
    size_t bytes;
    if (nd->kind != MC_ND_TENSOR || !mc_nd_shape_known(nd) || nd->dtype == MC_STRING ||
        (nd->count > 0 && !nd->data))
        return mc_fail(err, MC_E_UNSUPPORTED, "it is no tensor of numbers, and calibration cannot "
                                              "carry it from stage to stage");
    if (!mc_mul_size(nd->count, mc_nd_width(nd->dtype), &bytes) || bytes > SIZE_MAX - ALIGN)
        return mc_no_room(err, "the values between stages");
    const size_t step = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    const size_t at = atomic_fetch_add(&column->used, step);
    const size_t room = (size_t)(column->region.arena.end - column->region.arena.at) - ALIGN;
    if (at > room || step > room - at) return mc_no_room(err, "the values between stages");
    unsigned char *base = column->region.arena.at;
    base += -(uintptr_t)base & (ALIGN - 1);
    column->nd[sample] = *nd;
    column->nd[sample].data = base + at;
    column->nd[sample].lazy = NULL;
    if (bytes > 0) memcpy(base + at, nd->data, bytes);
    return MC_OK;
}

mc_nd mc_carry_get(const mc_carry *carry, mc_id value, size_t sample)
{
    return carry->column[value]->nd[sample];
}

bool mc_carry_has(const mc_carry *carry, mc_id value)
{
    return carry->column[value] != NULL;
}

void mc_carry_drop(mc_carry *carry, mc_id value)
{
    mc_column *column = carry->column[value];
    if (!column) return;
    mc_region region = column->region; /* the column lies in it */
    carry->column[value] = NULL;
    mc_region_close(&region);
}

void mc_carry_close(mc_carry *carry)
{
    for (size_t v = 0; carry->column && v < carry->values; v++) mc_carry_drop(carry, (mc_id)v);
    *carry = (mc_carry){0};
}

uint64_t mc_carry_bytes(const mc_carry *carry)
{
    uint64_t bytes = 0;
    for (size_t v = 0; v < carry->values; v++)
        if (carry->column[v]) bytes += atomic_load(&carry->column[v]->used);
    return bytes;
}

void mc_carry_release(const mc_carry *carry)
{
    if (!carry->spills) return;
    for (size_t v = 0; v < carry->values; v++)
        if (carry->column[v]) mc_region_release(&carry->column[v]->region);
}
