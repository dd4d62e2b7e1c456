/* What versions of ai.onnx before 7 did otherwise, written once: how a second input broadcasts, and
 * nodes that train unless they say is_test. */
#ifndef MC_CORE_OPS_OP_LEGACY_SHARED_H
#define MC_CORE_OPS_OP_LEGACY_SHARED_H

#include "core/op.h"

enum { MC_LEGACY_BEFORE = 7 }; /* the first version with numpy's broadcasting */

/* in[i] as it broadcasts to in[0] by numpy's rules: itself from version 7 on. Before, its
 * dimensions are those of in[0] from `axis` on (the last ones when there is no such attribute), one
 * element goes with everything, and without `broadcast` both have one shape. MC_E_FORMAT when they
 * do not fit. Dimensions of 1 stretch: models of that time have biases of C x 1 x 1. */
mc_status mc_legacy_operand(const mc_call *call, size_t i, mc_nd *out, mc_err *err);

/* The same for in[i] that needs no `broadcast` and whose one dimension, if it has one, is channels:
 * axis 1 of in[0], or 0 when that is its only one (slopes of PRelu). */
mc_status mc_legacy_channels(const mc_call *call, size_t i, mc_nd *out, mc_err *err);

/* MC_E_UNSUPPORTED when the node is of such a version and would train: is_test is not set. */
mc_status mc_legacy_check_test(const mc_call *call, mc_err *err);

#endif
