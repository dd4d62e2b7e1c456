/* --explain TENSOR: why a tensor got what it got. */
#ifndef MC_CLI_EXPLAIN_H
#define MC_CLI_EXPLAIN_H

#include "cli/pipeline_made.h"
#include "core/json.h"
#include "core/text.h"

/* Whether every name of --explain is one of the model's; MC_E_USAGE names the nearest. */
mc_status mc_explain_check(const mc_plan *plan, mc_err *err);

/* A paragraph for each name. `made` NULL: codes were chosen without data. */
void mc_explain_text(const mc_plan *plan, const mc_made *made, mc_text *out);

/* The same as members of an array "explain" in the object that `out` is in. */
void mc_explain_json(const mc_plan *plan, const mc_made *made, mc_json_out *out);

#endif
