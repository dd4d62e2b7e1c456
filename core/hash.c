/* SHA-256 by libcrypto's EVP interface, which picks the processor's instructions. */
#include "core/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct mc_sha256 {
    EVP_MD_CTX *context;
    bool broken; /* libcrypto failed in the middle; the digest is zero then and matches nothing */
};

mc_status mc_sha256_open(mc_sha256 **out, mc_err *err)
{
    *out = NULL;
    mc_sha256 *sha = calloc(1, sizeof *sha);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (!sha || !context || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(context);
        free(sha);
        return mc_fail(err, MC_E_INTERNAL, "cannot start SHA-256 of libcrypto");
    }
    sha->context = context;
    *out = sha;
    return MC_OK;
}

void mc_sha256_add(mc_sha256 *sha, const void *bytes, size_t n)
{
    if (EVP_DigestUpdate(sha->context, bytes, n) != 1) sha->broken = true;
}

void mc_sha256_finish(mc_sha256 *sha, uint8_t digest[MC_SHA256_BYTES])
{
    if (EVP_DigestFinal_ex(sha->context, digest, NULL) != 1) sha->broken = true;
    if (sha->broken) memset(digest, 0, MC_SHA256_BYTES);
    sha->broken = EVP_DigestInit_ex(sha->context, EVP_sha256(), NULL) != 1;
}

void mc_sha256_close(mc_sha256 *sha)
{
    if (!sha) return;
    EVP_MD_CTX_free(sha->context);
    free(sha);
}

mc_status mc_sha256_of(const void *bytes, size_t n, uint8_t digest[MC_SHA256_BYTES], mc_err *err)
{
    mc_sha256 *sha;
    MC_TRY(mc_sha256_open(&sha, err));
    mc_sha256_add(sha, bytes, n);
    mc_sha256_finish(sha, digest);
    mc_sha256_close(sha);
    return MC_OK;
}

const char *mc_sha256_library(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}

void mc_hex(const uint8_t *bytes, size_t n, char *text)
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        text[2 * i] = digit[bytes[i] >> 4];
        text[2 * i + 1] = digit[bytes[i] & 15];
    }
    text[2 * n] = '\0';
}
