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

/* OCP 8-bit Floating Point 1.0: E4M3 without NaN, E5M2 without infinities and NaN. Outwards from 0:
 * the subnormals, then binade by binade, each written as multiples of its last place. */
#define UP4(u)   4 * (u), 5 * (u), 6 * (u), 7 * (u)
#define UP8(u)   8 * (u), 9 * (u), 10 * (u), 11 * (u), 12 * (u), 13 * (u), 14 * (u), 15 * (u)
#define DOWN4(u) -7 * (u), -6 * (u), -5 * (u), -4 * (u)
#define DOWN8(u) \
    -15 * (u), -14 * (u), -13 * (u), -12 * (u), -11 * (u), -10 * (u), -9 * (u), -8 * (u)

/* clang-format off */
static const float e4m3[] = {
    -448.0f, -416.0f, -384.0f, -352.0f, -320.0f, -288.0f, -256.0f,
    DOWN8(0x1p4f), DOWN8(0x1p3f), DOWN8(0x1p2f), DOWN8(0x1p1f), DOWN8(0x1p0f),
    DOWN8(0x1p-1f), DOWN8(0x1p-2f), DOWN8(0x1p-3f), DOWN8(0x1p-4f), DOWN8(0x1p-5f),
    DOWN8(0x1p-6f), DOWN8(0x1p-7f), DOWN8(0x1p-8f), DOWN8(0x1p-9f),
    DOWN4(0x1p-9f), -3 * 0x1p-9f, -2 * 0x1p-9f, -1 * 0x1p-9f,
    0.0f,
    1 * 0x1p-9f, 2 * 0x1p-9f, 3 * 0x1p-9f, UP4(0x1p-9f),
    UP8(0x1p-9f), UP8(0x1p-8f), UP8(0x1p-7f), UP8(0x1p-6f), UP8(0x1p-5f),
    UP8(0x1p-4f), UP8(0x1p-3f), UP8(0x1p-2f), UP8(0x1p-1f), UP8(0x1p0f),
    UP8(0x1p1f), UP8(0x1p2f), UP8(0x1p3f), UP8(0x1p4f),
    256.0f, 288.0f, 320.0f, 352.0f, 384.0f, 416.0f, 448.0f,
};

static const float e5m2[] = {
    DOWN4(0x1p13f), DOWN4(0x1p12f), DOWN4(0x1p11f), DOWN4(0x1p10f), DOWN4(0x1p9f),
    DOWN4(0x1p8f), DOWN4(0x1p7f), DOWN4(0x1p6f), DOWN4(0x1p5f), DOWN4(0x1p4f),
    DOWN4(0x1p3f), DOWN4(0x1p2f), DOWN4(0x1p1f), DOWN4(0x1p0f), DOWN4(0x1p-1f),
    DOWN4(0x1p-2f), DOWN4(0x1p-3f), DOWN4(0x1p-4f), DOWN4(0x1p-5f), DOWN4(0x1p-6f),
    DOWN4(0x1p-7f), DOWN4(0x1p-8f), DOWN4(0x1p-9f), DOWN4(0x1p-10f), DOWN4(0x1p-11f),
    DOWN4(0x1p-12f), DOWN4(0x1p-13f), DOWN4(0x1p-14f), DOWN4(0x1p-15f), DOWN4(0x1p-16f),
    -3 * 0x1p-16f, -2 * 0x1p-16f, -1 * 0x1p-16f,
    0.0f,
    1 * 0x1p-16f, 2 * 0x1p-16f, 3 * 0x1p-16f,
    UP4(0x1p-16f), UP4(0x1p-15f), UP4(0x1p-14f), UP4(0x1p-13f), UP4(0x1p-12f),
    UP4(0x1p-11f), UP4(0x1p-10f), UP4(0x1p-9f), UP4(0x1p-8f), UP4(0x1p-7f),
    UP4(0x1p-6f), UP4(0x1p-5f), UP4(0x1p-4f), UP4(0x1p-3f), UP4(0x1p-2f),
    UP4(0x1p-1f), UP4(0x1p0f), UP4(0x1p1f), UP4(0x1p2f), UP4(0x1p3f),
    UP4(0x1p4f), UP4(0x1p5f), UP4(0x1p6f), UP4(0x1p7f), UP4(0x1p8f),
    UP4(0x1p9f), UP4(0x1p10f), UP4(0x1p11f), UP4(0x1p12f), UP4(0x1p13f),
};
/* clang-format on */

#define INTEGERS(b)                                                                       \
    {                                                                                     \
        .name = "int" #b, .summary = "the integers of " #b " bits", .id = b, .bits = (b), \
        .count = 1u << (b), .value = NULL,                                                \
    }

static const mc_levels list[] = {INTEGERS(1),       INTEGERS(2), INTEGERS(3), INTEGERS(4),
                                 INTEGERS(5),       INTEGERS(6), INTEGERS(7), INTEGERS(8),
#define X(name_, id_, bits_, count_, fraction_, exponent_, summary_) \
    {#name_, summary_, (id_), (bits_), (count_), (fraction_), (exponent_), (count_) == 3, name_},
                                 MC_LEVEL_TABLES(X)
#undef X
};

#define X(name_, id_, bits_, count_, fraction_, exponent_, summary_)                       \
    _Static_assert(sizeof name_ == (count_) * sizeof(float) && (count_) <= 1 << (bits_) && \
                       (count_) <= ((fraction_) ? MC_LEVELS_MOST : MC_TABLE_MOST),         \
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
