/* Targets: what a device can hold, and the defaults that suit it.
 *
 * To add one, write formats/target_<name>.c that defines mc_target_<name>, and add X(<name>) to the
 * list. `mcompress targets` prints the table; the plan promises nothing that the target refuses. */
#ifndef MC_FORMATS_TARGET_H
#define MC_FORMATS_TARGET_H

#include "core/err.h"
#include "core/weight.h"

#include <stdbool.h>
#include <stdint.h>

#define MC_TARGETS(X) \
    X(generic)        \
    /* end */

typedef struct {
    const char *name;
    const char *summary;
    bool supported;       /* a program outside this project loads it in a test; else experimental */
    uint16_t id;          /* written into containers */
    uint32_t align;       /* of sections, bytes */
    bool float_offset;    /* offsets may be numbers instead of integer zeros */
    bool negative_scale;  /* scales may be negative */
    bool online_hadamard; /* it rotates activations in front of sites, and keys and queries */
    /* Why the target cannot hold this weight, or NULL. May itself be NULL: it holds all. */
    const char *(*refuses)(const mc_weight_spec *weight);
} mc_target;

#define X(name) extern const mc_target mc_target_##name;
MC_TARGETS(X)
#undef X

const mc_target *mc_target_at(size_t i);
const mc_target *mc_target_find(const char *name);

#endif
