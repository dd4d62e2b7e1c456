/* What a tensor is for: told by its sites, or by its name.
 *
 * A model without a graph has nothing but names. The patterns are those of the families that
 * Hugging Face and llama.cpp publish; a name that none of them knows is an ordinary weight, and
 * --keep and --bits overrule all of this. */
#include "cli/pipeline_plan.h"

#include <stdbool.h>
#include <string.h>

typedef struct {
    mc_purpose purpose;
    const char *part; /* a run of whole dot-separated name parts: "a.b" fits "x.a.b.weight" */
} name_rule;

static const name_rule rules[] = {
    {MC_PURPOSE_EMBEDDING, "embed_tokens"},
    {MC_PURPOSE_EMBEDDING, "wte"},
    {MC_PURPOSE_EMBEDDING, "wpe"},
    {MC_PURPOSE_EMBEDDING, "word_embeddings"},
    {MC_PURPOSE_EMBEDDING, "tok_embeddings"},
    {MC_PURPOSE_EMBEDDING, "token_embd"},
    {MC_PURPOSE_EMBEDDING, "embed_positions"},
    {MC_PURPOSE_EMBEDDING, "position_embeddings"},
    {MC_PURPOSE_EMBEDDING, "token_type_embeddings"},
    {MC_PURPOSE_EMBEDDING, "embed_in"},
    {MC_PURPOSE_EMBEDDING, "shared"},
    {MC_PURPOSE_EMBEDDING, "backbone.embedding"},
    {MC_PURPOSE_EMBEDDING, "backbone.embeddings"},
    {MC_PURPOSE_HEAD, "lm_head"},
    {MC_PURPOSE_HEAD, "embed_out"},
    {MC_PURPOSE_HEAD, "proj_out"},
    {MC_PURPOSE_ROUTER, "block_sparse_moe.gate"},
    {MC_PURPOSE_ROUTER, "mlp.gate"},
    {MC_PURPOSE_ROUTER, "router"},
    {MC_PURPOSE_ROUTER, "ffn_gate_inp"},
};

/* Is `part` a run of whole dot-separated parts of `name`? */
static bool has_part(const char *name, const char *part)
{
    const size_t n = strlen(part);
    for (const char *at = name; (at = strstr(at, part)) != NULL; at++) {
        const bool begins = at == name || at[-1] == '.';
        const bool ends = at[n] == '\0' || at[n] == '.';
        if (begins && ends) return true;
    }
    return false;
}

static bool ends_with(const char *text, const char *tail)
{
    const size_t n = strlen(text), k = strlen(tail);
    return n >= k && strcmp(text + n - k, tail) == 0;
}

static bool is_norm_or_bias(const char *name)
{
    if (ends_with(name, "bias")) return true;
    return strstr(name, "norm") != NULL || has_part(name, "ln_1") || has_part(name, "ln_2") ||
           has_part(name, "ln_f");
}

mc_purpose mc_purpose_of(const char *name)
{
    if (is_norm_or_bias(name)) return MC_PURPOSE_NORM_OR_BIAS;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (has_part(name, rules[i].part)) return rules[i].purpose;
    /* The bare names of original checkpoints, where a part would fit too much. */
    if (strcmp(name, "output.weight") == 0) return MC_PURPOSE_HEAD;
    return MC_PURPOSE_WEIGHT;
}

mc_purpose mc_purpose_in(const mc_sites *sites, const char *name)
{
    mc_purpose purpose = MC_PURPOSE_NO_SITE;
    for (size_t i = 0; i < sites->sites; i++) {
        const mc_site *site = &sites->site[i];
        if (strcmp(site->weight->name, name) != 0) continue;
        if (site->router) return MC_PURPOSE_ROUTER;
        if (site->kind == MC_SITE_EMBEDDING) return MC_PURPOSE_EMBEDDING;
        if (site->last) return MC_PURPOSE_HEAD;
        purpose = MC_PURPOSE_WEIGHT;
    }
    return purpose;
}

const char *mc_purpose_name(mc_purpose purpose)
{
    switch (purpose) {
    case MC_PURPOSE_NORM_OR_BIAS: return "norm or bias";
    case MC_PURPOSE_EMBEDDING: return "embedding";
    case MC_PURPOSE_HEAD: return "output head";
    case MC_PURPOSE_ROUTER: return "router";
    case MC_PURPOSE_NO_SITE: return "meets no activation";
    case MC_PURPOSE_WEIGHT: break;
    }
    return "weight";
}
