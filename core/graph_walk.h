/* How subgraphs of nodes are visited, for the parts of core that walk whole models. */
#ifndef MC_CORE_GRAPH_WALK_H
#define MC_CORE_GRAPH_WALK_H

#include "core/graph.h"

/* Graphs inside graphs beyond this are refused: everything that walks them is recursive. */
enum { MC_GRAPH_DEPTH = 32 };

typedef struct {
    size_t attr, item;
} mc_body_place;

/* The next subgraph of a node, NULL after the last; `place` starts as zeros. */
mc_graph *mc_node_next_body(const mc_node *node, mc_body_place *place);

#endif
