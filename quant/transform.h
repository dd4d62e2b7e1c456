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
    MC_PLACE_LINEAR, /* v -> attention -> o, up -> times gate -> down: the value depends on a linear
                        site's output channel by channel, linearly */
    MC_PLACE_CONV,   /* convolution or linear -> ReLU, PReLU, pooling -> convolution or linear:
                        through positive-homogeneous functions, or none: cross-layer equalization */
} mc_place_kind;

/* What a site's outputs meet before anybody takes them: a bias (its node's, or an Add behind it)
 * and a BatchNormalization. */
typedef struct {
    mc_id value;           /* behind all of it */
    const mc_tensor *bias; /* one number for each output (other dimensions are 1), or NULL */
    struct {
        const mc_tensor *scale, *bias, *mean, *variance; /* all NULL: there is none */
        double epsilon;
    } norm;
    bool fixed; /* a bias or a norm that others share or that is no vector of constants: outputs can
                   be neither scaled nor shifted */
} mc_site_output;

/* A channel i of the consumers' input may be divided by s[from[i]] when the producer's channel
 * from[i] is divided by it too: columns of the consumers are multiplied. */
typedef struct {
    mc_place_kind kind;
    const char *name;          /* of the producer, for messages */
    const mc_input_group *to;  /* whose value it is */
    const size_t *site;        /* the consumers, indices into mc_sites: those of `to`, and experts
                                  that take rows of the value. Nobody else takes it */
    size_t sites;
    const uint32_t *from;      /* of each channel of the value: the producer's channel */
    size_t width;              /* channels of the value */
    size_t channels;           /* of the producer; of parts of its output (fused matrices) more than
                                  `from` names */
    const mc_tensor *gain;     /* NORM: one number for each channel; NULL: none */
    double gain_offset;        /* … to which the graph adds this (Gemma: 1) */
    const mc_tensor *bias;     /* where the producer takes a shift of its outputs, or NULL */
    const mc_site *producer;   /* LINEAR, CONV; else NULL */
    size_t head;               /* channels of a head when an attention lies between; else 0 */
    bool takes_shift;          /* a shift of the value can be made good in biases on both sides, */
    bool rectified;            /* … as long as it stays below all values: a ReLU lies between */
} mc_place;

typedef struct {
    const mc_graph *graph; /* the execution graph */
    const mc_sites *sites;
    const mc_site_output *output; /* of each site */
    mc_input_groups groups;
    const mc_place *place; /* in the order of their groups, at most one each */
    size_t places;
} mc_places;

/* Of an execution graph; lives in `mem`. Channels that other nodes take as well are no place, and
 * no tensor that a place edits serves anybody else. BatchNormalization is seen where the pass
 * batchnorm was skipped; sites that the pass multiplies (mc_site.scaled) are in no place. */
mc_status mc_places_find(const mc_graph *graph, const mc_sites *sites, mc_arena *mem,
                         mc_places *out, mc_err *err);

/* Where a site takes what its outputs are to be shifted by; NULL: nowhere. */
static inline const mc_tensor *mc_place_slot(const mc_site_output *output)
{
    if (output->fixed) return NULL;
    return output->norm.bias ? output->norm.bias : output->bias;
}

/* The place of a group, or NULL. Groups are told by their values: a walk has a list of its own. */
const mc_place *mc_places_of(const mc_places *places, const mc_input_group *group);

/* ---- transforms ---- */

/* What transforms have made of the input of a site, in their order: statistics that were collected
 * before them are brought up to date by it. */
typedef enum { MC_INPUT_SCALED, MC_INPUT_SHIFTED, MC_INPUT_ROTATED } mc_input_change_kind;

typedef struct mc_input_change mc_input_change;
struct mc_input_change {
    mc_input_change_kind kind;
    size_t n;                    /* channels of the input */
    const double *vector;        /* SCALED: x became x / vector, SHIFTED: x - vector */
    const mc_rotation *rotation; /* ROTATED: x (as a row) became x Q */
    mc_input_change *next;
};

typedef struct {
    mc_arena *mem;           /* grows */
    mc_input_change **first; /* of each site; NULL: none */
} mc_input_changes;

/* What is known of an input group's activation in the float model, edited as it was before this
 * transform began. */
typedef struct {
    const mc_input_group *group; /* as in places->groups */
    mc_moments moments;      /* of the group's first site; with gram when the transform wants it */
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
    mc_input_changes *changes;   /* told of what becomes of inputs; may be NULL */
} mc_transform_job;

/* Notes a change of a site's input behind those before it; the vector is copied, the rotation must
 * last as long as the edits. */
mc_status mc_input_changed(const mc_transform_job *job, size_t site, mc_input_change change,
                           mc_err *err);

typedef struct mc_transform mc_transform;
struct mc_transform {
    const char *name, *summary, *needs, *cost, *paper;
    mc_quant_param params[MC_QUANT_PARAMS];
    unsigned wants;       /* MC_QUANT_… of each input group; 0: no data */
    bool scales_norms;    /* excludes rotations, */
    bool rotates;         /* which exclude these */

    /* Once, before any data: edits that follow from the weights alone, and MC_E_UNSUPPORTED when
     * there is no place for the transform. What goes into `mem` must last as long as the edits.
     * May be NULL. */
    mc_status (*begin)(const mc_transform_job *job, mc_arena *mem, mc_err *err);
    /* For each input group in the order of the graph, with what is known of it. May be NULL. */
    mc_status (*group)(const mc_transform_job *job, const mc_input_stats *stats, mc_arena scratch,
                       mc_err *err);
};

#define X(name) extern const mc_transform mc_transform_##name;
MC_TRANSFORMS(X)
#undef X

const mc_transform *mc_transform_at(size_t i); /* NULL past the end */

/* What `scratch` of group and `mem` of begin must hold at most. */
size_t mc_transform_memory(const mc_places *places);

#endif
