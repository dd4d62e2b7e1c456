/* Gates: "METRIC OP VALUE" against the scalars of a report. */
#include "verify/report.h"

#include "core/nearest.h"

#include <math.h>
#include <string.h>

/* ---- comparisons: each is false when a side is NaN ---- */

static bool at_most(double a, double b)
{
    return a <= b;
}
static bool less(double a, double b)
{
    return a < b;
}
static bool at_least(double a, double b)
{
    return a >= b;
}
static bool more(double a, double b)
{
    return a > b;
}
static bool equal(double a, double b)
{
    return a == b;
}

/* Longer ones first, so that "<=" is not read as "<". */
static const struct {
    const char *text;
    bool (*holds)(double value, double threshold);
} ops[] = {{"<=", at_most}, {">=", at_least}, {"==", equal}, {"<", less}, {">", more}};

enum { OPS = sizeof ops / sizeof *ops };

/* ---- parsing ---- */

enum { SHOWN = 64 }; /* of a name that nobody knows */

static mc_status unknown_metric(const char *name, size_t bytes, mc_arena scratch, mc_err *err)
{
    char *all = mc_format(&scratch, "%s", "");
    bool data = false;
    for (size_t i = 0; all && mc_metric_at(i); i++) {
        const mc_metric *metric = mc_metric_at(i);
        const char *between = metric->needs_data && !data ? "; with --data also: " : ", ";
        data = metric->needs_data;
        all = mc_format(&scratch, "%s%s%s", all, i ? between : "", metric->name);
    }
    if (!all) return mc_no_room(err, "the list of metrics");

    mc_nearest choice = {.text = name, .length = bytes};
    for (size_t i = 0; mc_metric_at(i); i++) mc_nearest_offer(&choice, mc_metric_at(i)->name);
    const int shown = bytes < SHOWN ? (int)bytes : SHOWN;
    const char *nearest = mc_nearest_best(&choice);
    if (nearest)
        return mc_fail(err, MC_E_USAGE,
                       "there is no metric \"%.*s\"; did you mean \"%s\"? there are: %s", shown,
                       name, nearest, all);
    return mc_fail(err, MC_E_USAGE, "there is no metric \"%.*s\"; there are: %s", shown, name, all);
}

static const char *skip_spaces(const char *at)
{
    while (*at == ' ' || *at == '\t') at++;
    return at;
}

/* A JSON number, so that no locale has a say; bytes of a byte metric may carry a binary unit. */
static bool parse_value(const char *at, bool is_bytes, double *value)
{
    static const struct {
        const char *unit;
        double factor;
    } units[] = {{"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}, {"B", 1.0}};

    const size_t digits = strspn(at, "+-.0123456789eE");
    mc_err ignored = {0};
    mc_json *number = NULL;
    if (mc_json_parse(at, digits, "number", &number, &ignored) != MC_OK) return false;
    *value = mc_json_as_num(number, (double)NAN);
    mc_json_free(number);

    at = skip_spaces(at + digits);
    for (size_t i = 0; is_bytes && i < sizeof units / sizeof *units; i++) {
        if (strncmp(at, units[i].unit, strlen(units[i].unit)) != 0) continue;
        *value *= units[i].factor;
        at = skip_spaces(at + strlen(units[i].unit));
        break;
    }
    return *at == '\0' && isfinite(*value);
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

mc_status mc_gate_parse(const char *text, mc_arena *mem, mc_gate *out, mc_err *err)
{
    *out = (mc_gate){0};
    const char *name = skip_spaces(text);
    size_t bytes = 0;
    while (is_name(name[bytes])) bytes++;
    const char *at = skip_spaces(name + bytes);

    for (size_t i = 0; !out->op && i < OPS; i++)
        if (strncmp(at, ops[i].text, strlen(ops[i].text)) == 0) out->op = ops[i].text;
    if (bytes == 0 || !out->op)
        return mc_fail(err, MC_E_USAGE,
                       "'%.80s' is no gate: expected METRIC OP VALUE with OP one of <= < >= > ==, "
                       "as in 'min_tensor_sqnr_db >= 20'",
                       text);

    const mc_metric *metric = NULL;
    for (size_t i = 0; !metric && mc_metric_at(i); i++) {
        const char *known = mc_metric_at(i)->name;
        if (strlen(known) == bytes && memcmp(known, name, bytes) == 0) metric = mc_metric_at(i);
    }
    if (!metric) return unknown_metric(name, bytes, *mem, err);
    out->metric = metric->name;

    const char *value = skip_spaces(at + strlen(out->op));
    if (!parse_value(value, metric->unit == MC_METRIC_BYTES, &out->threshold))
        return mc_fail(err, MC_E_USAGE, "'%.80s': '%.40s' is no %s", text, value,
                       metric->unit == MC_METRIC_BYTES
                           ? "size: expected a number, or one with KiB, MiB or GiB"
                           : "number");
    return MC_OK;
}

/* ---- judging ---- */

static bool holds(const char *op, double value, double threshold)
{
    for (size_t i = 0; i < OPS; i++)
        if (strcmp(ops[i].text, op) == 0) return ops[i].holds(value, threshold);
    return false;
}

mc_status mc_gates_apply(const mc_gate *gate, size_t gates, mc_arena *mem, mc_report *out,
                         mc_err *err)
{
    out->gates = 0;
    out->pass = true;
    out->gate = MC_NEW(mem, mc_gate_result, gates ? gates : 1);
    if (!out->gate) return mc_no_room(err, "the gates");

    for (size_t i = 0; i < gates; i++) {
        mc_gate_result *result = &out->gate[i];
        *result = (mc_gate_result){
            .metric = gate[i].metric, .op = gate[i].op, .threshold = gate[i].threshold};
        const mc_metric *metric = mc_metric_find(gate[i].metric);
        if (!metric)
            return mc_fail(err, MC_E_INTERNAL, "the report has no metric \"%s\"", gate[i].metric);
        result->value = metric->value(out);
        result->interval = mc_metric_interval(metric, out);
        result->underpowered = mc_metric_is_too_coarse(metric, out, gate[i].threshold);
        result->needs_data = metric->needs_data && !out->data;
        result->pass = holds(result->op, result->value, result->threshold) &&
                       !(out->strict && result->underpowered);
        out->pass = out->pass && result->pass;
    }
    out->gates = gates;
    return MC_OK;
}
