/* A recurrent layer as its node says it: what reading it gives and running it takes. */
#ifndef MC_CORE_OPS_OP_RECURRENT_SHARED_H
#define MC_CORE_OPS_OP_RECURRENT_SHARED_H

#include "core/op.h"

typedef struct mc_activation mc_activation;
struct mc_activation {
    const char *name;
    int takes;         /* numbers: 0 none, 1 alpha, 2 alpha and beta */
    float alpha, beta; /* as the operators of those names have them */
    void (*run)(const mc_activation *a, float *x, size_t n); /* in place */
};

typedef enum { MC_RNN, MC_GRU, MC_LSTM } mc_cell_kind;
enum { MC_CELL_ACTIVATIONS = 3 };

/* Inputs of the node. */
enum { MC_RNN_X, MC_RNN_W, MC_RNN_R, MC_RNN_B, MC_RNN_LENGTHS, MC_RNN_H, MC_RNN_C, MC_RNN_P };

typedef struct {
    mc_cell_kind kind;
    int gates; /* matrices of W and R */
    bool reverse[2], batch_first, linear_before_reset, input_forget;
    float clip; /* 0: none */
    mc_activation act[2][MC_CELL_ACTIVATIONS];
    int64_t directions, steps, batch, inputs, hidden; /* -1: not known */
} mc_recurrent;

/* All dimensions are known. */
size_t mc_recurrent_scratch(const mc_call *call, const mc_recurrent *l);
mc_status mc_recurrent_run(const mc_call *call, const mc_recurrent *l, mc_err *err);

#endif
