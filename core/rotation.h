/* Rotations: orthogonal matrices that are cheap to apply. QuaRot (Ashkboos et al. 2024), SpinQuant
 * (Liu et al. 2024).
 *
 * Hadamard matrices of n = K 2^k, K one of 1, 12, 20, 28, 36, 52, 60, 108, 140, 156, 172 (so 40,
 * too, being 20 x 2), by the fast Walsh-Hadamard transform H and a table T (hadamard.h): Q is the
 * Kronecker product of T and H times 1/sqrt(n). A size without one is cut into equal blocks of the
 * largest size that has one and divides it. Signs (+-1 from a seed) in front, Q = diag(sign) times
 * that, make a random Hadamard matrix; a random orthogonal one comes from the QR factors of normal
 * numbers. */
#ifndef MC_CORE_ROTATION_H
#define MC_CORE_ROTATION_H

#include "core/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { MC_ROTATE_HADAMARD, MC_ROTATE_RANDOM_HADAMARD, MC_ROTATE_ORTHOGONAL } mc_rotate_kind;

typedef struct {
    mc_rotate_kind kind;
    size_t n;             /* length of the vectors */
    size_t block;         /* divides n: vectors are rotated block by block */
    size_t table;         /* K of a Hadamard block; 0 for orthogonal */
    const double *sign;   /* n, of RANDOM_HADAMARD, else NULL */
    const double *matrix; /* of ORTHOGONAL: block x block (every block the same); of Hadamard kinds:
                             table x table, NULL for table 1 */
} mc_rotation;

/* The largest block of a vector of n that has a Hadamard matrix and divides n (n itself when it
 * has one). */
size_t mc_hadamard_block(size_t n);
bool mc_hadamard_exists(size_t n);

/* `block` 0: mc_hadamard_block(n), for ORTHOGONAL n. Refuses (MC_E_USAGE) a block that does not
 * divide n or, for Hadamard kinds, has no matrix, naming both. What it points to lives in `mem`. */
mc_status mc_rotation_make(mc_rotate_kind kind, size_t n, size_t block, uint64_t seed,
                           mc_arena *mem, mc_rotation *out, mc_err *err);

/* x (as a row) becomes x Q, and with `back` x Q^T; in place, `rows` vectors that lie `stride`
 * elements apart. Sums are of doubles and do not depend on how many vectors there are. `scratch`
 * needs n doubles and 64 bytes (with less the numbers are NaN); with 8 n doubles ORTHOGONAL is
 * faster, the numbers are the same. */
void mc_rotate_f64(const mc_rotation *q, bool back, double *x, size_t rows, size_t stride,
                   mc_arena scratch);
void mc_rotate_f32(const mc_rotation *q, bool back, float *x, size_t rows, size_t stride,
                   mc_arena scratch);

#endif
