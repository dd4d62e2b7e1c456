/* Tells how much work is done, to whoever shows it. */
#ifndef MC_CORE_METER_H
#define MC_CORE_METER_H

#include <stdint.h>

typedef struct {
    void (*add)(void *to, uint64_t bytes); /* from any thread; NULL when nobody looks */
    void *to;
} mc_meter;

static inline void mc_meter_add(mc_meter meter, uint64_t bytes)
{
    if (meter.add) meter.add(meter.to, bytes);
}

#endif
