/* Questions with several answers, one JSON object a line. The answer that the model finds likeliest
 * behind the context counts as its choice.
 *
 * Context and choice are encoded together, so that the pieces at their border are those of running
 * text; a space at the end of the context belongs to the choice. */
#include "calib/dataset_parts.h"

#include "core/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CHOICES_MOST = 64 };

typedef struct {
    mc_dataset *d;
    const char *path;
    uint64_t line;
} reader;

static mc_status wrong(const reader *r, const char *what, mc_err *err)
{
    return mc_fail(err, MC_E_FORMAT,
                   "%s: line %" PRIu64 ": %s; expected {\"context\": \"…\", \"choices\": [\"…\", "
                   "…], \"answer\": 0}",
                   r->path, r->line, what);
}

/* Ids of `text` in memory of the set. */
static mc_status encode(const reader *r, const char *text, size_t bytes, const int32_t **ids,
                        size_t *n, mc_err *err)
{
    int32_t *made;
    if (mc_tokenizer_encode(r->d->tokenizer, text, bytes, &made, n, err) != MC_OK)
        return mc_wrap(err, "%s: line %" PRIu64, r->path, r->line);
    int32_t *kept = MC_NEW_RAW(&r->d->ids_room.arena, int32_t, *n + 1);
    if (kept) memcpy(kept, made, *n * sizeof *kept);
    mc_tokenizer_free_ids(made);
    *ids = kept;
    return kept ? MC_OK : mc_no_room(err, "questions");
}

static mc_status read_choice(const reader *r, const char *context, const char *choice,
                             mc_question *q, size_t i, mc_err *err)
{
    const size_t c = strlen(context), n = strlen(choice);
    char *both = MC_NEW_RAW(&r->d->ids_room.arena, char, c + n + 1);
    const int32_t *ids;
    size_t count;
    if (!both) return mc_no_room(err, "questions");
    memcpy(both, context, c);
    memcpy(both + c, choice, n);
    MC_TRY(encode(r, both, c + n, &ids, &count, err));
    if (count <= q->context_ids) return wrong(r, "a choice adds no token", err);
    ((const int32_t **)q->choice)[i] = ids + q->context_ids;
    ((size_t *)q->choice_ids)[i] = count - q->context_ids;
    ((size_t *)q->choice_bytes)[i] = n;
    return MC_OK;
}

static mc_status read_question(const reader *r, const mc_json *json, mc_question *q, mc_err *err)
{
    const char *context = mc_json_as_text(mc_json_get(json, "context"), NULL);
    const mc_json *choices = mc_json_get(json, "choices");
    uint64_t answer;
    q->choices = mc_json_count(choices);
    if (!context || !context[0]) return wrong(r, "\"context\" is no text", err);
    if (q->choices < 2 || q->choices > CHOICES_MOST)
        return wrong(r, "\"choices\" are not 2 to 64 texts", err);
    if (!mc_json_as_u64(mc_json_get(json, "answer"), &answer) || answer >= q->choices)
        return wrong(r, "\"answer\" is not the place of a choice", err);
    q->answer = (size_t)answer;

    mc_arena *mem = &r->d->ids_room.arena;
    q->choice = MC_NEW(mem, const int32_t *, q->choices);
    q->choice_ids = MC_NEW(mem, size_t, q->choices);
    q->choice_bytes = MC_NEW(mem, size_t, q->choices);
    if (!q->choice || !q->choice_ids || !q->choice_bytes) return mc_no_room(err, "questions");
    size_t kept = strlen(context);
    while (kept > 1 && context[kept - 1] == ' ') kept--;
    MC_TRY(encode(r, context, kept, &q->context, &q->context_ids, err));
    if (q->context_ids == 0) return wrong(r, "\"context\" has no token", err);

    size_t i = 0;
    for (const mc_json *at = mc_json_first(choices); at; at = mc_json_next(at), i++) {
        const char *text = mc_json_as_text(at, NULL);
        if (!text) return wrong(r, "a choice is no text", err);
        MC_TRY(read_choice(r, context, text, q, i, err));
    }
    return MC_OK;
}

static mc_status read_line(reader *r, const char *line, size_t bytes, mc_err *err)
{
    mc_json *json;
    char name[512];
    snprintf(name, sizeof name, "%.400s: line %" PRIu64, r->path, r->line);
    MC_TRY(mc_json_parse(line, bytes, name, &json, err));
    const mc_status status = read_question(r, json, &r->d->question[r->d->samples], err);
    mc_json_free(json);
    if (status == MC_OK) r->d->samples++;
    return status;
}

static bool is_blank(const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r", line[i])) return false;
    return true;
}

static size_t count_lines(const mc_map *map)
{
    size_t lines = 1;
    for (size_t i = 0; i < map->size; i++) lines += map->data[i] == '\n';
    return lines;
}

mc_status mc_data_open_choices(mc_dataset *d, mc_err *err)
{
    uint64_t bytes = 0, lines = 0;
    MC_TRY(mc_data_need_tokenizer(d, "questions", err));
    for (size_t i = 0; i < d->files; i++) {
        bytes += d->file[i].map.size;
        lines += count_lines(&d->file[i].map);
    }
    /* A context stands once for each choice; ids are at most twice its bytes, 4 bytes each. */
    const uint64_t each = sizeof(mc_question) + CHOICES_MOST * 3 * 64;
    MC_TRY(
        mc_region_open(&d->ids_room, (size_t)(bytes * 9 * (CHOICES_MOST + 1) + lines * each), err));
    d->question = MC_NEW(&d->ids_room.arena, mc_question, (size_t)lines);
    if (!d->question) return mc_no_room(err, "questions");
    for (size_t i = 0; i < d->files; i++) {
        reader r = {d, d->file[i].path, 0};
        const char *at = (const char *)d->file[i].map.data, *end = at + d->file[i].map.size;
        while (at < end) {
            const char *stop = memchr(at, '\n', (size_t)(end - at));
            const size_t n = (size_t)((stop ? stop : end) - at);
            r.line++;
            if (!is_blank(at, n)) MC_TRY(read_line(&r, at, n, err));
            at += n + 1;
        }
    }
    return d->samples ? MC_OK : mc_fail(err, MC_E_FORMAT, "%s: holds no question", d->path);
}
