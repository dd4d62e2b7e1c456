/* Statistics of the float model into a file: what `calibrate` does. */
#ifndef MC_CLI_PIPELINE_CALIBRATE_H
#define MC_CLI_PIPELINE_CALIBRATE_H

#include "cli/options.h"
#include "core/model.h"
#include "core/pool.h"

typedef struct {
    size_t blocks, weights; /* in the file */
    size_t resumed;         /* blocks of them that a run before had written */
    size_t unnamed;         /* weights that GGUF has no name for: left out */
    uint64_t samples, tokens, rows;
    double seconds;
    uint64_t peak_bytes;
} mc_calibrate_result;

/* A name that ends in .gguf: an importance matrix of llama.cpp instead of a STATS file. */
bool mc_calibrate_is_imatrix(const char *path);

/* The data set that the options name: --calib, or --data once and without a name. */
mc_status mc_calibrate_data(const mc_options *options, const char **path, mc_err *err);

/* Walks the model once and writes arg[1]. A STATS file that was begun by the same run is continued,
 * under --force one of another run is begun anew. */
mc_status mc_pipeline_calibrate(const mc_model *model, const mc_options *options, mc_pool *pool,
                                mc_calibrate_result *result, mc_err *err);

/* Adds the files of --merge into arg[0]. */
mc_status mc_pipeline_merge(const mc_options *options, mc_calibrate_result *result, mc_err *err);

#endif
