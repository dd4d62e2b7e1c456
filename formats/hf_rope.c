/* Rotary positions: the angle of position p and pair i is p * frequency_i, and the graph computes
 * cosines and sines for as many positions as the sequence has, so nothing grows with the context
 * that config.json names. Frequencies are computed in f32, in the order in which they were when
 * models were trained. */
#include "formats/hf_decoder.h"
#include "formats/json_pull.h"

#include <math.h>
#include <string.h>

static const double tau = 6.283185307179586;

typedef struct {
    const mc_json *at; /* rope_scaling or rope_parameters; NULL: neither */
    double theta, original;
    float *frequency;
    size_t pairs;
} rope;

/* Older files have rope_theta beside rope_scaling, newer ones all in rope_parameters. */
static const mc_json *parameters(mc_hf *h)
{
    const char *key = "rope_scaling";
    const mc_json *at = mc_hf_get(h, NULL, key);
    if (!at) at = mc_hf_get(h, NULL, key = "rope_parameters");
    char text[MC_HF_SHOWN];
    if (at && !mc_json_is_object(at))
        mc_hf_fail(h, MC_E_FORMAT, "%s is %s, an object is allowed", key, mc_hf_show(at, text));
    if (at && (mc_json_is_object(mc_json_get(at, "full_attention")) ||
               mc_json_is_object(mc_json_get(at, "sliding_attention"))))
        mc_hf_fail(h, MC_E_UNSUPPORTED, "%s differs between layers, which cannot be run", key);
    return mc_hf_ok(h) ? at : NULL;
}

/* A number beside or inside the rope's object. */
static double number(mc_hf *h, const mc_json *at, const char *key, const double range[2],
                     double otherwise)
{
    const double beside = mc_hf_real(h, NULL, key, range[0], range[1], otherwise);
    return at ? mc_hf_real(h, at, key, range[0], range[1], beside) : beside;
}

static const char *type_of(mc_hf *h, const mc_json *at)
{
    if (!at) return "default";
    return mc_hf_text(h, at, "rope_type", mc_hf_text(h, at, "type", "default"));
}

void mc_hf_rope_read(mc_hf *h, mc_hf_decoder *d)
{
    const mc_json *at = parameters(h);
    const double part = number(h, at, "partial_rotary_factor", (double[]){0, 1}, 1);
    if (part < 1 && !d->partial)
        mc_hf_fail(h, MC_E_UNSUPPORTED, "partial_rotary_factor is %g, which cannot be run: 1 can",
                   part);
    d->turned = (uint64_t)((double)d->head_dim * part);
    if (mc_hf_ok(h) && (d->turned == 0 || d->turned % 2 != 0))
        mc_hf_fail(h, MC_E_FORMAT,
                   "head_dim %llu times partial_rotary_factor %g is %llu, an even number from 2 on "
                   "is allowed",
                   (unsigned long long)d->head_dim, part, (unsigned long long)d->turned);
}

/* ---- frequencies ---- */

static void plain(const rope *r)
{
    for (size_t i = 0; i < r->pairs; i++) {
        const float exponent = (float)(2 * i) / (float)(2 * r->pairs);
        r->frequency[i] = 1.0f / (float)pow(r->theta, (double)exponent);
    }
}

static void linear(mc_hf *h, const rope *r)
{
    const float factor = (float)mc_hf_real(h, r->at, "factor", 1e-3, 1e6, 1);
    for (size_t i = 0; i < r->pairs; i++) r->frequency[i] /= factor;
}

/* Long waves are stretched, short ones stay, those between are a mixture. */
static void llama3(mc_hf *h, const rope *r)
{
    const float factor = (float)mc_hf_real(h, r->at, "factor", 1e-3, 1e6, 8);
    const float low = (float)mc_hf_real(h, r->at, "low_freq_factor", 1e-3, 1e6, 1);
    const float high = (float)mc_hf_real(h, r->at, "high_freq_factor", 1e-3, 1e6, 4);
    const float original = (float)r->original;
    if (mc_hf_ok(h) && !(high > low))
        mc_hf_fail(h, MC_E_FORMAT,
                   "high_freq_factor is %g, more than low_freq_factor %g is allowed", (double)high,
                   (double)low);

    for (size_t i = 0; i < r->pairs && mc_hf_ok(h); i++) {
        const float f = r->frequency[i], wave = (float)tau / f;
        if (wave < original / high) continue;
        const float smooth = (original / wave - low) / (high - low);
        r->frequency[i] =
            wave > original / low ? f / factor : (1.0f - smooth) * f / factor + smooth * f;
    }
}

/* Divides the frequencies by the list that config.json gives for short or for long sequences. */
static mc_id stretched(mc_hf *h, const rope *r, const char *key, const char *name)
{
    const mc_json *list = mc_hf_get(h, r->at, key);
    char text[MC_HF_SHOWN];
    if (mc_hf_ok(h) && (mc_json_is_object(list) || mc_json_count(list) != r->pairs))
        mc_hf_fail(h, MC_E_FORMAT, "%s is %s, a list of %zu numbers is allowed", key,
                   mc_hf_show(list, text), r->pairs);
    if (!mc_hf_ok(h)) return MC_NONE;

    const mc_json *item = mc_json_first(list);
    for (size_t i = 0; i < r->pairs; i++, item = mc_json_next(item)) {
        const double by = mc_json_as_num(item, 0);
        if (!(by >= 1e-6 && by <= 1e6)) {
            mc_hf_fail(h, MC_E_FORMAT, "%s[%zu] is %s, a number from 1e-06 to 1e+06 is allowed",
                       key, i, mc_hf_show(item, text));
            return MC_NONE;
        }
        const float exponent = (float)(2 * i) / (float)(2 * r->pairs);
        r->frequency[i] = 1.0f / ((float)by * (float)pow(r->theta, (double)exponent));
    }
    return mc_hf_floats(h, name, r->frequency, r->pairs);
}

static mc_id longrope(mc_hf *h, const rope *r, mc_id length)
{
    const mc_id few = stretched(h, r, "short_factor", "rotary_emb.short_freq");
    const mc_id many = stretched(h, r, "long_factor", "rotary_emb.long_freq");
    const mc_id original = mc_hf_whole(h, "rotary_emb.original_length", (int64_t)r->original);
    const mc_id beyond =
        mc_hf_node(h, "Greater", "rotary_emb.is_long", (mc_id[]){length, original}, 2);
    return mc_hf_node(h, "Where", "rotary_emb.freq", (mc_id[]){beyond, many, few}, 3);
}

/* Cosines and sines grow with the context that was added. */
static double longrope_gain(mc_hf *h, const rope *r, const mc_hf_decoder *d)
{
    const double ratio = (double)d->context / r->original;
    const double factor = mc_hf_real(h, r->at, "factor", 1e-3, 1e6, ratio);
    const double gain = factor > 1 ? sqrt(1 + log(factor) / log(r->original)) : 1;
    return mc_hf_real(h, r->at, "attention_factor", 1e-3, 1e3, gain);
}

/* ---- the graph ---- */

static mc_id frequencies(mc_hf *h, const rope *r, const char *type, mc_id length)
{
    plain(r);
    if (strcmp(type, "longrope") == 0) return longrope(h, r, length);
    if (strcmp(type, "linear") == 0)
        linear(h, r);
    else if (strcmp(type, "llama3") == 0)
        llama3(h, r);
    else if (strcmp(type, "default") != 0)
        mc_hf_fail(h, MC_E_UNSUPPORTED,
                   "rope_type %s is not one that can be run (known: default, linear, llama3, "
                   "longrope)",
                   mc_quote(type).text);
    return mc_hf_floats(h, "rotary_emb.inv_freq", r->frequency, r->pairs);
}

static mc_id turned(mc_hf *h, const char *op, mc_id angle, double gain)
{
    const mc_id y = mc_hf_node(h, op, mc_hf_name(h, "rotary_emb.%s", op), &angle, 1);
    if (gain == 1) return y;
    const mc_id by = mc_hf_scalar(h, mc_hf_name(h, "rotary_emb.%s.gain", op), gain);
    return mc_hf_node(h, "Mul", mc_hf_name(h, "rotary_emb.%s.scaled", op), (mc_id[]){y, by}, 2);
}

void mc_hf_rope_build(mc_hf *h, mc_id ids, mc_hf_decoder *d)
{
    rope r = {.at = parameters(h), .pairs = (size_t)d->turned / 2};
    r.theta = number(h, r.at, "rope_theta", (double[]){1, 1e12}, d->default_theta);

    const double positions[] = {2, MC_HF_CONTEXT};
    const double context = d->default_original ? (double)d->default_original : (double)d->context;
    const char *original = "original_max_position_embeddings";
    r.original =
        r.at ? mc_hf_real(h, r.at, original, positions[0], positions[1], context) : context;
    r.original = floor(mc_hf_real(h, NULL, original, positions[0], positions[1], r.original));

    const char *type = type_of(h, r.at);
    if (d->partial && (strcmp(type, "su") == 0 || strcmp(type, "yarn") == 0)) type = "longrope";
    if (!mc_hf_ok(h)) return;
    r.frequency = MC_NEW(h->b->mem, float, r.pairs);
    if (!r.frequency) {
        h->status = mc_no_room(h->err, "the graph");
        return;
    }
    const mc_hf_positions p = mc_hf_count_positions(h, ids);
    const mc_id frequency = frequencies(h, &r, type, p.length);
    const double gain = strcmp(type, "longrope") == 0 ? longrope_gain(h, &r, d) : 1;

    const mc_id number_of = mc_hf_node(h, "Cast", "rotary_emb.position", &p.row, 1);
    mc_hf_int(h, "to", 1); /* TensorProto.FLOAT */
    const mc_id axis = mc_hf_ints(h, "rotary_emb.axis", (int64_t[]){1}, 1);
    const mc_id column =
        mc_hf_node(h, "Unsqueeze", "rotary_emb.column", (mc_id[]){number_of, axis}, 2);
    const mc_id angle = mc_hf_node(h, "Mul", "rotary_emb.angle", (mc_id[]){column, frequency}, 2);
    d->cos = turned(h, "Cos", angle, gain);
    d->sin = turned(h, "Sin", angle, gain);
    d->position = mc_hf_node(h, "Expand", "position_ids", (mc_id[]){p.row, p.shape}, 2);
}
