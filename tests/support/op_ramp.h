/* Numbers for operator tests that tests/reference/make_op_goldens.py makes in the same way. */
#ifndef MC_TESTS_SUPPORT_OP_RAMP_H
#define MC_TESTS_SUPPORT_OP_RAMP_H

#include <stddef.h>
#include <stdint.h>

/* x[i] = (i * (26 seed + 91) + 5 seed) mod 31, less 15, eighths: -1.875 to 1.875. */
void op_ramp(float *x, size_t n, unsigned seed);

/* x[i] = (i * (26 seed + 91) + 5 seed) mod 251: codes of 0..250. */
void op_ramp_codes(uint8_t *x, size_t n, unsigned seed);

#endif
