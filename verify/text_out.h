/* How reports write their numbers, in text and in HTML alike. */
#ifndef MC_VERIFY_TEXT_OUT_H
#define MC_VERIFY_TEXT_OUT_H

#include "core/scheme.h"
#include "core/text.h"
#include "verify/report.h"

/* "13,315,072" */
void mc_out_grouped(mc_text *to, uint64_t n);

/* "18.21 dB", "exact", "–" for NaN */
void mc_out_db(mc_text *to, double db);

/* "0.123 %": three significant digits, at most four decimals; "–" for NaN */
void mc_out_share(mc_text *to, double share);

/* Three significant digits, without an exponent between 0.001 and 100000. */
void mc_out_real(mc_text *to, double value);

/* The same; "–" for NaN. */
void mc_out_fixed_or_dash(mc_text *to, double value, int decimals);
void mc_out_real_or_dash(mc_text *to, double value);

/* "1.0193 ± 0.0011", with two digits of the error, at least two decimals; the value alone when it
 * is NaN. */
void mc_out_with_error(mc_text *to, double value, double error);

/* As few decimals as the number needs: 20, 0.001. For what a person wrote. */
void mc_out_shortest(mc_text *to, double value);

/* A metric and its threshold, with digits enough to see why a gate failed: "19.9984 dB", "20 dB";
 * "not measured" for NaN. */
void mc_out_metric(mc_text *to, const mc_metric *metric, double value);
void mc_out_threshold(mc_text *to, const mc_metric *metric, double value);

/* A gate's value; says what was missing when there is none. */
void mc_out_gate_value(mc_text *to, const mc_gate_result *gate);

/* How a data set is called: its name, else its path. Not escaped. */
const char *mc_out_data_name(const mc_outcome *outcome);

/* Did data set i lose more than all others with the same figures? */
bool mc_out_is_worst(const mc_data_report *data, size_t i);

/* Decimals that show two digits of an error, 1..6. */
int mc_out_decimals(double error);

/* Bits of a code (mc_scheme_bits): "4", "1.58". */
void mc_out_bits_text(mc_text *to, const mc_weight_spec *spec);

/* A number of decibels: null when it is not finite, and "exact": true behind it when there is no
 * error. */
void mc_out_json_db(mc_json_out *out, const char *key, double db);

/* The keys "sites", "model" and "domains" of the JSON report. */
void mc_report_json_data(mc_json_out *out, const mc_report *report);

bool mc_out_is_quantized(const mc_tensor_report *tensor);

#endif
