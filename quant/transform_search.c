/* The search for scales, by the Gram of the inputs (AWQ, Lin et al. 2023, eq. 4-5, whose outputs'
 * mean squared error it gives without running the layer):
 *
 *     L(s) = sum over rows of d G d^T,  d = Q(w s) / s - w
 *
 * over a sample of the rows, taken at equal distances from all consumers. With activations of b
 * bits the rounding of x / s adds  tokens step^2 / 12 |w s|^2  (noise of a uniform error), where
 * step = A / (2^(b-1) - 1) and A is what the largest of a token's channels comes to: of normal
 * numbers with deviations r_1 >= r_2 >= … about max_k r_k sqrt(2 ln(1 + k)), and never more than
 * was seen. */
#include "quant/transform_scale.h"

#include "core/linalg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MOST = 512, ROWS_LEAST = 64 };

typedef struct {
    const mc_scale_search *in;
    const mc_place *place;
    const mc_moments *m;
    mc_grid grid;
    mc_fit fit;
    bool weighs; /* errors of columns count by their inputs' squares */
    size_t n, rows, room, group;
    float *w, *v;    /* rows x n: as they stand; scaled, then rounded */
    uint32_t *set;   /* of each row: its group in the moments */
    uint32_t *first; /* … and the channel that its first column meets */
    size_t each;     /* columns of a channel */
    double *scale;   /* of each column, of the row at work */
    float *importance;
    uint8_t *code;
    mc_params *params;
    mc_sub *sub;
    mc_super *super;
    double *d, *dg;        /* rows x n */
    double *spread, *peak; /* of each channel of the value: deviation, largest */
    double *sorted;        /* pairs */
} finder;

/* ---- the sample ---- */

static size_t rows_for(size_t n)
{
    const size_t budget = ((size_t)1 << 29) / (n * n + 1);
    return budget > ROWS_MOST ? ROWS_MOST : budget < ROWS_LEAST ? ROWS_LEAST : budget;
}

bool mc_scale_matrix_of(const mc_places *places, const mc_site *site, mc_scale_matrix *out)
{
    if (site->kind != MC_SITE_LINEAR && site->kind != MC_SITE_CONV) return false;
    if (!mc_look_axes(places->graph, site, &out->axes) || out->axes.outs == 0) return false;
    const size_t count = (size_t)site->weight->count;
    out->cols = site->kind == MC_SITE_LINEAR ? out->axes.ins : count / out->axes.outs;
    out->rows = out->cols ? count / out->cols : 0;
    out->across = site->kind == MC_SITE_LINEAR && site->transposed;
    out->depthwise = site->kind == MC_SITE_CONV && out->axes.in == out->axes.out;
    return out->cols > 0;
}

void mc_scale_row(const mc_scale_matrix *m, const float *from, size_t row, float *to)
{
    if (!m->across) {
        memcpy(to, from + row * m->cols, m->cols * sizeof *to);
        return;
    }
    const size_t outs = m->axes.outs;
    from += row / outs * outs * m->cols + row % outs;
    for (size_t j = 0; j < m->cols; j++) to[j] = from[j * outs];
}

/* Can the moments say what an error in this site's weight costs? */
static bool is_measured(const finder *f, size_t i, mc_scale_matrix *m)
{
    const mc_places *places = f->in->job->places;
    if (mc_scale_seen(places, f->place, i)) return false;
    if (!mc_scale_matrix_of(places, &places->sites->site[f->place->site[i]], m)) return false;
    return m->cols == f->n && f->m->groups == (m->depthwise ? m->axes.ins : 1);
}

static mc_status sample_site(finder *f, size_t i, size_t stride, mc_arena scratch, mc_err *err)
{
    const mc_site *site = &f->in->job->places->sites->site[f->place->site[i]];
    mc_scale_matrix m;
    const float *w;
    if (!is_measured(f, i, &m)) return MC_OK;
    MC_TRY(mc_scale_load(f->in->job, site->weight, &scratch, &w, err));
    for (size_t r = 0; r < m.rows && f->rows < f->room; r += stride, f->rows++) {
        mc_scale_row(&m, w, r, f->w + f->rows * f->n);
        f->set[f->rows] = f->first[f->rows] = m.depthwise ? (uint32_t)(r / m.axes.each) : 0;
    }
    return MC_OK;
}

static mc_status sample(finder *f, mc_arena scratch, mc_err *err)
{
    size_t all = 0;
    mc_scale_matrix m;
    for (size_t i = 0; i < f->place->sites; i++)
        if (is_measured(f, i, &m)) all += m.rows;
    const size_t wanted = rows_for(f->n), stride = all / wanted + (all % wanted != 0);
    for (size_t i = 0; i < f->place->sites && stride > 0; i++)
        MC_TRY(sample_site(f, i, stride, scratch, err));
    return MC_OK;
}

/* ---- what a scale costs ---- */

/* Rounds row r of v, which is w times its columns' scales. */
static mc_status round_row(const finder *f, size_t r, mc_err *err)
{
    float *v = f->v + r * f->n;
    const size_t groups = f->n / f->group;
    const double *square = f->m->square + f->set[r] * f->n;
    for (size_t j = 0; j < f->n && f->weighs; j++)
        f->importance[j] = (float)(square[j] / (f->scale[j] * f->scale[j]));
    MC_TRY(mc_grid_fit(&f->grid, f->fit, v, f->weighs ? f->importance : NULL, groups, f->group,
                       f->params, f->sub, f->super, err));
    mc_grid_encode_row(&f->grid, f->params, v, groups, f->group, f->code);
    mc_grid_decode_row(&f->grid, f->params, f->code, groups, f->group, v);
    return MC_OK;
}

/* Fills d; *energy is the sum of squares of the scaled weights. False: the grid cannot hold
 * them. */
static bool round_rows(const finder *f, const double *s, double *energy)
{
    mc_err ignored = {0};
    *energy = 0.0;
    for (size_t r = 0; r < f->rows; r++) {
        const float *w = f->w + r * f->n;
        float *v = f->v + r * f->n;
        for (size_t j = 0; j < f->n; j++) {
            f->scale[j] = s[f->place->from[f->first[r] + j / f->each]];
            v[j] = (float)((double)w[j] * f->scale[j]);
            *energy += (double)v[j] * (double)v[j];
        }
        if (round_row(f, r, &ignored) != MC_OK) return false;
        for (size_t j = 0; j < f->n; j++)
            f->d[r * f->n + j] = (double)v[j] / f->scale[j] - (double)w[j];
    }
    return true;
}

static double weight_loss(const finder *f)
{
    const size_t n = f->n;
    double loss = 0.0;
    for (size_t first = 0; first < f->rows;) {
        size_t end = first + 1;
        while (end < f->rows && f->set[end] == f->set[first]) end++;
        const double *gram = f->m->gram + f->set[first] * n * n;
        mc_gemm_f64(end - first, n, n, f->d + first * n, n, 0, gram, n, 0, 0.0, f->dg + first * n,
                    n);
        first = end;
    }
    for (size_t i = 0; i < f->rows * n; i++) loss += f->d[i] * f->dg[i];
    return loss;
}

static int falling(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* The square of what the largest channel of a token comes to. */
static double largest_square(const finder *f, const double *s)
{
    const size_t width = f->place->width;
    double peak = 0.0, most = 0.0;
    for (size_t i = 0; i < width; i++) {
        const double by = s[f->place->from[i]];
        f->sorted[i] = f->spread[i] / by;
        peak = fmax(peak, f->peak[i] / by);
    }
    qsort(f->sorted, width, sizeof *f->sorted, falling);
    for (size_t k = 0; k < width; k++)
        most = fmax(most, f->sorted[k] * f->sorted[k] * 2.0 * log((double)k + 2.0));
    return fmin(most, peak * peak);
}

static double cost(const finder *f, const double *s)
{
    double energy;
    if (!round_rows(f, s, &energy)) return (double)INFINITY;
    const unsigned bits = f->in->job->activation_bits;
    double loss = weight_loss(f);
    if (bits >= 2 && bits < 16) {
        const double codes = (double)((1 << (bits - 1)) - 1);
        loss += (double)f->m->rows * largest_square(f, s) / (codes * codes) / 12.0 * energy;
    }
    return isfinite(loss) ? loss : (double)INFINITY;
}

/* ---- the search ---- */

static void describe_channels(finder *f)
{
    const mc_place *p = f->place;
    for (size_t i = 0; i < p->width; i++) {
        double square = 0.0;
        const size_t columns = f->m->groups > 1 ? f->n : f->each;
        const double *at = f->m->square + i * columns;
        for (size_t k = 0; k < columns; k++) square += at[k];
        const double rows = (double)f->m->rows * (double)columns;
        f->spread[i] = rows > 0.0 ? sqrt(square / rows) : 0.0;
        f->peak[i] = (double)f->in->stats->absmax[i];
    }
}

static bool alloc(finder *f, mc_arena *mem)
{
    const size_t n = f->n, cells = f->room * n;
    f->w = MC_NEW_RAW(mem, float, cells);
    f->v = MC_NEW_RAW(mem, float, cells);
    f->d = MC_NEW_RAW(mem, double, cells);
    f->dg = MC_NEW_RAW(mem, double, cells);
    f->set = MC_NEW(mem, uint32_t, f->room);
    f->first = MC_NEW(mem, uint32_t, f->room);
    f->scale = MC_NEW_RAW(mem, double, n);
    f->importance = MC_NEW_RAW(mem, float, n);
    f->code = MC_NEW_RAW(mem, uint8_t, n);
    f->params = MC_NEW_RAW(mem, mc_params, n);
    f->sub = MC_NEW_RAW(mem, mc_sub, n);
    f->super = MC_NEW_RAW(mem, mc_super, n);
    f->spread = MC_NEW_RAW(mem, double, f->place->width);
    f->peak = MC_NEW_RAW(mem, double, f->place->width);
    f->sorted = MC_NEW_RAW(mem, double, f->place->width);
    return f->w && f->v && f->d && f->dg && f->set && f->first && f->scale && f->importance &&
           f->code && f->params && f->sub && f->super && f->spread && f->peak && f->sorted;
}

size_t mc_scale_find_memory(const mc_places *places, const mc_place *place)
{
    size_t most = place->width;
    mc_scale_matrix m;
    for (size_t i = 0; i < place->sites; i++)
        if (mc_scale_matrix_of(places, &places->sites->site[place->site[i]], &m) && m.cols > most)
            most = m.cols;
    return rows_for(most) * (most * 24 + 8) + most * 96 + (1 << 14);
}

/* Codes are chosen as the rounding method would start: rtn over the range, others over the range
 * that leaves the least error, weighed by the inputs when the method knows them. */
static void set_grid(finder *f)
{
    const mc_transform_job *job = f->in->job;
    const mc_quant_method *method = job->rounding ? job->rounding->method : NULL;
    const bool plain = method == &mc_quant_rtn;
    f->grid = job->grid ? *job->grid : (mc_grid){.levels = mc_levels_int(4), .scale_dtype = MC_F16};
    f->fit = (mc_fit){.kind = plain ? MC_FIT_RANGE : MC_FIT_SEARCH, .norm = 2.0f};
    f->weighs = method && method->wants != 0;
    f->group = job->group > 0 && f->n % job->group == 0 ? job->group : f->n;
}

mc_status mc_scale_find(const mc_scale_search *in, mc_arena scratch, double *s, size_t *best,
                        mc_err *err)
{
    finder f = {.in = in, .place = in->place, .m = &in->stats->moments, .n = in->stats->moments.n};
    double *trial = MC_NEW_RAW(&scratch, double, in->place->channels);
    if (!trial) return mc_no_room(err, in->place->name);
    for (size_t c = 0; c < in->place->channels; c++) s[c] = trial[c] = 1.0;
    *best = in->candidates;
    if (!f.m->gram || !f.m->square || f.n == 0) return MC_OK;
    f.each = f.m->groups > 1 ? f.n : f.n / in->place->width;
    if (f.each == 0) return MC_OK;

    f.room = rows_for(f.n);
    if (!alloc(&f, &scratch)) return mc_no_room(err, in->place->name);
    MC_TRY(sample(&f, scratch, err));
    if (f.rows == 0) return MC_OK;
    set_grid(&f);
    describe_channels(&f);
    double least = cost(&f, s);
    for (size_t i = 0; i < in->candidates; i++) {
        in->make(in->self, i, trial);
        mc_scale_clean(in->place, in->used, trial);
        const double loss = cost(&f, trial);
        if (!(loss < least)) continue;
        least = loss;
        *best = i;
        memcpy(s, trial, in->place->channels * sizeof *s);
    }
    return MC_OK;
}
