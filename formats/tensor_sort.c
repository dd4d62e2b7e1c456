/* Sorting tensors by name, for headers of a million of them.
 *
 * Names of one model share their beginning ("model.layers."), so strcmp would walk over it each
 * time, through two pointers. Here the eight bytes behind it travel with the index as one number,
 * which settles most comparisons; the tensors move once, at the end. */
#include "formats/model_build.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    uint64_t head;    /* of `rest`, the first byte highest */
    const char *rest; /* the name behind what all names begin with; NULL once its tensor moved */
    uint32_t from;
} key;

static bool is_sorted(const mc_tensor *t, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (strcmp(t[i - 1].name, t[i].name) > 0) return false;
    return true;
}

static size_t shared_length(const mc_tensor *t, size_t n)
{
    size_t shared = strlen(t[0].name);
    for (size_t i = 1; i < n; i++) {
        size_t k = 0;
        while (k < shared && t[i].name[k] == t[0].name[k]) k++;
        shared = k;
    }
    return shared;
}

static uint64_t head_of(const char *text)
{
    uint64_t head = 0;
    for (int shift = 56; shift >= 0 && *text; shift -= 8, text++)
        head |= (uint64_t)(unsigned char)*text << shift;
    return head;
}

static int by_rest(const void *a, const void *b)
{
    const key *x = a, *y = b;
    if (x->head != y->head) return x->head < y->head ? -1 : 1;
    return strcmp(x->rest, y->rest);
}

/* Moves each tensor to its place along the cycles of the permutation. */
static void permute(mc_tensor *t, key *k, size_t n)
{
    for (size_t start = 0; start < n; start++) {
        if (!k[start].rest) continue;
        const mc_tensor first = t[start];
        size_t to = start;
        while (k[to].from != start) {
            t[to] = t[k[to].from];
            k[to].rest = NULL;
            to = k[to].from;
        }
        t[to] = first;
        k[to].rest = NULL;
    }
}

size_t mc_sort_tensors_memory(size_t n)
{
    return n * sizeof(key) + 64;
}

bool mc_sort_tensors(mc_tensor *t, size_t n, uint32_t *was, mc_arena scratch)
{
    for (size_t i = 0; i < n; i++) was[i] = (uint32_t)i;
    if (is_sorted(t, n)) return true;

    key *k = MC_NEW_RAW(&scratch, key, n);
    if (!k) return false;
    const size_t shared = shared_length(t, n);
    for (size_t i = 0; i < n; i++) {
        const char *rest = t[i].name + shared;
        k[i] = (key){head_of(rest), rest, (uint32_t)i};
    }
    qsort(k, n, sizeof *k, by_rest);
    for (size_t i = 0; i < n; i++) was[i] = k[i].from;
    permute(t, k, n);
    return true;
}
