/* GGUF version 3 (and 2, which differs in nothing that is read here): little-endian
 *
 *   "GGUF" | u32 version | u64 tensors | u64 pairs
 *   pairs   x { text key | u32 type | value }           text: u64 bytes, then so many
 *                                                       array: u32 type | u64 items | the items
 *   tensors x { text name | u32 dims | u64 ne[dims] | u32 type | u64 offset }
 *   zeros to a multiple of the alignment, then each tensor's bytes, padded likewise
 *
 * ne[0] is the innermost dimension. A reader of llama.cpp wants offsets without gaps, in the order
 * of the list; so does this one. */
#ifndef MC_FORMATS_GGUF_H
#define MC_FORMATS_GGUF_H

#include "core/arena.h"
#include "core/file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(id, number in files, bytes of a scalar; 0: text or array). */
#define MC_GGUF_TYPES(X) \
    X(U8, 0, 1)          \
    X(I8, 1, 1)          \
    X(U16, 2, 2)         \
    X(I16, 3, 2)         \
    X(U32, 4, 4)         \
    X(I32, 5, 4)         \
    X(F32, 6, 4)         \
    X(BOOL, 7, 1)        \
    X(TEXT, 8, 0)        \
    X(ARRAY, 9, 0)       \
    X(U64, 10, 8)        \
    X(I64, 11, 8)        \
    X(F64, 12, 8)

typedef enum {
#define X(id, number, bytes) MC_GGUF_##id = (number),
    MC_GGUF_TYPES(X)
#undef X
} mc_gguf_type;

/* X(id, number in files, elements of a block, bytes of a block). */
#define MC_GGML_TYPES(X)   \
    X(F32, 0, 1, 4)        \
    X(F16, 1, 1, 2)        \
    X(Q4_0, 2, 32, 18)     \
    X(Q4_1, 3, 32, 20)     \
    X(Q5_0, 6, 32, 22)     \
    X(Q5_1, 7, 32, 24)     \
    X(Q8_0, 8, 32, 34)     \
    X(Q2_K, 10, 256, 84)   \
    X(Q3_K, 11, 256, 110)  \
    X(Q4_K, 12, 256, 144)  \
    X(Q5_K, 13, 256, 176)  \
    X(Q6_K, 14, 256, 210)  \
    X(IQ4_NL, 20, 32, 18)  \
    X(IQ4_XS, 23, 256, 136)\
    X(I8, 24, 1, 1)        \
    X(I16, 25, 1, 2)       \
    X(I32, 26, 1, 4)       \
    X(I64, 27, 1, 8)       \
    X(F64, 28, 1, 8)       \
    X(BF16, 30, 1, 2)      \
    X(TQ1_0, 34, 256, 54)  \
    X(TQ2_0, 35, 256, 66)  \
    X(MXFP4, 39, 32, 17)

typedef enum {
#define X(id, number, elements, bytes) MC_GGML_##id = (number),
    MC_GGML_TYPES(X)
#undef X
} mc_ggml_type;

typedef struct {
    const char *name;
    mc_ggml_type type;
    uint32_t elements, bytes; /* of a block */
} mc_ggml_info;
const mc_ggml_info *mc_ggml_about(uint32_t number); /* NULL: not one of the list */

enum { MC_GGUF_DIMS = 4, MC_GGUF_NAME = 63, MC_GGUF_ALIGN = 32 };

/* A value as it lies in the file. */
typedef struct {
    const char *key;
    mc_gguf_type type;
    mc_gguf_type item;         /* of an array */
    uint64_t items;            /* of an array; of a text its bytes; else 1 */
    const unsigned char *data; /* the scalar, the text's characters, the first item */
    size_t bytes;
} mc_gguf_pair;

typedef struct {
    const char *name;
    mc_ggml_type type;
    int ndim;
    uint64_t ne[MC_GGUF_DIMS]; /* innermost first; 1 beyond ndim */
    const unsigned char *data;
    uint64_t bytes;
} mc_gguf_tensor;

typedef struct {
    mc_gguf_pair *pair; /* both in the order of the file */
    size_t pairs;
    mc_gguf_tensor *tensor;
    size_t tensors;
    uint64_t align;
} mc_gguf;

/* ---- reading ---- */

bool mc_gguf_is(const unsigned char *head, size_t head_bytes);

/* Room that mc_gguf_read takes of `mem` at most. */
size_t mc_gguf_memory(const mc_map *file);

/* Checks the whole header; names and keys are copied to `mem`, data points into the map.
 * MC_E_FORMAT, or MC_E_UNSUPPORTED for other versions and tensor types. `path` is for messages. */
mc_status mc_gguf_read(const mc_map *file, const char *path, mc_arena *mem, mc_gguf *out,
                       mc_err *err);

const mc_gguf_pair *mc_gguf_find(const mc_gguf *gguf, const char *key);            /* or NULL */
const mc_gguf_tensor *mc_gguf_find_tensor(const mc_gguf *gguf, const char *name);  /* or NULL */

/* A whole number of any width that is not negative; false for other values. */
bool mc_gguf_u64(const mc_gguf_pair *pair, uint64_t *value);

/* The next text of an array of them: `at` starts at 0 and moves behind it. False at the end. */
bool mc_gguf_next_text(const mc_gguf_pair *pair, size_t *at, const char **text, size_t *bytes);

/* ---- writing ---- */

/* Pairs need key, type, item, items, data and bytes as above; tensors all of theirs. Same content,
 * same bytes. MC_E_USAGE: what no reader would take. `scratch` needs mc_gguf_write_memory(). */
size_t mc_gguf_write_memory(const mc_gguf *content);
mc_status mc_gguf_write(mc_out *out, const mc_gguf *content, mc_arena scratch, mc_err *err);

#endif
