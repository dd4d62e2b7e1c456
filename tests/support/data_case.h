/* Models with nothing but inputs, and data sets for them. For TestSuite with scratch_enter and
 * scratch_leave (scratch_model.h). */
#ifndef MC_TESTS_SUPPORT_DATA_CASE_H
#define MC_TESTS_SUPPORT_DATA_CASE_H

#include "calib/dataset.h"
#include "tests/support/npz_builder.h"

typedef struct {
    mc_model model;
    mc_source tokenizer;
    mc_region memory; /* of the model and of samples */
    mc_nd input[8];   /* the sample that data_sample read last */
} data_case;

/* "model" of that task with one input, or more by data_input. */
data_case data_begin(mc_task task);
void data_input(data_case *c, const char *name, mc_dtype dtype, int ndim, const int64_t *dim);

/* A language model whose input is input_ids [?, ?] I64, with a tokenizer of tests/golden/tokenizer
 * (NULL: none). */
data_case data_language(const char *tokenizer);
void data_end(data_case *c);

/* Opens; the test fails when that fails. Options may be NULL. */
mc_dataset *data_open(const data_case *c, const char *path, const mc_dataset_options *options);

/* Opening fails with just this status and message. */
void data_refused(const data_case *c, const char *path, const mc_dataset_options *options,
                  mc_status status, const char *message);

/* Sample i into c->input. */
void data_sample(data_case *c, const mc_dataset *d, uint64_t i);

/* Sample i fails with just this status and message. */
void data_sample_refused(data_case *c, const mc_dataset *d, uint64_t i, mc_status status,
                         const char *message);

/* Files: the bytes are freed. */
void data_put(const char *path, blob b);
void data_put_f32(const char *path, const char *shape, const float *x, size_t n);
void data_put_i64(const char *path, const char *shape, const int64_t *x, size_t n);

#endif
