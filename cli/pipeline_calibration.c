/* What calibration runs on: the graph in the form that codes are chosen for, and the samples. */
#include "cli/pipeline_stats.h"

#include "core/passes.h"
#include <string.h>

#include <inttypes.h>

/* Tokens (samples, of arrays) unless --max-tokens says otherwise. */
static const uint64_t usual_tokens = 131072;

static mc_status open_graph(mc_calibration *c, mc_err *err)
{
    /* A norm that is folded takes its convolution's weight out of the source's hands. */
    static const char *const no_folding[] = {"batchnorm", NULL};
    const mc_graph *source = c->model->graph;
    const size_t lists = (source->values + source->nodes) * 4096;
    MC_TRY(
        mc_region_open(&c->memory, mc_graph_prepare_memory(source) * 2 + lists + (1 << 20), err));
    mc_arena *mem = &c->memory.arena;
    MC_TRY(mc_graph_prepare(source, no_folding, mem, &c->graph, err));
    MC_TRY(mc_sites_find(c->graph, mem, &c->sites, err));
    MC_TRY(mc_input_groups_find(c->graph, &c->sites, mem, &c->groups, err));
    return mc_stages_find(c->graph, &c->sites, &c->groups, mem, &c->stages, err);
}

static mc_status open_data(mc_calibration *c, const mc_options *o, const char *path, mc_err *err)
{
    const mc_dataset_options how = {
        .window = o->window, .shuffled = o->seeded, .seed = o->seed, .no_follow = o->no_follow};
    MC_TRY(mc_dataset_open(path, c->model, &how, &c->data, err));
    if (mc_dataset_kind(c->data) == MC_DATA_CHOICES)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "--calib: %s holds questions; calibration takes text, "
                       "token ids or arrays",
                       path);
    const bool tokens = mc_dataset_kind(c->data) == MC_DATA_TOKENS;
    const uint64_t each = tokens ? mc_dataset_window(c->data) : 1;
    const uint64_t most = (o->max_tokens ? o->max_tokens : usual_tokens) / each;
    const uint64_t all = mc_dataset_samples(c->data);
    if (all == 0) return mc_fail(err, MC_E_FORMAT, "--calib: %s holds no sample", path);
    c->samples = (size_t)(all < most ? all : most);
    if (c->samples == 0)
        return mc_fail(err, MC_E_USAGE, "--max-tokens %llu is less than one window of %llu tokens",
                       (unsigned long long)o->max_tokens, (unsigned long long)each);
    c->tokens = c->samples * each;
    return MC_OK;
}

mc_status mc_calibration_open(const mc_model *model, const mc_options *options, const char *path,
                              mc_calibration *out, mc_err *err)
{
    *out = (mc_calibration){.model = model};
    mc_calib_kind kind = MC_CALIB_NONE;
    if (path) MC_TRY(mc_calib_kind_of(path, options->no_follow, &kind, err));
    if (model->graph) MC_TRY(open_graph(out, err));
    if (kind == MC_CALIB_NONE) return MC_OK;
    if (!out->graph)
        return mc_fail(err, MC_E_UNSUPPORTED, "--calib: %s cannot be run (%s)", model->path,
                       model->no_graph);
    return kind == MC_CALIB_DATA ? open_data(out, options, path, err)
                                 : mc_known_open(model, path, options->no_follow, &out->known, err);
}

/* ---- what was asked for ---- */

/* Options that would do nothing are refused by name. */
static mc_status refuse_idle(const mc_plan *plan, mc_err *err)
{
    const mc_options *o = plan->options;
    const bool acts = o->activation_bits && o->activation_bits < 16;
    if (!o->calib && mc_chain_wants_data(&plan->chain))
        return mc_fail(err, MC_E_USAGE, "method %s needs data: --calib DATA", plan->method);
    if (!o->calib && o->act == MC_ACT_KIND_STATIC)
        return mc_fail(err, MC_E_USAGE, "--act static needs data: --calib DATA");
    if (!o->calib && o->max_tokens)
        return mc_fail(err, MC_E_USAGE, "--max-tokens is for calibration: --calib DATA");
    if (!o->calib && o->sequence != MC_SEQUENCE_UNSET)
        return mc_fail(err, MC_E_USAGE, "%s is for calibration: --calib DATA",
                       o->sequence == MC_SEQUENCE_NO ? "--no-sequential" : "--sequential");
    if (!o->calib && o->checkpoint)
        return mc_fail(err, MC_E_USAGE, "--checkpoint is for calibration: --calib DATA");
    if (o->act != MC_ACT_KIND_UNSET && !acts)
        return mc_fail(err, MC_E_USAGE,
                       "--act: the scheme leaves activations as they are (take --w4a8, ...)");
    if (o->act != MC_ACT_KIND_STATIC && (o->observer || o->act_per_channel))
        return mc_fail(err, MC_E_USAGE, "%s is for --act static",
                       o->observer ? "--observer" : "--act-per-channel");
    if (o->observer && o->act_per_channel)
        return mc_fail(err, MC_E_USAGE, "--observer: scales of channels span their range");
    if ((!o->kv_bits || o->kv_bits >= 16) && (o->kv_group || o->kv_windowed))
        return mc_fail(err, MC_E_USAGE, "%s: the scheme leaves the cache as it is (take --w4a8kv8)",
                       o->kv_group ? "--kv-group" : "--kv-window");
    if (!acts && (o->act_symmetry || o->act_power_of_two))
        return mc_fail(err, MC_E_USAGE, "%s: the scheme leaves activations as they are",
                       o->act_power_of_two          ? "--act-pow2"
                       : o->act_symmetry == MC_ASYM ? "--act-asym"
                                                    : "--act-sym");
    return MC_OK;
}

/* Of a cache of keys and values: tokens that share a scale, and those that stay as they are. */
enum { KV_GROUP = 64, KV_WINDOW = 64 };

mc_status mc_plan_calib_kind(mc_plan *plan, mc_err *err)
{
    const mc_options *o = plan->options;
    plan->calib_kind = MC_CALIB_NONE;
    if (o->calib) MC_TRY(mc_calib_kind_of(o->calib, o->no_follow, &plan->calib_kind, err));
    plan->calibrated = o->calib != NULL;
    plan->sequential = plan->calib_kind == MC_CALIB_DATA && o->sequence != MC_SEQUENCE_NO;
    return MC_OK;
}

mc_status mc_plan_calibration(mc_plan *plan, mc_err *err)
{
    static const char usual_observer[] = "octav";
    const mc_options *o = plan->options;
    MC_TRY(refuse_idle(plan, err));
    plan->act_static = o->act == MC_ACT_KIND_STATIC;
    plan->act_asymmetric =
        o->act_symmetry == MC_SYM_UNSET ? plan->act_static : o->act_symmetry == MC_ASYM;
    plan->act_power_of_two = o->act_power_of_two;
    if ((plan->act_asymmetric || plan->act_power_of_two) && !plan->model->graph)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "activations other than symmetric, dynamic ones are recorded for each site, "
                       "and %s has no graph (%s)",
                       plan->model->path, plan->model->no_graph);
    plan->act_per_channel = o->act_per_channel;
    plan->kv = (mc_kv_spec){.bits = 16};
    if (o->kv_bits && o->kv_bits < 16)
        plan->kv = (mc_kv_spec){.bits = (uint8_t)o->kv_bits,
                                .group = o->kv_group ? (uint32_t)o->kv_group : KV_GROUP,
                                .window = o->kv_windowed ? (uint32_t)o->kv_window : KV_WINDOW};
    if (plan->calibrated) MC_TRY(mc_calib_refuse(plan, o->calib, err));
    return mc_observe_setup_parse(o->observer ? o->observer : usual_observer, &plan->observer, err);
}

void mc_calibration_close(mc_calibration *c)
{
    if (c->data) mc_dataset_close(c->data);
    mc_known_close(c->known);
    mc_region_close(&c->memory);
    *c = (mc_calibration){.model = NULL};
}

/* ---- what it was ---- */

/* Statistics say it themselves. */
static const char *data_of_known(const mc_known *known, mc_arena *mem)
{
    static const char tail[] = MC_WITHOUT_GRAMS;
    const mc_stats_about *about = mc_known_about(known);
    if (!about) return "an importance matrix";
    const size_t length = strlen(about->data), cut = sizeof tail - 1;
    const bool ends = length >= cut && strcmp(about->data + length - cut, tail) == 0;
    return mc_copy_text(mem, about->data, ends ? length - cut : length);
}

const char *mc_calibration_data(const mc_calibration *c, const mc_options *o, mc_arena *mem)
{
    if (!c->data) return c->known ? data_of_known(c->known, mem) : "";
    uint8_t digest[MC_SHA256_BYTES];
    char hex[MC_SHA256_HEX];
    mc_dataset_hash(c->data, digest);
    mc_hex(digest, sizeof digest, hex);
    return o->seeded ? mc_format(mem, "%zu samples of sha256 %s shuffled by seed %" PRIu64,
                                 c->samples, hex, o->seed)
                     : mc_format(mem, "first %zu samples of sha256 %s", c->samples, hex);
}
