/* Two containers as bytes: what an update over the air, or a flash writer, would have to touch. */
#include "cli/diff.h"

#include <string.h>

enum {
    SECTOR = 4096,
    AROUND = 1 << 16, /* that a page brings along when it is read */
    STEP = 1 << 20,   /* bytes between two releases, so that large files do not become resident */
};

static void count_sectors(const mc_map *a, const mc_map *b, mc_diff *diff)
{
    for (size_t at = 0; at < b->size; at += SECTOR) {
        const size_t n = b->size - at < SECTOR ? b->size - at : SECTOR;
        const bool same = at + n <= a->size && memcmp(a->data + at, b->data + at, n) == 0;
        diff->sectors++;
        diff->sectors_changed += !same;
        if (at == 0 || at % STEP != 0) continue;
        mc_map_release(a, at < 2 * STEP ? 0 : at - 2 * STEP, at < a->size ? at : a->size);
        mc_map_release(b, at < 2 * STEP ? 0 : at - 2 * STEP, at);
    }
}

/* `n` bytes from x of a, and from y of b. */
static bool same_bytes(const mc_map *a, size_t x, const mc_map *b, size_t y, size_t n)
{
    bool same = true;
    for (size_t at = 0; at < n && same; at += STEP) {
        const size_t now = n - at < STEP ? n - at : STEP;
        same = memcmp(a->data + x + at, b->data + y + at, now) == 0;
        mc_map_release(a, x + at < AROUND ? 0 : x + at - AROUND, x + at + now);
        mc_map_release(b, y + at < AROUND ? 0 : y + at - AROUND, y + at + now);
    }
    return same;
}

/* Sections at the end may be cut off. */
static bool is_there(const mc_container *c, const mcpk_part *part)
{
    return part->offset <= c->map.size && part->stored <= c->map.size - part->offset;
}

/* One that is not there is not the same as anything. */
static bool same_section(const mc_container *a, uint32_t i, const mc_container *b, uint32_t k)
{
    const mcpk_part *x = &a->part[i], *y = &b->part[k];
    return is_there(a, x) && is_there(b, y) && x->stored == y->stored &&
           x->encoding == y->encoding && x->flags == y->flags &&
           same_bytes(&a->map, (size_t)x->offset, &b->map, (size_t)y->offset, (size_t)x->stored);
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
