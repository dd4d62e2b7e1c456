/* The crit-bit tree behind onnx_names.h. A name counts as ended by a zero byte, which none holds,
 * so that no name is the beginning of another. */
#include "formats/onnx_names.h"

#include <string.h>

#define LEAF (UINT32_C(1) << 31)

static unsigned char byte_of(const char *name, size_t length, size_t i)
{
    return i < length ? (unsigned char)name[i] : 0;
}

static unsigned side(const mc_onnx_names_fork *f, const char *name, size_t length)
{
    return (byte_of(name, length, f->byte) & f->bit) != 0;
}

/* The leaf that the name leads to; the tree is not empty. */
static const mc_onnx_names_leaf *walk(const mc_onnx_names *n, const char *name, size_t length)
{
    uint32_t at = n->root;
    while (!(at & LEAF)) at = n->fork[at].child[side(&n->fork[at], name, length)];
    return &n->leaf[at & ~LEAF];
}

mc_id mc_onnx_names_find(const mc_onnx_names *names, const char *name, size_t length)
{
    if (names->leaves == 0) return MC_NONE;
    const mc_onnx_names_leaf *l = walk(names, name, length);
    const bool same = l->length == length && memcmp(l->name, name, length) == 0;
    return same ? l->id : MC_NONE;
}

static bool grow(mc_onnx_names *n, mc_arena *mem)
{
    if (n->leaves < n->room) return true;
    if (n->room >= LEAF / 2) return false;
    const uint32_t room = n->room ? 2 * n->room : 8;
    mc_onnx_names_fork *fork = MC_NEW_RAW(mem, mc_onnx_names_fork, room);
    mc_onnx_names_leaf *leaf = MC_NEW_RAW(mem, mc_onnx_names_leaf, room);
    if (!fork || !leaf) return false;
    if (n->leaves > 0) {
        memcpy(fork, n->fork, n->leaves * sizeof *fork);
        memcpy(leaf, n->leaf, n->leaves * sizeof *leaf);
    }
    n->fork = fork;
    n->leaf = leaf;
    n->room = room;
    return true;
}

/* The highest bit in which the names differ at byte i. */
static unsigned char highest_bit(unsigned char differ)
{
    unsigned char bit = 0x80;
    while (!(differ & bit)) bit = (unsigned char)(bit >> 1);
    return bit;
}

/* Puts `fork`, one of whose sides is the new leaf, where forks above it differ earlier. */
static void insert(mc_onnx_names *n, const mc_onnx_names_leaf *l, mc_onnx_names_fork fork,
                   uint32_t leaf)
{
    uint32_t *at = &n->root;
    while (!(*at & LEAF)) {
        mc_onnx_names_fork *f = &n->fork[*at];
        if (f->byte > fork.byte || (f->byte == fork.byte && f->bit < fork.bit)) break;
        at = &f->child[side(f, l->name, l->length)];
    }
    const unsigned mine = side(&fork, l->name, l->length);
    fork.child[mine] = leaf | LEAF;
    fork.child[1 - mine] = *at;
    n->fork[leaf] = fork; /* the first leaf needs none, so this index is free */
    *at = leaf;
}

mc_onnx_names_result mc_onnx_names_add(mc_onnx_names *names, mc_arena *mem, const char *name,
                                       size_t length, mc_id id)
{
    if (length >= UINT32_MAX || !grow(names, mem)) return MC_NAMES_FULL;
    const mc_onnx_names_leaf new = {name, length, id};
    const uint32_t leaf = names->leaves;
    if (leaf == 0) {
        names->root = LEAF;
    } else {
        const mc_onnx_names_leaf *near = walk(names, name, length);
        size_t i = 0;
        const size_t most = length > near->length ? length : near->length;
        while (i < most && byte_of(name, length, i) == byte_of(near->name, near->length, i)) i++;
        if (i == most) return MC_NAMES_THERE;
        const unsigned char differ =
            byte_of(name, length, i) ^ byte_of(near->name, near->length, i);
        insert(names, &new, (mc_onnx_names_fork){.byte = (uint32_t)i, .bit = highest_bit(differ)},
               leaf);
    }
    names->leaf[leaf] = new;
    names->leaves++;
    return MC_NAMES_ADDED;
}
