/* Quantization: choosing a code for every weight.
 *
 * Takes f32 weights and a grid, gives an mc_qmat. Knows no file format and no device.
 *
 * To add a method, write quant/<name>.c that defines mc_quant_<name>, and add X(<name>) to
 * the list. `mcompress methods` then shows it, --method accepts it, and the tests of
 * tests/quant/test_every_method.c hold it to their rules. */
#ifndef MC_QUANT_QUANT_H
#define MC_QUANT_QUANT_H

#include "core/arena.h"
#include "core/qmat.h"
#include "core/tensor.h"

#include <stdbool.h>
#include <stddef.h>

#define MC_QUANT_METHODS(X) \
    X(rtn)                  \
    X(mse)                  \
    X(hqq)                  \
    X(ternary)              \
    X(binary)               \
    /* end */

/* A parameter of a method, given as --method NAME:KEY=VALUE,… */
typedef struct {
    const char *key;
    const char *summary;
    double least, most, usual; /* all methods' parameters are numbers */
    bool whole;                /* no fraction allowed */
} mc_quant_param;

enum { MC_QUANT_PARAMS = 4 };

typedef struct mc_quant_method mc_quant_method;

typedef struct {
    const mc_quant_method *method;
    double param[MC_QUANT_PARAMS]; /* in the order of method->params */
} mc_quant_setup;

/* Rows of a weight, quantized independently of all other rows. */
typedef struct {
    mc_mat weights; /* one row per output feature, finite */
    const mc_quant_setup *setup;
    size_t first_row; /* of a slab within its weight: only messages count from there */
} mc_quant_job;

struct mc_quant_method {
    const char *name;
    const char *summary;
    const char *needs; /* "no data" */
    const char *paper; /* author, year, and what is taken from it */
    mc_quant_param params[MC_QUANT_PARAMS]; /* ends with a NULL key */

    /* What a plan makes of it when nothing else is said. */
    double usual_from, usual_below; /* bits of the weights that it is the usual method for */
    bool prefers_free_offset;       /* to an integer zero, on a grid that can have either */

    /* Which grids the method can choose codes on: NULL, or the reason why not. */
    const char *(*refuses)(const mc_grid *grid);

    /* Bytes of scratch for a slab of rows x cols, an upper bound. */
    size_t (*scratch)(const mc_grid *grid, size_t rows, size_t cols, size_t group);

    /* Fills codes and params of `out`, which is already laid out. The weights are finite and the
     * grid is valid: mc_quantize() saw to it. */
    mc_status (*run)(const mc_quant_job *job, mc_qmat *out, mc_arena scratch, mc_err *err);
};

#define X(name) extern const mc_quant_method mc_quant_##name;
MC_QUANT_METHODS(X)
#undef X

/* The i-th method of the list, or NULL past its end. */
const mc_quant_method *mc_quant_at(size_t i);

/* The method that weights of `bits` (1, 1.58, 2 … 8) get unless one is named: the first of the
 * list that is usual for them. */
const mc_quant_method *mc_quant_usual(double bits);

/* "mse", "mse:norm=2.4": the method with its parameters, those not named as usual. MC_E_USAGE names
 * what is wrong and what is allowed. */
mc_status mc_quant_setup_parse(const char *text, mc_quant_setup *out, mc_err *err);

/* Quantizes the job's weights onto out's grid; `out` has grid, rows, cols and group and is laid out
 * (mc_qmat_alloc). A weight that is not finite is MC_E_FORMAT: "row 3, column 7: weight is nan". A
 * grid that the method refuses, or a scale that its dtype cannot hold, is MC_E_UNSUPPORTED. */
mc_status mc_quantize(const mc_quant_job *job, mc_qmat *out, mc_arena scratch, mc_err *err);

#endif
