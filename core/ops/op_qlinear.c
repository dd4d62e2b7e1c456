/* Operators on quantized tensors: MatMulInteger, QLinearMatMul, and the table of these and the
 * convolutions. Sums are exact and wrap at 32 bits; what becomes codes again is multiplied by
 * scale_a * scale_b / scale_y in f32, rounded half to even, and then the zero point is added. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_codes_shared.h"
#include "core/ops/op_number_shared.h"
#include "core/ops/op_qlinear_shared.h"
#include "core/ops/op_whole_shared.h"

#include <string.h>

const mc_dtype mc_qlinear_codes[] = {MC_U8, MC_I8, MC_DTYPE_NONE};

void mc_qlinear_load(const mc_nd *x, size_t first, size_t n, float zero, float *to)
{
    mc_num_convert(x->dtype, (const char *)x->data + first, MC_F32, to, n);
    for (size_t i = 0; i < n; i++) to[i] -= zero;
}

void mc_qlinear_store(const int32_t *sum, size_t n, float by, float zero, mc_nd *y, size_t at)
{
    enum { STRIP = 256 };
    float code[STRIP];
    const mc_codes range = mc_codes_range(y->dtype);
    for (size_t i = 0; i < n; i += STRIP) {
        const size_t count = n - i < STRIP ? n - i : STRIP;
        for (size_t k = 0; k < count; k++) code[k] = (float)sum[i + k] * by;
        mc_codes_round_by(range, zero, code, count);
        mc_codes_store(code, count, y, at + i);
    }
}

/* ---- parameters of rows and columns ---- */

/* Where a node's inputs stand; SIZE_MAX: it has none. */
typedef struct {
    size_t a, b, a_zero, b_zero, a_scale, b_scale, y_scale, y_zero, bias;
} places;

static const places integer = {.a = 0,
                               .b = 1,
                               .a_zero = 2,
                               .b_zero = 3,
                               .a_scale = SIZE_MAX,
                               .b_scale = SIZE_MAX,
                               .y_scale = SIZE_MAX,
                               .y_zero = SIZE_MAX,
                               .bias = SIZE_MAX};
static const places linear = {.a = 0,
                              .a_scale = 1,
                              .a_zero = 2,
                              .b = 3,
                              .b_scale = 4,
                              .b_zero = 5,
                              .y_scale = 6,
                              .y_zero = 7,
                              .bias = SIZE_MAX};
static const places to_float = {.a = 0,
                                .b = 1,
                                .a_scale = 2,
                                .b_scale = 3,
                                .a_zero = 4,
                                .b_zero = 5,
                                .bias = 6,
                                .y_scale = SIZE_MAX,
                                .y_zero = SIZE_MAX};
/* a is quantized here */
static const places dynamic = {.a = 0,
                               .b = 1,
                               .b_scale = 2,
                               .b_zero = 3,
                               .bias = 4,
                               .a_zero = SIZE_MAX,
                               .a_scale = SIZE_MAX,
                               .y_scale = SIZE_MAX,
                               .y_zero = SIZE_MAX};

/* One number, one for each row of a (column of b), or a's (b's) dimensions with 1 in place of the
 * columns (rows). */
static mc_status check_parameter(const mc_call *call, size_t i, size_t of, bool by_row, mc_err *err)
{
    const mc_nd *p = mc_arg_in(call, i), *t = call->in[of];
    if (!p || !mc_nd_shape_known(p) || !mc_nd_shape_known(t)) return MC_OK;
    if (p->count == 1) return MC_OK;
    const int skip = by_row ? t->ndim - 1 : t->ndim - 2, kept = by_row ? t->ndim - 2 : t->ndim - 1;
    bool fits = t->ndim > 1 && p->ndim == 1 && p->dim[0] == t->dim[kept];
    if (!fits && t->ndim > 1 && p->ndim == t->ndim) {
        fits = true;
        for (int d = 0; d < t->ndim; d++) fits = fits && p->dim[d] == (d == skip ? 1 : t->dim[d]);
    }
    if (fits) return MC_OK;
    char found[MC_ND_TEXT], allowed[MC_ND_TEXT];
    return mc_fail(err, MC_E_FORMAT,
                   "input %zu is %s; allowed is one number or one for each %s of %s", i,
                   mc_nd_show(p, found), by_row ? "row" : "column", mc_nd_show(t, allowed));
}

static const mc_dtype numbers[] = {MC_F32, MC_DTYPE_NONE};

static mc_status check_zero(const mc_call *call, size_t i, size_t of, bool by_row, mc_err *err)
{
    const mc_nd *zero = mc_arg_in(call, i), *t = call->in[of];
    MC_TRY(mc_arg_dtype(call, of, t->dtype == MC_F32 ? numbers : mc_qlinear_codes, err));
    MC_TRY(mc_arg_dtype(call, i, mc_qlinear_codes, err));
    if (zero && zero->dtype != MC_DTYPE_NONE && t->dtype != MC_DTYPE_NONE &&
        zero->dtype != t->dtype)
        return mc_fail(err, MC_E_FORMAT, "input %zu is %s; allowed is %s as in input %zu", i,
                       mc_dtype_about(zero->dtype)->name, mc_dtype_about(t->dtype)->name, of);
    return check_parameter(call, i, of, by_row, err);
}

/* For row or column k, of n, of matrix `at`. */
static float parameter(const mc_call *call, size_t i, size_t at, size_t k, size_t n,
                       float otherwise)
{
    const mc_nd *t = mc_arg_in(call, i);
    if (!t) return otherwise;
    if (t->count == 1) k = at = 0;
    return (float)mc_nd_real(t, (t->ndim > 1 ? at * n : 0) + k);
}

/* ---- shapes ---- */

static mc_status shape(const mc_call *call, const places *at, mc_dtype dtype, mc_err *err)
{
    mc_nd out = {.kind = MC_ND_TENSOR, .dtype = dtype};
    MC_TRY(check_zero(call, at->a_zero, at->a, true, err));
    MC_TRY(check_zero(call, at->b_zero, at->b, false, err));
    MC_TRY(check_parameter(call, at->a_scale, at->a, true, err));
    MC_TRY(check_parameter(call, at->b_scale, at->b, false, err));
    MC_TRY(mc_stack_shape(call, call->in[at->a], call->in[at->b], &out, err));
    return mc_arg_set(call, 0, dtype, out.ndim, out.dim, err);
}

/* com.microsoft's MatMulIntegerToFloat and DynamicQuantizeMatMul: sums times scales, and a bias. */
static mc_status float_shape(const mc_call *call, const places *at, mc_err *err)
{
    const mc_nd *b = call->in[at->b];
    int64_t columns = b->ndim > 0 ? b->dim[b->ndim - 1] : -1;
    MC_TRY(mc_arg_dtype(call, at->a_scale, numbers, err));
    MC_TRY(mc_arg_dtype(call, at->b_scale, numbers, err));
    MC_TRY(mc_arg_dtype(call, at->bias, numbers, err));
    MC_TRY(mc_arg_dims(call, at->bias, 1, &columns, err));
    return shape(call, at, MC_F32, err);
}

static mc_status to_float_shape(const mc_call *call, mc_err *err)
{
    MC_TRY(mc_arg_dtype(call, to_float.a, mc_qlinear_codes, err));
    return float_shape(call, &to_float, err);
}

static mc_status dynamic_shape(const mc_call *call, mc_err *err)
{
    MC_TRY(mc_arg_dtype(call, dynamic.a, numbers, err));
    return float_shape(call, &dynamic, err);
}

static mc_status matmul_integer_shape(const mc_call *call, mc_err *err)
{
    return shape(call, &integer, MC_I32, err);
}

static mc_status qlinear_matmul_shape(const mc_call *call, mc_err *err)
{
    static const mc_dtype scales[] = {MC_F32, MC_F16, MC_BF16, MC_DTYPE_NONE};
    const size_t scale[] = {linear.a_scale, linear.b_scale, linear.y_scale};
    int64_t one = 1;
    for (size_t i = 0; i < 3; i++) MC_TRY(mc_arg_dtype(call, scale[i], scales, err));
    MC_TRY(mc_arg_dtype(call, linear.y_zero, mc_qlinear_codes, err));
    MC_TRY(mc_arg_vector(call, linear.y_scale, &one, err));
    MC_TRY(mc_arg_vector(call, linear.y_zero, &one, err));
    return shape(call, &linear, call->in[linear.y_zero]->dtype, err);
}

/* ---- running ---- */

typedef struct {
    const mc_call *call;
    const places *at;
    mc_stack s;
    mc_dynamic_u8 range; /* of a, where it is quantized here */
    float *a, *b;
    int32_t *sum;
} job;

static void load_a(const job *j, size_t at)
{
    const mc_stack *s = &j->s;
    const mc_nd *a = j->call->in[j->at->a];
    if (a->dtype == MC_F32) {
        const float *x = (const float *)a->data + at * s->m * s->k;
        mc_dynamic_codes_u8(j->range, x, s->m * s->k, j->a);
        for (size_t i = 0; i < s->m * s->k; i++) j->a[i] -= j->range.zero;
        return;
    }
    for (size_t i = 0; i < s->m; i++)
        mc_qlinear_load(a, (at * s->m + i) * s->k, s->k,
                        parameter(j->call, j->at->a_zero, at, i, s->m, 0.0f), j->a + i * s->k);
}

static void load_b(const job *j, size_t at)
{
    const mc_stack *s = &j->s;
    const mc_nd *zero = mc_arg_in(j->call, j->at->b_zero);
    mc_qlinear_load(j->call->in[j->at->b], at * s->k * s->n, s->k * s->n, 0.0f, j->b);
    if (!zero) return;
    for (size_t c = 0; c < s->n; c++) {
        const float z = parameter(j->call, j->at->b_zero, at, c, s->n, 0.0f);
        for (size_t r = 0; z != 0.0f && r < s->k; r++) j->b[r * s->n + c] -= z;
    }
}

/* Codes of one product; a scale for each column only where b has several. */
static void store(const job *j, size_t at_a, size_t at_b, size_t to)
{
    const mc_call *call = j->call;
    const mc_stack *s = &j->s;
    mc_nd *y = call->out[0];
    const float y_scale = parameter(call, j->at->y_scale, 0, 0, 1, 1.0f);
    const float y_zero = parameter(call, j->at->y_zero, 0, 0, 1, 0.0f);
    const size_t width = call->in[j->at->b_scale]->count == 1 ? s->n : 1;
    for (size_t i = 0; i < s->m; i++) {
        const float a = parameter(call, j->at->a_scale, at_a, i, s->m, 1.0f);
        for (size_t c = 0; c < s->n; c += width) {
            const float b = parameter(call, j->at->b_scale, at_b, c, s->n, 1.0f);
            mc_qlinear_store(j->sum + i * s->n + c, width, a * b / y_scale, y_zero, y,
                             to + i * s->n + c);
        }
    }
}

/* Numbers of one product. */
static void scale(const job *j, size_t at_a, size_t at_b, size_t to)
{
    const mc_call *call = j->call;
    const mc_stack *s = &j->s;
    float *y = (float *)call->out[0]->data + to;
    for (size_t i = 0; i < s->m; i++) {
        const float a = parameter(call, j->at->a_scale, at_a, i, s->m, j->range.scale);
        for (size_t c = 0; c < s->n; c++) {
            const float by = a * parameter(call, j->at->b_scale, at_b, c, s->n, 1.0f);
            const float plus = parameter(call, j->at->bias, 0, c, s->n, 0.0f);
            y[i * s->n + c] = (float)j->sum[i * s->n + c] * by + plus;
        }
    }
}

static void give(const job *j, size_t at_a, size_t at_b, size_t to)
{
    mc_nd *y = j->call->out[0];
    if (y->dtype == MC_I32)
        memcpy((int32_t *)y->data + to, j->sum, j->s.m * j->s.n * sizeof *j->sum);
    else if (y->dtype == MC_F32)
        scale(j, at_a, at_b, to);
    else
        store(j, at_a, at_b, to);
}

static mc_status run(const mc_call *call, const places *at, mc_err *err)
{
    mc_arena scratch = call->scratch;
    job j = {.call = call, .at = at, .s = mc_stack_of(call->in[at->a], call->in[at->b])};
    const mc_stack *s = &j.s;
    if (call->out[0]->count == 0) return MC_OK;
    j.a = mc_alloc_raw(&scratch, s->m, s->k * sizeof(float));
    j.b = mc_alloc_raw(&scratch, s->n, s->k * sizeof(float));
    j.sum = mc_alloc_raw(&scratch, s->m, s->n * sizeof(int32_t));
    if (!j.a || !j.b || !j.sum) return mc_no_room(err, "matrices of whole numbers");
    const mc_nd *x = call->in[at->a];
    if (x->dtype == MC_F32) j.range = mc_dynamic_range_u8(x->data, x->count);
    size_t last_b = SIZE_MAX;
    for (size_t i = 0; i < s->products; i++) {
        size_t at_a, at_b;
        mc_stack_at(s, i, &at_a, &at_b);
        load_a(&j, at_a);
        if (at_b != last_b) load_b(&j, at_b);
        last_b = at_b;
        const mc_gemm_operand a = {.at = j.a, .stride = s->k}, b = {.at = j.b, .stride = s->n};
        MC_TRY(mc_whole_product(s->m, s->n, s->k, a, b, j.sum, scratch, err));
        give(&j, at_a, at_b, i * s->m * s->n);
    }
    return MC_OK;
}

static size_t scratch_of(const mc_call *call, const places *at)
{
    const mc_stack s = mc_stack_of(call->in[at->a], call->in[at->b]);
    const size_t row = mc_arg_bytes(s.k, sizeof(float));
    const size_t matrices = mc_arg_plus(mc_arg_bytes(s.m, row), mc_arg_bytes(s.n, row));
    const size_t sums = mc_arg_bytes(s.m, mc_arg_bytes(s.n, sizeof(int32_t)));
    return mc_arg_plus(mc_whole_scratch(), mc_arg_plus(matrices, sums));
}

static mc_status matmul_integer_run(const mc_call *call, mc_err *err)
{
    return run(call, &integer, err);
}

static size_t matmul_integer_scratch(const mc_call *call)
{
    return scratch_of(call, &integer);
}

static mc_status qlinear_matmul_run(const mc_call *call, mc_err *err)
{
    return run(call, &linear, err);
}

static size_t qlinear_matmul_scratch(const mc_call *call)
{
    return scratch_of(call, &linear);
}

static mc_status to_float_run(const mc_call *call, mc_err *err)
{
    return run(call, &to_float, err);
}

static size_t to_float_scratch(const mc_call *call)
{
    return scratch_of(call, &to_float);
}

static mc_status dynamic_run(const mc_call *call, mc_err *err)
{
    return run(call, &dynamic, err);
}

static size_t dynamic_scratch(const mc_call *call)
{
    return scratch_of(call, &dynamic);
}

#define LINE(where, title, from, least, most, stem)                                        \
    {                                                                                      \
        .domain = where, .name = title, .since = from, .least_in = least, .most_in = most, \
        .most_out = 1, .shape = stem##_shape, .run = stem##_run, .scratch = stem##_scratch \
    }

const mc_op mc_ops_qlinear[] = {
    LINE("", "MatMulInteger", 10, 2, 4, matmul_integer),
    LINE("", "QLinearMatMul", 10, 8, 8, qlinear_matmul),
    LINE("", "ConvInteger", 10, 2, 4, mc_conv_integer),
    LINE("", "QLinearConv", 10, 8, 9, mc_qlinear_conv),
    LINE(MC_DOMAIN_MS, "MatMulIntegerToFloat", 1, 4, 7, to_float),
    LINE(MC_DOMAIN_MS, "DynamicQuantizeMatMul", 1, 3, 5, dynamic),
    {.domain = NULL},
};
