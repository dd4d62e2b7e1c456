/* Families with other inputs than ids, or other outputs than logits of the next token, against what
 * `transformers` computes (tests/reference/make_hf_goldens.py); and what their config.json may not
 * say. */
#include "core/site.h"
#include "formats/hf_family.h"
#include "tests/support/golden_model.h"
#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

enum { MOST_IN = 3, MOST_OUT = 2 };

static const struct {
    const char *folder;
    const char *in[MOST_IN], *out[MOST_OUT]; /* in the order of the graph */
    mc_task task;
    uint64_t context;
    size_t sites;
    bool tied;
} goldens[] = {
    {"gpt2_model", {"input_ids"}, {"last_hidden_state"}, MC_TASK_NONE, 40, 2 + 4, false},
    {"bert",
     {"input_ids", "attention_mask", "token_type_ids"},
     {"logits"},
     MC_TASK_CLASSIFY,
     40,
     3 + 6 + 2, /* tables, a layer, pooler and classifier */
     false},
    {"bert_words",
     {"input_ids", "attention_mask", "token_type_ids"},
     {"logits"},
     MC_TASK_NONE,
     40,
     3 + 6 + 2,
     true},
    {"minilm",
     {"input_ids", "attention_mask", "token_type_ids"},
     {"last_hidden_state", "pooler_output"},
     MC_TASK_NONE,
     40,
     3 + 2 * 6 + 1,
     false},
    {"vit", {"pixel_values"}, {"logits"}, MC_TASK_CLASSIFY, 0, 1 + 2 * 6 + 1, false},
    {"vit_model",
     {"pixel_values"},
     {"last_hidden_state", "pooler_output"},
     MC_TASK_NONE,
     0,
     1 + 6 + 1,
     false},
    {"deit", {"pixel_values"}, {"logits"}, MC_TASK_CLASSIFY, 0, 1 + 6 + 1, false},
    {"deit_teacher", {"pixel_values"}, {"logits"}, MC_TASK_CLASSIFY, 0, 1 + 6 + 2, false},
    {"whisper",
     {"input_features", "decoder_input_ids"},
     {"logits"},
     MC_TASK_NONE,
     16,
     2 + 6 + 2 + 2 * 10 + 1, /* convolutions, an encoder layer, tables, decoder layers, head */
     true},
};

enum { GOLDENS = sizeof goldens / sizeof goldens[0] };

/* A model with its inputs, and room for one output. */
static float found[GOLDEN_ROOM], wanted[GOLDEN_ROOM];
static double room[MOST_IN][GOLDEN_ROOM];

static const char *array_path(const char *folder, const char *name, char path[512])
{
    char file[64];
    snprintf(file, sizeof file, "%s.npy", name);
    return golden_path(folder, file, path);
}

static size_t read_inputs(const mc_graph *g, const char *folder, mc_nd in[MOST_IN])
{
    char path[512];
    for (size_t i = 0; i < g->inputs; i++)
        in[i] = golden_tensor(array_path(folder, g->value[g->input[i]].name, path), room[i]);
    return g->inputs;
}

ParameterizedTestParameters(hf_encoders, give_the_outputs_of_transformers)
{
    static size_t index[GOLDENS];
    for (size_t i = 0; i < GOLDENS; i++) index[i] = i;
    return cr_make_param_array(size_t, index, GOLDENS);
}

/* And the same after all passes. */
ParameterizedTest(size_t *i, hf_encoders, give_the_outputs_of_transformers)
{
    const char *folder = goldens[*i].folder;
    char path[512];
    mc_nd in[MOST_IN];
    mc_model m = golden_open(golden_path(folder, "", path));
    const size_t ins = read_inputs(m.graph, folder, in);
    for (size_t o = 0; o < m.graph->outputs; o++) {
        const char *name = m.graph->value[m.graph->output[o]].name;
        const mc_nd y = golden_tensor(array_path(folder, name, path), wanted);
        const golden_out out = {o, y.count, found};
        golden_run(m.graph, in, ins, &out, 1);
        double off = golden_distance(found, wanted, y.count);
        cr_expect(off <= GOLDEN_BOUND, "%s: %s off by %g of its largest", folder, name, off);
        golden_run_prepared(m.graph, in, ins, &out, 1);
        off = golden_distance(found, wanted, y.count);
        cr_expect(off <= GOLDEN_BOUND, "%s: %s after passes off by %g", folder, name, off);
    }
    mc_model_close(&m);
}

Test(hf_encoders, say_what_they_are)
{
    for (size_t i = 0; i < GOLDENS; i++) {
        char path[512];
        mc_model m = golden_open(golden_path(goldens[i].folder, "", path));
        cr_expect_eq(m.task, goldens[i].task, "%s", path);
        cr_expect_eq(m.context, goldens[i].context, "%s", path);
        cr_expect_eq(m.tied_head, goldens[i].tied, "%s", path);
        for (size_t k = 0; k < MOST_IN && goldens[i].in[k]; k++) {
            cr_assert_lt(k, m.graph->inputs);
            cr_expect_str_eq(m.graph->value[m.graph->input[k]].name, goldens[i].in[k]);
        }
        for (size_t k = 0; k < MOST_OUT && goldens[i].out[k]; k++) {
            cr_assert_lt(k, m.graph->outputs);
            cr_expect_str_eq(m.graph->value[m.graph->output[k]].name, goldens[i].out[k]);
        }
        mc_model_close(&m);
    }
}

Test(hf_encoders, have_a_site_for_every_matrix)
{
    for (size_t i = 0; i < GOLDENS; i++) {
        char path[512];
        mc_err err = {0};
        mc_region region = {0};
        mc_sites sites = {0};
        mc_model m = golden_open(golden_path(goldens[i].folder, "", path));
        cr_assert_eq(mc_region_open(&region, 1 << 22, &err), MC_OK);
        cr_assert_eq(mc_sites_find(m.graph, &region.arena, &sites, &err), MC_OK, "%s", err.text);
        cr_expect_eq(sites.sites, goldens[i].sites, "%s: %zu", path, sites.sites);
        for (size_t k = 0; k < sites.sites; k++) {
            const char *weight = sites.site[k].weight->name, *name = sites.site[k].name;
            if (goldens[i].tied && k == sites.sites - 1) continue; /* the table of words again */
            cr_expect_eq(strncmp(weight, name, strlen(name)), 0, "%s: %s", name, weight);
        }
        mc_region_close(&region);
        mc_model_close(&m);
    }
}

/* GPT-2's matrices are [in, out]; its tables and its head are not. */
Test(hf_encoders, know_the_matrices_of_gpt2_as_transposed)
{
    char path[512];
    mc_err err = {0};
    mc_region region = {0};
    mc_sites sites = {0};
    mc_model m = golden_open(golden_path("gpt2", "", path));
    cr_assert_eq(mc_region_open(&region, 1 << 22, &err), MC_OK);
    cr_assert_eq(mc_sites_find(m.graph, &region.arena, &sites, &err), MC_OK, "%s", err.text);
    cr_assert_eq(sites.sites, 2 + 4 + 1);
    for (size_t i = 0; i < sites.sites; i++)
        cr_expect_eq(sites.site[i].transposed, strstr(sites.site[i].name, ".h.0.") != NULL, "%s",
                     sites.site[i].name);
    cr_expect(sites.site[6].last);
    mc_region_close(&region);
    mc_model_close(&m);
}

/* What is padded cannot be told from what is not there. */
Test(hf_encoders, do_not_see_padding)
{
    enum { SEEN = 7, ALL = 12, WIDTH = 32 };
    char path[512];
    mc_nd in[MOST_IN];
    mc_err err = {0};
    mc_model m = golden_open(golden_path("minilm", "", path));
    cr_assert_eq(read_inputs(m.graph, "minilm", in), 3);
    golden_run(m.graph, in, 3, &(golden_out){0, 2 * ALL * WIDTH, wanted}, 1);
    for (size_t i = 0; i < 3; i++) {
        int64_t *row = (int64_t *)in[i].data + ALL;
        cr_assert_eq(mc_nd_set(&in[i], MC_I64, 2, (int64_t[]){1, SEEN}, &err), MC_OK);
        in[i].data = row;
    }
    golden_run(m.graph, in, 3, &(golden_out){0, SEEN * WIDTH, found}, 1);
    const double off = golden_distance(found, wanted + ALL * WIDTH, SEEN * WIDTH);
    cr_expect(off <= GOLDEN_BOUND, "off by %g", off);
    mc_model_close(&m);
}

/* ---- config.json ---- */

TestSuite(hf_encoder_config, .init = scratch_enter, .fini = scratch_leave);

static void put_weights(const char *folder)
{
    char path[512];
    mc_err err = {0};
    mc_map map = {0};
    golden_path(folder, "model.safetensors", path);
    cr_assert_eq(mc_map_open(path, 0, &map, &err), MC_OK, "%s", err.text);
    scratch_put("d/model.safetensors", map.data, map.size);
    mc_map_close(&map);
}

/* The golden's config.json, which has a key a line, with another value for one; NULL: without. */
static void put_config(const char *folder, const char *key, const char *value)
{
    char path[512], text[4096], line[128];
    mc_err err = {0};
    mc_map map = {0};
    golden_path(folder, "config.json", path);
    cr_assert_eq(mc_map_open(path, 0, &map, &err), MC_OK, "%s", err.text);
    snprintf(line, sizeof line, "\n \"%s\": ", key);
    size_t n = 0;
    if (value)
        n = (size_t)snprintf(text, sizeof text, "{%s%s,", line, value);
    else
        text[n++] = '{';
    const char *at = (const char *)map.data + 1, *end = at - 1 + map.size;
    cr_assert_lt(map.size + n, sizeof text);
    memcpy(text + n, at, (size_t)(end - at));
    text[n + (size_t)(end - at)] = '\0';
    char *old = strstr(text + n, line);
    if (old) memmove(old, strchr(old + 1, '\n'), strlen(strchr(old + 1, '\n')) + 1);
    mc_map_close(&map);
    scratch_put_text("d/config.json", text);
}

Test(hf_encoder_config, is_refused_with_key_found_and_allowed)
{
    static const struct {
        const char *folder, *key, *value, *message;
    } wrong[] = {
        {"gpt2", "n_layer", "1025", "n_layer is 1025, a whole number from 1 to 1024 is allowed"},
        {"gpt2", "n_head", "3", "n_head is 3, a divisor of n_embd 32 is allowed"},
        {"gpt2", "n_head", "0", "n_head is 0, a whole number from 1 to 65536 is allowed"},
        {"gpt2", "scale_attn_weights", "2", "scale_attn_weights is 2, true or false is allowed"},
        {"gpt2", "n_inner", "-4", "n_inner is -4, a whole number from 1 to 1048576 is allowed"},
        {"opt", "ffn_dim", "1.5", "ffn_dim is 1.5, a whole number from 1 to 1048576 is allowed"},
        {"opt", "num_attention_heads", "5",
         "num_attention_heads is 5, a divisor of hidden_size 32 is allowed"},
        {"opt", "word_embed_proj_dim", "0",
         "word_embed_proj_dim is 0, a whole number from 1 to 1048576 is allowed"},
        {"bert", "layer_norm_eps", "\"x\"",
         "layer_norm_eps is \"x\", a number from 0 to 1 is allowed"},
        {"bert", "num_attention_heads", "7",
         "num_attention_heads is 7, a divisor of hidden_size 32 is allowed"},
        {"bert", "num_labels", "0",
         "num_labels is 0, a whole number from 1 to 16777216 is allowed"},
        {"vit", "patch_size", "0",
         "patch_size is 0, a whole number from 1 to 65536 or a list of two is allowed"},
        {"vit", "image_size", "[16]",
         "image_size is a list of 1, a whole number from 1 to 65536 or a list of two is allowed"},
        {"vit", "image_size", "[16, 65537]",
         "image_size is a list of 2, a whole number from 1 to 65536 or a list of two is allowed"},
        {"vit", "image_size", "{\"height\": 16, \"width\": 16}",
         "image_size is an object, a whole number from 1 to 65536 or a list of two is allowed"},
        {"vit", "patch_size", "[4, 17]",
         "patch_size has width 17, at most image_size 16 is allowed"},
        {"whisper", "decoder_attention_heads", "3",
         "decoder_attention_heads is 3, a divisor of d_model 32 is allowed"},
        {"whisper", "encoder_layers", "1e9",
         "encoder_layers is 1000000000, a whole number from 1 to 1024 is allowed"},
        {"whisper", "max_source_positions", "0",
         "max_source_positions is 0, a whole number from 1 to 1073741824 is allowed"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char message[512];
        snprintf(message, sizeof message, "d/config.json: %s", wrong[i].message);
        put_weights(wrong[i].folder);
        put_config(wrong[i].folder, wrong[i].key, wrong[i].value);
        scratch_refused("d", MC_E_FORMAT, message);
    }
}

Test(hf_encoder_config, is_refused_when_tensors_contradict_it)
{
    static const struct {
        const char *folder, *key, *value, *asked, *held;
    } wrong[] = {
        {"gpt2", "n_inner", "64", "\"transformer.h.0.mlp.c_fc.weight\" of shape [32, 64]",
         "[32, 128]"},
        {"opt", "max_position_embeddings", "42",
         "\"model.decoder.embed_positions.weight\" of shape [44, 32]", "[42, 32]"},
        {"bert", "type_vocab_size", "3",
         "\"bert.embeddings.token_type_embeddings.weight\" of shape [3, 32]", "[2, 32]"},
        {"bert", "num_labels", "5", "\"classifier.weight\" of shape [5, 32]", "[3, 32]"},
        {"vit", "image_size", "[16, 20]",
         "\"vit.embeddings.position_embeddings\" of shape [1, 21, 32]", "[1, 17, 32]"},
        {"vit", "num_channels", "1",
         "\"vit.embeddings.patch_embeddings.projection.weight\" of shape [32, 1, 4, 4]",
         "[32, 3, 4, 4]"},
        {"whisper", "num_mel_bins", "16", "\"model.encoder.conv1.weight\" of shape [32, 16, 3]",
         "[32, 8, 3]"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char message[512];
        snprintf(message, sizeof message,
                 "d/config.json: asks for tensor %s, d/model.safetensors holds it with shape %s",
                 wrong[i].asked, wrong[i].held);
        put_weights(wrong[i].folder);
        put_config(wrong[i].folder, wrong[i].key, wrong[i].value);
        scratch_refused("d", MC_E_FORMAT, message);
    }
}

Test(hf_encoder_config, leaves_a_model_without_graph_when_it_is_not_built)
{
    static const struct {
        const char *folder, *key, *value, *why;
    } other[] = {
        {"gpt2", "n_embd", NULL, "n_embd is missing, a whole number from 1 to 1048576 is allowed"},
        {"gpt2", "add_cross_attention", "true", "add_cross_attention is true, which cannot be run"},
        {"gpt2", "tie_word_embeddings", "false",
         "asks for tensor \"lm_head.weight\" of shape [96, 32], which d does not hold"},
        {"opt", "num_hidden_layers", "3",
         "asks for tensor \"model.decoder.layers.2.self_attn_layer_norm.weight\" of shape [32], "
         "which d does not hold"},
        {"bert", "position_embedding_type", "\"relative_key\"",
         "position_embedding_type \"relative_key\" is not one that can be run (known: absolute)"},
        {"bert", "is_decoder", "true", "is_decoder is true, which cannot be run"},
        {"vit", "image_size", NULL,
         "image_size is missing, a whole number from 1 to 65536 or a list of two is allowed"},
        {"vit_model", "pooler_act", "\"mish\"", "pooler_act \"mish\" is not one that can be run"},
        {"whisper", "activation_function", "\"mish\"",
         "activation_function \"mish\" is not one that can be run (known: silu, "},
    };
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        char why[512];
        snprintf(why, sizeof why, "d/config.json: %s", other[i].why);
        put_weights(other[i].folder);
        put_config(other[i].folder, other[i].key, other[i].value);
        mc_model m = scratch_open("d");
        cr_expect_null(m.graph);
        cr_expect_eq(m.task, MC_TASK_NONE);
        cr_expect_eq(m.context, 0);
        cr_expect_eq(strncmp(m.no_graph, why, strlen(why)), 0, "%s\n%s", m.no_graph, why);
        mc_model_close(&m);
    }
}

/* The smallest BERT: all its sizes are 1. */
static void put_one_label(void)
{
    static const char *const matrix[] = {"embeddings.word_embeddings",
                                         "embeddings.position_embeddings",
                                         "embeddings.token_type_embeddings",
                                         "encoder.layer.0.attention.self.query",
                                         "encoder.layer.0.attention.self.key",
                                         "encoder.layer.0.attention.self.value",
                                         "encoder.layer.0.attention.output.dense",
                                         "encoder.layer.0.intermediate.dense",
                                         "encoder.layer.0.output.dense",
                                         "pooler.dense"};
    static const char *const norm[] = {"embeddings", "encoder.layer.0.attention.output",
                                       "encoder.layer.0.output"};
    char text[8192] = "{";
    size_t n = 1, at = 0;
    for (size_t i = 0; i < 2 * 11 + 2 * 3; i++, at += 4) {
        char name[128];
        const bool is_matrix = i % 2 == 0 && i < 22;
        const char *end = i % 2 == 0 ? "weight" : "bias";
        if (i >= 22)
            snprintf(name, sizeof name, "bert.%s.LayerNorm.%s", norm[(i - 22) / 2], end);
        else if (i >= 20)
            snprintf(name, sizeof name, "classifier.%s", end);
        else
            snprintf(name, sizeof name, "bert.%s.%s", matrix[i / 2], end);
        n +=
            (size_t)snprintf(text + n, sizeof text - n,
                             "%s\"%s\":{\"dtype\":\"F32\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
                             i > 0 ? "," : "", name, is_matrix ? "[1,1]" : "[1]", at, at + 4);
    }
    cr_assert_lt(n + 2, sizeof text);
    memcpy(text + n, "}", 2);
    scratch_put_model("d/model.safetensors", text, at);
}

/* One label alone is a number that is estimated, not a class. */
Test(hf_encoder_config, of_one_label_makes_no_classifier)
{
    put_one_label();
    scratch_put_text("d/config.json",
                     "{\"architectures\":[\"BertForSequenceClassification\"],\"vocab_size\":1,"
                     "\"hidden_size\":1,\"intermediate_size\":1,\"num_hidden_layers\":1,"
                     "\"num_attention_heads\":1,\"max_position_embeddings\":1,\"num_labels\":1,"
                     "\"type_vocab_size\":1}");
    mc_model m = scratch_open("d");
    cr_assert_not_null(m.graph, "%s", m.no_graph);
    cr_expect_eq(m.task, MC_TASK_NONE);
    mc_model_close(&m);
}

Test(hf_encoder_config, makes_graphs_that_fit_their_memory)
{
    static const char *const folder[] = {"gpt2", "opt",  "opt_plain", "bert",   "bert_words",
                                         "vit",  "deit", "minilm",    "whisper"};
    for (size_t i = 0; i < sizeof folder / sizeof folder[0]; i++) {
        char path[512];
        mc_model m = scratch_open(golden_path(folder[i], "", path));
        cr_assert_not_null(m.graph);
        const unsigned char *base = m.memory.base;
        const size_t used = (size_t)(m.memory.arena.at - base);
        cr_expect_lt(2 * used, mc_family_memory(m.tensors) - mc_family_memory(0),
                     "%s: %zu bytes, %zu tensors", folder[i], used, m.tensors);
        mc_model_close(&m);
    }
}
