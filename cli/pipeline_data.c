/* From options to figures of the models at work: see pipeline_data.h. */
#include "cli/pipeline_data.h"

#include "core/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* Decoded weights of both models that stay in memory unless --memory-limit says otherwise. */
#define USUAL_CACHE ((uint64_t)8 << 30)

static bool has_data(const mc_options *o)
{
    return o->datas > 0 || o->logits_in;
}

mc_status mc_data_options_check(const mc_options *o, mc_err *err)
{
    const struct {
        const char *name;
        bool said;
    } needs[] = {
        {"--quick", o->quick > 0},
        {"--window", o->window > 0 && !o->calib},
        {"--seed", o->seeded && !o->calib},
        {"--numerics", o->numerics != MC_NUMERICS_UNSET},
        {"--dump", o->dump != NULL},
        {"--score", o->score != NULL},
        {"--logits-out", o->logits_out != NULL},
    };
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
        if (needs[i].said && !has_data(o))
            return mc_fail(err, MC_E_USAGE, "%s needs --data: there is nothing to run",
                           needs[i].name);
    if (o->score && !o->dump)
        return mc_fail(err, MC_E_USAGE, "--score needs --dump FILE: the outputs that CMD looks at");
    if (o->logits_in && (o->datas || o->logits_out || o->dump))
        return mc_fail(err, MC_E_USAGE,
                       "--logits-in is the data itself: without --data, --dump and --logits-out");
    return MC_OK;
}

mc_status mc_data_model_check(const mc_model *reference, const mc_options *o, mc_err *err)
{
    if (!has_data(o) || reference->graph) return MC_OK;
    return mc_fail(err, MC_E_UNSUPPORTED, "%s: --data needs a model that can be run: %s",
                   reference->path, reference->no_graph ? reference->no_graph : "it has no graph");
}

mc_exec_numerics mc_data_numerics(const mc_options *o, const mc_numerics *container)
{
    if (!mc_numerics_act(container) && container->kv_bits >= 16) return MC_NUMERICS_FLOAT;
    switch (o->numerics) {
    case MC_NUMERICS_SAID_FLOAT: return MC_NUMERICS_FLOAT;
    case MC_NUMERICS_SAID_INTEGER: return MC_NUMERICS_INTEGER;
    default: return MC_NUMERICS_FAKE_QUANT;
    }
}

/* ---- --score ---- */

/* The last number that the program prints on its standard output. */
static mc_status read_score(FILE *from, const char *command, double *score, mc_err *err)
{
    char line[256], last[256] = "";
    while (fgets(line, sizeof line, from))
        if (line[strspn(line, " \t\r\n")]) memcpy(last, line, sizeof last);
    const char *text = last + strspn(last, " \t");
    const size_t n = strcspn(text, " \t\r\n");
    mc_json *number;
    mc_err ignored;
    *score = (double)NAN;
    if (n && mc_json_parse(text, n, "score", &number, &ignored) == MC_OK) {
        *score = mc_json_as_num(number, (double)NAN);
        mc_json_free(number);
    }
    if (isfinite(*score)) return MC_OK;
    return mc_fail(err, MC_E_USAGE, "--score %s: printed '%.*s', not a number", command, (int)n,
                   text);
}

/* The shell runs it with the file's name as its argument. */
static mc_status run_score(const mc_options *o, double *score, mc_err *err)
{
    static const char tail[] = " \"$MCOMPRESS_DUMP\"";
    const size_t room = strlen(o->score) + sizeof tail;
    char command[4096];
    if (room > sizeof command)
        return mc_fail(err, MC_E_USAGE, "--score: the command is longer than %zu bytes",
                       sizeof command - sizeof tail);
    snprintf(command, sizeof command, "%s%s", o->score, tail);
    if (setenv("MCOMPRESS_DUMP", o->dump, 1) != 0)
        return mc_fail_errno(err, errno, "--score: cannot name the file");
    fflush(NULL);
    FILE *from = popen(command, "r");
    if (!from) return mc_fail_errno(err, errno, "--score %s: cannot run", o->score);
    const mc_status status = read_score(from, o->score, score, err);
    const int ended = pclose(from);
    if (ended != 0)
        return mc_fail(err, MC_E_USAGE, "--score %s: ended with status %d", o->score,
                       WIFEXITED(ended) ? WEXITSTATUS(ended) : ended);
    return status;
}

/* ---- the run ---- */

static mc_data_input input_of(const mc_model *reference, const mc_container *container,
                              const mc_options *o)
{
    return (mc_data_input){
        .reference = reference,
        .container = container,
        .options = {.window = o->window,
                    .most = o->quick,
                    .shuffled = o->seeded,
                    .seed = o->seed,
                    .no_follow = o->no_follow},
        .numerics = mc_data_numerics(o, &container->numerics),
        .memory_limit = o->memory_limit,
        .cache_bytes = o->memory_limit ? o->memory_limit / 2 : USUAL_CACHE,
        .dump = o->dump,
        .logits_out = o->logits_out,
        .logits_in = o->logits_in,
        .replace = o->force,
        .datas = o->logits_in ? 1 : o->datas,
    };
}

size_t mc_data_memory(const mc_model *reference, const mc_container *container, const mc_options *o)
{
    if (!has_data(o)) return 0;
    const mc_data_input in = input_of(reference, container, o);
    return mc_verify_data_memory(&in) + (in.datas + 1) * sizeof(mc_named_data) +
           sizeof(mc_data_report) + 4096;
}

static mc_status name_data(const mc_options *o, mc_data_input *in, mc_arena *mem, mc_err *err)
{
    mc_named_data *data = MC_NEW(mem, mc_named_data, in->datas);
    if (!data) return mc_no_room(err, "data sets");
    for (size_t i = 0; i < in->datas; i++)
        data[i] = o->logits_in ? (mc_named_data){"", o->logits_in}
                               : (mc_named_data){o->data[i].name, o->data[i].path};
    in->data = data;
    return MC_OK;
}

mc_status mc_pipeline_data(const mc_model *reference, const mc_container *container,
                           const mc_options *o, mc_pool *pool, mc_arena *mem, mc_report *report,
                           mc_err *err)
{
    if (!has_data(o)) return MC_OK;
    MC_TRY(mc_data_model_check(reference, o, err));
    mc_data_input in = input_of(reference, container, o);
    mc_data_report *data = MC_NEW(mem, mc_data_report, 1);
    if (!data) return mc_no_room(err, "figures");
    in.pool = pool;
    MC_TRY(name_data(o, &in, mem, err));
    MC_TRY(mc_verify_data(&in, mem, data, err));
    report->data = data;
    report->numerics.measured =
        in.numerics != MC_NUMERICS_FLOAT && mc_numerics_act(&container->numerics);
    report->numerics.kv_measured = data->kv_applied > 0 && data->kv_left == 0;
    mc_numerics_headline(&report->numerics, report->headline);
    return o->score ? run_score(o, &report->score, err) : MC_OK;
}
