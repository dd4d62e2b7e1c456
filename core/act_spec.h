/* How the activation of a site, and the KV cache of an attention, are quantized on the device: what
 * a container records and the executor simulates. */
#ifndef MC_CORE_ACT_SPEC_H
#define MC_CORE_ACT_SPEC_H

#include <stdbool.h>
#include <stdint.h>

typedef enum {
    MC_ACT_FLOAT,   /* not quantized */
    MC_ACT_DYNAMIC, /* each token (sample, for convolutions) gets its scale when it is seen */
    MC_ACT_STATIC,  /* scales are known before */
} mc_act_mode;

/* x is stored as code q, x ~ scale (q - zero). Symmetric: zero 0, q in +-(2^(b-1) - 1). Asymmetric:
 * q in -2^(b-1) .. 2^(b-1) - 1. q = clamp(rint(x / scale) + zero) by f32 division, half to even.
 * Dynamic scales follow the same rules from the row's own range (with 0 in it). */
typedef struct {
    mc_act_mode mode;
    uint8_t bits;          /* 2 to 8, 16; usually 4, 8, 16 */
    bool asymmetric;
    bool power_of_two;     /* dynamic: scales are rounded up to powers of two */
    uint32_t hadamard;     /* the input is rotated by Hadamard blocks of this size before it is
                              rounded (core/rotation.h; weights know it); 0: it is not */
    uint32_t scales;       /* static: 1, or one for each channel */
    const float *scale;    /* static: > 0 */
    const int16_t *zero;   /* static and asymmetric, else NULL */
} mc_act_spec;

/* The cache of keys and values. Keys: a scale for each channel over `group` tokens; values: one for
 * each token and `group` channels (or the whole head, when it has fewer). Asymmetric, zeros are
 * integers of 16 bits. The newest `window` tokens stay as they are (KIVI, Liu et al. 2024). */
typedef struct {
    uint8_t bits;     /* 2 to 8; 16: not quantized */
    uint32_t group;   /* at least 1; usually 32, 64, 128 */
    uint32_t window;
    bool hadamard;    /* queries and keys are rotated head by head behind RoPE (R3) */
} mc_kv_spec;

#endif
