/* Opening, encoding and closing: the order in which a text passes the parts. */
#include "core/bytes.h"
#include "core/tokenizer_parts.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_JSON_BYTES = 1 << 28, MAX_TEXT_BYTES = 1 << 30 };

/* ---- lists that grow ---- */

bool mc_tok_grow(void **at, size_t *room, size_t n, size_t size)
{
    if (n <= *room) return true;
    const size_t more = n < 128 ? 256 : 2 * n;
    void *moved = more <= SIZE_MAX / size ? realloc(*at, more * size) : NULL;
    if (!moved) return false;
    *at = moved;
    *room = more;
    return true;
}

bool mc_ids_add(mc_ids *ids, int32_t id)
{
    void *at = ids->at;
    const bool grown = mc_tok_grow(&at, &ids->room, ids->n + 1, sizeof *ids->at);
    ids->at = at;
    if (grown) ids->at[ids->n++] = id;
    return grown;
}

/* ---- opening ---- */

static mc_status check_type(const mc_tok_reader *r, const mc_json *model)
{
    if (!mc_json_is_object(model))
        return mc_fail(r->err, MC_E_FORMAT, "%s: has no model that is an object", r->name);
    const char *type = mc_json_as_text(mc_json_get(model, "type"), NULL);
    if (!type) { /* files before version 0.10 of the reference do not say it */
        const bool merges = mc_json_get(model, "merges") != NULL;
        const bool pieces = mc_json_get(model, "max_input_chars_per_word") != NULL;
        const bool scores = mc_json_is_array(mc_json_get(model, "vocab"));
        type = merges ? "BPE" : pieces ? "WordPiece" : scores ? "Unigram" : "WordLevel";
    }
    r->t->model.kind = type[0] == 'B' ? MC_MODEL_BPE : MC_MODEL_WORDPIECE;
    for (const char *const *known = (const char *const[]){"BPE", "WordPiece", NULL}; *known;
         known++)
        if (strcmp(*known, type) == 0) return MC_OK;
    return mc_fail(r->err, MC_E_UNSUPPORTED,
                   "%s: tokenizer type %.*s is not supported, give token ids", r->name,
                   MC_TOK_TEXT(type));
}

/* Where a piece begins in the text is followed through steps that keep its front only. */
static mc_status check_first(const mc_tok_reader *r)
{
    const mc_tokenizer *t = r->t;
    bool first = false, moves = false;
    for (size_t i = 0; i < t->pres; i++) {
        const bool is = t->pre[i].kind == MC_PRE_METASPACE && t->pre[i].prepend == MC_PREPEND_FIRST;
        first = first || is;
        moves = moves || (is && i > 0);
    }
    for (size_t i = 0; i < t->norms; i++) {
        const mc_norm_kind kind = t->norm[i].kind;
        const bool keeps = (kind == MC_NORM_REPLACE && t->norm[i].other.n > 0) ||
                           kind == MC_NORM_NFC || kind == MC_NORM_NFD || kind == MC_NORM_LOWER;
        moves = moves || !keeps;
    }
    if (!first || !moves) return MC_OK;
    return mc_fail(r->err, MC_E_UNSUPPORTED,
                   "%s: pre_tokenizer Metaspace with prepend_scheme first behind other steps is "
                   "not supported, give token ids",
                   r->name);
}

/* What a file says of truncation, padding and post-processing is for model inputs of one sequence;
 * here a text is encoded whole and nothing is put around it. */
static mc_status read_all(const mc_tok_reader *r, const mc_json *json)
{
    static const char *const keys[] = {
        "version",       "truncation",     "padding", "added_tokens", "normalizer",
        "pre_tokenizer", "post_processor", "decoder", "model",        NULL};
    if (!mc_json_is_object(json))
        return mc_fail(r->err, MC_E_FORMAT, "%s: is no JSON object", r->name);
    const mc_json *model = mc_json_get(json, "model"), *added = mc_json_get(json, "added_tokens");
    MC_TRY(check_type(r, model));
    MC_TRY(mc_tok_only_keys(r, json, "the file", keys));
    const char *version = mc_json_as_text(mc_json_get(json, "version"), "1.0");
    if (strcmp(version, "1.0") != 0)
        return mc_fail(r->err, MC_E_UNSUPPORTED, "%s: version %.*s is not supported, only 1.0",
                       r->name, MC_TOK_TEXT(version));
    MC_TRY(mc_tok_read_normalizer(r, mc_json_get(json, "normalizer"), 0));
    MC_TRY(mc_tok_read_pre(r, mc_json_get(json, "pre_tokenizer"), 0));
    MC_TRY(check_first(r));
    MC_TRY(mc_tok_read_decoder(r, mc_json_get(json, "decoder"), 0));
    MC_TRY(mc_tok_read_model(r, model, added));
    return mc_tok_read_added(r, added);
}

/* An upper bound: ids have their tokens, each entry of the file a few slots and a copy. */
static size_t room_for(size_t json_bytes)
{
    return (size_t)MC_TOK_MAX_ID * sizeof(mc_span) + 64 * json_bytes + ((size_t)1 << 20);
}

mc_status mc_tokenizer_open(const char *json, size_t bytes, const char *name, mc_tokenizer **out,
                            mc_err *err)
{
    *out = NULL;
    if (bytes > MAX_JSON_BYTES)
        return mc_fail(err, MC_E_FORMAT, "%s: has %zu bytes, a tokenizer at most %d", name, bytes,
                       (int)MAX_JSON_BYTES);
    mc_region region;
    MC_TRY(mc_region_open(&region, room_for(bytes), err));

    mc_json *tree = NULL;
    mc_status status = mc_json_parse(json, bytes, name, &tree, err);
    mc_tokenizer *t = NULL;
    if (status == MC_OK) {
        t = MC_NEW(&region.arena, mc_tokenizer, 1);
        if (!t) status = mc_no_room(err, name);
    }
    if (status == MC_OK) {
        const mc_tok_reader r = {.t = t, .mem = &region.arena, .name = name, .err = err};
        status = read_all(&r, tree);
    }
    mc_json_free(tree);
    if (status != MC_OK) {
        mc_region_close(&region);
        return status;
    }
    t->region = region;
    *out = t;
    return MC_OK;
}

void mc_tokenizer_close(mc_tokenizer *t)
{
    if (!t) return;
    mc_region region = t->region; /* which holds `t` itself */
    mc_region_close(&region);
}

size_t mc_tokenizer_size(const mc_tokenizer *t)
{
    return t->model.vocab.size;
}

void mc_tokenizer_take_special(mc_tokenizer *t, bool take)
{
    t->take_special = take;
}

/* ---- encoding ---- */

static mc_status encode_normalized(mc_encoder *e, mc_span piece, bool first)
{
    return mc_tok_pre_tokenize(e, piece, e->front && first);
}

static mc_status encode_piece(mc_encoder *e, mc_span piece, bool first)
{
    mc_span normal;
    MC_TRY(mc_tok_normalize(e->t, piece, e->norm, &normal, e->err));
    e->front = first;
    return mc_added_cut(e, &e->t->normalized, normal, encode_normalized);
}

static void free_encoder(mc_encoder *e)
{
    for (size_t i = 0; i < 2; i++) mc_text_close(&e->norm[i]);
    for (size_t i = 0; i < MC_TOK_MAX_STEPS; i++) mc_text_close(&e->pre[i]);
    free(e->symbol);
    free(e->heap);
}

mc_status mc_tokenizer_encode(const mc_tokenizer *t, const char *text, size_t bytes, int32_t **ids,
                              size_t *n, mc_err *err)
{
    *ids = NULL;
    *n = 0;
    if (bytes > MAX_TEXT_BYTES)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "the text has %zu bytes, at most %d are encoded at once", bytes,
                       (int)MAX_TEXT_BYTES);
    if (!mc_is_utf8(text, bytes)) return mc_fail(err, MC_E_FORMAT, "the text is not UTF-8");

    mc_encoder e = {.t = t, .err = err};
    mc_status status = mc_added_cut(&e, &t->plain, (mc_span){text, bytes}, encode_piece);
    free_encoder(&e);
    if (status != MC_OK) {
        free(e.ids.at);
        return status;
    }
    *ids = e.ids.at;
    *n = e.ids.n;
    return MC_OK;
}

void mc_tokenizer_free_ids(int32_t *ids)
{
    free(ids);
}
