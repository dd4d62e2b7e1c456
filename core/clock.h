/* What a run took: for progress, benchmarks and the talk on stderr. Nothing that is compared or
 * written into a container may depend on it. */
#ifndef MC_CORE_CLOCK_H
#define MC_CORE_CLOCK_H

#include <stdint.h>

/* Seconds of a clock that only goes forward. */
double mc_seconds(void);

/* Peak resident memory of the process so far, mapped pages included (VmHWM); 0 when the system does
 * not tell. */
uint64_t mc_peak_memory(void);

#endif
