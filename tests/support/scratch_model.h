/* Model files in a folder of their own, which is the current one while a test runs, so that
 * messages hold short names and can be compared whole. TestSuite(x, .init = scratch_enter, .fini =
 * scratch_leave). */
#ifndef MC_TESTS_SUPPORT_SCRATCH_MODEL_H
#define MC_TESTS_SUPPORT_SCRATCH_MODEL_H

#include "formats/formats.h"

void scratch_enter(void);
void scratch_leave(void);

/* Writes a file; folders in its path are made. */
void scratch_put(const char *path, const void *bytes, size_t n);
void scratch_put_text(const char *path, const char *text);

/* A safetensors file: the header's length, the header, data bytes 0, 1, 2, … */
void scratch_put_model(const char *path, const char *header, size_t data_bytes);

/* The model that opens; the test fails when it does not. */
mc_model scratch_open(const char *path);

/* Opening fails with just this status and message. */
void scratch_refused(const char *path, mc_status status, const char *message);
void scratch_refused_with(const char *path, const mc_read_options *options, mc_status status,
                          const char *message);

/* Warnings of mc_log since scratch_enter, each with a newline behind it. */
const char *scratch_warnings(void);

#endif
