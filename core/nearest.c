/* Edit distance with swaps of neighbours (optimal string alignment), three rows at a time. */
#include "core/nearest.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

enum { LONGEST = 63 };

static unsigned least_of(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned mc_edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    unsigned rows[3][LONGEST + 1];
    if (a_length > LONGEST || b_length > LONGEST) return UINT_MAX;
    unsigned *older = rows[0], *old = rows[1], *row = rows[2];

    for (size_t j = 0; j <= b_length; j++) row[j] = (unsigned)j;
    for (size_t i = 1; i <= a_length; i++) {
        unsigned *const oldest = older;
        older = old, old = row, row = oldest;
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            const unsigned replace = old[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least_of(replace, least_of(old[j], row[j - 1]) + 1);
            const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) row[j] = least_of(row[j], older[j - 2] + 1);
        }
    }
    return row[b_length];
}

/* How far two names are apart; the beginning of a name counts as one letter missing. */
static unsigned distance(const char *text, size_t length, const char *name)
{
    if (length >= 2 && strncmp(text, name, length) == 0) return 1;
    return mc_edit_distance(text, length, name, strlen(name));
}

/* One letter in three may be wrong; at least one may be. */
static bool is_near(unsigned far, size_t length)
{
    return far <= length / 3 || (far <= 1 && length >= 2);
}

void mc_nearest_offer(mc_nearest *n, const char *name)
{
    const unsigned far = distance(n->text, n->length, name);
    if (n->best && far >= n->far) return;
    n->far = far;
    n->best = name;
}

const char *mc_nearest_best(const mc_nearest *n)
{
    return n->best && is_near(n->far, n->length) ? n->best : NULL;
}
