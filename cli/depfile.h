/* Depfiles: which files an output was made from, as make and ninja read it. */
#ifndef MC_CLI_DEPFILE_H
#define MC_CLI_DEPFILE_H

#include "core/text.h"

#include <stddef.h>

/* "target: dep dep", names exactly as given and escaped as GNU make expects. MC_E_UNSUPPORTED for a
 * name with a line break, which no depfile can hold. */
mc_status mc_depfile_text(mc_text *text, const char *target, const char *const *dep, size_t deps,
                          mc_err *err);

/* Writes it to `path`, atomically. */
mc_status mc_depfile_write(const char *path, const char *target, const char *const *dep,
                           size_t deps, mc_err *err);

#endif
