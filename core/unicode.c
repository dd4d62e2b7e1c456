/* Lookups in tables that tests/reference/make_unicode_tables.py wrote, and UTF-8. */
#include "core/unicode.h"

#include "core/bytes.h"
#include "core/unicode_tables.h"

/* ---- categories ---- */

static uint32_t category_entry(uint32_t c)
{
    size_t low = 0, high = mc_unicode_categories_count; /* the entry is in [low, high) */
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (mc_unicode_categories[middle] >> 10 <= c)
            low = middle;
        else
            high = middle;
    }
    return mc_unicode_categories[low];
}

mc_category mc_category_of(uint32_t c)
{
    if (c - 'a' < 26) return MC_LL;
    return (mc_category)(category_entry(c) & 31u);
}

mc_category mc_category_of_8(uint32_t c)
{
    return (mc_category)(category_entry(c) >> 5 & 31u);
}

bool mc_is_space(uint32_t c)
{
    if (c < 0x85) return c == ' ' || (c >= 9 && c <= 13);
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Letters in circles and squares, which count as alphabetic. */
static bool is_enclosed_letter(uint32_t c)
{
    return (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||
           (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189);
}

bool mc_is_word(uint32_t c)
{
    const uint32_t sets =
        MC_LETTERS | MC_MARKS | MC_CATEGORY(MC_ND) | MC_CATEGORY(MC_NL) | MC_CATEGORY(MC_PC);
    return mc_is_one_of(c, sets) || is_enclosed_letter(c) || c == 0x200c || c == 0x200d;
}

size_t mc_lower(uint32_t c, uint32_t out[2])
{
    out[0] = c;
    if (c < 0x80) {
        if (c - 'A' < 26) out[0] = c + 32;
        return 1;
    }
    if (c == 0x130) { /* capital I with a dot: the dot stays */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    size_t low = 0, high = mc_unicode_lowers_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const mc_unicode_lower *run = &mc_unicode_lowers[middle];
        if (c > run->last) {
            low = middle + 1;
        } else if (c < run->first) {
            high = middle;
        } else {
            if ((c - run->first) % run->step == 0) out[0] = (uint32_t)((int32_t)c + run->delta);
            break;
        }
    }
    return 1;
}

/* ---- UTF-8 ---- */

size_t mc_utf8_put(uint32_t c, char out[MC_UTF8_BYTES])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    const size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80u | (c & 0x3fu));
    out[0] = (char)(lead[n] | c);
    return n;
}

void mc_utf8_add(mc_text *text, uint32_t c)
{
    char bytes[MC_UTF8_BYTES];
    mc_text_add_bytes(text, bytes, mc_utf8_put(c, bytes));
}

/* How many bytes at `p`, which begin no whole character, could have begun one: at least 1. */
static size_t broken_part(const char *p, size_t left)
{
    const unsigned char *b = (const unsigned char *)p;
    if (b[0] < 0xc2 || b[0] > 0xf4) return 1;
    const size_t whole = b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    unsigned low = b[0] == 0xe0 ? 0xa0 : b[0] == 0xf0 ? 0x90 : 0x80;  /* nothing overlong */
    unsigned high = b[0] == 0xed ? 0x9f : b[0] == 0xf4 ? 0x8f : 0xbf; /* no surrogates */
    size_t n = 1;
    for (; n < whole && n < left && b[n] >= low && b[n] <= high; n++) low = 0x80, high = 0xbf;
    return n;
}

void mc_add_repaired_utf8(mc_text *out, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t good = 0;
        for (size_t k = 1; k <= MC_UTF8_BYTES && k <= n - i && !good; k++)
            if (mc_is_utf8(bytes + i, k)) good = k;
        if (good) {
            mc_text_add_bytes(out, bytes + i, good);
            i += good;
        } else {
            mc_text_add(out, "\xef\xbf\xbd");
            i += broken_part(bytes + i, n - i);
        }
    }
}
