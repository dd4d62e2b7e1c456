/* What transforms share that scale channels: weights as they stand, statistics folded onto a
 * producer's channels, and the edits that a vector of scales asks for. */
#ifndef MC_QUANT_TRANSFORM_SCALE_H
#define MC_QUANT_TRANSFORM_SCALE_H

#include "quant/places_look.h"

/* Scales are kept within these; a channel without one (NaN, infinity, nothing in it) gets 1. */
#define MC_SCALE_LEAST 1e-4
#define MC_SCALE_MOST  1e4

/* A tensor with its edits, in `mem` (whose scratch is free again); NULL in *out only on failure. */
mc_status mc_scale_load(const mc_transform_job *job, const mc_tensor *tensor, mc_arena *mem,
                        const float **out, mc_err *err);

/* The largest |element| at each index along an axis; raises what stands in out[dim[axis]]. */
void mc_scale_raise(const mc_tensor *tensor, const float *x, int axis, double *out);

/* The largest |weight| that meets each channel of the place's value: most[width]. */
mc_status mc_scale_columns(const mc_transform_job *job, const mc_place *place, mc_arena scratch,
                           double *most, mc_err *err);

/* Is the tensor of the place's i-th consumer that of an earlier one too? (A stack of experts.) */
bool mc_scale_seen(const mc_places *places, const mc_place *place, size_t i);

/* A linear or convolutional site's tensor as rows of `cols` weights, one for each output (of a
 * stack those of all its matrices). False: it is no such site. */
typedef struct {
    mc_site_axes axes;
    size_t rows, cols;
    bool across;    /* rows lie along the tensor's second-to-last axis */
    bool depthwise; /* row r meets channel r / axes.each alone */
} mc_scale_matrix;
bool mc_scale_matrix_of(const mc_places *places, const mc_site *site, mc_scale_matrix *out);
void mc_scale_row(const mc_scale_matrix *m, const float *tensor, size_t row, float *to);

/* Numbers of the value's channels (x[width]) brought together in out[channels] of the producer:
 * their largest, or their mean. Channels that nothing comes from get 0. */
void mc_scale_fold(const mc_place *place, const double *x, bool mean, double *out);

/* Makes s[channels] usable: kept within bounds, 1 where `used` is 0 (a dead channel) or s is not a
 * number above 0. */
void mc_scale_clean(const mc_place *place, const double *used, double *s);

/* Divides the producer's channels by s[channels] and multiplies the consumers' columns by it. */
mc_status mc_scale_apply(const mc_transform_job *job, const mc_place *place, const double *s,
                         mc_arena scratch, mc_err *err);

/* Takes z[channels] off the producer's channels; biases of the consumers make it good. The place
 * takes shifts. */
mc_status mc_scale_shift(const mc_transform_job *job, const mc_place *place, const double *z,
                         mc_arena scratch, mc_err *err);

/* The same for a bias. */
mc_status mc_scale_edit_bias(const mc_transform_job *job, const mc_tensor *bias, mc_edit_kind kind,
                             const double *vector, mc_err *err);

/* Edits that act on a whole axis. */
mc_status mc_scale_edit(const mc_transform_job *job, const mc_tensor *tensor, mc_edit_kind kind,
                        int axis, const double *vector, mc_err *err);

/* The parameter that scale transforms share. */
#define MC_SCALE_INNER                                                                    \
    {                                                                                     \
        .key = "inner",                                                                   \
        .summary = "1: also v to o, up to down and between convolutions; 0: norms alone", \
        .least = 0.0, .most = 1.0, .usual = 1.0, .whole = true                            \
    }

/* MC_E_UNSUPPORTED when the model has no place to scale (`inner` false: no norm). */
mc_status mc_scale_needs(const mc_transform_job *job, bool inner, mc_err *err);

/* Do the tensors that the place would edit come from the file? (Gains that a graph brings along
 * stand in no container.) */
bool mc_scale_is_stored(const mc_transform_job *job, const mc_place *place);

/* The group's place, or NULL; `inner` false: norms alone. */
const mc_place *mc_scale_place(const mc_transform_job *job, const mc_input_stats *stats,
                               bool inner);

/* What a group function begins with, folded onto the producer's channels, in `mem`. */
typedef struct {
    const double *absmax, *mean_abs; /* of the inputs */
    const double *weight;            /* the largest |weight| that meets them */
    size_t channels;
} mc_scale_stats;
mc_status mc_scale_stats_of(const mc_place *place, const mc_input_stats *stats,
                            const mc_transform_job *job, mc_arena *mem, mc_scale_stats *out,
                            mc_err *err);

/* The search: of `candidates` scales that `make` writes into s[channels], the one that leaves the
 * least squared error in the consumers' outputs: weights rounded to the job's grid and, with
 * activations of fewer than 16 bits, their rounding too. All ones are tried first, so that what is
 * found is never worse than nothing in that measure; *best is then the number of candidates. */
typedef struct {
    const mc_transform_job *job;
    const mc_place *place;
    const mc_input_stats *stats;
    size_t candidates;
    void (*make)(const void *self, size_t i, double *s);
    const void *self;
    const double *used; /* of mc_scale_clean */
} mc_scale_search;
mc_status mc_scale_find(const mc_scale_search *search, mc_arena scratch, double *s, size_t *best,
                        mc_err *err);

/* Most bytes of scratch that a search of one group takes. */
size_t mc_scale_find_memory(const mc_places *places, const mc_place *place);

#endif
