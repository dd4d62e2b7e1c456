/* Numbers and sizes that nodes compute though they are the same in every run, or the same as
 * another: exporters write sqrt(d), d being a dimension that they know, and the targets of Reshape
 * as arithmetic on Shape. Backwards from the value, a bounded number of steps. */
#include "core/pass_match.h"

#include "core/nd.h"

#include <math.h>

enum { STEPS = 64 };

typedef struct {
    const mc_match *m;
    int steps; /* left */
} walk;

static bool number(walk *w, mc_id value, double *out);
static bool element(walk *w, mc_id list, int64_t i, mc_size *out);

static const mc_node *maker(const walk *w, mc_id value)
{
    const mc_graph *g = w->m->g;
    if (value >= g->values || g->value[value].producer >= g->nodes) return NULL;
    return &g->node[g->value[value].producer];
}

/* ---- sizes ---- */

/* Back through Transpose to the Reshape that gave it. */
static mc_size size_of(walk *w, mc_id value, int axis)
{
    for (; w->steps-- > 0;) {
        const mc_size here = {mc_match_dim(w->m, value, axis), value, axis};
        const int rank = mc_match_rank(w->m, value);
        if (here.known >= 0 || axis < 0 || rank <= axis) return here;
        const mc_node *reshape = mc_made_by(w->m, value, "Reshape");
        mc_size wanted;
        if (reshape && element(w, mc_in(reshape, 1), axis, &wanted))
            return wanted.known > 0 || wanted.of != MC_NONE ? wanted : here;
        const int64_t *perm;
        const mc_node *turn = mc_made_by(w->m, value, "Transpose");
        if (!turn || mc_node_ints(turn, "perm", &perm) != (size_t)rank) return here;
        if (perm[axis] < 0 || perm[axis] >= rank) return here;
        axis = (int)perm[axis];
        value = mc_in(turn, 0);
    }
    return (mc_size){-1, value, axis};
}

static bool whole_constant(const walk *w, mc_id list, int64_t i, mc_size *out)
{
    const mc_tensor *t = mc_match_constant(w->m, list);
    mc_err ignored;
    *out = (mc_size){0, MC_NONE, 0};
    return t && t->dtype == MC_I64 && i >= 0 && (uint64_t)i < t->count &&
           mc_nd_decode(MC_I64, t->data, (uint64_t)i, 1, &out->known, &ignored) == MC_OK;
}

/* Of lists put together: in which of them, and where there. */
static bool element_of_parts(walk *w, const mc_node *concat, int64_t i, mc_size *out)
{
    for (size_t k = 0; k < concat->ins; k++) {
        const int64_t n = mc_match_dim(w->m, concat->in[k], 0);
        if (mc_match_rank(w->m, concat->in[k]) != 1 || n < 0) return false;
        if (i < n) return element(w, concat->in[k], i, out);
        i -= n;
    }
    return false;
}

/* Of a list from `start` on, or the one at `at`: both may count from its end. */
static bool element_from(walk *w, const mc_node *n, int64_t i, mc_size *out)
{
    const bool slice = mc_node_is(n, "", "Slice");
    const int64_t length = mc_match_dim(w->m, mc_in(n, 0), 0);
    mc_size from;
    if (mc_match_rank(w->m, mc_in(n, 0)) != 1 || length < 0 || (slice && n->ins > 4)) return false;
    if (!whole_constant(w, mc_in(n, 1), slice ? 0 : i, &from)) return false;
    int64_t at = from.known < 0 ? from.known + length : from.known;
    if (from.known < -length) at = 0; /* Slice cuts it off */
    return element(w, n->in[0], slice ? at + i : at, out);
}

/* Element `i` of a list of whole numbers, or of one number. */
static bool element(walk *w, mc_id list, int64_t i, mc_size *out)
{
    double x;
    if (w->steps-- <= 0) return false;
    if (whole_constant(w, list, i, out)) return true;
    const mc_node *n = maker(w, list);
    if (!n) return false;
    if (mc_node_is(n, "", "Concat")) return element_of_parts(w, n, i, out);
    if (mc_node_is(n, "", "Slice") || mc_node_is(n, "", "Gather"))
        return element_from(w, n, i, out);
    if (mc_node_is(n, "", "Shape")) {
        if (mc_node_int(n, "start", 0) != 0 || i >= mc_match_rank(w->m, mc_in(n, 0))) return false;
        *out = size_of(w, mc_in(n, 0), (int)i);
        return true;
    }
    if (i != 0) return false;
    if (mc_node_is(n, "", "Unsqueeze") || mc_node_is(n, "", "Squeeze"))
        return element(w, mc_in(n, 0), 0, out);
    if (!number(w, list, &x) || !(fabs(x) < 0x1p53)) return false;
    *out = (mc_size){(int64_t)x, MC_NONE, 0};
    return true;
}

mc_size mc_match_size(const mc_match *m, mc_id value, int axis)
{
    walk w = {m, STEPS};
    return size_of(&w, value, axis < 0 ? axis + mc_match_rank(m, value) : axis);
}

bool mc_match_same_size(mc_size a, mc_size b)
{
    return a.known >= 0 || b.known >= 0 ? a.known == b.known
                                        : a.of != MC_NONE && a.of == b.of && a.axis == b.axis;
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

/* A value of one element. */
static bool is_one(const mc_match *m, mc_id value)
{
    const int rank = mc_match_rank(m, value);
    return rank == 0 || (rank == 1 && mc_match_dim(m, value, 0) == 1);
}

static bool compute(walk *w, const mc_node *n, double *out)
{
    if (is_one_of(n)) return one_of(w, n, out);
    if (mc_node_is(n, "", "Mul") || mc_node_is(n, "", "Div") || mc_node_is(n, "", "Pow"))
        return two_of(w, n, out);
    mc_size size;
    const bool picks = mc_node_is(n, "", "Gather") || mc_node_is(n, "", "Slice");
    if (!picks || !is_one(w->m, n->out[0]) || !element_from(w, n, 0, &size)) return false;
    *out = (double)size.known;
    return size.of == MC_NONE || size.known >= 0;
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
