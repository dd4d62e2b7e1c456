/* Finding places: for each group of sites that share an input, who makes its channels
 * (places_trace.c), whether anybody else takes them, and whether the tensors that would be edited
 * serve anybody else. */
#include "quant/places_look.h"
#include "quant/places_trace.h"

#include <string.h>

typedef struct {
    mc_look look;
    mc_arena *mem;
    mc_places *out;
    size_t *site; /* consumers, gathered */
    uint32_t *spare;
} finder;

/* ---- consumers ---- */

static bool takes_channels(const finder *f, const mc_site *site, size_t width)
{
    mc_site_axes axes;
    if (!mc_look_axes(f->look.graph, site, &axes)) return false;
    return axes.ins == width;
}

/* Adds the sites that take the value to the list. Of rows that go to experts these are others. */
static bool gather(finder *f, mc_id value, size_t width, bool experts, size_t *n)
{
    const mc_look *l = &f->look;
    if (l->uses[value] != l->start[value + 1] - l->start[value]) return false;
    for (uint32_t u = l->start[value]; u < l->start[value + 1]; u++) {
        const mc_node *node = &l->graph->node[l->user[u]];
        const uint32_t s = l->site_of_node[l->user[u]];
        if (s != MC_NONE && mc_look_in(node, l->sites->site[s].activation_input) == value) {
            if (*n >= l->sites->sites || !takes_channels(f, &l->sites->site[s], width))
                return false;
            f->site[(*n)++] = s;
            continue;
        }
        if (!experts || mc_look_in(node, 0) != value) return false;
        if (mc_node_is(node, MC_DOMAIN, "ExpertMerge")) continue; /* only its shape */
        if (!mc_node_is(node, MC_DOMAIN, "ExpertRows")) return false;
        if (!gather(f, node->out[0], width, false, n)) return false;
    }
    return true;
}

/* Does each tensor serve these sites alone? */
static bool own_weights(const finder *f, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const mc_tensor *w = f->look.sites->site[f->site[i]].weight;
        size_t here = 0, before = 0;
        for (size_t k = 0; k < n; k++) {
            const bool same = f->look.sites->site[f->site[k]].weight == w;
            here += same;
            before += same && k < i;
        }
        if (before == 0 && mc_look_takers(&f->look, w) != here) return false;
    }
    return true;
}

static bool take_shift(const finder *f, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const mc_site *site = &f->look.sites->site[f->site[i]];
        const mc_node *node = &f->look.graph->node[site->node];
        if (site->part || site->kind == MC_SITE_CONV_TRANSPOSE) return false;
        if (site->kind == MC_SITE_CONV && mc_look_pads(node))
            return false; /* zeros beside the values */
        if (!mc_place_slot(&f->look.output[f->site[i]])) return false;
    }
    return true;
}

/* ---- producers ---- */

/* The tensor behind a norm's gain, which the graph may add a number to. */
static bool find_gain(const mc_look *l, mc_id value, size_t n, mc_place *p)
{
    const mc_node *add = mc_look_maker(l, value);
    p->gain = mc_look_vector(l, value, n);
    if (p->gain || !add || !mc_node_is(add, "", "Add") || add->ins != 2) return p->gain != NULL;
    for (size_t i = 0; i < 2 && !p->gain; i++)
        if (mc_look_number(l, add->in[1 - i], &p->gain_offset))
            p->gain = mc_look_vector(l, add->in[i], n);
    return p->gain != NULL;
}

static bool from_norm(const mc_look *l, const mc_trace *t, mc_place *p)
{
    const mc_node *n = &l->graph->node[t->norm];
    const mc_id bias = mc_look_in(n, 2);
    p->kind = MC_PLACE_NORM;
    p->name = n->name && n->name[0] ? n->name : l->graph->value[n->out[0]].name;
    if (!find_gain(l, mc_look_in(n, 1), p->width, p)) return false;
    if (bias == MC_NONE) return true;
    p->bias = mc_look_vector(l, bias, p->width);
    return p->bias != NULL;
}

static bool from_site(const mc_look *l, const mc_trace *t, mc_place *p)
{
    if (t->site == MC_NONE) return false;
    p->kind = t->gated || t->head ? MC_PLACE_LINEAR : MC_PLACE_CONV;
    p->producer = &l->sites->site[t->site];
    p->name = p->producer->name;
    p->bias = mc_place_slot(&l->output[t->site]);
    p->head = t->head;
    p->rectified = t->rectified;
    return true;
}

static bool is_image(const mc_site *site)
{
    return site->kind == MC_SITE_CONV || site->kind == MC_SITE_CONV_TRANSPOSE;
}

/* Fills *p; false: the group is no place. */
static mc_status find_place(finder *f, const mc_input_group *group, mc_place *p, bool *found,
                            mc_err *err)
{
    const mc_site *first = &f->look.sites->site[group->site[0]];
    mc_site_axes axes;
    *found = false;
    if (!mc_look_axes(f->look.graph, first, &axes)) return MC_OK;
    mc_trace t = {.from = MC_NEW_RAW(f->mem, uint32_t, axes.ins + 1)};
    mc_arena scratch = *f->mem;
    uint32_t *spare = MC_NEW_RAW(&scratch, uint32_t, axes.ins + 1);
    if (!t.from || !spare) return mc_no_room(err, "places of transforms");
    mc_trace_channels(&f->look, group->value, is_image(first), axes.ins, spare, &t);

    size_t n = 0;
    *p = (mc_place){.to = group, .from = t.from, .width = axes.ins, .channels = t.channels};
    const bool made = t.norm != MC_NONE ? from_norm(&f->look, &t, p) : from_site(&f->look, &t, p);
    if (!made || !gather(f, group->value, axes.ins, t.norm != MC_NONE, &n)) return MC_OK;
    for (size_t i = 0; i < n; i++)
        if (is_image(&f->look.sites->site[f->site[i]]) != is_image(first)) return MC_OK;
    if (n == 0 || !own_weights(f, n)) return MC_OK;

    size_t *site = MC_NEW_RAW(f->mem, size_t, n);
    if (!site) return mc_no_room(err, "places of transforms");
    memcpy(site, f->site, n * sizeof *site);
    p->site = site;
    p->sites = n;
    p->takes_shift = t.shifts && p->bias && take_shift(f, n);
    *found = true;
    return MC_OK;
}

mc_status mc_places_find(const mc_graph *graph, const mc_sites *sites, mc_arena *mem,
                         mc_places *out, mc_err *err)
{
    *out = (mc_places){.graph = graph, .sites = sites};
    finder f = {.mem = mem, .out = out};
    MC_TRY(mc_input_groups_find(graph, sites, mem, &out->groups, err));
    MC_TRY(mc_look_open(graph, sites, mem, &f.look, err));
    out->output = f.look.output;
    mc_place *place = MC_NEW(mem, mc_place, out->groups.groups + 1);
    f.site = MC_NEW(mem, size_t, sites->sites + 1);
    if (!place || !f.site) return mc_no_room(err, "places of transforms");
    out->place = place;
    for (size_t g = 0; g < out->groups.groups; g++) {
        const mc_input_group *group = &out->groups.group[g];
        bool found;
        MC_TRY(find_place(&f, group, &place[out->places], &found, err));
        out->places += found;
    }
    return MC_OK;
}

const mc_place *mc_places_of(const mc_places *places, const mc_input_group *group)
{
    for (size_t i = 0; i < places->places; i++)
        if (places->place[i].to->value == group->value) return &places->place[i];
    return NULL;
}
