/* Rows of activations. Windows follow the convolution operator's own rule (mc_op_window), so that
 * padding means here what it means there. */
#include "calib/site_rows.h"

#include "core/ops/op_window_shared.h"

#include <string.h>

/* ---- which sites have rows ---- */

static bool transposes_batches(const mc_node *n)
{
    return mc_node_is(n, MC_DOMAIN_MS, "FusedMatMul") && mc_node_int(n, "transBatchA", 0) != 0;
}

/* A constant of more than two dimensions as the node takes it: matrix i meets batch i alone. */
static bool is_stack(const mc_site *site)
{
    uint64_t matrices = 1;
    if (site->through || site->part) return false;
    for (int d = 0; d + 2 < site->weight->ndim; d++) matrices *= site->weight->dim[d];
    return matrices > 1;
}

const char *mc_site_rows_refuses(const mc_graph *graph, const mc_site *site)
{
    const mc_node *node = &graph->node[site->node];
    switch (site->kind) {
    case MC_SITE_LINEAR:
        if (transposes_batches(node)) return "it transposes the batches of its input";
        return is_stack(site) ? "its weight is a stack of matrices that meet rows of their own"
                              : NULL;
    case MC_SITE_CONV: return NULL;
    case MC_SITE_CONV_TRANSPOSE:
        return "ConvTranspose spreads each input over many outputs, which a row cannot say";
    case MC_SITE_EMBEDDING: return "an embedding takes indices";
    case MC_SITE_RECURRENT:
        return site->weight_input == 1 ? NULL : "its weight meets the states of the recurrence";
    }
    return "its kind is not known";
}

/* ---- plans ---- */

static bool transposes_input(const mc_node *n)
{
    if (mc_node_is(n, "", "Gemm") || mc_node_is(n, MC_DOMAIN_MS, "FusedMatMul"))
        return mc_node_int(n, "transA", 0) != 0;
    return false;
}

static mc_status plan_tokens(const mc_node *node, mc_site_rows *out, mc_err *err)
{
    const mc_nd *x = out->x;
    char found[MC_ND_TEXT];
    if (x->ndim < 1)
        return mc_fail(err, MC_E_FORMAT, "the input is %s (1 dimension or more is needed)",
                       mc_nd_show(x, found));
    out->across = x->ndim > 1 && transposes_input(node);
    out->n = (size_t)x->dim[x->ndim - (out->across ? 2 : 1)];
    out->rows = out->n ? x->count / out->n : 0;
    return MC_OK;
}

/* The spatial dimensions of the weight as the node sees it. */
static mc_status find_kernel(const mc_node *node, const mc_site *site, int axes, int64_t kernel[3],
                             mc_err *err)
{
    const mc_tensor *w = site->weight;
    const int64_t *said;
    if (w->ndim == axes + 2) {
        for (int i = 0; i < axes; i++) kernel[i] = (int64_t)w->dim[i + 2];
        return MC_OK;
    }
    if (mc_node_ints(node, "kernel_shape", &said) != (size_t)axes)
        return mc_fail(
            err, MC_E_UNSUPPORTED,
            "kernel_shape is missing and the weight %s has %d dimensions (%d are needed)", w->name,
            w->ndim, axes + 2);
    memcpy(kernel, said, (size_t)axes * sizeof *said);
    return MC_OK;
}

static mc_status plan_windows(const mc_node *node, const mc_site *site, mc_site_rows *out,
                              mc_err *err)
{
    const mc_nd *x = out->x;
    int64_t kernel[3] = {1, 1, 1};
    mc_window window;
    if (x->ndim >= 3 && x->ndim <= 5) MC_TRY(find_kernel(node, site, x->ndim - 2, kernel, err));
    const mc_call call = {.node = node, .version = node->version, .in = &x, .ins = 1};
    MC_TRY(mc_op_window(&call, x, kernel, &window, err));

    const int64_t groups = mc_node_int(node, "group", 1);
    if (groups < 1 || x->dim[1] < 1 || x->dim[1] % groups != 0)
        return mc_fail(err, MC_E_FORMAT, "group is %lld, which must be at least 1 and divide %lld",
                       (long long)groups, (long long)x->dim[1]);
    out->window = mc_window_three_axes(&window);
    out->groups = (size_t)groups;
    out->channels = (size_t)(x->dim[1] / groups);
    out->n = out->channels * mc_window_volume(out->window.kernel);
    out->rows = (size_t)x->dim[0] * mc_window_volume(out->window.out);
    return MC_OK;
}

static mc_status plan(const mc_graph *graph, const mc_site *site, mc_site_rows *out, mc_err *err)
{
    const mc_node *node = &graph->node[site->node];
    const char *why = mc_site_rows_refuses(graph, site);
    const mc_dtype lies = mc_nd_storage(out->x->dtype);
    char found[MC_ND_TEXT];
    if (why) return mc_fail(err, MC_E_UNSUPPORTED, "there are no rows of inputs: %s", why);
    if (out->x->kind != MC_ND_TENSOR || (lies != MC_F32 && lies != MC_F64) ||
        !mc_nd_shape_known(out->x))
        return mc_fail(err, MC_E_UNSUPPORTED, "the input is %s (floats are needed)",
                       mc_nd_show(out->x, found));
    if (site->kind == MC_SITE_CONV)
        MC_TRY(plan_windows(node, site, out, err));
    else
        MC_TRY(plan_tokens(node, out, err));
    if (out->n == 0 || site->weight->count % out->n != 0)
        return mc_fail(
            err, MC_E_FORMAT,
            "the input %s has rows of %zu, of which the weight %s with %llu elements has "
            "no whole number",
            mc_nd_show(out->x, found), out->n, site->weight->name,
            (unsigned long long)site->weight->count);
    return MC_OK;
}

mc_status mc_site_rows_plan(const mc_graph *graph, const mc_site *site, const mc_nd *x,
                            mc_site_rows *out, mc_err *err)
{
    *out = (mc_site_rows){.groups = 1, .x = x};
    if (plan(graph, site, out, err) != MC_OK) return mc_wrap(err, "site %s", site->name);
    return MC_OK;
}

mc_site_rows mc_site_rows_of(const mc_nd *x)
{
    const size_t n = x->ndim > 0 ? (size_t)x->dim[x->ndim - 1] : 0;
    return (mc_site_rows){.groups = 1, .rows = n ? x->count / n : 0, .n = n, .x = x};
}

static bool same_axis(const mc_window *a, const mc_window *b, int i)
{
    return a->kernel[i] == b->kernel[i] && a->stride[i] == b->stride[i] &&
           a->dilation[i] == b->dilation[i] && a->pad_begin[i] == b->pad_begin[i] &&
           a->in[i] == b->in[i] && a->out[i] == b->out[i];
}

bool mc_site_rows_same(const mc_site_rows *a, const mc_site_rows *b)
{
    bool same = a->x == b->x && a->groups == b->groups && a->rows == b->rows && a->n == b->n &&
                a->across == b->across && a->channels == b->channels;
    for (int i = 0; a->channels > 0 && i < 3; i++)
        same = same && same_axis(&a->window, &b->window, i);
    return same;
}

/* ---- filling ---- */

static inline float element(const mc_nd *x, size_t i)
{
    return x->dtype == MC_F64 ? (float)((const double *)x->data)[i] : ((const float *)x->data)[i];
}

const float *mc_site_rows_at(const mc_site_rows *r, size_t first)
{
    if (r->across || r->channels > 0 || r->x->dtype == MC_F64) return NULL;
    return (const float *)r->x->data + first * r->n;
}

static void fill_tokens(const mc_site_rows *r, size_t first, size_t count, float *out)
{
    if (!r->across) {
        for (size_t i = 0; i < count * r->n; i++) out[i] = element(r->x, first * r->n + i);
        return;
    }
    const size_t tokens = (size_t)r->x->dim[r->x->ndim - 1];
    for (size_t row = first; row < first + count; row++) {
        const size_t begin = row / tokens * tokens * r->n + row % tokens;
        for (size_t i = 0; i < r->n; i++) *out++ = element(r->x, begin + i * tokens);
    }
}

/* One line of the window: kernel positions along the last axis, from place `at` of x's line on. */
static void fill_line(const mc_site_rows *r, size_t line, int64_t at, float *out)
{
    const mc_window *w = &r->window;
    int64_t from, to;
    mc_window_taps(at, w->dilation[2], w->kernel[2], 0, w->in[2], &from, &to);
    memset(out, 0, (size_t)w->kernel[2] * sizeof *out);
    for (int64_t k = from; k < to; k++)
        out[k] = element(r->x, line * (size_t)w->in[2] + (size_t)(at + k * w->dilation[2]));
}

/* One channel of a window whose first element is at place at[] of the input. */
static void fill_channel(const mc_site_rows *r, size_t channel, const int64_t at[3], float *out)
{
    const mc_window *w = &r->window;
    for (int64_t kz = 0; kz < w->kernel[0]; kz++)
        for (int64_t ky = 0; ky < w->kernel[1]; ky++, out += w->kernel[2]) {
            const int64_t z = at[0] + kz * w->dilation[0], y = at[1] + ky * w->dilation[1];
            const bool inside = z >= 0 && z < w->in[0] && y >= 0 && y < w->in[1];
            const size_t plane = channel * (size_t)w->in[0] + (size_t)(inside ? z : 0);
            if (inside)
                fill_line(r, plane * (size_t)w->in[1] + (size_t)y, at[2], out);
            else
                memset(out, 0, (size_t)w->kernel[2] * sizeof *out);
        }
}

static void fill_windows(const mc_site_rows *r, size_t group, size_t first, size_t count,
                         float *out)
{
    const mc_window *w = &r->window;
    const size_t positions = mc_window_volume(w->out), taps = mc_window_volume(w->kernel);
    for (size_t row = first; row < first + count; row++) {
        size_t rest = row % positions;
        int64_t at[3];
        for (int i = 2; i >= 0; i--) {
            const size_t outs = (size_t)w->out[i];
            at[i] = (int64_t)(rest % outs) * w->stride[i] - w->pad_begin[i];
            rest /= outs;
        }
        const size_t channel = (row / positions * r->groups + group) * r->channels;
        for (size_t c = 0; c < r->channels; c++, out += taps) fill_channel(r, channel + c, at, out);
    }
}

void mc_site_rows_fill(const mc_site_rows *r, size_t group, size_t first, size_t count, float *out)
{
    if (r->channels > 0)
        fill_windows(r, group, first, count, out);
    else
        fill_tokens(r, first, count, out);
}
