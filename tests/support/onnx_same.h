/* Do two models that were read from ONNX hold the same? For models of which one was written from
 * the other: what is stored in another way counts as the same, and so does another order of nodes
 * that were out of order. */
#ifndef MC_TESTS_SUPPORT_ONNX_SAME_H
#define MC_TESTS_SUPPORT_ONNX_SAME_H

#include "core/model.h"

/* NULL, or what differs; the text lasts until the next call. */
const char *onnx_difference(const mc_model *a, const mc_model *b);

#endif
