/* Two runs of one graph in step. At a site both outputs are there at once, and the container's node
 * is run once more on the original's activations: its own error, without that of what came
 * before. */
#include "verify/lockstep.h"

#include <string.h>

/* ---- lanes ---- */

mc_status mc_lanes_open(mc_pair_of_models *pair, size_t lanes, uint64_t input_bytes, mc_arena *mem,
                        mc_err *err)
{
    const size_t inputs = pair->graph->inputs;
    pair->lane = MC_NEW(mem, mc_lane, lanes);
    if (!pair->lane) return mc_no_room(err, "lanes");
    pair->lanes = lanes;
    for (size_t i = 0; i < lanes; i++) {
        mc_lane *l = &pair->lane[i];
        l->input = MC_NEW(mem, mc_nd, inputs + 1);
        l->inputs = MC_NEW(mem, const mc_nd *, inputs + 1);
        if (!l->input || !l->inputs) return mc_no_room(err, "lanes");
        for (size_t k = 0; k < inputs; k++) l->inputs[k] = &l->input[k];
        atomic_flag_clear(&l->busy);
        MC_TRY(mc_region_open(&l->room, (size_t)input_bytes, err));
        if (pair->original) MC_TRY(mc_run_open(pair->original, 0, &l->original, err));
        MC_TRY(mc_run_open(pair->container, 0, &l->container, err));
    }
    return MC_OK;
}

void mc_lanes_close(mc_pair_of_models *pair)
{
    for (size_t i = 0; i < pair->lanes; i++) {
        mc_lane *l = &pair->lane[i];
        if (l->original) mc_run_close(l->original);
        if (l->container) mc_run_close(l->container);
        mc_region_close(&l->room);
    }
    pair->lanes = 0;
}

mc_lane *mc_lane_take(mc_pair_of_models *pair)
{
    for (size_t i = 0;; i = (i + 1) % pair->lanes)
        if (!atomic_flag_test_and_set(&pair->lane[i].busy)) return &pair->lane[i];
}

void mc_lane_give(mc_lane *lane)
{
    atomic_flag_clear(&lane->busy);
}

/* ---- sites ---- */

static bool comparable(const mc_nd *a, const mc_nd *b)
{
    return a && b && a->data && b->data && mc_nd_same_shape(a, b) &&
           mc_nd_storage(a->dtype) == MC_F32 && mc_nd_storage(b->dtype) == MC_F32;
}

static void add_difference(const mc_nd *y, const mc_nd *other, double *yy, double *ee)
{
    const float *a = y->data, *b = other->data;
    double square = 0.0, error = 0.0;
    for (size_t i = 0; i < y->count; i++) {
        const double e = (double)a[i] - (double)b[i];
        square += (double)a[i] * (double)a[i];
        error += e * e;
    }
    *yy += square;
    *ee += error;
}

static uint64_t rows_of(const mc_site *site, const mc_nd *y)
{
    if (site->kind == MC_SITE_CONV || site->kind == MC_SITE_CONV_TRANSPOSE)
        return mc_nd_span(y, 0, 1) * mc_nd_span(y, 2, y->ndim);
    return y->ndim > 0 ? mc_nd_span(y, 0, y->ndim - 1) : 1;
}

/* The container's node on what the original's node took. */
static mc_status run_alone(const mc_pair_of_models *pair, mc_lane *lane, const mc_site *site,
                           const mc_nd **out, mc_err *err)
{
    enum { INPUTS = 16 };
    const mc_node *node = &pair->graph->node[site->node];
    const mc_nd *in[INPUTS] = {NULL};
    const size_t at = site->activation_input;
    *out = NULL;
    if (at >= INPUTS || at >= node->ins) return MC_OK;
    in[at] = mc_run_value(lane->original, node->in[at]);
    return in[at] ? mc_run_apply(lane->container, site->node, in, at + 1, out, err) : MC_OK;
}

static mc_status see_site(const mc_pair_of_models *pair, mc_lane *lane, size_t i, mc_site_sums *s,
                          mc_err *err)
{
    const mc_site *site = &pair->sites->site[i];
    const mc_id out = pair->graph->node[site->node].out[0];
    const mc_nd *a = mc_run_value(lane->original, out), *b = mc_run_value(lane->container, out);
    const mc_nd *alone;
    if (!a || !a->data) return MC_OK;
    s->rows += rows_of(site, a);
    if (comparable(a, b)) add_difference(a, b, &s->yy, &s->ee);
    MC_TRY(run_alone(pair, lane, site, &alone, err));
    if (comparable(a, alone)) add_difference(a, alone, &s->own_yy, &s->own_ee);
    return MC_OK;
}

/* Sites are in the order of the nodes, as steps are. */
static mc_status see_node(const mc_pair_of_models *pair, mc_lane *lane, mc_id node, size_t *next,
                          mc_site_sums *sums, mc_err *err)
{
    const mc_sites *sites = pair->sites;
    while (*next < sites->sites && sites->site[*next].node < node) (*next)++;
    for (; *next < sites->sites && sites->site[*next].node == node; (*next)++)
        MC_TRY(see_site(pair, lane, *next, &sums[*next], err));
    return MC_OK;
}

mc_status mc_lane_run(const mc_pair_of_models *pair, mc_lane *lane, mc_site_sums *sums, mc_err *err)
{
    const size_t inputs = pair->graph->inputs;
    if (!sums || !lane->original) {
        if (lane->original) MC_TRY(mc_run_all(lane->original, lane->inputs, inputs, err));
        return mc_run_all(lane->container, lane->inputs, inputs, err);
    }
    size_t next = 0;
    mc_id a, b;
    MC_TRY(mc_run_begin(lane->original, lane->inputs, inputs, err));
    MC_TRY(mc_run_begin(lane->container, lane->inputs, inputs, err));
    do {
        MC_TRY(mc_run_step(lane->original, &a, err));
        MC_TRY(mc_run_step(lane->container, &b, err));
        if (a != b) return mc_fail(err, MC_E_INTERNAL, "two runs of a graph went different ways");
        if (a != MC_NONE) MC_TRY(see_node(pair, lane, a, &next, sums, err));
    } while (a != MC_NONE);
    return MC_OK;
}
