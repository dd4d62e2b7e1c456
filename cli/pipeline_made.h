/* What a run has made of the tensors of a model so far: codes, edited numbers, or nothing yet. The
 * executor sees the model through it as it is at that moment. */
#ifndef MC_CLI_PIPELINE_MADE_H
#define MC_CLI_PIPELINE_MADE_H

#include "cli/pipeline_plan.h"
#include "core/act_spec.h"
#include "core/edit.h"
#include "core/lend.h"

typedef struct {
    bool coded;                  /* q holds its codes, whole */
    mc_qmat q;
    const float *dense;          /* numbers of an edited tensor that is kept, in its own order */
    const mc_quant_setup *setup; /* by which it was coded */
    const char *why;             /* another method than planned: the reason; else NULL */
    bool fallback;               /* it meets an activation, and the planned one could have been */
    const char *no_bias;         /* why its bias could not be corrected, where it was asked for */
    mc_quant_facts facts;
    uint64_t rows_seen;          /* tokens that the weight met; 0: no data */
    double outputs;              /* sum of squares of what the weight gives; NAN: not asked for */
} mc_made_entry;

/* Where the time of choosing codes went, in seconds. */
typedef struct {
    double forward; /* running stages on the samples */
    double moments; /* Grams and what belongs to them */
    double factors; /* what rows that meet the same inputs share */
    double codes;   /* rows */
} mc_made_seconds;

typedef struct {
    mc_weights weights; /* first */
    const mc_plan *plan;
    mc_made_entry *entry; /* of each of the plan's */
    mc_edits *edits;
    size_t *place;        /* the entry of each of the model's tensors */
    mc_region lists;      /* grows: notes, activations */
    mc_region edited;     /* edits */
    mc_region turned;     /* rotations that edits point to */
    mc_region changed;    /* changes of inputs */
    mc_region file;       /* codes and numbers, in a scratch file */
    mc_made_seconds seconds;
    mc_act_spec *act;     /* of each site of the execution graph; NULL: activations are floats */
    mc_kv_spec kv;
    uint32_t *hadamard;   /* of each site: the block its input is rotated by online; or NULL */
    mc_input_changes changes; /* of each site: what transforms have made of its input */
} mc_made;

mc_status mc_made_open(const mc_plan *plan, mc_made *out, mc_err *err);
void mc_made_close(mc_made *made);

/* What has become of a site's input since the float model; NULL: nothing. */
const mc_input_change *mc_made_change(const mc_made *made, size_t site);

/* The plan's entry of a tensor, by its name; SIZE_MAX: it is none of the plan's. */
size_t mc_made_find(const mc_made *made, const mc_tensor *tensor);

/* All elements as they are before coding: of the source, edited. In the order of the matrix of
 * the weight's spec. `mem` is a loan that holds mc_made_load_bytes(). */
mc_status mc_made_load(const mc_made *made, size_t entry, mc_arena mem, float *out, mc_err *err);
size_t mc_made_load_bytes(const mc_plan *plan, size_t entry);

/* Lays out the codes of an entry in the scratch file. */
mc_status mc_made_begin_codes(mc_made *made, size_t entry, mc_err *err);

/* Loads what was edited and is kept. */
mc_status mc_made_load_kept(mc_made *made, mc_err *err);

/* Pages of codes and of the source may leave memory. */
void mc_made_release(const mc_made *made);

#endif
