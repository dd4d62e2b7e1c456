/* Weights to test with, the same in every run: one kind after another of what matrices hold, and of
 * what they should not hold. */
#ifndef MC_TESTS_SUPPORT_DRAW_H
#define MC_TESTS_SUPPORT_DRAW_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    DRAW_NORMAL,
    DRAW_HEAVY,    /* Student's t of 3 degrees of freedom */
    DRAW_OUTLIER,  /* normal, with a weight 15 times larger here and there */
    DRAW_UNIFORM,
    DRAW_POSITIVE, /* all of one sign */
    DRAW_SHIFTED,
    DRAW_TINY,     /* normal times 2^-20 */
    DRAW_CONSTANT, /* one number in each run of 32 */
    DRAW_SPARSE,   /* mostly zeros, whole runs of them too */
    DRAW_KINDS
} draw_kind;

const char *draw_name(draw_kind kind);

/* `n` weights of the kind; another seed, other weights. */
void draw_weights(draw_kind kind, uint64_t seed, float *w, size_t n);

/* Floats of every class: random bits without NaN and infinity, 0 and -0, subnormals among them. */
void draw_bits(uint64_t seed, float *w, size_t n);

#endif
