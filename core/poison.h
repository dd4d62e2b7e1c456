/* What AddressSanitizer is told about memory that we hand out ourselves; nothing otherwise. */
#ifndef MC_CORE_POISON_H
#define MC_CORE_POISON_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define MC_WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MC_WITH_ASAN 1
#endif
#endif

#ifdef MC_WITH_ASAN
#include <sanitizer/asan_interface.h>

static inline void mc_poison(void *at, size_t bytes)
{
    __asan_poison_memory_region(at, bytes);
}

static inline void mc_unpoison(void *at, size_t bytes)
{
    __asan_unpoison_memory_region(at, bytes);
}
#else
static inline void mc_poison(void *at, size_t bytes)
{
    (void)at, (void)bytes;
}

static inline void mc_unpoison(void *at, size_t bytes)
{
    (void)at, (void)bytes;
}
#endif

#endif
