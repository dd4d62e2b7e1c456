#include "tests/support/coded_weights.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static mc_status read_numbers(const mc_weights *from, const mc_tensor *t, uint64_t first,
                              uint64_t count, float *out, mc_err *err)
{
    (void)err;
    const coded_weights *w = (const coded_weights *)(const void *)from;
    if (t == w->tensor) {
        memcpy(out, (w->bounds ? w->bound : w->decoded) + first, count * sizeof *out);
        return MC_OK;
    }
    mc_to_f32(t->dtype, t->data + first * (mc_dtype_about(t->dtype)->bits / 8), out, count);
    for (size_t i = 0; w->bounds && i < count; i++) out[i] = fabsf(out[i]);
    return MC_OK;
}

static const mc_weight_spec *quantized(const mc_weights *from, const mc_tensor *t)
{
    const coded_weights *w = (const coded_weights *)(const void *)from;
    return t == w->tensor ? &w->spec : NULL;
}

static mc_status read_codes(const mc_weights *from, const mc_tensor *t, size_t row, size_t rows,
                            mc_arena *mem, mc_qmat *out, mc_err *err)
{
    (void)t;
    coded_weights *w = (coded_weights *)(uintptr_t)from;
    const size_t cols = w->q.cols, groups = mc_qmat_groups(&w->q);
    w->asked++;
    *out = (mc_qmat){.grid = w->q.grid, .rows = rows, .cols = cols, .group = w->q.group};
    MC_TRY(mc_qmat_alloc(out, mem, err));
    memcpy(out->code, w->q.code + row * cols, rows * cols);
    memcpy(out->params, w->q.params + row * groups, rows * groups * sizeof *out->params);
    return MC_OK;
}

static void fit(coded_weights *w, const float *row, size_t r, mc_err *err)
{
    mc_qmat *q = &w->q;
    const size_t groups = mc_qmat_groups(q), supers = mc_qmat_supers(q);
    mc_params *params = q->params + r * groups;
    const mc_fit range = {MC_FIT_RANGE, 2.0f};
    const mc_status status = mc_grid_fit(&q->grid, range, row, NULL, groups, q->group, params,
                                         q->sub ? q->sub + r * groups : NULL,
                                         q->super ? q->super + r * supers : NULL, err);
    cr_assert_eq(status, MC_OK, "%s", err->text);
    mc_grid_encode_row(&q->grid, params, row, groups, q->group, q->code + r * q->cols);
}

static void decode(coded_weights *w, size_t place)
{
    const mc_qmat *q = &w->q;
    const mc_params p = q->params[place / q->group];
    const uint64_t at = mc_weight_element(&w->spec, place);
    const float value = mc_grid_value(&q->grid, p, q->code[place]);
    w->decoded[at] = value;
    w->bound[at] = fabsf(value - p.offset) + fabsf(p.offset);
}

coded_weights *coded_weights_make(mc_arena *mem, const mc_tensor *tensor, bool transposed,
                                  const mc_grid *grid, size_t group)
{
    mc_err err = {.status = MC_OK};
    coded_weights *w = MC_NEW(mem, coded_weights, 1);
    cr_assert_not_null(w);
    *w = (coded_weights){.weights = {read_numbers, quantized, read_codes}, .tensor = tensor};
    w->spec = (mc_weight_spec){.form = MC_FORM_QUANTIZED,
                               .dtype = tensor->dtype,
                               .ndim = tensor->ndim,
                               .rows = tensor->dim[0],
                               .cols = tensor->count / tensor->dim[0],
                               .grid = *grid};
    memcpy(w->spec.dim, tensor->dim, sizeof w->spec.dim);
    if (transposed) mc_weight_transpose(&w->spec);
    w->spec.group = group == SIZE_MAX ? w->spec.cols : group;
    const mc_weight_shape shape = mc_weight_code_shape(&w->spec);
    w->q = (mc_qmat){.grid = *grid, .rows = shape.rows, .cols = shape.cols, .group = shape.group};
    cr_assert_eq(mc_qmat_alloc(&w->q, mem, &err), MC_OK, "%s", err.text);

    float *row = MC_NEW_RAW(mem, float, shape.cols);
    w->decoded = MC_NEW_RAW(mem, float, tensor->count);
    w->bound = MC_NEW_RAW(mem, float, tensor->count);
    cr_assert(row && w->decoded && w->bound);
    for (size_t r = 0; r < shape.rows; r++) {
        mc_weight_source(&w->spec, tensor->data, r * shape.cols, shape.cols, row);
        fit(w, row, r, &err);
    }
    for (size_t i = 0; i < tensor->count; i++) decode(w, i);
    return w;
}
