/* Rounding caches of keys and values (KIVI, Liu et al. 2024): keys by channel over a group of
 * tokens, since some of their channels are large all the time; values by token. */
#include "core/act.h"

#include <math.h>

enum { MOST_ZERO = 32767 };

mc_status mc_kv_check(const mc_kv_spec *s, mc_err *err)
{
    if (!((s->bits >= 2 && s->bits <= 8) || s->bits == 16))
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "a kv cache of %u bits (2 to 8 and 16 can be simulated)", s->bits);
    if (s->group == 0)
        return mc_fail(err, MC_E_FORMAT,
                       "a kv cache with groups of 0 tokens; allowed is 1 or more");
    return MC_OK;
}

bool mc_kv_rounds(const mc_kv_spec *s)
{
    return s->bits < 16;
}

size_t mc_kv_coded(const mc_kv_spec *s, size_t n)
{
    return n > s->window ? (n - s->window) / s->group * s->group : 0;
}

/* n numbers, `stride` apart, that share a scale. */
static void round_together(unsigned bits, float *x, size_t n, size_t stride)
{
    const float last = (float)((1 << bits) - 1);
    float least = x[0], most = x[0], sum = 0.0f;
    for (size_t i = 0; i < n; i++) {
        least = fminf(least, x[i * stride]);
        most = fmaxf(most, x[i * stride]);
        sum += 0.0f * x[i * stride]; /* NaN as soon as one number is none */
    }
    const float range = (float)(((double)most - (double)least) / (double)last);
    const float scale = fmaxf(range, fmaxf(-least, most) / (float)MOST_ZERO);
    const float zero = scale > 0.0f ? -rintf(least / scale) : 0.0f;
    for (size_t i = 0; i < n; i++) {
        float *at = &x[i * stride];
        const float code = scale > 0.0f ? rintf(*at / scale) + zero : 0.0f;
        *at = isnan(sum) ? NAN : scale * (fminf(fmaxf(code, 0.0f), last) - zero);
    }
}

void mc_kv_round_keys(const mc_kv_spec *s, float *x, size_t tokens, size_t size)
{
    for (size_t t = 0; t < tokens; t += s->group)
        for (size_t c = 0; c < size; c++) round_together(s->bits, x + t * size + c, s->group, size);
}

void mc_kv_round_values(const mc_kv_spec *s, float *x, size_t tokens, size_t size)
{
    for (size_t t = 0; t < tokens; t++, x += size)
        for (size_t c = 0; c < size; c += s->group)
            round_together(s->bits, x + c, size - c < s->group ? size - c : s->group, 1);
}
