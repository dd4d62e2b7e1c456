/* mcpk: reading a container in place, on the device.
 *
 * docs/container.md in C99: the numbers of the format, and a reader that allocates nothing, copies
 * nothing but the row you ask for, loads every field byte by byte (so any alignment of `base` will
 * do) and never leaves [base, base + bytes). It needs <stdint.h>, <stddef.h> and <string.h>.
 *
 *     mcpk pk;
 *     mcpk_weight w;
 *     if (mcpk_open(flash, flash_bytes, &pk) == MCPK_OK &&
 *         mcpk_find(&pk, "fc1.weight", &w) == MCPK_OK)
 *         for (uint64_t r = 0; r < w.rows; r++) mcpk_row_f32(&w, r, row);
 *
 * mcpk_open checks the structure; mcpk_verify, with your SHA-256, that the bytes are the ones that
 * were written. Call both on bytes that others may have touched. */
#ifndef MC_RUNTIME_MCPK_H
#define MC_RUNTIME_MCPK_H

#include <stddef.h>
#include <stdint.h>

/* ---- numbers of the format ---- */

#define MCPK_MAGIC "MCPK\r\n\x1a\n" /* 8 bytes; text-mode transfers break it visibly */
#define MCPK_NO_WEIGHT 0xffffffffu  /* mcpk_part.weight of a section that belongs to no weight */

enum {
    MCPK_VERSION = 0, /* the draft; the first frozen version will be 1 */
    MCPK_MAGIC_BYTES = 8,
    MCPK_HEADER_BYTES = 128,
    MCPK_WEIGHT_BYTES = 128, /* of a weight record */
    MCPK_PART_BYTES = 64,    /* of an index entry */
    MCPK_HASH_BYTES = 32,    /* SHA-256 */
    MCPK_SIGNATURE_BYTES = 64,
    MCPK_CRC_CHUNK = 4096,
    MCPK_MAX_DIMS = 8,
    MCPK_MIN_ALIGN = 64,
    MCPK_MAX_ALIGN = 4096
};

/* Where the fields of the header stand. */
enum {
    MCPK_AT_VERSION = 8,        /* u32 */
    MCPK_AT_HEADER_BYTES = 12,  /* u32 */
    MCPK_AT_FILE_BYTES = 16,    /* u64, of the uncut file */
    MCPK_AT_FRONT_BYTES = 24,   /* u64, where the first section may begin */
    MCPK_AT_WEIGHTS = 32,       /* u32 */
    MCPK_AT_WEIGHT_BYTES = 36,  /* u32 */
    MCPK_AT_WEIGHT_TABLE = 40,  /* u64 */
    MCPK_AT_PARTS = 48,         /* u32 */
    MCPK_AT_PART_BYTES = 52,    /* u32 */
    MCPK_AT_INDEX = 56,         /* u64 */
    MCPK_AT_HASHES = 64,        /* u64 */
    MCPK_AT_ROOT = 72,          /* u64 */
    MCPK_AT_HASH_BYTES = 80,    /* u32 */
    MCPK_AT_ALIGN = 84,         /* u32 */
    MCPK_AT_FLAGS = 88,         /* u32 */
    MCPK_AT_TARGET = 92,        /* u16 */
    MCPK_AT_ACT_BITS = 94,      /* u8 */
    MCPK_AT_ACT_MODE = 95,      /* u8 */
    MCPK_AT_KV_BITS = 96,       /* u8 */
    MCPK_AT_MEASURED = 97,      /* u8 */
    MCPK_AT_ROLLBACK = 104,     /* u64, 0 in this version */
    MCPK_AT_HEADER_SPARE = 112  /* 16 bytes; 98..103 are zero too */
};

/* Flags of the header. */
enum { MCPK_SIGNED = 1 };

/* How activations are meant to be quantized. */
enum { MCPK_ACT_NONE = 0, MCPK_ACT_DYNAMIC = 1, MCPK_ACT_STATIC = 2 };

/* Where the fields of a weight record stand. */
enum {
    MCPK_W_NAME = 0,         /* u32, in the names section */
    MCPK_W_NAME_BYTES = 4,   /* u32, without the NUL */
    MCPK_W_FIRST_PART = 8,   /* u32 */
    MCPK_W_PARTS = 12,       /* u16 */
    MCPK_W_FORM = 14,        /* u8 */
    MCPK_W_DTYPE = 15,       /* u8, of the source */
    MCPK_W_NDIM = 16,        /* u8 */
    MCPK_W_LEVELS = 17,      /* u8 */
    MCPK_W_OFFSET = 18,      /* u8 */
    MCPK_W_SCALE_DTYPE = 19, /* u8 */
    MCPK_W_FLAGS = 20,       /* u8 */
    MCPK_W_SUB_BITS = 21,    /* u8 */
    MCPK_W_ROWS = 24,        /* u64; 22..23 are zero */
    MCPK_W_COLS = 32,        /* u64 */
    MCPK_W_GROUP = 40,       /* u64 */
    MCPK_W_DIM = 48,         /* u64 x 8 */
    MCPK_W_SUPER = 112,      /* u32 */
    MCPK_W_SPARE = 116       /* 12 bytes */
};

enum {
    MCPK_FORM_DENSE = 1,
    MCPK_FORM_QUANTIZED = 2,
    MCPK_FORM_FACTORED = 3,
    MCPK_FORM_STACKED = 4
};
enum { MCPK_OFFSET_NONE = 0, MCPK_OFFSET_ZERO = 1, MCPK_OFFSET_FREE = 2 };
enum {
    MCPK_WEIGHT_RESTRICTED = 1,
    MCPK_WEIGHT_NEGATIVE_SCALE = 2,
    MCPK_WEIGHT_TRANSPOSED = 4, /* a row of the codes is a column of the tensor */
    MCPK_WEIGHT_EDITED = 8,     /* its numbers are not the source's: see the document */
    MCPK_WEIGHT_TENSOR_SCALE = 16, /* one F32 super-scale multiplies all scales */
    MCPK_WEIGHT_FLAGS = 31
};

/* Where the fields of an index entry stand. */
enum {
    MCPK_P_OFFSET = 0,          /* u64 */
    MCPK_P_STORED = 8,          /* u64 */
    MCPK_P_RAW = 16,            /* u64 */
    MCPK_P_WEIGHT = 24,         /* u32 */
    MCPK_P_TYPE = 28,           /* u16 */
    MCPK_P_ROLE = 30,           /* u8 */
    MCPK_P_FLAGS = 31,          /* u8 */
    MCPK_P_ENCODING = 32,       /* u16 */
    MCPK_P_LAYOUT = 34,         /* u16 */
    MCPK_P_LAYOUT_VERSION = 36, /* u16 */
    MCPK_P_PARAM = 40,          /* u32 x 4; 38..39 are zero */
    MCPK_P_SPARE = 56           /* 8 bytes */
};

/* Types of sections. */
enum {
    MCPK_SECTION_NAMES = 1,
    MCPK_SECTION_CRC = 2,
    MCPK_SECTION_MANIFEST = 3,
    MCPK_SECTION_WEIGHT = 4, /* a part of a weight */
    MCPK_SECTION_GRAPH = 5,
    MCPK_SECTION_SITES = 6,
    MCPK_SECTION_SIDE = 7 /* a file carried along */
};

/* What a part is to its weight. 10..13 are reserved. */
enum {
    MCPK_ROLE_NONE = 0,
    MCPK_ROLE_DENSE = 1,
    MCPK_ROLE_CODES = 2,
    MCPK_ROLE_SCALE = 3,
    MCPK_ROLE_ZERO = 4,
    MCPK_ROLE_OFFSET = 5,
    MCPK_ROLE_SUB_SCALE = 6,
    MCPK_ROLE_SUB_OFFSET = 7,
    MCPK_ROLE_SUPER_SCALE = 8,
    MCPK_ROLE_SUPER_OFFSET = 9,
    MCPK_ROLE_TABLE = 10,
    MCPK_ROLE_FACTOR = 11,
    MCPK_ROLE_PLANE = 12,
    MCPK_ROLE_MASK = 13,
    MCPK_ROLES = 14
};

/* The sites section: a header, the records, f32 scales, i16 zeros, and the names' characters. Where
 * the fields of its header stand, */
enum {
    MCPK_S_VERSION = 0,     /* u32 */
    MCPK_S_SITES = 4,       /* u32, records */
    MCPK_S_SCALES = 8,      /* u32 */
    MCPK_S_ZEROS = 12,      /* u32 */
    MCPK_S_NAME_BYTES = 16, /* u32, of all names with their NULs */
    MCPK_S_KV_GROUP = 20,   /* u32 */
    MCPK_S_KV_WINDOW = 24,  /* u32 */
    MCPK_S_KV_BITS = 28,    /* u8; 0: nothing is said of the KV cache */
    MCPK_S_KV_FLAGS = 29,   /* u8; 30..31 are zero */
    MCPK_SITES_VERSION = 1,
    MCPK_SITES_HEADER_BYTES = 32
};

/* and those of a record. */
enum {
    MCPK_SITE_WEIGHT = 0,      /* u32, or MCPK_NO_WEIGHT */
    MCPK_SITE_NAME = 4,        /* u32, among the names' characters */
    MCPK_SITE_NAME_BYTES = 8,  /* u32, without the NUL; 0: no name, and no NUL */
    MCPK_SITE_MODE = 12,       /* u8, MCPK_ACT_... */
    MCPK_SITE_BITS = 13,       /* u8 */
    MCPK_SITE_FLAGS = 14,      /* u8; 15 is zero */
    MCPK_SITE_HADAMARD = 16,   /* u32, 0: not rotated */
    MCPK_SITE_SCALES = 20,     /* u32 */
    MCPK_SITE_FIRST_SCALE = 24,/* u32 */
    MCPK_SITE_FIRST_ZERO = 28, /* u32 */
    MCPK_SITE_BYTES = 32
};
enum { MCPK_SITE_ASYMMETRIC = 1, MCPK_SITE_POWER_OF_TWO = 2, MCPK_SITE_FLAGS_KNOWN = 3 };
enum { MCPK_KV_HADAMARD = 1 };

/* Flags of a section. */
enum { MCPK_REQUIRED = 1, MCPK_ZLIB = 2, MCPK_CUTTABLE = 4 };

/* How the elements of a section are written: 0 bytes, 1..26 a dtype, or one of these. */
enum {
    MCPK_ENCODING_BYTES = 0,
    MCPK_ENCODING_PACKED = 0x100, /* + bits, 1..8 */
    MCPK_ENCODING_BASE3 = 0x203
};

/* Dtypes that scales and dense weights may have; the full list is in docs/container.md. */
enum {
    MCPK_F32 = 1,
    MCPK_F16 = 2,
    MCPK_BF16 = 3,
    MCPK_F64 = 4,
    MCPK_F8_E4M3 = 5,
    MCPK_F8_E5M2 = 6,
    MCPK_F8_E8M0 = 7
};

/* An entry of the index, in memory. */
typedef struct {
    uint64_t offset; /* of the first stored byte, from the start of the file */
    uint64_t stored; /* bytes in the file */
    uint64_t raw;    /* bytes after decompression; = stored without MCPK_ZLIB */
    uint32_t weight; /* or MCPK_NO_WEIGHT */
    uint16_t type;
    uint8_t role;
    uint8_t flags;
    uint16_t encoding;
    uint16_t layout; /* 0: row-major */
    uint16_t layout_version;
    uint32_t param[4]; /* names: 0; crc: chunk bytes; side file: name offset, name bytes */
} mcpk_part;

/* ---- reading ---- */

typedef enum {
    MCPK_OK = 0,
    MCPK_E_MAGIC = 1,       /* not a container */
    MCPK_E_VERSION = 2,     /* a version this reader does not know */
    MCPK_E_TRUNCATED = 3,   /* the file ends too early */
    MCPK_E_STRUCTURE = 4,   /* sizes or offsets contradict each other */
    MCPK_E_UNSUPPORTED = 5, /* a form, an encoding or a required section it does not know */
    MCPK_E_MISSING = 6,     /* no such weight, row or part */
    MCPK_E_HASH = 7         /* a hash or a CRC does not match */
} mcpk_status;

/* An opened container: pointers into the caller's bytes. */
typedef struct {
    const uint8_t *base;
    size_t bytes; /* that may be read */
    uint32_t weights;
    uint32_t parts;
    const uint8_t *weight_table;
    const uint8_t *index;
    const uint8_t *hashes;
    const uint8_t *root; /* 32 bytes: what a signature signs */
    const uint8_t *names;
    size_t names_bytes;
    uint16_t target;
    uint8_t activation_bits, activation_mode, kv_bits, measured;
} mcpk;

/* A weight: its record, and where its parts lie (NULL: no such part, or compressed). */
typedef struct {
    const char *name; /* NUL-terminated */
    uint8_t form, dtype, ndim, levels, offset, scale_dtype, flags, sub_bits;
    uint32_t super;
    uint32_t first_part;
    uint32_t parts;
    uint64_t rows, cols, group;
    uint64_t dim[MCPK_MAX_DIMS];
    uint16_t encoding;           /* of the codes, or of the dense numbers */
    const uint8_t *data[MCPK_ROLES]; /* by role */
} mcpk_weight;

/* The caller's SHA-256. */
typedef struct {
    void *state;
    void (*begin)(void *state);
    void (*add)(void *state, const void *bytes, size_t n);
    void (*finish)(void *state, uint8_t digest[MCPK_HASH_BYTES]);
} mcpk_hash;

/* Checks header, index and every weight's record and sizes, without hashing; what that leaves out
 * stands in docs/container.md under "Order of verification". `base` may be longer than the
 * container (a flash partition), or shorter when only cuttable sections are missing. */
mcpk_status mcpk_open(const void *base, size_t bytes, mcpk *out);

/* The i-th weight, 0 <= i < pk->weights; or by name. */
mcpk_status mcpk_weight_at(const mcpk *pk, uint32_t i, mcpk_weight *out);
mcpk_status mcpk_find(const mcpk *pk, const char *name, mcpk_weight *out);

/* The i-th entry of the index, 0 <= i < pk->parts, bounds checked. */
mcpk_status mcpk_part_at(const mcpk *pk, uint32_t i, mcpk_part *out);

/* Row `row` of the weight seen as rows x cols: cols numbers. Dense weights: the float types of the
 * enum above but F64; for others read w->data[MCPK_ROLE_DENSE] yourself. */
mcpk_status mcpk_row_f32(const mcpk_weight *w, uint64_t row, float *out);

/* ---- checking (mcpk_check.c) ---- */

/* Does the front match its root? Only then are the tables those that were written. */
mcpk_status mcpk_verify(const mcpk *pk, const mcpk_hash *sha256);

/* Do the stored bytes of section i match their hash? Call after mcpk_verify. */
mcpk_status mcpk_verify_part(const mcpk *pk, uint32_t i, const mcpk_hash *sha256);

/* Compares the CRC-32C of one 4 KiB chunk of section i with the table: for finding worn-out
 * flash, not for security. MCPK_E_MISSING: no such chunk, or no table. */
mcpk_status mcpk_scrub(const mcpk *pk, uint32_t i, uint64_t chunk);

/* A sentence part for a status. */
const char *mcpk_error_text(mcpk_status status);

#endif
