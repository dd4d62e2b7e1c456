/* config.json that is wrong, that contradicts the tensors, or that asks for what is not built. */
#include "formats/hf_family.h"
#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(hf_config, .init = scratch_enter, .fini = scratch_leave);

/* The weights of a golden model, and its numbers. */
static const char *const number[][2] = {
    {"architectures", "[\"LlamaForCausalLM\"]"},
    {"hidden_size", "32"},
    {"intermediate_size", "48"},
    {"num_hidden_layers", "2"},
    {"num_attention_heads", "4"},
    {"num_key_value_heads", "2"},
    {"max_position_embeddings", "128"},
    {"vocab_size", "96"},
};

static void put_weights(const char *golden)
{
    char path[512];
    mc_err err = {0};
    mc_map map = {0};
    snprintf(path, sizeof path, "%s/tests/golden/hf/%s/model.safetensors", MC_SOURCE_DIR, golden);
    cr_assert_eq(mc_map_open(path, 0, &map, &err), MC_OK, "%s", err.text);
    scratch_put("d/model.safetensors", map.data, map.size);
    mc_map_close(&map);
}

/* The same config.json but for one key; a NULL value leaves it out. */
static void put_config(const char *key, const char *value)
{
    char text[4096];
    size_t n = (size_t)snprintf(text, sizeof text, "{");
    for (size_t i = 0; i < sizeof number / sizeof number[0]; i++) {
        if (strcmp(number[i][0], key) == 0) continue;
        n += (size_t)snprintf(text + n, sizeof text - n, "\"%s\":%s,", number[i][0], number[i][1]);
    }
    if (value)
        snprintf(text + n, sizeof text - n, "\"%s\":%s}", key, value);
    else
        snprintf(text + n - 1, sizeof text - n + 1, "}");
    scratch_put_text("d/config.json", text);
}

Test(hf_config, is_refused_with_key_found_and_allowed)
{
    static const struct {
        const char *key, *value, *message;
    } wrong[] = {
        {"num_hidden_layers", "1025",
         "num_hidden_layers is 1025, a whole number from 1 to 1024 is allowed"},
        {"num_hidden_layers", "0",
         "num_hidden_layers is 0, a whole number from 1 to 1024 is allowed"},
        {"num_hidden_layers", "-1",
         "num_hidden_layers is -1, a whole number from 1 to 1024 is allowed"},
        {"num_hidden_layers", "1.5",
         "num_hidden_layers is 1.5, a whole number from 1 to 1024 is allowed"},
        {"num_hidden_layers", "\"2\"",
         "num_hidden_layers is \"2\", a whole number from 1 to 1024 is allowed"},
        {"num_hidden_layers", "[]",
         "num_hidden_layers is a list of 0, a whole number from 1 to 1024 is allowed"},
        {"vocab_size", "16777217",
         "vocab_size is 16777217, a whole number from 1 to 16777216 is allowed"},
        {"num_key_value_heads", "3",
         "num_key_value_heads is 3, a divisor of num_attention_heads 4 is allowed"},
        {"num_attention_heads", "6",
         "num_attention_heads is 6, a divisor of hidden_size 32 is allowed"},
        {"head_dim", "7",
         "head_dim 7 times partial_rotary_factor 1 is 7, an even number from 2 on is allowed"},
        {"rms_norm_eps", "\"small\"", "rms_norm_eps is \"small\", a number from 0 to 1 is allowed"},
        {"rms_norm_eps", "-1", "rms_norm_eps is -1, a number from 0 to 1 is allowed"},
        {"attention_bias", "1", "attention_bias is 1, true or false is allowed"},
        {"hidden_act", "{\"a\":1}", "hidden_act is an object, a string is allowed"},
        {"hidden_act", "true", "hidden_act is true, a string is allowed"},
        {"rope_scaling", "3", "rope_scaling is 3, an object is allowed"},
        {"rope_scaling", "{\"type\":\"linear\",\"factor\":0}",
         "factor is 0, a number from 0.001 to 1e+06 is allowed"},
        {"rope_scaling", "{\"rope_type\":\"llama3\",\"low_freq_factor\":4,\"high_freq_factor\":4}",
         "high_freq_factor is 4, more than low_freq_factor 4 is allowed"},
        {"rope_scaling", "{\"rope_type\":\"longrope\",\"short_factor\":[1,1]}",
         "short_factor is a list of 2, a list of 4 numbers is allowed"},
        {"rope_scaling", "{\"rope_type\":\"longrope\",\"short_factor\":[1,1,\"1\",1]}",
         "short_factor[2] is \"1\", a number from 1e-06 to 1e+06 is allowed"},
    };
    put_weights("llama");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char message[512];
        snprintf(message, sizeof message, "d/config.json: %s", wrong[i].message);
        put_config(wrong[i].key, wrong[i].value);
        scratch_refused("d", MC_E_FORMAT, message);
    }
}

Test(hf_config, is_refused_when_tensors_contradict_it)
{
    put_weights("llama");
    put_config("vocab_size", "97");
    scratch_refused("d", MC_E_FORMAT,
                    "d/config.json: asks for tensor \"model.embed_tokens.weight\" of shape "
                    "[97, 32], d/model.safetensors holds it with shape [96, 32]");
}

Test(hf_config, leaves_a_model_without_graph_when_it_is_not_built)
{
    static const struct {
        const char *key, *value, *why;
    } other[] = {
        {"architectures", "[\"NewForCausalLM\"]",
         "config.json: architecture \"NewForCausalLM\" is not one that can be run (known: "},
        {"architectures", NULL, "config.json names no architecture"},
        {"quantization_config", "{\"bits\":4}",
         "config.json: quantization_config says that the weights are quantized already, which "
         "cannot be run"},
        {"num_hidden_layers", "null",
         "d/config.json: num_hidden_layers is missing, a whole number from 1 to 1024 is allowed"},
        {"num_hidden_layers", NULL,
         "d/config.json: num_hidden_layers is missing, a whole number from 1 to 1024 is allowed"},
        {"num_hidden_layers", "3",
         "d/config.json: asks for tensor \"model.layers.2.input_layernorm.weight\" of shape [32], "
         "which d does not hold"},
        {"hidden_act", "\"mish\"",
         "d/config.json: hidden_act \"mish\" is not one that can be run (known: silu, "},
        {"rope_scaling", "{\"type\":\"dynamic\",\"factor\":2}",
         "d/config.json: rope_type \"dynamic\" is not one that can be run (known: default, linear, "
         "llama3, longrope)"},
        {"rope_parameters", "{\"full_attention\":{},\"sliding_attention\":{}}",
         "d/config.json: rope_parameters differs between layers, which cannot be run"},
        {"partial_rotary_factor", "0.5",
         "d/config.json: partial_rotary_factor is 0.5, which cannot be run: 1 can"},
    };
    put_weights("llama");
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        put_config(other[i].key, other[i].value);
        mc_model m = scratch_open("d");
        cr_expect_null(m.graph);
        cr_expect_eq(m.task, MC_TASK_NONE);
        cr_expect_eq(m.context, 0);
        cr_expect_eq(strncmp(m.no_graph, other[i].why, strlen(other[i].why)), 0, "%s", m.no_graph);
        cr_expect_eq(m.tensors, 21);
        mc_model_close(&m);
    }
}

Test(hf_config, is_not_needed)
{
    put_weights("llama");
    mc_model m = scratch_open("d/model.safetensors");
    cr_expect_null(m.graph);
    cr_expect_str_eq(m.no_graph, "there is no config.json");
    mc_model_close(&m);
}

/* Python writes what JSON cannot say; in a string it is a word like any other. */
Test(hf_config, may_hold_infinity)
{
    put_weights("llama");
    put_config("time_step_limit", "[-0.5, Infinity], \"note\": \"to \\\" Infinity\"");
    mc_model m = scratch_open("d");
    cr_expect_not_null(m.graph);
    mc_json *config = NULL;
    mc_err err = {0};
    cr_assert_eq(mc_family_config(mc_model_source(&m, "config"), &config, &err), MC_OK);
    cr_expect_str_eq(mc_json_as_text(mc_json_get(config, "note"), ""), "to \" Infinity");
    cr_expect_eq(mc_json_count(mc_json_get(config, "time_step_limit")), 2);
    mc_json_free(config);
    mc_model_close(&m);
}

/* What is reserved before the number of tensors is known is twice what any family takes. */
Test(hf_config, makes_graphs_that_fit_their_memory)
{
    static const char *const golden[] = {"llama",   "llama3_rope", "qwen3",           "phi3",
                                         "gemma2",  "mixtral",     "mixtral_stacked", "mamba2",
                                         "mistral", "qwen2",       "phi3_longrope"};
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/tests/golden/hf/%s", MC_SOURCE_DIR, golden[i]);
        mc_model m = scratch_open(path);
        cr_assert_not_null(m.graph);
        const unsigned char *base = m.memory.base;
        const size_t used = (size_t)(m.memory.arena.at - base);
        cr_expect_lt(2 * used, mc_family_memory(m.tensors) - mc_family_memory(0),
                     "%s: %zu bytes, %zu tensors", golden[i], used, m.tensors);
        mc_model_close(&m);
    }
}
