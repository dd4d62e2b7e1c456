/* Ids back to text, for people: steps that rewrite a list of tokens. */
#include "core/bytes.h"
#include "core/tokenizer_parts.h"
#include "core/unicode.h"

#include <stdlib.h>
#include <string.h>

/* Texts one behind the other. */
typedef struct {
    mc_text text;
    size_t *end; /* where each one ends */
    size_t n, room;
} text_list;

static mc_span item(const text_list *list, size_t i)
{
    const size_t from = i > 0 ? list->end[i - 1] : 0;
    return (mc_span){list->text.at ? list->text.at + from : "", list->end[i] - from};
}

/* All that was added to the text since the last call is an item. */
static void end_item(text_list *list)
{
    void *at = list->end;
    const bool grown = mc_tok_grow(&at, &list->room, list->n + 1, sizeof *list->end);
    list->end = at;
    if (grown)
        list->end[list->n++] = list->text.length;
    else
        list->text.failed = true;
}

static void add_item(text_list *list, mc_span text)
{
    mc_text_add_bytes(&list->text, text.at, text.n);
    end_item(list);
}

static bool begins(mc_span text, mc_span with)
{
    return text.n >= with.n && memcmp(text.at, with.at, with.n) == 0;
}

static void add_replaced(mc_text *out, mc_span text, mc_span what, mc_span by)
{
    for (size_t i = 0; i < text.n;) {
        const bool found = begins((mc_span){text.at + i, text.n - i}, what);
        mc_text_add_bytes(out, found ? by.at : text.at + i, found ? by.n : 1);
        i += found ? what.n : 1;
    }
}

/* ---- bytes ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte of <0xNN>, or -1. */
static int fallback_byte(mc_span token)
{
    if (token.n != 6 || memcmp(token.at, "<0x", 3) != 0 || token.at[5] != '>') return -1;
    const int high = hex_digit(token.at[3]), low = hex_digit(token.at[4]);
    return high < 0 || low < 0 ? -1 : 16 * high + low;
}

static void flush_bytes(text_list *out, mc_text *bytes)
{
    if (bytes->length == 0) return;
    const bool good = mc_is_utf8(bytes->at, bytes->length);
    if (good) add_item(out, mc_span_of(bytes));
    for (size_t i = 0; i < bytes->length && !good; i++) add_item(out, (mc_span){"\xef\xbf\xbd", 3});
    bytes->length = 0;
}

static void byte_fallback(const text_list *in, text_list *out)
{
    mc_text bytes = {0};
    for (size_t i = 0; i < in->n; i++) {
        const int byte = fallback_byte(item(in, i));
        if (byte >= 0) {
            mc_text_add_bytes(&bytes, &(char){(char)byte}, 1);
            continue;
        }
        flush_bytes(out, &bytes);
        add_item(out, item(in, i));
    }
    flush_bytes(out, &bytes);
    if (bytes.failed) out->text.failed = true;
    mc_text_close(&bytes);
}

/* A token with a character that stands for no byte is text as it is. */
static void add_bytes(mc_text *bytes, mc_span token)
{
    const size_t before = bytes->length;
    for (size_t i = 0; i < token.n;) {
        uint32_t c;
        i += mc_utf8_at(token.at + i, &c);
        const int byte = mc_tok_byte_of(c);
        if (byte < 0) {
            bytes->length = before;
            mc_text_add_bytes(bytes, token.at, token.n);
            return;
        }
        mc_text_add_bytes(bytes, &(char){(char)byte}, 1);
    }
}

static void byte_level(const text_list *in, text_list *out)
{
    mc_text bytes = {0};
    for (size_t i = 0; i < in->n; i++) add_bytes(&bytes, item(in, i));
    if (bytes.failed) out->text.failed = true;
    mc_add_repaired_utf8(&out->text, mc_span_of(&bytes).at, bytes.length);
    end_item(out);
    mc_text_close(&bytes);
}

/* ---- characters ---- */

static mc_span strip(mc_span token, const mc_decode_step *s)
{
    for (size_t i = 0; i < s->left && begins(token, s->text); i++)
        token = (mc_span){token.at + s->text.n, token.n - s->text.n};
    for (size_t i = 0; i < s->right && token.n >= s->text.n; i++) {
        const size_t rest = token.n - s->text.n;
        if (memcmp(token.at + rest, s->text.at, s->text.n) != 0) break;
        token.n = rest;
    }
    return token;
}

/* English spacing as BERT's tokenizers undo it. */
static void clean_up(text_list *out, mc_span token)
{
    static const char *const pairs[][2] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    mc_text text[2] = {{0}, {0}};
    mc_text_add_bytes(&text[0], token.at, token.n);
    const size_t n = sizeof pairs / sizeof *pairs;
    for (size_t i = 0; i < n; i++) {
        mc_text *to = &text[(i + 1) % 2];
        to->length = 0;
        add_replaced(to, mc_span_of(&text[i % 2]), (mc_span){pairs[i][0], strlen(pairs[i][0])},
                     (mc_span){pairs[i][1], strlen(pairs[i][1])});
    }
    if (text[0].failed || text[1].failed) out->text.failed = true;
    add_item(out, mc_span_of(&text[n % 2]));
    mc_text_close(&text[0]);
    mc_text_close(&text[1]);
}

static void wordpiece(const mc_decode_step *s, size_t i, mc_span token, text_list *out)
{
    mc_text text = {0};
    const bool continues = i > 0 && begins(token, s->text);
    if (i > 0 && !continues) mc_text_add(&text, " ");
    const size_t skip = continues ? s->text.n : 0;
    mc_text_add_bytes(&text, token.at + skip, token.n - skip);
    if (text.failed) out->text.failed = true;
    if (s->flag)
        clean_up(out, mc_span_of(&text));
    else
        add_item(out, mc_span_of(&text));
    mc_text_close(&text);
}

static void each(const mc_decode_step *s, const text_list *in, text_list *out)
{
    for (size_t i = 0; i < in->n; i++) {
        const mc_span token = item(in, i);
        const bool goes = s->kind == MC_DECODE_METASPACE && s->flag && i == 0;
        switch (s->kind) {
        case MC_DECODE_REPLACE:
            add_replaced(&out->text, token, s->text, s->other);
            end_item(out);
            break;
        case MC_DECODE_METASPACE:
            add_replaced(&out->text, token, s->text, (mc_span){" ", goes ? 0 : 1});
            end_item(out);
            break;
        case MC_DECODE_STRIP: add_item(out, strip(token, s)); break;
        case MC_DECODE_WORDPIECE: wordpiece(s, i, token, out); break;
        default: break;
        }
    }
}

static void apply(const mc_decode_step *s, const text_list *in, text_list *out)
{
    out->text.length = 0;
    out->n = 0;
    switch (s->kind) {
    case MC_DECODE_BYTE_FALLBACK: byte_fallback(in, out); break;
    case MC_DECODE_BYTES: byte_level(in, out); break;
    case MC_DECODE_FUSE:
        mc_text_add_bytes(&out->text, mc_span_of(&in->text).at, in->text.length);
        end_item(out);
        break;
    default: each(s, in, out); break;
    }
}

/* NULL where there is none. Of an added token what stood in the normalized text. */
static mc_span token_of(const mc_tokenizer *t, int32_t id)
{
    if (id < 0 || (size_t)id >= t->model.vocab.size) return (mc_span){0};
    return t->added && t->added[id].at ? t->added[id] : t->model.vocab.token[id];
}

char *mc_tokenizer_decode(const mc_tokenizer *t, const int32_t *ids, size_t n, mc_arena *mem)
{
    text_list list[2] = {{.n = 0}, {.n = 0}};
    for (size_t i = 0; i < n; i++) {
        const mc_span token = token_of(t, ids[i]);
        if (!token.at) continue;
        if (t->no_decoder && list[0].n > 0) mc_text_add(&list[0].text, " ");
        add_item(&list[0], token);
    }
    for (size_t i = 0; i < t->decodes; i++) {
        apply(&t->decode[i], &list[i % 2], &list[(i + 1) % 2]);
        if (list[i % 2].text.failed) list[(i + 1) % 2].text.failed = true;
    }
    const mc_text *last = &list[t->decodes % 2].text;
    char *text = last->failed ? NULL : mc_copy_text(mem, mc_span_of(last).at, last->length);
    for (size_t i = 0; i < 2; i++) {
        mc_text_close(&list[i].text);
        free(list[i].end);
    }
    return text;
}
