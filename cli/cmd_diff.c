/* diff A B: how far two models or containers are apart. */
#include "cli/commands.h"
#include "cli/diff.h"
#include "cli/output.h"
#include "cli/pipeline_budget.h"
#include "cli/progress.h"

typedef struct {
    mc_subject a, b;
    mc_pool *pool;
    mc_region memory;
} session;

static mc_status print(const session *s, const mc_diff *diff, bool as_json, mc_err *err)
{
    if (as_json) {
        mc_json_out *json;
        MC_TRY(mc_json_out_open(&json, err));
        mc_diff_json(json, &s->a, &s->b, diff);
        return mc_print_json(json, err);
    }
    mc_text text;
    mc_text_open(&text);
    mc_diff_text(&text, &s->a, &s->b, diff);
    return mc_print_text(&text, err);
}

static mc_status refuse_too_much(const session *s, const mc_options *options, mc_err *err)
{
    const unsigned threads = mc_pool_threads(s->pool);
    const uint64_t need = mc_diff_bytes_needed(&s->a, &s->b, threads);
    return mc_check_memory_limit(options, "diff", need, threads, err);
}

/* Damaged bytes would be compared as if they were the model's. */
static mc_status check_whole(const mc_subject *subject, mc_pool *pool, mc_err *err)
{
    return subject->is_container ? mc_container_check(&subject->container, pool, err) : MC_OK;
}

static mc_status compare(session *s, const mc_options *options, mc_err *err)
{
    MC_TRY(mc_subject_open(options->arg[0], options, &s->a, err));
    MC_TRY(mc_subject_open(options->arg[1], options, &s->b, err));
    MC_TRY(mc_region_open(&s->memory, mc_diff_memory(&s->a, &s->b), err));
    MC_TRY(mc_pool_open(&s->pool, options->threads, mc_diff_scratch(), err));
    MC_TRY(refuse_too_much(s, options, err));
    MC_TRY(check_whole(&s->a, s->pool, err));
    MC_TRY(check_whole(&s->b, s->pool, err));

    mc_diff diff;
    mc_progress *progress = mc_progress_open(mc_subject_bytes(&s->a), "comparing");
    const mc_diff_input input = {&s->a, &s->b, s->pool, mc_progress_meter(progress)};
    const mc_status status = mc_diff_run(&input, &s->memory.arena, &diff, err);
    mc_progress_close(progress);
    MC_TRY(status);
    MC_TRY(print(s, &diff, options->json, err));
    if (!options->strict || mc_diff_is_equal(&diff)) return MC_OK;
    return mc_fail(err, MC_E_GATE, "%s and %s differ", options->arg[0], options->arg[1]);
}

static mc_status run(const mc_options *options, mc_err *err)
{
    session s = {0};
    const mc_status status = compare(&s, options, err);
    mc_pool_close(s.pool);
    mc_region_close(&s.memory);
    mc_subject_close(&s.b);
    mc_subject_close(&s.a);
    return status;
}

const mc_command mc_cmd_diff = {
    .name = "diff",
    .args = "A B",
    .least_args = 2,
    .most_args = 2,
    .summary = "compare two models or containers",
    .details =
        "A and B are models or containers, in any mixture. Tensors are paired by name. Of each "
        "pair "
        "the signal-to-noise ratio of B's values is shown, taking A's as the truth, and the "
        "largest absolute difference with its index.\n\n"
        "For two containers it also counts the sections and the 4 KiB sectors of B that are not "
        "those of A: what an update has to send.\n\n"
        "The exit code is 0 whether they differ or not. With --strict it is 1 when they do. A "
        "container that is damaged is not compared: the exit code is 6.",
    .examples = "mcompress diff model.safetensors out.bin\n"
                "mcompress diff --strict old.bin new.bin\n",
    .run = run,
};
