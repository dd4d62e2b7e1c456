/* BatchNormalization goes into the weights in front of it:
 *
 *     g = scale / sqrt(var + epsilon);  W' = W g (per output);  B' = (b - mean) g + B
 *
 * The node stays and becomes a plain bias: scale 1, mean 0, bias B', variance 1 - epsilon, for
 * which sqrt(var + epsilon) is 1 in f32. So per-output scales of W' see what the layer gives. */
#include "quant/transform_scale.h"

#include <math.h>

/* The variance whose root is 1 behind `+ epsilon`, as the operator and the pass batchnorm compute
 * it; false: none in f32. */
static bool unit_variance(double epsilon, double *out)
{
    const float v = (float)(1.0 - epsilon), sum = v + (float)epsilon;
    *out = (double)v;
    return (float)(1.0 / sqrt((double)v + epsilon)) == 1.0f && sqrtf(sum) == 1.0f;
}

typedef struct {
    double *factor, *bias, *one, *zero, *variance;
} vectors;

static mc_status load_vectors(const mc_transform_job *job, const mc_site_output *o, size_t n,
                              mc_arena scratch, vectors *v, mc_err *err)
{
    const float *scale, *shift, *mean, *variance, *own = NULL;
    MC_TRY(mc_scale_load(job, o->norm.scale, &scratch, &scale, err));
    MC_TRY(mc_scale_load(job, o->norm.bias, &scratch, &shift, err));
    MC_TRY(mc_scale_load(job, o->norm.mean, &scratch, &mean, err));
    MC_TRY(mc_scale_load(job, o->norm.variance, &scratch, &variance, err));
    if (o->bias) MC_TRY(mc_scale_load(job, o->bias, &scratch, &own, err));
    for (size_t i = 0; i < n; i++) {
        v->factor[i] = (double)scale[i] / sqrt((double)variance[i] + o->norm.epsilon);
        if (!isfinite(v->factor[i]))
            return mc_fail(err, MC_E_FORMAT, "'%s': variance %zu is %g, which has no root",
                           o->norm.variance->name, i, (double)variance[i]);
        v->bias[i] =
            ((own ? (double)own[i] : 0.0) - (double)mean[i]) * v->factor[i] + (double)shift[i];
    }
    return MC_OK;
}

static mc_status fold(const mc_transform_job *job, size_t at, mc_arena scratch, mc_err *err)
{
    const mc_site_output *o = &job->places->output[at];
    const mc_tensor *weight = job->places->sites->site[at].weight;
    const size_t n = (size_t)o->norm.scale->count;
    mc_site_axes axes;
    double unit;
    if (!mc_look_axes(job->places->graph, &job->places->sites->site[at], &axes)) return MC_OK;
    if (!unit_variance(o->norm.epsilon, &unit)) return MC_OK;
    vectors v = {MC_NEW(&scratch, double, n), MC_NEW(&scratch, double, n),
                 MC_NEW(&scratch, double, n), MC_NEW(&scratch, double, n),
                 MC_NEW(&scratch, double, n)};
    if (!v.factor || !v.bias || !v.one || !v.zero || !v.variance)
        return mc_no_room(err, o->norm.scale->name);
    for (size_t i = 0; i < n; i++) {
        v.one[i] = 1.0;
        v.variance[i] = unit;
    }
    MC_TRY(load_vectors(job, o, n, scratch, &v, err));
    MC_TRY(mc_scale_edit(job, weight, MC_EDIT_SCALE, axes.out, v.factor, err));
    if (o->bias) MC_TRY(mc_scale_edit_bias(job, o->bias, MC_EDIT_SCALE, v.zero, err));
    MC_TRY(mc_scale_edit(job, o->norm.scale, MC_EDIT_SET, 0, v.one, err));
    MC_TRY(mc_scale_edit(job, o->norm.mean, MC_EDIT_SET, 0, v.zero, err));
    MC_TRY(mc_scale_edit(job, o->norm.variance, MC_EDIT_SET, 0, v.variance, err));
    return mc_scale_edit(job, o->norm.bias, MC_EDIT_SET, 0, v.bias, err);
}

/* A weight of several sites stays as it is. */
static bool is_alone(const mc_sites *sites, size_t at)
{
    size_t n = 0;
    for (size_t i = 0; i < sites->sites; i++) n += sites->site[i].weight == sites->site[at].weight;
    return n == 1;
}

static mc_status begin(const mc_transform_job *job, mc_arena *mem, mc_err *err)
{
    const mc_sites *sites = job->places->sites;
    size_t folded = 0;
    for (size_t i = 0; i < sites->sites; i++) {
        if (!job->places->output[i].norm.scale || !is_alone(sites, i)) continue;
        MC_TRY(fold(job, i, *mem, err));
        folded++;
    }
    if (folded) return MC_OK;
    return mc_fail(err, MC_E_UNSUPPORTED,
                   "the model has no BatchNormalization behind a weight that could take it");
}

const mc_transform mc_transform_batchnorm = {
    .name = "batchnorm",
    .summary = "BatchNormalization folded into the weights in front of it",
    .needs = "no data",
    .cost = "nothing to speak of",
    .paper = "Jacob et al. 2018, section 3.2; Nagel et al. 2019 (DFQ)",
    .begin = begin,
};
