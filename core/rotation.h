/* Rotations: orthogonal matrices that are cheap to apply. QuaRot (Ashkboos et al. 2024), SpinQuant
 * (Liu et al. 2024).
 *
 * Hadamard matrices of n = K 2^k, K one of 1, 12, 20, 28, 36, 40, 52, 60, 108, 140, 156, 172, by the
 * fast Walsh-Hadamard transform and a table (Paley's and Williamson's constructions), scaled by
 * 1/sqrt(n); a size without one is cut into equal blocks of the largest power of two that divides
 * it. Signs (+-1 from a seed) in front make a random Hadamard matrix; a random orthogonal one comes
 * from the QR factors of normal numbers. */
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
    const double *matrix; /* block x block, of ORTHOGONAL (every block the same), else NULL */
} mc_rotation;

/* The largest block of a vector of n that has a Hadamard matrix and divides n (n itself when it
 * has one). */
size_t mc_hadamard_block(size_t n);
bool mc_hadamard_exists(size_t n);

/* `block` 0: mc_hadamard_block(n), for ORTHOGONAL n. Refuses (MC_E_USAGE) a block that does not
 * divide n or, for Hadamard kinds, has no matrix, naming both. What it points to lives in `mem`. */
mc_status mc_rotation_make(mc_rotate_kind kind, size_t n, size_t block, uint64_t seed,
                           mc_arena *mem, mc_rotation *out, mc_err *err);

/* x (as a row) becomes x Q, and x Q^T; in place, `rows` vectors that lie `stride` elements apart.
 * `scratch` needs n doubles and 64 bytes. */
void mc_rotate_f64(const mc_rotation *q, bool back, double *x, size_t rows, size_t stride,
                   mc_arena scratch);
void mc_rotate_f32(const mc_rotation *q, bool back, float *x, size_t rows, size_t stride,
                   mc_arena scratch);

#endif
