#include "tests/support/op_ramp.h"

static size_t step(size_t i, unsigned seed, size_t modulus)
{
    return (i * (26 * (size_t)seed + 91) + 5 * (size_t)seed) % modulus;
}

void op_ramp(float *x, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) x[i] = ((float)step(i, seed, 31) - 15.0f) / 8.0f;
}

void op_ramp_codes(uint8_t *x, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) x[i] = (uint8_t)step(i, seed, 251);
}
