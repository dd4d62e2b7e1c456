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
    if (db == (double)INFINITY) {
        mc_text_add(to, "exact");
        return;
    }
    mc_text_add_fixed(to, db, 2);
    if (!isnan(db)) mc_text_add(to, " dB");
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

bool mc_out_is_quantized(const mc_tensor_report *tensor)
{
    return tensor->spec->form == MC_FORM_QUANTIZED;
}

void mc_out_bits_text(mc_text *to, const mc_weight_spec *spec)
{
    const double bits = mc_scheme_bits(spec);
    mc_text_add_fixed(to, bits, bits == floor(bits) ? 0 : 2);
}
