/* Transforms: function-preserving edits of several weights at once, made before codes are chosen.
 *
 * To add one, write quant/transform_<name>.c that defines mc_transform_<name>, and add X(<name>) to
 * the list; `mcompress methods` shows it, --method accepts it in front of a rounding method
 * ("smoothquant+gptq"), and tests/quant/test_every_transform.c holds it to 1e-5. */
#ifndef MC_QUANT_TRANSFORM_H
#define MC_QUANT_TRANSFORM_H

#include "core/edit.h"
#include "core/input_group.h"
#include "core/pool.h"
#include "quant/quant.h"

#define MC_TRANSFORMS(X) \
    X(batchnorm)         \
    X(logeq)             \
    X(cle)               \
    X(absorb)            \
    X(smoothquant)       \
    X(awq)               \
    X(shift)             \
    X(rotate)            \
    /* end */

/* ---- places.c: where the graph lets channels be scaled, shifted or rotated ---- */

typedef enum {
    MC_PLACE_NORM,   /* the value is a norm's output: its gain (and bias) take the scale */
    MC_PLACE_LINEAR, /* the value depends on a linear site's output channel by channel, linearly:
                        v -> attention -> o, up -> times gate -> down */
    MC_PLACE_CONV,   /* through positive-homogeneous functions (ReLU, PReLU, pooling) from a
                        convolution or linear site: cross-layer equalization */
} mc_place_kind;

/* A channel i of the consumers' input may be divided by s[from[i]] when the producer's channel
 * from[i] is divided by it too: columns of the consumers are multiplied. */
typedef struct {
    mc_place_kind kind;
    const char *name;          /* of the producer, for messages */
    const mc_input_group *to;  /* the consumers; all takers of the value are in it */
    const uint32_t *from;      /* for each channel of the input: producer's channel of each input channel */
    size_t channels;           /* of the producer */
    const mc_tensor *gain;     /* NORM: [channels], else NULL */
    const mc_tensor *bias;     /* of the producer, or NULL: it has none */
    const mc_site *producer;   /* LINEAR, CONV; else NULL */
    const mc_site *depthwise;  /* a depthwise convolution in between, or NULL */
    bool takes_shift;          /* a shift can be made good in biases on both sides */
} mc_place;

typedef struct {
    const mc_graph *graph; /* the execution graph */
    const mc_sites *sites;
    mc_input_groups groups; /* core/input_group.h: mc_input_groups_find makes them */
    const mc_place *place;
    size_t places;
} mc_places;

/* Of an execution graph; lives in `mem`. Channels that other nodes take as well are no place. */
mc_status mc_places_find(const mc_graph *graph, const mc_sites *sites, mc_arena *mem,
                         mc_places *out, mc_err *err);

/* ---- transforms ---- */

/* What is known of an input group's activation in the float model. */
typedef struct {
    const mc_input_group *group;
    mc_moments moments;      /* with gram when the transform wants it */
    const float *least, *most, *absmax; /* of each channel */
    const double *mean_abs;  /* E|x| of each channel */
} mc_input_stats;

typedef struct {
    const mc_model *model;
    const mc_places *places;
    mc_edits *edits;
    const mc_quant_setup *setup; /* the transform's own parameters */
    const mc_quant_setup *rounding; /* the method that will choose codes (for searches) */
    const mc_grid *grid;         /* … on this grid; of tensors that differ the plan's own */
    size_t group;                /* columns under a scale; 0: a row */
    unsigned activation_bits;    /* 16: not quantized */
    uint64_t seed;
    mc_pool *pool;
    bool online_hadamard;        /* the target runs Hadamard transforms at sites (R3, R4) */
    uint32_t *hadamard;          /* of each site: set to the block of a transform that the device
                                    applies to the site's input (mc_act_spec) */
    bool *kv_hadamard;           /* set when keys and queries are rotated too */
} mc_transform_job;

typedef struct mc_transform mc_transform;
struct mc_transform {
    const char *name, *summary, *needs, *paper;
    mc_quant_param params[MC_QUANT_PARAMS];
    unsigned wants;       /* MC_QUANT_… of each input group; 0: no data */
    bool scales_norms;    /* excludes rotations, */
    bool rotates;         /* which exclude these */

    /* Once, before any data: edits that follow from the weights alone. May be NULL. */
    mc_status (*begin)(const mc_transform_job *job, mc_arena *mem, mc_err *err);
    /* For each input group in the order of the graph, with what is known of it. May be NULL. */
    mc_status (*group)(const mc_transform_job *job, const mc_input_stats *stats, mc_arena scratch,
                       mc_err *err);
};

#define X(name) extern const mc_transform mc_transform_##name;
MC_TRANSFORMS(X)
#undef X

const mc_transform *mc_transform_at(size_t i); /* NULL past the end */

#endif
