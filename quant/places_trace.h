/* From the input of a group of sites backwards to whoever makes its channels. */
#ifndef MC_QUANT_PLACES_TRACE_H
#define MC_QUANT_PLACES_TRACE_H

#include "quant/places_look.h"

/* What a value's channels are made by. */
typedef struct {
    mc_id norm;      /* the node, or MC_NONE and */
    uint32_t site;   /* the site; MC_NONE too: there is nothing to scale */
    uint32_t *from;  /* given: of each channel of the value, the maker's channel */
    size_t channels; /* of the maker */
    size_t head;     /* channels of a head, where an attention lies between */
    bool gated;      /* multiplied by something on the way, */
    bool rectified;  /* went through ReLU or the like */
    bool shifts;     /* a shift of the maker's outputs comes out as it is */
} mc_trace;

/* `width` channels along the last axis of `value`, or (images) along axis 1. `spare` has room for
 * `width` numbers. */
void mc_trace_channels(const mc_look *look, mc_id value, bool image, size_t width, uint32_t *spare,
                       mc_trace *out);

#endif
