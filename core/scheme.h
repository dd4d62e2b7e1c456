/* A weight's scheme in words and in JSON, the same for plans, manifests, inspection and reports. */
#ifndef MC_CORE_SCHEME_H
#define MC_CORE_SCHEME_H

#include "core/json.h"
#include "core/weight.h"

enum { MC_SCHEME_TEXT = 160 };

/* Bits of a code as people say them: 4, 1.58 for three levels; a dense weight has its dtype's. */
double mc_scheme_bits(const mc_weight_spec *weight);

/* "32", "channel", "tensor"; "" for a dense weight. */
void mc_scheme_group(const mc_weight_spec *weight, char text[MC_SCHEME_TEXT]);

/* "int4, group 32, symmetric, F16 scales"; "kept as BF16" for a dense weight. */
void mc_scheme_text(const mc_weight_spec *weight, char text[MC_SCHEME_TEXT]);

/* Adds levels, bits, group, offset, scale … to the object that `out` is in. */
void mc_scheme_json(const mc_weight_spec *weight, mc_json_out *out);

#endif
