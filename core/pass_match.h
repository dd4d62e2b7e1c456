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

/* The ai.onnx node `op` that makes the value, or NULL. */
const mc_node *mc_made_by(const mc_match *m, mc_id value, const char *op);

/* The same, when nothing else takes the value: the node goes away with the pattern. */
const mc_node *mc_made_only_for(const mc_match *m, mc_id value, const char *op);

/* The value of a constant of one element. */
bool mc_match_scalar(const mc_match *m, mc_id value, double *out);
bool mc_match_is_scalar(const mc_match *m, mc_id value, double wanted); /* within 1e-4 relative */

/* The tensor behind a constant, NULL when it is none. */
const mc_tensor *mc_match_constant(const mc_match *m, mc_id value);

static inline mc_id mc_in(const mc_node *node, size_t i)
{
    return i < node->ins ? node->in[i] : MC_NONE;
}

/* The other input of a node of two, MC_NONE when `value` is neither. */
mc_id mc_match_other(const mc_node *node, mc_id value);

/* Of a commutative node of two inputs: finds the constant one. */
bool mc_match_split(const mc_match *m, const mc_node *node, mc_id *variable, mc_id *constant);

/* Puts a node `op` in place of node `last`, whose first output it gives. Its attributes may be
 * added behind. MC_E_BUDGET when memory ran out. */
mc_status mc_match_replace(mc_match *m, mc_id last, const char *domain, const char *op, int version,
                           const mc_id *in, size_t ins, mc_err *err);

/* Takes node `i` out: its outputs get other sources. */
void mc_match_remove(mc_graph *g, mc_id i);

/* All uses of value `from` (nodes, captures of subgraphs) take to[from] instead, where that is not
 * MC_NONE. Outputs of the graph stay. */
void mc_match_rename(mc_graph *g, const mc_id *to);

#endif
