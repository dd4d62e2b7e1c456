/* Checkpoints: what a run that chooses codes with data has made so far, in a folder, so that the
 * same command goes on from there after whatever stopped it.
 *
 * run.json says what run it is; the file of step k, 00000.safetensors and so on, holds the codes,
 * biases and scales of activations that came with the k-th group of sites. Each appears whole or
 * not at all. Transforms are made again; so is what a stage computes, from the codes that are
 * there. */
#ifndef MC_CLI_PIPELINE_CHECKPOINT_H
#define MC_CLI_PIPELINE_CHECKPOINT_H

#include "cli/pipeline_code.h"

/* Opens or makes the folder of --checkpoint; *out is NULL without one, which all others take.
 * MC_E_MISMATCH: it is another run's, naming what differs (--force: begun anew). */
mc_status mc_checkpoint_open(const mc_plan *plan, const mc_calibration *calibration, mc_made *made,
                             mc_checkpoint **out, mc_err *err);
void mc_checkpoint_close(mc_checkpoint *checkpoint);

/* What was coded up to now without data is not kept. Before the first step. */
void mc_checkpoint_begin(mc_checkpoint *checkpoint);

/* Has a run before finished this step? Then all of it is in `made` now. */
mc_status mc_checkpoint_resume(mc_checkpoint *checkpoint, size_t step, bool *done, mc_err *err);

/* Keeps what has come to `made` since the step before; it is there after a crash once this
 * returns. */
mc_status mc_checkpoint_save(mc_checkpoint *checkpoint, size_t step, mc_err *err);

/* The folder of the options, if there is one, goes. */
mc_status mc_checkpoint_remove(const mc_options *options, mc_err *err);

#endif
