/* Mixtures of experts, in our own domain: RouteTopK chooses the experts of each row, ExpertRows
 * gathers what one of them works on, ExpertMerge adds up what they made. A gate of 0 means that the
 * row does not go to the expert. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_move_shared.h"

#include <math.h>
#include <string.h>

/* Rows of an input [..., width]; -1 when they are not known. */
static int64_t rows_of(const mc_nd *x)
{
    int64_t rows = 1;
    for (int d = 0; d < x->ndim - 1; d++) {
        if (x->dim[d] < 0) return -1;
        rows *= x->dim[d];
    }
    return x->ndim < 1 ? -1 : rows;
}

static int64_t width_of(const mc_nd *x)
{
    return x->ndim < 1 ? -1 : x->dim[x->ndim - 1];
}

static void put_real(mc_nd *t, size_t i, double value)
{
    if (mc_arg_is_f64(t))
        ((double *)t->data)[i] = value;
    else
        ((float *)t->data)[i] = (float)value;
}

/* ---- RouteTopK: logits[..., e] -> [t, e] ---- */

static mc_status route_shape(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    MC_TRY(mc_arg_floats(call, 0, 1, err));
    MC_TRY(mc_op_rank(call, 0, 1, MC_MAX_DIMS, err));
    const int64_t k = mc_node_int(call->node, "k", 0), experts = width_of(x);
    if (k < 1 || (experts >= 0 && k > experts))
        return mc_fail(err, MC_E_FORMAT, "k is %lld; allowed is 1 to %lld experts", (long long)k,
                       (long long)experts);
    const int64_t dim[] = {rows_of(x), experts};
    return mc_arg_set(call, 0, x->dtype, 2, dim, err);
}

static bool exceeds(double a, double b)
{
    return a > b || (isnan(a) && !isnan(b));
}

/* The largest of those not taken yet; ties go to the first, and NaN is larger than numbers, so that
 * it shows in the result. */
static size_t next_expert(const mc_nd *x, size_t first, size_t experts, const bool *taken)
{
    size_t best = experts;
    for (size_t e = 0; e < experts; e++) {
        if (taken[e]) continue;
        if (best == experts || exceeds(mc_nd_real(x, first + e), mc_nd_real(x, first + best)))
            best = e;
    }
    return best;
}

static void route_row(const mc_nd *x, size_t first, int64_t k, bool over_all, bool *taken, mc_nd *y)
{
    const size_t experts = (size_t)width_of(x);
    double most = 0.0, sum = 0.0;
    for (size_t e = 0; e < experts; e++) taken[e] = false;
    for (int64_t i = 0; i < k; i++) {
        const size_t e = next_expert(x, first, experts, taken);
        if (i == 0) most = mc_nd_real(x, first + e);
        taken[e] = true;
    }
    for (size_t e = 0; e < experts; e++) {
        if (over_all || taken[e]) sum += exp(mc_nd_real(x, first + e) - most);
    }
    for (size_t e = 0; e < experts; e++) {
        const double gate = exp(mc_nd_real(x, first + e) - most) / sum;
        put_real(y, first + e, taken[e] ? gate : 0.0);
    }
}

static mc_status route_run(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0];
    mc_arena scratch = call->scratch;
    const size_t experts = (size_t)width_of(x);
    bool *taken = MC_NEW(&scratch, bool, experts);
    if (!taken) return mc_no_room(err, "choices of experts");
    const int64_t k = mc_node_int(call->node, "k", 0);
    const bool over_all = mc_node_int(call->node, "normalize", 1) == 0;
    for (size_t first = 0; first < x->count; first += experts)
        route_row(x, first, k, over_all, taken, call->out[0]);
    return MC_OK;
}

static size_t route_scratch(const mc_call *call)
{
    const int64_t experts = width_of(call->in[0]);
    return experts < 0 ? 0 : mc_arg_bytes((size_t)experts, sizeof(bool));
}

/* ---- what the other two have in common ---- */

/* x [..., d] and gates [t, e] of as many rows. */
static mc_status check_gates(const mc_call *call, int64_t *experts, mc_err *err)
{
    MC_TRY(mc_arg_floats(call, 0, call->ins, err));
    MC_TRY(mc_op_rank(call, 0, 1, MC_MAX_DIMS, err));
    int64_t gates[] = {rows_of(call->in[0]), -1};
    MC_TRY(mc_arg_dims(call, 1, 2, gates, err));
    *experts = gates[1];
    return MC_OK;
}

static bool goes(const mc_nd *gates, size_t row, size_t expert)
{
    return mc_nd_real(gates, row * (size_t)gates->dim[1] + expert) != 0.0;
}

static size_t rows_that_go(const mc_nd *gates, size_t expert)
{
    size_t n = 0;
    for (size_t row = 0; row < (size_t)gates->dim[0]; row++) n += goes(gates, row, expert);
    return n;
}

/* ---- ExpertRows: x, gates -> [n, d] ---- */

static mc_status rows_shape(const mc_call *call, mc_err *err)
{
    int64_t experts;
    MC_TRY(check_gates(call, &experts, err));
    const int64_t expert = mc_node_int(call->node, "expert", -1);
    if (expert < 0 || (experts >= 0 && expert >= experts))
        return mc_fail(err, MC_E_FORMAT, "expert is %lld; allowed is 0 to %lld", (long long)expert,
                       (long long)experts - 1);
    const int64_t dim[] = {-1, width_of(call->in[0])};
    return mc_arg_set(call, 0, call->in[0]->dtype, 2, dim, err);
}

static mc_status rows_run(const mc_call *call, mc_err *err)
{
    const mc_nd *x = call->in[0], *gates = call->in[1];
    const size_t expert = (size_t)mc_node_int(call->node, "expert", -1);
    const int64_t dim[] = {(int64_t)rows_that_go(gates, expert), width_of(x)};
    MC_TRY(mc_arg_set(call, 0, x->dtype, 2, dim, err));
    MC_TRY(call->host->make(call->host, call->out[0], err));
    const size_t bytes = (size_t)dim[1] * mc_nd_width(x->dtype);
    char *to = call->out[0]->data;
    for (size_t row = 0; bytes > 0 && row < (size_t)gates->dim[0]; row++) {
        if (!goes(gates, row, expert)) continue;
        memcpy(to, (const char *)x->data + row * bytes, bytes);
        to += bytes;
    }
    return MC_OK;
}

/* ---- ExpertMerge: x, gates, one [n, d] of each expert -> x's shape ---- */

enum { FIRST_EXPERT = 2 };

static mc_status merge_shape(const mc_call *call, mc_err *err)
{
    int64_t experts;
    MC_TRY(check_gates(call, &experts, err));
    const size_t given = call->ins - FIRST_EXPERT;
    if (experts >= 0 && given != (size_t)experts)
        return mc_fail(err, MC_E_FORMAT, "there are rows of %zu experts; allowed are %lld", given,
                       (long long)experts);
    for (size_t e = 0; e < given; e++) {
        int64_t dim[] = {-1, width_of(call->in[0])};
        if (!call->in[FIRST_EXPERT + e]) return mc_op_refuse_dtype(call, FIRST_EXPERT + e, err);
        MC_TRY(mc_arg_dims(call, FIRST_EXPERT + e, 2, dim, err));
    }
    return mc_op_same_shape(call, err);
}

static void add_row(const mc_nd *y, size_t from, double gate, size_t n, mc_nd *out, size_t to)
{
    if (mc_arg_is_f64(out)) {
        const double *a = (const double *)y->data + from;
        double *sum = (double *)out->data + to;
        for (size_t i = 0; i < n; i++) sum[i] += gate * a[i];
    } else {
        const float *a = (const float *)y->data + from, by = (float)gate;
        float *sum = (float *)out->data + to;
        for (size_t i = 0; i < n; i++) sum[i] += by * a[i];
    }
}

static mc_status merge_run(const mc_call *call, mc_err *err)
{
    const mc_nd *gates = call->in[1];
    mc_nd *out = call->out[0];
    const size_t n = (size_t)width_of(out), rows = (size_t)gates->dim[0];
    if (out->count > 0) memset(out->data, 0, out->count * mc_nd_width(out->dtype));
    for (size_t e = 0; e < (size_t)gates->dim[1]; e++) {
        const mc_nd *y = call->in[FIRST_EXPERT + e];
        const size_t want = rows_that_go(gates, e);
        if ((size_t)y->dim[0] != want)
            return mc_fail(err, MC_E_FORMAT, "expert %zu gives %lld rows; allowed are %zu", e,
                           (long long)y->dim[0], want);
        size_t from = 0;
        for (size_t row = 0; row < rows; row++) {
            if (!goes(gates, row, e)) continue;
            const double gate = mc_nd_real(gates, row * (size_t)gates->dim[1] + e);
            add_row(y, from, gate, n, out, row * n);
            from += n;
        }
    }
    return MC_OK;
}

const mc_op mc_ops_experts[] = {
    {.domain = MC_DOMAIN,
     .name = "RouteTopK",
     .since = 1,
     .least_in = 1,
     .most_in = 1,
     .most_out = 1,
     .shape = route_shape,
     .run = route_run,
     .scratch = route_scratch},
    {.domain = MC_DOMAIN,
     .name = "ExpertRows",
     .since = 1,
     .least_in = 2,
     .most_in = 2,
     .most_out = 1,
     .flags = MC_OP_SIZES | MC_OP_MOVES,
     .shape = rows_shape,
     .run = rows_run},
    {.domain = MC_DOMAIN,
     .name = "ExpertMerge",
     .since = 1,
     .least_in = 2,
     .most_in = -1,
     .most_out = 1,
     .shape = merge_shape,
     .run = merge_run},
    {.domain = NULL},
};
