/* What a quantized tensor lost, as sums that can be taken piece by piece.
 *
 * w is a weight of the source, v what the container decodes to. Pieces are cut by shape and merged
 * in the order of their indices, so the figures are the same for every number of threads. NaN in
 * gives NaN out. */
#ifndef MC_VERIFY_METRICS_H
#define MC_VERIFY_METRICS_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t count;
    double ww, ee, wv, vv;  /* sums of w^2, (w-v)^2, w v, v^2 */
    double max_abs;         /* largest |w - v| */
    uint64_t max_index;     /* the first element that has it */
    uint64_t zeros;         /* elements with v = 0 */
    uint64_t clipped;       /* counted by the caller (mc_grid_clipped_row) */
    uint64_t histogram[256];
} mc_sums;

/* Adds elements first … first + n - 1 of the tensor; call in rising order. */
void mc_sums_add(mc_sums *sums, const float *w, const float *v, size_t n, uint64_t first);

/* Each build of it that runs here, NULL past the end; for tests. All give the same bits; the first
 * is the plain one. */
typedef void mc_sums_add_fn(mc_sums *sums, const float *w, const float *v, size_t n,
                            uint64_t first);
mc_sums_add_fn *mc_sums_add_at(size_t i);

/* Counts codes, each of them below `codes`. */
void mc_sums_codes(mc_sums *sums, const uint8_t *code, size_t n, unsigned codes);

/* Appends the piece that follows. */
void mc_sums_merge(mc_sums *sums, const mc_sums *next);

/* 10 log10(ww / ee); +inf when nothing was lost, also when all is zero. */
double mc_sqnr_db(const mc_sums *sums);

/* sqrt(ee / ww); 0 when nothing was lost. */
double mc_relative_error(const mc_sums *sums);

/* wv / sqrt(ww vv); 1 when nothing was lost, 0 when one of the two is all zeros. */
double mc_cosine(const mc_sums *sums);

/* -sum p log2 p over the histogram, in bits per code; 0 for an empty one. */
double mc_entropy_bits(const uint64_t histogram[256]);

#endif
