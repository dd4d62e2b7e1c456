/* Second moments to test with, the same in every run and without a library that could differ. */
#ifndef MC_TESTS_SUPPORT_GRAM_CASE_H
#define MC_TESTS_SUPPORT_GRAM_CASE_H

#include "calib/stats.h"

#include <stdint.h>

/* Q diag(1 .. 1/condition, falling by a constant factor) Q^T, Q orthogonal and dense. */
void gram_of_condition(size_t n, double condition, uint64_t seed, double *gram);

/* Sums over `rows` inputs: neighbouring columns are correlated, and columns differ in size by up to
 * about 30. The float model's inputs are the same plus an error of a tenth that depends on them in
 * part. Any of the results may be NULL. */
typedef struct {
    double *gram, *cross;  /* n x n */
    double *square;        /* n */
} gram_sums;
void gram_of_rows(size_t n, size_t rows, uint64_t seed, gram_sums out);

/* About normal with deviation 1. */
double gram_normal(uint64_t seed, uint64_t i);

#endif
