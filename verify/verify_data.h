/* Runs the original and the container (decoded from the written file) on the same samples, node by
 * node side by side, and measures what differs: at every site, and at the end. */
#ifndef MC_VERIFY_VERIFY_DATA_H
#define MC_VERIFY_VERIFY_DATA_H

#include "calib/dataset.h"
#include "core/exec.h"
#include "core/meter.h"
#include "core/names.h"
#include "core/pool.h"
#include "formats/container.h"
#include "verify/outcome.h"

typedef struct {
    const char *name; /* may be "" */
    const char *path;
} mc_named_data;

typedef struct {
    const mc_model *reference;      /* with a graph */
    const mc_container *container;
    const mc_named_data *data;
    size_t datas;
    mc_dataset_options options;     /* of every data set */
    mc_exec_numerics numerics;      /* as far as the container says how: of activations, and of
                                       its KV cache */
    uint64_t cache_bytes;           /* decoded weights of both models that may stay in memory */
    uint64_t memory_limit;          /* bytes, MC_E_BUDGET when running would take more; 0: none */
    uint64_t site_samples;          /* samples on which sites are compared; 0: the first 64 */
    mc_pool *pool;
    mc_meter meter;                 /* gets one a sample; may be zero */
    const char *dump;               /* npz of both models' outputs on the first data set */
    const char *logits_out;         /* llama.cpp's `_logits_` file of the original; or NULL */
    const char *logits_in;          /* such a file instead of the original's run; or NULL. It is
                                       the one data set then, too */
    bool replace;                   /* dump and logits_out may replace files */
} mc_data_input;

/* MC_E_UNSUPPORTED names the operator that cannot be run. The report lives in `mem`. */
mc_status mc_verify_data(const mc_data_input *input, mc_arena *mem, mc_data_report *out,
                         mc_err *err);

/* What `mem` must hold, at most. */
size_t mc_verify_data_memory(const mc_data_input *input);

/* ---- parts of it ---- */

/* The numbers of a container as an executor wants them (exec.h). `container` must outlive it. */
typedef struct {
    mc_weights weights;
    const mc_container *container;
    mc_names names; /* of its weights */
} mc_container_weights;
mc_status mc_container_weights_open(const mc_container *container, mc_arena *mem,
                                    mc_container_weights *out, mc_err *err);

/* How the inputs of `sites` are quantized, one spec for each (exec.h); NULL: the container says
 * nothing of single sites. MC_E_MISMATCH: weights are made for inputs that are rotated at a site
 * that is not there. */
mc_status mc_container_acts(const mc_container_weights *weights, const mc_sites *sites,
                            mc_arena *mem, const mc_act_spec **out, mc_err *err);

/* Multiplications that a run with these shapes (mc_graph_infer) takes at its sites and other matrix
 * products; UINT64_MAX when a shape is not known. */
uint64_t mc_graph_macs(const mc_graph *graph, const mc_nd *shape);

#endif
