/* Reading normalizer, pre-tokenizer and decoder. Each type is one function in a table; what has no
 * line there is refused by its name. */
#include "core/tokenizer_parts.h"
#include "core/unicode.h"

#include <string.h>

typedef mc_status read_step(const mc_tok_reader *r, const mc_json *json);

typedef struct {
    const char *type;
    read_step *read;
    const char *keys[7]; /* besides "type" */
} step_type;

typedef struct {
    const char *what; /* "normalizer" */
    const char *list; /* the member of a Sequence that holds the steps */
    const step_type *type;
    size_t types;
} step_family;

/* ---- what the families share ---- */

static mc_status check_keys(const mc_tok_reader *r, const mc_json *json, const char *what,
                            const step_type *type)
{
    const char *known[9] = {"type"};
    size_t n = 1;
    for (const char *const *key = type->keys; *key; key++) known[n++] = *key;
    known[n] = NULL;
    char whole[96];
    strcpy(whole, what);
    strcat(strcat(whole, " "), type->type);
    return mc_tok_only_keys(r, json, whole, known);
}

static mc_status read_family(const mc_tok_reader *r, const mc_json *json, const step_family *family,
                             int depth)
{
    if (!json || mc_json_is_null(json)) return MC_OK;
    const char *name = mc_json_as_text(mc_json_get(json, "type"), NULL);
    if (!name) return mc_fail(r->err, MC_E_FORMAT, "%s: a %s has no type", r->name, family->what);
    if (strcmp(name, "Sequence") == 0) {
        const mc_json *list = mc_json_get(json, family->list);
        const step_type sequence = {.type = name, .keys = {family->list}};
        MC_TRY(check_keys(r, json, family->what, &sequence));
        if (!mc_json_is_array(list))
            return mc_fail(r->err, MC_E_FORMAT, "%s: a %s of type Sequence has no list of %s",
                           r->name, family->what, family->list);
        if (depth == MC_TOK_MAX_DEPTH)
            return mc_fail(r->err, MC_E_UNSUPPORTED,
                           "%s: %s: sequences in sequences deeper than %d are not supported",
                           r->name, family->what, (int)MC_TOK_MAX_DEPTH);
        for (const mc_json *step = mc_json_first(list); step; step = mc_json_next(step))
            MC_TRY(read_family(r, step, family, depth + 1));
        return MC_OK;
    }
    for (size_t i = 0; i < family->types; i++)
        if (strcmp(family->type[i].type, name) == 0) {
            MC_TRY(check_keys(r, json, family->what, &family->type[i]));
            return family->type[i].read(r, json);
        }
    return mc_tok_unsupported(r, family->what, name);
}

static mc_status too_many(const mc_tok_reader *r, const char *what)
{
    return mc_fail(r->err, MC_E_UNSUPPORTED, "%s: %s has more than %d steps, give token ids",
                   r->name, what, (int)MC_TOK_MAX_STEPS);
}

static mc_status check_length(const mc_tok_reader *r, mc_span text, bool may_be_empty)
{
    if (text.n <= MC_TOK_MAX_CONTENT && (text.n > 0 || may_be_empty)) return MC_OK;
    return mc_fail(r->err, MC_E_UNSUPPORTED,
                   "%s: a text of %zu bytes to look for or put in is not supported, only %d to %d",
                   r->name, text.n, may_be_empty ? 0 : 1, (int)MC_TOK_MAX_CONTENT);
}

/* {"String": text} */
static mc_status read_pattern_text(const mc_tok_reader *r, const mc_json *json, const char *what,
                                   mc_span *out)
{
    const mc_json *pattern = mc_json_get(json, "pattern");
    const char *regex = mc_json_as_text(mc_json_get(pattern, "Regex"), NULL);
    if (regex) {
        char whole[96];
        strcpy(whole, what);
        return mc_tok_unsupported(r, strcat(whole, " with the pattern"), regex);
    }
    if (!mc_json_as_text(mc_json_get(pattern, "String"), NULL))
        return mc_fail(r->err, MC_E_FORMAT, "%s: %s has no pattern", r->name, what);
    MC_TRY(mc_tok_need_text(r, pattern, "String", out));
    return check_length(r, *out, false);
}

/* ---- normalizers ---- */

static mc_status add_norm(const mc_tok_reader *r, mc_norm_step step)
{
    if (r->t->norms == MC_TOK_MAX_STEPS) return too_many(r, "the normalizer");
    r->t->norm[r->t->norms++] = step;
    return MC_OK;
}

static mc_status read_prepend(const mc_tok_reader *r, const mc_json *json)
{
    mc_norm_step step = {.kind = MC_NORM_PREPEND};
    MC_TRY(mc_tok_need_text(r, json, "prepend", &step.text));
    MC_TRY(check_length(r, step.text, true));
    return add_norm(r, step);
}

static mc_status read_replace(const mc_tok_reader *r, const mc_json *json)
{
    mc_norm_step step = {.kind = MC_NORM_REPLACE};
    MC_TRY(read_pattern_text(r, json, "normalizer Replace", &step.text));
    MC_TRY(mc_tok_need_text(r, json, "content", &step.other));
    MC_TRY(check_length(r, step.other, true));
    return add_norm(r, step);
}

static mc_status read_nfc(const mc_tok_reader *r, const mc_json *json)
{
    (void)json;
    return add_norm(r, (mc_norm_step){.kind = MC_NORM_NFC});
}

static mc_status read_nfd(const mc_tok_reader *r, const mc_json *json)
{
    (void)json;
    return add_norm(r, (mc_norm_step){.kind = MC_NORM_NFD});
}

static mc_status read_lowercase(const mc_tok_reader *r, const mc_json *json)
{
    (void)json;
    return add_norm(r, (mc_norm_step){.kind = MC_NORM_LOWER});
}

static mc_status read_strip(const mc_tok_reader *r, const mc_json *json)
{
    mc_norm_step step = {.kind = MC_NORM_STRIP};
    MC_TRY(mc_tok_need_bool(r, json, "strip_left", &step.left));
    MC_TRY(mc_tok_need_bool(r, json, "strip_right", &step.right));
    return add_norm(r, step);
}

/* Accents go with case when the file does not say. */
static mc_status read_bert(const mc_tok_reader *r, const mc_json *json)
{
    bool clean, chinese, lower, accents;
    const mc_json *strip = mc_json_get(json, "strip_accents");
    MC_TRY(mc_tok_need_bool(r, json, "clean_text", &clean));
    MC_TRY(mc_tok_need_bool(r, json, "handle_chinese_chars", &chinese));
    MC_TRY(mc_tok_need_bool(r, json, "lowercase", &lower));
    accents = lower;
    if (strip && !mc_json_is_null(strip))
        MC_TRY(mc_tok_need_bool(r, json, "strip_accents", &accents));
    if (clean) MC_TRY(add_norm(r, (mc_norm_step){.kind = MC_NORM_CLEAN}));
    if (chinese) MC_TRY(add_norm(r, (mc_norm_step){.kind = MC_NORM_CHINESE}));
    if (accents) MC_TRY(add_norm(r, (mc_norm_step){.kind = MC_NORM_NFD}));
    if (accents) MC_TRY(add_norm(r, (mc_norm_step){.kind = MC_NORM_ACCENTS}));
    return lower ? add_norm(r, (mc_norm_step){.kind = MC_NORM_LOWER}) : MC_OK;
}

mc_status mc_tok_read_normalizer(const mc_tok_reader *r, const mc_json *json, int depth)
{
    static const step_type types[] = {
        {"Prepend", read_prepend, {"prepend"}},
        {"Replace", read_replace, {"pattern", "content"}},
        {"NFC", read_nfc, {NULL}},
        {"NFD", read_nfd, {NULL}},
        {"Lowercase", read_lowercase, {NULL}},
        {"Strip", read_strip, {"strip_left", "strip_right"}},
        {"BertNormalizer",
         read_bert,
         {"clean_text", "handle_chinese_chars", "strip_accents", "lowercase"}},
    };
    static const step_family family = {"normalizer", "normalizers", types,
                                       sizeof types / sizeof *types};
    return read_family(r, json, &family, depth);
}

/* ---- pre-tokenizers ---- */

static mc_status add_pre(const mc_tok_reader *r, mc_pre_step step)
{
    if (r->t->pres == MC_TOK_MAX_STEPS) return too_many(r, "the pre_tokenizer");
    r->t->pre[r->t->pres++] = step;
    return MC_OK;
}

static mc_status read_byte_level(const mc_tok_reader *r, const mc_json *json)
{
    bool space, regex = true;
    MC_TRY(mc_tok_need_bool(r, json, "add_prefix_space", &space));
    if (mc_json_get(json, "use_regex")) MC_TRY(mc_tok_need_bool(r, json, "use_regex", &regex));
    if (space) MC_TRY(add_pre(r, (mc_pre_step){.kind = MC_PRE_SPACE}));
    if (regex)
        MC_TRY(add_pre(r, (mc_pre_step){.kind = MC_PRE_SPLIT,
                                        .find = MC_FIND_PATTERN,
                                        .pattern = mc_tok_pattern_find(NULL),
                                        .rule = MC_SPLIT_ISOLATED}));
    return add_pre(r, (mc_pre_step){.kind = MC_PRE_BYTES});
}

static mc_status read_rule(const mc_tok_reader *r, const mc_json *json, mc_split_rule *out)
{
    static const char *const names[] = {
        [MC_SPLIT_REMOVED] = "Removed",          [MC_SPLIT_ISOLATED] = "Isolated",
        [MC_SPLIT_CONTIGUOUS] = "Contiguous",    [MC_SPLIT_WITH_PREVIOUS] = "MergedWithPrevious",
        [MC_SPLIT_WITH_NEXT] = "MergedWithNext",
    };
    const char *name = mc_json_as_text(mc_json_get(json, "behavior"), "");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) {
            *out = (mc_split_rule)i;
            return MC_OK;
        }
    return mc_fail(r->err, MC_E_FORMAT, "%s: the behavior of %s is no known one", r->name,
                   mc_json_as_text(mc_json_get(json, "type"), ""));
}

static mc_status read_split(const mc_tok_reader *r, const mc_json *json)
{
    mc_pre_step step = {.kind = MC_PRE_SPLIT, .find = MC_FIND_PATTERN};
    MC_TRY(read_rule(r, json, &step.rule));
    MC_TRY(mc_tok_need_bool(r, json, "invert", &step.invert));
    const char *regex = mc_json_as_text(mc_json_get(mc_json_get(json, "pattern"), "Regex"), NULL);
    if (regex) step.pattern = mc_tok_pattern_find(regex);
    if (!step.pattern) {
        step.find = MC_FIND_TEXT;
        MC_TRY(read_pattern_text(r, json, "pre_tokenizer Split", &step.text));
    }
    return add_pre(r, step);
}

static mc_status read_digits(const mc_tok_reader *r, const mc_json *json)
{
    bool single;
    MC_TRY(mc_tok_need_bool(r, json, "individual_digits", &single));
    return add_pre(r, (mc_pre_step){.kind = MC_PRE_SPLIT,
                                    .find = MC_FIND_NUMBER,
                                    .rule = single ? MC_SPLIT_ISOLATED : MC_SPLIT_CONTIGUOUS});
}

static mc_status read_punctuation(const mc_tok_reader *r, const mc_json *json)
{
    mc_pre_step step = {
        .kind = MC_PRE_SPLIT, .find = MC_FIND_PUNCTUATION, .rule = MC_SPLIT_ISOLATED};
    if (mc_json_get(json, "behavior")) MC_TRY(read_rule(r, json, &step.rule));
    return add_pre(r, step);
}

static mc_status read_whitespace_split(const mc_tok_reader *r, const mc_json *json)
{
    (void)json;
    return add_pre(r, (mc_pre_step){.kind = MC_PRE_SPLIT, .find = MC_FIND_SPACE});
}

static mc_status read_whitespace(const mc_tok_reader *r, const mc_json *json)
{
    (void)json;
    return add_pre(r, (mc_pre_step){.kind = MC_PRE_SPLIT, .find = MC_FIND_WORDS, .invert = true});
}

static mc_status read_bert_pre(const mc_tok_reader *r, const mc_json *json)
{
    MC_TRY(read_whitespace_split(r, json));
    return add_pre(r, (mc_pre_step){.kind = MC_PRE_SPLIT,
                                    .find = MC_FIND_PUNCTUATION,
                                    .rule = MC_SPLIT_ISOLATED});
}

/* One character. */
static mc_status read_replacement(const mc_tok_reader *r, const mc_json *json, mc_span *out)
{
    uint32_t c;
    MC_TRY(mc_tok_need_text(r, json, "replacement", out));
    if (out->n > 0 && mc_utf8_at(out->at, &c) == out->n) return MC_OK;
    return mc_fail(r->err, MC_E_FORMAT, "%s: the replacement of Metaspace is not one character",
                   r->name);
}

static mc_status read_prepend_scheme(const mc_tok_reader *r, const mc_json *json, mc_prepend *out)
{
    const char *name = mc_json_as_text(mc_json_get(json, "prepend_scheme"), "always");
    const mc_json *prefix = mc_json_get(json, "add_prefix_space"); /* what older files have */
    static const char *const names[] = {"always", "first", "never"};
    size_t i = 0;
    while (i < 3 && strcmp(names[i], name) != 0) i++;
    if (i == 3 || (i < 2 && !mc_json_as_bool(prefix, true)))
        return mc_fail(r->err, MC_E_FORMAT,
                       "%s: prepend_scheme %.*s of Metaspace is unknown or contradicts "
                       "add_prefix_space",
                       r->name, MC_TOK_TEXT(name));
    *out = (mc_prepend)i;
    return MC_OK;
}

static mc_status read_metaspace(const mc_tok_reader *r, const mc_json *json)
{
    mc_pre_step step = {.kind = MC_PRE_METASPACE};
    bool cut = true;
    MC_TRY(read_replacement(r, json, &step.text));
    MC_TRY(read_prepend_scheme(r, json, &step.prepend));
    if (mc_json_get(json, "split")) MC_TRY(mc_tok_need_bool(r, json, "split", &cut));
    MC_TRY(add_pre(r, step));
    if (!cut) return MC_OK;
    return add_pre(r, (mc_pre_step){.kind = MC_PRE_SPLIT,
                                    .find = MC_FIND_TEXT,
                                    .text = step.text,
                                    .rule = MC_SPLIT_WITH_NEXT});
}

mc_status mc_tok_read_pre(const mc_tok_reader *r, const mc_json *json, int depth)
{
    static const step_type types[] = {
        {"ByteLevel", read_byte_level, {"add_prefix_space", "trim_offsets", "use_regex"}},
        {"Split", read_split, {"pattern", "behavior", "invert"}},
        {"Digits", read_digits, {"individual_digits"}},
        {"Punctuation", read_punctuation, {"behavior"}},
        {"Whitespace", read_whitespace, {NULL}},
        {"WhitespaceSplit", read_whitespace_split, {NULL}},
        {"BertPreTokenizer", read_bert_pre, {NULL}},
        {"Metaspace",
         read_metaspace,
         {"replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"}},
    };
    static const step_family family = {"pre_tokenizer", "pretokenizers", types,
                                       sizeof types / sizeof *types};
    return read_family(r, json, &family, depth);
}

/* ---- decoders ---- */

static mc_status add_decode(const mc_tok_reader *r, mc_decode_step step)
{
    if (r->t->decodes == MC_TOK_MAX_STEPS) return too_many(r, "the decoder");
    r->t->decode[r->t->decodes++] = step;
    return MC_OK;
}

static mc_status read_decode_bytes(const mc_tok_reader *r, const mc_json *json)
{
    (void)json;
    return add_decode(r, (mc_decode_step){.kind = MC_DECODE_BYTES});
}

static mc_status read_decode_fallback(const mc_tok_reader *r, const mc_json *json)
{
    (void)json;
    return add_decode(r, (mc_decode_step){.kind = MC_DECODE_BYTE_FALLBACK});
}

static mc_status read_decode_fuse(const mc_tok_reader *r, const mc_json *json)
{
    (void)json;
    return add_decode(r, (mc_decode_step){.kind = MC_DECODE_FUSE});
}

static mc_status read_decode_replace(const mc_tok_reader *r, const mc_json *json)
{
    mc_decode_step step = {.kind = MC_DECODE_REPLACE};
    MC_TRY(read_pattern_text(r, json, "decoder Replace", &step.text));
    MC_TRY(mc_tok_need_text(r, json, "content", &step.other));
    MC_TRY(check_length(r, step.other, true));
    return add_decode(r, step);
}

static mc_status read_decode_strip(const mc_tok_reader *r, const mc_json *json)
{
    mc_decode_step step = {.kind = MC_DECODE_STRIP};
    uint32_t c;
    uint64_t left, right;
    MC_TRY(mc_tok_need_text(r, json, "content", &step.text));
    if (step.text.n == 0 || mc_utf8_at(step.text.at, &c) != step.text.n ||
        !mc_json_as_u64(mc_json_get(json, "start"), &left) ||
        !mc_json_as_u64(mc_json_get(json, "stop"), &right))
        return mc_fail(r->err, MC_E_FORMAT,
                       "%s: decoder Strip needs one character and two whole numbers", r->name);
    step.left = (size_t)left;
    step.right = (size_t)right;
    return add_decode(r, step);
}

static mc_status read_decode_metaspace(const mc_tok_reader *r, const mc_json *json)
{
    mc_decode_step step = {.kind = MC_DECODE_METASPACE};
    mc_prepend prepend;
    MC_TRY(read_replacement(r, json, &step.text));
    MC_TRY(read_prepend_scheme(r, json, &prepend));
    step.flag = prepend != MC_PREPEND_NEVER;
    return add_decode(r, step);
}

static mc_status read_decode_wordpiece(const mc_tok_reader *r, const mc_json *json)
{
    mc_decode_step step = {.kind = MC_DECODE_WORDPIECE};
    MC_TRY(mc_tok_need_text(r, json, "prefix", &step.text));
    MC_TRY(mc_tok_need_bool(r, json, "cleanup", &step.flag));
    return add_decode(r, step);
}

mc_status mc_tok_read_decoder(const mc_tok_reader *r, const mc_json *json, int depth)
{
    static const step_type types[] = {
        {"ByteLevel", read_decode_bytes, {"add_prefix_space", "trim_offsets", "use_regex"}},
        {"Replace", read_decode_replace, {"pattern", "content"}},
        {"ByteFallback", read_decode_fallback, {NULL}},
        {"Fuse", read_decode_fuse, {NULL}},
        {"Strip", read_decode_strip, {"content", "start", "stop"}},
        {"Metaspace",
         read_decode_metaspace,
         {"replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"}},
        {"WordPiece", read_decode_wordpiece, {"prefix", "cleanup"}},
    };
    static const step_family family = {"decoder", "decoders", types, sizeof types / sizeof *types};
    r->t->no_decoder = !json || mc_json_is_null(json);
    return read_family(r, json, &family, depth);
}
