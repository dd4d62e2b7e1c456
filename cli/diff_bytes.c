/* Two containers as bytes: what an update over the air, or a flash writer, would have to touch. */
#include "cli/diff.h"

#include <string.h>

enum { SECTOR = 4096 };

static void count_sectors(const mc_map *a, const mc_map *b, mc_diff *diff)
{
    for (size_t at = 0; at < b->size; at += SECTOR) {
        const size_t n = b->size - at < SECTOR ? b->size - at : SECTOR;
        const bool same = at + n <= a->size && memcmp(a->data + at, b->data + at, n) == 0;
        diff->sectors++;
        diff->sectors_changed += !same;
        if (at % (1 << 20) != 0) continue;
        mc_map_release(a, 0, at < a->size ? at : a->size);
        mc_map_release(b, 0, at);
    }
}

static bool same_section(const mc_container *a, uint32_t i, const mc_container *b, uint32_t k)
{
    const mcpk_part *x = &a->part[i], *y = &b->part[k];
    return x->stored == y->stored && x->encoding == y->encoding && x->flags == y->flags &&
           memcmp(a->map.data + x->offset, b->map.data + y->offset, (size_t)x->stored) == 0;
}

/* Sections of one weight: a role stands there at most once. */
static void count_weight(const mc_container *a, const mc_container *b, const mc_diff_entry *e,
                         mc_diff *diff)
{
    for (uint32_t k = b->first_part[e->b]; k < b->first_part[e->b + 1]; k++) {
        bool same = false;
        const bool both = e->kind != MC_DIFF_ONLY_B;
        for (uint32_t i = both ? a->first_part[e->a] : 0; both && i < a->first_part[e->a + 1]; i++)
            same |= a->part[i].role == b->part[k].role && same_section(a, i, b, k);
        diff->sections++;
        diff->sections_changed += !same;
    }
}

/* A section without a weight: is one of its type and bytes in A, wherever it stands? */
static bool has_section(const mc_container *a, const mc_container *b, uint32_t k)
{
    for (uint32_t i = 0; i < a->parts; i++)
        if (a->part[i].weight == MCPK_NO_WEIGHT && a->part[i].type == b->part[k].type &&
            same_section(a, i, b, k))
            return true;
    return false;
}

static void count_others(const mc_container *a, const mc_container *b, mc_diff *diff)
{
    for (uint32_t k = 0; k < b->parts; k++) {
        if (b->part[k].weight != MCPK_NO_WEIGHT) continue;
        diff->sections++;
        diff->sections_changed += !has_section(a, b, k);
    }
}

void mc_diff_bytes(const mc_container *a, const mc_container *b, mc_diff *diff)
{
    for (size_t i = 0; i < diff->entries; i++)
        if (diff->entry[i].kind != MC_DIFF_ONLY_A) count_weight(a, b, &diff->entry[i], diff);
    count_others(a, b, diff);
    count_sectors(&a->map, &b->map, diff);
}
