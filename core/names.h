/* A table from names to numbers: which tensor, which weight. */
#ifndef MC_CORE_NAMES_H
#define MC_CORE_NAMES_H

#include "core/arena.h"

#include <stddef.h>
#include <stdint.h>

#define MC_NO_NAME UINT32_MAX

typedef struct {
    const char *name; /* NULL: the place is free */
    uint32_t number;
} mc_named;

typedef struct {
    mc_named *place; /* open addressing; at most half of them are taken */
    size_t places;   /* a power of two */
    size_t names;
} mc_names;

/* An empty table; it takes no more of `mem` until more than `expected` names are in it. */
mc_status mc_names_open(mc_names *names, size_t expected, mc_arena *mem, mc_err *err);

/* The name gets the number, unless it has one already. The characters must outlive the table. */
mc_status mc_names_put(mc_names *names, const char *name, uint32_t number, mc_arena *mem,
                       mc_err *err);

/* The name's number, or MC_NO_NAME. */
uint32_t mc_names_find(const mc_names *names, const char *name);

#endif
