/* A pull parser is a small machine: what it expects next, and one bit a level that says whether the
 * level is an object. Nesting costs a bit, not a stack frame, and a token costs no memory, so the
 * worst text costs one pass over it. */
#include "formats/json_pull.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    EXPECT_VALUE,
    EXPECT_FIRST_KEY,  /* or the end of the object */
    EXPECT_FIRST_ITEM, /* or the end of the array */
    EXPECT_MORE, /* a comma or the end of the level; outside of all levels the end of the text */
};

/* ---- messages ---- */

static uint64_t position_of(const mc_pull *p, const unsigned char *at)
{
    return p->position + (uint64_t)(at - p->begin);
}

static mc_status refuse(const mc_pull *p, const unsigned char *at, const char *why, mc_err *err)
{
    char path[MC_PATH_ROOM];
    return mc_fail(err, MC_E_FORMAT, "%s: %s is not valid JSON: %s at position %" PRIu64,
                   mc_show_path(p->path, path, sizeof path), p->what, why, position_of(p, at));
}

/* "expected ':', found 'x'" */
static mc_status unexpected(const mc_pull *p, const char *wanted, mc_err *err)
{
    const unsigned char *at = p->in.at;
    char why[80];
    if (at == p->in.end)
        snprintf(why, sizeof why, "expected %s, found the end", wanted);
    else if (*at > ' ' && *at < 0x7f)
        snprintf(why, sizeof why, "expected %s, found '%c'", wanted, *at);
    else
        snprintf(why, sizeof why, "expected %s, found byte 0x%02x", wanted, *at);
    return refuse(p, at, why, err);
}

/* Published files exist that were padded with NUL; say so instead of "found byte 0x00". */
static mc_status refuse_tail(const mc_pull *p, mc_err *err)
{
    char path[MC_PATH_ROOM];
    if (!mc_all_zero(p->in.at, mc_left(&p->in)))
        return unexpected(p, "only whitespace behind the object", err);
    return mc_fail(err, MC_E_FORMAT,
                   "%s: %s is padded with NUL bytes from position %" PRIu64
                   ", only spaces are allowed: save the file again with a current writer",
                   mc_show_path(p->path, path, sizeof path), p->what, position_of(p, p->in.at));
}

/* ---- the small parts of a text ---- */

static void skip_space(mc_cursor *in)
{
    const unsigned char *at = in->at;
    while (at < in->end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) at++;
    in->at = at;
}

static bool is_digit(const mc_cursor *in)
{
    return in->at < in->end && *in->at >= '0' && *in->at <= '9';
}

static bool take_char(mc_cursor *in, char c)
{
    if (in->at == in->end || *in->at != (unsigned char)c) return false;
    in->at++;
    return true;
}

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* The four digits behind \u, or -1. */
static int32_t take_hex4(mc_cursor *in)
{
    const unsigned char *d = mc_take(in, 4);
    int32_t unit = 0;
    for (int i = 0; i < 4 && unit >= 0; i++) {
        const int digit = d ? hex_digit(d[i]) : -1;
        unit = digit < 0 ? -1 : unit * 16 + digit;
    }
    return unit;
}

/* The character that the escape at `in`, behind its backslash, stands for, or -1. */
static int32_t take_escape(mc_cursor *in)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const unsigned char *c = mc_take(in, 1);
    if (!c) return -1;
    if (*c != 'u') {
        const char *known = *c ? strchr(from, *c) : NULL;
        return known ? to[known - from] : -1;
    }

    const int32_t high = take_hex4(in);
    if (high < 0xd800 || high > 0xdfff) return high;
    if (high >= 0xdc00 || !take_char(in, '\\') || !take_char(in, 'u')) return -1;
    const int32_t low = take_hex4(in);
    if (low < 0xdc00 || low > 0xdfff) return -1;
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

/* ---- tokens ---- */

static mc_status take_text(mc_pull *p, mc_pull_kind kind, mc_pull_token *token, mc_err *err)
{
    mc_cursor in = p->in;
    const unsigned char *start = ++in.at; /* behind the quotation mark */
    *token = (mc_pull_token){.at = start, .kind = kind};

    for (;;) {
        while (in.at < in.end && *in.at != '"' && *in.at != '\\' && *in.at >= 0x20) in.at++;
        const unsigned char *at = in.at;
        if (at == in.end) return refuse(p, start - 1, "text without an end", err);
        if (*at < 0x20) return refuse(p, at, "control character in a text", err);
        in.at++;
        if (*at == '"') {
            token->bytes = (size_t)(at - start);
            p->in = in;
            return MC_OK;
        }
        const int32_t c = take_escape(&in);
        if (c < 0) return refuse(p, at, "invalid escape or half of a surrogate pair", err);
        token->escaped = true;
        token->holds_nul |= c == 0;
    }
}

static mc_status take_number(mc_pull *p, mc_pull_token *token, mc_err *err)
{
    mc_cursor *in = &p->in;
    const unsigned char *start = in->at;
    take_char(in, '-');
    const bool zero = take_char(in, '0');
    if (zero && is_digit(in)) return refuse(p, start, "number with a leading zero", err);
    if (!zero && !is_digit(in)) return unexpected(p, "a digit", err);
    while (is_digit(in)) in->at++;
    if (take_char(in, '.')) {
        if (!is_digit(in)) return unexpected(p, "a digit", err);
        while (is_digit(in)) in->at++;
    }
    if (take_char(in, 'e') || take_char(in, 'E')) {
        if (!take_char(in, '+')) take_char(in, '-');
        if (!is_digit(in)) return unexpected(p, "a digit", err);
        while (is_digit(in)) in->at++;
    }
    *token = (mc_pull_token){start, (size_t)(in->at - start), MC_PULL_NUMBER, false, false};
    return MC_OK;
}

static mc_status take_word(mc_pull *p, const char *word, mc_pull_kind kind, mc_pull_token *token,
                           mc_err *err)
{
    const size_t bytes = strlen(word);
    const unsigned char *at = p->in.at;
    if (mc_left(&p->in) < bytes || memcmp(at, word, bytes) != 0)
        return unexpected(p, "a value", err);
    p->in.at += bytes;
    *token = (mc_pull_token){at, bytes, kind, false, false};
    return MC_OK;
}

static bool in_object(const mc_pull *p)
{
    const unsigned level = p->depth - 1;
    return p->objects[level / 64] >> (level % 64) & 1;
}

static mc_status open_level(mc_pull *p, mc_pull_kind kind, mc_pull_token *token, mc_err *err)
{
    if (p->depth == MC_PULL_DEPTH) {
        char path[MC_PATH_ROOM];
        return mc_fail(err, MC_E_FORMAT, "%s: %s nests deeper than %d levels at position %" PRIu64,
                       mc_show_path(p->path, path, sizeof path), p->what, (int)MC_PULL_DEPTH,
                       position_of(p, p->in.at));
    }
    const uint64_t bit = UINT64_C(1) << (p->depth % 64);
    uint64_t *objects = &p->objects[p->depth / 64];
    *objects = kind == MC_PULL_OBJECT ? *objects | bit : *objects & ~bit;
    p->depth++;
    p->expects = kind == MC_PULL_OBJECT ? EXPECT_FIRST_KEY : EXPECT_FIRST_ITEM;
    *token = (mc_pull_token){p->in.at++, 1, kind, false, false};
    return MC_OK;
}

static mc_status close_level(mc_pull *p, mc_pull_token *token)
{
    *token = (mc_pull_token){p->in.at++, 1, MC_PULL_END, false, false};
    p->depth--;
    p->expects = EXPECT_MORE;
    return MC_OK;
}

static mc_status take_value(mc_pull *p, mc_pull_token *token, mc_err *err)
{
    const unsigned char c = p->in.at < p->in.end ? *p->in.at : 0;
    if (c == '{') return open_level(p, MC_PULL_OBJECT, token, err);
    if (c == '[') return open_level(p, MC_PULL_ARRAY, token, err);

    p->expects = EXPECT_MORE;
    if (c == '"') return take_text(p, MC_PULL_TEXT, token, err);
    if (c == '-' || (c >= '0' && c <= '9')) return take_number(p, token, err);
    if (c == 't') return take_word(p, "true", MC_PULL_TRUE, token, err);
    if (c == 'f') return take_word(p, "false", MC_PULL_FALSE, token, err);
    if (c == 'n') return take_word(p, "null", MC_PULL_NULL, token, err);
    return unexpected(p, "a value", err);
}

/* A key with the colon behind it. */
static mc_status take_key(mc_pull *p, mc_pull_token *token, mc_err *err)
{
    if (p->in.at == p->in.end || *p->in.at != '"') return unexpected(p, "a key", err);
    MC_TRY(take_text(p, MC_PULL_KEY, token, err));
    skip_space(&p->in);
    if (!take_char(&p->in, ':')) return unexpected(p, "':'", err);
    p->expects = EXPECT_VALUE;
    return MC_OK;
}

mc_status mc_pull_next(mc_pull *p, mc_pull_token *token, mc_err *err)
{
    skip_space(&p->in);
    const unsigned char c = p->in.at < p->in.end ? *p->in.at : 0;

    switch (p->expects) {
    case EXPECT_VALUE: return take_value(p, token, err);
    case EXPECT_FIRST_KEY: return c == '}' ? close_level(p, token) : take_key(p, token, err);
    case EXPECT_FIRST_ITEM: return c == ']' ? close_level(p, token) : take_value(p, token, err);
    default: break;
    }
    if (p->depth == 0) {
        if (p->in.at < p->in.end) return refuse_tail(p, err);
        *token = (mc_pull_token){.at = p->in.at, .kind = MC_PULL_DONE};
        return MC_OK;
    }
    const bool object = in_object(p);
    if (c == (object ? '}' : ']')) return close_level(p, token);
    if (c != ',') return unexpected(p, object ? "',' or '}'" : "',' or ']'", err);
    p->in.at++;
    skip_space(&p->in);
    return object ? take_key(p, token, err) : take_value(p, token, err);
}

mc_status mc_pull_skip(mc_pull *p, const mc_pull_token *token, mc_err *err)
{
    if (token->kind != MC_PULL_OBJECT && token->kind != MC_PULL_ARRAY) return MC_OK;
    const unsigned outside = p->depth - 1;
    mc_pull_token inner;
    while (p->depth > outside) MC_TRY(mc_pull_next(p, &inner, err));
    return MC_OK;
}

/* The first byte that no character explains; the text is known to hold one. */
static const unsigned char *first_bad_byte(mc_cursor text)
{
    while (text.at < text.end) {
        size_t n = 1;
        while (n <= 4 && n <= mc_left(&text) && !mc_is_utf8(text.at, n)) n++;
        if (n > 4 || n > mc_left(&text)) break;
        text.at += n;
    }
    return text.at;
}

mc_status mc_pull_open(mc_pull *p, mc_cursor text, const char *path, const char *what,
                       uint64_t position, mc_err *err)
{
    *p = (mc_pull){.in = text, .begin = text.at, .path = path, .what = what, .position = position};
    p->expects = EXPECT_VALUE;
    if (mc_left(&text) == 0 || mc_is_utf8(text.at, mc_left(&text))) return MC_OK;

    const unsigned char *bad = first_bad_byte(text);
    char shown[MC_PATH_ROOM];
    return mc_fail(err, MC_E_FORMAT, "%s: %s is not valid UTF-8: byte 0x%02x at position %" PRIu64,
                   mc_show_path(path, shown, sizeof shown), what, *bad, position_of(p, bad));
}

/* ---- what a token says ---- */

static size_t put_utf8(uint32_t c, char *to)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    const size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6) to[i] = (char)(0x80 | (c & 0x3f));
    to[0] = (char)(lead[n] | c);
    return n;
}

size_t mc_pull_decode(const mc_pull_token *token, char *to)
{
    size_t n = 0;
    if (!token->escaped) {
        n = token->bytes;
        if (n > 0) memcpy(to, token->at, n);
    } else {
        mc_cursor in = {token->at, token->at + token->bytes};
        while (in.at < in.end) {
            const unsigned char c = *in.at++;
            if (c == '\\')
                n += put_utf8((uint32_t)take_escape(&in), to + n);
            else
                to[n++] = (char)c;
        }
    }
    to[n] = '\0';
    return n;
}

bool mc_pull_is(const mc_pull_token *token, const char *text)
{
    const size_t length = strlen(text);
    if (!token->escaped) return token->bytes == length && memcmp(token->at, text, length) == 0;

    char decoded[256]; /* the longest escape of one ASCII character has 6 bytes */
    if (token->bytes > 6 * length || token->bytes >= sizeof decoded) return false;
    return mc_pull_decode(token, decoded) == length && memcmp(decoded, text, length) == 0;
}

bool mc_pull_u64(const mc_pull_token *token, uint64_t *value)
{
    uint64_t v = 0;
    if (token->kind != MC_PULL_NUMBER) return false;
    for (size_t i = 0; i < token->bytes; i++) {
        const unsigned char c = token->at[i];
        if (c < '0' || c > '9') return false; /* a sign, a point or an exponent */
        if (__builtin_mul_overflow(v, (uint64_t)10, &v)) return false;
        if (__builtin_add_overflow(v, (uint64_t)(c - '0'), &v)) return false;
    }
    *value = v;
    return true;
}

const char *mc_pull_kind_name(mc_pull_kind kind)
{
    static const char *const name[] = {
        [MC_PULL_OBJECT] = "an object", [MC_PULL_ARRAY] = "an array", [MC_PULL_END] = "an end",
        [MC_PULL_KEY] = "a key",        [MC_PULL_TEXT] = "a text",    [MC_PULL_NUMBER] = "a number",
        [MC_PULL_TRUE] = "true",        [MC_PULL_FALSE] = "false",    [MC_PULL_NULL] = "null",
        [MC_PULL_DONE] = "nothing",
    };
    return name[kind];
}
