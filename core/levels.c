/* The lists of levels. A table stands as rising numbers, so that a code is the rank of its level
 * and the nearest level is found by comparing with midpoints. */
#include "core/levels.h"

#include <string.h>

static const float binary[] = {-1.0f, 1.0f};

static const float ternary[] = {-1.0f, 0.0f, 1.0f};

/* Dettmers et al. 2023, "QLoRA", appendix E. */
static const float nf4[] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

static const float iq4_nl[] = {-127.0f, -104.0f, -83.0f, -65.0f, -49.0f, -35.0f, -22.0f, -10.0f,
                               1.0f,    13.0f,   25.0f,  38.0f,  53.0f,  69.0f,  89.0f,  113.0f};

/* OCP Microscaling Formats 1.0, table of FP4. Its two zeros are one level. */
static const float e2m1[] = {-6.0f, -4.0f, -3.0f, -2.0f, -1.5f, -1.0f, -0.5f, 0.0f,
                             0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f};

#define INTEGERS(b)                                                                       \
    {                                                                                     \
        .name = "int" #b, .summary = "the integers of " #b " bits", .id = b, .bits = (b), \
        .count = 1u << (b), .value = NULL,                                                \
    }

static const mc_levels list[] = {INTEGERS(1),       INTEGERS(2), INTEGERS(3), INTEGERS(4),
                                 INTEGERS(5),       INTEGERS(6), INTEGERS(7), INTEGERS(8),
#define X(name_, id_, bits_, count_, summary_) \
    {#name_, summary_, (id_), (bits_), (count_), (count_) == 3, name_},
                                 MC_LEVEL_TABLES(X)
#undef X
};

#define X(name_, id_, bits_, count_, summary_)                                             \
    _Static_assert(sizeof name_ == (count_) * sizeof(float) && (count_) <= 1 << (bits_) && \
                       (count_) <= MC_LEVELS_MOST,                                         \
                   #name_ " has another number of levels than its line says");
MC_LEVEL_TABLES(X)
#undef X

enum { LISTED = sizeof list / sizeof *list };

const mc_levels *mc_levels_int(unsigned bits)
{
    return bits >= 1 && bits <= 8 ? &list[bits - 1] : NULL;
}

const mc_levels *mc_levels_at(size_t i)
{
    return i < LISTED ? &list[i] : NULL;
}

const mc_levels *mc_levels_find(const char *name)
{
    for (size_t i = 0; i < LISTED; i++)
        if (strcmp(list[i].name, name) == 0) return &list[i];
    return NULL;
}

const mc_levels *mc_levels_by_id(unsigned id)
{
    for (size_t i = 0; i < LISTED; i++)
        if (list[i].id == id) return &list[i];
    return NULL;
}
