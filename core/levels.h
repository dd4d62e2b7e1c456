/* Levels: the numbers t[u] that codes stand for, before scale and offset.
 *
 * A table is one line of MC_LEVEL_TABLES; the plan, the container and its decoders know it by name.
 * The numeric id is written into containers: never reorder, only append. Ids 1..8 are the integers
 * of 1..8 bits. */
#ifndef MC_CORE_LEVELS_H
#define MC_CORE_LEVELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(name, id, bits of a code, levels, bits of fraction, least exponent, summary); the numbers stand
 * in levels.c. Floats have bits of fraction, other tables none. */
#define MC_LEVEL_TABLES(X)                                                            \
    X(binary, 9, 1, 2, 0, 0, "-1 and 1")                                              \
    X(ternary, 10, 2, 3, 0, 0, "-1, 0 and 1")                                         \
    X(nf4, 11, 4, 16, 0, 0, "quantiles of a normal distribution (QLoRA)")             \
    X(iq4_nl, 12, 4, 16, 0, 0, "the non-linear 4-bit levels of llama.cpp")            \
    X(e2m1, 13, 4, 15, 1, 0, "4-bit floats of MXFP4 and NVFP4, zero only once")       \
    X(e4m3, 14, 8, 253, 3, -6, "8-bit floats of OCP, 3 bits of fraction, up to 448")  \
    X(e5m2, 15, 8, 247, 2, -14, "8-bit floats of OCP, 2 bits of fraction, up to 57344") \
    /* end */

enum {
    MC_LEVELS_MOST = 256, /* levels in a table */
    MC_TABLE_MOST = 16,   /* in one that is not of floats */
};

typedef struct {
    const char *name; /* "int4", "ternary", "nf4", … */
    const char *summary;
    uint8_t id;
    uint8_t bits;       /* of a code */
    uint16_t count;     /* levels in use: 2^bits, 3 for ternary, 15 for e2m1 */
    uint8_t fraction;   /* floats: bits of fraction. A level is then that many places from the
                           middle one, 0, as its float's bits without the sign say */
    int8_t exponent;    /* floats: of the least binade, whose unit subnormals share */
    bool base3;         /* three levels: five codes share a byte, 3^5 = 243 */
    const float *value; /* `count` rising numbers, or NULL for the integers 0..2^bits-1 */
} mc_levels;

/* The integers of `bits` = 1..8, or NULL. */
const mc_levels *mc_levels_int(unsigned bits);

/* By name or by id, NULL when there is none. mc_levels_at walks the list. */
const mc_levels *mc_levels_find(const char *name);
const mc_levels *mc_levels_by_id(unsigned id);
const mc_levels *mc_levels_at(size_t i);

#endif
