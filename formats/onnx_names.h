/* Names of values in one scope, and which value each means: a crit-bit tree (D. J. Bernstein's), so
 * that no choice of names makes it slow: a look-up takes at most as many steps as the name has
 * bits. */
#ifndef MC_FORMATS_ONNX_NAMES_H
#define MC_FORMATS_ONNX_NAMES_H

#include "core/arena.h"
#include "core/graph.h"

typedef struct {
    uint32_t byte;     /* the first place where names below differ */
    uint32_t child[2]; /* of those with the bit clear, set; the highest bit set: a leaf */
    unsigned char bit;
} mc_onnx_names_fork;

typedef struct {
    const char *name;
    size_t length;
    mc_id id;
} mc_onnx_names_leaf;

typedef struct {
    mc_onnx_names_fork *fork;
    mc_onnx_names_leaf *leaf;
    uint32_t leaves, room;
    uint32_t root;
} mc_onnx_names;

/* MC_NONE: not there. Names hold no NUL. */
mc_id mc_onnx_names_find(const mc_onnx_names *names, const char *name, size_t length);

typedef enum { MC_NAMES_ADDED, MC_NAMES_THERE, MC_NAMES_FULL } mc_onnx_names_result;

/* The name is not copied. MC_NAMES_FULL: `mem` is. */
mc_onnx_names_result mc_onnx_names_add(mc_onnx_names *names, mc_arena *mem, const char *name,
                                       size_t length, mc_id id);

#endif
