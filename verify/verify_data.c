/* Running data sets: prepares the two models once, then streams the samples of each set through
 * the pool, every sample through both models. */
#include "verify/verify_data.h"

#include "core/act.h"
#include "core/clock.h"
#include "core/passes.h"
#include "core/text.h"
#include "verify/data_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SITE_SAMPLES = 64, ALIGN = 64 };

typedef struct {
    const mc_data_input *in;
    mc_region work; /* the execution graph, what runs need */
    mc_graph *graph;
    mc_sites sites;
    mc_container_weights weights;
    mc_exec_numerics numerics;
    const mc_act_spec *act; /* of each site; NULL: all alike */
    mc_pair_of_models pair;
    mc_site_sums *site_sums;
    uint64_t site_samples;
    mc_logits_file logits;
} session;

/* One data set on its way. */
typedef struct {
    session *s;
    mc_judging judging;
    mc_dump dump;
    bool dumps, sees_sites;
    size_t judge_at, dump_at, slot_bytes; /* in a slot */
} stream_of;

/* ---- the models ---- */

static mc_status open_models(session *s, mc_err *err)
{
    /* What a norm is folded into is no longer the container's weight, and no site. */
    static const char *const no_folding[] = {"batchnorm", NULL};
    const mc_data_input *in = s->in;
    mc_arena *mem = &s->work.arena;
    MC_TRY(mc_graph_prepare(in->reference->graph, no_folding, mem, &s->graph, err));
    MC_TRY(mc_sites_find(s->graph, mem, &s->sites, err));
    MC_TRY(mc_container_weights_open(in->container, mem, &s->weights, err));
    mc_exec_options options = {.name = in->reference->path,
                               .cache_bytes = in->cache_bytes / 2,
                               .sites = &s->sites,
                               .keep_inputs = true,
                               .activation_bits = 16};
    s->pair = (mc_pair_of_models){.graph = s->graph, .sites = &s->sites};
    if (!in->logits_in) MC_TRY(mc_exec_open(s->graph, &options, &s->pair.original, err));
    MC_TRY(mc_container_acts(&s->weights, &s->sites, mem, &s->act, err));
    options.weights = &s->weights.weights;
    options.numerics = s->numerics;
    options.act = s->act;
    options.kv = in->container->kv;
    if (s->numerics != MC_NUMERICS_FLOAT)
        options.activation_bits = in->container->numerics.activation_bits;
    return mc_exec_open(s->graph, &options, &s->pair.container, err);
}

/* ---- a data set ---- */

static mc_status choose_judge(const session *s, const mc_dataset *d, const mc_judge **judge,
                              mc_err *err)
{
    int64_t ignored;
    const mc_graph *g = s->graph;
    if (mc_dataset_kind(d) != MC_DATA_ARRAYS) {
        if (s->in->reference->task != MC_TASK_LANGUAGE)
            return mc_fail(err, MC_E_UNSUPPORTED,
                           "tokens and questions need a language model; this one gives no logits");
        *judge = mc_dataset_kind(d) == MC_DATA_TOKENS ? &mc_judge_language : &mc_judge_choices;
        return MC_OK;
    }
    const bool labels = mc_dataset_label(d, 0, &ignored);
    *judge = labels && g->outputs > 0 ? &mc_judge_classes : &mc_judge_outputs;
    return MC_OK;
}

/* Runs the first sample to see what shapes the outputs have, and what a run takes. */
static mc_status probe(stream_of *st, mc_nd *shape, mc_data_report *out, mc_err *err)
{
    mc_judging *j = &st->judging;
    mc_lane *lane = &j->pair->lane[0];
    mc_arena mem = lane->room.arena;
    MC_TRY(mc_dataset_sample(j->data, 0, &mem, lane->input, err));
    MC_TRY(mc_run_all(lane->container, lane->inputs, j->pair->graph->inputs, err));
    for (size_t i = 0; i < j->pair->graph->outputs; i++) {
        const mc_nd *nd = mc_run_value(lane->container, j->pair->graph->output[i]);
        if (!nd) return mc_fail(err, MC_E_INTERNAL, "an output is missing");
        shape[i] = *nd;
        shape[i].data = NULL;
        shape[i].lazy = NULL;
    }
    if (out->macs) return MC_OK;

    mc_region memory;
    const size_t values = j->pair->graph->values;
    MC_TRY(mc_region_open(&memory, values * (sizeof(mc_nd) + 64) + ((size_t)64 << 20), err));
    mc_nd *all = MC_NEW(&memory.arena, mc_nd, values + 1);
    mc_status status = all ? MC_OK : mc_no_room(err, "the shapes of a graph");
    if (status == MC_OK)
        status = mc_graph_infer(j->pair->graph, lane->input, all, &memory.arena, err);
    if (status == MC_OK) out->macs = mc_graph_macs(j->pair->graph, all);
    const bool tokens = j->judge == &mc_judge_language && lane->input[0].ndim == 2;
    if (tokens && out->macs != UINT64_MAX && lane->input[0].dim[1] > 0)
        out->macs /= (uint64_t)lane->input[0].dim[1];
    mc_region_close(&memory);
    return status;
}

/* What the first sample took, on every thread, and the weights that stay decoded. The limit is held
 * before the many samples are run, not after. */
static mc_status check_memory(const stream_of *st, mc_err *err)
{
    const mc_data_input *in = st->s->in;
    const uint64_t now = mc_peak_memory();
    const uint64_t lane = 2 * mc_run_peak(st->judging.pair->lane[0].container);
    const uint64_t slots = mc_stream_slots(mc_pool_threads(in->pool)) * (uint64_t)st->slot_bytes;
    const uint64_t need = now + lane * mc_pool_threads(in->pool) + slots;
    if (!in->memory_limit || need <= in->memory_limit) return MC_OK;
    char asked[MC_SIZE_TEXT], limit[MC_SIZE_TEXT];
    return mc_fail(err, MC_E_BUDGET,
                   "running both models needs up to %s of memory with %u threads, --memory-limit "
                   "is %s",
                   mc_size_text(need, asked), mc_pool_threads(in->pool),
                   mc_size_text(in->memory_limit, limit));
}

static mc_status make(void *data, size_t i, void *slot, mc_arena scratch, mc_err *err)
{
    (void)scratch;
    const stream_of *st = data;
    const mc_judging *j = &st->judging;
    unsigned char *at = slot;
    mc_site_sums *sites = st->sees_sites && i < st->s->site_samples ? slot : NULL;
    if (sites) memset(sites, 0, st->s->sites.sites * sizeof *sites);
    mc_lane *lane = mc_lane_take(j->pair);
    mc_status status = j->judge->see(j, lane, i, sites, at + st->judge_at, err);
    if (status == MC_OK && st->dumps)
        status = mc_dump_see(&st->dump, j, lane, at + st->dump_at, err);
    mc_lane_give(lane);
    return status;
}

static mc_status take(void *data, size_t i, void *slot, mc_err *err)
{
    stream_of *st = data;
    const unsigned char *at = slot;
    const mc_site_sums *sites = slot;
    for (size_t k = 0; st->sees_sites && i < st->s->site_samples && k < st->s->sites.sites; k++) {
        mc_site_sums *to = &st->s->site_sums[k];
        to->yy += sites[k].yy;
        to->ee += sites[k].ee;
        to->own_yy += sites[k].own_yy;
        to->own_ee += sites[k].own_ee;
        to->rows += sites[k].rows;
    }
    MC_TRY(st->judging.judge->take(&st->judging, i, at + st->judge_at, err));
    if (st->dumps) MC_TRY(mc_dump_take(&st->dump, i, at + st->dump_at, err));
    mc_meter_add(st->s->in->meter, 1);
    return MC_OK;
}

static size_t aligned(size_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static mc_status open_outputs(stream_of *st, mc_arena *mem, mc_err *err)
{
    const mc_data_input *in = st->s->in;
    mc_judging *j = &st->judging;
    if (in->dump) {
        if (j->judge == &mc_judge_choices || j->logits)
            return mc_fail(err, MC_E_USAGE, "--dump: needs samples that both models run once");
        MC_TRY(mc_dump_open(in->dump, in->replace, j, mem, &st->dump, err));
        st->dumps = true;
    }
    if (!in->logits_out) return MC_OK;
    if (j->judge != &mc_judge_language)
        return mc_fail(err, MC_E_USAGE, "--logits-out: needs text or token ids");
    return mc_logits_out_open(in->logits_out, in->replace, (uint32_t)mc_dataset_window(j->data),
                              (uint32_t)j->shape[0].dim[j->shape[0].ndim - 1], (uint32_t)j->samples,
                              &j->logits_out, err);
}

static mc_status run_stream(stream_of *st, mc_arena *mem, mc_err *err)
{
    mc_judging *j = &st->judging;
    MC_TRY(j->judge->open(j, mem, err));
    st->judge_at = aligned(st->sees_sites ? st->s->sites.sites * sizeof(mc_site_sums) : 0);
    st->dump_at = aligned(st->judge_at + j->judge->slot_bytes(j));
    st->slot_bytes = st->dump_at + (st->dumps ? mc_dump_slot_bytes(&st->dump) : 0);
    MC_TRY(check_memory(st, err));
    const mc_stream stream = {
        .n = (size_t)j->samples, .slot_bytes = st->slot_bytes, .make = make, .take = take};
    return mc_pool_stream(st->s->in->pool, &stream, st, err);
}

static mc_status commit_outputs(stream_of *st, mc_err *err)
{
    mc_logits_out *logits = st->judging.logits_out;
    st->judging.logits_out = NULL;
    if (logits) MC_TRY(mc_logits_out_commit(logits, err));
    return st->dumps ? mc_dump_commit(&st->dump, err) : MC_OK;
}

static mc_status judge_set(stream_of *st, mc_nd *shape, mc_arena *mem, mc_data_report *out,
                           mc_outcome *outcome, mc_err *err)
{
    mc_judging *j = &st->judging;
    outcome->task = j->judge->task;
    outcome->samples = j->samples;
    if (j->judge != &mc_judge_choices) MC_TRY(probe(st, shape, out, err));
    MC_TRY(open_outputs(st, mem, err));
    MC_TRY(run_stream(st, mem, err));
    j->judge->finish(j, outcome);
    if (j->judge == &mc_judge_language) MC_TRY(mc_continue_texts(j, mem, outcome, err));
    return commit_outputs(st, err);
}

/* Of a sample's inputs and what a judge works in: address space, of which little is used. */
static const uint64_t input_room = (uint64_t)4 << 30;

/* Which attentions of the last sample took part in a quantized cache. */
static mc_status see_cache(const mc_pair_of_models *pair, const mc_lane *lane, mc_arena *mem,
                           mc_data_report *out, mc_err *err)
{
    const mc_kv_use *kv = mc_run_kv(lane->container);
    if (kv->applied + kv->left == 0 || out->kv_applied + out->kv_left > 0) return MC_OK;
    out->kv_applied = kv->applied;
    out->kv_left = kv->left;
    if (!kv->first_left) return MC_OK;
    char text[MC_NODE_TEXT];
    const mc_id node = (mc_id)(kv->first_left - pair->graph->node);
    const char *name =
        node < pair->graph->nodes ? mc_node_show(pair->graph, node, text) : "a node of a subgraph";
    out->kv_why = mc_format(mem, "%s: %s", name, kv->why);
    return out->kv_why ? MC_OK : mc_no_room(err, "a report");
}

static mc_status run_set(session *s, size_t i, mc_arena *mem, mc_data_report *out, mc_err *err)
{
    const mc_data_input *in = s->in;
    mc_outcome *outcome = &out->outcome[i];
    stream_of st = {.s = s, .sees_sites = i == 0};
    mc_dataset *d;
    uint8_t digest[MC_SHA256_BYTES];
    MC_TRY(mc_dataset_open(in->data[i].path, in->reference, &in->options, &d, err));
    mc_dataset_hash(d, digest);
    mc_outcome_clear(outcome);
    outcome->name = in->data[i].name;
    outcome->path = in->data[i].path;
    mc_hex(digest, sizeof digest, outcome->hash);
    mc_nd *shape = MC_NEW(mem, mc_nd, s->graph->outputs + 1);
    mc_status status = shape ? MC_OK : mc_no_room(err, "the shapes of outputs");
    st.judging = (mc_judging){.pair = &s->pair,
                              .data = d,
                              .shape = shape,
                              .samples = mc_dataset_samples(d),
                              .logits = s->logits.map.data ? &s->logits : NULL};
    if (status == MC_OK) status = choose_judge(s, d, &st.judging.judge, err);
    if (status == MC_OK)
        status = mc_lanes_open(&s->pair, mc_pool_threads(in->pool), input_room, mem, err);
    if (status == MC_OK) status = judge_set(&st, shape, mem, out, outcome, err);
    for (size_t k = 0; k < s->pair.lanes; k++) {
        const uint64_t peak = mc_run_peak(s->pair.lane[k].container);
        if (peak > out->ram_bytes) out->ram_bytes = peak;
        if (status == MC_OK) status = see_cache(&s->pair, &s->pair.lane[k], mem, out, err);
    }
    mc_lanes_close(&s->pair);
    mc_dump_discard(&st.dump);
    mc_logits_out_discard(st.judging.logits_out);
    mc_dataset_close(d);
    const char *path = in->data[i].path;
    const bool named = strncmp(err->text, path, strlen(path)) == 0;
    return status == MC_OK || named ? status : mc_wrap(err, "%s", path);
}

/* ---- sites ---- */

static double decibels(double signal, double noise)
{
    if (signal == 0.0 && noise == 0.0) return (double)NAN; /* nothing came by, or nothing but 0 */
    return noise == 0.0 ? (double)INFINITY : 10.0 * log10(signal / noise);
}

static const mc_weight_spec *spec_of(const session *s, const mc_tensor *t)
{
    const mc_container *c = s->in->container;
    for (size_t i = 0; i < c->weights; i++)
        if (strcmp(c->weight[i].name, t->name) == 0) return &c->weight[i];
    return NULL;
}

static double weight_bits(const mc_weight_spec *spec)
{
    const double count = spec ? (double)(spec->rows * spec->cols) : 0.0;
    return count > 0.0 ? 8.0 * (double)mc_weight_bytes(spec) / count : (double)NAN;
}

/* A transform scales or turns what an edited weight gives: there is nothing to hold it against. */
static mc_site_sums comparable_sums(const mc_site_sums *sums, const mc_weight_spec *spec)
{
    if (!spec || !spec->edited) return *sums;
    return (mc_site_sums){.rows = sums->rows};
}

/* What qsort's comparison needs; reports are made one at a time. */
typedef struct {
    double sqnr;
    size_t at;
} ranked;

static int by_sqnr(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    const double p = isnan(x->sqnr) ? -(double)INFINITY : x->sqnr; /* went wrong: the worst */
    const double q = isnan(y->sqnr) ? -(double)INFINITY : y->sqnr;
    if (p != q) return p < q ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

/* What was done to the input of a site. */
static mc_act_spec input_of(const session *s, size_t i)
{
    mc_act_spec act = {.mode = MC_ACT_FLOAT};
    const unsigned bits = s->in->container->numerics.activation_bits;
    if (s->sites.site[i].kind == MC_SITE_EMBEDDING) return act;
    if (s->act)
        act = s->act[i];
    else if (bits < 16)
        act = mc_act_dynamic(bits);
    if (s->numerics == MC_NUMERICS_FLOAT) act = (mc_act_spec){.hadamard = act.hadamard};
    act.scale = NULL; /* the container's, or the graph's memory */
    act.zero = NULL;
    return act;
}

static mc_status report_sites(const session *s, mc_arena *mem, mc_data_report *out, mc_err *err)
{
    const size_t n = s->sites.sites;
    out->site = MC_NEW(mem, mc_site_report, n + 1);
    size_t *order = MC_NEW(mem, size_t, n + 1);
    ranked *rank = MC_NEW(mem, ranked, n + 1);
    if (!out->site || !order || !rank) return mc_no_room(err, "the sites of a report");
    for (size_t i = 0; i < n; i++) {
        const mc_site *site = &s->sites.site[i];
        const mc_weight_spec *spec = spec_of(s, site->weight);
        const mc_site_sums kept = comparable_sums(&s->site_sums[i], spec), *sums = &kept;
        out->site[i] = (mc_site_report){
            .name = mc_copy_text(mem, site->name, strlen(site->name)),
            .tensor = site->weight->name,
            .kind = site->kind,
            .input_bits = 16,
            .input = input_of(s, i),
            .weight_bits = weight_bits(spec),
            .rows = sums->rows,
            .output_sqnr_db = decibels(sums->yy, sums->ee),
            .own_output_sqnr_db = decibels(sums->own_yy, sums->own_ee),
        };
        if (!out->site[i].name) return mc_no_room(err, "the sites of a report");
        if (out->site[i].input.mode != MC_ACT_FLOAT)
            out->site[i].input_bits = out->site[i].input.bits;
        rank[i] = (ranked){out->site[i].output_sqnr_db, i};
        if (sums->yy == 0.0 && sums->ee == 0.0) rank[i].sqnr = (double)INFINITY;
    }
    qsort(rank, n, sizeof *rank, by_sqnr);
    for (size_t i = 0; i < n; i++) order[i] = rank[i].at;
    out->sites = n;
    out->worst_first = order;
    return MC_OK;
}

/* ---- the whole ---- */

static const char *simulated(mc_exec_numerics numerics)
{
    switch (numerics) {
    case MC_NUMERICS_FLOAT: return "float";
    case MC_NUMERICS_FAKE_QUANT: return "fake-quant";
    case MC_NUMERICS_INTEGER: return "integer";
    }
    return "unknown";
}

static mc_status verify(session *s, mc_arena *mem, mc_data_report *out, mc_err *err)
{
    const mc_data_input *in = s->in;
    if (in->logits_in) MC_TRY(mc_logits_open(in->logits_in, &s->logits, err));
    if (!mc_numerics_act(&in->container->numerics) && !in->container->kv)
        s->numerics = MC_NUMERICS_FLOAT;
    MC_TRY(open_models(s, err));
    out->simulated = simulated(s->numerics);
    out->activation_bits =
        s->numerics == MC_NUMERICS_FLOAT ? 16 : in->container->numerics.activation_bits;
    out->outcome = MC_NEW(mem, mc_outcome, in->datas + 1);
    s->site_sums = MC_NEW(mem, mc_site_sums, s->sites.sites + 1);
    if (!out->outcome || !s->site_sums) return mc_no_room(err, "figures");
    for (size_t i = 0; i < in->datas; i++) {
        MC_TRY(run_set(s, i, mem, out, err));
        out->outcomes++;
    }
    const uint64_t seen = out->outcomes ? out->outcome[0].samples : 0;
    out->site_samples = seen < s->site_samples ? seen : s->site_samples;
    return in->logits_in ? MC_OK : report_sites(s, mem, out, err);
}

mc_status mc_verify_data(const mc_data_input *input, mc_arena *mem, mc_data_report *out,
                         mc_err *err)
{
    session s = {.in = input,
                 .numerics = input->numerics,
                 .site_samples = input->site_samples ? input->site_samples : SITE_SAMPLES};
    *out = (mc_data_report){.activation_bits = 16};
    MC_TRY(mc_region_open(&s.work,
                          mc_graph_prepare_memory(input->reference->graph) * 2 +
                              2 * input->reference->graph->nodes * sizeof(mc_act_spec) +
                              input->container->weights * 64 + input->container->acts + 4096,
                          err));
    const mc_status status = verify(&s, mem, out, err);
    if (s.pair.original) mc_exec_close(s.pair.original);
    if (s.pair.container) mc_exec_close(s.pair.container);
    mc_logits_close(&s.logits);
    mc_region_close(&s.work);
    return status;
}

/* Address space: lists of sites, figures, a ROC curve and quantiles for each data set. */
size_t mc_verify_data_memory(const mc_data_input *in)
{
    const size_t nodes = in->reference->graph ? in->reference->graph->nodes : 0;
    return nodes * 4096 + in->datas * ((size_t)64 << 20) + ((size_t)16 << 20);
}
