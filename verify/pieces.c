/* Where pieces begin, and giving back what they have read. */
#include "verify/pieces.h"

#include "core/ckd.h"

/* Linux maps as much around a page that is read, so a piece also brings in the edges of its
 * neighbours. */
enum { AROUND = 1 << 16 };

mc_status mc_pieces_open(size_t most, mc_arena *mem, mc_pieces *out, mc_err *err)
{
    *out = (mc_pieces){.first = MC_NEW(mem, uint64_t, most + 1)};
    return out->first ? MC_OK : mc_no_room(err, "the pieces");
}

void mc_pieces_add(mc_pieces *pieces, uint64_t count, uint64_t each)
{
    const uint64_t first = pieces->first[pieces->tensors];
    pieces->first[++pieces->tensors] = first + mc_ceil_div(count, each);
}

/* The last tensor that begins at or before it and is not empty. */
size_t mc_pieces_tensor(const mc_pieces *pieces, uint64_t i)
{
    size_t low = 0, high = pieces->tensors;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (pieces->first[middle] <= i)
            low = middle;
        else
            high = middle;
    }
    return low;
}

size_t mc_bytes_before(mc_dtype dtype, uint64_t n)
{
    const uint64_t bits = mc_dtype_about(dtype)->bits;
    return (size_t)(n / 8 * bits + (n % 8 * bits + 7) / 8);
}

static void release(const mc_map *map, uint64_t from, uint64_t to)
{
    mc_map_release(map, from < AROUND ? 0 : (size_t)from - AROUND, (size_t)to + AROUND);
}

void mc_release_tensor(const mc_map *map, const mc_tensor *t, uint64_t from, uint64_t to)
{
    const size_t at = (size_t)(t->data - map->data);
    release(map, at + mc_bytes_before(t->dtype, from), at + mc_bytes_before(t->dtype, to));
}

void mc_release_weight(const mc_container *c, size_t weight, uint64_t from, uint64_t to,
                       uint64_t count)
{
    if (count == 0) return;
    const double begin = (double)from / (double)count, end = (double)to / (double)count;
    for (uint32_t i = c->first_part[weight]; i < c->first_part[weight + 1]; i++) {
        const mcpk_part *part = &c->part[i];
        if (part->flags & MCPK_ZLIB) continue;
        const double stored = (double)part->stored;
        release(&c->map, part->offset + (uint64_t)(stored * begin),
                part->offset + (uint64_t)(stored * end));
    }
}
