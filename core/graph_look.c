/* Looking at graphs: values by name, attributes, uses, and how messages name a node. */
#include "core/graph.h"

#include "core/graph_walk.h"

#include <stdio.h>
#include <string.h>

mc_id mc_graph_find(const mc_graph *g, const char *value_name)
{
    for (size_t i = 0; i < g->values; i++) {
        if (strcmp(g->value[i].name, value_name) == 0) return (mc_id)i;
    }
    return MC_NONE;
}

/* ---- attributes ---- */

const mc_attr *mc_node_attr(const mc_node *node, const char *name)
{
    for (size_t i = 0; i < node->attrs; i++) {
        if (strcmp(node->attr[i].name, name) == 0) return &node->attr[i];
    }
    return NULL;
}

int64_t mc_node_int(const mc_node *node, const char *name, int64_t otherwise)
{
    const mc_attr *a = mc_node_attr(node, name);
    return a && a->kind == MC_ATTR_INT && a->i ? a->i[0] : otherwise;
}

double mc_node_float(const mc_node *node, const char *name, double otherwise)
{
    const mc_attr *a = mc_node_attr(node, name);
    return a && a->kind == MC_ATTR_FLOAT && a->f ? (double)a->f[0] : otherwise;
}

const char *mc_node_text(const mc_node *node, const char *name, const char *otherwise)
{
    const mc_attr *a = mc_node_attr(node, name);
    return a && a->kind == MC_ATTR_STRING && a->s ? a->s[0] : otherwise;
}

size_t mc_node_ints(const mc_node *node, const char *name, const int64_t **values)
{
    const mc_attr *a = mc_node_attr(node, name);
    const bool there = a && a->kind == MC_ATTR_INTS;
    *values = there ? a->i : NULL;
    return there ? a->count : 0;
}

static const char *plain_domain(const char *domain)
{
    return strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

bool mc_node_is(const mc_node *node, const char *domain, const char *op)
{
    return strcmp(node->op, op) == 0 &&
           strcmp(plain_domain(node->domain), plain_domain(domain)) == 0;
}

/* ---- uses ---- */

mc_graph *mc_node_next_body(const mc_node *node, mc_body_place *place)
{
    for (; place->attr < node->attrs; place->attr++, place->item = 0) {
        const mc_attr *a = &node->attr[place->attr];
        while (a->g && place->item < a->count) {
            mc_graph *body = a->g[place->item++];
            if (body) return body;
        }
    }
    return NULL;
}

typedef struct {
    uint32_t *n;
    mc_id *user;
    size_t values;
} use_counts;

static void use(const use_counts *c, mc_id value, mc_id by)
{
    if (value >= c->values) return; /* MC_NONE too */
    c->n[value]++;
    if (c->user && by != MC_NONE) c->user[value] = by;
}

void mc_graph_uses(const mc_graph *g, uint32_t *n, mc_id *user)
{
    const use_counts counts = {n, user, g->values};
    for (size_t i = 0; i < g->values; i++) {
        n[i] = 0;
        if (user) user[i] = MC_NONE;
    }
    for (size_t i = 0; i < g->nodes; i++) {
        const mc_node *node = &g->node[i];
        for (size_t k = 0; k < node->ins; k++) use(&counts, node->in[k], (mc_id)i);
        mc_body_place place = {0};
        for (const mc_graph *body; (body = mc_node_next_body(node, &place));) {
            for (size_t v = 0; v < body->values; v++) use(&counts, body->value[v].outer, (mc_id)i);
        }
    }
    for (size_t i = 0; i < g->outputs; i++) use(&counts, g->output[i], MC_NONE);
}

/* ---- for messages ---- */

const char *mc_node_show(const mc_graph *g, mc_id node, char text[MC_NODE_TEXT])
{
    if (node >= g->nodes) {
        snprintf(text, MC_NODE_TEXT, "node %lu", (unsigned long)node);
        return text;
    }
    const mc_node *n = &g->node[node];
    const char *domain = plain_domain(n->domain);
    int at = snprintf(text, MC_NODE_TEXT, "node %lu ", (unsigned long)node);
    if (n->name[0] != '\0')
        at += snprintf(text + at, MC_NODE_TEXT - (size_t)at, "'%.80s' ", n->name);
    snprintf(text + at, MC_NODE_TEXT - (size_t)at, "(%.60s%s%.60s, opset %d)", n->op,
             domain[0] != '\0' ? " of " : "", domain, n->version);
    return text;
}
