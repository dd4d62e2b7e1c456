/* The pre-tokenizer: each step cuts or rewrites a piece and hands what comes out to the next one;
 * behind the last step stands the model. */
#include "core/tokenizer_parts.h"
#include "core/unicode.h"

#include <string.h>

/* ---- the byte-level alphabet (GPT-2): bytes that can be seen are themselves ---- */

uint32_t mc_tok_character_of(unsigned char byte)
{
    if ((byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174) return byte;
    return 256u + (byte <= 32 ? byte : byte <= 160 ? byte - 127u + 33u : 67u);
}

int mc_tok_byte_of(uint32_t c)
{
    if (c < 256) return mc_tok_character_of((unsigned char)c) == c ? (int)c : -1;
    const uint32_t i = c - 256;
    if (i > 67) return -1;
    return (int)(i <= 32 ? i : i <= 66 ? i - 33 + 127 : 173);
}

/* ---- finding ---- */

static bool has_text(mc_span text, size_t at, mc_span what)
{
    return what.n <= text.n - at && memcmp(text.at + at, what.at, what.n) == 0;
}

static size_t find_text(mc_span text, size_t at, mc_span what, bool *hit)
{
    *hit = has_text(text, at, what);
    if (*hit) return at + what.n;
    do at++;
    while (at < text.n && !has_text(text, at, what));
    return at;
}

static bool is_found(mc_find_kind find, uint32_t c)
{
    switch (find) {
    case MC_FIND_SPACE: return mc_is_space(c);
    case MC_FIND_NUMBER: return mc_is_one_of(c, MC_NUMBERS);
    case MC_FIND_PUNCTUATION: /* all of ASCII that is neither letter nor digit, and Unicode 8's */
        if (c < 0x80) return c > ' ' && c < 0x7f && !mc_is_one_of(c, MC_LETTERS | MC_NUMBERS);
        return (MC_CATEGORY(mc_category_of_8(c)) & MC_PUNCTUATION) != 0;
    default: return false;
    }
}

/* One character that is looked for, or a run of others. */
static size_t find_character(mc_span text, size_t at, mc_find_kind find, bool *hit)
{
    uint32_t c;
    size_t end = at + mc_utf8_at(text.at + at, &c);
    *hit = is_found(find, c);
    while (!*hit && end < text.n) {
        const size_t n = mc_utf8_at(text.at + end, &c);
        if (is_found(find, c)) break;
        end += n;
    }
    return end;
}

/* Words, runs of what is neither word nor space, and, not looked for, runs of space. */
static size_t find_word(mc_span text, size_t at, bool *hit)
{
    uint32_t c;
    size_t end = at + mc_utf8_at(text.at + at, &c);
    const bool word = mc_is_word(c), blank = mc_is_space(c);
    *hit = !blank;
    while (end < text.n) {
        const size_t n = mc_utf8_at(text.at + end, &c);
        if (mc_is_word(c) != word || mc_is_space(c) != blank) break;
        end += n;
    }
    return end;
}

static size_t find(const mc_pre_step *step, mc_span text, size_t at, bool *hit)
{
    *hit = true;
    switch (step->find) {
    case MC_FIND_TEXT: return find_text(text, at, step->text, hit);
    case MC_FIND_PATTERN: return mc_tok_pattern_match(step->pattern, text, at);
    case MC_FIND_WORDS: return find_word(text, at, hit);
    default: return find_character(text, at, step->find, hit);
    }
}

/* ---- steps ---- */

static mc_status from_step(mc_encoder *e, size_t step, mc_span piece, bool first);

/* Whether a part belongs to the piece before it, whose last part was found (or not). */
static bool joins(mc_split_rule rule, bool last_hit, bool hit)
{
    switch (rule) {
    case MC_SPLIT_CONTIGUOUS: return hit == last_hit;
    case MC_SPLIT_WITH_PREVIOUS: return hit && !last_hit;
    case MC_SPLIT_WITH_NEXT: return !hit && last_hit;
    default: return false;
    }
}

static mc_status split(mc_encoder *e, size_t step, mc_span text, bool first)
{
    const mc_pre_step *s = &e->t->pre[step];
    size_t from = 0; /* text[from..at) waits for what may join it */
    bool last_hit = false;
    for (size_t at = 0, end; at < text.n; at = end) {
        bool hit;
        end = find(s, text, at, &hit);
        hit = hit != s->invert;
        if (at > from && !joins(s->rule, last_hit, hit)) {
            MC_TRY(from_step(e, step + 1, (mc_span){text.at + from, at - from}, first && !from));
            from = at;
        }
        last_hit = hit;
        if (s->rule == MC_SPLIT_REMOVED && hit) from = end;
    }
    if (from == text.n) return MC_OK;
    return from_step(e, step + 1, (mc_span){text.at + from, text.n - from}, first && !from);
}

static void add_bytes(mc_text *out, mc_span text)
{
    for (size_t i = 0; i < text.n; i++)
        mc_utf8_add(out, mc_tok_character_of((unsigned char)text.at[i]));
}

static void add_metaspace(mc_text *out, mc_span text, const mc_pre_step *s, bool first)
{
    const bool wanted =
        s->prepend == MC_PREPEND_ALWAYS || (s->prepend == MC_PREPEND_FIRST && first);
    if (wanted && text.at[0] != ' ' && !has_text(text, 0, s->text))
        mc_text_add_bytes(out, s->text.at, s->text.n);
    for (size_t i = 0; i < text.n; i++)
        if (text.at[i] == ' ')
            mc_text_add_bytes(out, s->text.at, s->text.n);
        else
            mc_text_add_bytes(out, text.at + i, 1);
}

static mc_status rewrite(mc_encoder *e, size_t step, mc_span text, bool first)
{
    const mc_pre_step *s = &e->t->pre[step];
    mc_text *out = &e->pre[step];
    out->length = 0;
    if (s->kind == MC_PRE_BYTES) {
        add_bytes(out, text);
    } else if (s->kind == MC_PRE_METASPACE) {
        add_metaspace(out, text, s, first);
    } else {
        if (text.at[0] != ' ') mc_text_add_bytes(out, " ", 1);
        mc_text_add_bytes(out, text.at, text.n);
    }
    if (out->failed) return mc_no_room(e->err, "a text that is being cut into words");
    return from_step(e, step + 1, mc_span_of(out), first);
}

static mc_status from_step(mc_encoder *e, size_t step, mc_span piece, bool first)
{
    if (step < e->t->pres)
        return e->t->pre[step].kind == MC_PRE_SPLIT ? split(e, step, piece, first)
                                                    : rewrite(e, step, piece, first);
    return e->t->model.kind == MC_MODEL_BPE ? mc_tok_bpe(e, piece) : mc_tok_wordpiece(e, piece);
}

mc_status mc_tok_pre_tokenize(mc_encoder *e, mc_span text, bool first)
{
    return text.n > 0 ? from_step(e, 0, text, first) : MC_OK;
}
