/* "did you mean …?": the nearest of a set of names to one that is not among them. */
#ifndef MC_CORE_NEAREST_H
#define MC_CORE_NEAREST_H

#include <stddef.h>

/* Letters to insert, delete, replace or swap with their neighbour to turn one text into the other.
 * Texts beyond 63 bytes are as far as can be: UINT_MAX. */
unsigned mc_edit_distance(const char *a, size_t a_length, const char *b, size_t b_length);

/* Start with {.text, .length}, offer every name, then ask for the best. */
typedef struct {
    const char *text;
    size_t length;
    const char *best;
    unsigned far; /* of `best`; counts when there is one */
} mc_nearest;

void mc_nearest_offer(mc_nearest *nearest, const char *name);

/* NULL when no name is near: more than one letter in three would be wrong. */
const char *mc_nearest_best(const mc_nearest *nearest);

#endif
