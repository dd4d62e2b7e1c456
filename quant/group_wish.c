/* The values of a group are s y + m 1, so their squared error under any measure is a quadratic in s
 * and m. An offset is placed first, together with the scale, and rounded to what is stored; the
 * scale then follows from the rounded one. Zeros are few: each neighbour is weighed with the scale
 * that suits it. */
#include "quant/group_wish.h"

#include <math.h>

float mc_wish_slope(const mc_grid *grid, mc_params p, unsigned code)
{
    return mc_grid_value(grid, (mc_params){.scale = 1.0f, .zero = p.zero}, code);
}

static double clamped(double x, double least, double most)
{
    return x < least ? least : x > most ? most : x;
}

static double sub_most(const mc_grid *grid)
{
    return (double)((1u << grid->sub_bits) - 1);
}

/* False when it cannot be stored. */
static bool store_scale(const mc_grid *grid, double wanted, mc_super super, mc_params *p,
                        mc_sub *sub)
{
    if (!(fabs(wanted) < (double)HUGE_VALF) || (wanted <= 0.0 && !grid->negative_scale))
        return false;
    if (grid->sub_bits) {
        sub->scale = (uint8_t)clamped(rint(wanted / (double)super.scale), 1.0, sub_most(grid));
        p->scale = super.scale * (float)sub->scale;
        return true;
    }
    mc_err refused;
    float stored;
    if (wanted == 0.0 || mc_grid_store_scale(grid, (float)wanted, &stored, &refused) != MC_OK)
        return false;
    p->scale = stored;
    return true;
}

static bool store_offset(const mc_grid *grid, double wanted, mc_super super, mc_params *p,
                         mc_sub *sub)
{
    if (!(fabs(wanted) < (double)HUGE_VALF)) return false;
    if (grid->sub_bits) {
        if (super.offset == 0.0f) return true;
        sub->offset = (uint8_t)clamped(rint(wanted / (double)super.offset), 0.0, sub_most(grid));
        p->offset = super.offset * (float)sub->offset;
        return true;
    }
    mc_err refused;
    float stored;
    if (mc_grid_store_offset(grid, (float)wanted, &stored, &refused) != MC_OK) return false;
    p->offset = stored;
    return true;
}

/* What is to be met along y and along 1: (r + v H) y^T, (r + v H) 1^T. */
typedef struct {
    double y, one;
} need;

static need need_of(const mc_wish_sums *sums, mc_params p)
{
    const double s = (double)p.scale, m = (double)p.offset;
    return (need){sums->yr + s * sums->yy + m * sums->y1, sums->r1 + s * sums->y1 + m * sums->one};
}

static bool wish_free(const mc_grid *grid, const mc_wish_sums *sums, mc_super super, mc_params *p,
                      mc_sub *sub)
{
    const need n = need_of(sums, *p);
    const double det = sums->yy * sums->one - sums->y1 * sums->y1;
    if (det > 1e-9 * sums->yy * sums->one) {
        const double offset = (n.one * sums->yy - n.y * sums->y1) / det;
        if (!store_offset(grid, offset, super, p, sub)) return false;
    }
    return store_scale(grid, (n.y - (double)p->offset * sums->y1) / sums->yy, super, p, sub);
}

static bool wish_zero(const mc_grid *grid, const mc_wish_sums *sums, mc_super super, mc_params *p,
                      mc_sub *sub)
{
    const need n = need_of(sums, *p);
    const int last = (int)mc_grid_codes(grid) - 1, zero = p->zero;
    double most = -1.0, scale = 0.0;
    for (int by = -1; by <= 1; by++) {
        if (zero + by < 0 || zero + by > last) continue;
        const double k = (double)by, met = n.y - k * n.one; /* y - k 1 */
        const double square = sums->yy - 2.0 * k * sums->y1 + k * k * sums->one;
        if (!(square > 1e-12 * sums->yy && met > 0.0 && met * met / square > most)) continue;
        most = met * met / square;
        scale = met / square;
        p->zero = (uint8_t)(zero + by);
    }
    return most >= 0.0 && store_scale(grid, scale, super, p, sub);
}

bool mc_wish(const mc_grid *grid, const mc_wish_sums *sums, mc_super super, mc_params *p,
             mc_sub *sub)
{
    if (!(sums->yy > 0.0)) return false;
    const mc_params had = *p;
    bool stored;
    if (grid->offset == MC_OFFSET_FREE)
        stored = wish_free(grid, sums, super, p, sub);
    else if (grid->offset == MC_OFFSET_ZERO)
        stored = wish_zero(grid, sums, super, p, sub);
    else
        stored = store_scale(grid, need_of(sums, *p).y / sums->yy, super, p, sub);
    return stored && !(p->scale == had.scale && p->offset == had.offset && p->zero == had.zero);
}
