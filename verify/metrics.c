/* Error sums of one tensor.
 *
 * Every sum is kept in LANES partial sums, element i in lane i % LANES, added up in one fixed
 * order at the end: the compiler may use vectors without being allowed to reorder anything. */
#include "verify/metrics.h"

#include <math.h>
#include <string.h>

enum { LANES = 4, TABLES = 4 };

typedef struct {
    double ww[LANES], ee[LANES], wv[LANES], vv[LANES], top[LANES];
} lanes;

/* LANES elements, one a lane. Small loops over all lanes, for each is one vector operation. */
static void add_lanes(lanes *l, const float w[LANES], const float v[LANES])
{
    double a[LANES], b[LANES], e[LANES];
    for (size_t j = 0; j < LANES; j++) a[j] = (double)w[j];
    for (size_t j = 0; j < LANES; j++) b[j] = (double)v[j];
    for (size_t j = 0; j < LANES; j++) e[j] = a[j] - b[j];
    for (size_t j = 0; j < LANES; j++) l->ww[j] += a[j] * a[j];
    for (size_t j = 0; j < LANES; j++) l->ee[j] += e[j] * e[j];
    for (size_t j = 0; j < LANES; j++) l->wv[j] += a[j] * b[j];
    for (size_t j = 0; j < LANES; j++) l->vv[j] += b[j] * b[j];
    for (size_t j = 0; j < LANES; j++) {
        const double size = fabs(e[j]);
        l->top[j] = size > l->top[j] ? size : l->top[j];
    }
}

static double total(const double lane[LANES])
{
    return (lane[0] + lane[1]) + (lane[2] + lane[3]);
}

/* The first element whose error is `size`, which is one of them. */
static uint64_t find_error(const float *w, const float *v, size_t n, double size)
{
    size_t i = 0;
    while (i + 1 < n && !(fabs((double)w[i] - (double)v[i]) == size)) i++;
    return i;
}

void mc_sums_add(mc_sums *sums, const float *w, const float *v, size_t n, uint64_t first)
{
    lanes l = {0};
    const size_t even = n - n % LANES;
    for (size_t i = 0; i < even; i += LANES) add_lanes(&l, w + i, v + i);
    if (even < n) {
        float last_w[LANES] = {0}, last_v[LANES] = {0}; /* zeros change no sum */
        memcpy(last_w, w + even, (n - even) * sizeof *w);
        memcpy(last_v, v + even, (n - even) * sizeof *v);
        add_lanes(&l, last_w, last_v);
    }

    uint32_t zeros = 0;
    for (size_t i = 0; i < n; i++) zeros += v[i] == 0.0f;

    double top = 0.0;
    for (size_t lane = 0; lane < LANES; lane++) top = l.top[lane] > top ? l.top[lane] : top;
    const double ee = total(l.ee);

    if (isnan(ee))
        sums->max_abs = (double)NAN; /* no comparison above saw it */
    else if (top > sums->max_abs) {
        sums->max_abs = top;
        sums->max_index = first + find_error(w, v, n, top);
    }
    sums->count += n;
    sums->ww += total(l.ww);
    sums->ee += ee;
    sums->wv += total(l.wv);
    sums->vv += total(l.vv);
    sums->zeros += zeros;
}

/* Neighbouring codes are often equal; one table would wait for its own last store. */
void mc_sums_codes(mc_sums *sums, const uint8_t *code, size_t n)
{
    uint32_t table[TABLES][256];
    while (n > 0) {
        const size_t now = n < (1u << 24) ? n : (1u << 24); /* so that no count overflows */
        memset(table, 0, sizeof table);
        for (size_t i = 0; i < now; i++) table[i % TABLES][code[i]]++;
        for (size_t u = 0; u < 256; u++)
            for (size_t t = 0; t < TABLES; t++) sums->histogram[u] += table[t][u];
        code += now;
        n -= now;
    }
}

void mc_sums_merge(mc_sums *sums, const mc_sums *next)
{
    if (isnan(next->max_abs))
        sums->max_abs = next->max_abs;
    else if (next->max_abs > sums->max_abs) {
        sums->max_abs = next->max_abs;
        sums->max_index = next->max_index;
    }
    sums->count += next->count;
    sums->ww += next->ww;
    sums->ee += next->ee;
    sums->wv += next->wv;
    sums->vv += next->vv;
    sums->zeros += next->zeros;
    sums->clipped += next->clipped;
    for (size_t u = 0; u < 256; u++) sums->histogram[u] += next->histogram[u];
}

double mc_sqnr_db(const mc_sums *sums)
{
    if (sums->ee == 0.0) return (double)INFINITY;
    return 10.0 * log10(sums->ww / sums->ee);
}

double mc_relative_error(const mc_sums *sums)
{
    if (sums->ee == 0.0) return 0.0;
    return sqrt(sums->ee / sums->ww);
}

double mc_cosine(const mc_sums *sums)
{
    if (sums->ee == 0.0) return 1.0;
    if (sums->ww == 0.0 || sums->vv == 0.0) return 0.0;
    const double cosine = sums->wv / (sqrt(sums->ww) * sqrt(sums->vv));
    if (cosine > 1.0) return 1.0; /* rounding; NaN passes through */
    return cosine < -1.0 ? -1.0 : cosine;
}

double mc_entropy_bits(const uint64_t histogram[256])
{
    uint64_t count = 0;
    for (size_t u = 0; u < 256; u++) count += histogram[u];

    double bits = 0.0;
    for (size_t u = 0; u < 256; u++) {
        if (histogram[u] == 0) continue;
        const double p = (double)histogram[u] / (double)count;
        bits -= p * log2(p);
    }
    return bits == 0.0 ? 0.0 : bits; /* one code only: no minus zero */
}
