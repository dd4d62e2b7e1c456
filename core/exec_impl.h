/* The parts of the executor among themselves.
 *
 * A plan is what is known about a graph before any run: which nodes have work to do, when values
 * are used last, and `base`: the values that depend on constants alone. A frame is one run of a
 * plan's graph: the values that are there now. Subgraphs have plans of their own, hung on the step
 * of their node, and a frame for each time they run. */
#ifndef MC_CORE_EXEC_IMPL_H
#define MC_CORE_EXEC_IMPL_H

#include "core/exec.h"
#include "core/heap.h"

typedef struct mc_exec_plan mc_exec_plan;
typedef struct mc_frame mc_frame;

/* A value in a frame. */
typedef struct {
    mc_nd nd;       /* first: an mc_nd of a slot is the slot */
    mc_block block; /* its memory; 0: it is somebody else's */
    bool there;
} mc_slot;

/* A node that has work to do. */
typedef struct {
    mc_id node;
    const mc_op *op;
    mc_exec_plan **body; /* of its subgraphs */
    size_t bodies;
} mc_step;

/* A constant that is decoded at every use. */
typedef struct {
    mc_lazy lazy; /* first */
    const mc_exec *exec;
    const mc_tensor *tensor;
} mc_lazy_tensor;

/* The values of one run of a plan. */
struct mc_frame {
    const mc_exec_plan *plan;
    mc_frame *outer;
    mc_slot *slot; /* of each value */
};

struct mc_exec_plan {
    const mc_graph *graph;
    mc_exec_plan *outer;
    mc_frame frame;          /* of `base`, where constants are computed */
    mc_slot *base;           /* of each value: there when it is constant and kept in memory */
    unsigned char *constant; /* of each value: does it depend on constants alone? */
    uint32_t *left;          /* of each value: uses by nodes that were not computed at open */
    mc_step *step;
    size_t steps;
    mc_id *step_of;          /* of each node; MC_NONE: it has no work to do */
    uint32_t *free_first;    /* free_list[free_first[s]..free_first[s + 1]): last used by step s */
    mc_id *free_list;
    bool random;             /* a node in it is not a function of its inputs */
};

/* What happens to a site's activation. */
typedef struct {
    const mc_site *site; /* NULL: nothing */
    mc_act_spec act;
} mc_exec_site;

struct mc_exec {
    mc_exec_options options;
    mc_region region; /* plans */
    mc_heap heap;     /* constants */
    mc_exec_plan *root;
    mc_exec_site *site_of; /* of each node of the main graph; NULL: activations are floats */
};

struct mc_run {
    const mc_exec *exec;
    mc_heap *heap;
    mc_heap own;     /* what `heap` points to, except while constants are computed */
    mc_region region;
    mc_frame root;
    size_t at;       /* the step that comes next */
    bool begun;
    mc_kv_use kv;
    mc_slot applied; /* what mc_run_apply gave last */
    mc_block texts;  /* characters of strings made in this pass: a chain of blocks */
};

/* ---- exec_const.c ---- */

/* Can the tensor be kept as it lies in the file? Fills *nd when it can. */
bool mc_exec_view(const mc_exec *exec, const mc_tensor *tensor, mc_nd *nd);

/* The shape of a tensor, without numbers. */
mc_status mc_exec_describe(const mc_tensor *tensor, mc_nd *nd, mc_err *err);

/* Decodes a whole tensor into a block of `heap`. */
mc_status mc_exec_load(const mc_exec *exec, const mc_tensor *tensor, mc_heap *heap, mc_slot *slot,
                       mc_err *err);

/* mc_lazy.read of an mc_lazy_tensor. */
mc_status mc_exec_read_lazy(const mc_lazy *lazy, uint64_t first, uint64_t count, float *out,
                            mc_err *err);

/* ---- exec_node.c ---- */

/* What a node is run with. */
typedef struct {
    mc_run *run;
    mc_frame *frame;
    const mc_step *step;
    const mc_nd *const *given; /* instead of the node's inputs, NULL: its own; may be NULL */
    size_t givens;
    mc_slot *only;             /* instead of the frame's slots: for one output, the others are not
                                  wanted */
    size_t only_out;           /* which */
    uint64_t most_bytes;       /* outputs of more than this are not made: *too_much */
    bool too_much;
    size_t depth;              /* of nodes whose own inputs had to be computed on the way */
} mc_job;

mc_status mc_exec_node(mc_job *job, mc_err *err);

/* Are there as many inputs and outputs as the operator allows, and of kinds that it takes? */
mc_status mc_exec_check_inputs(const mc_op *op, const mc_node *node, const mc_nd *const *in,
                               mc_err *err);

/* The value as it is there now, from the frame outwards; NULL: it is not there. */
const mc_nd *mc_frame_value(const mc_frame *frame, mc_id value);

/* The tensor behind a constant, captured ones too; NULL: it is none. */
const mc_tensor *mc_frame_constant(const mc_frame *frame, mc_id value);

/* Frees what a step used last. */
void mc_frame_release(mc_run *run, mc_frame *frame, size_t step);
void mc_slot_clear(mc_heap *heap, mc_slot *slot);

/* Turns *nd, a value of any kind, into a copy in a block of its own. */
mc_status mc_slot_copy(mc_heap *heap, const mc_nd *from, mc_slot *to, mc_err *err);

/* ---- exec_host.c: what operators ask of the executor ---- */

typedef struct mc_kept mc_kept;
typedef struct {
    mc_host host; /* first */
    mc_job *job;
    const mc_call *call;
    mc_kept *kept; /* outputs of subgraphs */
} mc_exec_host;

mc_exec_host mc_exec_host_for(mc_job *job);
void mc_exec_host_close(mc_exec_host *host);

/* Gives back the characters of the strings that the pass made. */
void mc_run_drop_texts(mc_run *run);

/* ---- exec_plan.c ---- */

size_t mc_exec_plan_memory(const mc_graph *graph, int depth);
mc_status mc_exec_plan_make(mc_exec *exec, const mc_graph *graph, mc_exec_plan *outer,
                            mc_exec_plan **out, mc_err *err);

#endif
