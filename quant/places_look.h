/* Looking at an execution graph from its tensors: who takes a value, which values follow from
 * constants alone, how often a tensor reaches nodes that compute with activations. What finding
 * places (places.c) and the residual stream (transform_residual.c) share. */
#ifndef MC_QUANT_PLACES_LOOK_H
#define MC_QUANT_PLACES_LOOK_H

#include "quant/transform.h"

typedef struct {
    const mc_graph *graph;
    const mc_sites *sites;
    uint32_t *start;         /* values + 1: uses of value v are user[start[v]] … */
    mc_id *user;             /* nodes that take it, in their order, once for each input */
    uint32_t *uses;          /* of each value, those of subgraphs and graph outputs included */
    unsigned char *constant; /* of each value: does it follow from constants alone? */
    uint32_t *site_of_node;  /* the first site of each node, or MC_NONE */
    mc_site_output *output;  /* of each site */
    uint32_t *site_of_value; /* the site whose output each value is, or MC_NONE */
    mc_id *stack;            /* room to walk */
    unsigned char *seen;
} mc_look;

mc_status mc_look_open(const mc_graph *graph, const mc_sites *sites, mc_arena *mem, mc_look *out,
                       mc_err *err);

static inline mc_id mc_look_in(const mc_node *node, size_t i)
{
    return i < node->ins ? node->in[i] : MC_NONE;
}

const mc_node *mc_look_maker(const mc_look *look, mc_id value); /* NULL: none */

/* The one node that takes the value, once; MC_NONE: none, several, or a graph's output. */
mc_id mc_look_only_user(const mc_look *look, mc_id value);

/* How many inputs of nodes with activations a tensor reaches, itself or through nodes on constants;
 * graph outputs count too. */
size_t mc_look_takers(const mc_look *look, const mc_tensor *tensor);

/* The tensor that a value holds unchanged (through Cast, Identity, Reshape), or NULL. */
const mc_tensor *mc_look_tensor(const mc_look *look, mc_id value);

/* The same when it is a vector of n real numbers that nobody else takes. */
const mc_tensor *mc_look_vector(const mc_look *look, mc_id value, size_t n);

/* The axis of a bias (mc_site_output) that has more than one element. */
int mc_look_vector_axis(const mc_tensor *tensor);

/* A constant of one element. */
bool mc_look_number(const mc_look *look, mc_id value, double *out);

/* Does the norm run along the last axis, and is nothing but its first output taken? */
bool mc_look_is_norm(const mc_look *look, const mc_node *node);

/* Does a convolution or a pooling look beyond its input's edges? */
bool mc_look_pads(const mc_node *node);

/* Axes of a site's tensor. Channels of depthwise convolutions lie along the outputs' axis, `each`
 * of them side by side. False: this site's channels lie along no axis. */
typedef struct {
    int in, out;
    size_t ins, outs; /* channels */
    size_t each;      /* entries along axis `in` for each input channel: 1, or of depthwise more */
} mc_site_axes;
bool mc_look_axes(const mc_graph *graph, const mc_site *site, mc_site_axes *out);

#endif
