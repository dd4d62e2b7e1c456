/* Statistics of paired comparisons. */
#ifndef MC_VERIFY_PAIRED_H
#define MC_VERIFY_PAIRED_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sums of a series; merging in a fixed order makes results repeatable. */
typedef struct {
    double n, sum, squares;
} mc_moments_of;

static inline void mc_moments_add(mc_moments_of *m, double x)
{
    m->n += 1.0;
    m->sum += x;
    m->squares += x * x;
}

/* Of two, the larger one; NaN is larger than all, so that it stays. */
static inline double mc_larger(double a, double b)
{
    return isnan(a) || a >= b ? a : b;
}

double mc_mean(const mc_moments_of *m);           /* NaN without values */
double mc_standard_error(const mc_moments_of *m); /* sqrt((E[x^2] - E[x]^2) / (n - 1)) */

/* Two classifiers on the same n samples, of which `lost` only the first got right and `gained` only
 * the second. */
double mc_mcnemar_exact(uint64_t lost, uint64_t gained); /* two-sided p, binomial with 1/2 */

/* 95 % interval of (lost - gained) / n: Agresti and Min 2005, a Wald interval with 1/2 added to
 * each of the four cells. */
void mc_paired_interval(uint64_t lost, uint64_t gained, uint64_t n, double *low, double *high);

/* ---- quantiles of positive numbers in fixed memory ---- */

/* 64 bins to an octave from 2^-40 to 2^16: a quantile is within 1.1 %. */
enum { MC_QUANTILE_OCTAVES = 56, MC_QUANTILE_STEPS = 64 };
typedef struct {
    uint64_t bin[MC_QUANTILE_OCTAVES * MC_QUANTILE_STEPS + 1]; /* [0]: below 2^-40 */
    uint64_t n;
    bool has_nan;
} mc_quantiles;

void mc_quantiles_add(mc_quantiles *q, double x);
double mc_quantile(const mc_quantiles *q, double share); /* NaN without values, or when one is */

/* ---- area under the ROC curve in fixed memory ---- */

/* Scores by the upper bits of their f32: those that share them, apart by less than 2^-9 of their
 * size, count half. */
enum { MC_ROC_BINS = 1 << 18 };
typedef struct {
    uint32_t *negative, *positive; /* MC_ROC_BINS each */
} mc_roc;

void mc_roc_add(mc_roc *roc, float score, int positive);
double mc_roc_area(const mc_roc *roc); /* NaN unless there are both */

#endif
