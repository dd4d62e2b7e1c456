/* The way back, one node at a time: each says how its output's channels lie in its input's. Whoever
 * else takes a value on the way ends it. */
#include "quant/places_trace.h"

#include <string.h>

/* Where channels lie. Heads: channel h * size + i is head h, number i of it. */
typedef enum {
    LAST,     /* [.., channel] */
    SECOND,   /* [batch, channel, ..] */
    IN_HEADS, /* [.., heads, size] */
    BY_HEAD,  /* [batch, heads, tokens, size] */
} layout;

typedef struct {
    const mc_look *look;
    mc_id value;
    layout lie;
    size_t n;    /* channels */
    size_t size; /* of a head, in the last two layouts */
    size_t width;
    mc_trace *t;
} walk;

static const mc_value *about(const walk *w, mc_id value)
{
    return &w->look->graph->value[value];
}

static int64_t dim_of(const walk *w, mc_id value, int axis)
{
    if (value == MC_NONE) return -1;
    const mc_value *v = about(w, value);
    if (axis < 0) axis += v->ndim;
    return v->ndim > 0 && axis >= 0 && axis < v->ndim ? v->dim[axis] : -1;
}

static bool goes_to(walk *w, mc_id value)
{
    if (value == MC_NONE || w->look->constant[value]) return false;
    w->value = value;
    return true;
}

/* ---- nodes that keep channels where they are ---- */

static bool is_any(const mc_node *n, const char *const *op)
{
    for (; *op; op++)
        if (mc_node_is(n, "", *op)) return true;
    return false;
}

static bool keeps(walk *w, const mc_node *n)
{
    static const char *const same[] = {"Identity", "Dropout", NULL};
    static const char *const rectifiers[] = {"Relu", "LeakyRelu", "PRelu", NULL};
    static const char *const pools[] = {"MaxPool", "AveragePool", "GlobalAveragePool",
                                        "GlobalMaxPool", NULL};
    if (is_any(n, same)) return goes_to(w, mc_look_in(n, 0));
    if (is_any(n, rectifiers)) {
        w->t->rectified = true;
        return goes_to(w, mc_look_in(n, 0));
    }
    if (!is_any(n, pools) || w->lie != SECOND) return false;
    for (size_t i = 1; i < n->outs; i++) /* where the largest stood */
        if (n->out[i] != MC_NONE && w->look->uses[n->out[i]] > 0) return false;
    w->t->shifts = w->t->shifts && !(mc_node_is(n, "", "AveragePool") && mc_look_pads(n));
    return goes_to(w, mc_look_in(n, 0));
}

/* ---- nodes that move channels ---- */

/* Channels of an image that lie spread over a row now. */
static bool unflatten(walk *w, mc_id in)
{
    const int64_t channels = dim_of(w, in, 1);
    if (channels <= 0 || w->n % (size_t)channels != 0) return false;
    const size_t each = w->n / (size_t)channels;
    for (size_t i = 0; i < w->width; i++) w->t->from[i] /= (uint32_t)each;
    w->lie = SECOND;
    w->n = (size_t)channels;
    return goes_to(w, in);
}

static bool reshaped(walk *w, const mc_node *n)
{
    const mc_id in = mc_look_in(n, 0);
    if (in == MC_NONE) return false;
    const int before = about(w, in)->ndim, after = about(w, w->value)->ndim;
    const int64_t size = dim_of(w, in, -1), heads = dim_of(w, in, -2);
    if (w->lie == LAST && before == 4 && after == 2 && dim_of(w, in, 1) > 0)
        return unflatten(w, in);
    if (w->lie == LAST && before == 4 && after == 3 && size > 0 && heads > 0 &&
        (size_t)size * (size_t)heads == w->n) {
        w->lie = IN_HEADS;
        w->size = (size_t)size;
        return goes_to(w, in);
    }
    const bool joins = w->lie == IN_HEADS && before == 3 && after == 4 && size > 0;
    if (joins && (size_t)size == w->n && dim_of(w, w->value, -1) == (int64_t)w->size) {
        w->lie = LAST;
        return goes_to(w, in);
    }
    const bool kept = w->lie == LAST && before == after && size == (int64_t)w->n;
    return kept && goes_to(w, in);
}

static bool flattened(walk *w, const mc_node *n)
{
    const mc_id in = mc_look_in(n, 0);
    return w->lie == LAST && in != MC_NONE && mc_node_int(n, "axis", 1) == 1 && unflatten(w, in);
}

static bool transposed(walk *w, const mc_node *n)
{
    const int64_t *perm;
    const bool swaps = mc_node_ints(n, "perm", &perm) == 4 && perm[0] == 0 && perm[1] == 2 &&
                       perm[2] == 1 && perm[3] == 3;
    if (!swaps || (w->lie != IN_HEADS && w->lie != BY_HEAD)) return false;
    w->lie = w->lie == IN_HEADS ? BY_HEAD : IN_HEADS;
    return goes_to(w, mc_look_in(n, 0));
}

/* A part of a fused matrix's outputs. */
static bool split(walk *w, const mc_node *n)
{
    const mc_id in = mc_look_in(n, 0);
    const int64_t all = in == MC_NONE ? -1 : dim_of(w, in, w->lie == SECOND ? 1 : -1);
    const int64_t axis = mc_node_int(n, "axis", 0), last = about(w, w->value)->ndim - 1;
    const bool along =
        w->lie == SECOND ? axis == 1 : w->lie == LAST && (axis == -1 || axis == last);
    if (!along || all < 0) return false;
    int64_t first = 0;
    for (size_t i = 0; i < n->outs; i++) {
        if (n->out[i] == MC_NONE) return false;
        const int64_t part = dim_of(w, n->out[i], w->lie == SECOND ? 1 : -1);
        if (n->out[i] == w->value) {
            if (part != (int64_t)w->n || first > all - part) return false;
            for (size_t c = 0; c < w->width; c++) w->t->from[c] += (uint32_t)first;
            w->n = (size_t)all;
            return goes_to(w, in);
        }
        if (part < 0) return false;
        first += part;
    }
    return false;
}

/* ---- attention: its output is a mean of values, weights sum to 1 ---- */

static bool attended(walk *w, const mc_node *n)
{
    enum { V = 2, MASK = 3, PAST = 5 };
    if (w->t->head != 0 || mc_look_in(n, PAST) != MC_NONE || n->out[0] != w->value) return false;
    for (size_t i = 1; i < n->outs; i++)
        if (n->out[i] != MC_NONE && w->look->uses[n->out[i]] > 0) return false;
    const mc_id v = mc_look_in(n, V);
    if (v == MC_NONE) return false;
    int64_t heads = mc_node_int(n, "q_num_heads", 0), of_values = mc_node_int(n, "kv_num_heads", 0);
    if (w->lie == BY_HEAD) {
        heads = (int64_t)(w->n / w->size);
        of_values = dim_of(w, v, 1);
    } else if (w->lie != LAST)
        return false;
    if (heads <= 0 || of_values <= 0 || heads % of_values != 0 || w->n % (size_t)heads != 0)
        return false;
    const size_t size = w->n / (size_t)heads, each = (size_t)(heads / of_values);
    for (size_t i = 0; i < w->width; i++) {
        const size_t head = w->t->from[i] / size;
        w->t->from[i] = (uint32_t)(head / each * size + w->t->from[i] % size);
    }
    w->n = (size_t)of_values * size;
    w->t->head = size;
    w->t->shifts = w->t->shifts && mc_look_in(n, MASK) == MC_NONE; /* where nothing is seen: 0 */
    return goes_to(w, v);
}

/* ---- the walk ---- */

static bool step(walk *w, const mc_node *n)
{
    if (keeps(w, n)) return true;
    if (mc_node_is(n, "", "Reshape") || mc_node_is(n, "", "Squeeze")) return reshaped(w, n);
    if (mc_node_is(n, "", "Flatten")) return flattened(w, n);
    if (mc_node_is(n, "", "Transpose")) return transposed(w, n);
    if (mc_node_is(n, "", "Split")) return split(w, n);
    if (mc_node_is(n, "", "Attention") || mc_node_is(n, MC_DOMAIN, "Attention"))
        return attended(w, n);
    return false;
}

/* Is the value made by a site whose outputs are these channels? */
static bool arrives(walk *w)
{
    const uint32_t s = w->look->site_of_value[w->value];
    if (s == MC_NONE) return false;
    const mc_site *site = &w->look->sites->site[s];
    mc_site_axes axes;
    if (site->part || !mc_look_axes(w->look->graph, site, &axes)) return false;
    const bool image = site->kind == MC_SITE_CONV || site->kind == MC_SITE_CONV_TRANSPOSE;
    const layout wants = image ? SECOND : LAST;
    if (w->lie != wants || axes.outs != w->n) return false;
    if (mc_look_takers(w->look, site->weight) != 1) return false;
    w->t->site = s;
    w->t->channels = w->n;
    return true;
}

/* Back to a site, or to a product whose other side may lead there: then w->value is the product. */
static bool walk_back(walk *w)
{
    enum { MOST_STEPS = 32 };
    for (int i = 0; i < MOST_STEPS; i++) {
        if (arrives(w)) return true;
        const mc_node *n = mc_look_maker(w->look, w->value);
        if (!n || mc_node_is(n, "", "Mul") || !step(w, n)) return false;
        if (mc_look_only_user(w->look, w->value) == MC_NONE) return false;
    }
    return false;
}

static bool same_channels(const walk *w, mc_id value)
{
    return value != MC_NONE && about(w, value)->ndim == about(w, w->value)->ndim;
}

/* One side of the product is linear in a site's outputs, the other is anything. */
static bool walk_gate(walk *w, uint32_t *spare)
{
    const mc_node *n = mc_look_maker(w->look, w->value);
    if (!n || !mc_node_is(n, "", "Mul") || n->ins != 2 || w->t->head || w->t->rectified)
        return false;
    const walk here = *w;
    const mc_trace trace = *w->t;
    memcpy(spare, w->t->from, w->width * sizeof *spare);
    for (size_t side = 2; side-- > 0;) {
        *w = here;
        *w->t = trace;
        memcpy(w->t->from, spare, w->width * sizeof *spare);
        if (!same_channels(w, n->in[side]) || !goes_to(w, n->in[side])) continue;
        if (mc_look_only_user(w->look, w->value) == MC_NONE) continue;
        w->t->gated = true;
        w->t->shifts = false;
        if (walk_back(w) && !w->t->rectified && !w->t->head) return true;
    }
    *w->t = trace;
    return false;
}

static bool is_norm_of(const walk *w, const mc_node *n)
{
    return n && w->lie == LAST && mc_look_is_norm(w->look, n) && n->out[0] == w->value;
}

void mc_trace_channels(const mc_look *look, mc_id value, bool image, size_t width, uint32_t *spare,
                       mc_trace *out)
{
    *out = (mc_trace){
        .norm = MC_NONE, .site = MC_NONE, .from = out->from, .channels = width, .shifts = true};
    for (size_t i = 0; i < width; i++) out->from[i] = (uint32_t)i;
    walk w = {.look = look,
              .value = value,
              .lie = image ? SECOND : LAST,
              .n = width,
              .width = width,
              .t = out};
    const mc_node *maker = mc_look_maker(look, value);
    if (is_norm_of(&w, maker)) {
        out->norm = look->graph->value[value].producer;
        return;
    }
    if (!walk_back(&w) && !walk_gate(&w, spare)) out->site = MC_NONE;
}
