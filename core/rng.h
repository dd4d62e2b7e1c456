/* Random numbers by counter: Philox4x32-10 (Salmon et al., SC'11, "Parallel random numbers: as easy
 * as 1, 2, 3"). The i-th number of a stream does not depend on who asked for the others, so any
 * thread may draw any part of it. */
#ifndef MC_CORE_RNG_H
#define MC_CORE_RNG_H

#include <stdint.h>

typedef struct {
    uint64_t seed;
    uint64_t stream; /* e.g. the index of a tensor */
} mc_rng;

/* The block function: 4 words in, 4 words out (test vectors of Random123 hold). */
void mc_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

uint32_t mc_rng_u32(mc_rng rng, uint64_t i);

/* Below `bound`, which is above 0, without bias visible at 64 bits (Lemire's multiply on 64 random
 * bits). */
uint64_t mc_rng_below(mc_rng rng, uint64_t i, uint64_t bound);

/* In [0, 1), 24 bits. */
float mc_rng_unit(mc_rng rng, uint64_t i);

#endif
