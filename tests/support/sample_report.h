/* A report as a small Llama would give it, made up without a model: embedding and head at 8 bits,
 * the linear layers at 4 bits in groups of 32, norms carried. The same arguments give the same
 * report. */
#ifndef MC_TESTS_SUPPORT_SAMPLE_REPORT_H
#define MC_TESTS_SUPPORT_SAMPLE_REPORT_H

#include "verify/report.h"

typedef struct {
    mc_report report;
    mc_region memory;
} sample_report;

/* 9 tensors a layer and 3 more; 0 layers: only embedding, head and last norm. `gates`: three of
 * them, the last one fails. */
void sample_report_open(sample_report *out, size_t layers, bool gates);
void sample_report_close(sample_report *sample);

/* What running the models could have given (sample_report_data.c): language with two data sets, a
 * classifier with one; a site for each quantized tensor. The headline says that it was measured. */
void sample_report_language(sample_report *sample);
void sample_report_classes(sample_report *sample);

/* Judges by three gates more: one met, one that is finer than what was measured, one on what the
 * task does not have. */
void sample_report_gates_on_data(sample_report *sample);

/* The data of such a report, to be changed. */
mc_data_report *sample_report_data(sample_report *sample);

/* Gives a tensor another name, for tests of escaping. */
void sample_report_rename(sample_report *sample, size_t tensor, const char *name);

#endif
