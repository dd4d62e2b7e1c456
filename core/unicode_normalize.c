/* The canonical normal forms (Unicode standard annex 15): take characters apart, put marks into
 * canonical order, put together again. Hangul by arithmetic. */
#include "core/unicode.h"
#include "core/unicode_tables.h"

#include <stdlib.h>
#include <string.h>

enum {
    L_BASE = 0x1100,
    V_BASE = 0x1161,
    T_BASE = 0x11a7,
    S_BASE = 0xac00,
    L_COUNT = 19,
    V_COUNT = 21,
    T_COUNT = 28,
    S_COUNT = L_COUNT * V_COUNT * T_COUNT,
    FIRST_MARK = 0x300,
    FIRST_PARTS = 0xc0,
    MAX_PARTS = 8, /* no character has more than 4 */
};

#define PART ((1u << 21) - 1)

typedef struct {
    uint32_t *at;
    size_t n, room;
} characters;

static bool push(characters *list, uint32_t c)
{
    if (list->n == list->room) {
        const size_t room = list->room ? 2 * list->room : 256;
        uint32_t *moved =
            room <= SIZE_MAX / sizeof *moved ? realloc(list->at, room * sizeof *moved) : NULL;
        if (!moved) return false;
        list->at = moved;
        list->room = room;
    }
    list->at[list->n++] = c;
    return true;
}

/* ---- apart ---- */

/* The entry of the table, or 0. */
static uint64_t parts_of(uint32_t c)
{
    size_t low = 0, high = mc_unicode_parts_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const uint32_t found = (uint32_t)(mc_unicode_parts[middle] >> 42) & PART;
        if (found == c) return mc_unicode_parts[middle];
        if (found < c)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

static bool push_hangul(characters *list, uint32_t s)
{
    const uint32_t t = s % T_COUNT;
    return push(list, L_BASE + s / (V_COUNT * T_COUNT)) &&
           push(list, V_BASE + s / T_COUNT % V_COUNT) && (t == 0 || push(list, T_BASE + t));
}

/* First parts may have parts of their own, second ones never do. */
static bool push_apart(characters *list, uint32_t c)
{
    if (c < FIRST_PARTS) return push(list, c);
    if (c - S_BASE < S_COUNT) return push_hangul(list, c - S_BASE);
    uint32_t tail[MAX_PARTS];
    size_t tails = 0;
    for (uint64_t entry; (entry = parts_of(c)) != 0 && tails < MAX_PARTS;) {
        c = (uint32_t)(entry >> 21) & PART;
        if (entry & PART) tail[tails++] = (uint32_t)entry & PART;
    }
    bool done = push(list, c);
    while (done && tails > 0) done = push(list, tail[--tails]);
    return done;
}

/* ---- in order ---- */

static unsigned order_of(uint32_t c)
{
    if (c < FIRST_MARK) return 0;
    size_t low = 0, high = mc_unicode_classes_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const mc_unicode_class *run = &mc_unicode_classes[middle];
        if (c >= run->first && c <= run->last) return run->order;
        if (c > run->last)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

/* A counting sort: marks of one class keep their order, and a long row of marks stays linear. */
static void sort_marks(uint32_t *mark, size_t n, uint32_t *scratch)
{
    size_t start[257] = {0};
    for (size_t i = 0; i < n; i++) start[order_of(mark[i]) + 1]++;
    for (size_t i = 1; i < 257; i++) start[i] += start[i - 1];
    for (size_t i = 0; i < n; i++) scratch[start[order_of(mark[i])]++] = mark[i];
    memcpy(mark, scratch, n * sizeof *mark);
}

static bool order_marks(characters *list)
{
    uint32_t *scratch = NULL;
    for (size_t i = 0; i < list->n;) {
        size_t end = i;
        while (end < list->n && order_of(list->at[end]) > 0) end++;
        if (end - i > 1) {
            if (!scratch) scratch = malloc(list->n * sizeof *scratch);
            if (!scratch) return false;
            sort_marks(list->at + i, end - i, scratch);
        }
        i = end + 1;
    }
    free(scratch);
    return true;
}

/* ---- together ---- */

/* The character that two compose, or 0. */
static uint32_t whole_of(uint32_t first, uint32_t second)
{
    if (first - L_BASE < L_COUNT && second - V_BASE < V_COUNT)
        return S_BASE + ((first - L_BASE) * V_COUNT + (second - V_BASE)) * T_COUNT;
    if (first - S_BASE < S_COUNT && (first - S_BASE) % T_COUNT == 0 && second > T_BASE &&
        second < T_BASE + T_COUNT)
        return first + (second - T_BASE);

    const uint64_t pair = (uint64_t)first << 21 | second, mask = ((uint64_t)1 << 42) - 1;
    size_t low = 0, high = mc_unicode_wholes_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const uint64_t entry = mc_unicode_parts[mc_unicode_wholes[middle]];
        if ((entry & mask) == pair) return (uint32_t)(entry >> 42) & PART;
        if ((entry & mask) < pair)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

/* A character joins the last starter unless something of its class or of class 0 stands between. */
static void compose_all(characters *list)
{
    size_t out = 0, starter = SIZE_MAX;
    unsigned last = 0; /* class of what was kept last */
    for (size_t i = 0; i < list->n; i++) {
        const uint32_t c = list->at[i];
        const unsigned order = order_of(c);
        if (starter != SIZE_MAX && (out == starter + 1 || last < order)) {
            const uint32_t whole = whole_of(list->at[starter], c);
            if (whole) {
                list->at[starter] = whole;
                continue;
            }
        }
        if (order == 0) starter = out;
        last = order;
        list->at[out++] = c;
    }
    list->n = out;
}

void mc_add_normal_form(mc_text *out, const char *text, size_t bytes, bool compose)
{
    size_t plain = 0; /* ASCII at the front, less the last, which a mark may follow */
    while (plain < bytes && (unsigned char)text[plain] < 0x80) plain++;
    if (plain > 0 && plain < bytes) plain--;
    mc_text_add_bytes(out, text, plain);

    characters list = {0};
    bool done = true;
    for (size_t i = plain; i < bytes && done;) {
        uint32_t c;
        i += mc_utf8_at(text + i, &c);
        done = push_apart(&list, c);
    }
    done = done && order_marks(&list);
    if (done && compose) compose_all(&list);
    for (size_t i = 0; i < list.n && done; i++) mc_utf8_add(out, list.at[i]);
    if (!done) out->failed = true;
    free(list.at);
}
