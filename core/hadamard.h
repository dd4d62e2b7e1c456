/* Hadamard matrices of the orders that are no powers of two (rotation.h): square matrices T of +-1
 * with T T^T = K I. */
#ifndef MC_CORE_HADAMARD_H
#define MC_CORE_HADAMARD_H

#include <stddef.h>

/* Orders that there are tables for, rising, the first 1; 0 past the end. */
size_t mc_hadamard_order(size_t i);

/* Fills the table [order x order]; `order` is one of the above. */
void mc_hadamard_table(size_t order, double *table);

#endif
