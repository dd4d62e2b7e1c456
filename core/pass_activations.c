/* Activations that exporters write out become one node: Gelu (by erf and by tanh), SiLU,
 * HardSwish. */
#include "core/pass_match.h"

#include <string.h>

enum { DEPTH = 3 }; /* of products in products */

/* x in "x op constant" or, for commutative operators, "constant op x". */
static mc_id by_constant(const mc_match *m, const mc_node *n, double constant)
{
    if (!n || n->ins != 2) return MC_NONE;
    if (mc_match_is_scalar(m, n->in[1], constant)) return n->in[0];
    const bool turns = mc_node_is(n, "", "Add") || mc_node_is(n, "", "Mul");
    return turns && mc_match_is_scalar(m, n->in[0], constant) ? n->in[1] : MC_NONE;
}

/* The factors of a product of up to four values, through Mul nodes that serve nothing else. */
typedef struct {
    mc_id value[4];
    size_t n;
    double constant; /* the product of its scalars */
} product;

static void add_factor(const mc_match *m, mc_id value, int depth, product *p)
{
    double scalar;
    const mc_node *n = depth > 0 ? mc_made_only_for(m, value, "Mul") : mc_made_by(m, value, "Mul");
    if (mc_match_scalar(m, value, &scalar)) {
        p->constant *= scalar;
    } else if (n && n->ins == 2 && p->n < 3 && depth < DEPTH) {
        add_factor(m, n->in[0], depth + 1, p);
        add_factor(m, n->in[1], depth + 1, p);
    } else if (p->n < 4) {
        p->value[p->n++] = value;
    } else {
        p->constant = 0.0; /* too many */
    }
}

static bool near(double a, double b)
{
    return a - b < 1e-4 * b && b - a < 1e-4 * b;
}

/* erf(x / sqrt 2) + 1: gives x. */
static mc_id gelu_erf(const mc_match *m, mc_id value)
{
    const mc_node *add = mc_made_only_for(m, value, "Add");
    const mc_node *erf = add ? mc_made_only_for(m, by_constant(m, add, 1.0), "Erf") : NULL;
    if (!erf) return MC_NONE;
    const mc_node *div = mc_made_only_for(m, mc_in(erf, 0), "Div");
    const mc_node *mul = mc_made_only_for(m, mc_in(erf, 0), "Mul");
    if (div) return by_constant(m, div, 1.4142135623730951);
    return mul ? by_constant(m, mul, 0.7071067811865476) : MC_NONE;
}

/* x^3 as Pow or as products. */
static bool is_cube(const mc_match *m, mc_id value, mc_id x)
{
    const mc_node *pow = mc_made_by(m, value, "Pow");
    if (pow) return pow->in[0] == x && mc_match_is_scalar(m, pow->in[1], 3.0);
    product p = {.constant = 1.0};
    add_factor(m, value, 0, &p);
    return p.n == 3 && near(p.constant, 1.0) && p.value[0] == x && p.value[1] == x &&
           p.value[2] == x;
}

/* 0.044715 x^3 in any order of factors. */
static bool is_cubic_term(const mc_match *m, mc_id value, mc_id x)
{
    const mc_node *mul = mc_made_by(m, value, "Mul");
    const mc_id cube = by_constant(m, mul, 0.044715);
    if (cube != MC_NONE && is_cube(m, cube, x)) return true;
    product p = {.constant = 1.0};
    add_factor(m, value, 0, &p);
    return p.n == 3 && near(p.constant, 0.044715) && p.value[0] == x && p.value[1] == x &&
           p.value[2] == x;
}

/* tanh(sqrt(2/pi) (x + 0.044715 x^3)) + 1: gives x. */
static mc_id gelu_tanh(const mc_match *m, mc_id value)
{
    const mc_node *add = mc_made_only_for(m, value, "Add");
    const mc_node *tanh = add ? mc_made_only_for(m, by_constant(m, add, 1.0), "Tanh") : NULL;
    const mc_node *mul = tanh ? mc_made_only_for(m, mc_in(tanh, 0), "Mul") : NULL;
    const mc_id sum = by_constant(m, mul, 0.7978845608028654);
    const mc_node *inner = mc_made_only_for(m, sum, "Add");
    if (!inner || inner->ins != 2) return MC_NONE;
    for (size_t i = 0; i < 2; i++)
        if (is_cubic_term(m, inner->in[1 - i], inner->in[i])) return inner->in[i];
    return MC_NONE;
}

/* 0.5 x (1 + …) */
static mc_status match_gelu(mc_match *m, mc_id i, bool *done, mc_err *err)
{
    product p = {.constant = 1.0};
    add_factor(m, m->g->node[i].out[0], 0, &p);
    if (p.n != 2 || !near(p.constant, 0.5)) return MC_OK;
    for (size_t k = 0; k < 2 && !*done; k++) {
        const mc_id x = p.value[k];
        const bool erf = gelu_erf(m, p.value[1 - k]) == x;
        if (!erf && gelu_tanh(m, p.value[1 - k]) != x) continue;
        *done = true;
        MC_TRY(mc_match_replace(m, i, "", "Gelu", 20, &x, 1, err));
        if (!mc_node_add_text(m->g, "approximate", erf ? "none" : "tanh"))
            return mc_no_room(err, "a graph");
    }
    return MC_OK;
}

static mc_status match_silu(mc_match *m, mc_id i, bool *done, mc_err *err)
{
    const mc_node *n = &m->g->node[i];
    for (size_t k = 0; k < 2; k++) {
        const mc_id x = n->in[k];
        const mc_node *sigmoid = mc_made_only_for(m, n->in[1 - k], "Sigmoid");
        const mc_node *hard = mc_made_only_for(m, n->in[1 - k], "HardSigmoid");
        if (sigmoid && sigmoid->in[0] == x) {
            *done = true;
            return mc_match_replace(m, i, MC_DOMAIN, "SiLU", 1, &x, 1, err);
        }
        if (!hard || hard->in[0] != x || !near(mc_node_float(hard, "alpha", 0.2), 1.0 / 6.0) ||
            !near(mc_node_float(hard, "beta", 0.5), 0.5))
            continue;
        *done = true;
        return mc_match_replace(m, i, "", "HardSwish", 14, &x, 1, err);
    }
    return MC_OK;
}

/* clip(x + 3, 0, 6): gives x. */
static mc_id hard_gate(const mc_match *m, mc_id value)
{
    const mc_node *clip = mc_made_only_for(m, value, "Clip");
    if (!clip) return MC_NONE;
    double low = mc_node_float(clip, "min", 0.5), high = mc_node_float(clip, "max", 0.5);
    if (clip->ins == 3 &&
        (!mc_match_scalar(m, clip->in[1], &low) || !mc_match_scalar(m, clip->in[2], &high)))
        return MC_NONE;
    if (low != 0.0 || !near(high, 6.0)) return MC_NONE;
    return by_constant(m, mc_made_only_for(m, clip->in[0], "Add"), 3.0);
}

/* x clip(x + 3, 0, 6) / 6, as one product or divided behind it. */
static mc_status match_hard_swish(mc_match *m, mc_id i, bool *done, mc_err *err)
{
    const mc_node *n = &m->g->node[i];
    const bool divides = mc_node_is(n, "", "Div");
    const mc_id whole = divides ? by_constant(m, n, 6.0) : n->out[0];
    product p = {.constant = 1.0};
    if (whole == MC_NONE || (divides && !mc_made_only_for(m, whole, "Mul"))) return MC_OK;
    add_factor(m, whole, divides ? 1 : 0, &p);
    if (p.n != 2 || !near(p.constant, divides ? 1.0 : 1.0 / 6.0)) return MC_OK;
    for (size_t k = 0; k < 2 && !*done; k++) {
        const mc_id x = p.value[k];
        if (hard_gate(m, p.value[1 - k]) != x) continue;
        *done = true;
        MC_TRY(mc_match_replace(m, i, "", "HardSwish", 14, &x, 1, err));
    }
    return MC_OK;
}

mc_status mc_pass_activations(mc_graph *g, mc_arena scratch, mc_err *err)
{
    mc_match m;
    MC_TRY(mc_match_open(g, &scratch, &m, err));
    for (mc_id i = (mc_id)g->nodes; i-- > 0;) { /* from the end: whole products first */
        const bool mul = mc_node_is(&g->node[i], "", "Mul");
        if (!mul && !mc_node_is(&g->node[i], "", "Div")) continue;
        bool done = false;
        if (g->node[i].ins != 2) continue;
        if (mul) MC_TRY(match_gelu(&m, i, &done, err));
        if (mul && !done) MC_TRY(match_silu(&m, i, &done, err));
        if (!done) MC_TRY(match_hard_swish(&m, i, &done, err));
    }
    return MC_OK;
}
