/* The normalizer: steps that rewrite a text, each from one buffer into the other. */
#include "core/tokenizer_parts.h"
#include "core/unicode.h"

#include <string.h>

/* Steps that replace a text by a longer one could fill any memory. */
enum { GROWTH = 64, SLACK = 1 << 16 };

static void replace(mc_text *out, mc_span text, mc_span what, mc_span by)
{
    size_t kept = 0;
    for (size_t i = 0; i + what.n <= text.n;) {
        const char *next = memchr(text.at + i, what.at[0], text.n - i);
        if (!next) break;
        i = (size_t)(next - text.at);
        if (i + what.n <= text.n && memcmp(next, what.at, what.n) == 0) {
            mc_text_add_bytes(out, text.at + kept, i - kept);
            mc_text_add_bytes(out, by.at, by.n);
            kept = i += what.n;
        } else {
            i++;
        }
    }
    mc_text_add_bytes(out, text.at + kept, text.n - kept);
}

static mc_span strip(mc_span text, bool left, bool right)
{
    uint32_t c;
    size_t from = 0, to = text.n;
    while (left && from < to) {
        const size_t n = mc_utf8_at(text.at + from, &c);
        if (!mc_is_space(c)) break;
        from += n;
    }
    while (right && to > from) {
        const size_t n = mc_utf8_before(text.at, to);
        mc_utf8_at(text.at + to - n, &c);
        if (!mc_is_space(c)) break;
        to -= n;
    }
    return (mc_span){text.at + from, to - from};
}

static void add_lower(mc_text *out, uint32_t c)
{
    uint32_t low[2];
    const size_t n = mc_lower(c, low);
    for (size_t i = 0; i < n; i++) mc_utf8_add(out, low[i]);
}

/* Control characters go, space of every kind becomes a space. */
static void add_clean(mc_text *out, uint32_t c)
{
    const uint32_t control = MC_CATEGORY(MC_CC) | MC_CATEGORY(MC_CF) | MC_CATEGORY(MC_CO);
    if (c == '\t' || c == '\n' || c == '\r')
        mc_text_add_bytes(out, " ", 1);
    else if (c != 0xfffd && !(MC_CATEGORY(mc_category_of_8(c)) & control))
        mc_utf8_add(out, mc_is_space(c) ? ' ' : c);
}

/* BERT's blocks of Chinese characters. The reference has U+2B920 where the original has U+2B820. */
static bool is_chinese(uint32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
           (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
           (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

static void add_chinese(mc_text *out, uint32_t c)
{
    const bool apart = is_chinese(c);
    if (apart) mc_text_add_bytes(out, " ", 1);
    mc_utf8_add(out, c);
    if (apart) mc_text_add_bytes(out, " ", 1);
}

static void add_no_accent(mc_text *out, uint32_t c)
{
    if (mc_category_of_8(c) != MC_MN) mc_utf8_add(out, c);
}

static void each(mc_text *out, mc_span text, void (*add)(mc_text *, uint32_t))
{
    for (size_t i = 0; i < text.n;) {
        uint32_t c;
        i += mc_utf8_at(text.at + i, &c);
        add(out, c);
    }
}

static void apply(const mc_norm_step *step, mc_span text, mc_text *out)
{
    switch (step->kind) {
    case MC_NORM_PREPEND:
        if (text.n > 0) mc_text_add_bytes(out, step->text.at, step->text.n);
        mc_text_add_bytes(out, text.at, text.n);
        break;
    case MC_NORM_REPLACE: replace(out, text, step->text, step->other); break;
    case MC_NORM_NFC:
    case MC_NORM_NFD: mc_add_normal_form(out, text.at, text.n, step->kind == MC_NORM_NFC); break;
    case MC_NORM_LOWER: each(out, text, add_lower); break;
    case MC_NORM_STRIP:
        text = strip(text, step->left, step->right);
        mc_text_add_bytes(out, text.at, text.n);
        break;
    case MC_NORM_CLEAN: each(out, text, add_clean); break;
    case MC_NORM_CHINESE: each(out, text, add_chinese); break;
    case MC_NORM_ACCENTS: each(out, text, add_no_accent); break;
    }
}

mc_status mc_tok_normalize(const mc_tokenizer *t, mc_span text, mc_text buffer[2], mc_span *out,
                           mc_err *err)
{
    const size_t whole = text.n, most = GROWTH * whole + SLACK;
    for (size_t i = 0; i < t->norms; i++) {
        mc_text *to = &buffer[i % 2];
        to->length = 0;
        apply(&t->norm[i], text, to);
        if (to->failed) return mc_no_room(err, "a text that is being normalized");
        if (to->length > most)
            return mc_fail(err, MC_E_BUDGET,
                           "the tokenizer's normalizer makes more than %zu bytes of %zu", most,
                           whole);
        text = mc_span_of(to);
    }
    *out = text;
    return MC_OK;
}
