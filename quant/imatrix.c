/* Round to nearest over a searched range, as mse, but a column's errors count as much as the inputs
 * that meet it are large: the weight is the mean of their squares, the diagonal of the second
 * moment (llama.cpp's "importance matrix").
 *
 * A column that met next to nothing keeps a millionth of the mean importance, so that groups of
 * such columns are fitted as mse does. */
#include "quant/quant.h"
#include "quant/rows.h"

enum { NORM };

static size_t scratch_bytes(const mc_grid *grid, size_t rows, size_t cols, size_t group)
{
    (void)grid, (void)rows, (void)group;
    return cols * sizeof(float) + 64; /* and what aligning takes */
}

static double error_of_row(const mc_qmat *q, size_t row, mc_grid_group w, double norm)
{
    double sum = 0.0;
    for (size_t g = 0; g < mc_qmat_groups(q); g++) {
        const mc_grid_group group = {w.w + g * q->group, w.importance + g * q->group, q->group};
        sum += mc_grid_error(&q->grid, q->params[row * mc_qmat_groups(q) + g], group, (float)norm);
    }
    return sum;
}

static double error_of(const mc_quant_job *job, const float *importance, const mc_qmat *q)
{
    double sum = 0.0;
    for (size_t r = 0; r < q->rows; r++) {
        const mc_grid_group w = {mc_row(job->weights, r), importance, q->cols};
        sum += error_of_row(q, r, w, job->setup->param[NORM]);
    }
    return sum;
}

static mc_status run(const mc_quant_job *job, mc_qmat *out, mc_arena scratch, mc_err *err)
{
    const mc_fit fit = {.kind = MC_FIT_SEARCH, .norm = (float)job->setup->param[NORM]};
    float *importance = MC_NEW_RAW(&scratch, float, out->cols);
    if (!importance) return mc_no_room(err, "the importance of columns");
    importance_of(job->moments->square, out->cols, importance);

    if (job->facts) { /* where mse would be */
        MC_TRY(fit_and_encode_rows(job, fit, NULL, out, err));
        job->facts->start += error_of(job, importance, out);
    }
    MC_TRY(fit_and_encode_rows(job, fit, importance, out, err));
    if (job->facts) job->facts->end += error_of(job, importance, out);
    return MC_OK;
}

const mc_quant_method mc_quant_imatrix = {
    .name = "imatrix",
    .summary = "mse with every column's error weighted by the mean square of its input",
    .needs = "the mean square of its inputs (calibration data)",
    .cost = "one forward pass, then as mse",
    .paper = "Kawrakow 2024 (llama.cpp's importance matrix): the weights of the error",
    .params =
        {
            [NORM] = {.key = "norm",
                      .summary = "exponent of the error that is minimised",
                      .least = 0.5,
                      .most = 8.0,
                      .usual = 2.0},
        },
    .refuses = refuses_no_grid,
    .wants = MC_QUANT_SQUARES,
    .scratch = scratch_bytes,
    .run = run,
};
