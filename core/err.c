/* Sentences are formatted beside their place and copied in, so that a caller may quote the old
 * text in the new one. A sentence that is too long keeps its front and ends in "...". */
#include "core/err.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const char ellipsis[] = "...";

/* Marks the cut, and moves it in front of a UTF-8 character that it would split. */
static void mark_cut(char text[MC_ERR_TEXT])
{
    size_t cut = MC_ERR_TEXT - sizeof ellipsis;
    while (cut > 0 && ((unsigned char)text[cut] & 0xc0) == 0x80) cut--;
    memcpy(text + cut, ellipsis, sizeof ellipsis);
}

static MC_PRINTF(2, 0) void print(char text[MC_ERR_TEXT], const char *fmt, va_list args)
{
    const int length = vsnprintf(text, MC_ERR_TEXT, fmt, args);
    if (length < 0) text[0] = '\0';
    if (length >= MC_ERR_TEXT) mark_cut(text);
}

/* text = place: cause */
static void join(char text[MC_ERR_TEXT], const char *place, const char *cause)
{
    const int length = snprintf(text, MC_ERR_TEXT, "%s: %s", place, cause);
    if (length >= MC_ERR_TEXT) mark_cut(text);
}

mc_status mc_fail(mc_err *err, mc_status status, const char *fmt, ...)
{
    char text[MC_ERR_TEXT];
    va_list args;
    va_start(args, fmt);
    print(text, fmt, args);
    va_end(args);

    memcpy(err->text, text, strlen(text) + 1);
    err->status = status;
    return status;
}

mc_status mc_fail_errno(mc_err *err, int error, const char *fmt, ...)
{
    char text[MC_ERR_TEXT], reason[128];
    va_list args;
    va_start(args, fmt);
    print(text, fmt, args);
    va_end(args);

    if (strerror_r(error, reason, sizeof reason) != 0)
        snprintf(reason, sizeof reason, "error %d", error);
    join(err->text, text, reason);
    err->status = MC_E_IO;
    return MC_E_IO;
}

mc_status mc_wrap(mc_err *err, const char *fmt, ...)
{
    const mc_err cause = *err;
    char place[MC_ERR_TEXT];
    va_list args;
    va_start(args, fmt);
    print(place, fmt, args);
    va_end(args);

    join(err->text, place, cause.text);
    return cause.status;
}
