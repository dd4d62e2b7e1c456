/* Activations that exporters write out become one node: Gelu (by erf and by tanh), SiLU,
 * HardSwish. */
#include "core/pass_match.h"

enum { DEPTH = 3 }; /* of products in products */

/* x in "x op constant" or, for commutative operators, "constant op x". */
static mc_id by_constant(const mc_match *m, const mc_node *n, double constant)
{
    if (!n || n->ins != 2) return MC_NONE;
    if (mc_match_is_scalar(m, n->in[1], constant)) return n->in[0];
    const bool turns = mc_node_is(n, "", "Add") || mc_node_is(n, "", "Mul");
    return turns && mc_match_is_scalar(m, n->in[0], constant) ? n->in[1] : MC_NONE;
}

/* The factors of a product of up to four values, through Mul nodes, and Divs by a number, that
 * serve nothing else. */
typedef struct {
    mc_id value[4];
    size_t n;
    double constant; /* the product of its scalars */
} product;

static const mc_node *factor_node(const mc_match *m, mc_id value, int depth, const char *op)
{
    return depth > 0 ? mc_made_only_for(m, value, op) : mc_made_by(m, value, op);
}

static void add_factor(const mc_match *m, mc_id value, int depth, product *p)
{
    double scalar;
    const mc_node *mul = factor_node(m, value, depth, "Mul");
    const mc_node *div = factor_node(m, value, depth, "Div");
    const bool deeper = depth < DEPTH && p->n < 3;
    if (mc_match_scalar(m, value, &scalar)) {
        p->constant *= scalar;
    } else if (mul && mul->ins == 2 && deeper) {
        add_factor(m, mul->in[0], depth + 1, p);
        add_factor(m, mul->in[1], depth + 1, p);
    } else if (div && div->ins == 2 && deeper && mc_match_scalar(m, div->in[1], &scalar)) {
        p->constant /= scalar;
        add_factor(m, div->in[0], depth + 1, p);
    } else if (p->n < 4) {
        p->value[p->n++] = value;
    } else {
        p->constant = 0.0; /* too many */
    }
}

static product factors_of(const mc_match *m, mc_id value)
{
    product p = {.constant = 1.0};
    add_factor(m, value, 0, &p);
    return p;
}

/* factor * x^n? */
static bool is_power(const mc_match *m, mc_id value, mc_id x, size_t n, double factor)
{
    const product p = factors_of(m, value);
    if (!mc_match_near(p.constant, factor)) return false;
    const mc_node *pow = p.n == 1 ? mc_made_by(m, p.value[0], "Pow") : NULL;
    if (pow) return mc_in(pow, 0) == x && mc_match_is_scalar(m, mc_in(pow, 1), (double)n);
    for (size_t i = 0; i < p.n; i++)
        if (p.value[i] != x) return false;
    return p.n == n;
}

/* 1 + f(…): gives the node of f. */
static const mc_node *one_plus(const mc_match *m, mc_id value, const char *f)
{
    return mc_made_only_for(m, by_constant(m, mc_made_only_for(m, value, "Add"), 1.0), f);
}

/* 1 + erf(x / sqrt 2)? */
static bool is_erf_gate(const mc_match *m, mc_id value, mc_id x)
{
    const mc_node *erf = one_plus(m, value, "Erf");
    const product p = factors_of(m, erf ? mc_in(erf, 0) : MC_NONE);
    return p.n == 1 && p.value[0] == x && mc_match_near(p.constant, 0.7071067811865476);
}

/* x + 0.044715 x^3? */
static bool is_bent(const mc_match *m, mc_id value, mc_id x)
{
    const mc_node *sum = mc_made_only_for(m, value, "Add");
    const mc_id cube = sum ? mc_match_other(sum, x) : MC_NONE;
    return cube != MC_NONE && is_power(m, cube, x, 3, 0.044715);
}

/* 1 + 0.044715 x^2? */
static bool is_bend(const mc_match *m, mc_id value, mc_id x)
{
    const mc_id square = by_constant(m, mc_made_only_for(m, value, "Add"), 1.0);
    return square != MC_NONE && is_power(m, square, x, 2, 0.044715);
}

/* 1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)), the sum as such or as x (1 + 0.044715 x^2)? */
static bool is_tanh_gate(const mc_match *m, mc_id value, mc_id x)
{
    const mc_node *tanh = one_plus(m, value, "Tanh");
    const product p = factors_of(m, tanh ? mc_in(tanh, 0) : MC_NONE);
    if (!mc_match_near(p.constant, 0.7978845608028654)) return false;
    if (p.n == 1) return is_bent(m, p.value[0], x);
    if (p.n != 2) return false;
    const size_t k = p.value[0] == x ? 0 : 1;
    return p.value[k] == x && is_bend(m, p.value[1 - k], x);
}

/* clip(x + 3, 0, 6)? */
static bool is_hard_gate(const mc_match *m, mc_id value, mc_id x)
{
    const mc_node *clip = mc_made_only_for(m, value, "Clip");
    if (!clip) return false;
    double low = mc_node_float(clip, "min", 0.5), high = mc_node_float(clip, "max", 0.5);
    if (clip->ins == 3 &&
        (!mc_match_scalar(m, clip->in[1], &low) || !mc_match_scalar(m, clip->in[2], &high)))
        return false;
    if (!(low == 0.0) || !mc_match_near(high, 6.0)) return false;
    return by_constant(m, mc_made_only_for(m, mc_in(clip, 0), "Add"), 3.0) == x;
}

/* 1 / (1 + exp(-x)), or its straight line? */
static bool is_sigmoid(const mc_match *m, mc_id value, mc_id x)
{
    const mc_node *n = mc_made_only_for(m, value, "Sigmoid");
    return n && mc_in(n, 0) == x;
}

static bool is_hard_sigmoid(const mc_match *m, mc_id value, mc_id x)
{
    const mc_node *n = mc_made_only_for(m, value, "HardSigmoid");
    return n && mc_in(n, 0) == x && mc_match_near(mc_node_float(n, "alpha", 0.2), 1.0 / 6.0) &&
           mc_match_near(mc_node_float(n, "beta", 0.5), 0.5);
}

/* x times a gate that looks at x, and a number. */
typedef struct {
    double constant;
    bool (*is_gate)(const mc_match *m, mc_id value, mc_id x);
    const char *domain, *op;
    int version;
    const char *approximate; /* of Gelu */
} activation;

static const activation activations[] = {
    {0.5, is_erf_gate, "", "Gelu", 20, "none"},
    {0.5, is_tanh_gate, "", "Gelu", 20, "tanh"},
    {1.0, is_sigmoid, MC_DOMAIN, "SiLU", 1, NULL},
    {1.0, is_hard_sigmoid, "", "HardSwish", 14, NULL},
    {1.0 / 6.0, is_hard_gate, "", "HardSwish", 14, NULL},
};

static const activation *find(const mc_match *m, const product *p, mc_id *x)
{
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++) {
        const activation *a = &activations[i];
        if (!mc_match_near(p->constant, a->constant)) continue;
        for (size_t k = 0; k < 2; k++) {
            *x = p->value[k];
            if (a->is_gate(m, p->value[1 - k], *x)) return a;
        }
    }
    return NULL;
}

static mc_status match(mc_match *m, mc_id i, mc_err *err)
{
    mc_id x = MC_NONE;
    const mc_id out = m->g->node[i].out[0];
    const product p = factors_of(m, out);
    const activation *a = p.n == 2 ? find(m, &p, &x) : NULL;
    if (!a || !mc_match_alike(m, x, out)) return MC_OK;
    MC_TRY(mc_match_replace(m, i, a->domain, a->op, a->version, &x, 1, err));
    if (a->approximate && !mc_node_add_text(m->g, "approximate", a->approximate))
        return mc_no_room(err, "a graph");
    return MC_OK;
}

mc_status mc_pass_activations(mc_graph *g, mc_arena scratch, mc_err *err)
{
    mc_match m;
    MC_TRY(mc_match_open(g, &scratch, &m, err));
    for (mc_id i = (mc_id)g->nodes; i-- > 0;) { /* from the end: whole products first */
        const mc_node *n = &g->node[i];
        if (!mc_node_is(n, "", "Mul") && !mc_node_is(n, "", "Div")) continue;
        if (n->outs == 1 && n->out[0] != MC_NONE) MC_TRY(match(&m, i, err));
    }
    return MC_OK;
}
