/* Caches of keys and values as codes, simulated over whole windows: each head is rounded once, all
 * tokens that are ever codes, and a query takes its keys and values from the rounded ones as far as
 * its decoder's would be codes, from the others behind. */
#include "core/ops/op_attention_shared.h"

#include "core/act.h"
#include "core/ops/op_args_shared.h"
#include "core/rotation.h"

#include <string.h>

/* ---- which attentions ---- */

/* Masks say "hidden" by so much and less: no score comes near. */
#define HIDDEN (-1e4)

/* Does the mask hide everything behind the diagonal? */
static bool mask_is_causal(const mc_attention *a)
{
    const size_t *stride = a->mask_stride, past = a->k[0].positions;
    const size_t batches = stride[0] ? a->batches : 1, heads = stride[1] ? a->heads : 1;
    const size_t keys = past + a->k[1].positions;
    const size_t end = a->mask_keys < keys ? a->mask_keys : keys;
    for (size_t i = 0; i < batches * heads * a->q.positions; i++) {
        const size_t row = i % a->q.positions, head = i / a->q.positions % heads;
        const size_t batch = i / a->q.positions / heads;
        const size_t from = batch * stride[0] + head * stride[1] + row * stride[2];
        for (size_t k = row + past + 1; k < end; k++) {
            const double x = mc_nd_real(a->mask, from + k * stride[3]);
            if (a->mask->dtype == MC_BOOL ? x != 0.0 : !(x <= HIDDEN)) return false;
        }
    }
    return true;
}

/* Why this attention keeps no cache that is simulated; NULL: it does. */
static const char *why_not(const mc_attention *a)
{
    if (a->is_f64) return "it computes in F64";
    if (a->valid) return "the lengths of its samples differ";
    if (a->q.positions != a->k[1].positions) return "its keys are not of its queries' tokens";
    if (a->after == 0 || (a->mask && mask_is_causal(a)) || a->q.positions == 1) return NULL;
    return "its queries see later keys";
}

static const mc_kv_spec *spec_of(const mc_attention *a)
{
    mc_kv_use *use = a->call ? a->call->kv : NULL;
    if (!use) return NULL;
    const char *why = why_not(a);
    if (!why) {
        use->applied++;
        return use->spec;
    }
    if (use->left++ == 0) {
        use->first_left = a->call->node;
        use->why = why;
    }
    return NULL;
}

/* ---- room ---- */

size_t mc_kv_scratch(size_t block_rows, mc_attention_sizes s)
{
    const size_t keys = mc_arg_bytes(s.keys, mc_arg_bytes(s.head_size, sizeof(float)));
    const size_t values = mc_arg_bytes(s.keys, mc_arg_bytes(s.value_size, sizeof(float)));
    const size_t block = mc_arg_bytes(block_rows, mc_arg_bytes(s.head_size, sizeof(float)));
    const size_t rotation = mc_act_rotate_scratch(mc_hadamard_block(s.head_size), s.head_size);
    return mc_arg_plus(mc_arg_plus(mc_arg_plus(keys, keys), mc_arg_plus(values, values)),
                       mc_arg_plus(block, rotation));
}

mc_status mc_kv_open(const mc_attention *a, size_t block_rows, mc_arena *scratch, mc_kv_room *out,
                     mc_err *err)
{
    const size_t keys = a->k[0].positions + a->k[1].positions;
    *out = (mc_kv_room){.spec = spec_of(a), .size = a->head_size, .value_size = a->value_size};
    if (!out->spec) return MC_OK;
    for (int i = 0; i < 2; i++) {
        out->key[i] = MC_NEW_RAW(scratch, float, keys * out->size);
        out->value[i] = MC_NEW_RAW(scratch, float, keys * out->value_size);
        if (!out->key[i] || !out->value[i]) return mc_no_room(err, "a cache of keys and values");
    }
    out->query = MC_NEW_RAW(scratch, float, block_rows * out->size);
    if (!out->query) return mc_no_room(err, "rotated queries");
    out->rotation = *scratch;
    return MC_OK;
}

/* ---- numbers ---- */

static mc_status rotate(const mc_kv_room *kv, float *x, size_t rows, mc_err *err)
{
    mc_rotation q;
    mc_arena scratch = kv->rotation;
    MC_TRY(mc_rotation_make(MC_ROTATE_HADAMARD, kv->size, 0, 0, &scratch, &q, err));
    mc_rotate_f32(&q, false, x, rows, kv->size, scratch);
    return MC_OK;
}

/* The parts one behind the other. */
static void gather(const mc_heads part[2], size_t batch, size_t head, size_t size, float *at)
{
    for (int i = 0; i < 2; i++) {
        if (part[i].positions == 0) continue;
        const float *from = (const float *)part[i].at + batch * part[i].batch + head * part[i].head;
        for (size_t t = 0; t < part[i].positions; t++, at += size)
            memcpy(at, from + t * part[i].row, size * sizeof *at);
    }
}

mc_status mc_kv_load(const mc_kv_room *kv, const mc_attention *a, size_t batch, size_t kv_head,
                     mc_err *err)
{
    const size_t keys = a->k[0].positions + a->k[1].positions;
    const size_t coded = mc_kv_coded(kv->spec, keys);
    gather(a->k, batch, kv_head, kv->size, kv->key[1]);
    gather(a->v, batch, kv_head, kv->value_size, kv->value[1]);
    if (kv->spec->hadamard) MC_TRY(rotate(kv, kv->key[1], keys, err));
    memcpy(kv->key[0], kv->key[1], coded * kv->size * sizeof(float));
    memcpy(kv->value[0], kv->value[1], coded * kv->value_size * sizeof(float));
    mc_kv_round_keys(kv->spec, kv->key[0], coded, kv->size);
    mc_kv_round_values(kv->spec, kv->value[0], coded, kv->value_size);
    return MC_OK;
}

static void place(float *const from[2], size_t coded, size_t keys, size_t size, mc_heads out[2])
{
    out[0] = (mc_heads){.at = from[0], .row = size, .positions = coded};
    out[1] = (mc_heads){.at = from[1] + coded * size, .row = size, .positions = keys - coded};
}

void mc_kv_seen(const mc_kv_room *kv, const mc_attention *a, size_t row, size_t *rows,
                mc_heads key[2], mc_heads value[2])
{
    const size_t past = a->k[0].positions, keys = past + a->k[1].positions;
    const size_t cached = past + row + 1, coded = mc_kv_coded(kv->spec, cached);
    const size_t until =
        coded + kv->spec->group + kv->spec->window; /* tokens, then one more group */
    if (until - cached < *rows) *rows = until - cached;
    place(kv->key, coded, keys, kv->size, key);
    place(kv->value, coded, keys, kv->value_size, value);
}

mc_status mc_kv_queries(const mc_kv_room *kv, const float *q, size_t rows, size_t *stride,
                        const float **out, mc_err *err)
{
    *out = q;
    if (!kv->spec->hadamard) return MC_OK;
    for (size_t r = 0; r < rows; r++)
        memcpy(kv->query + r * kv->size, q + r * *stride, kv->size * sizeof *q);
    *out = kv->query;
    *stride = kv->size;
    return rotate(kv, kv->query, rows, err);
}
