/* Mixtral: Llama's decoder with a choice of experts for each token instead of one MLP. Each expert
 * is a few sites of its own, which see only the tokens that were sent to it. */
#include "formats/hf_decoder.h"

#include <inttypes.h>

enum { MOST_EXPERTS = 256 };

/* Files have a matrix w1, w2, w3 for each expert; or, as newer libraries keep them in memory, all
 * experts in one tensor. */
typedef struct {
    const char *at; /* module of the layer's experts */
    bool stacked;
    mc_id gate_up[MOST_EXPERTS], down[MOST_EXPERTS]; /* of stacked ones */
} weights;

/* Cuts a stack [experts, rows, cols] into its matrices. */
static void unstack(mc_hf *h, const char *name, const uint64_t dim[3], mc_id *out)
{
    const mc_id all = mc_hf_tensor(h, name, 3, dim);
    int64_t one[MOST_EXPERTS];
    for (uint64_t i = 0; i < dim[0]; i++) one[i] = 1;
    const mc_hf_parts parts = {.axis = 0, .parts = (size_t)dim[0], .size = one};
    mc_hf_split(h, all, mc_hf_name(h, "%s.part", name), &parts, out);
    const int64_t matrix[] = {(int64_t)dim[1], (int64_t)dim[2]};
    for (uint64_t i = 0; i < dim[0]; i++)
        out[i] = mc_hf_reshape(h, out[i], mc_hf_name(h, "%s.%" PRIu64, name, i), matrix, 2);
}

static void find_weights(mc_hf *h, const char *block, const mc_hf_decoder *d, weights *w)
{
    w->at = mc_hf_name(h, "%s.experts", block);
    const char *gate_up = mc_hf_name(h, "%s.gate_up_proj", w->at);
    w->stacked = mc_hf_has(h, gate_up);
    if (!w->stacked) return;
    unstack(h, gate_up, (uint64_t[]){d->experts, 2 * d->inner, d->hidden}, w->gate_up);
    const char *down = mc_hf_name(h, "%s.down_proj", w->at);
    unstack(h, down, (uint64_t[]){d->experts, d->hidden, d->inner}, w->down);
}

/* What one expert makes of the rows sent to it. */
static mc_id expert(mc_hf *h, const weights *w, mc_id rows, const mc_hf_decoder *d, uint64_t e)
{
    const char *at = mc_hf_name(h, "%s.%" PRIu64, w->at, e);
    const mc_hf_gated m = {.key = d->activation, .function = d->function};
    mc_id part[2];
    if (w->stacked) {
        const mc_id both = mc_hf_times(h, mc_hf_name(h, "%s.w13", at), rows, w->gate_up[e]);
        const int64_t half[] = {(int64_t)d->inner, (int64_t)d->inner};
        mc_hf_split(h, both, mc_hf_name(h, "%s.part", at), &(mc_hf_parts){-1, 2, half}, part);
        const mc_id y = mc_hf_gate(h, at, part, &m);
        return mc_hf_times(h, mc_hf_name(h, "%s.w2", at), y, w->down[e]);
    }
    const char *gate = mc_hf_name(h, "%s.w1", at), *up = mc_hf_name(h, "%s.w3", at);
    part[0] = mc_hf_linear(h, gate, rows, d->hidden, d->inner, false);
    part[1] = mc_hf_linear(h, up, rows, d->hidden, d->inner, false);
    const mc_id y = mc_hf_gate(h, at, part, &m);
    return mc_hf_linear(h, mc_hf_name(h, "%s.w2", at), y, d->inner, d->hidden, false);
}

static mc_id mixture(mc_hf *h, const char *layer, mc_id x, const mc_hf_decoder *d)
{
    const char *newer = mc_hf_name(h, "%s.mlp", layer);
    const bool is_newer = mc_hf_has(h, mc_hf_name(h, "%s.gate.weight", newer));
    const char *block = is_newer ? newer : mc_hf_name(h, "%s.block_sparse_moe", layer);
    weights w;
    find_weights(h, block, d, &w);

    const char *gate = mc_hf_name(h, "%s.gate", block);
    const mc_id scores = mc_hf_linear(h, gate, x, d->hidden, d->experts, false);
    const mc_id gates = mc_hf_own(h, "RouteTopK", mc_hf_name(h, "%s.route", block), &scores, 1);
    mc_hf_int(h, "k", (int64_t)d->chosen);
    mc_hf_int(h, "normalize", 1);

    mc_id in[2 + MOST_EXPERTS] = {x, gates};
    for (uint64_t e = 0; e < d->experts && mc_hf_ok(h); e++) {
        const char *name = mc_hf_name(h, "%s.%" PRIu64 ".rows", w.at, e);
        const mc_id rows = mc_hf_own(h, "ExpertRows", name, in, 2);
        mc_hf_int(h, "expert", (int64_t)e);
        in[2 + e] = expert(h, &w, rows, d, e);
    }
    return mc_hf_own(h, "ExpertMerge", w.at, in, 2 + (size_t)d->experts);
}

static mc_status build(mc_family_build *b, mc_err *err)
{
    mc_hf h = mc_hf_begin(b, err);
    mc_hf_decoder d = {
        .activation = "hidden_act", .default_theta = 1e6, .default_epsilon = 1e-5, .mlp = mixture};
    mc_hf_decoder_read(&h, &d);
    d.window = mc_hf_count(&h, "sliding_window", 1, MC_HF_CONTEXT, 0);
    d.experts = mc_hf_count(&h, "num_local_experts", 1, MOST_EXPERTS, 8);
    d.chosen = mc_hf_count(&h, "num_experts_per_tok", 1, d.experts, 2);
    return mc_hf_decoder_build(&h, &d);
}

static const char *const names[] = {"MixtralForCausalLM", NULL};

const mc_family mc_family_mixtral = {.architectures = names, .build = build};
