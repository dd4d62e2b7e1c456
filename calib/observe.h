/* Observers: from the values that an activation took to the static scale and zero of its codes
 * (core/act_spec.h says what they mean).
 *
 * To add one, write calib/observe_<name>.c that defines mc_observer_<name>, and add X(<name>) to
 * the list. Commands find it by its name, and tests/calib/test_observe.c holds it to the rules. */
#ifndef MC_CALIB_OBSERVE_H
#define MC_CALIB_OBSERVE_H

#include "calib/channels.h"
#include "calib/histogram.h"
#include "core/arena.h"
#include "core/setup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MC_OBSERVERS(X) \
    X(minmax)           \
    X(percentile)       \
    X(entropy)          \
    X(mse)              \
    X(octav)            \
    /* end */

typedef struct mc_observer mc_observer;

typedef struct {
    const mc_observer *observer;
    double param[MC_SETUP_PARAMS]; /* in the order of observer->params */
} mc_observe_setup;

/* The codes that are wanted. */
typedef struct {
    unsigned bits; /* 4, 8, 16 */
    bool asymmetric;
    bool power_of_two;
} mc_observe_want;

typedef struct {
    float scale;       /* > 0, finite, not denormal; 1 when all values are 0 */
    int16_t zero;      /* 0 unless asymmetric */
    float least, most; /* what the observer chose to keep: within the values seen and 0; for powers
                        * of two what of them the codes reach, half a step beyond the last one */
    double clipped;    /* share of the values beyond it */
} mc_observed;

typedef struct mc_view mc_view; /* calib/observe_parts.h */

struct mc_observer {
    const char *name;
    const char *summary;
    const char *paper;                      /* author, year, and what is taken from it */
    mc_setup_param params[MC_SETUP_PARAMS]; /* the last ones without a key if fewer */

    /* The range to keep, least <= 0 <= most. There is a value that is not 0. */
    void (*range)(const mc_view *view, double *least, double *most);

    /* What the observer minimises, of codes with this scale and zero: which of two powers of two
     * is better. */
    double (*cost)(const mc_view *view, float scale, int zero);
};

#define X(name) extern const mc_observer mc_observer_##name;
MC_OBSERVERS(X)
#undef X

/* The i-th observer of the list, or NULL past its end. */
const mc_observer *mc_observer_at(size_t i);

/* "percentile", "percentile:p=99.9": MC_E_USAGE names what is wrong and what is allowed. */
mc_status mc_observe_setup_parse(const char *text, mc_observe_setup *out, mc_err *err);

enum { MC_OBSERVE_SCRATCH = 1 << 18 }; /* bytes, more than enough */

typedef struct {
    const mc_observe_setup *setup;
    mc_observe_want want;
    const mc_histogram *seen;
} mc_observe_job;

/* One scale for all values of a histogram. NaN or infinities among them are MC_E_FORMAT, no value
 * at all MC_E_UNSUPPORTED. A power of two is one of the two neighbours of the scale that would be
 * chosen freely, the one with the smaller cost. */
mc_status mc_observe(const mc_observe_job *job, mc_arena scratch, mc_observed *out, mc_err *err);

/* One scale for each channel, over its whole range (minmax; powers of two are rounded up): into
 * scale[n], and zero[n] unless that is NULL (symmetric). */
mc_status mc_observe_channels(const mc_channels *seen, mc_observe_want want, float *scale,
                              int16_t *zero, mc_err *err);

#endif
