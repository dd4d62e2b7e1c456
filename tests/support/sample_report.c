/* Builds a report by hand. Figures are drawn from a counter-based generator, so they are always the
 * same. */
#include "tests/support/sample_report.h"

#include "core/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 512, HIDDEN = 1408, VOCABULARY = 8000, ROOM = 64 << 20 };

typedef struct {
    sample_report *out;
    mc_weight_spec *spec;
    uint64_t drawn;
} builder;

static double draw(builder *b)
{
    return (double)mc_rng_unit((mc_rng){7, 1}, b->drawn++);
}

static void fail(const char *why)
{
    fprintf(stderr, "sample_report: %s\n", why);
    abort();
}

/* Codes of a Gaussian on a symmetric grid that spans `spread` standard deviations. */
static void fill_histogram(mc_tensor_report *t, unsigned bits, double spread)
{
    const unsigned codes = 1u << bits;
    double sum = 0.0, entropy = 0.0;
    double density[256];
    for (unsigned u = 0; u < codes; u++) {
        const double x = spread * (2.0 * u / codes - 1.0);
        sum += density[u] = exp(-0.5 * x * x);
    }
    for (unsigned u = 0; u < codes; u++) {
        const double p = density[u] / sum;
        t->histogram[u] = (uint64_t)(p * (double)t->count);
        if (p > 0) entropy -= p * log2(p);
    }
    t->entropy_bits = entropy;
    t->zeros = (double)t->histogram[codes / 2] / (double)t->count;
}

static mc_tensor_report *add(builder *b, const char *name, uint64_t rows, uint64_t cols)
{
    mc_report *r = &b->out->report;
    mc_weight_spec *spec = &b->spec[r->tensors];
    mc_tensor_report *t = &r->tensor[r->tensors++];
    spec->name = mc_copy_text(&b->out->memory.arena, name, strlen(name));
    spec->form = MC_FORM_DENSE;
    spec->dtype = MC_BF16;
    spec->ndim = rows > 1 ? 2 : 1;
    spec->dim[0] = rows > 1 ? rows : cols;
    spec->dim[1] = cols;
    spec->rows = rows;
    spec->cols = cols;
    t->name = spec->name;
    t->spec = spec;
    t->count = rows * cols;
    t->source_bytes = 2 * t->count;
    t->bytes = t->source_bytes;
    t->bits_per_weight = 16;
    t->sqnr_db = (double)INFINITY;
    t->cosine = 1.0;
    r->parameters += t->count;
    return t;
}

static void add_norm(builder *b, const char *name)
{
    add(b, name, 1, WIDTH)->kept_because = "one dimension";
}

static void add_linear(builder *b, const char *name, uint64_t rows, uint64_t cols, unsigned bits)
{
    mc_tensor_report *t = add(b, name, rows, cols);
    mc_weight_spec *spec = &b->spec[b->out->report.tensors - 1];
    spec->form = MC_FORM_QUANTIZED;
    spec->grid = (mc_grid){.levels = mc_levels_int(bits), .scale_dtype = MC_F16};
    spec->group = bits <= 4 ? 32 : cols;
    t->bytes = mc_weight_bytes(spec);
    t->bits_per_weight = 8.0 * (double)t->bytes / (double)t->count;
    t->sqnr_db = (bits == 8 ? 43.5 : 18.2) + (bits == 8 ? 1.0 : 3.8) * draw(b);
    t->relative_error = pow(10.0, -t->sqnr_db / 20.0);
    t->max_abs_error = 0.004 + 0.03 * draw(b) * t->relative_error * 10;
    t->max_abs_index = (uint64_t)(draw(b) * (double)t->count);
    t->cosine = 1.0 - t->relative_error * t->relative_error / 2.0;
    t->clipped = 0.003 * draw(b);
    fill_histogram(t, bits, 2.2 + draw(b));
    b->out->report.quantized++;
}

static void add_layer(builder *b, size_t layer)
{
    static const struct {
        const char *name;
        uint64_t rows, cols;
    } linears[] = {
        {"mlp.down_proj", WIDTH, HIDDEN},       {"mlp.gate_proj", HIDDEN, WIDTH},
        {"mlp.up_proj", HIDDEN, WIDTH},         {"self_attn.k_proj", WIDTH / 4, WIDTH},
        {"self_attn.o_proj", WIDTH, WIDTH},     {"self_attn.q_proj", WIDTH, WIDTH},
        {"self_attn.v_proj", WIDTH / 4, WIDTH},
    };
    char name[96];
    snprintf(name, sizeof name, "model.layers.%zu.input_layernorm.weight", layer);
    add_norm(b, name);
    for (size_t i = 0; i < sizeof linears / sizeof *linears; i++) {
        snprintf(name, sizeof name, "model.layers.%zu.%s.weight", layer, linears[i].name);
        add_linear(b, name, linears[i].rows, linears[i].cols, 4);
    }
    snprintf(name, sizeof name, "model.layers.%zu.post_attention_layernorm.weight", layer);
    add_norm(b, name);
}

static void sort(builder *b)
{
    mc_report *r = &b->out->report;
    size_t *order = MC_NEW(&b->out->memory.arena, size_t, r->tensors);
    if (!order) fail("no room");
    for (size_t i = 0; i < r->tensors; i++) {
        size_t at = i; /* carried tensors are exact, so they sink to the end by themselves */
        for (; at > 0 && r->tensor[order[at - 1]].sqnr_db > r->tensor[i].sqnr_db; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    r->worst_first = order;
}

static void sum_up(builder *b)
{
    mc_report *r = &b->out->report;
    double quantized_bytes = 0.0;
    for (size_t i = 0; i < r->tensors; i++) {
        const mc_tensor_report *t = &r->tensor[i];
        if (t->spec->form == MC_FORM_DENSE) {
            r->source_split.dense += t->source_bytes;
            r->container_split.dense += t->bytes;
            continue;
        }
        const uint64_t codes = t->count * t->spec->grid.levels->bits / 8;
        r->source_split.codes += t->source_bytes;
        r->container_split.codes += codes;
        r->container_split.grids += t->bytes - codes;
        r->quantized_parameters += t->count;
        quantized_bytes += (double)t->bytes;
        r->mean_tensor_sqnr_db += t->sqnr_db / (double)r->quantized;
        r->max_abs_error = fmax(r->max_abs_error, t->max_abs_error);
        r->max_relative_error = fmax(r->max_relative_error, t->relative_error);
        r->clipped += t->clipped / (double)r->quantized;
        r->zeros += t->zeros / (double)r->quantized;
    }
    r->bits_per_weight = 8.0 * quantized_bytes / (double)r->quantized_parameters;
    r->min_tensor_sqnr_db = r->tensor[r->worst_first[0]].sqnr_db;
    r->worst_tensor = r->tensor[r->worst_first[0]].name;
    r->source_split.side = r->container_split.side = 181203;
    r->source_split.frame = 4312;
    r->container_split.frame = 9216;
    const mc_size_split *a = &r->source_split, *z = &r->container_split;
    r->source_bytes = a->codes + a->grids + a->dense + a->side + a->frame;
    r->container_bytes = z->codes + z->grids + z->dense + z->side + z->frame;
}

static void add_gates(builder *b)
{
    static const char *const texts[] = {"min_tensor_sqnr_db >= 18", "container_bytes <= 64 MiB",
                                        "clipped < 0.001"};
    mc_gate gate[3];
    mc_err err = {0};
    mc_arena *mem = &b->out->memory.arena;
    for (size_t i = 0; i < 3; i++)
        if (mc_gate_parse(texts[i], mem, &gate[i], &err) != MC_OK) fail(err.text);
    if (mc_gates_apply(gate, 3, mem, &b->out->report, &err) != MC_OK) fail(err.text);
}

void sample_report_open(sample_report *out, size_t layers, bool gates)
{
    static const char *const command[] = {"mcompress", "verify",         "out.bin", "--reference",
                                          "in",        "--require=\"<&", NULL};
    mc_err err = {0};
    memset(out, 0, sizeof *out);
    if (mc_region_open(&out->memory, ROOM, &err) != MC_OK) fail(err.text);
    builder b = {.out = out};
    b.spec = MC_NEW(&out->memory.arena, mc_weight_spec, 9 * layers + 3);
    out->report.tensor = MC_NEW(&out->memory.arena, mc_tensor_report, 9 * layers + 3);
    if (!b.spec || !out->report.tensor) fail("no room");

    add_linear(&b, "lm_head.weight", VOCABULARY, WIDTH, 8);
    add_linear(&b, "model.embed_tokens.weight", VOCABULARY, WIDTH, 8);
    for (size_t i = 0; i < layers; i++) add_layer(&b, i);
    add_norm(&b, "model.norm.weight");
    sort(&b);
    sum_up(&b);

    mc_report *r = &out->report;
    r->version = "0.1.0";
    r->command = command;
    r->pass = true;
    r->score = (double)NAN;
    r->numerics =
        (mc_numerics){.activation_bits = 8, .activation_mode = MCPK_ACT_DYNAMIC, .kv_bits = 16};
    snprintf(r->headline, sizeof r->headline, "activations: int8 dynamic recorded, not measured");
    memset(r->container_hash, 'c', MC_SHA256_HEX - 1);
    memset(r->source_hash, 'a', MC_SHA256_HEX - 1);
    memset(r->recipe_hash, 'e', MC_SHA256_HEX - 1);
    if (gates) add_gates(&b);
}

void sample_report_rename(sample_report *sample, size_t tensor, const char *name)
{
    sample->report.tensor[tensor].name = name;
}

void sample_report_close(sample_report *sample)
{
    mc_region_close(&sample->memory);
}
