/* A text that grows at its end: how reports and help are built. Running out of memory sticks, so
 * that only the one who takes the text has to look.
 *
 * Numbers with a fraction go through mc_text_add_fixed: printf's %f follows the locale. */
#ifndef MC_CORE_TEXT_H
#define MC_CORE_TEXT_H

#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More than this is refused like a lack of memory. */
#define MC_TEXT_MAX ((size_t)1 << 30)

typedef struct {
    char *at; /* not NUL-terminated before it is taken */
    size_t length;
    size_t room;
    bool failed;
} mc_text;

void mc_text_open(mc_text *text);

void mc_text_add(mc_text *text, const char *more);
void mc_text_add_bytes(mc_text *text, const char *more, size_t n);
void mc_text_addf(mc_text *text, const char *fmt, ...) MC_PRINTF(2, 3);
void mc_text_add_repeated(mc_text *text, char c, size_t n);

/* `value` with 0..17 decimals and a point in any locale; "inf", "-inf" or "nan" when it is no
 * number. A value that rounds to zero has no sign. */
void mc_text_add_fixed(mc_text *text, double value, int decimals);

/* The same with as few decimals as six significant digits need, at most 17, none that say nothing:
 * 0.07, 1234.5, 0. */
void mc_text_add_short(mc_text *text, double value);

/* "812 B", "9.12 KiB", "12.7 MiB": powers of 1024, as memory and flash are counted. mc_size_text
 * returns `text`. */
enum { MC_SIZE_TEXT = 24 };
const char *mc_size_text(uint64_t bytes, char text[MC_SIZE_TEXT]);
void mc_text_add_size(mc_text *text, uint64_t bytes);

/* The text, NUL-terminated, to be freed; NULL when memory ran out at any point. Leaves `text`
 * empty. */
char *mc_text_take(mc_text *text);

/* For a text that is not taken. */
void mc_text_close(mc_text *text);

#endif
