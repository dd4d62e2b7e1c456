/* Finding patterns of nodes and putting one node in their place: what passes share.
 *
 * A pattern is found from its last node backwards. The new node takes over the last node's outputs;
 * whatever nobody needs any more is left to the pass `dead`. */
#ifndef MC_CORE_PASS_MATCH_H
#define MC_CORE_PASS_MATCH_H

#include "core/passes.h"

typedef struct {
    mc_graph *g;
    uint32_t *uses; /* of each value that was there at first */
    size_t values;
} mc_match;

mc_status mc_match_open(mc_graph *g, mc_arena *scratch, mc_match *out, mc_err *err);

/* The ai.onnx node `op` whose first output the value is, or NULL. Its inputs may be fewer than the
 * operator needs: take them by mc_in. */
const mc_node *mc_made_by(const mc_match *m, mc_id value, const char *op);

/* The same, when nothing else takes the value: the node goes away with the pattern. */
const mc_node *mc_made_only_for(const mc_match *m, mc_id value, const char *op);

/* The value of a constant of one element. */
bool mc_match_scalar(const mc_match *m, mc_id value, double *out);
bool mc_match_is_scalar(const mc_match *m, mc_id value, double wanted);

/* The same number up to some roundings to f32? (People type seven digits or more.) */
bool mc_match_near(double found, double wanted);

/* The number that a value of one element will have in every run: a constant, or computed by
 * arithmetic from constants and the sizes of tensors (exporters write out sqrt(d) so). */
bool mc_match_number(const mc_match *m, mc_id value, double *out);

/* The tensor behind a constant, NULL when it is none. */
const mc_tensor *mc_match_constant(const mc_match *m, mc_id value);

/* What the pass `types` found out: is it F32; its rank, or MC_RANK_UNKNOWN; its size along an axis
 * (negative: from the end), or -1. */
bool mc_match_is_f32(const mc_match *m, mc_id value);
int mc_match_rank(const mc_match *m, mc_id value);
int64_t mc_match_dim(const mc_match *m, mc_id value, int axis);

/* A size as far back as it can be followed through Reshape and Transpose: known, or else
 * (known < 0) that of `of` along `axis`. */
typedef struct {
    int64_t known;
    mc_id of;
    int axis;
} mc_size;
mc_size mc_match_size(const mc_match *m, mc_id value, int axis);
bool mc_match_same_size(mc_size a, mc_size b);

/* Both F32 and of one known rank: only arithmetic in f32 may be regrouped (every step of a smaller
 * float is rounded to it), and constants of one element may not add dimensions. */
bool mc_match_alike(const mc_match *m, mc_id a, mc_id b);

static inline mc_id mc_in(const mc_node *node, size_t i)
{
    return i < node->ins ? node->in[i] : MC_NONE;
}

/* The other input of a node of two, MC_NONE when `value` is neither. */
mc_id mc_match_other(const mc_node *node, mc_id value);

/* Operator sets below 7 broadcast by attributes: nodes that do are not matched. */
bool mc_match_is_legacy(const mc_node *node);

/* Of a commutative node of two inputs: finds the constant one. */
bool mc_match_split(const mc_match *m, const mc_node *node, mc_id *variable, mc_id *constant);

/* Puts a node `op` in place of node `last`, whose first output it gives. Its attributes may be
 * added behind. MC_E_BUDGET when memory ran out. */
mc_status mc_match_replace(mc_match *m, mc_id last, const char *domain, const char *op, int version,
                           const mc_id *in, size_t ins, mc_err *err);

/* Takes node `i` out: its outputs get other sources. */
void mc_match_remove(mc_graph *g, mc_id i);

/* Nodes whose first output is their first input go: who took the one takes the other. Nodes that
 * make outputs of the graph stay. For graphs in order. */
mc_status mc_match_bypass(mc_graph *g, mc_arena scratch,
                          bool (*hands_on)(const mc_graph *g, const mc_node *node), mc_err *err);

/* All uses of value `from` (nodes, captures of subgraphs) take to[from] instead, where that is not
 * MC_NONE. Outputs of the graph stay. */
void mc_match_rename(mc_graph *g, const mc_id *to);

#endif
