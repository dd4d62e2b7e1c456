/* The table of methods, the reading of "name:key=value", and the checks every method relies on. */
#include "quant/quant.h"

#include "core/kernels.h"
#include "core/nearest.h"

#include <math.h>
#include <stdio.h>
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

/* A piece of the text that is being parsed. */
typedef struct {
    const char *at;
    size_t length;
} span;

static bool span_is(span s, const char *word)
{
    return strlen(word) == s.length && memcmp(word, s.at, s.length) == 0;
}

/* The next piece up to `end` or the end of the text, and past it in *text. */
static span next_until(const char **text, char end)
{
    const char *found = strchr(*text, end);
    const span s = {*text, found ? (size_t)(found - *text) : strlen(*text)};
    *text += s.length + (found != NULL);
    return s;
}

static const mc_quant_method *find(span name)
{
    for (size_t i = 0; i < METHOD_COUNT; i++)
        if (span_is(name, methods[i]->name)) return methods[i];
    return NULL;
}

const mc_quant_method *mc_quant_usual(double bits)
{
    for (size_t i = 0; i < METHOD_COUNT; i++)
        if (bits >= methods[i]->usual_from && bits < methods[i]->usual_below) return methods[i];
    return NULL;
}

/* ---- messages that help ---- */

/* Words to choose from: the nearest of them, and all of them as a list. */
typedef struct {
    mc_nearest nearest;
    char list[512];
} choices;

static void offer(choices *c, const char *word)
{
    const size_t length = strlen(c->list);
    snprintf(c->list + length, sizeof c->list - length, "%s%s", length ? ", " : "", word);
    mc_nearest_offer(&c->nearest, word);
}

/* "…; did you mean "mse"? (rtn, mse, …)": a suggestion only when it is closer than a guess. */
static mc_status fail_choice(const choices *c, const char *what, mc_err *err)
{
    const mc_nearest *wanted = &c->nearest;
    const int length = wanted->length > 64 ? 64 : (int)wanted->length;
    const char *near = mc_nearest_best(wanted);
    if (near)
        return mc_fail(err, MC_E_USAGE, "%s \"%.*s\"; did you mean \"%s\"? (known: %s)", what,
                       length, wanted->text, near, c->list);
    return mc_fail(err, MC_E_USAGE, "%s \"%.*s\" (known: %s)", what, length, wanted->text, c->list);
}

static mc_status fail_method(span name, mc_err *err)
{
    choices c = {.nearest = {.text = name.at, .length = name.length}};
    for (size_t i = 0; i < METHOD_COUNT; i++) offer(&c, methods[i]->name);
    return fail_choice(&c, "there is no method", err);
}

static size_t param_count(const mc_quant_method *method)
{
    size_t n = 0;
    while (n < MC_QUANT_PARAMS && method->params[n].key) n++;
    return n;
}

static mc_status fail_param(const mc_quant_method *method, span key, mc_err *err)
{
    const size_t n = param_count(method);
    if (n == 0)
        return mc_fail(err, MC_E_USAGE, "it takes no parameters, found \"%.*s\"",
                       key.length > 64 ? 64 : (int)key.length, key.at);

    choices c = {.nearest = {.text = key.at, .length = key.length}};
    for (size_t i = 0; i < n; i++) offer(&c, method->params[i].key);
    return fail_choice(&c, "there is no parameter", err);
}

/* ---- parsing ---- */

/* Decimal digits with an optional point and sign. Not strtod, which follows the locale. At most 15
 * digits, so that digits and power of ten are exact and the quotient is the nearest double. */
static bool parse_number(span s, double *value)
{
    double digits = 0.0, power = 1.0;
    size_t count = 0, i = 0;
    bool point = false;

    const bool minus = s.length > 0 && s.at[0] == '-';
    for (i = minus; i < s.length; i++) {
        const char c = s.at[i];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9' || ++count > 15) return false;
        digits = digits * 10.0 + (c - '0');
        if (point) power *= 10.0;
    }
    *value = (minus ? -digits : digits) / power;
    return count > 0;
}

static mc_status parse_param(const mc_quant_param *param, span value, double *out, mc_err *err)
{
    const int length = value.length > 64 ? 64 : (int)value.length;
    if (!parse_number(value, out))
        return mc_fail(err, MC_E_USAGE, "%s is \"%.*s\", must be a number from %g to %g",
                       param->key, length, value.at, param->least, param->most);
    if (!(*out >= param->least && *out <= param->most))
        return mc_fail(err, MC_E_USAGE, "%s is %.*s, must be %g to %g", param->key, length,
                       value.at, param->least, param->most);
    if (param->whole && *out != floor(*out))
        return mc_fail(err, MC_E_USAGE, "%s is %.*s, must be a whole number", param->key, length,
                       value.at);
    return MC_OK;
}

static mc_status parse_pair(span pair, mc_quant_setup *out, unsigned *seen, mc_err *err)
{
    const mc_quant_method *method = out->method;
    const char *equals = memchr(pair.at, '=', pair.length);
    const span key = {pair.at, equals ? (size_t)(equals - pair.at) : pair.length};

    for (size_t i = 0; i < param_count(method); i++) {
        if (!span_is(key, method->params[i].key)) continue;
        if (!equals)
            return mc_fail(err, MC_E_USAGE, "%s has no value, expected %s=NUMBER",
                           method->params[i].key, method->params[i].key);
        if (*seen & 1u << i)
            return mc_fail(err, MC_E_USAGE, "%s is given twice", method->params[i].key);
        *seen |= 1u << i;
        const span value = {equals + 1, pair.length - key.length - 1};
        return parse_param(&method->params[i], value, &out->param[i], err);
    }
    return fail_param(method, key, err);
}

mc_status mc_quant_setup_parse(const char *text, mc_quant_setup *out, mc_err *err)
{
    const bool has_params = strchr(text, ':') != NULL;
    const span name = next_until(&text, ':');
    *out = (mc_quant_setup){.method = find(name)};
    if (!out->method) return fail_method(name, err);

    for (size_t i = 0; i < param_count(out->method); i++)
        out->param[i] = out->method->params[i].usual;
    if (!has_params) return MC_OK;

    unsigned seen = 0;
    bool more = true;
    while (more) {
        more = strchr(text, ',') != NULL;
        if (parse_pair(next_until(&text, ','), out, &seen, err) != MC_OK)
            return mc_wrap(err, "method %s", out->method->name);
    }
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

mc_status mc_quantize(const mc_quant_job *job, mc_qmat *out, mc_arena scratch, mc_err *err)
{
    const mc_quant_method *method = job->setup->method;
    MC_TRY(check_shape(job, out, err));
    MC_TRY(mc_grid_check(&out->grid, err));

    const char *reason = method->refuses(&out->grid);
    if (reason) return mc_fail(err, MC_E_UNSUPPORTED, "method %s: %s", method->name, reason);
    MC_TRY(check_finite(job, err));

    if (method->run(job, out, scratch, err) != MC_OK)
        return mc_wrap(err, "method %s", method->name);
    return MC_OK;
}
