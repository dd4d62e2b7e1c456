/* Containers of made-up weights, written through the program's own writer. The same seed gives the
 * same bytes; what went in can be asked for again, so that a test compares what comes out. */
#ifndef MC_TESTS_SUPPORT_CONTAINER_BUILDER_H
#define MC_TESTS_SUPPORT_CONTAINER_BUILDER_H

#include "formats/container.h"

enum { CONTAINER_MOST_WEIGHTS = 480, CONTAINER_MOST_SIDES = 4 };

typedef struct {
    mc_weight_spec weight[CONTAINER_MOST_WEIGHTS];
    char name[CONTAINER_MOST_WEIGHTS][64];
    size_t weights;
    mc_side_file side[CONTAINER_MOST_SIDES];
    size_t sides;
    const mc_site_act *act; /* with numerics as they make them */
    size_t acts;
    const mc_kv_spec *kv;
    uint32_t align; /* 64 unless a test says otherwise */
    bool compress;
    size_t slab_rows; /* rows written at a time, at least; 0: all */
    uint64_t seed;
} container_builder;

void container_builder_begin(container_builder *b, uint64_t seed);

/* `dims` ends with -1. */
void container_builder_dense(container_builder *b, mc_dtype dtype, const int *dims);

/* False, and nothing added, when the grid means nothing. `group` as in mc_weight_spec. */
bool container_builder_quantized(container_builder *b, mc_grid grid, size_t rows, size_t cols,
                                 size_t group);

/* The last weight added becomes the transpose of its tensor. */
void container_builder_transpose(container_builder *b);

/* Each kind of weight once: all dtypes; all bits, offsets, scale dtypes, tables, groups, two-level
 * scales. */
void container_builder_everything(container_builder *b);

/* Two dense weights, five quantized ones and a side file: small enough to break at every byte. */
void container_builder_little(container_builder *b);

/* A record of every kind of the first weights and of sites by name, and a KV cache. `rotated`: one
 * wants its input rotated, so that the section is required. */
void container_builder_sites(container_builder *b, bool rotated);

/* What weight w holds. */
void container_builder_qmat(const container_builder *b, size_t w, mc_arena *mem, mc_qmat *q);
unsigned char *container_builder_bytes(const container_builder *b, size_t w, mc_arena *mem,
                                       uint64_t *bytes);

extern const char container_builder_manifest[];

/* Writes it to `path`, which must not exist. */
mc_status container_builder_write(const container_builder *b, const char *path, mc_err *err);

/* Writes it to a folder of its own, reads it back and removes both. free() the result. */
unsigned char *container_builder_image(const container_builder *b, size_t *bytes);

/* A map of bytes that mc_container_open_map() may take over. */
mc_map container_builder_map(const unsigned char *bytes, size_t n);

/* Computes hashes, CRCs and root of an image again, so that a mutation in it is one that only
 * checks of the contents can find. The places in the header must still be right. */
void container_builder_repair(unsigned char *image, size_t bytes);

/* A new folder below $TMPDIR or /tmp; free() the result. */
char *container_builder_folder(void);

#endif
