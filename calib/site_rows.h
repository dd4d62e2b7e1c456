/* The rows that a site's activation presents to its weight, as stats.h defines them.
 *
 *   Linear, MatMul, Gemm (transA too)   tokens: x of [..., n] as it lies, or of [..., n, T]
 *   Conv, FusedConv                     windows: one for each output position, columns in the order
 *                                       channel, kernel position; places in the padding are 0
 *   LSTM, GRU, RNN                      W: tokens of X. R meets the recurrence's own states: none
 *   ConvTranspose, embeddings           none
 *
 * A weight cut out of a stack counts as the matrix that its node sees. */
#ifndef MC_CALIB_SITE_ROWS_H
#define MC_CALIB_SITE_ROWS_H

#include "core/nd.h"
#include "core/op.h"
#include "core/site.h"

typedef struct {
    size_t groups; /* of a grouped convolution, else 1 */
    size_t rows;   /* of each group */
    size_t n;      /* columns: elements of a row */
    const mc_nd *x;/* the activation; must outlive this */

    /* How rows lie in x; for site_rows.c. */
    bool across;      /* tokens along the last axis */
    size_t channels;  /* of a convolution's group; 0: tokens */
    mc_window window; /* of three axes */
} mc_site_rows;

/* NULL, or why this site presents no rows: "its weight meets the states of the recurrence". */
const char *mc_site_rows_refuses(const mc_graph *graph, const mc_site *site);

/* The rows of `x`, an activation that comes to the site; nothing is computed yet. `graph` is the
 * one that the site was found in. MC_E_UNSUPPORTED: the site has none, or x holds no floats;
 * MC_E_FORMAT: x does not fit the node. Messages name the site. */
mc_status mc_site_rows_plan(const mc_graph *graph, const mc_site *site, const mc_nd *x,
                            mc_site_rows *out, mc_err *err);

/* A matrix of rows as it lies, without a site; `x` is set up to describe it. */
mc_site_rows mc_site_rows_of(const mc_nd *x);

/* Are they the same rows of the same x? Then sites that share an input share their moments. */
bool mc_site_rows_same(const mc_site_rows *a, const mc_site_rows *b);

/* Row `first` of a group and those behind it as they lie, row after row; NULL when rows have to be
 * put together, which mc_site_rows_fill does: out[count x n]. Any thread. */
const float *mc_site_rows_at(const mc_site_rows *rows, size_t first);
void mc_site_rows_fill(const mc_site_rows *rows, size_t group, size_t first, size_t count,
                       float *out);

#endif
