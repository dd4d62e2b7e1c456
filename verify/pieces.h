/* Tensors cut into pieces that stream through a pool, one tensor after the other. Where the cuts
 * are depends on the shapes alone, so what is summed piece by piece is the same for every number of
 * threads. */
#ifndef MC_VERIFY_PIECES_H
#define MC_VERIFY_PIECES_H

#include "core/model.h"
#include "formats/container.h"

typedef struct {
    uint64_t *first; /* tensors + 1: the piece that each begins with */
    size_t tensors;  /* so far */
} mc_pieces;

/* Room for `most` tensors. */
mc_status mc_pieces_open(size_t most, mc_arena *mem, mc_pieces *out, mc_err *err);

/* The next tensor, of `count` elements, `each` of them a piece. A tensor without elements has no
 * piece. */
void mc_pieces_add(mc_pieces *pieces, uint64_t count, uint64_t each);

static inline size_t mc_pieces_count(const mc_pieces *pieces)
{
    return (size_t)pieces->first[pieces->tensors];
}

/* The tensor that piece i belongs to, and whether it is the last of it. */
size_t mc_pieces_tensor(const mc_pieces *pieces, uint64_t i);
static inline bool mc_pieces_is_last(const mc_pieces *pieces, size_t tensor, uint64_t i)
{
    return i + 1 == pieces->first[tensor + 1];
}

/* Bytes that the first `n` elements take. All dtypes have whole bytes when n is a multiple of 8. */
size_t mc_bytes_before(mc_dtype dtype, uint64_t n);

/* Say that elements [from, to) of a tensor, or their share of all parts of a weight of `count`
 * elements, are not needed any more. Edges of the neighbours go too; who needs them reads them
 * again. */
void mc_release_tensor(const mc_map *map, const mc_tensor *t, uint64_t from, uint64_t to);
void mc_release_weight(const mc_container *c, size_t weight, uint64_t from, uint64_t to,
                       uint64_t count);

#endif
