/* Statistics of the float model, brought up to date with what transforms have made of a site's
 * input since (quant/transform.h). */
#ifndef MC_CLI_PIPELINE_CHANGE_H
#define MC_CLI_PIPELINE_CHANGE_H

#include "calib/channels.h"
#include "calib/moments.h"
#include "core/act.h"
#include "quant/transform.h"

/* Moments of rows, both halves of the Gram: a row's columns are the input's channels, each as often
 * as a window has places. MC_E_UNSUPPORTED: a rotation, and there is no Gram to rotate. `scratch`
 * needs mc_change_scratch(). */
mc_status mc_change_moments(const mc_input_change *first, mc_moment_sums *sums, mc_arena scratch,
                            mc_err *err);
size_t mc_change_scratch(size_t n);

/* Ranges and sums of channels. False when they do not say: behind a rotation or a shift. */
bool mc_change_channels(const mc_input_change *first, mc_channels *channels);

/* The numbers of a sample themselves. `scratch`: 9 rows of doubles. */
void mc_change_sample(const mc_input_change *first, const mc_act_shape *shape, float *x,
                      mc_arena scratch);

#endif
