/* SHA-256 (by libcrypto) for identity, CRC-32C for cheap scrubbing. */
#ifndef MC_CORE_HASH_H
#define MC_CORE_HASH_H

#include "core/err.h"

#include <stddef.h>
#include <stdint.h>

enum { MC_SHA256_BYTES = 32, MC_SHA256_HEX = 65 };

typedef struct mc_sha256 mc_sha256;

mc_status mc_sha256_open(mc_sha256 **out, mc_err *err);
void mc_sha256_add(mc_sha256 *sha, const void *bytes, size_t n);

/* Gives the digest and makes `sha` ready for the next message. */
void mc_sha256_finish(mc_sha256 *sha, uint8_t digest[MC_SHA256_BYTES]);
void mc_sha256_close(mc_sha256 *sha);

/* The digest of one buffer. */
mc_status mc_sha256_of(const void *bytes, size_t n, uint8_t digest[MC_SHA256_BYTES], mc_err *err);

/* Name and version of the library behind it. */
const char *mc_sha256_library(void);

void mc_hex(const uint8_t *bytes, size_t n, char *text /* 2 n + 1 */);

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `n` bytes after `crc` (0 to begin). Uses the
 * processor's instruction where there is one. */
uint32_t mc_crc32c(uint32_t crc, const void *bytes, size_t n);

/* The same sum by tables alone, on any processor. */
uint32_t mc_crc32c_table(uint32_t crc, const void *bytes, size_t n);

#endif
