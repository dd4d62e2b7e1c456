/* Characters as tokenizers see them: UTF-8, general categories, lower case, normal forms.
 *
 * Tokenizers in use speak of several versions of Unicode at once: patterns of 16, BERT's normalizer
 * of 8, normal forms of 9 and lower case of 17. Their ids are what has to come out, so here it is
 * the same. */
#ifndef MC_CORE_UNICODE_H
#define MC_CORE_UNICODE_H

#include "core/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order that the tables have. */
typedef enum {
    MC_CN, /* not assigned */
    MC_CC,
    MC_CF,
    MC_CO,
    MC_CS,
    MC_LL,
    MC_LM,
    MC_LO,
    MC_LT,
    MC_LU,
    MC_MC,
    MC_ME,
    MC_MN,
    MC_ND,
    MC_NL,
    MC_NO,
    MC_PC,
    MC_PD,
    MC_PE,
    MC_PF,
    MC_PI,
    MC_PO,
    MC_PS,
    MC_SC,
    MC_SK,
    MC_SM,
    MC_SO,
    MC_ZL,
    MC_ZP,
    MC_ZS,
} mc_category;

/* Sets of categories. */
#define MC_CATEGORY(c) (1u << (c))
#define MC_MARKS       (MC_CATEGORY(MC_MC) | MC_CATEGORY(MC_ME) | MC_CATEGORY(MC_MN))
#define MC_NUMBERS     (MC_CATEGORY(MC_ND) | MC_CATEGORY(MC_NL) | MC_CATEGORY(MC_NO))
#define MC_LETTERS                                                                       \
    (MC_CATEGORY(MC_LL) | MC_CATEGORY(MC_LM) | MC_CATEGORY(MC_LO) | MC_CATEGORY(MC_LT) | \
     MC_CATEGORY(MC_LU))
#define MC_PUNCTUATION                                                                   \
    (MC_CATEGORY(MC_PC) | MC_CATEGORY(MC_PD) | MC_CATEGORY(MC_PE) | MC_CATEGORY(MC_PF) | \
     MC_CATEGORY(MC_PI) | MC_CATEGORY(MC_PO) | MC_CATEGORY(MC_PS))

mc_category mc_category_of(uint32_t c);
mc_category mc_category_of_8(uint32_t c); /* as Unicode 8 has it */

static inline bool mc_is_one_of(uint32_t c, uint32_t categories)
{
    return (MC_CATEGORY(mc_category_of(c)) & categories) != 0;
}

bool mc_is_space(uint32_t c); /* White_Space */
bool mc_is_word(uint32_t c);  /* what \w means: Unicode technical standard 18, annex C */

/* One or two characters. */
size_t mc_lower(uint32_t c, uint32_t out[2]);

/* ---- UTF-8 that is known to be well-formed ---- */

enum { MC_UTF8_BYTES = 4 };

/* The character at `p`, and how many bytes it has. */
static inline size_t mc_utf8_at(const char *p, uint32_t *c)
{
    const unsigned char *b = (const unsigned char *)p;
    if (b[0] < 0x80) return *c = b[0], (size_t)1;
    if (b[0] < 0xe0) return *c = (b[0] & 0x1fu) << 6 | (b[1] & 0x3fu), (size_t)2;
    *c = (b[0] & 0x0fu) << 12 | (b[1] & 0x3fu) << 6 | (b[2] & 0x3fu);
    if (b[0] < 0xf0) return 3;
    *c = (b[0] & 0x07u) << 18 | (b[1] & 0x3fu) << 12 | (b[2] & 0x3fu) << 6 | (b[3] & 0x3fu);
    return 4;
}

/* How many bytes the character before text[at] has; at > 0. */
static inline size_t mc_utf8_before(const char *text, size_t at)
{
    size_t n = 1;
    while (n < at && ((unsigned char)text[at - n] & 0xc0u) == 0x80u) n++;
    return n;
}

size_t mc_utf8_put(uint32_t c, char out[MC_UTF8_BYTES]);
void mc_utf8_add(mc_text *text, uint32_t c);

/* Appends the canonical form D (NFD), or C (NFC) when `compose`. Linear in time. */
void mc_add_normal_form(mc_text *out, const char *text, size_t bytes, bool compose);

/* Appends the bytes with U+FFFD for each part that is no UTF-8: one for a character that breaks
 * off, one for each other byte (Unicode 16, section 3.9, "substitution of maximal subparts"). */
void mc_add_repaired_utf8(mc_text *out, const char *bytes, size_t n);

#endif
