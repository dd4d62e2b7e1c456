#include "tests/support/walk_case.h"

#include "core/passes.h"

#include <criterion/criterion.h>
#include <string.h>

enum { ROOM = 1 << 28 };

static mc_arena *keep(walk_case *c)
{
    return &c->region.arena;
}

void walk_case_open(walk_case *c, const char *model, const char *data, uint64_t window)
{
    static const char *const skip[] = {"batchnorm", NULL};
    *c = (walk_case){.samples = 0};
    const mc_dataset_options how = {.window = window};
    cr_assert_eq(mc_model_open(model, NULL, &c->model, &c->err), MC_OK, "%s", c->err.text);
    cr_assert_not_null(c->model.graph, "%s", c->model.no_graph ? c->model.no_graph : "");
    cr_assert_eq(mc_region_open(&c->region, ROOM, &c->err), MC_OK);
    cr_assert_eq(mc_graph_prepare(c->model.graph, skip, keep(c), &c->graph, &c->err), MC_OK, "%s",
                 c->err.text);
    cr_assert_eq(mc_sites_find(c->graph, keep(c), &c->sites, &c->err), MC_OK);
    cr_assert_eq(mc_dataset_open(data, &c->model, &how, &c->data, &c->err), MC_OK, "%s",
                 c->err.text);
    c->samples = (size_t)mc_dataset_samples(c->data);
    cr_assert_eq(mc_input_groups_find(c->graph, &c->sites, keep(c), &c->groups, &c->err), MC_OK);
    cr_assert_eq(mc_stages_find(c->graph, &c->sites, &c->groups, keep(c), &c->stages, &c->err),
                 MC_OK);
}

void walk_case_close(walk_case *c)
{
    mc_dataset_close(c->data);
    mc_region_close(&c->region);
    mc_model_close(&c->model);
}

mc_id walk_case_value(const walk_case *c, const char *name)
{
    const mc_id value = mc_graph_find(c->graph, name);
    cr_assert_neq(value, MC_NONE, "%s", name);
    return value;
}

size_t walk_case_group(const walk_case *c, const char *value)
{
    const mc_id id = walk_case_value(c, value);
    for (size_t g = 0; g < c->groups.groups; g++)
        if (c->groups.group[g].value == id) return g;
    return SIZE_MAX;
}

/* ---- weights ---- */

static bool ends_so(const char *name, const char *ending)
{
    const size_t a = strlen(name), b = ending ? strlen(ending) : 0;
    return !ending || (a >= b && strcmp(name + a - b, ending) == 0);
}

static mc_status read_scaled(const mc_weights *from, const mc_tensor *t, uint64_t first,
                             uint64_t count, float *out, mc_err *err)
{
    (void)err;
    const scaled_weights *s = (const scaled_weights *)from;
    mc_to_f32(t->dtype, t->data + first * (mc_dtype_about(t->dtype)->bits / 8), out, (size_t)count);
    if (ends_so(t->name, s->ending))
        for (uint64_t i = 0; i < count; i++) out[i] *= s->factor;
    return MC_OK;
}

scaled_weights scaled_weights_of(const char *ending, float factor)
{
    return (scaled_weights){{.read = read_scaled}, ending, factor};
}

/* ---- plain runs ---- */

static mc_nd copied(walk_case *c, const mc_nd *nd)
{
    mc_nd copy = *nd;
    const size_t bytes = nd->count * mc_nd_width(nd->dtype);
    copy.data = mc_alloc_raw(keep(c), bytes + 1, 1);
    cr_assert_not_null(copy.data);
    if (bytes > 0) memcpy(copy.data, nd->data, bytes);
    return copy;
}

static void take_input(walk_case *c, const mc_run *run, size_t group, size_t sample, mc_nd *out)
{
    const mc_nd *x = mc_run_value(run, c->groups.group[group].value);
    cr_assert_not_null(x);
    out[group * c->samples + sample] = copied(c, x);
}

/* Behind each step its node's inputs are still there. */
static void run_plain(walk_case *c, mc_run *run, size_t sample, mc_nd *out)
{
    mc_arena loan = c->region.arena;
    loan.at += (size_t)(loan.end - loan.at) / 2;
    mc_nd *input = MC_NEW(&loan, mc_nd, c->graph->inputs + 1);
    const mc_nd **in = MC_NEW(&loan, const mc_nd *, c->graph->inputs + 1);
    cr_assert(input && in);
    cr_assert_eq(mc_dataset_sample(c->data, sample, &loan, input, &c->err), MC_OK);
    for (size_t i = 0; i < c->graph->inputs; i++) in[i] = &input[i];
    cr_assert_eq(mc_run_begin(run, in, c->graph->inputs, &c->err), MC_OK, "%s", c->err.text);
    for (size_t g = 0; g < c->groups.groups; g++) /* computed when the executor opened */
        if (c->stages.constant[c->groups.group[g].value]) take_input(c, run, g, sample, out);
    for (mc_id node = 0; node != MC_NONE;) {
        cr_assert_eq(mc_run_step(run, &node, &c->err), MC_OK, "%s", c->err.text);
        for (size_t g = 0; node != MC_NONE && g < c->groups.groups; g++)
            if (c->groups.group[g].first == node) take_input(c, run, g, sample, out);
    }
}

mc_nd *walk_case_plain(walk_case *c, const mc_weights *weights, const mc_act_spec *act)
{
    mc_exec *exec = NULL;
    mc_run *run = NULL;
    const mc_exec_options how = {.name = "plain",
                                 .weights = weights,
                                 .cache_bytes = UINT64_MAX,
                                 .numerics = act ? MC_NUMERICS_FAKE_QUANT : MC_NUMERICS_FLOAT,
                                 .activation_bits = 16,
                                 .sites = &c->sites,
                                 .act = act,
                                 .keep_inputs = true};
    mc_nd *out = MC_NEW(keep(c), mc_nd, c->groups.groups * c->samples + 1);
    cr_assert_not_null(out);
    cr_assert_eq(mc_exec_open(c->graph, &how, &exec, &c->err), MC_OK, "%s", c->err.text);
    cr_assert_eq(mc_run_open(exec, 0, &run, &c->err), MC_OK, "%s", c->err.text);
    for (size_t s = 0; s < c->samples; s++) run_plain(c, run, s, out);
    mc_run_close(run);
    mc_exec_close(exec);
    return out;
}

/* ---- walks ---- */

mc_walk_options walk_case_options(const walk_case *c, mc_pool *pool)
{
    return (mc_walk_options){.name = "model",
                             .stages = &c->stages,
                             .data = c->data,
                             .samples = c->samples,
                             .cache_bytes = UINT64_MAX,
                             .pool = pool};
}

bool walk_case_same(const mc_nd *a, const mc_nd *b)
{
    return a->dtype == b->dtype && mc_nd_same_shape(a, b) &&
           (a->count == 0 || memcmp(a->data, b->data, a->count * mc_nd_width(a->dtype)) == 0);
}

bool walk_case_next(walk_case *c, mc_walk *walk, unsigned streams, mc_nd *const *plain)
{
    const mc_input_group *group;
    cr_assert_eq(mc_walk_next(walk, &group, &c->err), MC_OK, "%s", c->err.text);
    if (!group) return false;
    const size_t g = (size_t)(group - c->groups.group);
    for (unsigned s = 0; s < streams; s++)
        for (size_t i = 0; i < c->samples; i++) {
            const mc_nd x = mc_walk_input(walk, s, i);
            cr_expect(walk_case_same(&x, &plain[s][g * c->samples + i]),
                      "stream %u, group %zu (%s), sample %zu", s, g,
                      c->sites.site[group->site[0]].name, i);
        }
    return true;
}
