/* The statistics behind the figures of a data set. */
#include "verify/paired.h"

#include <math.h>
#include <string.h>

double mc_mean(const mc_moments_of *m)
{
    return m->n > 0.0 ? m->sum / m->n : (double)NAN;
}

double mc_standard_error(const mc_moments_of *m)
{
    if (!(m->n > 1.0)) return (double)NAN;
    const double mean = m->sum / m->n;
    const double variance = m->squares / m->n - mean * mean;
    return sqrt((variance > 0.0 ? variance : 0.0) / (m->n - 1.0));
}

/* Twice the smaller tail of a binomial distribution with p = 1/2, summed in logarithms. */
double mc_mcnemar_exact(uint64_t lost, uint64_t gained)
{
    const uint64_t n = lost + gained, k = lost < gained ? lost : gained;
    if (n == 0) return 1.0;
    const double all = (double)n;
    double tail = 0.0;
    for (uint64_t i = 0; i <= k; i++) {
        const double at = (double)i;
        tail += exp(lgamma(all + 1.0) - lgamma(at + 1.0) - lgamma(all - at + 1.0) - all * log(2.0));
    }
    return tail > 0.5 ? 1.0 : 2.0 * tail;
}

void mc_paired_interval(uint64_t lost, uint64_t gained, uint64_t n, double *low, double *high)
{
    const double z95 = 1.959963984540054;
    const double b = (double)lost + 0.5, c = (double)gained + 0.5, all = (double)n + 2.0;
    const double drop = (b - c) / all;
    const double half = z95 * sqrt((b + c) - (b - c) * (b - c) / all) / all;
    *low = n ? drop - half : (double)NAN;
    *high = n ? drop + half : (double)NAN;
}

/* ---- quantiles ---- */

enum { LOWEST = -40, LAST = MC_QUANTILE_OCTAVES * MC_QUANTILE_STEPS };

void mc_quantiles_add(mc_quantiles *q, double x)
{
    q->n++;
    q->has_nan = q->has_nan || isnan(x);
    const double place = x > 0.0 ? (log2(x) - LOWEST) * MC_QUANTILE_STEPS : -1.0;
    if (place >= LAST)
        q->bin[LAST]++;
    else
        q->bin[place >= 0.0 ? 1 + (int)place : 0]++;
}

double mc_quantile(const mc_quantiles *q, double share)
{
    if (q->n == 0 || q->has_nan) return (double)NAN;
    const double wanted = share * (double)q->n;
    double below = 0.0;
    int bin = 0;
    while (bin < LAST && below + (double)q->bin[bin] < wanted) below += (double)q->bin[bin++];
    if (bin == 0) return 0.0;
    const double inside = q->bin[bin] ? (wanted - below) / (double)q->bin[bin] : 0.0;
    return exp2(LOWEST + (bin - 1 + inside) / MC_QUANTILE_STEPS);
}

/* ---- ROC ---- */

/* Larger scores get larger places: the sign bit is turned, negative numbers as a whole. */
static uint32_t place_of(float score)
{
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return bits >> 14;
}

void mc_roc_add(mc_roc *roc, float score, int positive)
{
    (positive ? roc->positive : roc->negative)[place_of(score)]++;
}

double mc_roc_area(const mc_roc *roc)
{
    double negatives = 0.0, positives = 0.0, pairs = 0.0;
    for (size_t i = 0; i < MC_ROC_BINS; i++) {
        const double n = (double)roc->negative[i], p = (double)roc->positive[i];
        pairs += p * (negatives + 0.5 * n);
        negatives += n;
        positives += p;
    }
    return pairs / (negatives * positives); /* 0 / 0 is NaN */
}
