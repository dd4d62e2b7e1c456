/* Numbers that are the same in every run though nodes compute them: exporters write sqrt(d), d being
 * a dimension that they know, as arithmetic on Shape. Backwards from the value, a bounded number of
 * steps. */
#include "core/pass_match.h"

#include "core/nd.h"

#include <math.h>

enum { STEPS = 64 };

typedef struct {
    const mc_match *m;
    int steps; /* left */
} walk;

static bool number(walk *w, mc_id value, double *out);

static const mc_node *maker(const walk *w, mc_id value)
{
    const mc_graph *g = w->m->g;
    if (value >= g->values || g->value[value].producer >= g->nodes) return NULL;
    return &g->node[g->value[value].producer];
}

/* ---- sizes ---- */

/* Element `i` of a list of sizes: a constant, or pieces of one element put together. */
static bool element(walk *w, mc_id list, int i, double *out)
{
    const mc_tensor *t = mc_match_constant(w->m, list);
    int64_t whole;
    mc_err ignored;
    if (t && t->dtype == MC_I64 && (uint64_t)i < t->count &&
        mc_nd_decode(MC_I64, t->data, (uint64_t)i, 1, &whole, &ignored) == MC_OK) {
        *out = (double)whole;
        return true;
    }
    const mc_node *n = mc_made_by(w->m, list, "Concat");
    if (!n || (size_t)i >= n->ins) return false;
    for (size_t k = 0; k <= (size_t)i; k++)
        if (mc_match_rank(w->m, n->in[k]) != 1 || mc_match_dim(w->m, n->in[k], 0) != 1)
            return false;
    return number(w, n->in[i], out);
}

/* A value's size along an axis, back to the Reshape that gave it. */
static bool size_of(walk *w, mc_id value, int axis, double *out)
{
    const int64_t *perm;
    for (; w->steps-- > 0; value = mc_in(maker(w, value), 0)) {
        const int rank = mc_match_rank(w->m, value);
        const int64_t known = mc_match_dim(w->m, value, axis);
        *out = (double)known;
        if (known >= 0) return true;
        if (rank < 0 || axis < 0 || axis >= rank) return false;
        const mc_node *reshape = mc_made_by(w->m, value, "Reshape");
        if (reshape) return element(w, mc_in(reshape, 1), axis, out) && *out > 0.0;
        const mc_node *turn = mc_made_by(w->m, value, "Transpose");
        if (!turn || mc_node_ints(turn, "perm", &perm) != (size_t)rank) return false;
        if (perm[axis] < 0 || perm[axis] >= rank) return false;
        axis = (int)perm[axis];
    }
    return false;
}

/* One element of Shape: by Gather, or by Slice, where one is what inference says. */
static bool size_from(walk *w, const mc_node *n, double *out)
{
    double at;
    const bool slice = mc_node_is(n, "", "Slice");
    const mc_node *shape = mc_made_by(w->m, mc_in(n, 0), "Shape");
    if (!shape || mc_node_int(shape, "start", 0) != 0 || mc_node_attr(shape, "end")) return false;
    if (!mc_match_scalar(w->m, mc_in(n, 1), &at)) return false;
    if (slice && (n->ins > 4 || mc_match_dim(w->m, n->out[0], 0) != 1)) return false;
    const int rank = mc_match_rank(w->m, mc_in(shape, 0));
    if (at < 0.0) at += rank;
    return at >= 0.0 && at < rank && size_of(w, shape->in[0], (int)at, out);
}

/* ---- arithmetic ---- */

static bool one_of(walk *w, const mc_node *n, double *out)
{
    double a;
    if (!number(w, mc_in(n, 0), &a)) return false;
    if (mc_node_is(n, "", "Sqrt"))
        *out = sqrt(a);
    else if (mc_node_is(n, "", "Reciprocal"))
        *out = 1.0 / a;
    else
        *out = a;
    return true;
}

static bool two_of(walk *w, const mc_node *n, double *out)
{
    double a, b;
    if (!number(w, mc_in(n, 0), &a) || !number(w, mc_in(n, 1), &b)) return false;
    *out = mc_node_is(n, "", "Mul") ? a * b : mc_node_is(n, "", "Div") ? a / b : pow(a, b);
    return true;
}

/* Numbers that stay one element when they go through it. */
static bool is_one_of(const mc_node *n)
{
    static const char *const op[] = {"Sqrt", "Reciprocal", "Cast", "Unsqueeze", "Squeeze"};
    for (size_t i = 0; i < sizeof op / sizeof op[0]; i++)
        if (mc_node_is(n, "", op[i])) return true;
    return false;
}

static bool compute(walk *w, const mc_node *n, double *out)
{
    if (is_one_of(n)) return one_of(w, n, out);
    if (mc_node_is(n, "", "Mul") || mc_node_is(n, "", "Div") || mc_node_is(n, "", "Pow"))
        return two_of(w, n, out);
    if (mc_node_is(n, "", "Gather") || mc_node_is(n, "", "Slice")) return size_from(w, n, out);
    return false;
}

static bool number(walk *w, mc_id value, double *out)
{
    if (w->steps-- <= 0) return false;
    if (mc_match_scalar(w->m, value, out)) return true;
    const mc_node *n = maker(w, value);
    if (!n || n->outs != 1 || !compute(w, n, out)) return false;
    const mc_dtype dtype = w->m->g->value[value].dtype;
    if (!mc_dtype_about(dtype)->is_float) *out = trunc(*out); /* 7 / 2 is 3 */
    return dtype == MC_F32 || dtype == MC_F64 || dtype == MC_I64;
}

bool mc_match_number(const mc_match *m, mc_id value, double *out)
{
    walk w = {m, STEPS};
    return number(&w, value, out);
}
