/* Questions with several answers, one JSON object a line. The answer that the model finds likeliest
 * behind the context counts as its choice.
 *
 * Context and choice are encoded together, so that the pieces at their border are those of running
 * text; a space at the end of the context belongs to the choice. */
#include "calib/dataset_parts.h"

#include "core/ckd.h"
#include "core/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CHOICES_MOST = 64 };

typedef struct {
    mc_dataset *d;
    const char *path;
    uint64_t line;
    mc_region text; /* room for any text of the file */
} reader;

static mc_status wrong(const reader *r, const char *what, mc_err *err)
{
    return mc_fail(err, MC_E_FORMAT,
                   "%s: line %" PRIu64 ": %s; expected {\"context\": \"…\", \"choices\": "
                   "[\"…\", …], \"answer\": 0}",
                   r->path, r->line, what);
}

/* Memory that lasts as long as the set. */
static void *keep(mc_dataset *d, size_t count, size_t size)
{
    mc_err ignored;
    size_t bytes;
    mc_region *last = d->rooms ? &d->room[d->rooms - 1] : NULL;
    void *at = last ? mc_alloc_raw(&last->arena, count, size) : NULL;
    if (at || d->rooms == MC_QUESTION_ROOMS || !mc_mul_size(count, size, &bytes)) return at;
    if (bytes > SIZE_MAX / 4) return NULL;
    const size_t usual = (size_t)1 << (20 + d->rooms);
    if (mc_region_open(&d->room[d->rooms], bytes + 128 > usual ? bytes + 128 : usual, &ignored) !=
        MC_OK)
        return NULL;
    return mc_alloc_raw(&d->room[d->rooms++].arena, count, size);
}

typedef struct {
    int32_t *at; /* of the tokenizer */
    size_t n;
} made_ids;

static mc_status encode(const reader *r, const char *text, size_t bytes, made_ids *out, mc_err *err)
{
    if (mc_tokenizer_encode(r->d->tokenizer, text, bytes, &out->at, &out->n, err) == MC_OK)
        return MC_OK;
    return mc_wrap(err, "%s: line %" PRIu64, r->path, r->line);
}

/* A copy of ids from `first` on; those of the tokenizer are given back. */
static const int32_t *keep_ids(const reader *r, made_ids made, size_t first)
{
    int32_t *kept = keep(r->d, made.n - first + 1, sizeof *kept);
    if (kept && made.n > first) memcpy(kept, made.at + first, (made.n - first) * sizeof *kept);
    mc_tokenizer_free_ids(made.at);
    return kept;
}

static mc_status read_context(const reader *r, const char *context, mc_question *q, mc_err *err)
{
    made_ids made;
    size_t bytes = strlen(context);
    while (bytes > 1 && context[bytes - 1] == ' ') bytes--;
    MC_TRY(encode(r, context, bytes, &made, err));
    q->context_ids = made.n;
    q->context = keep_ids(r, made, 0);
    if (!q->context) return mc_no_room(err, "questions");
    return q->context_ids ? MC_OK : wrong(r, "\"context\" has no token", err);
}

/* A choice of a question, in the lists that are being filled. */
typedef struct {
    const int32_t **ids;
    size_t *count, *bytes;
} choice_lists;

static mc_status read_choice(const reader *r, const char *both, const mc_question *q,
                             choice_lists to, mc_err *err)
{
    made_ids made;
    MC_TRY(encode(r, both, strlen(both), &made, err));
    const size_t all = made.n;
    *to.count = all > q->context_ids ? all - q->context_ids : 0;
    *to.ids = keep_ids(r, made, all - *to.count);
    if (!*to.ids) return mc_no_room(err, "questions");
    if (*to.count == 0) return wrong(r, "a choice adds no token", err);
    if (mc_data_check_ids(r->d->model, all, err) == MC_OK) return MC_OK;
    return mc_wrap(err, "%s: line %" PRIu64, r->path, r->line);
}

static mc_status read_choices(const reader *r, const mc_json *json, mc_question *q, mc_err *err)
{
    const char *context = mc_json_as_text(mc_json_get(json, "context"), NULL);
    const mc_json *choices = mc_json_get(json, "choices");
    choice_lists lists = {keep(r->d, q->choices, sizeof *lists.ids),
                          keep(r->d, q->choices, sizeof *lists.count),
                          keep(r->d, q->choices, sizeof *lists.bytes)};
    if (!lists.ids || !lists.count || !lists.bytes) return mc_no_room(err, "questions");
    q->choice = lists.ids;
    q->choice_ids = lists.count;
    q->choice_bytes = lists.bytes;
    for (const mc_json *at = mc_json_first(choices); at; at = mc_json_next(at)) {
        mc_arena loan = r->text.arena;
        const char *text = mc_json_as_text(at, NULL);
        if (!text) return wrong(r, "a choice is no text", err);
        const char *both = mc_format(&loan, "%s%s", context, text);
        if (!both) return mc_no_room(err, "questions");
        *lists.bytes = strlen(text);
        MC_TRY(read_choice(r, both, q, lists, err));
        lists = (choice_lists){lists.ids + 1, lists.count + 1, lists.bytes + 1};
    }
    return MC_OK;
}

static mc_status read_question(const reader *r, const mc_json *json, mc_question *q, mc_err *err)
{
    const char *context = mc_json_as_text(mc_json_get(json, "context"), NULL);
    const mc_json *choices = mc_json_get(json, "choices");
    uint64_t answer;
    q->choices = mc_json_is_array(choices) ? mc_json_count(choices) : 0;
    if (!context || !context[0]) return wrong(r, "\"context\" is no text", err);
    if (q->choices < 2 || q->choices > CHOICES_MOST)
        return wrong(r, "\"choices\" are not 2 to 64 texts", err);
    if (!mc_json_as_u64(mc_json_get(json, "answer"), &answer) || answer >= q->choices)
        return wrong(r, "\"answer\" is not the place of a choice", err);
    q->answer = (size_t)answer;
    MC_TRY(read_context(r, context, q, err));
    return read_choices(r, json, q, err);
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
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r') return false;
    return true;
}

static size_t count_lines(const mc_map *map)
{
    size_t lines = 1;
    for (size_t i = 0; i < map->size; i++) lines += map->data[i] == '\n';
    return lines;
}

static mc_status read_lines(reader *r, const mc_map *map, mc_err *err)
{
    if (map->size == 0) return MC_OK;
    const char *at = (const char *)map->data, *end = at + map->size;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        r->line++;
        if (!is_blank(at, (size_t)(stop - at))) MC_TRY(read_line(r, at, (size_t)(stop - at), err));
        at = stop < end ? stop + 1 : end;
    }
    mc_map_release(map, 0, map->size);
    return MC_OK;
}

static mc_status read_file(mc_dataset *d, const mc_data_file *file, mc_err *err)
{
    reader r = {.d = d, .path = file->path};
    MC_TRY(mc_region_open(&r.text, file->map.size + 128, err));
    const mc_status status = read_lines(&r, &file->map, err);
    mc_region_close(&r.text);
    return status;
}

mc_status mc_data_open_choices(mc_dataset *d, mc_err *err)
{
    size_t lines = 0;
    MC_TRY(mc_data_need_tokenizer(d, "questions", err));
    for (size_t i = 0; i < d->files; i++) lines += count_lines(&d->file[i].map);
    MC_TRY(mc_region_open(&d->ids_room, lines * sizeof *d->question + 128, err));
    d->question = MC_NEW_RAW(&d->ids_room.arena, mc_question, lines);
    if (!d->question) return mc_no_room(err, "questions");
    for (size_t i = 0; i < d->files; i++) MC_TRY(read_file(d, &d->file[i], err));
    return d->samples ? MC_OK : mc_fail(err, MC_E_FORMAT, "%s: holds no question", d->path);
}
