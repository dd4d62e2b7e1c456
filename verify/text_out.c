/* Numbers as reports write them. Everything goes through mc_text_add_fixed, so no locale has a
 * say. */
#include "verify/text_out.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void mc_out_grouped(mc_text *to, uint64_t n)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, n);
    const size_t length = strlen(digits);
    for (size_t i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) mc_text_add(to, ",");
        mc_text_add_bytes(to, digits + i, 1);
    }
}

void mc_out_db(mc_text *to, double db)
{
    if (isnan(db) || db == (double)INFINITY) {
        mc_text_add(to, isnan(db) ? "–" : "exact");
        return;
    }
    mc_text_add_fixed(to, db, 2);
    mc_text_add(to, " dB");
}

void mc_out_json_db(mc_json_out *out, const char *key, double db)
{
    mc_json_num(out, key, db);
    if (db == (double)INFINITY) mc_json_bool(out, "exact", true);
}

/* Decimals that show `digits` significant digits of a value, at most `most`. */
static int decimals_for(double value, int digits, int most)
{
    double size = fabs(value);
    if (!(size > 0.0) || isinf(size)) return digits - 1;
    int decimals = digits - 1;
    while (size >= 10.0 && decimals > 0) {
        size /= 10.0;
        decimals--;
    }
    while (size < 1.0 && decimals < most) {
        size *= 10.0;
        decimals++;
    }
    return decimals;
}

void mc_out_share(mc_text *to, double share)
{
    if (isnan(share)) {
        mc_text_add(to, "–");
        return;
    }
    const double percent = 100.0 * share;
    if (percent == 0.0)
        mc_text_add(to, "0");
    else if (fabs(percent) < 0.001)
        mc_out_real(to, percent);
    else
        mc_text_add_fixed(to, percent, decimals_for(percent, 3, 4));
    if (!isinf(share)) mc_text_add(to, " %");
}

void mc_out_real(mc_text *to, double value)
{
    const double size = fabs(value);
    if (size == 0.0 || !isfinite(value)) {
        mc_text_add_fixed(to, value, 0);
    } else if (size >= 1e-3 && size < 1e5) {
        mc_text_add_fixed(to, value, decimals_for(value, 3, 5));
    } else {
        const int exponent = (int)floor(log10(size));
        mc_text_add_fixed(to, value / pow(10.0, exponent), 2);
        mc_text_addf(to, "e%d", exponent);
    }
}

void mc_out_fixed_or_dash(mc_text *to, double value, int decimals)
{
    if (isnan(value))
        mc_text_add(to, "–");
    else
        mc_text_add_fixed(to, value, decimals);
}

void mc_out_real_or_dash(mc_text *to, double value)
{
    if (isnan(value))
        mc_text_add(to, "–");
    else
        mc_out_real(to, value);
}

int mc_out_decimals(double error)
{
    int decimals = 1;
    for (double shown = error * 10.0; decimals < 6 && !(shown >= 10.0); shown *= 10.0) decimals++;
    return decimals;
}

void mc_out_with_error(mc_text *to, double value, double error)
{
    const bool tiny = error > 0.0 && error < 1e-6;
    int decimals = mc_out_decimals(error);
    if (decimals < 2) decimals = 2;
    if (isnan(error) || tiny)
        mc_out_real_or_dash(to, value);
    else
        mc_out_fixed_or_dash(to, value, decimals);
    if (isnan(error)) return;
    mc_text_add(to, " ± ");
    if (tiny)
        mc_out_real(to, error);
    else
        mc_text_add_fixed(to, error, decimals);
}

void mc_out_shortest(mc_text *to, double value)
{
    double scale = 1.0;
    for (int decimals = 0; decimals <= 9; decimals++, scale *= 10.0) {
        const double scaled = fabs(value) * scale;
        if (!(fabs(scaled - rint(scaled)) <= 1e-14 * scaled)) continue;
        mc_text_add_fixed(to, value, decimals);
        return;
    }
    mc_out_real(to, value);
}

static bool is_whole(const mc_metric *metric, double value)
{
    if (metric->unit != MC_METRIC_COUNT && metric->unit != MC_METRIC_BYTES) return false;
    return value >= 0.0 && value < 9007199254740992.0 && floor(value) == value;
}

static void add_unit(mc_text *to, const mc_metric *metric, double value)
{
    if (metric->unit == MC_METRIC_DB && isfinite(value)) mc_text_add(to, " dB");
}

void mc_out_threshold(mc_text *to, const mc_metric *metric, double value)
{
    if (is_whole(metric, value))
        mc_out_grouped(to, (uint64_t)value);
    else
        mc_out_shortest(to, value);
    add_unit(to, metric, value);
}

void mc_out_metric(mc_text *to, const mc_metric *metric, double value)
{
    if (isnan(value))
        mc_text_add(to, "not measured");
    else if (is_whole(metric, value))
        mc_out_grouped(to, (uint64_t)value);
    else if (metric->unit == MC_METRIC_DB && value == (double)INFINITY)
        mc_text_add(to, "exact");
    else if (value == 0.0 || !isfinite(value))
        mc_text_add_fixed(to, value, 0);
    else
        mc_text_add_fixed(to, value, decimals_for(value, 6, 12));
    add_unit(to, metric, value);
}

void mc_out_gate_value(mc_text *to, const mc_gate_result *gate)
{
    const mc_metric *metric = mc_metric_find(gate->metric);
    if (metric) mc_out_metric(to, metric, gate->value);
    if (isnan(gate->value) && gate->needs_data) mc_text_add(to, " (needs --data)");
}

const char *mc_out_data_name(const mc_outcome *outcome)
{
    return outcome->name[0] ? outcome->name : outcome->path;
}

/* Larger is worse. NaN is worse than all. */
static double loss_of(const mc_outcome *o)
{
    double loss = -o->output_sqnr_db;
    if (mc_outcome_is_language(o)) loss = o->perplexity_ratio;
    if (mc_outcome_has_answers(o)) loss = o->accuracy_drop;
    return isnan(loss) ? (double)INFINITY : loss;
}

bool mc_out_is_worst(const mc_data_report *data, size_t i)
{
    const mc_outcome *own = &data->outcome[i];
    bool compared = false;
    for (size_t k = 0; k < data->outcomes; k++) {
        const mc_outcome *other = &data->outcome[k];
        const bool alike = mc_outcome_is_language(own) == mc_outcome_is_language(other) &&
                           mc_outcome_has_answers(own) == mc_outcome_has_answers(other);
        if (k == i || !alike) continue;
        if (!(loss_of(own) > loss_of(other))) return false;
        compared = true;
    }
    return compared;
}

bool mc_out_is_quantized(const mc_tensor_report *tensor)
{
    return tensor->spec->form == MC_FORM_QUANTIZED;
}

void mc_out_bits_text(mc_text *to, const mc_weight_spec *spec)
{
    const double bits = mc_scheme_bits(spec);
    mc_text_add_fixed(to, bits, bits == floor(bits) ? 0 : 2);
}
