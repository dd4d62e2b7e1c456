/* A file that may be a model or a container: what inspect and diff look at. */
#ifndef MC_CLI_SUBJECT_H
#define MC_CLI_SUBJECT_H

#include "cli/options.h"
#include "core/model.h"
#include "formats/container.h"

typedef struct {
    const char *path;
    bool is_container;
    mc_model model;         /* or */
    mc_container container; /* never both */
} mc_subject;

/* One tensor or weight of it. */
typedef struct {
    const char *name;
    mc_form form;
    mc_dtype dtype; /* of a quantized weight: of its source */
    int ndim;
    const uint64_t *dim;
    uint64_t count, bytes;
    bool numbers;             /* mc_subject_to_f32 can read it */
    const unsigned char *raw; /* dense: its bytes */
} mc_subject_tensor;

/* Opens whatever `path` is: mc_container_is decides. mc_subject_close() it, also after a
 * failure. */
mc_status mc_subject_open(const char *path, const mc_options *options, mc_subject *out,
                          mc_err *err);
void mc_subject_close(mc_subject *subject);

size_t mc_subject_tensors(const mc_subject *subject);
mc_subject_tensor mc_subject_at(const mc_subject *subject, size_t i);

/* Bytes of the file, or of all files of a model. */
uint64_t mc_subject_bytes(const mc_subject *subject);

/* "safetensors", "container". */
const char *mc_subject_format(const mc_subject *subject);

/* Elements [first, first + count) as f32. */
mc_status mc_subject_to_f32(const mc_subject *subject, size_t i, uint64_t first, uint64_t count,
                            float *out, mc_err *err);

/* Says that elements [first, first + count) are not needed any more. */
void mc_subject_release(const mc_subject *subject, size_t i, uint64_t first, uint64_t count);

/* "[4096, 256]" */
void mc_subject_shape_text(const mc_subject_tensor *tensor, char *text, size_t room);

#endif
