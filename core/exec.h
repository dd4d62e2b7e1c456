/* The executor: runs a graph in float32 (nd.h says how each dtype lies). The one interpreter that
 * calibration and verification agree on.
 *
 * mc_exec_open prepares once: looks up operators, computes everything that depends on constants
 * alone, and finds the last use of every value. Any number of runs then share it, one a thread;
 * each has its own memory, from which values are taken at their first use and given back after the
 * last, so that memory does not grow with the number of samples. */
#ifndef MC_CORE_EXEC_H
#define MC_CORE_EXEC_H

#include "core/act_spec.h"
#include "core/graph.h"
#include "core/nd.h"
#include "core/op.h"
#include "core/site.h"
#include "core/weight.h"

#include <stdbool.h>
#include <stdint.h>

/* Where the numbers of constants come from: the file itself, or the container made from it. */
typedef struct mc_weights mc_weights;
struct mc_weights {
    /* Elements [first, first + count) of a tensor of real numbers as f32, row-major in the shape
     * of the source. Any thread. */
    mc_status (*read)(const mc_weights *from, const mc_tensor *tensor, uint64_t first,
                      uint64_t count, float *out, mc_err *err);

    /* What the tensor is there when it is quantized, else NULL. Then codes(…) gives rows
     * [row, row + rows) of the matrix that its codes were computed on (mc_weight_code_shape), in
     * `mem`. Both NULL: never. */
    const mc_weight_spec *(*quantized)(const mc_weights *from, const mc_tensor *tensor);
    mc_status (*codes)(const mc_weights *from, const mc_tensor *tensor, size_t row, size_t rows,
                       mc_arena *mem, mc_qmat *out, mc_err *err);
};

typedef enum {
    MC_NUMERICS_FLOAT,      /* activations as they are */
    MC_NUMERICS_FAKE_QUANT, /* inputs of sites rounded to their grid, then float */
    MC_NUMERICS_INTEGER,    /* sites compute with integers, scales after */
} mc_exec_numerics;

typedef struct {
    const char *name;            /* of the model, for messages */
    const mc_weights *weights;   /* NULL: tensors as the file has them */
    uint64_t cache_bytes;        /* decoded weights kept between runs; the others are decoded at
                                    every use. UINT64_MAX: keep all */
    mc_exec_numerics numerics;
    unsigned activation_bits;    /* 4, 8; 16: not quantized. Dynamic: a scale per token for matrices
                                    and per sample for convolutions (core/act.h) */
    const mc_act_spec *act;      /* instead, one for each site; embeddings' are not read. Their
                                    rotations are done whatever the numerics, being part of what the
                                    model computes. Outlives the executor. NULL: every site by
                                    activation_bits */
    const mc_kv_spec *kv;        /* how attentions keep keys and values, unless numerics are FLOAT;
                                    NULL: as they are. Only where queries are those of the keys'
                                    own tokens and see none that come later (mc_run_kv) */
    const mc_sites *sites;       /* of this graph; needed for quantized activations */
    bool keep_inputs;            /* a step's inputs are looked at behind it: never reuse their
                                    memory for its outputs */
} mc_exec_options;

typedef struct mc_exec mc_exec;

/* `graph` is ordered and outlives the executor. MC_E_UNSUPPORTED names node, operator and opset of
 * the first node that cannot be run. */
mc_status mc_exec_open(const mc_graph *graph, const mc_exec_options *options, mc_exec **out,
                       mc_err *err);
void mc_exec_close(mc_exec *exec);

/* ---- runs ---- */

typedef struct mc_run mc_run;

/* `room_bytes`: address space for values; only what is used becomes memory. 0: as much as the
 * machine has. */
mc_status mc_run_open(const mc_exec *exec, uint64_t room_bytes, mc_run **out, mc_err *err);
void mc_run_close(mc_run *run);

/* Starts a pass: input[i] belongs to graph->input[i] (checked for dtype and rank; the memory stays
 * the caller's and must last for the pass). Ends the pass before. */
mc_status mc_run_begin(mc_run *run, const mc_nd *const *input, size_t inputs, mc_err *err);

/* Runs the next node that has work to do. *node is its index, MC_NONE when the pass is done. Its
 * inputs and outputs stay until the next step; the graph's outputs until the next begin. */
mc_status mc_run_step(mc_run *run, mc_id *node, mc_err *err);

/* begin and all steps. */
mc_status mc_run_all(mc_run *run, const mc_nd *const *input, size_t inputs, mc_err *err);

/* A value that is there now, or NULL. */
const mc_nd *mc_run_value(const mc_run *run, mc_id value);

/* What `node` makes of given inputs with this run's constants and numerics, wherever the pass is:
 * in[i] replaces the node's i-th input, NULL takes the run's own (constants). out[0] lives until
 * the next step or the next call of this. */
mc_status mc_run_apply(mc_run *run, mc_id node, const mc_nd *const *in, size_t ins,
                       const mc_nd **out, mc_err *err);

/* What options.kv was applied to in this pass so far; all 0 without it. */
const mc_kv_use *mc_run_kv(const mc_run *run);

/* The most bytes that values and scratch took at one time since the run was opened. */
uint64_t mc_run_peak(const mc_run *run);

/* ---- without running ---- */

/* Dtypes and shapes of all values, as far as they follow from `shape` (of graph->input[i]; NULL:
 * what the graph says): out[graph->values], in `mem`. Nodes with unknown operators leave their
 * outputs unknown. Constant values that small inference needs are computed. */
mc_status mc_graph_infer(const mc_graph *graph, const mc_nd *shape, mc_nd *out, mc_arena *mem,
                         mc_err *err);

/* The first node that no operator is known for, MC_NONE when all are (subgraphs included, *inside
 * is the graph it is in). */
mc_id mc_graph_unknown(const mc_graph *graph, const mc_graph **inside);

#endif
