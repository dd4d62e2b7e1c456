/* Strings and numbers. Nothing in the program sets a locale, so strtod reads points. */
#include "core/ops/op_cast_text.h"

#include "core/ops/op_number_shared.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TEXT = 512, NUMBER_TEXT = 32 };

/* ---- from strings ---- */

static mc_status not_a_number(mc_nd_text text, size_t i, mc_err *err)
{
    const int shown = text.length < 60 ? (int)text.length : 60;
    return mc_fail(err, MC_E_FORMAT, "element %zu of input 0, '%.*s', is not a number", i, shown,
                   text.at);
}

/* Whole numbers exactly, modulo 2^64; false when it is none. */
static bool read_whole(const char *text, uint64_t *out)
{
    const bool minus = *text == '-';
    if (*text == '-' || *text == '+') text++;
    if (!*text) return false;
    uint64_t value = 0;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return false;
        value = 10 * value + (uint64_t)(*text - '0');
    }
    *out = minus ? 0 - value : value;
    return true;
}

static bool read_real(const char *text, double *out)
{
    if (strspn(text, "0123456789+-.eEaAfFiInNtTyY") != strlen(text)) return false; /* no hex */
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0';
}

/* By way of f32 for f32 and below: twice rounded is once rounded there but for the rarest ties. */
static void store(const mc_nd *y, size_t i, bool whole, uint64_t bits, double real)
{
    void *to = (unsigned char *)y->data + i * mc_nd_width(y->dtype);
    if (whole && !mc_dtype_about(y->dtype)->is_float)
        mc_num_convert(MC_U64, &bits, y->dtype, to, 1);
    else
        mc_num_convert(MC_F64, &real, y->dtype, to, 1);
}

mc_status mc_cast_from_text(const mc_nd *x, const mc_nd *y, mc_err *err)
{
    const mc_nd_text *from = x->data;
    for (size_t i = 0; i < x->count; i++) {
        char text[MOST_TEXT];
        const size_t length = from[i].length;
        if (length == 0 || length >= sizeof text || memchr(from[i].at, '\0', length))
            return not_a_number(from[i], i, err);
        memcpy(text, from[i].at, length);
        text[length] = '\0';
        uint64_t bits = 0;
        double real = 0.0;
        const bool whole = read_whole(text, &bits);
        if (!read_real(text, &real)) return not_a_number(from[i], i, err);
        store(y, i, whole, bits, real);
    }
    return MC_OK;
}

/* ---- to strings ---- */

/* Does the text say x, when it is read as a number of this dtype? */
static bool says(const char *text, double x, mc_dtype dtype)
{
    const double read = strtod(text, NULL);
    if (dtype == MC_F64) return read == x;
    return (double)mc_round_to(mc_dtype_about(dtype)->to_f32 ? dtype : MC_F32, (float)read) == x;
}

/* Fewest significant digits, without point, and the exponent of the first. */
static int digits_of(double x, mc_dtype dtype, char digits[NUMBER_TEXT])
{
    enum { MOST_DIGITS = 17 };
    char text[NUMBER_TEXT];
    for (int n = 1; n <= MOST_DIGITS; n++) {
        snprintf(text, sizeof text, "%.*e", n - 1, x);
        if (says(text, x, dtype)) break;
    }
    size_t length = 0;
    const char *at = text;
    for (; *at != 'e'; at++) {
        if (*at >= '0' && *at <= '9') digits[length++] = *at;
    }
    digits[length] = '\0';
    return (int)strtol(at + 1, NULL, 10);
}

static void write_plain(const char *digits, int exponent, char *to)
{
    const int n = (int)strlen(digits);
    for (int i = exponent < 0 ? exponent : 0; i < n || i <= exponent + 1; i++) {
        if (i == exponent + 1) *to++ = '.';
        *to++ = i >= 0 && i < n ? digits[i] : '0';
    }
    *to = '\0';
}

static void write_real(double x, mc_dtype dtype, char text[NUMBER_TEXT])
{
    if (isnan(x) || isinf(x)) {
        strcpy(text, isnan(x) ? "NaN" : x > 0.0 ? "INF" : "-INF");
        return;
    }
    char digits[NUMBER_TEXT];
    const int exponent = digits_of(fabs(x), dtype, digits);
    if (signbit(x)) *text++ = '-';
    if (exponent >= -4 && exponent < 16) {
        write_plain(digits, exponent, text);
        return;
    }
    const char *point = digits[1] ? "." : "";
    snprintf(text, NUMBER_TEXT - 1, "%c%s%.17se%+03d", digits[0], point, digits + 1, exponent);
}

static void write_element(const mc_nd *x, size_t i, char text[NUMBER_TEXT])
{
    if (x->dtype == MC_BOOL)
        strcpy(text, mc_nd_int(x, i) ? "True" : "False");
    else if (x->dtype == MC_U64)
        snprintf(text, NUMBER_TEXT, "%llu", (unsigned long long)((const uint64_t *)x->data)[i]);
    else if (!mc_dtype_about(x->dtype)->is_float)
        snprintf(text, NUMBER_TEXT, "%lld", (long long)mc_nd_int(x, i));
    else
        write_real(mc_nd_real(x, i), x->dtype, text);
}

mc_status mc_cast_to_text(const mc_call *call, const mc_nd *x, mc_nd *y, mc_err *err)
{
    mc_nd_text *to = y->data;
    char text[NUMBER_TEXT];
    size_t bytes = 0;
    for (size_t i = 0; i < x->count; i++) {
        write_element(x, i, text);
        bytes += strlen(text);
    }
    char *at = call->host && call->host->text ? call->host->text(call->host, bytes) : NULL;
    if (!at) return mc_no_room(err, "the characters of strings");
    for (size_t i = 0; i < x->count; i++) {
        write_element(x, i, text);
        to[i] = (mc_nd_text){.at = at, .length = strlen(text)};
        memcpy(at, text, to[i].length);
        at += to[i].length;
    }
    return MC_OK;
}
