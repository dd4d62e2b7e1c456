/* How activations and the KV cache are meant to be quantized, in words: one wording for plans,
 * reports and inspection. */
#include "formats/container.h"

#include <stdio.h>

static const char *mode_name(unsigned mode)
{
    if (mode == MCPK_ACT_DYNAMIC) return " dynamic";
    return mode == MCPK_ACT_STATIC ? " static" : "";
}

bool mc_numerics_act(const mc_numerics *n)
{
    return n->activation_bits < 16 || n->activation_mode != MCPK_ACT_NONE;
}

static void width_text(unsigned bits, unsigned mode, char text[MC_NUMERICS_TEXT])
{
    if (bits >= 16 && mode == MCPK_ACT_NONE)
        snprintf(text, MC_NUMERICS_TEXT, "not quantized");
    else
        snprintf(text, MC_NUMERICS_TEXT, "int%u%s", bits, mode_name(mode));
}

void mc_activations_text(const mc_numerics *n, char text[MC_NUMERICS_TEXT])
{
    width_text(n->activation_bits, n->activation_mode, text);
}

void mc_kv_text(const mc_numerics *n, char text[MC_NUMERICS_TEXT])
{
    width_text(n->kv_bits, MCPK_ACT_NONE, text);
}

void mc_numerics_headline(const mc_numerics *n, char text[MC_HEADLINE_TEXT])
{
    const char *state[] = {" recorded, not measured", " measured"};
    char activations[MC_NUMERICS_TEXT], kv[MC_NUMERICS_TEXT];
    mc_activations_text(n, activations);
    mc_kv_text(n, kv);
    const int used = snprintf(text, MC_HEADLINE_TEXT, "activations: %s%s", activations,
                              mc_numerics_act(n) ? state[n->measured] : "");
    if (n->kv_bits < 16)
        snprintf(text + used, MC_HEADLINE_TEXT - (size_t)used, "; kv cache: %s%s", kv,
                 state[n->kv_measured]);
}
