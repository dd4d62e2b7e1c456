/* Codes of 1..8 bits to bytes and back, as docs/container.md writes them.
 *
 * Packed: one stream, least significant bit first, without gaps between rows: code i takes the bits
 * i*b … i*b + b - 1, bit k of the stream is bit k % 8 of byte k / 8. Base 3: five codes of 0..2 a
 * byte, the first one weighs 1. What is left of the last byte is zero. */
#ifndef MC_FORMATS_BITS_H
#define MC_FORMATS_BITS_H

#include <stddef.h>
#include <stdint.h>

/* How many bytes codes take is said by mc_weight_parts() in core/weight.h.
 *
 * `n` codes, each below 2^bits (below 3), to the start of `to`. */
void mc_bits_pack(unsigned bits, const uint8_t *code, size_t n, unsigned char *to);
void mc_base3_pack(const uint8_t *code, size_t n, unsigned char *to);

/* Codes [first, first + n) of the stream that begins at `from`. Touches only the bytes that hold
 * them. */
void mc_bits_unpack(unsigned bits, const unsigned char *from, uint64_t first, size_t n,
                    uint8_t *code);
void mc_base3_unpack(const unsigned char *from, uint64_t first, size_t n, uint8_t *code);

#endif
