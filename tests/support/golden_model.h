/* Tiny models of tests/golden/hf (tests/reference/make_hf_goldens.py): their arrays, their graphs,
 * how far what they give is from what it should be. */
#ifndef MC_TESTS_SUPPORT_GOLDEN_MODEL_H
#define MC_TESTS_SUPPORT_GOLDEN_MODEL_H

#include "core/nd.h"
#include "formats/formats.h"

enum { GOLDEN_ROOM = 1 << 15 }; /* most elements of an array */

/* Two layers in f32 differ by rounding alone: sums of at most 96 products in another order, each
 * 2^-24 of the largest. Anything that is wrong is off by hundreds of times this. */
#define GOLDEN_BOUND 2e-5

/* tests/golden/hf/<folder>/<file>, in `path`. */
const char *golden_path(const char *folder, const char *file, char path[512]);

/* The numbers of a .npy file, as they lie there. */
void golden_read(const char *path, void *out, uint64_t count);

/* The same as a tensor in `data`, which has room for GOLDEN_ROOM * 8 bytes. */
mc_nd golden_tensor(const char *path, void *data);

/* The model that opens, with a graph. */
mc_model golden_open(const char *path);

/* Output `which` of the graph, copied: `count` numbers. */
typedef struct {
    size_t which, count;
    float *to;
} golden_out;
void golden_run(const mc_graph *graph, const mc_nd *in, size_t ins, const golden_out *out,
                size_t outs);

/* The same after all passes. */
void golden_run_prepared(const mc_graph *graph, const mc_nd *in, size_t ins, const golden_out *out,
                         size_t outs);

/* The largest difference over the largest number of b; infinite when a has NaN. */
double golden_distance(const float *a, const float *b, size_t n);

#endif
