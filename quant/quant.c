/* The table of methods, and the checks every method relies on. */
#include "quant/quant.h"

#include "core/kernels.h"

#include <math.h>
#include <string.h>

static const mc_quant_method *const methods[] = {
#define X(name) &mc_quant_##name,
    MC_QUANT_METHODS(X)
#undef X
};

enum { METHOD_COUNT = sizeof methods / sizeof methods[0] };

const mc_quant_method *mc_quant_at(size_t i)
{
    return i < METHOD_COUNT ? methods[i] : NULL;
}

const mc_quant_method *mc_quant_usual(double bits)
{
    for (size_t i = 0; i < METHOD_COUNT; i++)
        if (bits >= methods[i]->usual_from && bits < methods[i]->usual_below) return methods[i];
    return NULL;
}

/* ---- reading ---- */

static bool member_at(size_t i, mc_setup_member *member)
{
    if (i >= METHOD_COUNT) return false;
    *member = (mc_setup_member){methods[i]->name, methods[i]->params};
    return true;
}

mc_status mc_quant_setup_parse(const char *text, mc_quant_setup *out, mc_err *err)
{
    static const mc_setup_family family = {"method", member_at};
    mc_setup setup;
    *out = (mc_quant_setup){0};
    MC_TRY(mc_setup_parse(&family, text, strlen(text), &setup, err));
    out->method = methods[setup.member];
    memcpy(out->param, setup.param, sizeof out->param);
    return MC_OK;
}

/* ---- running ---- */

static mc_status check_shape(const mc_quant_job *job, const mc_qmat *out, mc_err *err)
{
    const mc_mat w = job->weights;
    if (w.rows != out->rows || w.cols != out->cols)
        return mc_fail(err, MC_E_INTERNAL, "weights are %zu x %zu, codes are %zu x %zu", w.rows,
                       w.cols, out->rows, out->cols);
    if (out->group == 0 || w.cols % out->group != 0)
        return mc_fail(err, MC_E_USAGE, "group of %zu does not divide a row of %zu", out->group,
                       w.cols);
    return MC_OK;
}

static mc_status check_finite(const mc_quant_job *job, mc_err *err)
{
    const mc_mat w = job->weights;
    const size_t n = w.rows * w.cols, at = mc_first_not_finite(w.at, n);
    if (at == n) return MC_OK;
    const float x = w.at[at];
    return mc_fail(err, MC_E_FORMAT, "row %zu, column %zu: weight is %s",
                   job->first_row + at / w.cols, at % w.cols,
                   isnan(x)   ? "nan"
                   : x < 0.0f ? "-inf"
                              : "inf");
}

/* ---- methods that look at data ---- */

static mc_status check_squares(const mc_moments *m, mc_err *err)
{
    for (size_t i = 0; i < m->n; i++)
        if (!(m->square[i] >= 0.0 && isfinite(m->square[i])))
            return mc_fail(err, MC_E_FORMAT, "the mean square of the inputs is %g at column %zu",
                           m->square[i], i);
    return MC_OK;
}

static mc_status check_moments(const mc_quant_method *method, const mc_moments *m, size_t n,
                               mc_err *err)
{
    const bool gram = method->wants & MC_QUANT_GRAM, squares = method->wants & MC_QUANT_SQUARES;
    if ((gram && !(m && m->gram)) || (squares && !(m && m->square)))
        return mc_fail(err, MC_E_UNSUPPORTED, "method %s needs %s", method->name, method->needs);
    if (!gram && !squares) return MC_OK;
    if (m->n != n || m->groups != 1)
        return mc_fail(err, MC_E_INTERNAL, "moments of %zu columns in %zu groups for rows of %zu",
                       m->n, m->groups, n);
    if (squares && check_squares(m, err) != MC_OK) return mc_wrap(err, "method %s", method->name);
    return MC_OK;
}

mc_status mc_quant_make_ready(const mc_quant_prepare *in, mc_arena *mem, const void **out,
                              mc_quant_facts *facts, mc_err *err)
{
    const mc_quant_method *method = in->setup->method;
    mc_quant_facts forgotten = {0};
    *out = NULL;
    MC_TRY(check_moments(method, in->moments, in->moments ? in->moments->n : 0, err));
    if (!method->prepare) return MC_OK;
    if (method->prepare(in, mem, out, facts ? facts : &forgotten, err) != MC_OK)
        return mc_wrap(err, "method %s", method->name);
    return MC_OK;
}

size_t mc_quant_ready_bytes(const mc_quant_setup *setup, size_t n)
{
    return setup->method->prepare ? setup->method->prepare_bytes(setup, n) : 0;
}

mc_status mc_quantize(const mc_quant_job *job, mc_qmat *out, mc_arena scratch, mc_err *err)
{
    const mc_quant_method *method = job->setup->method;
    MC_TRY(check_shape(job, out, err));
    MC_TRY(mc_grid_check(&out->grid, err));
    if (out->grid.tensor_scaled && !(out->grid.tensor_scale > 0.0f))
        return mc_fail(err, MC_E_INTERNAL, "the scale of the whole tensor is not known");

    const char *reason = method->refuses(&out->grid);
    if (reason) return mc_fail(err, MC_E_UNSUPPORTED, "method %s: %s", method->name, reason);
    MC_TRY(check_finite(job, err));
    MC_TRY(check_moments(method, job->moments, out->cols, err));
    if (method->prepare && !job->prepared)
        return mc_fail(err, MC_E_INTERNAL, "method %s was not made ready", method->name);

    if (method->run(job, out, scratch, err) != MC_OK)
        return mc_wrap(err, "method %s", method->name);
    return MC_OK;
}
