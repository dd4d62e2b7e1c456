/* A container of made-up weights and the reference it is measured against: dense weights as the
 * container has them, quantized ones as it decodes them, plus noise when asked. Failures of the
 * fixture itself are failed assertions. */
#ifndef MC_TESTS_SUPPORT_MEASURED_PAIR_H
#define MC_TESTS_SUPPORT_MEASURED_PAIR_H

#include "tests/support/container_builder.h"
#include "verify/report.h"

typedef struct {
    mc_container container; /* "c.bin" */
    mc_model model;         /* "ref", in one file "ref.safetensors" of nothing but tensors */
    mc_source source;
    mc_region memory;
    mc_meter meter; /* none unless a test sets one */
    mc_err err;
} measured_pair;

void measured_pair_open(measured_pair *p, const container_builder *builder, bool noisy);
void measured_pair_close(measured_pair *p);

mc_status measured_pair_run(measured_pair *p, unsigned threads, mc_report *out);

/* The reference's tensor of that weight; a test may change what it says. */
mc_tensor *measured_pair_reference(measured_pair *p, size_t weight);

/* A copy of the reference's file to write to, at the bytes of `t`; and puts it in place of the
 * file. */
unsigned char *measured_pair_edit(measured_pair *p, const mc_tensor *t);
void measured_pair_use(measured_pair *p, const mc_tensor *t, unsigned char *edited);

#endif
