/* The patterns by which byte-level tokenizers cut a text. They are regular expressions that look
 * back; a file is recognized by the exact expression and matched by hand, in linear time.
 *
 * Each pattern is a list of alternatives, of which the first that fits counts. All end with the
 * same: other characters behind at most one space, and runs of space, of which the last character
 * is left to what follows. */
#include "core/tokenizer_parts.h"
#include "core/unicode.h"

#include <string.h>

#define UPPER \
    (MC_CATEGORY(MC_LU) | MC_CATEGORY(MC_LT) | MC_CATEGORY(MC_LM) | MC_CATEGORY(MC_LO) | MC_MARKS)
#define LOWER (MC_CATEGORY(MC_LL) | MC_CATEGORY(MC_LM) | MC_CATEGORY(MC_LO) | MC_MARKS)

struct mc_tok_pattern {
    const char *regex;
    bool gpt2;           /* words behind a space, instead of behind any one character */
    bool short_forms;    /* 's 't 're 've 'm 'll 'd are pieces of their own */
    bool cased;          /* words change at a capital after a small letter */
    bool ends_in_short;  /* and take a short form with them */
    unsigned digits;     /* in a row */
    const char *endings; /* what a run of other characters takes with it */
};

#define SHORT "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define OTHER "| ?[^\\s\\p{L}\\p{N}]+"
#define SPACE "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define ONE   "[^\\r\\n\\p{L}\\p{N}]?"
#define BIG   "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define SMALL "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"

static const mc_tok_pattern patterns[] = {
    /* GPT-2 */
    {.regex = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+" OTHER "|\\s+(?!\\S)|\\s+",
     .gpt2 = true,
     .short_forms = true,
     .endings = ""},
    /* Llama 3, GPT-4 */
    {.regex = SHORT "|" ONE "\\p{L}+|\\p{N}{1,3}" OTHER "[\\r\\n]*" SPACE,
     .short_forms = true,
     .digits = 3,
     .endings = "\r\n"},
    /* Qwen 2 and 3 */
    {.regex = SHORT "|" ONE "\\p{L}+|\\p{N}" OTHER "[\\r\\n]*" SPACE,
     .short_forms = true,
     .digits = 1,
     .endings = "\r\n"},
    /* GPT-4o */
    {.regex = ONE BIG "*" SMALL "+" SHORT "?|" ONE BIG "+" SMALL "*" SHORT "?|\\p{N}{1,3}" OTHER
                      "[\\r\\n/]*" SPACE,
     .cased = true,
     .ends_in_short = true,
     .digits = 3,
     .endings = "\r\n/"},
    /* Mistral Nemo */
    {.regex = ONE BIG "*" SMALL "+|" ONE BIG "+" SMALL "*|\\p{N}" OTHER "[\\r\\n/]*" SPACE,
     .cased = true,
     .digits = 1,
     .endings = "\r\n/"},
};

const mc_tok_pattern *mc_tok_pattern_find(const char *regex)
{
    if (!regex) return &patterns[0];
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (strcmp(patterns[i].regex, regex) == 0) return &patterns[i];
    return NULL;
}

/* ---- characters ---- */

typedef enum { IS_LETTER, IS_NUMBER, IS_SPACE, IS_OTHER } character_class;

static character_class class_of(uint32_t c)
{
    if (mc_is_space(c)) return IS_SPACE;
    const uint32_t set = MC_CATEGORY(mc_category_of(c));
    return set & MC_LETTERS ? IS_LETTER : set & MC_NUMBERS ? IS_NUMBER : IS_OTHER;
}

/* The character at text[at], its bytes in *n; at the end of the text 0 bytes of IS_SPACE. */
static character_class class_at(mc_span text, size_t at, size_t *n)
{
    uint32_t c;
    *n = 0;
    if (at >= text.n) return IS_SPACE;
    *n = mc_utf8_at(text.at + at, &c);
    return class_of(c);
}

/* Behind the run of characters of one class, at most `most` of them (0: any number). */
static size_t run_of(mc_span text, size_t at, character_class class, size_t most)
{
    size_t n;
    for (size_t i = 0; at < text.n && (most == 0 || i < most); i++, at += n)
        if (class_at(text, at, &n) != class) break;
    return at;
}

static size_t run_in(mc_span text, size_t at, uint32_t categories)
{
    while (at < text.n) {
        uint32_t c;
        const size_t n = mc_utf8_at(text.at + at, &c);
        if (!mc_is_one_of(c, categories)) break;
        at += n;
    }
    return at;
}

/* ---- alternatives: each gives where its match ends, or `at` when there is none ---- */

/* A short form. Where case does not matter, the long s is an s too. */
static size_t short_form(mc_span text, size_t at, bool any_case)
{
    static const char *const forms[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    if (at >= text.n || text.at[at] != '\'') return at;
    const size_t from = at + 1, left = text.n - from;
    if (any_case && left >= 2 && memcmp(text.at + from, "\xc5\xbf", 2) == 0) return from + 2;
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        const size_t n = strlen(forms[f]);
        size_t same = 0;
        while (same < n && same < left) {
            const char c = text.at[from + same];
            const char low = any_case && c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
            if (low != forms[f][same]) break;
            same++;
        }
        if (same == n) return from + n;
    }
    return at;
}

/* Where a word may begin behind one character that is no letter, number or line end; or `at`. */
static size_t behind_one(mc_span text, size_t at)
{
    size_t n;
    const character_class class = class_at(text, at, &n);
    const bool taken = n > 0 && class != IS_LETTER && class != IS_NUMBER && text.at[at] != '\r' &&
                       text.at[at] != '\n';
    return taken ? at + n : at;
}

static size_t plain_word(mc_span text, size_t at)
{
    const size_t from = behind_one(text, at);
    const size_t end = run_of(text, from, IS_LETTER, 0);
    return end > from ? end : run_of(text, at, IS_LETTER, 0);
}

/* BIG* SMALL+ at `from`: the capitals give back what small letters need. */
static size_t small_word(mc_span text, size_t from)
{
    const size_t big = run_in(text, from, UPPER);
    const size_t end = run_in(text, big, LOWER);
    if (end > big) return end;
    for (size_t at = big; at > from;) {
        uint32_t c;
        const size_t n = mc_utf8_before(text.at, at);
        mc_utf8_at(text.at + at - n, &c);
        if (mc_is_one_of(c, LOWER)) return at;
        at -= n;
    }
    return from;
}

/* BIG+ SMALL* at `from`. */
static size_t big_word(mc_span text, size_t from)
{
    const size_t big = run_in(text, from, UPPER);
    return big > from ? run_in(text, big, LOWER) : from;
}

static size_t cased_word(const mc_tok_pattern *p, mc_span text, size_t at)
{
    static size_t (*const words[])(mc_span, size_t) = {small_word, big_word};
    const size_t starts[] = {behind_one(text, at), at};
    for (size_t w = 0; w < 2; w++)
        for (size_t i = 0; i < 2; i++) {
            const size_t end = words[w](text, starts[i]);
            if (end > starts[i]) return p->ends_in_short ? short_form(text, end, true) : end;
        }
    return at;
}

/* A run of space: up to its last line end, or all but its last character. */
static size_t space(mc_span text, size_t at, bool lines)
{
    const size_t end = run_of(text, at, IS_SPACE, 0);
    if (lines)
        for (size_t i = end; i > at; i--)
            if (text.at[i - 1] == '\r' || text.at[i - 1] == '\n') return i;
    const size_t last = end > at ? end - mc_utf8_before(text.at, end) : at;
    return end == text.n || last == at ? end : last;
}

/* Other characters behind at most one space, and the endings. */
static size_t other(mc_span text, size_t at, const char *endings)
{
    const size_t from = text.at[at] == ' ' ? at + 1 : at;
    size_t end = run_of(text, from, IS_OTHER, 0);
    if (end == from) return at;
    while (end < text.n && text.at[end] != '\0' && strchr(endings, text.at[end])) end++;
    return end;
}

static size_t gpt2_match(mc_span text, size_t at)
{
    size_t n, end = short_form(text, at, false);
    if (end > at) return end;
    const size_t from = text.at[at] == ' ' ? at + 1 : at;
    const character_class class = class_at(text, from, &n);
    if (class != IS_SPACE) return run_of(text, from, class, 0);
    return space(text, at, false);
}

size_t mc_tok_pattern_match(const mc_tok_pattern *p, mc_span text, size_t at)
{
    if (p->gpt2) return gpt2_match(text, at);
    size_t end = p->short_forms ? short_form(text, at, true) : at;
    if (end == at) end = p->cased ? cased_word(p, text, at) : plain_word(text, at);
    if (end == at) end = run_of(text, at, IS_NUMBER, p->digits);
    if (end == at) end = other(text, at, p->endings);
    return end > at ? end : space(text, at, true);
}
