/* Reading the model and the added tokens out of tokenizer.json. */
#include "core/tokenizer_parts.h"

#include <stdio.h>
#include <string.h>

enum { SHOWN = 256 };

/* ---- members ---- */

int mc_tok_shown(mc_span token)
{
    size_t n = token.n < SHOWN ? token.n : SHOWN;
    while (n > 0 && n < token.n && ((unsigned char)token.at[n] & 0xc0u) == 0x80u) n--;
    return (int)n;
}

mc_status mc_tok_only_keys(const mc_tok_reader *r, const mc_json *object, const char *what,
                           const char *const *keys)
{
    for (const mc_json *m = mc_json_first(object); m; m = mc_json_next(m)) {
        const char *const *known = keys;
        while (*known && strcmp(*known, mc_json_key(m)) != 0) known++;
        if (!*known)
            return mc_fail(r->err, MC_E_UNSUPPORTED,
                           "%s: key \"%.*s\" of %s is not supported, give token ids", r->name,
                           MC_TOK_TEXT(mc_json_key(m)), what);
    }
    return MC_OK;
}

mc_status mc_tok_unsupported(const mc_tok_reader *r, const char *what, const char *type)
{
    return mc_fail(r->err, MC_E_UNSUPPORTED, "%s: %s %.*s is not supported, give token ids",
                   r->name, what, MC_TOK_TEXT(type));
}

static const char *type_of(const mc_json *object)
{
    return mc_json_as_text(mc_json_get(object, "type"), "an added token");
}

mc_status mc_tok_need_bool(const mc_tok_reader *r, const mc_json *object, const char *key,
                           bool *out)
{
    const mc_json *member = mc_json_get(object, key);
    *out = mc_json_as_bool(member, false);
    if (*out == mc_json_as_bool(member, true)) return MC_OK;
    return mc_fail(r->err, MC_E_FORMAT, "%s: \"%s\" of %.*s is missing or neither true nor false",
                   r->name, key, MC_TOK_TEXT(type_of(object)));
}

mc_status mc_tok_need_text(const mc_tok_reader *r, const mc_json *object, const char *key,
                           mc_span *out)
{
    const char *text = mc_json_as_text(mc_json_get(object, key), NULL);
    if (!text)
        return mc_fail(r->err, MC_E_FORMAT, "%s: \"%s\" of %.*s is missing or no text", r->name,
                       key, MC_TOK_TEXT(type_of(object)));
    const size_t n = strlen(text);
    char *copy = mc_copy_text(r->mem, text, n);
    if (!copy) return mc_no_room(r->err, r->name);
    *out = (mc_span){copy, n};
    return MC_OK;
}

/* A switch of the model that is off when it is missing. */
static mc_status model_bool(const mc_tok_reader *r, const mc_json *model, const char *key,
                            bool *out)
{
    *out = false;
    return mc_json_get(model, key) ? mc_tok_need_bool(r, model, key, out) : MC_OK;
}

static bool is_absent(const mc_json *member)
{
    return !member || mc_json_is_null(member);
}

/* ---- vocabulary ---- */

static mc_status read_id(const mc_tok_reader *r, const mc_json *id, const char *token, size_t *out)
{
    uint64_t value;
    if (!mc_json_as_u64(id, &value) || value >= MC_TOK_MAX_ID)
        return mc_fail(r->err, MC_E_FORMAT,
                       "%s: the id of token \"%.*s\" is no whole number below %d", r->name,
                       MC_TOK_TEXT(token), (int)MC_TOK_MAX_ID);
    *out = (size_t)value;
    return MC_OK;
}

typedef struct {
    size_t size;  /* ids are below it */
    size_t count; /* tokens of the model */
    size_t bytes; /* of their texts */
} vocab_extent;

static mc_status measure(const mc_tok_reader *r, const mc_json *vocab, const mc_json *added,
                         vocab_extent *out)
{
    size_t id = 0;
    *out = (vocab_extent){0};
    for (const mc_json *m = mc_json_first(vocab); m; m = mc_json_next(m)) {
        MC_TRY(read_id(r, m, mc_json_key(m), &id));
        if (id >= out->size) out->size = id + 1;
        out->bytes += strlen(mc_json_key(m));
        out->count++;
    }
    for (const mc_json *m = mc_json_first(added); m; m = mc_json_next(m)) {
        const char *content = mc_json_as_text(mc_json_get(m, "content"), "");
        MC_TRY(read_id(r, mc_json_get(m, "id"), content, &id));
        if (id >= out->size) out->size = id + 1;
    }
    return MC_OK;
}

static mc_status read_vocab(const mc_tok_reader *r, const mc_json *vocab, const mc_json *added)
{
    mc_tok_model *m = &r->t->model;
    if (!mc_json_is_object(vocab))
        return mc_fail(r->err, MC_E_FORMAT, "%s: the model has no vocab that is an object",
                       r->name);
    vocab_extent extent;
    MC_TRY(measure(r, vocab, added, &extent));
    MC_TRY(mc_tok_vocab_open(&m->vocab, extent.size, extent.count, r->mem, r->err));
    char *copy = mc_alloc_raw(r->mem, extent.bytes + 1, 1);
    if (!copy) return mc_no_room(r->err, r->name);

    for (const mc_json *entry = mc_json_first(vocab); entry; entry = mc_json_next(entry)) {
        const char *token = mc_json_key(entry);
        const size_t n = strlen(token);
        size_t id = 0;
        MC_TRY(read_id(r, entry, token, &id));
        if (m->vocab.token[id].at)
            return mc_fail(r->err, MC_E_FORMAT, "%s: tokens \"%.*s\" and \"%.*s\" share id %zu",
                           r->name, MC_TOK_SPAN(m->vocab.token[id]), MC_TOK_TEXT(token), id);
        memcpy(copy, token, n);
        if (!mc_tok_vocab_add(&m->vocab, (mc_span){copy, n}, (int32_t)id))
            return mc_fail(r->err, MC_E_FORMAT, "%s: too many tokens have the hash of \"%.*s\"",
                           r->name, MC_TOK_TEXT(token));
        if (n > m->longest) m->longest = n;
        copy += n;
    }
    return MC_OK;
}

/* ---- merges ---- */

/* "a b" or ["a", "b"]. */
static bool split_merge(const mc_json *merge, mc_span *left, mc_span *right)
{
    const char *line = mc_json_as_text(merge, NULL);
    if (line) {
        const char *gap = strchr(line, ' ');
        if (!gap || strchr(gap + 1, ' ')) return false;
        *left = (mc_span){line, (size_t)(gap - line)};
        *right = (mc_span){gap + 1, strlen(gap + 1)};
        return true;
    }
    if (!mc_json_is_array(merge) || mc_json_count(merge) != 2) return false;
    const char *a = mc_json_as_text(mc_json_at(merge, 0), NULL);
    const char *b = mc_json_as_text(mc_json_at(merge, 1), NULL);
    if (!a || !b) return false;
    *left = (mc_span){a, strlen(a)};
    *right = (mc_span){b, strlen(b)};
    return true;
}

static mc_status read_merge(const mc_tok_reader *r, const mc_json *merge, size_t rank)
{
    mc_tok_model *m = &r->t->model;
    mc_span left, right;
    if (!split_merge(merge, &left, &right))
        return mc_fail(r->err, MC_E_FORMAT, "%s: merge %zu is not two tokens", r->name, rank);
    const int32_t a = mc_tok_vocab_find(&m->vocab, left), b = mc_tok_vocab_find(&m->vocab, right);
    const int32_t joined = mc_tok_vocab_find_behind(&m->vocab, left, right);
    if (a == MC_TOK_NONE || b == MC_TOK_NONE || joined == MC_TOK_NONE)
        return mc_fail(r->err, MC_E_FORMAT,
                       "%s: merge %zu: \"%.*s\" + \"%.*s\": %s not in the vocabulary", r->name,
                       rank, MC_TOK_SPAN(left), MC_TOK_SPAN(right),
                       a == MC_TOK_NONE   ? "the first is"
                       : b == MC_TOK_NONE ? "the second is"
                                          : "what they give is");
    if (!mc_tok_merges_add(&m->merges, a, b, (uint32_t)rank, joined))
        return mc_fail(r->err, MC_E_FORMAT, "%s: too many merges have the hash of merge %zu",
                       r->name, rank);
    return MC_OK;
}

static mc_status read_merges(const mc_tok_reader *r, const mc_json *merges)
{
    if (!mc_json_is_array(merges))
        return mc_fail(r->err, MC_E_FORMAT, "%s: the model has no merges that are a list", r->name);
    MC_TRY(mc_tok_merges_open(&r->t->model.merges, mc_json_count(merges), r->mem, r->err));
    size_t rank = 0;
    for (const mc_json *m = mc_json_first(merges); m; m = mc_json_next(m)) {
        const char *line = mc_json_as_text(m, "");
        if (strncmp(line, "#version", strlen("#version")) == 0) continue; /* of a merges.txt */
        MC_TRY(read_merge(r, m, rank++));
    }
    return MC_OK;
}

/* ---- models ---- */

static void find_byte_tokens(mc_tok_model *m)
{
    for (int b = 0; b < 256; b++) {
        char text[8];
        const int n = snprintf(text, sizeof text, "<0x%02X>", (unsigned)b);
        m->byte_id[b] = mc_tok_vocab_find(&m->vocab, (mc_span){text, (size_t)n});
    }
}

static mc_status read_bpe(const mc_tok_reader *r, const mc_json *json, const mc_json *added)
{
    static const char *const keys[] = {"type",
                                       "dropout",
                                       "unk_token",
                                       "continuing_subword_prefix",
                                       "fuse_unk",
                                       "end_of_word_suffix",
                                       "ignore_merges",
                                       "byte_fallback",
                                       "vocab",
                                       "merges",
                                       NULL};
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    mc_tok_model *m = &r->t->model;
    MC_TRY(mc_tok_only_keys(r, json, "model BPE", keys));
    const mc_json *dropout = mc_json_get(json, "dropout");
    if (!is_absent(dropout) && mc_json_as_num(dropout, 1) != 0)
        return mc_tok_unsupported(r, "model BPE with", "dropout");
    for (size_t i = 0; i < 2; i++) {
        const mc_json *affix = mc_json_get(json, affixes[i]);
        if (!is_absent(affix) && mc_json_as_text(affix, "?")[0] != '\0')
            return mc_tok_unsupported(r, "model BPE with", affixes[i]);
    }
    MC_TRY(model_bool(r, json, "fuse_unk", &m->fuse_unk));
    MC_TRY(model_bool(r, json, "byte_fallback", &m->byte_fallback));
    MC_TRY(model_bool(r, json, "ignore_merges", &m->ignore_merges));
    MC_TRY(read_vocab(r, mc_json_get(json, "vocab"), added));
    MC_TRY(read_merges(r, mc_json_get(json, "merges")));
    find_byte_tokens(m);
    if (is_absent(mc_json_get(json, "unk_token"))) return MC_OK;
    MC_TRY(mc_tok_need_text(r, json, "unk_token", &m->unk_token));
    m->unk = mc_tok_vocab_find(&m->vocab, m->unk_token);
    return MC_OK;
}

static mc_status read_wordpiece(const mc_tok_reader *r, const mc_json *json, const mc_json *added)
{
    static const char *const keys[] = {
        "type",  "unk_token", "continuing_subword_prefix", "max_input_chars_per_word",
        "vocab", NULL};
    mc_tok_model *m = &r->t->model;
    MC_TRY(mc_tok_only_keys(r, json, "model WordPiece", keys));
    MC_TRY(mc_tok_need_text(r, json, "unk_token", &m->unk_token));
    MC_TRY(mc_tok_need_text(r, json, "continuing_subword_prefix", &m->prefix));
    uint64_t most;
    if (!mc_json_as_u64(mc_json_get(json, "max_input_chars_per_word"), &most))
        return mc_fail(r->err, MC_E_FORMAT,
                       "%s: max_input_chars_per_word of WordPiece is no whole number", r->name);
    if (most > MC_TOK_MAX_WORD)
        return mc_fail(r->err, MC_E_UNSUPPORTED,
                       "%s: max_input_chars_per_word of WordPiece is above %d, give token ids",
                       r->name, (int)MC_TOK_MAX_WORD);
    m->max_word = (size_t)most;
    MC_TRY(read_vocab(r, mc_json_get(json, "vocab"), added));
    m->unk = mc_tok_vocab_find(&m->vocab, m->unk_token);
    return MC_OK;
}

mc_status mc_tok_read_model(const mc_tok_reader *r, const mc_json *json, const mc_json *added)
{
    r->t->model.unk = MC_TOK_NONE;
    return r->t->model.kind == MC_MODEL_BPE ? read_bpe(r, json, added)
                                            : read_wordpiece(r, json, added);
}

/* ---- added tokens ---- */

/* The id that the reference gives: the model's own, or the next one behind all. */
static mc_status check_id(const mc_tok_reader *r, const mc_added *token, int64_t *last)
{
    mc_tok_vocab *v = &r->t->model.vocab;
    int64_t id = mc_tok_vocab_find(v, token->content);
    const bool fresh = id == MC_TOK_NONE;
    if (fresh) id = *last >= (int64_t)v->count ? *last + 1 : (int64_t)v->count;
    if (id != token->id)
        return mc_fail(r->err, MC_E_FORMAT, "%s: added token \"%.*s\" has id %d, not %lld", r->name,
                       MC_TOK_SPAN(token->content), (int)token->id, (long long)id);
    if (fresh && v->token[id].at)
        return mc_fail(r->err, MC_E_FORMAT, "%s: tokens \"%.*s\" and \"%.*s\" share id %d", r->name,
                       MC_TOK_SPAN(v->token[id]), MC_TOK_SPAN(token->content), (int)token->id);
    if (r->t->added[id].at)
        return mc_fail(r->err, MC_E_FORMAT, "%s: token \"%.*s\" is added twice", r->name,
                       MC_TOK_SPAN(token->content));
    if (id > *last) *last = id;
    return MC_OK;
}

static mc_status read_token(const mc_tok_reader *r, const mc_json *json, mc_added *out)
{
    static const char *const keys[] = {"id",     "content",    "single_word", "lstrip",
                                       "rstrip", "normalized", "special",     NULL};
    size_t id = 0;
    MC_TRY(mc_tok_only_keys(r, json, "an added token", keys));
    MC_TRY(mc_tok_need_text(r, json, "content", &out->content));
    MC_TRY(read_id(r, mc_json_get(json, "id"), out->content.at, &id));
    out->id = (int32_t)id;
    MC_TRY(mc_tok_need_bool(r, json, "single_word", &out->single_word));
    MC_TRY(mc_tok_need_bool(r, json, "lstrip", &out->lstrip));
    MC_TRY(mc_tok_need_bool(r, json, "rstrip", &out->rstrip));
    MC_TRY(mc_tok_need_bool(r, json, "normalized", &out->normalized));
    return mc_tok_need_bool(r, json, "special", &out->special);
}

/* What is looked for: in normalized text the normalized token. */
static mc_status find_by(const mc_tok_reader *r, mc_added *token)
{
    mc_text buffer[2] = {{0}, {0}};
    mc_status status = MC_OK;
    token->text = token->content;
    if (token->normalized) {
        mc_span normal;
        status = mc_tok_normalize(r->t, token->content, buffer, &normal, r->err);
        if (status == MC_OK) {
            const char *copy = mc_copy_text(r->mem, normal.at, normal.n);
            token->text = (mc_span){copy, normal.n};
            if (!copy) status = mc_no_room(r->err, r->name);
        }
    }
    if (status == MC_OK && (token->text.n == 0 || token->text.n > MC_TOK_MAX_ADDED))
        status =
            mc_fail(r->err, MC_E_FORMAT, "%s: added token %d has %zu bytes, allowed are 1 to %d",
                    r->name, (int)token->id, token->text.n, (int)MC_TOK_MAX_ADDED);
    mc_text_close(&buffer[0]);
    mc_text_close(&buffer[1]);
    return status;
}

mc_status mc_tok_read_added(const mc_tok_reader *r, const mc_json *json)
{
    mc_tokenizer *t = r->t;
    if (is_absent(json)) return MC_OK;
    if (!mc_json_is_array(json))
        return mc_fail(r->err, MC_E_FORMAT, "%s: added_tokens is no list", r->name);
    const size_t n = mc_json_count(json);
    t->plain.token = MC_NEW(r->mem, mc_added, n);
    t->normalized.token = MC_NEW(r->mem, mc_added, n);
    t->added = MC_NEW(r->mem, mc_span, t->model.vocab.size);
    if (!t->plain.token || !t->normalized.token || !t->added) return mc_no_room(r->err, r->name);

    int64_t last = MC_TOK_NONE;
    for (const mc_json *m = mc_json_first(json); m; m = mc_json_next(m)) {
        mc_added token = {0};
        if (!mc_json_is_object(m))
            return mc_fail(r->err, MC_E_FORMAT, "%s: an added token is no object", r->name);
        MC_TRY(read_token(r, m, &token));
        MC_TRY(check_id(r, &token, &last));
        MC_TRY(find_by(r, &token));
        t->added[token.id] = token.text;
        mc_added_set *set = token.normalized ? &t->normalized : &t->plain;
        set->token[set->n++] = token;
    }
    MC_TRY(mc_added_sort(r, &t->plain));
    return mc_added_sort(r, &t->normalized);
}
