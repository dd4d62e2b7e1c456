/* Vision transformers: an image cut into patches by a convolution, one token in front that sums it
 * up. DeiT has a second one, which learned from a teacher's answers. */
#include "formats/hf_classic.h"
#include "formats/json_pull.h"

#include <inttypes.h>

typedef struct {
    uint64_t channels, image[2], patch[2];        /* height, width */
    uint64_t width, inner, layers, heads, tokens; /* tokens: patches and those in front */
    double epsilon;
    bool qkv_bias, distilled;
    const char *function, *prefix;
} vit;

/* A side of both, or [height, width]. */
static void read_sides(mc_hf *h, const char *key, uint64_t side[2])
{
    enum { MOST = 1 << 16 };
    const mc_json *value = mc_hf_get(h, NULL, key);
    const bool pair = !mc_json_is_object(value) && mc_json_count(value) == 2;
    for (size_t i = 0; i < 2; i++) {
        side[i] = 0;
        if (mc_json_as_u64(pair ? mc_json_at(value, i) : value, &side[i]) && side[i] >= 1 &&
            side[i] <= MOST)
            continue;
        char text[MC_HF_SHOWN];
        mc_hf_fail(h, value ? MC_E_FORMAT : MC_E_UNSUPPORTED,
                   "%s is %s, a whole number from 1 to %d or a list of two is allowed", key,
                   mc_hf_show(value, text), MOST);
    }
}

static void read_image(mc_hf *h, vit *m)
{
    static const char *const side[] = {"height", "width"};
    m->channels = mc_hf_count(h, "num_channels", 1, 1024, 3);
    read_sides(h, "image_size", m->image);
    read_sides(h, "patch_size", m->patch);
    for (size_t i = 0; i < 2 && mc_hf_ok(h); i++)
        if (m->patch[i] > m->image[i])
            mc_hf_fail(h, MC_E_FORMAT,
                       "patch_size has %s %" PRIu64 ", at most image_size %" PRIu64 " is allowed",
                       side[i], m->patch[i], m->image[i]);
    if (!mc_hf_ok(h)) return;
    m->tokens = m->image[0] / m->patch[0] * (m->image[1] / m->patch[1]) + (m->distilled ? 2 : 1);
}

static void read(mc_hf *h, vit *m)
{
    m->distilled = !mc_hf_is(h, "ViTModel") && !mc_hf_is(h, "ViTForImageClassification");
    m->prefix = mc_hf_prefix(h, m->distilled ? "deit." : "vit.", "embeddings.position_embeddings");
    m->width = mc_hf_need(h, "hidden_size", 1, MC_HF_WIDTH);
    m->inner = mc_hf_need(h, "intermediate_size", 1, MC_HF_WIDTH);
    m->layers = mc_hf_need(h, "num_hidden_layers", 1, MC_HF_LAYERS);
    m->heads = mc_hf_need(h, "num_attention_heads", 1, MC_HF_HEADS);
    mc_hf_divides(h, "num_attention_heads", m->heads, "hidden_size", m->width);
    m->epsilon = mc_hf_real(h, NULL, "layer_norm_eps", 0, 1, 1e-12);
    m->qkv_bias = mc_hf_flag(h, "qkv_bias", true);
    m->function = mc_hf_text(h, NULL, "hidden_act", "gelu");
    read_image(h, m);
}

/* ---- tokens ---- */

/* [batch, patches, width] */
static mc_id patches(mc_hf *h, const char *at, mc_id image, const vit *m)
{
    const int64_t width = (int64_t)m->width;
    const int64_t step[] = {(int64_t)m->patch[0], (int64_t)m->patch[1]};
    const mc_hf_kernel kernel = {true, 4, {m->width, m->channels, m->patch[0], m->patch[1]}};
    const char *name = mc_hf_name(h, "%s.patch_embeddings.projection", at);
    mc_id x = mc_hf_conv(h, name, image, &kernel);
    mc_hf_int_list(h, "strides", step, 2);
    x = mc_hf_reshape(h, x, mc_hf_name(h, "%s.flat", name), (int64_t[]){0, width, -1}, 3);
    return mc_hf_transpose(h, x, mc_hf_name(h, "%s.tokens", name), (int64_t[]){0, 2, 1}, 3);
}

/* A learned token for each of the batch. */
static mc_id token(mc_hf *h, const char *at, mc_id shape, const vit *m)
{
    const mc_id stored = mc_hf_tensor(h, at, 3, (uint64_t[]){1, 1, m->width});
    const mc_id value = mc_hf_f32(h, stored, mc_hf_name(h, "%s.f32", at));
    return mc_hf_node(h, "Expand", mc_hf_name(h, "%s.each", at), (mc_id[]){value, shape}, 2);
}

static mc_id embed(mc_hf *h, const vit *m)
{
    const int64_t dim[] = {-1, (int64_t)m->channels, (int64_t)m->image[0], (int64_t)m->image[1]};
    const char *at = mc_hf_name(h, "%sembeddings", m->prefix);
    const mc_id image = mc_hf_input(h, "pixel_values", MC_F32, 4, dim);

    const mc_id batch = mc_hf_node(h, "Shape", "batch", &image, 1);
    mc_hf_int(h, "end", 1);
    const mc_id one = mc_hf_ints(h, "batch.token", (int64_t[]){1, (int64_t)m->width}, 2);
    const mc_id shape = mc_hf_node(h, "Concat", "batch.shape", (mc_id[]){batch, one}, 2);
    mc_hf_int(h, "axis", 0);

    mc_id in[3];
    size_t n = 0;
    in[n++] = token(h, mc_hf_name(h, "%s.cls_token", at), shape, m);
    if (m->distilled) in[n++] = token(h, mc_hf_name(h, "%s.distillation_token", at), shape, m);
    in[n++] = patches(h, at, image, m);
    const mc_id x = mc_hf_node(h, "Concat", mc_hf_name(h, "%s.tokens", at), in, n);
    mc_hf_int(h, "axis", 1);

    const char *name = mc_hf_name(h, "%s.position_embeddings", at);
    const mc_id stored = mc_hf_tensor(h, name, 3, (uint64_t[]){1, m->tokens, m->width});
    const mc_id positions = mc_hf_f32(h, stored, mc_hf_name(h, "%s.f32", name));
    return mc_hf_add(h, mc_hf_name(h, "%s.placed", at), x, positions);
}

/* ---- layers ---- */

/* As published, and as newer libraries keep them in memory. */
static const struct {
    const char *layer, *part[4], *first, *second;
} published = {"encoder.layer",
               {"attention.query", "attention.key", "attention.value", "output.dense"},
               "intermediate.dense",
               "output.dense"},
  newer = {"layers", {"q_proj", "k_proj", "v_proj", "o_proj"}, "mlp.fc1", "mlp.fc2"};

static mc_id layer(mc_hf *h, mc_id x, const vit *m, uint64_t i)
{
    const char *probe = mc_hf_name(h, "%s%s.0.layernorm_before.weight", m->prefix, newer.layer);
    const bool is_newer = mc_hf_has(h, probe);
    const char *name = is_newer ? newer.layer : published.layer;
    const char *at = mc_hf_name(h, "%s%s.%" PRIu64, m->prefix, name, i);
    mc_hf_heads a = {.bias = {m->qkv_bias, m->qkv_bias, m->qkv_bias, true},
                     .width = m->width,
                     .heads = m->heads,
                     .mask = MC_NONE};
    for (size_t k = 0; k < 4; k++) a.part[k] = is_newer ? newer.part[k] : published.part[k];
    const mc_hf_mlp mlp = {.first = is_newer ? newer.first : published.first,
                           .second = is_newer ? newer.second : published.second,
                           .width = m->width,
                           .inner = m->inner,
                           .bias = true,
                           .key = "hidden_act",
                           .function = m->function};

    const char *before = mc_hf_name(h, "%s.layernorm_before", at);
    const char *after = mc_hf_name(h, "%s.layernorm_after", at);
    mc_id y = mc_hf_layer_norm(h, before, x, m->width, m->epsilon);
    y = mc_hf_multi_head(h, mc_hf_name(h, "%s.attention", at), (mc_id[]){y, y}, &a);
    x = mc_hf_add(h, mc_hf_name(h, "%s.attention_added", at), x, y);
    y = mc_hf_layer_norm(h, after, x, m->width, m->epsilon);
    y = mc_hf_two_layers(h, at, y, &mlp);
    return mc_hf_add(h, mc_hf_name(h, "%s.mlp_added", at), x, y);
}

/* ---- heads ---- */

static mc_id pooled(mc_hf *h, mc_id x, const vit *m)
{
    const char *at = mc_hf_name(h, "%spooler", m->prefix);
    const uint64_t size = mc_hf_count(h, "pooler_output_size", 1, MC_HF_WIDTH, m->width);
    const char *function = mc_hf_text(h, NULL, "pooler_act", "tanh");
    x = mc_hf_token(h, x, mc_hf_name(h, "%s.first", at), 0);
    x = mc_hf_linear(h, mc_hf_name(h, "%s.dense", at), x, m->width, size, true);
    return mc_hf_activation(h, "pooler_act", function, x, mc_hf_name(h, "%s.activation", at));
}

static mc_status bare(mc_hf *h, mc_id x, const vit *m)
{
    mc_hf_done(h, x, "last_hidden_state");
    const bool pools = mc_hf_has(h, mc_hf_name(h, "%spooler.dense.weight", m->prefix));
    return pools ? mc_hf_done(h, pooled(h, x, m), "pooler_output") : h->status;
}

static mc_id scores(mc_hf *h, mc_id x, const char *at, int64_t index, const vit *m)
{
    x = mc_hf_token(h, x, mc_hf_name(h, "%s.token", at), index);
    return mc_hf_linear(h, at, x, m->width, mc_hf_labels(h), true);
}

/* With a teacher the answer is the mean of what both tokens say. */
static mc_id both_scores(mc_hf *h, mc_id x, const vit *m)
{
    const mc_id cls = scores(h, x, "cls_classifier", 0, m);
    const mc_id distilled = scores(h, x, "distillation_classifier", 1, m);
    const mc_id sum = mc_hf_add(h, "classifier.sum", cls, distilled);
    const mc_id half = mc_hf_scalar(h, "classifier.half", 0.5);
    return mc_hf_node(h, "Mul", "classifier", (mc_id[]){sum, half}, 2);
}

static mc_status build(mc_family_build *b, mc_err *err)
{
    mc_hf h = mc_hf_begin(b, err);
    vit m = {0};
    read(&h, &m);
    b->model->tied_head = false;
    mc_id x = embed(&h, &m);
    for (uint64_t i = 0; i < m.layers && mc_hf_ok(&h); i++) x = layer(&h, x, &m, i);
    x = mc_hf_layer_norm(&h, mc_hf_name(&h, "%slayernorm", m.prefix), x, m.width, m.epsilon);
    if (mc_hf_is(&h, "ViTModel") || mc_hf_is(&h, "DeiTModel")) return bare(&h, x, &m);

    b->model->task = MC_TASK_CLASSIFY;
    const bool teacher = mc_hf_is(&h, "DeiTForImageClassificationWithTeacher");
    x = teacher ? both_scores(&h, x, &m) : scores(&h, x, "classifier", 0, &m);
    return mc_hf_done(&h, x, "logits");
}

static const char *const names[] = {"ViTModel",
                                    "ViTForImageClassification",
                                    "DeiTModel",
                                    "DeiTForImageClassification",
                                    "DeiTForImageClassificationWithTeacher",
                                    NULL};

const mc_family mc_family_vit = {.architectures = names, .build = build};
