/* Quantization: choosing a code for every weight.
 *
 * Takes f32 weights and a grid, gives an mc_qmat. Knows no file format and no device.
 *
 * To add a method, write quant/<name>.c that defines mc_quant_<name>, and add X(<name>) to
 * the list. `mcompress methods` then shows it, --method accepts it, and the tests of
 * tests/quant/test_every_method.c hold it to their rules. */
#ifndef MC_QUANT_QUANT_H
#define MC_QUANT_QUANT_H

#include "calib/stats.h"
#include "core/arena.h"
#include "core/pool.h"
#include "core/qmat.h"
#include "core/setup.h"
#include "core/tensor.h"

#include <stdbool.h>
#include <stddef.h>

#define MC_QUANT_METHODS(X) \
    X(rtn)                  \
    X(mse)                  \
    X(hqq)                  \
    X(imatrix)              \
    X(gptq)                 \
    X(gptaq)                \
    X(adaround)             \
    X(flexround)            \
    X(ternary)              \
    X(binary)               \
    /* end */

/* A parameter of a method, given as --method NAME:KEY=VALUE,… */
typedef mc_setup_param mc_quant_param;

enum { MC_QUANT_PARAMS = MC_SETUP_PARAMS };

typedef struct mc_quant_method mc_quant_method;

typedef struct {
    const mc_quant_method *method;
    double param[MC_QUANT_PARAMS]; /* in the order of method->params */
} mc_quant_setup;

/* What a method needs to know about the inputs that the weights meet. */
enum {
    MC_QUANT_SQUARES = 1, /* moments->square */
    MC_QUANT_GRAM = 2,    /* moments->gram */
    MC_QUANT_CROSS = 4,   /* moments->cross, where there are two streams; it does without */
};

/* What came of it, summed over slabs: for reports and --explain. */
typedef struct {
    double damp;         /* the largest used */
    double floor;        /* besides, on the diagonal */
    size_t dead;         /* columns that met nothing but 0 */
    double start, end;   /* the method's own objective before (nearest codes on its first grid) and
                            after; 0 and 0 when it has none */
} mc_quant_facts;

/* Rows of a weight, quantized independently of all other rows. */
typedef struct {
    mc_mat weights; /* one row per output feature, finite */
    const mc_quant_setup *setup;
    size_t first_row; /* of a slab within its weight: only messages count from there */
    const mc_moments *moments; /* of one group (stats.h), as the method needs; else NULL */
    const void *prepared;      /* what mc_quant_make_ready() made of them; else NULL */
    const double *gain;        /* rows x cols: sum of r x^T, where r is what the outputs should give
                                  besides (what the stream that they are added to has lost); for
                                  methods that use CROSS; or NULL */
    mc_quant_facts *facts;     /* added to; may be NULL */
} mc_quant_job;

/* What all rows that meet the same inputs share: a factor, an order of columns. */
typedef struct {
    const mc_quant_setup *setup;
    const mc_moments *moments; /* of one group */
    const mc_grid *grid;
    size_t group;              /* columns that share a scale */
    mc_pool *pool;             /* may be NULL: this thread only */
} mc_quant_prepare;

struct mc_quant_method {
    const char *name;
    const char *summary;
    const char *needs; /* "no data" */
    const char *cost;  /* n inputs, m outputs: "m n^2 per matrix" */
    const char *paper; /* author, year, and what is taken from it */
    mc_quant_param params[MC_QUANT_PARAMS]; /* ends with a NULL key */

    /* What a plan makes of it when nothing else is said. */
    double usual_from, usual_below; /* bits of the weights that it is the usual method for */
    bool prefers_free_offset;       /* to an integer zero, on a grid that can have either */

    /* Which grids the method can choose codes on: NULL, or the reason why not. */
    const char *(*refuses)(const mc_grid *grid);

    /* Methods that look at data: MC_QUANT_… that they cannot do without (CROSS: that they use).
     * Such a method run without moments is MC_E_UNSUPPORTED. prepare may be NULL; its result lives
     * in `mem` (prepare_bytes, an upper bound for n columns) and is only read by run. */
    unsigned wants;
    size_t (*prepare_bytes)(const mc_quant_setup *setup, size_t n);
    mc_status (*prepare)(const mc_quant_prepare *in, mc_arena *mem, const void **out,
                         mc_quant_facts *facts, mc_err *err);

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

/* What the method makes of the moments before the first row: NULL when it makes nothing. `facts`
 * (may be NULL) is told. Moments that the method needs and that are not there are
 * MC_E_UNSUPPORTED: "method gptq needs …"; NaN in them is MC_E_FORMAT. */
mc_status mc_quant_make_ready(const mc_quant_prepare *in, mc_arena *mem, const void **out,
                              mc_quant_facts *facts, mc_err *err);
size_t mc_quant_ready_bytes(const mc_quant_setup *setup, size_t n);

/* Quantizes the job's weights onto out's grid; `out` has grid, rows, cols and group and is laid out
 * (mc_qmat_alloc). A weight that is not finite is MC_E_FORMAT: "row 3, column 7: weight is nan". A
 * grid that the method refuses, or a scale that its dtype cannot hold, is MC_E_UNSUPPORTED. */
mc_status mc_quantize(const mc_quant_job *job, mc_qmat *out, mc_arena scratch, mc_err *err);

#endif
