/* Error sums of one tensor.
 *
 * Every sum is kept in LANES partial sums, element i in lane i % LANES, added up in one fixed
 * order at the end: vectors need no reordering. */
#include "verify/metrics.h"

#include "core/bytes.h"

#include <math.h>
#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

enum { LANES = 8, TABLES = 4 };

typedef struct {
    double ww[LANES], ee[LANES], vv[LANES], top[LANES];
} lanes;

/* ---- runs of numbers: n is a multiple of LANES and below 2^32; both builds give the same bits
 * ---- */

static void add_run(lanes *l, const float *w, const float *v, size_t n, uint64_t *zeros)
{
    for (size_t i = 0; i < n; i += LANES) {
        double a[LANES], b[LANES], e[LANES];
        for (size_t j = 0; j < LANES; j++) a[j] = (double)w[i + j];
        for (size_t j = 0; j < LANES; j++) b[j] = (double)v[i + j];
        for (size_t j = 0; j < LANES; j++) e[j] = a[j] - b[j];
        for (size_t j = 0; j < LANES; j++) l->ww[j] += a[j] * a[j];
        for (size_t j = 0; j < LANES; j++) l->ee[j] += e[j] * e[j];
        for (size_t j = 0; j < LANES; j++) l->vv[j] += b[j] * b[j];
        for (size_t j = 0; j < LANES; j++) {
            const double size = fabs(e[j]);
            l->top[j] = size > l->top[j] ? size : l->top[j];
        }
    }
    uint32_t zero = 0;
    for (size_t i = 0; i < n; i++) zero += v[i] == 0.0f;
    *zeros += zero;
}

#ifdef __x86_64__
typedef struct {
    __m256d ww, ee, vv, top;
} half;

__attribute__((target("avx2"), always_inline)) static inline void add_half(half *h, __m128 w,
                                                                           __m128 v)
{
    const __m256d a = _mm256_cvtps_pd(w), b = _mm256_cvtps_pd(v), e = _mm256_sub_pd(a, b);
    h->ww = _mm256_add_pd(h->ww, _mm256_mul_pd(a, a));
    h->ee = _mm256_add_pd(h->ee, _mm256_mul_pd(e, e));
    h->vv = _mm256_add_pd(h->vv, _mm256_mul_pd(b, b));
    h->top = _mm256_max_pd(_mm256_andnot_pd(_mm256_set1_pd(-0.0), e), h->top);
}

__attribute__((target("avx2"))) static half load_half(const lanes *l, size_t at)
{
    return (half){_mm256_loadu_pd(l->ww + at), _mm256_loadu_pd(l->ee + at),
                  _mm256_loadu_pd(l->vv + at), _mm256_loadu_pd(l->top + at)};
}

__attribute__((target("avx2"))) static void store_half(const half *h, lanes *l, size_t at)
{
    _mm256_storeu_pd(l->ww + at, h->ww);
    _mm256_storeu_pd(l->ee + at, h->ee);
    _mm256_storeu_pd(l->vv + at, h->vv);
    _mm256_storeu_pd(l->top + at, h->top);
}

__attribute__((target("avx2"))) static void add_run_avx2(lanes *l, const float *w, const float *v,
                                                         size_t n, uint64_t *zeros)
{
    half low = load_half(l, 0), high = load_half(l, LANES / 2);
    __m256i zero = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i += LANES) {
        const __m256 x = _mm256_loadu_ps(w + i), y = _mm256_loadu_ps(v + i);
        add_half(&low, _mm256_castps256_ps128(x), _mm256_castps256_ps128(y));
        add_half(&high, _mm256_extractf128_ps(x, 1), _mm256_extractf128_ps(y, 1));
        const __m256 is_zero = _mm256_cmp_ps(y, _mm256_setzero_ps(), _CMP_EQ_OQ);
        zero = _mm256_sub_epi32(zero, _mm256_castps_si256(is_zero)); /* true is -1 */
    }
    store_half(&low, l, 0);
    store_half(&high, l, LANES / 2);
    uint32_t count[LANES];
    _mm256_storeu_si256((__m256i *)count, zero);
    for (size_t j = 0; j < LANES; j++) *zeros += count[j];
}
#endif

/* ---- sums ---- */

static double total(const double lane[LANES])
{
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) +
           ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

/* The first element whose error is `size`, which is one of them. */
static uint64_t find_error(const float *w, const float *v, size_t n, double size)
{
    size_t i = 0;
    while (i + 1 < n && !(fabs((double)w[i] - (double)v[i]) == size)) i++;
    return i;
}

typedef void run_fn(lanes *l, const float *w, const float *v, size_t n, uint64_t *zeros);

/* Consecutive elements of a tensor. */
typedef struct {
    const float *w, *v;
    size_t n;
    uint64_t first;
} stretch;

/* Fewer elements than a uint32_t counts. */
static void add_part(run_fn *run, mc_sums *sums, stretch s)
{
    lanes l = {0};
    const size_t even = s.n - s.n % LANES;
    run(&l, s.w, s.v, even, &sums->zeros);
    if (even < s.n) {
        float w[LANES] = {0}, v[LANES] = {0}; /* zeros change no sum, but are counted */
        memcpy(w, s.w + even, (s.n - even) * sizeof *w);
        memcpy(v, s.v + even, (s.n - even) * sizeof *v);
        run(&l, w, v, LANES, &sums->zeros);
        sums->zeros -= LANES - (s.n - even);
    }

    double top = 0.0;
    for (size_t lane = 0; lane < LANES; lane++) top = l.top[lane] > top ? l.top[lane] : top;
    const double ww = total(l.ww), ee = total(l.ee), vv = total(l.vv);

    if (isnan(ee))
        sums->max_abs = (double)NAN; /* no comparison above saw it */
    else if (top > sums->max_abs) {
        sums->max_abs = top;
        sums->max_index = s.first + find_error(s.w, s.v, s.n, top);
    }
    sums->count += s.n;
    sums->ww += ww;
    sums->ee += ee;
    sums->wv += 0.5 * ((ww + vv) - ee); /* (w - v)^2 = w^2 - 2 w v + v^2 */
    sums->vv += vv;
}

static void add_all(run_fn *run, mc_sums *sums, stretch s)
{
    enum { MOST = 1 << 24 };
    for (size_t at = 0; at < s.n; at += MOST) {
        const size_t n = s.n - at < MOST ? s.n - at : MOST;
        add_part(run, sums, (stretch){s.w + at, s.v + at, n, s.first + at});
    }
}

static void add_plain(mc_sums *sums, const float *w, const float *v, size_t n, uint64_t first)
{
    add_all(add_run, sums, (stretch){w, v, n, first});
}

#ifdef __x86_64__
static void add_avx2(mc_sums *sums, const float *w, const float *v, size_t n, uint64_t first)
{
    add_all(add_run_avx2, sums, (stretch){w, v, n, first});
}
#endif

mc_sums_add_fn *mc_sums_add_at(size_t i)
{
#ifdef __x86_64__
    if (i == 1 && __builtin_cpu_supports("avx2")) return add_avx2;
#endif
    return i == 0 ? add_plain : NULL;
}

void mc_sums_add(mc_sums *sums, const float *w, const float *v, size_t n, uint64_t first)
{
    mc_sums_add_fn *fast = mc_sums_add_at(1);
    (fast ? fast : add_plain)(sums, w, v, n, first);
}

/* ---- codes ---- */

/* Codes of at most four bits, two a count: a table of pairs, taken apart at the end. */
static size_t count_pairs(uint64_t histogram[256], const uint8_t *code, size_t n)
{
    uint32_t table[TABLES][256] = {{0}};
    const size_t even = n - n % 8;
    for (size_t i = 0; i < even; i += 8) {
        const uint64_t x = mc_load_u64le(code + i);
        const uint64_t pairs = x | x >> 4;
        table[0][pairs & 255]++;
        table[1][pairs >> 16 & 255]++;
        table[2][pairs >> 32 & 255]++;
        table[3][pairs >> 48 & 255]++;
    }
    for (size_t u = 0; u < 256; u++) {
        uint64_t count = 0;
        for (size_t t = 0; t < TABLES; t++) count += table[t][u];
        histogram[u & 15] += count;
        histogram[u >> 4] += count;
    }
    return even;
}

/* Neighbouring codes are often equal; one table would wait for its own last store. */
static void count_codes(uint64_t histogram[256], const uint8_t *code, size_t n)
{
    uint32_t table[TABLES][256] = {{0}};
    for (size_t i = 0; i < n; i++) table[i % TABLES][code[i]]++;
    for (size_t u = 0; u < 256; u++)
        for (size_t t = 0; t < TABLES; t++) histogram[u] += table[t][u];
}

void mc_sums_codes(mc_sums *sums, const uint8_t *code, size_t n, unsigned codes)
{
    while (n > 0) {
        const size_t now = n < (1u << 24) ? n : (1u << 24); /* so that no count overflows */
        const size_t paired = codes <= 16 ? count_pairs(sums->histogram, code, now) : 0;
        if (paired < now) count_codes(sums->histogram, code + paired, now - paired);
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
