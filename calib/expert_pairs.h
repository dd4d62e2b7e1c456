/* Rows of two streams that belong together, where a router chooses rows: a token may go to other
 * experts in the float model, so that an expert's rows there are not those that it has here. */
#ifndef MC_CALIB_EXPERT_PAIRS_H
#define MC_CALIB_EXPERT_PAIRS_H

#include "calib/stage.h"
#include "core/nd.h"

/* The ExpertRows node that chose the rows of a value, MC_NONE: none did. */
mc_id mc_expert_rows_node(const mc_stages *stages, mc_id value);

/* x and y are values of an expert, of rows that the gates [tokens, experts] of their streams
 * chose. `out`, a copy of x, becomes the rows of y that are of the same tokens; rows of tokens that
 * y does not have stay x's, so that the streams differ by nothing there. MC_E_FORMAT: shapes that
 * do not fit. */
typedef struct {
    const mc_node *node; /* ExpertRows */
    const mc_nd *x_gates, *y_gates;
    const mc_nd *y;
} mc_expert_pair;
mc_status mc_expert_pair_rows(const mc_expert_pair *pair, mc_nd *out, mc_err *err);

#endif
