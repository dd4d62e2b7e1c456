/* Pending edits against plain loops over all elements, and in an executor. */
#include "core/edit.h"

#include "core/pool.h"
#include "core/rng.h"
#include "tests/support/pass_case.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

enum { REGION = 1 << 27, MOST = 1 << 16, VECTOR = 512 };

static mc_region region, scratch;
static mc_err err;
static const mc_model no_model;
static mc_edits *edits;
static double want[MOST];
static float got[MOST], part[MOST];

static void begin(void)
{
    cr_assert_eq(mc_region_open(&region, REGION, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_region_open(&scratch, REGION, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_edits_open(&no_model, &region.arena, &edits, &err), MC_OK, "%s", err.text);
}

static void end(void)
{
    mc_edits_close(edits);
    mc_region_close(&scratch);
    mc_region_close(&region);
}

TestSuite(edit, .init = begin, .fini = end);

static double unit(uint64_t stream, uint64_t i)
{
    return 2.0 * (double)mc_rng_unit((mc_rng){17, stream}, i) - 1.0;
}

static mc_tensor tensor_of(const char *name, mc_dtype dtype, int ndim, const uint64_t *dim)
{
    mc_tensor t = {.name = name, .dtype = dtype, .ndim = ndim, .count = 1};
    for (int d = 0; d < ndim; d++) t.count *= t.dim[d] = dim[d];
    cr_assert_leq(t.count, (uint64_t)MOST);
    t.bytes = t.count * (mc_dtype_about(dtype)->bits / 8);
    unsigned char *data = mc_alloc(&region.arena, t.bytes + 1, 1);
    cr_assert_not_null(data);
    t.data = data + 1; /* files align nothing */
    for (size_t i = 0; i < t.count; i++) {
        const double wide = unit(1, i) / 3.0;
        const float x = (float)wide;
        if (dtype == MC_F64)
            memcpy(data + 1 + i * sizeof wide, &wide, sizeof wide);
        else
            mc_from_f32(dtype, &x, data + 1 + i * (mc_dtype_about(dtype)->bits / 8), 1);
    }
    return t;
}

static void read_plain(const mc_tensor *t)
{
    for (size_t i = 0; i < t->count; i++) {
        float x;
        if (t->dtype == MC_F64) {
            memcpy(&want[i], t->data + i * sizeof want[i], sizeof want[i]);
            continue;
        }
        mc_to_f32(t->dtype, t->data + i * (mc_dtype_about(t->dtype)->bits / 8), &x, 1);
        want[i] = (double)x;
    }
}

static mc_rotation rotation(mc_rotate_kind kind, size_t n)
{
    mc_rotation q;
    cr_assert_eq(mc_rotation_make(kind, n, 0, 9, &region.arena, &q, &err), MC_OK, "%s", err.text);
    return q;
}

/* Applies to `want` what is added to the edits. */
static void edit(const mc_tensor *t, mc_edit_kind kind, int axis, const mc_rotation *q)
{
    static double v[VECTOR], x[VECTOR];
    const size_t n = (size_t)t->dim[axis];
    size_t inner = 1;
    for (int d = axis + 1; d < t->ndim; d++) inner *= t->dim[d];
    for (size_t i = 0; i < n; i++) v[i] = unit(2 + (uint64_t)kind, i) + 0.25;
    const mc_edit e = {.kind = kind, .axis = axis, .vector = v, .rotation = q};
    cr_assert_eq(mc_edits_add(edits, t, &e, &err), MC_OK, "%s", err.text);

    for (size_t i = 0; i < t->count; i++) {
        const size_t along = i / inner % n;
        if (kind == MC_EDIT_SCALE) want[i] *= v[along];
        if (kind == MC_EDIT_ADD) want[i] += v[along];
        if (kind == MC_EDIT_SET) want[i] = v[along];
        if (kind != MC_EDIT_ROTATE || along != 0) continue;
        for (size_t k = 0; k < n; k++) x[k] = want[i + k * inner];
        mc_rotate_f64(q, false, x, 1, n, region.arena);
        for (size_t k = 0; k < n; k++) want[i + k * inner] = x[k];
    }
    memset(v, 0, sizeof v); /* the edits have a copy */
}

static void expect_loaded(const mc_tensor *t)
{
    mc_region room;
    cr_assert_eq(mc_region_open(&room, mc_edits_scratch(t), &err), MC_OK, "%s", err.text);
    memset(got, 0xff, sizeof got);
    cr_assert_eq(mc_edits_load(edits, t, room.arena, got, &err), MC_OK, "%s", err.text);
    mc_region_close(&room);
    for (size_t i = 0; i < t->count; i++)
        cr_assert(got[i] == (float)want[i], "%s: element %zu is %.9g, not %.9g", t->name, i,
                  (double)got[i], want[i]);
}

/* Every stretch of a small tensor, some of a large one, gives the same bits as load. */
static void expect_parts(const mc_tensor *t)
{
    const mc_weights *w = mc_edits_weights(edits);
    const uint64_t step = t->count < 64 ? 1 : t->count / 7 + 1;
    for (uint64_t first = 0; first <= t->count; first += step)
        for (uint64_t n = 0; n <= t->count - first; n += step) {
            part[n] = 3.0f;
            cr_assert_eq(w->read(w, t, first, n, part, &err), MC_OK, "%s", err.text);
            cr_assert(memcmp(part, got + first, n * sizeof *part) == 0, "%s: %llu + %llu", t->name,
                      (unsigned long long)first, (unsigned long long)n);
            cr_assert(part[n] == 3.0f, "read too much");
        }
}

/* ---- one edit ---- */

static const uint64_t small[][4] = {{24, 1, 1, 1}, {5, 12, 1, 1}, {4, 3, 2, 1}, {2, 12, 3, 4}};

Test(edit, every_kind_along_every_axis_is_what_plain_loops_do)
{
    for (int ndim = 1; ndim <= 4; ndim++)
        for (int axis = 0; axis < ndim; axis++)
            for (int kind = MC_EDIT_SCALE; kind <= MC_EDIT_ROTATE; kind++) {
                if (kind == MC_EDIT_SET && ndim > 1) continue;
                const mc_tensor t = tensor_of("t", MC_F32, ndim, small[ndim - 1]);
                const mc_rotation q = rotation(MC_ROTATE_ORTHOGONAL, (size_t)t.dim[axis]);
                read_plain(&t);
                edit(&t, (mc_edit_kind)kind, axis, &q);
                cr_assert_eq(mc_edits_of(edits, &t), 1u);
                expect_loaded(&t);
                expect_parts(&t);
            }
}

Test(edit, every_float_type_is_read)
{
    static const mc_dtype dtype[] = {MC_F32, MC_F64, MC_F16, MC_BF16, MC_F8_E4M3, MC_F8_E5M2};
    const mc_rotation q = rotation(MC_ROTATE_HADAMARD, 12);
    for (size_t i = 0; i < sizeof dtype / sizeof *dtype; i++) {
        const mc_tensor t = tensor_of("t", dtype[i], 2, small[1]);
        read_plain(&t);
        expect_loaded(&t);
        expect_parts(&t);
        edit(&t, MC_EDIT_ADD, 0, NULL);
        edit(&t, MC_EDIT_ROTATE, 1, &q);
        expect_loaded(&t);
        expect_parts(&t);
    }
}

/* ---- several ---- */

Test(edit, edits_are_applied_in_their_order)
{
    const mc_tensor a = tensor_of("a", MC_F32, 2, small[1]),
                    b = tensor_of("b", MC_F32, 2, small[1]);
    static float other[60];
    read_plain(&a);
    edit(&a, MC_EDIT_SCALE, 1, NULL);
    edit(&a, MC_EDIT_ADD, 1, NULL);
    expect_loaded(&a);
    memcpy(other, got, sizeof other);
    read_plain(&b);
    edit(&b, MC_EDIT_ADD, 1, NULL);
    edit(&b, MC_EDIT_SCALE, 1, NULL);
    expect_loaded(&b);
    cr_assert(memcmp(other, got, sizeof other) != 0);
    cr_assert_eq(mc_edits_of(edits, &a), 2u);
}

Test(edit, numbers_are_rounded_once)
{
    const mc_tensor t = tensor_of("t", MC_F64, 1, (const uint64_t[]){2});
    const double up[] = {1e200, 1.0}, down[] = {1e-200, 1.0}, third[] = {1.0 / 3.0, 1.0 / 3.0};
    const mc_edit e[] = {{.kind = MC_EDIT_SCALE, .vector = up},
                         {.kind = MC_EDIT_SCALE, .vector = third},
                         {.kind = MC_EDIT_SCALE, .vector = down}};
    for (int i = 0; i < 3; i++) cr_assert_eq(mc_edits_add(edits, &t, &e[i], &err), MC_OK);
    read_plain(&t);
    want[0] = want[0] * 1e200 * (1.0 / 3.0) * 1e-200;
    want[1] *= 1.0 / 3.0;
    expect_loaded(&t);
}

Test(edit, rotations_of_both_sides_and_scales_meet)
{
    static const uint64_t shape[][2] = {{96, 512}, {512, 120}, {40, 172}};
    for (size_t s = 0; s < 3; s++) {
        const mc_tensor t = tensor_of(s ? "wide" : "tall", MC_F32, 2, shape[s]);
        const mc_rotation rows = rotation(MC_ROTATE_RANDOM_HADAMARD, (size_t)shape[s][0]);
        const mc_rotation cols = rotation(MC_ROTATE_ORTHOGONAL, (size_t)shape[s][1]);
        read_plain(&t);
        edit(&t, MC_EDIT_SCALE, 1, NULL);
        edit(&t, MC_EDIT_ROTATE, 1, &cols);
        expect_loaded(&t);
        expect_parts(&t);
        edit(&t, MC_EDIT_ROTATE, 0, &rows);
        edit(&t, MC_EDIT_ADD, 0, NULL);
        expect_loaded(&t);
        expect_parts(&t);
    }
}

Test(edit, a_read_after_another_edit_sees_it)
{
    const mc_tensor t = tensor_of("t", MC_F32, 2, small[1]);
    const mc_rotation q = rotation(MC_ROTATE_ORTHOGONAL, 5);
    read_plain(&t);
    for (int i = 0; i < 3; i++) {
        edit(&t, MC_EDIT_ROTATE, 0, &q);
        expect_loaded(&t);
        expect_parts(&t);
    }
}

Test(edit, tensors_of_one_name_are_told_apart)
{
    const mc_tensor a = tensor_of("", MC_F32, 2, small[1]), b = tensor_of("", MC_F32, 1, small[0]),
                    c = tensor_of("", MC_F32, 1, small[0]);
    read_plain(&b);
    edit(&b, MC_EDIT_SCALE, 0, NULL);
    expect_loaded(&b);
    cr_assert_eq(mc_edits_of(edits, &a), 0u);
    read_plain(&c);
    edit(&c, MC_EDIT_ADD, 0, NULL);
    expect_loaded(&c);
    read_plain(&a);
    edit(&a, MC_EDIT_ADD, 1, NULL);
    edit(&a, MC_EDIT_ADD, 0, NULL);
    expect_loaded(&a);
    const mc_tensor copy = a; /* the same tensor */
    cr_assert_eq(mc_edits_of(edits, &copy), 2u);
    cr_assert_eq(mc_edits_of(edits, &b), 1u);
}

Test(edit, many_tensors_have_edits)
{
    enum { MANY = 300 };
    static mc_tensor t[MANY];
    for (size_t i = 0; i < MANY; i++) {
        t[i] = tensor_of(mc_format(&region.arena, "layer.%zu", i), MC_F32, 1, small[0]);
        for (size_t k = 0; k <= i % 3; k++) edit(&t[i], MC_EDIT_ADD, 0, NULL);
    }
    for (size_t i = 0; i < MANY; i++) cr_assert_eq(mc_edits_of(edits, &t[i]), i % 3 + 1);
}

/* ---- threads ---- */

enum { KEPT_MOST = 16 }; /* tensors of the test, on a machine of many processors */

typedef struct {
    mc_tensor t[KEPT_MOST];
    const float *whole[KEPT_MOST];
    size_t tensors;
} reading;

/* All elements but one, so that reading takes a while. */
static mc_status read_piece(void *job, size_t i, mc_arena mem, mc_err *e)
{
    const reading *r = job;
    const mc_tensor *t = &r->t[i % r->tensors];
    const uint64_t n = t->count - 1, first = i % 2;
    float *x = MC_NEW_RAW(&mem, float, n);
    if (!x) return mc_no_room(e, "a piece");
    const mc_weights *w = mc_edits_weights(edits);
    MC_TRY(w->read(w, t, first, n, x, e));
    if (memcmp(x, r->whole[i % r->tensors] + first, n * sizeof *x) == 0) return MC_OK;
    return mc_fail(e, MC_E_INTERNAL, "piece %zu differs", i);
}

Test(edit, threads_may_read_parts_of_more_tensors_than_are_kept)
{
    static const uint64_t dim[] = {12, 4096};
    static reading r;
    const mc_rotation q = rotation(MC_ROTATE_HADAMARD, 12);
    r.tensors = mc_processors() < KEPT_MOST ? mc_processors() + 1 : KEPT_MOST;
    for (size_t i = 0; i < r.tensors; i++) {
        mc_tensor *t = &r.t[i];
        *t = tensor_of("t", MC_F32, 2, dim);
        read_plain(t);
        edit(t, MC_EDIT_ROTATE, 0, &q);
        if (i % 2) edit(t, MC_EDIT_SCALE, 0, NULL);
        expect_loaded(t);
        float *whole = MC_NEW_RAW(&region.arena, float, t->count);
        cr_assert_not_null(whole);
        memcpy(whole, got, t->count * sizeof *whole);
        r.whole[i] = whole;
    }
    mc_pool *pool;
    cr_assert_eq(mc_pool_open(&pool, 4, 1 << 20, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_pool_for(pool, 400, read_piece, &r, &err), MC_OK, "%s", err.text);
    mc_pool_close(pool);
}

/* ---- what is refused ---- */

static mc_status load(const mc_tensor *t)
{
    return mc_edits_load(edits, t, scratch.arena, got, &err);
}

Test(edit, overflow_names_tensor_and_element)
{
    const mc_tensor t = tensor_of("layer.weight", MC_F32, 2, small[1]);
    double v[12] = {1, 1, 1, 1, 1, 1, 1, 1e300, 1, 1, 1, 1};
    const mc_edit e = {.kind = MC_EDIT_SCALE, .axis = 1, .vector = v};
    cr_assert_eq(mc_edits_add(edits, &t, &e, &err), MC_OK);
    cr_assert_eq(load(&t), MC_E_FORMAT);
    const char *start = "tensor 'layer.weight': element 7 is ";
    cr_assert(strncmp(err.text, start, strlen(start)) == 0, "%s", err.text);
    cr_assert(strstr(err.text, "e+299 once its edits are applied, which is no float"), "%s",
              err.text);

    const mc_weights *w = mc_edits_weights(edits);
    cr_assert_eq(w->read(w, &t, 0, 7, got, &err), MC_OK);
    cr_assert_eq(w->read(w, &t, 12, 8, got, &err), MC_E_FORMAT);
    cr_assert(strstr(err.text, "element 19 is "), "%s", err.text);
    cr_assert_eq(w->read(w, &t, 50, 11, got, &err), MC_E_INTERNAL);
}

Test(edit, overflow_in_a_rotation_is_refused_at_every_read)
{
    const mc_tensor t = tensor_of("t", MC_F32, 2, small[1]);
    const double v[] = {1, 1, 1e300, 1, 1};
    const mc_rotation q = rotation(MC_ROTATE_ORTHOGONAL, 5);
    const mc_edit e = {.kind = MC_EDIT_SCALE, .vector = v};
    cr_assert_eq(mc_edits_add(edits, &t, &e, &err), MC_OK);
    edit(&t, MC_EDIT_ROTATE, 0, &q);
    const mc_weights *w = mc_edits_weights(edits);
    for (int i = 0; i < 3; i++) cr_assert_eq(w->read(w, &t, 3, 2, got, &err), MC_E_FORMAT);
}

Test(edit, what_the_file_holds_stays_what_it_is)
{
    const mc_tensor t = tensor_of("t", MC_F32, 1, small[0]);
    const float odd[] = {INFINITY, -INFINITY, NAN};
    memcpy((void *)(uintptr_t)t.data, odd, sizeof odd);
    edit(&t, MC_EDIT_SCALE, 0, NULL);
    cr_assert_eq(load(&t), MC_OK);
    cr_assert(isinf(got[0]) && isinf(got[1]) && isnan(got[2]) && isfinite(got[3]));
    edit(&t, MC_EDIT_SET, 0, NULL);
    cr_assert_eq(load(&t), MC_OK);
    for (int i = 0; i < 3; i++) cr_assert(isfinite(got[i]));
}

Test(edit, what_does_not_fit_is_refused)
{
    const mc_tensor t = tensor_of("t", MC_F32, 2, small[1]),
                    one = tensor_of("b", MC_F32, 1, small[0]);
    const mc_tensor ids = tensor_of("ids", MC_U8, 0, NULL);
    double v[24] = {0};
    const mc_rotation q = rotation(MC_ROTATE_HADAMARD, 12);
    const mc_edit bad[] = {
        {.kind = MC_EDIT_ADD, .axis = 2, .vector = v},
        {.kind = MC_EDIT_ADD, .axis = -1, .vector = v},
        {.kind = MC_EDIT_SET, .axis = 0, .vector = v},
        {.kind = MC_EDIT_ROTATE, .rotation = &q},
        {.kind = MC_EDIT_ROTATE, .axis = 1},
        {.kind = MC_EDIT_SCALE},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(mc_edits_add(edits, &t, &bad[i], &err), MC_E_INTERNAL, "%zu", i);
    cr_assert_eq(mc_edits_add(edits, &ids, &bad[0], &err), MC_E_UNSUPPORTED);
    v[3] = (double)NAN;
    cr_assert_eq(mc_edits_add(edits, &one, &bad[2], &err), MC_E_FORMAT);
    cr_assert_str_eq(err.text, "tensor 'b': number 3 of an edit along axis 0 is nan");
    cr_assert_eq(mc_edits_of(edits, &t) + mc_edits_of(edits, &one), 0u);

    edit(&one, MC_EDIT_SCALE, 0, NULL);
    cr_assert_eq(mc_edits_load(edits, &one, (mc_arena){0}, got, &err), MC_E_BUDGET);
    mc_tensor other = one;
    other.dim[0] = other.count = 12;
    cr_assert_eq(load(&other), MC_E_INTERNAL);
    other = one;
    other.bytes--;
    cr_assert_eq(load(&other), MC_E_FORMAT);
}

/* ---- in an executor ---- */

/* y = x W + b. With x Q for x, Q^T W for W and y scaled by s, the function is s (x W + b). The
 * cache of 0 makes the executor read tiles of W. */
static const mc_nd *run(pass_case *p, const mc_edits *with, uint64_t cache, mc_exec **exec,
                        mc_run **out)
{
    const mc_exec_options options = {.name = "case",
                                     .weights = with ? mc_edits_weights(with) : NULL,
                                     .cache_bytes = cache,
                                     .activation_bits = 16};
    cr_assert_eq(mc_exec_open(p->before, &options, exec, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_run_open(*exec, 0, out, &err), MC_OK, "%s", err.text);
    const mc_nd *in = &p->input[0];
    cr_assert_eq(mc_run_all(*out, &in, 1, &err), MC_OK, "%s", err.text);
    const mc_nd *y = mc_run_value(*out, p->before->output[0]);
    cr_assert_not_null(y);
    return y;
}

Test(edit, an_executor_runs_the_edited_model)
{
    enum { ROWS = 3, K = 96, COLS = 700 };
    pass_case p = pass_begin();
    const mc_id x = pass_in(&p, "x", MC_F32, 2, (int64_t[]){ROWS, K});
    const mc_id w = pass_ramp(&p, MC_F32, 2, (int64_t[]){K, COLS});
    const mc_id b = pass_ramp(&p, MC_F32, 1, (int64_t[]){COLS});
    pass_out(&p, pass_op(&p, "Add", 13, pass_op(&p, "MatMul", 13, x, w), b));
    cr_assert_eq(mc_graph_order(p.before, "case", region.arena, &err), MC_OK, "%s", err.text);

    mc_exec *exec;
    mc_run *of;
    static float plain[ROWS * COLS];
    const mc_nd *y = run(&p, NULL, UINT64_MAX, &exec, &of);
    memcpy(plain, y->data, sizeof plain);
    mc_run_close(of);
    mc_exec_close(exec);

    const mc_tensor *weight = p.before->value[w].constant, *bias = p.before->value[b].constant;
    const mc_rotation q = rotation(MC_ROTATE_RANDOM_HADAMARD, K);
    static double s[COLS];
    for (size_t i = 0; i < COLS; i++) s[i] = 0.5 + (double)i / COLS;
    const mc_edit turn = {.kind = MC_EDIT_ROTATE, .axis = 0, .rotation = &q};
    const mc_edit scale = {.kind = MC_EDIT_SCALE, .axis = 1, .vector = s};
    const mc_edit scale_bias = {.kind = MC_EDIT_SCALE, .axis = 0, .vector = s};
    cr_assert_eq(mc_edits_add(edits, weight, &turn, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_edits_add(edits, weight, &scale, &err), MC_OK, "%s", err.text);
    cr_assert_eq(mc_edits_add(edits, bias, &scale_bias, &err), MC_OK, "%s", err.text);
    mc_rotate_f32(&q, false, p.input[0].data, ROWS, K, region.arena);

    for (int cached = 0; cached < 2; cached++) {
        y = run(&p, edits, cached ? UINT64_MAX : 0, &exec, &of);
        for (size_t i = 0; i < ROWS * COLS; i++) {
            const double expect = s[i % COLS] * (double)plain[i];
            const double off = fabs((double)((const float *)y->data)[i] - expect);
            cr_assert(off <= 2.0 * K * (double)FLT_EPSILON * 4.0, "%zu: off by %g", i, off);
        }
        mc_run_close(of);
        mc_exec_close(exec);
    }
    pass_end(&p);
}
