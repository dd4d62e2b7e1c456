/* A growing text: doubles its room, and once it could not grow it stays failed. */
#include "core/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for `n` more bytes and the NUL behind them. */
static bool reserve(mc_text *text, size_t n)
{
    if (text->failed) return false;
    if (n >= MC_TEXT_MAX - text->length) {
        text->failed = true;
        return false;
    }
    const size_t need = text->length + n + 1;
    if (need <= text->room) return true;

    size_t room = text->room ? text->room : 256;
    while (room < need) room *= 2;
    char *moved = realloc(text->at, room);
    if (!moved) {
        text->failed = true;
        return false;
    }
    text->at = moved;
    text->room = room;
    return true;
}

void mc_text_open(mc_text *text)
{
    *text = (mc_text){0};
}

void mc_text_add_bytes(mc_text *text, const char *more, size_t n)
{
    if (n == 0 || !reserve(text, n)) return;
    memcpy(text->at + text->length, more, n);
    text->length += n;
}

void mc_text_add(mc_text *text, const char *more)
{
    mc_text_add_bytes(text, more, strlen(more));
}

void mc_text_addf(mc_text *text, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);

    if (n < 0)
        text->failed = true;
    else if (reserve(text, (size_t)n)) {
        vsnprintf(text->at + text->length, (size_t)n + 1, fmt, again);
        text->length += (size_t)n;
    }
    va_end(again);
}

void mc_text_add_repeated(mc_text *text, char c, size_t n)
{
    if (n == 0 || !reserve(text, n)) return;
    memset(text->at + text->length, c, n);
    text->length += n;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

void mc_text_add_fixed(mc_text *text, double value, int decimals)
{
    if (isnan(value)) {
        mc_text_add(text, "nan");
        return;
    }
    if (isinf(value)) {
        mc_text_add(text, value > 0 ? "inf" : "-inf");
        return;
    }
    if (decimals < 0) decimals = 0;
    if (decimals > 17) decimals = 17;

    char digits[512]; /* DBL_MAX has 309 digits before the point, which may be a few bytes long */
    snprintf(digits, sizeof digits, "%.*f", decimals, value);

    const char *from = digits;
    if (strpbrk(digits, "123456789") == NULL && *from == '-') from++; /* no minus zero */
    if (*from == '-') mc_text_add_bytes(text, from++, 1);

    const size_t whole = strspn(from, "0123456789");
    mc_text_add_bytes(text, from, whole);
    from += whole;
    if (*from == '\0') return;
    while (*from && !is_digit(*from)) from++;
    mc_text_add_bytes(text, ".", 1);
    mc_text_add(text, from);
}

/* Hundredths are rounded as whole numbers, so no locale has a say; what rounds up to 1024 is one of
 * the next unit. */
const char *mc_size_text(uint64_t bytes, char text[MC_SIZE_TEXT])
{
    static const char *const unit[] = {"KiB", "MiB", "GiB", "TiB"};
    if (bytes < 1024) {
        snprintf(text, MC_SIZE_TEXT, "%u B", (unsigned)bytes);
        return text;
    }
    uint64_t one = 1024; /* bytes in one of unit[u] */
    size_t u = 0;
    while (u < 3 && bytes / one >= 1024) one *= 1024, u++;
    const uint64_t rest = bytes % one;
    uint64_t whole = bytes / one;
    uint64_t part = (uint64_t)((double)rest / (double)one * 100.0 + 0.5);
    if (whole >= 10) part = (uint64_t)((double)rest / (double)one * 10.0 + 0.5) * 10;
    if (part >= 100) whole++, part = 0;
    if (whole >= 1024 && u < 3) whole = 1, part = 0, u++;
    if (whole >= 10)
        snprintf(text, MC_SIZE_TEXT, "%u.%u %s", (unsigned)whole, (unsigned)(part / 10), unit[u]);
    else
        snprintf(text, MC_SIZE_TEXT, "%u.%02u %s", (unsigned)whole, (unsigned)part, unit[u]);
    return text;
}

void mc_text_add_size(mc_text *text, uint64_t bytes)
{
    char size[MC_SIZE_TEXT];
    mc_text_add(text, mc_size_text(bytes, size));
}

char *mc_text_take(mc_text *text)
{
    char *taken = NULL;
    if (reserve(text, 0)) {
        taken = text->at;
        taken[text->length] = '\0';
        text->at = NULL;
    }
    mc_text_close(text);
    return taken;
}

void mc_text_close(mc_text *text)
{
    free(text->at);
    *text = (mc_text){0};
}

void mc_text_add_short(mc_text *text, double value)
{
    enum { DIGITS = 6, MOST = 17 };
    double scaled = value < 0.0 ? -value : value, limit = 1.0;
    int decimals = 0;
    for (int i = 1; i < DIGITS; i++) limit *= 10.0;
    for (; decimals < MOST && scaled < limit; decimals++) scaled *= 10.0;
    int64_t digits = decimals ? (int64_t)(scaled + 0.5) : 0; /* at most 10 * limit */
    for (; decimals > 0 && digits % 10 == 0; decimals--) digits /= 10;
    mc_text_add_fixed(text, value, decimals);
}
