/* .npy and .npz files made byte by byte, so that tests can make them wrong. */
#ifndef MC_TESTS_SUPPORT_NPZ_BUILDER_H
#define MC_TESTS_SUPPORT_NPZ_BUILDER_H

#include "formats/npy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    unsigned char *at; /* of malloc, just `n` bytes, so that AddressSanitizer sees the end */
    size_t n;
} blob;

void blob_free(blob *b);

/* A .npy of that version whose dictionary is `text`. */
blob npy_text(unsigned version, const char *text, const void *data, size_t bytes);

/* Version 1.0 in C order: npy_of("<f4", "(2, 3)", x, 24). */
blob npy_of(const char *descr, const char *shape, const void *data, size_t bytes);

typedef struct {
    const char *name;
    blob bytes;
    bool deflate;
} zip_item;

typedef struct {
    bool zip64; /* all sizes and offsets in the records of zip64 */
    const char *comment;
} zip_kind;

blob zip_of(const zip_item *item, size_t items, zip_kind kind);

/* zip_of() for arrays that are then freed. */
blob npz_of(zip_item *item, size_t items, zip_kind kind);

/* Where the `nth` record of that signature ("PK\1\2") begins. */
size_t zip_find(const blob *zip, const char *signature, size_t nth);

/* ---- looking ---- */

/* The array of that name; the test fails when there is none. */
const mc_array *npz_find(const mc_npz *npz, const char *name);

/* Element i in C order, of any dtype. */
double npz_element(const mc_array *a, uint64_t i);

#endif
