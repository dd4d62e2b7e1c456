/* How the activations of a run are quantized, site by site. */
#ifndef MC_CLI_PIPELINE_ACT_H
#define MC_CLI_PIPELINE_ACT_H

#include "cli/pipeline_code.h"

/* Dynamic ones, for all sites whose weight is quantized; one whose weight is kept takes floats. */
mc_status mc_act_open(mc_coding *coding, mc_err *err);

/* Static ones: scale and zero of a group, from its inputs in the walk's main stream. `change`: what
 * transforms have made of them since; then the device's rotation is in it. */
mc_status mc_act_choose(mc_coding *coding, mc_walk *walk, const mc_input_group *group,
                        const mc_input_change *change, mc_err *err);

/* The same from what was seen of them. Nothing to do where a scale was chosen before. */
typedef struct {
    const mc_channels *channels;   /* NULL: not seen, */
    const mc_histogram *histogram; /* as this */
} mc_input_seen;
mc_status mc_act_choose_seen(mc_coding *coding, const mc_input_group *group,
                             const mc_input_seen *seen, mc_err *err);

/* Does the group's activation wait for a static scale? */
bool mc_act_waits(const mc_coding *coding, const mc_input_group *group);

/* What the container says of them: one entry for each weight, or for each site where sites of one
 * weight differ; sorted, in the plan's memory. */
mc_status mc_act_record(const mc_made *made, const mc_calibration *calibration, mc_plan *plan,
                        mc_arena *mem, mc_err *err);

#endif
