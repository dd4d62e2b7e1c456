/* What PyTorch's exporters write of small modules: recognised, and with PyTorch's outputs. */
#include "tests/support/pass_case.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const char *name, *exporter;
    const char *op; /* that must be there, so often, */
    size_t n;
    const char *gone; /* and these not, ended by a blank each */
} golden;

static const golden goldens[] = {
    {"layernorm", "11", "LayerNormalization", 1, "ReduceMean Sqrt Pow Mul Add "},
    {"layernorm", "13", "LayerNormalization", 1, "ReduceMean Sqrt Pow Mul Add "},
    {"layernorm", "17", "LayerNormalization", 1, ""},
    {"layernorm", "dynamo", "LayerNormalization", 1, ""},
    {"rmsnorm", "dynamo", "RMSNormalization", 1, "ReduceMean Sqrt Pow Mul Add Reciprocal "},
    {"rmsnorm_llama", "11", "RMSNormalization", 1, "ReduceMean Sqrt Pow Mul Add Div Cast "},
    {"rmsnorm_llama", "17", "RMSNormalization", 1, "ReduceMean Sqrt Pow Mul Add Div Cast "},
    {"rmsnorm_llama", "dynamo", "RMSNormalization", 1, "ReduceMean Sqrt Pow Mul Add "},
    {"gelu", "11", "Gelu", 1, "Erf Mul Add Div "},
    {"gelu", "dynamo", "Gelu", 1, ""},
    {"gelu_tanh", "11", "Gelu", 1, "Tanh Mul Add "},
    {"gelu_tanh", "dynamo", "Gelu", 1, ""},
    {"gelu_new", "11", "Gelu", 1, "Tanh Pow Mul Add "},
    {"gelu_new", "dynamo", "Gelu", 1, "Tanh Pow Mul Add "},
    {"silu", "11", "SiLU", 1, "Sigmoid Mul "},
    {"silu", "dynamo", "SiLU", 1, "Sigmoid Mul "},
    {"hardswish", "11", "HardSwish", 1, "HardSigmoid Mul Clip Div Add "},
    {"hardswish", "13", "HardSwish", 1, "HardSigmoid Mul Clip Div Add "},
    {"hardswish", "17", "HardSwish", 1, ""},
    {"hardswish", "dynamo", "HardSwish", 1, ""},
    {"mha", "17", "Attention", 1, "Softmax Sqrt "},
    {"mha", "dynamo", "Attention", 1, "Softmax "},
    {"attention", "11", "Attention", 1, "Softmax "},
    {"attention", "dynamo", "Attention", 1, "Softmax "},
    {"attention_masked", "17", "Attention", 1, "Softmax "},
    {"attention_masked", "dynamo", "Attention", 1, "Softmax "},
    {"sdpa", "17", "Attention", 1, "Softmax Sqrt "},
    {"sdpa", "dynamo", "Attention", 1, "Softmax "},
    {"sdpa_causal", "17", "Attention", 1, "Softmax Sqrt "},
    {"sdpa_causal", "dynamo", "Attention", 1, "Softmax "},
    {"sdpa_masked", "17", "Attention", 1, "Softmax Sqrt IsNaN "},
    {"sdpa_masked", "dynamo", "Attention", 1, "Softmax IsNaN "},
    {"sdpa_added", "17", "Attention", 1, "Softmax Sqrt "},
    {"sdpa_added", "dynamo", "Attention", 1, "Softmax "},
    {"bert", "11", "LayerNormalization", 2, "Softmax Erf ReduceMean "},
    {"bert", "dynamo", "Attention", 1, "Softmax "},
    {"convs", "11", "BatchNormalization", 1, "Sigmoid HardSigmoid "}, /* behind a grouped one */
    {"convs", "dynamo", "SiLU", 1, "BatchNormalization Sigmoid "},
    {"linear", "11", "Linear", 1, "BatchNormalization Gemm "},
    {"linear", "dynamo", "Linear", 2, "Gemm "},
};

static void expect_gone(const pass_case *p, const golden *g)
{
    char op[64];
    for (const char *at = g->gone; *at;) {
        const size_t n = strcspn(at, " ");
        snprintf(op, sizeof op, "%.*s", (int)n, at);
        cr_expect_eq(pass_count(p, op), 0, "%s_%s: %zu %s are left", g->name, g->exporter,
                     pass_count(p, op), op);
        at += n + 1;
    }
}

/* Sums of at most 64 products of numbers around 1, in two orders: 64 * 2^-23 of each, and norms and
 * softmax behind them. */
Test(pass_goldens, what_exporters_write_is_recognised_and_stays_what_it_was)
{
    for (size_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++) {
        const golden *g = &goldens[i];
        pass_case p = pass_golden(g->name, g->exporter);
        cr_expect_eq(pass_count(&p, g->op), g->n, "%s_%s: %zu of %s", g->name, g->exporter,
                     pass_count(&p, g->op), g->op);
        expect_gone(&p, g);
        pass_same(&p, 2e-5);
        pass_end(&p);
    }
}
