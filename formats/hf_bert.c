/* BERT and the sentence encoders made of it (MiniLM): norms behind attention and MLP, tokens of two
 * kinds, padding hidden by a mask; bare, with a classifier, or with the head that guesses words. */
#include "formats/hf_classic.h"
#include "formats/json_pull.h"

#include <inttypes.h>
#include <string.h>

typedef struct {
    uint64_t vocab, context, kinds, width, inner, layers, heads;
    double epsilon;
    const char *function, *prefix;
    mc_id table; /* of words */
    mc_id mask;
} bert;

static void read(mc_hf *h, bert *m)
{
    m->vocab = mc_hf_need(h, "vocab_size", 1, MC_HF_VOCAB);
    m->context = mc_hf_need(h, "max_position_embeddings", 1, MC_HF_CONTEXT);
    m->kinds = mc_hf_count(h, "type_vocab_size", 1, MC_HF_VOCAB, 2);
    m->width = mc_hf_need(h, "hidden_size", 1, MC_HF_WIDTH);
    m->inner = mc_hf_need(h, "intermediate_size", 1, MC_HF_WIDTH);
    m->layers = mc_hf_need(h, "num_hidden_layers", 1, MC_HF_LAYERS);
    m->heads = mc_hf_need(h, "num_attention_heads", 1, MC_HF_HEADS);
    mc_hf_divides(h, "num_attention_heads", m->heads, "hidden_size", m->width);
    m->epsilon = mc_hf_real(h, NULL, "layer_norm_eps", 0, 1, 1e-12);
    m->function = mc_hf_text(h, NULL, "hidden_act", "gelu");
    m->prefix = mc_hf_prefix(h, "bert.", "embeddings.word_embeddings.weight");

    const char *positions = mc_hf_text(h, NULL, "position_embedding_type", "absolute");
    if (mc_hf_ok(h) && strcmp(positions, "absolute") != 0)
        mc_hf_fail(h, MC_E_UNSUPPORTED,
                   "position_embedding_type %s is not one that can be run (known: absolute)",
                   mc_quote(positions).text);
    if (mc_hf_flag(h, "is_decoder", false))
        mc_hf_fail(h, MC_E_UNSUPPORTED, "is_decoder is true, which cannot be run");
}

static mc_id embed(mc_hf *h, bert *m)
{
    const mc_id ids = mc_hf_input_ids(h, "input_ids");
    const mc_id seen = mc_hf_input_ids(h, "attention_mask");
    const mc_id kind = mc_hf_input_ids(h, "token_type_ids");
    const char *at = mc_hf_name(h, "%sembeddings", m->prefix);
    const uint64_t positions[] = {m->context, m->width};
    mc_id kinds;

    mc_id x = mc_hf_embedding(h, mc_hf_name(h, "%s.word_embeddings", at), ids, m->vocab, m->width,
                              &m->table);
    mc_id y = mc_hf_embedding(h, mc_hf_name(h, "%s.token_type_embeddings", at), kind, m->kinds,
                              m->width, &kinds);
    x = mc_hf_add(h, mc_hf_name(h, "%s.typed", at), x, y);
    y = mc_hf_learned_positions(h, mc_hf_name(h, "%s.position_embeddings", at), ids, positions, 0);
    x = mc_hf_add(h, mc_hf_name(h, "%s.placed", at), x, y);

    const mc_id axes = mc_hf_ints(h, "attention_mask.axes", (int64_t[]){1, 2}, 2);
    m->mask = mc_hf_node(h, "Cast", "attention_mask.seen", &seen, 1);
    mc_hf_int(h, "to", 9); /* TensorProto.BOOL */
    m->mask = mc_hf_node(h, "Unsqueeze", "attention_mask.keys", (mc_id[]){m->mask, axes}, 2);
    return mc_hf_layer_norm(h, mc_hf_name(h, "%s.LayerNorm", at), x, m->width, m->epsilon);
}

/* norm(x + y), under the name of the module whose output y is. */
static mc_id add_norm(mc_hf *h, const char *at, const mc_id x_y[2], const bert *m)
{
    const mc_id sum = mc_hf_add(h, mc_hf_name(h, "%s.added", at), x_y[0], x_y[1]);
    return mc_hf_layer_norm(h, mc_hf_name(h, "%s.LayerNorm", at), sum, m->width, m->epsilon);
}

static mc_id layer(mc_hf *h, mc_id x, const bert *m, uint64_t i)
{
    const char *at = mc_hf_name(h, "%sencoder.layer.%" PRIu64, m->prefix, i);
    const mc_hf_heads a = {.part = {"self.query", "self.key", "self.value", "output.dense"},
                           .bias = {true, true, true, true},
                           .width = m->width,
                           .heads = m->heads,
                           .mask = m->mask};
    const mc_hf_mlp mlp = {.first = "intermediate.dense",
                           .second = "output.dense",
                           .width = m->width,
                           .inner = m->inner,
                           .bias = true,
                           .key = "hidden_act",
                           .function = m->function};
    const char *attention = mc_hf_name(h, "%s.attention", at);
    mc_id y = mc_hf_multi_head(h, attention, (mc_id[]){x, x}, &a);
    x = add_norm(h, mc_hf_name(h, "%s.output", attention), (mc_id[]){x, y}, m);
    y = mc_hf_two_layers(h, at, x, &mlp);
    return add_norm(h, mc_hf_name(h, "%s.output", at), (mc_id[]){x, y}, m);
}

static mc_id pooled(mc_hf *h, mc_id x, const bert *m)
{
    const char *at = mc_hf_name(h, "%spooler", m->prefix);
    x = mc_hf_token(h, x, mc_hf_name(h, "%s.first", at), 0);
    x = mc_hf_linear(h, mc_hf_name(h, "%s.dense", at), x, m->width, m->width, true);
    return mc_hf_node(h, "Tanh", mc_hf_name(h, "%s.activation", at), &x, 1);
}

/* Scores of each word at each position. */
static mc_id words(mc_hf *h, mc_id x, const bert *m)
{
    static const char at[] = "cls.predictions", decoder[] = "cls.predictions.decoder";
    const char *transform = mc_hf_name(h, "%s.transform", at);
    x = mc_hf_linear(h, mc_hf_name(h, "%s.dense", transform), x, m->width, m->width, true);
    x = mc_hf_activation(h, "hidden_act", m->function, x, mc_hf_name(h, "%s.act", transform));
    const char *name = mc_hf_name(h, "%s.LayerNorm", transform);
    x = mc_hf_layer_norm(h, name, x, m->width, m->epsilon);
    if (!h->b->model->tied_head) return mc_hf_linear(h, decoder, x, m->width, m->vocab, true);
    const mc_id bias = mc_hf_vector(h, mc_hf_name(h, "%s.bias", at), m->vocab);
    return mc_hf_own(h, "Linear", decoder, (mc_id[]){x, m->table, bias}, 3);
}

static mc_status bare(mc_hf *h, mc_id x, const bert *m)
{
    h->b->model->tied_head = false;
    mc_hf_done(h, x, "last_hidden_state");
    const bool pools = mc_hf_has(h, mc_hf_name(h, "%spooler.dense.weight", m->prefix));
    return pools ? mc_hf_done(h, pooled(h, x, m), "pooler_output") : h->status;
}

/* One label alone is a number that the model estimates. */
static mc_status classifier(mc_hf *h, mc_id x, const bert *m)
{
    const uint64_t labels = mc_hf_labels(h);
    h->b->model->task = labels > 1 ? MC_TASK_CLASSIFY : MC_TASK_NONE;
    h->b->model->tied_head = false;
    x = pooled(h, x, m);
    return mc_hf_done(h, mc_hf_linear(h, "classifier", x, m->width, labels, true), "logits");
}

static mc_status build(mc_family_build *b, mc_err *err)
{
    mc_hf h = mc_hf_begin(b, err);
    bert m = {0};
    read(&h, &m);
    b->model->context = m.context;
    mc_id x = embed(&h, &m);
    for (uint64_t i = 0; i < m.layers && mc_hf_ok(&h); i++) x = layer(&h, x, &m, i);
    if (mc_hf_is(&h, "BertModel")) return bare(&h, x, &m);
    if (mc_hf_is(&h, "BertForSequenceClassification")) return classifier(&h, x, &m);
    b->model->tied_head = mc_hf_flag(&h, "tie_word_embeddings", true);
    return mc_hf_done(&h, words(&h, x, &m), "logits");
}

static const char *const names[] = {"BertModel", "BertForSequenceClassification", "BertForMaskedLM",
                                    NULL};

const mc_family mc_family_bert = {.architectures = names, .build = build};
