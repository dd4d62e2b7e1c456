/* Positions from a table, attention with four matrices, MLPs of two. */
#include "formats/hf_classic.h"
#include "formats/json_pull.h"

#include <math.h>
#include <string.h>

bool mc_hf_is(const mc_hf *h, const char *architecture)
{
    return strcmp(h->b->model->architecture, architecture) == 0;
}

const char *mc_hf_prefix(mc_hf *h, const char *prefix, const char *probe)
{
    const bool bare = mc_hf_has(h, probe) && !mc_hf_has(h, mc_hf_name(h, "%s%s", prefix, probe));
    return bare ? "" : prefix;
}

uint64_t mc_hf_labels(mc_hf *h)
{
    const mc_json *names = mc_hf_get(h, NULL, "id2label");
    const uint64_t named = mc_json_is_object(names) ? mc_json_count(names) : 2; /* the default */
    return mc_hf_count(h, "num_labels", 1, MC_HF_VOCAB, named);
}

mc_id mc_hf_learned_positions(mc_hf *h, const char *at, mc_id ids, const uint64_t rows_width[2],
                              int64_t first)
{
    mc_id table, row = mc_hf_count_positions(h, ids).row;
    if (first > 0) {
        const mc_id by = mc_hf_whole(h, "positions.offset", first);
        row = mc_hf_add(h, "positions.moved", row, by);
    }
    return mc_hf_embedding(h, at, row, rows_width[0], rows_width[1], &table);
}

mc_id mc_hf_multi_head(mc_hf *h, const char *at, const mc_id from_to[2], const mc_hf_heads *a)
{
    mc_id qkv[3];
    for (size_t i = 0; i < 3; i++) {
        const char *name = mc_hf_name(h, "%s.%s", at, a->part[i]);
        qkv[i] = mc_hf_linear(h, name, from_to[i > 0], a->width, a->width, a->bias[i]);
    }
    const mc_hf_attention attention = {.heads = a->heads,
                                       .kv_heads = a->heads,
                                       .scale = sqrt((double)a->heads / (double)a->width),
                                       .causal = a->causal,
                                       .mask = a->mask};
    const mc_id y = mc_hf_attend(h, at, qkv, &attention);
    const char *name = mc_hf_name(h, "%s.%s", at, a->part[3]);
    return mc_hf_linear(h, name, y, a->width, a->width, a->bias[3]);
}

mc_id mc_hf_two_layers(mc_hf *h, const char *at, mc_id x, const mc_hf_mlp *m)
{
    const char *first = mc_hf_name(h, "%s.%s", at, m->first);
    const char *second = mc_hf_name(h, "%s.%s", at, m->second);
    x = mc_hf_linear(h, first, x, m->width, m->inner, m->bias);
    x = mc_hf_activation(h, m->key, m->function, x, mc_hf_name(h, "%s.act", first));
    return mc_hf_linear(h, second, x, m->inner, m->width, m->bias);
}

mc_id mc_hf_add(mc_hf *h, const char *name, mc_id a, mc_id b)
{
    return mc_hf_node(h, "Add", name, (mc_id[]){a, b}, 2);
}

mc_id mc_hf_token(mc_hf *h, mc_id x, const char *name, int64_t index)
{
    const mc_id which = mc_hf_whole(h, mc_hf_name(h, "%s.index", name), index);
    const mc_id y = mc_hf_node(h, "Gather", name, (mc_id[]){x, which}, 2);
    mc_hf_int(h, "axis", 1);
    return y;
}
