/* Best fit with joining of neighbours. Blocks are chained in the order of their addresses; free
 * ones also in a bin by the power of two of their size, so that a search looks at one bin, and
 * takes the best of the next bin with something in it when that has none.
 *
 * Not over an mc_region: that clears the sanitizer's notes on all of its addresses, which for the
 * address space of a whole machine is gigabytes. */
#define _GNU_SOURCE /* MAP_ANONYMOUS, MAP_NORESERVE */

#include "core/heap.h"

#include "core/arena.h"
#include "core/ckd.h"
#include "core/poison.h"

#include <stdbool.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { LINE = 64 }; /* sizes and places are counted in these */

#ifdef MC_WITH_ASAN
enum { GAP = LINE, STRETCH = 3 }; /* the smallest block takes a line and is followed by one */
#else
enum { GAP = 0, STRETCH = 1 };
#endif

struct mc_heap_entry {
    size_t at, lines;        /* in lines */
    uint32_t before, behind; /* neighbours by address; 0: none */
    uint32_t next, last;     /* of the bin, or of the unused entries */
    bool taken;
};

static unsigned bin_of(size_t lines)
{
    unsigned bin = 0;
    while (bin < MC_HEAP_BINS - 1 && lines >> (bin + 1) != 0) bin++;
    return bin;
}

static void put_in_bin(mc_heap *h, uint32_t e)
{
    uint32_t *head = &h->bin[bin_of(h->entry[e].lines)];
    h->entry[e].last = 0;
    h->entry[e].next = *head;
    if (*head) h->entry[*head].last = e;
    *head = e;
}

static void out_of_bin(mc_heap *h, uint32_t e)
{
    const mc_heap_entry *x = &h->entry[e];
    if (x->last)
        h->entry[x->last].next = x->next;
    else
        h->bin[bin_of(x->lines)] = x->next;
    if (x->next) h->entry[x->next].last = x->last;
}

/* An entry that stands for no block, or 0 when memory ran out. */
static uint32_t new_entry(mc_heap *h)
{
    if (h->unused) {
        const uint32_t e = h->unused;
        h->unused = h->entry[e].next;
        return e;
    }
    if (h->entries == h->entry_room) {
        const uint32_t room = h->entry_room > 0 ? 2 * h->entry_room : 64;
        if (room > UINT32_MAX / 4) return 0;
        mc_heap_entry *more = realloc(h->entry, room * sizeof *more);
        if (!more) return 0;
        h->entry = more;
        h->entry_room = room;
    }
    return h->entries++;
}

static void drop_entry(mc_heap *h, uint32_t e)
{
    h->entry[e].next = h->unused;
    h->unused = e;
}

static mc_status map(mc_heap *heap, size_t bytes, mc_err *err)
{
    size_t mapped = 0;
    void *base = MAP_FAILED;
    int error = ENOMEM;
    if (mc_mul_size(bytes, STRETCH, &mapped) && mapped <= PTRDIFF_MAX) {
        base = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base == MAP_FAILED) error = errno;
    }
    if (base == MAP_FAILED) {
        mc_fail_errno(err, error, "cannot reserve %zu bytes of memory", bytes);
        return err->status = MC_E_BUDGET;
    }
    heap->base = base;
    heap->mapped = mapped;
    return MC_OK;
}

mc_status mc_heap_open(mc_heap *heap, size_t bytes, mc_err *err)
{
    *heap = (mc_heap){.entries = 1}; /* number 0 is none */
    if (bytes < LINE) return MC_OK;
    MC_TRY(map(heap, bytes, err));
    heap->entry_room = 64;
    heap->entry = malloc(heap->entry_room * sizeof *heap->entry);
    if (!heap->entry) {
        mc_heap_close(heap);
        return mc_no_room(err, "a heap");
    }
    heap->entry[heap->entries] = (mc_heap_entry){.lines = heap->mapped / LINE};
    put_in_bin(heap, heap->entries++);
    return MC_OK;
}

void mc_heap_close(mc_heap *heap)
{
    free(heap->entry);
    if (heap->base) {
        mc_unpoison(heap->base, heap->reached); /* the next owner of these addresses starts clean */
        munmap(heap->base, heap->mapped);
    }
    *heap = (mc_heap){0};
}

/* ---- taking ---- */

static uint32_t best_in_bin(const mc_heap *h, unsigned bin, size_t lines)
{
    uint32_t best = 0;
    for (uint32_t e = h->bin[bin]; e; e = h->entry[e].next) {
        const mc_heap_entry *x = &h->entry[e];
        if (x->lines < lines) continue;
        const mc_heap_entry *b = &h->entry[best];
        if (!best || x->lines < b->lines || (x->lines == b->lines && x->at < b->at)) best = e;
    }
    return best;
}

static uint32_t best_fit(const mc_heap *h, size_t lines)
{
    for (unsigned bin = bin_of(lines); bin < MC_HEAP_BINS; bin++) {
        const uint32_t e = best_in_bin(h, bin, lines);
        if (e) return e;
    }
    return 0;
}

/* Leaves the first `lines` lines in e; the rest becomes a free block behind it. */
static bool split(mc_heap *h, uint32_t e, size_t lines)
{
    if (h->entry[e].lines == lines) return true;
    const uint32_t rest = new_entry(h);
    if (!rest) return false;
    mc_heap_entry *x = &h->entry[e];
    h->entry[rest] = (mc_heap_entry){
        .at = x->at + lines, .lines = x->lines - lines, .before = e, .behind = x->behind};
    if (x->behind) h->entry[x->behind].before = rest;
    x->behind = rest;
    x->lines = lines;
    put_in_bin(h, rest);
    return true;
}

static size_t payload(const mc_heap_entry *x)
{
    return x->lines * LINE - GAP;
}

mc_block mc_heap_take(mc_heap *heap, size_t bytes)
{
    size_t room;
    if (!mc_add_size(bytes, GAP + LINE - 1, &room)) return 0;
    size_t lines = room / LINE;
    if (lines * LINE <= GAP) lines++;

    const uint32_t e = best_fit(heap, lines);
    if (!e) return 0;
    out_of_bin(heap, e);
    if (!split(heap, e, lines)) {
        put_in_bin(heap, e);
        return 0;
    }
    mc_heap_entry *x = &heap->entry[e];
    x->taken = true;
    const size_t end = (x->at + x->lines) * LINE;
    if (end > heap->reached) heap->reached = end;
    mc_unpoison(heap->base + x->at * LINE, bytes);
    mc_poison(heap->base + x->at * LINE + bytes, x->lines * LINE - bytes);
    heap->used += payload(x);
    if (heap->used > heap->peak) heap->peak = heap->used;
    return e;
}

void *mc_heap_at(const mc_heap *heap, mc_block block)
{
    return heap->base + heap->entry[block].at * LINE;
}

/* ---- giving back ---- */

/* `right` lies right behind `left`; both are free and in no bin. */
static void join(mc_heap *h, uint32_t left, uint32_t right)
{
    const mc_heap_entry *r = &h->entry[right];
    h->entry[left].lines += r->lines;
    h->entry[left].behind = r->behind;
    if (r->behind) h->entry[r->behind].before = left;
    drop_entry(h, right);
}

void mc_heap_give(mc_heap *heap, mc_block block)
{
    if (block == 0 || block >= heap->entries || !heap->entry[block].taken) return;
    uint32_t e = block;
    heap->used -= payload(&heap->entry[e]);
    heap->entry[e].taken = false;
    mc_poison(heap->base + heap->entry[e].at * LINE, heap->entry[e].lines * LINE);

    const uint32_t behind = heap->entry[e].behind, before = heap->entry[e].before;
    if (behind && !heap->entry[behind].taken) {
        out_of_bin(heap, behind);
        join(heap, e, behind);
    }
    if (before && !heap->entry[before].taken) {
        out_of_bin(heap, before);
        join(heap, before, e);
        e = before;
    }
    put_in_bin(heap, e);
}

size_t mc_heap_used(const mc_heap *heap)
{
    return heap->used;
}

size_t mc_heap_peak(const mc_heap *heap)
{
    return heap->peak;
}

size_t mc_heap_gaps(const mc_heap *heap)
{
    size_t n = 0;
    for (unsigned bin = 0; bin < MC_HEAP_BINS; bin++) {
        for (uint32_t e = heap->bin[bin]; e; e = heap->entry[e].next) n++;
    }
    return n;
}
