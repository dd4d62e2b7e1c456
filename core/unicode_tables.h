/* The tables behind core/unicode.h. Each has a count of its entries beside it. */
#ifndef MC_CORE_UNICODE_TABLES_H
#define MC_CORE_UNICODE_TABLES_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t first, last;
    uint8_t order; /* the canonical combining class, not 0 */
} mc_unicode_class;

typedef struct {
    uint32_t first, last; /* every `step`th one of them */
    int32_t delta;
    uint8_t step;
} mc_unicode_lower;

/* first character << 10 | category in Unicode 8 << 5 | category in Unicode 16, ascending */
extern const uint32_t mc_unicode_categories[];
extern const size_t mc_unicode_categories_count;

/* composes << 63 | character << 42 | first part << 21 | second part or 0, ascending by character */
extern const uint64_t mc_unicode_parts[];
extern const size_t mc_unicode_parts_count;

/* Places in mc_unicode_parts of those that compose, ascending by their parts. */
extern const uint16_t mc_unicode_wholes[];
extern const size_t mc_unicode_wholes_count;

extern const mc_unicode_class mc_unicode_classes[];
extern const size_t mc_unicode_classes_count;
extern const mc_unicode_lower mc_unicode_lowers[];
extern const size_t mc_unicode_lowers_count;

#endif
