/* Casts between strings and numbers. */
#ifndef MC_CORE_OPS_OP_CAST_TEXT_H
#define MC_CORE_OPS_OP_CAST_TEXT_H

#include "core/op.h"

/* Decimal numbers, "NaN", "INF", "+INF", "-INF" in any case; anything else fails, naming it. */
mc_status mc_cast_from_text(const mc_nd *x, const mc_nd *y, mc_err *err);

/* The fewest digits that say the number in its own dtype: plain from 0.0001 to below 1e16, else
 * with an exponent; whole floats end in ".0"; True and False. Characters are the host's. */
mc_status mc_cast_to_text(const mc_call *call, const mc_nd *x, mc_nd *y, mc_err *err);

#endif
