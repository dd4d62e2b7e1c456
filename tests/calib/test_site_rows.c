/* Rows of activations. The oracle is the operator itself: what it computes must be the product of
 * the rows and the weight's matrix. */
#include "calib/site_rows.h"

#include "tests/support/draw.h"
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 1 << 14 };

static float x_of[ROOM], w_of[ROOM], row_of[ROOM];

static void draw(void)
{
    draw_weights(DRAW_NORMAL, 7, x_of, ROOM);
    draw_weights(DRAW_NORMAL, 8, w_of, ROOM);
}

/* The graph is complete once the operator has run, or has been refused. */
static mc_site first_site(op_case *c)
{
    if (!c->run) op_try(c);
    static unsigned char room[1 << 16];
    mc_arena mem = {room, room + sizeof room};
    mc_sites sites;
    mc_err err = {0};
    cr_assert_eq(mc_sites_find(c->graph, &mem, &sites, &err), MC_OK, "%s", err.text);
    cr_assert_geq(sites.sites, 1);
    return sites.site[0];
}

static mc_site_rows plan(op_case *c, const mc_nd *x)
{
    const mc_site site = first_site(c);
    mc_site_rows rows;
    mc_err err = {0};
    cr_assert_eq(mc_site_rows_plan(c->graph, &site, x, &rows, &err), MC_OK, "%s", err.text);
    return rows;
}

static void expect_refused(op_case *c, const mc_nd *x, mc_status status, const char *why)
{
    const mc_site site = first_site(c);
    mc_site_rows rows;
    mc_err err = {0};
    cr_expect_eq(mc_site_rows_plan(c->graph, &site, x, &rows, &err), status);
    cr_expect(strstr(err.text, why) && strstr(err.text, site.name), "%s", err.text);
}

/* y[sample][o][position] is the dot product of row (sample, position) of o's group with row o of
 * the weight; rows taken one by one and all at once must be the same. */
static void check_conv(const op_case *c, const mc_site_rows *r, size_t filters)
{
    const mc_nd *y = op_out(c, 0);
    const size_t positions = mc_nd_span(y, 2, y->ndim), outs = filters * r->groups;
    cr_assert_eq(r->rows, (size_t)y->dim[0] * positions);
    cr_assert_leq(r->rows * r->n, ROOM);
    cr_expect_null(mc_site_rows_at(r, 0));
    for (size_t g = 0; g < r->groups; g++) {
        mc_site_rows_fill(r, g, 0, r->rows, row_of);
        for (size_t row = 0; row < r->rows; row++) {
            float one[1024];
            mc_site_rows_fill(r, g, row, 1, one);
            cr_expect_arr_eq(one, row_of + row * r->n, r->n * sizeof *one);
            for (size_t f = 0; f < filters; f++) {
                const size_t o = g * filters + f;
                double sum = 0.0;
                for (size_t i = 0; i < r->n; i++)
                    sum += (double)row_of[row * r->n + i] * (double)w_of[o * r->n + i];
                const size_t at = (row / positions * outs + o) * positions + row % positions;
                const double off = fabs(sum - (double)((const float *)y->data)[at]);
                cr_assert(off <= 1e-5, "group %zu, row %zu, output %zu: off by %g", g, row, f, off);
            }
        }
    }
}

typedef struct {
    int axes;
    int64_t samples, channels, groups, filters; /* channels and filters of one group */
    int64_t in[3], kernel[3], stride[3], dilation[3], pads[6];
    const char *auto_pad;
} conv_case;

static void check_case(const conv_case *k, const char *op, const char *domain)
{
    const int n = k->axes;
    int64_t x[5] = {k->samples, k->channels * k->groups},
            w[5] = {k->filters * k->groups, k->channels};
    memcpy(x + 2, k->in, sizeof k->in);
    memcpy(w + 2, k->kernel, sizeof k->kernel);
    op_case c = domain[0] ? op_begin_in(domain, op, 1) : op_begin(op, 11);
    op_in(&c, op_f32(n + 2, x, x_of));
    op_const(&c, op_f32(n + 2, w, w_of));
    op_ints(&c, "strides", (size_t)n, k->stride);
    op_ints(&c, "dilations", (size_t)n, k->dilation);
    if (k->auto_pad)
        op_text(&c, "auto_pad", k->auto_pad);
    else
        op_ints(&c, "pads", (size_t)n * 2, k->pads);
    op_int(&c, "group", k->groups);
    op_run(&c);
    const mc_site_rows r = plan(&c, &c.value[0]);
    cr_expect_eq(r.groups, (size_t)k->groups);
    check_conv(&c, &r, (size_t)k->filters);
    op_end(&c);
}

Test(site_rows, are_what_a_convolution_multiplies)
{
    static const conv_case cases[] = {
        {2, 2, 3, 1, 4, {6, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, NULL},
        {2, 1, 2, 2, 3, {7, 8}, {3, 2}, {2, 3}, {1, 2}, {0, 2, 3, 1}, NULL},
        {2, 2, 1, 6, 1, {5, 5}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, NULL}, /* depthwise */
        {2, 1, 1, 4, 2, {4, 4}, {2, 2}, {1, 1}, {2, 2}, {1, 1, 1, 1}, NULL}, /* and widening */
        {2, 2, 8, 1, 3, {3, 4}, {1, 1}, {2, 2}, {1, 1}, {0}, NULL},
        {2, 1, 2, 1, 2, {5, 6}, {4, 4}, {2, 2}, {1, 1}, {0}, "SAME_UPPER"},
        {2, 1, 2, 1, 2, {5, 6}, {4, 4}, {2, 2}, {1, 1}, {0}, "SAME_LOWER"},
        {2, 1, 2, 1, 2, {5, 6}, {2, 4}, {1, 2}, {2, 1}, {0}, "VALID"},
        {1, 2, 4, 2, 3, {9}, {5}, {2}, {1}, {3, 1}, NULL},
        {3, 1, 2, 1, 2, {4, 3, 5}, {2, 3, 2}, {1, 2, 2}, {1, 1, 3}, {1, 1, 0, 0, 1, 2}, NULL},
        {2, 1, 1, 1, 1, {2, 2}, {3, 3}, {1, 1}, {1, 1}, {3, 3, 3, 3}, NULL}, /* windows of pads */
    };
    draw();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) check_case(&cases[i], "Conv", "");
    check_case(&cases[1], "FusedConv", MC_DOMAIN_MS);
}

/* y[t][o] = sum over i of row t, column i times w[i][o]. */
static void check_tokens(const op_case *c, const mc_site_rows *r, size_t outs)
{
    const mc_nd *y = op_out(c, 0);
    cr_assert_eq(r->rows * outs, y->count);
    cr_expect_eq(r->groups, 1);
    mc_site_rows_fill(r, 0, 0, r->rows, row_of);
    for (size_t t = 0; t < r->rows; t++)
        for (size_t o = 0; o < outs; o++) {
            double sum = 0.0;
            for (size_t i = 0; i < r->n; i++)
                sum += (double)row_of[t * r->n + i] * (double)w_of[i * outs + o];
            cr_assert(fabs(sum - (double)((const float *)y->data)[t * outs + o]) <= 1e-5);
        }
}

Test(site_rows, are_the_tokens_of_a_matrix_product)
{
    draw();
    op_case c = op_begin("MatMul", 13);
    op_in(&c, op_f32(3, (int64_t[]){2, 3, 5}, x_of));
    op_const(&c, op_f32(2, (int64_t[]){5, 4}, w_of));
    op_run(&c);
    const mc_site_rows r = plan(&c, &c.value[0]);
    check_tokens(&c, &r, 4);
    cr_expect_eq(mc_site_rows_at(&r, 0), x_of, "no copy is needed");
    cr_expect_eq(mc_site_rows_at(&r, 4), x_of + 20);
    op_end(&c);

    c = op_begin("MatMul", 13); /* one token, without an axis for it */
    op_in(&c, op_f32(1, (int64_t[]){5}, x_of));
    op_const(&c, op_f32(2, (int64_t[]){5, 4}, w_of));
    op_run(&c);
    const mc_site_rows one = plan(&c, &c.value[0]);
    check_tokens(&c, &one, 4);
    op_end(&c);
}

Test(site_rows, follow_a_transposed_input)
{
    draw();
    op_case c = op_begin("Gemm", 13);
    op_in(&c, op_f32(2, (int64_t[]){5, 3}, x_of));
    op_const(&c, op_f32(2, (int64_t[]){5, 4}, w_of));
    op_int(&c, "transA", 1);
    op_run(&c);
    mc_site_rows r = plan(&c, &c.value[0]);
    check_tokens(&c, &r, 4);
    cr_expect_null(mc_site_rows_at(&r, 0));
    op_end(&c);

    c = op_begin_in(MC_DOMAIN_MS, "FusedMatMul", 1);
    op_in(&c, op_f32(3, (int64_t[]){2, 5, 3}, x_of));
    op_const(&c, op_f32(2, (int64_t[]){5, 4}, w_of));
    op_int(&c, "transA", 1);
    op_run(&c);
    r = plan(&c, &c.value[0]);
    check_tokens(&c, &r, 4);
    op_end(&c);
}

Test(site_rows, come_from_doubles_too)
{
    double x[6] = {1, 2, 3, -4, 0.5, 6}, w[9] = {1};
    op_case c = op_begin("MatMul", 13);
    op_in(&c, op_nd(MC_F64, 2, (int64_t[]){2, 3}, x));
    op_const(&c, op_nd(MC_F64, 2, (int64_t[]){3, 3}, w));
    const mc_site_rows r = plan(&c, &c.value[0]);
    cr_expect_null(mc_site_rows_at(&r, 0));
    mc_site_rows_fill(&r, 0, 1, 1, row_of);
    cr_expect(row_of[0] == -4.0f && row_of[1] == 0.5f && row_of[2] == 6.0f);
    op_end(&c);
}

Test(site_rows, of_a_recurrence_are_its_inputs_and_nothing_else)
{
    draw();
    op_case c = op_begin("GRU", 14);
    op_in(&c, op_f32(3, (int64_t[]){4, 2, 3}, x_of)); /* sequence, batch, inputs */
    op_const(&c, op_f32(3, (int64_t[]){1, 6, 3}, w_of));
    op_const(&c, op_f32(3, (int64_t[]){1, 6, 2}, w_of));
    op_int(&c, "hidden_size", 2);
    const mc_site_rows r = plan(&c, &c.value[0]);
    cr_expect(r.n == 3 && r.rows == 8);

    unsigned char room[4096];
    mc_arena mem = {room, room + sizeof room};
    mc_sites sites;
    mc_err err = {0};
    cr_assert_eq(mc_sites_find(c.graph, &mem, &sites, &err), MC_OK);
    cr_assert_eq(sites.sites, 2);
    cr_expect_null(mc_site_rows_refuses(c.graph, &sites.site[0]));
    cr_expect_str_eq(mc_site_rows_refuses(c.graph, &sites.site[1]),
                     "its weight meets the states of the recurrence");
    op_end(&c);
}

Test(site_rows, are_refused_by_name_where_there_are_none)
{
    const int64_t ids[2] = {0, 1};
    draw();
    op_case c = op_begin("ConvTranspose", 11);
    op_in(&c, op_f32(4, (int64_t[]){1, 2, 3, 3}, x_of));
    op_const(&c, op_f32(4, (int64_t[]){2, 2, 2, 2}, w_of));
    expect_refused(&c, &c.value[0], MC_E_UNSUPPORTED, "ConvTranspose");
    op_end(&c);

    c = op_begin("Gather", 13);
    op_const(&c, op_f32(2, (int64_t[]){3, 4}, w_of));
    op_in(&c, op_i64(1, (int64_t[]){2}, ids));
    expect_refused(&c, &c.value[0], MC_E_UNSUPPORTED, "an embedding takes indices");
    op_end(&c);

    c = op_begin("MatMul", 13);
    op_in(&c, op_f32(3, (int64_t[]){2, 3, 4}, x_of));
    op_const(&c, op_f32(3, (int64_t[]){2, 4, 5}, w_of));
    expect_refused(&c, &c.value[0], MC_E_UNSUPPORTED, "a stack of matrices");
    op_end(&c);

    c = op_begin_in(MC_DOMAIN_MS, "FusedMatMul", 1);
    op_in(&c, op_f32(3, (int64_t[]){3, 2, 4}, x_of));
    op_const(&c, op_f32(2, (int64_t[]){4, 5}, w_of));
    op_int(&c, "transBatchA", 1);
    expect_refused(&c, &c.value[0], MC_E_UNSUPPORTED, "transposes the batches");
    op_end(&c);
}

Test(site_rows, must_fit_the_weight)
{
    draw();
    op_case c = op_begin("MatMul", 13);
    op_in(&c, op_f32(2, (int64_t[]){2, 4}, x_of));
    op_const(&c, op_f32(2, (int64_t[]){4, 5}, w_of));
    const mc_nd wide = op_f32(2, (int64_t[]){2, 7}, x_of),
                none = op_f32(2, (int64_t[]){2, 0}, x_of);
    const mc_nd whole = op_i64(2, (int64_t[]){2, 4}, (const int64_t *)(const void *)w_of);
    expect_refused(&c, &wide, MC_E_FORMAT, "rows of 7");
    expect_refused(&c, &none, MC_E_FORMAT, "rows of 0");
    expect_refused(&c, &whole, MC_E_UNSUPPORTED, "floats are needed");
    op_end(&c);

    c = op_begin("Conv", 11);
    op_in(&c, op_f32(4, (int64_t[]){1, 4, 3, 3}, x_of));
    op_const(&c, op_f32(4, (int64_t[]){6, 2, 2, 2}, w_of));
    op_int(&c, "group", 3);
    expect_refused(&c, &c.value[0], MC_E_FORMAT, "group is 3");
    op_end(&c);
}

Test(site_rows, are_shared_by_sites_that_see_the_same_windows)
{
    draw();
    op_case c = op_begin("Conv", 11), d = op_begin("Conv", 11);
    const mc_nd x = op_f32(4, (int64_t[]){1, 2, 5, 5}, x_of);
    op_in(&c, x);
    op_const(&c, op_f32(4, (int64_t[]){3, 2, 3, 3}, w_of));
    op_in(&d, x);
    op_const(&d, op_f32(4, (int64_t[]){3, 2, 3, 3}, w_of));
    mc_site_rows a = plan(&c, &x), b = plan(&d, &x);
    cr_expect(mc_site_rows_same(&a, &b));
    b.window.stride[2] = 2;
    cr_expect_not(mc_site_rows_same(&a, &b));
    b = plan(&d, &x);
    const mc_nd other = x;
    b.x = &other;
    cr_expect_not(mc_site_rows_same(&a, &b));
    op_end(&c);
    op_end(&d);
}
