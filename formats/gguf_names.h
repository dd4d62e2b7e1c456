/* Names of weights in GGUF for the names that Hugging Face models give them. */
#ifndef MC_FORMATS_GGUF_NAMES_H
#define MC_FORMATS_GGUF_NAMES_H

#include "formats/gguf.h"

#define MC_GGUF_WHOLE UINT64_MAX

/* The name for `weight` ("model.layers.3.self_attn.q_proj.weight" gives "blk.3.attn_q.weight").
 * Experts of a block share one tensor: *expert is which of its matrices, else MC_GGUF_WHOLE. False,
 * and nothing written, when GGUF has no name for it. */
bool mc_gguf_name(const char *weight, char name[MC_GGUF_NAME + 1], uint64_t *expert);

#endif
