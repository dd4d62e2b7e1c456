/* Bytes of a file: unaligned little-endian loads and stores, and a cursor that cannot leave
 * its buffer. Parsers move an mc_cursor, never a bare pointer. */
#ifndef MC_CORE_BYTES_H
#define MC_CORE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const unsigned char *at;
    const unsigned char *end;
} mc_cursor;

static inline size_t mc_left(const mc_cursor *c)
{
    return (size_t)(c->end - c->at);
}

/* The next `n` bytes, or NULL (and no move) when fewer are left. */
static inline const unsigned char *mc_take(mc_cursor *c, size_t n)
{
    if (n > mc_left(c)) return NULL;
    const unsigned char *start = c->at;
    c->at += n;
    return start;
}

static inline uint16_t mc_load_u16le(const void *from)
{
    const unsigned char *p = from;
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t mc_load_u32le(const void *from)
{
    const unsigned char *p = from;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t mc_load_u64le(const void *from)
{
    const unsigned char *p = from;
    return (uint64_t)mc_load_u32le(p) | (uint64_t)mc_load_u32le(p + 4) << 32;
}

static inline void mc_store_u16le(void *to, uint16_t v)
{
    unsigned char *p = to;
    p[0] = (unsigned char)v;
    p[1] = (unsigned char)(v >> 8);
}

static inline void mc_store_u32le(void *to, uint32_t v)
{
    unsigned char *p = to;
    mc_store_u16le(p, (uint16_t)v);
    mc_store_u16le(p + 2, (uint16_t)(v >> 16));
}

static inline void mc_store_u64le(void *to, uint64_t v)
{
    unsigned char *p = to;
    mc_store_u32le(p, (uint32_t)v);
    mc_store_u32le(p + 4, (uint32_t)(v >> 32));
}

/* True when all `n` bytes are zero (padding is checked, not trusted). */
bool mc_all_zero(const void *bytes, size_t n);

/* True for well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool mc_is_utf8(const void *bytes, size_t n);

#endif
