/* Names from files, made safe to print.
 *
 * A tensor may be called "\x1b[2J" or carry a character that turns the direction of writing; on a
 * terminal that is an attack, in a log a lie. What can be shown is shown as it is, everything else
 * as an escape. */
#include "formats/json_pull.h"

#include <stdio.h>
#include <string.h>

/* Characters that are invisible, break lines or turn the direction of writing. */
static bool is_hidden(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
           (c >= 0xe0000 && c <= 0xe0fff);
}

/* The character at `at`; 0 bytes when it is not UTF-8. */
static size_t character(const unsigned char *at, size_t left, uint32_t *c)
{
    size_t n = 1;
    while (n < 4 && n < left && !mc_is_utf8(at, n)) n++;
    if (!mc_is_utf8(at, n)) return 0;
    static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    *c = at[0] & mask[n];
    for (size_t i = 1; i < n; i++) *c = *c << 6 | (at[i] & 0x3fu);
    return n;
}

/* How the next character is shown: `*step` bytes of input become the returned bytes of `piece`. */
static size_t show(const unsigned char *at, size_t left, bool marks, char piece[16], size_t *step)
{
    uint32_t c = 0;
    int n;
    *step = character(at, left, &c);
    if (*step == 0) {
        *step = 1;
        n = snprintf(piece, 16, "\\x%02x", *at);
    } else if (c == '\n' || c == '\r' || c == '\t') {
        n = snprintf(piece, 16, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
    } else if (is_hidden(c)) {
        n = snprintf(piece, 16, c > 0xffff ? "\\U%08x" : "\\u%04x", (unsigned)c);
    } else {
        const size_t back = marks && (c == '"' || c == '\\');
        if (back) piece[0] = '\\';
        memcpy(piece + back, at, *step);
        n = (int)(back + *step);
    }
    return (size_t)n;
}

/* Shows `bytes` of `name` in at most `most` bytes and a NUL; "..." ends what had to be cut. */
static size_t show_all(mc_cursor name, bool marks, char *to, size_t most)
{
    size_t n = 0;
    while (name.at < name.end) {
        char piece[16];
        size_t step;
        const size_t wide = show(name.at, mc_left(&name), marks, piece, &step);
        const size_t needed = mc_left(&name) > step ? 3 : 0; /* keeps room for the dots */
        if (n + wide + needed > most) {
            memcpy(to + n, "...", 3);
            n += 3;
            break;
        }
        memcpy(to + n, piece, wide);
        n += wide;
        name.at += step;
    }
    to[n] = '\0';
    return n;
}

static mc_quoted quote(mc_cursor name, bool marks)
{
    mc_quoted q;
    size_t n = 0;
    q.text[n++] = '"';
    n += show_all(name, marks, q.text + n, MC_QUOTE_LIMIT);
    memcpy(q.text + n, "\"", 2);
    return q;
}

mc_quoted mc_quote(const char *name)
{
    const unsigned char *at = (const unsigned char *)name;
    return quote((mc_cursor){at, at + strlen(name)}, true);
}

mc_quoted mc_quote_token(const mc_pull_token *token)
{
    /* A text is shown as it is escaped in the file, so that no NUL cuts it; a hidden character that
     * stands there in the raw is escaped here. */
    const mc_cursor raw = {token->at, token->at + token->bytes};
    if (token->kind == MC_PULL_KEY || token->kind == MC_PULL_TEXT) return quote(raw, false);

    mc_quoted q;
    if (token->kind == MC_PULL_NUMBER)
        show_all(raw, false, q.text, MC_QUOTE_LIMIT);
    else
        snprintf(q.text, sizeof q.text, "%s", mc_pull_kind_name(token->kind));
    return q;
}

const char *mc_show_path(const char *path, char *to, size_t room)
{
    const unsigned char *at = (const unsigned char *)path;
    show_all((mc_cursor){at, at + strlen(path)}, false, to, room - 1);
    return to;
}
