/* Following the residual stream over the graph: from the first norm's input to whoever made it and
 * whoever takes it, until nothing new turns up. */
#include "quant/transform_residual.h"

#include <string.h>

typedef struct {
    const mc_look *look;
    unsigned char *in; /* of each value: is it the stream's? */
    mc_id *queue;
    size_t queued, done;
    mc_residual_norm *norm;
    size_t *writer;
    mc_residual_tensor *from;
    mc_residual *out;
    mc_arena *mem;
} finder;

static mc_status refuse(const finder *f, mc_id node, const char *why, mc_err *err)
{
    char text[MC_NODE_TEXT];
    return mc_fail(err, MC_E_UNSUPPORTED, "%s %s", mc_node_show(f->look->graph, node, text), why);
}

static void enqueue(finder *f, mc_id value)
{
    if (value == MC_NONE || f->in[value]) return;
    f->in[value] = 1;
    f->queue[f->queued++] = value;
}

static mc_status check_width(finder *f, mc_id node, size_t width, mc_err *err)
{
    if (f->out->width == 0) f->out->width = width;
    if (f->out->width == width) return MC_OK;
    char text[MC_NODE_TEXT];
    return mc_fail(err, MC_E_UNSUPPORTED, "%s has %zu channels, the residual stream has %zu",
                   mc_node_show(f->look->graph, node, text), width, f->out->width);
}

/* ---- who makes it ---- */

static bool hands_on(const mc_node *n)
{
    return mc_node_is(n, "", "Identity") || mc_node_is(n, "", "Dropout") ||
           mc_node_is(n, "", "Cast");
}

/* A number times the stream: the side that is the stream, or MC_NONE. */
static mc_id scaled(const mc_look *l, const mc_node *n)
{
    double by;
    if (!mc_node_is(n, "", "Mul") || n->ins != 2) return MC_NONE;
    if (mc_look_number(l, n->in[1], &by)) return n->in[0];
    return mc_look_number(l, n->in[0], &by) ? n->in[1] : MC_NONE;
}

static mc_status written_by(finder *f, uint32_t s, mc_err *err)
{
    const mc_site *site = &f->look->sites->site[s];
    mc_site_axes axes;
    if (site->kind == MC_SITE_EMBEDDING && site->weight->ndim == 2 && !site->part) {
        MC_TRY(check_width(f, site->node, (size_t)site->weight->dim[1], err));
        f->from[f->out->froms++] = (mc_residual_tensor){site->weight, 1};
        return MC_OK;
    }
    if (site->kind != MC_SITE_LINEAR || !mc_look_axes(f->look->graph, site, &axes) ||
        f->look->output[s].norm.scale)
        return refuse(f, site->node, "writes into the residual stream and cannot be rotated", err);
    MC_TRY(check_width(f, site->node, axes.outs, err));
    f->writer[f->out->writers++] = s;
    return MC_OK;
}

/* Numbers of the file that are added, as positions are. */
static mc_status constant(finder *f, mc_id value, mc_err *err)
{
    const mc_tensor *t = mc_look_tensor(f->look, value);
    if (!t || t->ndim < 1 || !mc_dtype_about(t->dtype)->to_f32 ||
        t->dim[t->ndim - 1] != f->out->width)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "value '%s' is added to the residual stream and cannot be rotated",
                       f->look->graph->value[value].name);
    f->from[f->out->froms++] = (mc_residual_tensor){t, t->ndim - 1};
    return MC_OK;
}

static mc_status visit_maker(finder *f, mc_id value, mc_err *err)
{
    const mc_look *l = f->look;
    if (l->constant[value]) return constant(f, value, err);
    const mc_node *n = mc_look_maker(l, value);
    if (!n)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "the residual stream comes from outside as '%s' and cannot be rotated",
                       l->graph->value[value].name);
    const mc_id node = l->graph->value[value].producer;
    if (l->site_of_value[value] != MC_NONE) return written_by(f, l->site_of_value[value], err);
    if (l->site_of_node[node] != MC_NONE) return written_by(f, l->site_of_node[node], err);
    if (hands_on(n) || scaled(l, n) != MC_NONE) {
        enqueue(f, hands_on(n) ? mc_look_in(n, 0) : scaled(l, n));
        return MC_OK;
    }
    const bool merges = mc_node_is(n, MC_DOMAIN, "ExpertMerge");
    if (!merges && !mc_node_is(n, "", "Add"))
        return refuse(f, node, "writes into the residual stream and cannot be rotated", err);
    for (size_t i = merges ? 2 : 0; i < n->ins; i++) enqueue(f, n->in[i]);
    return MC_OK;
}

/* ---- who takes it ---- */

/* Sites that take the value, or rows of it that go to experts. */
static mc_status list_readers(finder *f, mc_id value, bool experts, mc_residual_norm *norm,
                              size_t *site, mc_err *err)
{
    const mc_look *l = f->look;
    if (l->uses[value] != l->start[value + 1] - l->start[value])
        return refuse(f, norm->node, "gives an output of the graph and cannot be rotated", err);
    for (uint32_t u = l->start[value]; u < l->start[value + 1]; u++) {
        const mc_id user = l->user[u];
        const mc_node *n = &l->graph->node[user];
        const uint32_t s = l->site_of_node[user];
        mc_site_axes axes;
        if (s != MC_NONE && l->sites->site[s].kind == MC_SITE_LINEAR && mc_look_in(n, 0) == value &&
            mc_look_axes(l->graph, &l->sites->site[s], &axes)) {
            MC_TRY(check_width(f, user, axes.ins, err));
            if (norm->sites == l->sites->sites)
                return refuse(f, user, "takes the residual stream more than once", err);
            site[norm->sites++] = s;
            continue;
        }
        const bool first = experts && mc_look_in(n, 0) == value;
        if (first && mc_node_is(n, MC_DOMAIN, "ExpertMerge")) continue; /* only its shape */
        if (!first || !mc_node_is(n, MC_DOMAIN, "ExpertRows"))
            return refuse(f, user, "reads the residual stream and cannot be rotated", err);
        MC_TRY(list_readers(f, n->out[0], false, norm, site, err));
    }
    return MC_OK;
}

static mc_status find_gain(finder *f, mc_residual_norm *norm, mc_err *err)
{
    const mc_look *l = f->look;
    const mc_node *n = &l->graph->node[norm->node];
    const mc_id gain = mc_look_in(n, 1), bias = mc_look_in(n, 2);
    const mc_node *add = gain == MC_NONE ? NULL : mc_look_maker(l, gain);
    if (gain != MC_NONE) norm->gain = mc_look_vector(l, gain, f->out->width);
    if (!norm->gain && add && mc_node_is(add, "", "Add") && add->ins == 2)
        for (size_t i = 0; i < 2 && !norm->gain; i++)
            if (mc_look_number(l, add->in[1 - i], &norm->gain_offset))
                norm->gain = mc_look_vector(l, add->in[i], f->out->width);
    if (bias != MC_NONE) norm->bias = mc_look_vector(l, bias, f->out->width);
    if ((gain != MC_NONE && !norm->gain) || (bias != MC_NONE && !norm->bias))
        return refuse(f, norm->node, "has a gain or a bias that others share", err);
    return MC_OK;
}

static mc_status read_by(finder *f, mc_id node, mc_err *err)
{
    const mc_node *n = &f->look->graph->node[node];
    mc_residual_norm *norm = &f->norm[f->out->norms++];
    *norm = (mc_residual_norm){.node = node};
    size_t *site = MC_NEW(f->mem, size_t, f->look->sites->sites + 1);
    if (!site) return mc_no_room(err, "the residual stream");
    norm->site = site;
    MC_TRY(list_readers(f, n->out[0], true, norm, site, err));
    if (norm->sites == 0) return refuse(f, node, "reads the residual stream for nobody", err);
    f->out->centres = f->out->centres || mc_node_is(n, "", "LayerNormalization");
    return find_gain(f, norm, err);
}

/* A matrix that reads the stream without a norm: as one behind a norm of ones. */
static bool read_plainly(finder *f, mc_id value, mc_id user)
{
    const uint32_t s = f->look->site_of_node[user];
    const mc_node *n = &f->look->graph->node[user];
    mc_site_axes axes;
    if (s == MC_NONE || f->look->sites->site[s].kind != MC_SITE_LINEAR ||
        mc_look_in(n, 0) != value || !mc_look_axes(f->look->graph, &f->look->sites->site[s], &axes))
        return false;
    size_t *site = MC_NEW(f->mem, size_t, 1);
    if (!site || (f->out->width != 0 && axes.ins != f->out->width)) return false;
    *site = s;
    f->norm[f->out->norms++] = (mc_residual_norm){.node = user, .site = site, .sites = 1};
    return true;
}

static mc_status visit_user(finder *f, mc_id value, mc_id user, mc_err *err)
{
    const mc_look *l = f->look;
    const mc_node *n = &l->graph->node[user];
    if (read_plainly(f, value, user)) return MC_OK;
    if (mc_look_is_norm(l, n) && mc_look_in(n, 0) == value) return read_by(f, user, err);
    const bool merges = mc_node_is(n, MC_DOMAIN, "ExpertMerge") && mc_look_in(n, 0) != value &&
                        mc_look_in(n, 1) != value;
    if (mc_node_is(n, "", "Add") || hands_on(n) || scaled(l, n) == value || merges) {
        enqueue(f, n->out[0]);
        return MC_OK;
    }
    return refuse(f, user, "reads the residual stream and cannot be rotated", err);
}

static mc_status visit(finder *f, mc_id value, mc_err *err)
{
    const mc_look *l = f->look;
    MC_TRY(visit_maker(f, value, err));
    if (l->constant[value]) return MC_OK;
    if (l->uses[value] != l->start[value + 1] - l->start[value])
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "the residual stream is an output of the graph, '%s', and cannot be rotated",
                       l->graph->value[value].name);
    for (uint32_t u = l->start[value]; u < l->start[value + 1]; u++)
        MC_TRY(visit_user(f, value, l->user[u], err));
    return MC_OK;
}

/* ---- tensors ---- */

static bool writes(const finder *f, size_t site)
{
    for (size_t i = 0; i < f->out->writers; i++)
        if (f->writer[i] == site) return true;
    return false;
}

/* How many of the stream's readers and writers have this tensor; a site may be both. */
static size_t roles_of(const finder *f, const mc_tensor *t)
{
    const mc_residual *s = f->out;
    const mc_site *site = f->look->sites->site;
    size_t n = 0;
    for (size_t i = 0; i < s->froms; i++) n += f->from[i].tensor == t;
    for (size_t i = 0; i < s->writers; i++) n += site[f->writer[i]].weight == t;
    for (size_t i = 0; i < s->norms; i++)
        for (size_t k = 0; k < f->norm[i].sites; k++)
            n += site[f->norm[i].site[k]].weight == t && !writes(f, f->norm[i].site[k]);
    return n;
}

static mc_status check_tensor(const finder *f, const mc_tensor *t, mc_err *err)
{
    if (mc_look_takers(f->look, t) == roles_of(f, t)) return MC_OK;
    return mc_fail(err, MC_E_UNSUPPORTED,
                   "tensor '%s' serves others beside the residual stream and cannot be rotated",
                   t->name);
}

static mc_status check_tensors(const finder *f, mc_err *err)
{
    const mc_residual *s = f->out;
    const mc_site *site = f->look->sites->site;
    for (size_t i = 0; i < s->froms; i++) MC_TRY(check_tensor(f, f->from[i].tensor, err));
    for (size_t i = 0; i < s->writers; i++) {
        if (f->look->output[f->writer[i]].fixed)
            return refuse(f, site[f->writer[i]].node, "has a bias that cannot be rotated", err);
        MC_TRY(check_tensor(f, site[f->writer[i]].weight, err));
    }
    for (size_t i = 0; i < s->norms; i++)
        for (size_t k = 0; k < f->norm[i].sites; k++)
            MC_TRY(check_tensor(f, site[f->norm[i].site[k]].weight, err));
    return MC_OK;
}

/* The first norm whose output goes to matrices. */
static mc_id first_norm(const mc_look *l)
{
    for (mc_id i = 0; i < l->graph->nodes; i++) {
        const mc_node *n = &l->graph->node[i];
        if (!mc_look_is_norm(l, n)) continue;
        for (uint32_t u = l->start[n->out[0]]; u < l->start[n->out[0] + 1]; u++) {
            const uint32_t s = l->site_of_node[l->user[u]];
            if (s != MC_NONE && l->sites->site[s].kind == MC_SITE_LINEAR) return i;
        }
    }
    return MC_NONE;
}

mc_status mc_residual_find(const mc_look *look, mc_arena *mem, mc_residual *out, mc_err *err)
{
    const size_t values = look->graph->values + 1, nodes = look->graph->nodes + 1;
    *out = (mc_residual){.width = 0};
    finder f = {.look = look,
                .in = MC_NEW(mem, unsigned char, values),
                .queue = MC_NEW_RAW(mem, mc_id, values),
                .norm = MC_NEW(mem, mc_residual_norm, nodes),
                .writer = MC_NEW(mem, size_t, look->sites->sites + values),
                .from = MC_NEW(mem, mc_residual_tensor, look->sites->sites + values),
                .out = out,
                .mem = mem};
    if (!f.in || !f.queue || !f.norm || !f.writer || !f.from)
        return mc_no_room(err, "the residual stream");
    const mc_id norm = first_norm(look);
    if (norm == MC_NONE)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "the model has no residual stream: no norm in front of a matrix");
    enqueue(&f, mc_look_in(&look->graph->node[norm], 0));
    while (f.done < f.queued) MC_TRY(visit(&f, f.queue[f.done++], err));
    out->norm = f.norm;
    out->writer = f.writer;
    out->from = f.from;
    return check_tensors(&f, err);
}
