/* Shared by edit.c and edit_weights.c: what is kept of edits. */
#ifndef MC_CORE_EDIT_PARTS_H
#define MC_CORE_EDIT_PARTS_H

#include "core/edit.h"
#include "core/names.h"

typedef struct mc_edit_step mc_edit_step;
struct mc_edit_step {
    mc_edit edit;
    uint64_t length;    /* dim[edit.axis] */
    mc_edit_step *next; /* applied behind it */
};

/* A tensor is known by its name and by where its numbers lie: constants that a graph brings along
 * may have a name in common, or none. */
typedef struct {
    const char *name; /* a copy of the list's own */
    const unsigned char *data;
    uint32_t same;    /* the next list of that name, MC_NO_NAME: none */
    mc_edit_step *first, *last;
    size_t steps;
} mc_edit_list;

typedef struct mc_edit_cache mc_edit_cache;

struct mc_edits {
    mc_weights weights; /* first */
    mc_arena *mem;
    mc_names names;     /* of the first list of each name */
    mc_edit_list *list;
    uint32_t lists, list_room;
    mc_edit_cache *cache;
};

/* The edits of a tensor, NULL: none. */
const mc_edit_list *mc_edit_list_of(const mc_edits *edits, const mc_tensor *tensor);

/* How many elements that follow each other are needed together: stretches of so many, from the
 * first element on, are independent of each other. */
uint64_t mc_edit_unit(const mc_edit_list *list, const mc_tensor *tensor);

/* Elements [first, first + count), whole units. `scratch` needs mc_edit_range_bytes(). */
mc_status mc_edit_range(const mc_edit_list *list, const mc_tensor *tensor, uint64_t first,
                        uint64_t count, mc_arena scratch, float *out, mc_err *err);
size_t mc_edit_range_bytes(const mc_edit_list *list, const mc_tensor *tensor, uint64_t count);

/* edit_weights.c; the cache needs no room before something is read. */
mc_status mc_edit_cache_open(mc_edits *edits, mc_err *err);
void mc_edit_cache_close(mc_edit_cache *cache);

#endif
