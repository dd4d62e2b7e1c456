/* The equation of an Einsum: which label stands for which dimension. */
#ifndef MC_CORE_OPS_OP_EINSUM_EQUATION_H
#define MC_CORE_OPS_OP_EINSUM_EQUATION_H

#include "core/op.h"

/* Labels: 52 letters, then the dimensions that "..." stands for, the last of them last. */
enum {
    MC_EINSUM_LETTERS = 52,
    MC_EINSUM_LABELS = MC_EINSUM_LETTERS + MC_MAX_DIMS,
    MC_EINSUM_OPERANDS = 32,
};

typedef struct {
    int n;
    uint8_t label[MC_MAX_DIMS];
} mc_einsum_term;

typedef struct {
    mc_einsum_term in[MC_EINSUM_OPERANDS], out;
    int64_t size[MC_EINSUM_LABELS]; /* -1: not known */
    bool ranked; /* every input's rank is known; else nothing else here is */
} mc_einsum_equation;

/* MC_E_FORMAT when it breaks its rules or does not fit the inputs. */
mc_status mc_einsum_read(const mc_call *call, mc_einsum_equation *out, mc_err *err);

#endif
