/* The files that a command writes, held against those it reads and against each other, before any
 * of them is touched. */
#ifndef MC_CLI_PIPELINE_OUTPUTS_H
#define MC_CLI_PIPELINE_OUTPUTS_H

#include "cli/options.h"
#include "core/model.h"
#include "formats/formats.h"

/* A few names at most; NULL entries are passed over. */
typedef struct {
    const char *const *name;
    size_t names;
} mc_path_list;

/* MC_E_USAGE when an output is one of the inputs (the model's files among them), or two outputs are
 * one file. */
mc_status mc_outputs_check(const mc_model *model, mc_path_list inputs, mc_path_list outputs,
                           mc_err *err);

/* How models are read, by what the command line says. */
mc_read_options mc_reading(const mc_options *options);

/* May `path`, where a container is to stand, be replaced? One of our containers by a build step,
 * anything else by --force only. */
bool mc_may_replace(const mc_options *options, const char *path);

/* Is there a container of ours? */
bool mc_is_our_container(const char *path);

/* Where a container goes that failed a gate; NULL when there is no room. */
const char *mc_rejected_name(const mc_options *options, mc_arena *mem);

/* The depfile's name: -MF, or OUT.d. NULL when there is to be none or no room. */
const char *mc_depfile_name(const mc_options *options, mc_arena *mem);

/* Writes the depfile when there is to be one: OUT depends on every file that was read. */
mc_status mc_write_depfile(const mc_options *options, const mc_model *model, mc_arena scratch,
                           mc_err *err);

#endif
