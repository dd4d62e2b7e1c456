/* Two models or containers side by side: which tensors both have, how far their values are apart,
 * and what an update of one container to the other would have to send. */
#ifndef MC_CLI_DIFF_H
#define MC_CLI_DIFF_H

#include "cli/subject.h"
#include "core/json.h"
#include "core/meter.h"
#include "core/pool.h"
#include "core/text.h"

typedef enum {
    MC_DIFF_EQUAL,  /* the same values */
    MC_DIFF_VALUES, /* the same shape, other values */
    MC_DIFF_SHAPE,
    MC_DIFF_DTYPE, /* and one of them has no conversion to f32 */
    MC_DIFF_ONLY_A,
    MC_DIFF_ONLY_B,
    MC_DIFF_KINDS
} mc_diff_kind;

typedef struct {
    const char *name;
    size_t a, b; /* places in the subjects, when they have it */
    mc_diff_kind kind;
    bool measured;  /* there are numbers, so the next three say something */
    double sqnr_db; /* of B's values, taking A's as the truth (verify/metrics.h) */
    double max_abs;
    uint64_t max_index;
} mc_diff_entry;

typedef struct {
    mc_diff_entry *entry; /* in the order of their names */
    size_t entries;
    size_t kind[MC_DIFF_KINDS]; /* how many of each */
    const mc_diff_entry *worst; /* the least SQNR, or NULL */
    /* two containers only: */
    bool containers;
    uint64_t sections, sections_changed; /* of B; changed, or not in A */
    uint64_t sectors, sectors_changed;   /* of 4096 bytes of B; changed, or beyond the end of A */
} mc_diff;

/* Bytes that mc_diff_run takes of `mem`, and scratch that its pool needs. */
size_t mc_diff_memory(const mc_subject *a, const mc_subject *b);
size_t mc_diff_scratch(void);

/* Upper bound of all memory that comparing takes, mapped pages included. */
uint64_t mc_diff_bytes_needed(const mc_subject *a, const mc_subject *b, unsigned threads);

typedef struct {
    const mc_subject *a, *b;
    mc_pool *pool;  /* with mc_diff_scratch() */
    mc_meter meter; /* gets the bytes of A as they are compared; may be zero */
} mc_diff_input;

/* Containers must have passed mc_container_check. */
mc_status mc_diff_run(const mc_diff_input *input, mc_arena *mem, mc_diff *out, mc_err *err);

/* Fills in what concerns the bytes of two containers. */
void mc_diff_bytes(const mc_container *a, const mc_container *b, mc_diff *diff);

bool mc_diff_is_equal(const mc_diff *diff);
const char *mc_diff_kind_name(mc_diff_kind kind);

void mc_diff_text(mc_text *text, const mc_subject *a, const mc_subject *b, const mc_diff *diff);
void mc_diff_json(mc_json_out *json, const mc_subject *a, const mc_subject *b, const mc_diff *diff);

#endif
