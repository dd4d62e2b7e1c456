/* Scaling and shifting channels: which tensors change, and how. */
#include "quant/transform_scale.h"

#include <math.h>
#include <string.h>

/* ---- weights as they stand ---- */

mc_status mc_scale_load(const mc_transform_job *job, const mc_tensor *tensor, mc_arena *mem,
                        const float **out, mc_err *err)
{
    float *x = MC_NEW_RAW(mem, float, (size_t)tensor->count + 1);
    *out = x;
    if (!x) return mc_no_room(err, tensor->name);
    return mc_edits_load(job->edits, tensor, *mem, x, err);
}

void mc_scale_raise(const mc_tensor *t, const float *x, int axis, double *out)
{
    size_t before = 1, behind = 1;
    const size_t n = (size_t)t->dim[axis];
    for (int i = 0; i < axis; i++) before *= (size_t)t->dim[i];
    for (int i = axis + 1; i < t->ndim; i++) behind *= (size_t)t->dim[i];
    for (size_t b = 0; b < before; b++)
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < behind; k++, x++) out[i] = fmax(out[i], (double)fabsf(*x));
}

bool mc_scale_seen(const mc_places *places, const mc_place *place, size_t i)
{
    const mc_site *site = places->sites->site;
    for (size_t k = 0; k < i; k++)
        if (site[place->site[k]].weight == site[place->site[i]].weight) return true;
    return false;
}

static mc_status raise_columns(const mc_transform_job *job, const mc_site *site, mc_arena scratch,
                               double *most, mc_err *err)
{
    const float *w;
    mc_site_axes axes;
    if (!mc_look_axes(job->places->graph, site, &axes))
        return mc_fail(err, MC_E_INTERNAL, "'%s' has no axis of channels", site->name);
    double *along = MC_NEW(&scratch, double, axes.ins *axes.each);
    if (!along) return mc_no_room(err, site->name);
    MC_TRY(mc_scale_load(job, site->weight, &scratch, &w, err));
    mc_scale_raise(site->weight, w, axes.in, along);
    for (size_t i = 0; i < axes.ins * axes.each; i++)
        most[i / axes.each] = fmax(most[i / axes.each], along[i]);
    return MC_OK;
}

mc_status mc_scale_columns(const mc_transform_job *job, const mc_place *place, mc_arena scratch,
                           double *most, mc_err *err)
{
    for (size_t i = 0; i < place->width; i++) most[i] = 0.0;
    for (size_t i = 0; i < place->sites; i++)
        if (!mc_scale_seen(job->places, place, i))
            MC_TRY(
                raise_columns(job, &job->places->sites->site[place->site[i]], scratch, most, err));
    return MC_OK;
}

/* ---- numbers of channels ---- */

void mc_scale_fold(const mc_place *place, const double *x, bool mean, double *out)
{
    memset(out, 0, place->channels * sizeof *out);
    for (size_t i = 0; i < place->width; i++) {
        double *to = &out[place->from[i]];
        *to = mean ? *to + x[i] : fmax(*to, x[i]);
    }
    if (!mean) return;
    size_t share = 0; /* channels of the value that each named one stands for: all alike */
    for (size_t i = 0; i < place->width; i++) share += place->from[i] == place->from[0];
    for (size_t c = 0; c < place->channels; c++) out[c] /= (double)share;
}

void mc_scale_clean(const mc_place *place, const double *used, double *s)
{
    /* A gain that is stored less a number loses digits when it becomes small. */
    const double most = place->gain_offset != 0.0 ? 64.0 : MC_SCALE_MOST;
    for (size_t c = 0; c < place->channels; c++) {
        if (!(isfinite(s[c]) && s[c] > 0.0) || !(used[c] > 0.0)) s[c] = 1.0;
        s[c] = fmin(fmax(s[c], MC_SCALE_LEAST), most);
    }
}

/* ---- edits ---- */

mc_status mc_scale_edit(const mc_transform_job *job, const mc_tensor *tensor, mc_edit_kind kind,
                        int axis, const double *vector, mc_err *err)
{
    const mc_edit edit = {.kind = kind, .axis = axis, .vector = vector};
    return mc_edits_add(job->edits, tensor, &edit, err);
}

mc_status mc_scale_edit_bias(const mc_transform_job *job, const mc_tensor *bias, mc_edit_kind kind,
                             const double *vector, mc_err *err)
{
    return mc_scale_edit(job, bias, kind, mc_look_vector_axis(bias), vector, err);
}

/* gain + offset becomes (gain + offset) / s. */
static mc_status divide_gain(const mc_transform_job *job, const mc_place *place,
                             const double *inverse, mc_arena scratch, mc_err *err)
{
    double *offset = MC_NEW_RAW(&scratch, double, place->channels);
    if (!offset) return mc_no_room(err, place->name);
    for (size_t c = 0; c < place->channels; c++) offset[c] = place->gain_offset;
    if (place->gain_offset != 0.0)
        MC_TRY(mc_scale_edit(job, place->gain, MC_EDIT_ADD, 0, offset, err));
    MC_TRY(mc_scale_edit(job, place->gain, MC_EDIT_SCALE, 0, inverse, err));
    for (size_t c = 0; c < place->channels; c++) offset[c] = -place->gain_offset;
    if (place->gain_offset == 0.0) return MC_OK;
    return mc_scale_edit(job, place->gain, MC_EDIT_ADD, 0, offset, err);
}

/* y / s = BN(W x / s + b / s), with mean and bias of the norm divided too. */
static mc_status divide_site(const mc_transform_job *job, const mc_place *place,
                             const double *inverse, mc_err *err)
{
    const mc_site_output *o = &job->places->output[place->producer - job->places->sites->site];
    const mc_tensor *const vector[] = {o->bias, o->norm.bias, o->norm.mean};
    mc_site_axes axes;
    if (!mc_look_axes(job->places->graph, place->producer, &axes))
        return mc_fail(err, MC_E_INTERNAL, "'%s' has no axis of outputs", place->name);
    MC_TRY(mc_scale_edit(job, place->producer->weight, MC_EDIT_SCALE, axes.out, inverse, err));
    for (size_t i = 0; i < sizeof vector / sizeof vector[0]; i++)
        if (vector[i]) MC_TRY(mc_scale_edit_bias(job, vector[i], MC_EDIT_SCALE, inverse, err));
    return MC_OK;
}

static mc_status multiply_site(const mc_transform_job *job, const mc_place *place,
                               const mc_site *site, const double *s, mc_arena scratch, mc_err *err)
{
    mc_site_axes axes;
    if (!mc_look_axes(job->places->graph, site, &axes))
        return mc_fail(err, MC_E_INTERNAL, "'%s' has no axis of channels", site->name);
    const size_t n = axes.ins * axes.each;
    double *along = MC_NEW_RAW(&scratch, double, n);
    if (!along) return mc_no_room(err, site->name);
    for (size_t i = 0; i < n; i++) along[i] = s[place->from[i / axes.each]];
    return mc_scale_edit(job, site->weight, MC_EDIT_SCALE, axes.in, along, err);
}

/* Notes what becomes of the place's value; `by` is the producer's. */
static mc_status tell(const mc_transform_job *job, const mc_place *place, mc_input_change_kind kind,
                      const double *by, mc_arena scratch, mc_err *err)
{
    double *vector = MC_NEW_RAW(&scratch, double, place->width);
    if (!vector) return mc_no_room(err, place->name);
    for (size_t i = 0; i < place->width; i++) vector[i] = by[place->from[i]];
    const mc_input_change change = {.kind = kind, .n = place->width, .vector = vector};
    for (size_t i = 0; i < place->sites; i++)
        MC_TRY(mc_input_changed(job, place->site[i], change, err));
    return MC_OK;
}

mc_status mc_scale_apply(const mc_transform_job *job, const mc_place *place, const double *s,
                         mc_arena scratch, mc_err *err)
{
    double *inverse = MC_NEW_RAW(&scratch, double, place->channels);
    bool changes = false;
    if (!inverse) return mc_no_room(err, place->name);
    for (size_t c = 0; c < place->channels; c++) {
        inverse[c] = 1.0 / s[c];
        changes = changes || s[c] != 1.0;
    }
    if (!changes) return MC_OK;
    if (place->kind == MC_PLACE_NORM) {
        MC_TRY(divide_gain(job, place, inverse, scratch, err));
        if (place->bias) MC_TRY(mc_scale_edit_bias(job, place->bias, MC_EDIT_SCALE, inverse, err));
    } else
        MC_TRY(divide_site(job, place, inverse, err));
    for (size_t i = 0; i < place->sites; i++) {
        const mc_site *site = &job->places->sites->site[place->site[i]];
        if (!mc_scale_seen(job->places, place, i))
            MC_TRY(multiply_site(job, place, site, s, scratch, err));
    }
    return tell(job, place, MC_INPUT_SCALED, s, scratch, err);
}

/* ---- shifts ---- */

/* out[o] = factor * sum over inputs of w z, for a site whose weight is `w`. */
static void response(const mc_place *place, const mc_tensor *t, const mc_site_axes *axes,
                     const float *w, const double *z, double *out)
{
    size_t inner = 1;
    for (int i = (axes->in > axes->out ? axes->in : axes->out) + 1; i < t->ndim; i++)
        inner *= (size_t)t->dim[i];
    const size_t first = (size_t)t->dim[0], second = (size_t)t->dim[1];
    for (size_t a = 0; a < first; a++)
        for (size_t b = 0; b < second; b++)
            for (size_t k = 0; k < inner; k++, w++) {
                const size_t o = axes->out == 0 ? a : b;
                const size_t i = axes->each > 1 || axes->in == 0 ? a / axes->each : b;
                out[o] += (double)*w * z[place->from[i]];
            }
}

/* By how much a BatchNormalization multiplies each output. */
static mc_status norm_factor(const mc_transform_job *job, const mc_site_output *o, size_t n,
                             mc_arena scratch, double *sum, mc_err *err)
{
    const float *scale, *variance;
    if (!o->norm.scale) return MC_OK;
    MC_TRY(mc_scale_load(job, o->norm.scale, &scratch, &scale, err));
    MC_TRY(mc_scale_load(job, o->norm.variance, &scratch, &variance, err));
    for (size_t i = 0; i < n; i++)
        sum[i] *= (double)scale[i] / sqrt((double)variance[i] + o->norm.epsilon);
    return MC_OK;
}

static mc_status shift_site(const mc_transform_job *job, const mc_place *place, size_t at,
                            const double *z, mc_arena scratch, mc_err *err)
{
    const mc_site *site = &job->places->sites->site[at];
    const mc_site_output *o = &job->places->output[at];
    mc_site_axes axes;
    const float *w;
    if (!mc_look_axes(job->places->graph, site, &axes))
        return mc_fail(err, MC_E_INTERNAL, "'%s' has no axis of channels", site->name);
    double *sum = MC_NEW(&scratch, double, axes.outs);
    if (!sum) return mc_no_room(err, site->name);
    MC_TRY(mc_scale_load(job, site->weight, &scratch, &w, err));
    response(place, site->weight, &axes, w, z, sum);
    MC_TRY(norm_factor(job, o, axes.outs, scratch, sum, err));
    return mc_scale_edit_bias(job, mc_place_slot(o), MC_EDIT_ADD, sum, err);
}

mc_status mc_scale_shift(const mc_transform_job *job, const mc_place *place, const double *z,
                         mc_arena scratch, mc_err *err)
{
    double *less = MC_NEW_RAW(&scratch, double, place->channels);
    bool changes = false;
    if (!less) return mc_no_room(err, place->name);
    for (size_t c = 0; c < place->channels; c++) {
        less[c] = -z[c];
        changes = changes || z[c] != 0.0;
    }
    if (!changes) return MC_OK;
    for (size_t i = 0; i < place->sites; i++)
        MC_TRY(shift_site(job, place, place->site[i], z, scratch, err));
    MC_TRY(tell(job, place, MC_INPUT_SHIFTED, z, scratch, err));
    return mc_scale_edit_bias(job, place->bias, MC_EDIT_ADD, less, err);
}

/* ---- what a group function begins with ---- */

static bool is_stored(const mc_model *model, const mc_tensor *tensor)
{
    return !tensor || mc_model_find(model, tensor->name) != NULL;
}

bool mc_scale_is_stored(const mc_transform_job *job, const mc_place *place)
{
    const mc_places *all = job->places;
    bool stored = is_stored(job->model, place->gain) && is_stored(job->model, place->bias);
    for (size_t i = 0; i < place->sites && stored; i++) {
        const mc_site_output *o = &all->output[place->site[i]];
        stored = is_stored(job->model, all->sites->site[place->site[i]].weight) &&
                 is_stored(job->model, o->bias) && is_stored(job->model, o->norm.bias);
    }
    if (!stored || !place->producer) return stored;
    const mc_site_output *o = &all->output[place->producer - all->sites->site];
    return is_stored(job->model, place->producer->weight) && is_stored(job->model, o->bias) &&
           is_stored(job->model, o->norm.mean);
}

mc_status mc_scale_needs(const mc_transform_job *job, bool inner, mc_err *err)
{
    for (size_t i = 0; i < job->places->places; i++)
        if ((inner || job->places->place[i].kind == MC_PLACE_NORM) &&
            mc_scale_is_stored(job, &job->places->place[i]))
            return MC_OK;
    return mc_fail(err, MC_E_UNSUPPORTED,
                   "the model has no place to scale: %s whose outputs only matrices take",
                   inner ? "a norm or a layer" : "a norm");
}

const mc_place *mc_scale_place(const mc_transform_job *job, const mc_input_stats *stats, bool inner)
{
    const mc_place *place = mc_places_of(job->places, stats->group);
    const bool fits = place && (inner || place->kind == MC_PLACE_NORM);
    return fits && mc_scale_is_stored(job, place) ? place : NULL;
}

mc_status mc_scale_stats_of(const mc_place *place, const mc_input_stats *stats,
                            const mc_transform_job *job, mc_arena *mem, mc_scale_stats *out,
                            mc_err *err)
{
    double *absmax = MC_NEW(mem, double, place->channels);
    double *mean = MC_NEW(mem, double, place->channels);
    double *weight = MC_NEW(mem, double, place->channels);
    mc_arena scratch = *mem;
    double *x = MC_NEW(&scratch, double, place->width);
    if (!absmax || !mean || !weight || !x) return mc_no_room(err, place->name);
    for (size_t i = 0; i < place->width; i++) x[i] = (double)stats->absmax[i];
    mc_scale_fold(place, x, false, absmax);
    for (size_t i = 0; i < place->width; i++) x[i] = stats->mean_abs ? stats->mean_abs[i] : 0.0;
    mc_scale_fold(place, x, true, mean);
    MC_TRY(mc_scale_columns(job, place, scratch, x, err));
    mc_scale_fold(place, x, false, weight);
    *out = (mc_scale_stats){absmax, mean, weight, place->channels};
    return MC_OK;
}
