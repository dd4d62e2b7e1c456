/* The arrays of a block in a STATS file: one line each, which reading, writing and docs/stats.md
 * share. */
#ifndef MC_CALIB_STATS_PARTS_H
#define MC_CALIB_STATS_PARTS_H

#include "calib/stats_file.h"
#include "formats/safetensors.h"

/* X(id, name behind the slash, dtype). */
#define MC_STATS_LIST(X)                       \
    X(ROWS, "rows", I64)                       \
    X(SUM, "sum", F64)                         \
    X(SQUARE, "square", F64)                   \
    X(GRAM, "gram", F64)                       \
    X(CHANNEL_ROWS, "channel_rows", I64)       \
    X(CHANNEL_LEAST, "channel_least", F32)     \
    X(CHANNEL_MOST, "channel_most", F32)       \
    X(CHANNEL_SUM, "channel_sum", F64)         \
    X(CHANNEL_ABS, "channel_abs", F64)         \
    X(CHANNEL_SQUARE, "channel_square", F64)   \
    X(HISTOGRAM, "histogram", I64)             \
    X(HISTOGRAM_ABOUT, "histogram_about", I64) \
    X(HISTOGRAM_RANGE, "histogram_range", F32)

enum {
#define X(id, name, dtype) MC_STATS_##id,
    MC_STATS_LIST(X)
#undef X
    MC_STATS_LIST_END
};
_Static_assert((int)MC_STATS_LIST_END == (int)MC_STATS_ARRAYS, "stats_file.h counts the arrays");

typedef struct {
    const char *name;
    mc_dtype dtype;
} mc_stats_array;
extern const mc_stats_array mc_stats_array_of[MC_STATS_ARRAYS];

/* histogram_about */
enum {
    MC_STATS_TOTAL,
    MC_STATS_ZEROS,
    MC_STATS_NANS,
    MC_STATS_INFINITIES,
    MC_STATS_BINS,
    MC_STATS_WIDENING,
    MC_STATS_ABOUT_NUMBERS
};

/* Keys of the metadata. */
#define MC_STATS_FORMAT "mcompress-stats"
#define MC_STATS_VERSION "1"
#define MC_STATS_WEIGHT_KEY "weight/" /* in front of a weight's name */

/* A part of an unfinished file has this key. */
#define MC_STATS_PART_KEY "part"

/* Opens a finished file, or (`part`) one of an unfinished one. */
mc_status mc_stats_open_as(const char *path, bool part, mc_stats **out, mc_err *err);

const char *mc_stats_path(const mc_stats *stats);
const mc_safetensors *mc_stats_content(const mc_stats *stats);
const mc_map *mc_stats_map(const mc_stats *stats);

#endif
