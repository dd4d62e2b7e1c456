/* Checks over byte ranges that parsers share. */
#include "core/bytes.h"

#include <string.h>

bool mc_all_zero(const void *bytes, size_t n)
{
    /* Equal to itself shifted by one and starting with zero: memcmp does the rest at full speed. */
    const unsigned char *p = bytes;
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* What may follow a lead byte (Unicode 15, table 3-7): how many bytes in all, and the range of the
 * second one, which is where overlong forms, surrogates and values above U+10FFFF differ. */
typedef struct {
    size_t length;
    unsigned char low, high;
} sequence;

static sequence sequence_of(unsigned char lead)
{
    if (lead >= 0xc2 && lead <= 0xdf) return (sequence){2, 0x80, 0xbf};
    if (lead == 0xe0) return (sequence){3, 0xa0, 0xbf};
    if (lead == 0xed) return (sequence){3, 0x80, 0x9f};
    if (lead >= 0xe1 && lead <= 0xef) return (sequence){3, 0x80, 0xbf};
    if (lead == 0xf0) return (sequence){4, 0x90, 0xbf};
    if (lead >= 0xf1 && lead <= 0xf3) return (sequence){4, 0x80, 0xbf};
    if (lead == 0xf4) return (sequence){4, 0x80, 0x8f};
    return (sequence){0, 0, 0};
}

/* Bytes of the well-formed character at `p`, or 0. */
static size_t character(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80) return 1;
    const sequence s = sequence_of(p[0]);
    if (s.length == 0 || s.length > left || p[1] < s.low || p[1] > s.high) return 0;
    for (size_t i = 2; i < s.length; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return s.length;
}

bool mc_is_utf8(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n;) {
        const size_t step = character(p + i, n - i);
        if (step == 0) return false;
        i += step;
    }
    return true;
}
