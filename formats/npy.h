/* NumPy's files: .npy (versions 1 to 3, C and Fortran order, any byte order) and .npz (zip, stored
 * or deflated, zip64). Reading maps the file; stored arrays are views. */
#ifndef MC_FORMATS_NPY_H
#define MC_FORMATS_NPY_H

#include "core/arena.h"
#include "core/dtype.h"
#include "core/file.h"
#include "core/tensor.h"

#include <stdbool.h>

typedef struct {
    const char *name; /* in the npz, without .npy; "" for a .npy */
    mc_dtype dtype;
    bool swapped;     /* big-endian */
    bool fortran;     /* first axis fastest */
    int ndim;
    uint64_t dim[MC_MAX_DIMS];
    uint64_t count, bytes;
    const unsigned char *data; /* as the file stores it */
} mc_array;

typedef struct {
    mc_array *array; /* in the order of the directory */
    size_t arrays;
    mc_region memory;
    mc_region inflated; /* members that were deflated: here, */
    mc_map spilled;     /* or in a scratch file */
} mc_npz;

/* From bytes that outlive the result; `name` is for messages. */
mc_status mc_npy_read(const unsigned char *bytes, size_t n, const char *name, mc_npz *out,
                      mc_err *err);

typedef struct {
    const unsigned char *bytes; /* outlive the result */
    size_t n;
    const char *name;  /* for messages */
    const mc_map *map; /* that the bytes are, or NULL: pages whose sums were checked are let go */
    uint64_t limit;    /* most bytes that members may inflate to; 0 = MC_SPILL_LIMIT */
} mc_npz_source;

/* Deflated members are inflated into memory; when they are more than a few MiB, into a scratch
 * file. Members whose names do not end in .npy are passed over. */
mc_status mc_npz_read(const mc_npz_source *from, mc_npz *out, mc_err *err);
void mc_npz_close(mc_npz *npz);

/* Elements [first, first + count) in C order, little-endian, as the dtype stores them. */
void mc_array_read(const mc_array *a, uint64_t first, uint64_t count, void *out);

/* ---- writing: an npz of stored arrays that grows sample by sample ---- */

typedef struct mc_npz_out mc_npz_out;

/* `rows` of each array come later, in order; row_dim is the shape of one. Sizes are known from the
 * start, so the file is laid out at once (zip64 where needed). */
typedef struct {
    const char *name;
    mc_dtype dtype;
    uint64_t rows;
    int row_ndim;
    uint64_t row_dim[MC_MAX_DIMS - 1];
} mc_npz_member;

mc_status mc_npz_out_open(const char *path, bool replace, const mc_npz_member *member,
                          size_t members, mc_npz_out **out, mc_err *err);
mc_status mc_npz_out_row(mc_npz_out *out, size_t member, uint64_t row, const void *data,
                         mc_err *err);
mc_status mc_npz_out_commit(mc_npz_out *out, mc_err *err); /* frees in every case */
void mc_npz_out_discard(mc_npz_out *out);

#endif
