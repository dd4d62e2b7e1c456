/* The table of methods, "name:key=value", and what mc_quantize refuses before a method runs. */
#include "quant_case.h"

static const char *message_of(const char *text, mc_status *status)
{
    static mc_err err;
    mc_quant_setup setup;
    err = (mc_err){0};
    *status = mc_quant_setup_parse(text, &setup, &err);
    return err.text;
}

#define REFUSES(text, message)                                \
    do {                                                      \
        mc_status status;                                     \
        cr_expect_str_eq(message_of(text, &status), message); \
        cr_expect_eq(status, MC_E_USAGE);                     \
    } while (0)

Test(setup, finds_each_method_by_its_name)
{
    size_t n = 0;
    for (; mc_quant_at(n); n++) cr_expect_eq(setup_of(mc_quant_at(n)->name).method, mc_quant_at(n));
    cr_expect_geq(n, 5u);
}

Test(setup, every_number_of_bits_has_one_usual_method)
{
    static const double bits[] = {1, 1.58, 2, 3, 4, 5, 6, 7, 8};
    for (size_t b = 0; b < sizeof bits / sizeof bits[0]; b++) {
        const mc_quant_method *usual = mc_quant_usual(bits[b]);
        const char *name = b == 0 ? "binary" : b == 1 ? "ternary" : "mse";
        cr_assert_not_null(usual, "%g", bits[b]);
        cr_expect_str_eq(usual->name, name, "%g", bits[b]);
        for (size_t i = 0; mc_quant_at(i); i++) {
            const mc_quant_method *m = mc_quant_at(i);
            cr_expect(m == usual || bits[b] < m->usual_from || bits[b] >= m->usual_below, "%g: %s",
                      bits[b], m->name);
        }
    }
}

Test(setup, describes_each_method_and_parameter)
{
    for (size_t i = 0; mc_quant_at(i); i++) {
        const mc_quant_method *m = mc_quant_at(i);
        cr_expect(m->summary && m->needs && m->paper, "%s", m->name);
        for (size_t p = 0; p < MC_QUANT_PARAMS && m->params[p].key; p++) {
            const mc_quant_param *param = &m->params[p];
            cr_expect(param->summary, "%s", param->key);
            cr_expect(param->least <= param->usual && param->usual <= param->most, "%s",
                      param->key);
        }
    }
}

Test(setup, takes_the_usual_values_unless_told)
{
    cr_expect_eq(setup_of("mse").param[0], 2.0);
    cr_expect_eq(setup_of("mse:norm=2.4").param[0], 2.4);
    cr_expect_eq(setup_of("mse:norm=0.5").param[0], 0.5);
    cr_expect_eq(setup_of("mse:norm=8").param[0], 8.0);

    const mc_quant_setup usual = setup_of("hqq");
    cr_expect_eq(usual.param[0], 0.7);
    cr_expect_eq(usual.param[1], 20.0);
    cr_expect_eq(usual.param[2], 10.0);
    cr_expect_eq(usual.param[3], 1.01);

    const mc_quant_setup some = setup_of("hqq:kappa=1.05,iterations=7");
    cr_expect_eq(some.param[0], 0.7);
    cr_expect_eq(some.param[1], 7.0);
    cr_expect_eq(some.param[2], 10.0);
    cr_expect_eq(some.param[3], 1.05);
}

/* `start` and the methods there are. */
static const char *known(const char *start)
{
    static char text[1024];
    size_t n = (size_t)snprintf(text, sizeof text, "%s (known: ", start);
    for (size_t i = 0; mc_quant_at(i); i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? ", " : "",
                              mc_quant_at(i)->name);
    snprintf(text + n, sizeof text - n, ")");
    return text;
}

Test(setup, names_an_unknown_method_and_the_nearest)
{
    REFUSES("mes", known("there is no method \"mes\"; did you mean \"mse\"?"));
    REFUSES("Ternary:x=1", known("there is no method \"Ternary\"; did you mean \"ternary\"?"));
    REFUSES("quantum-annealing", known("there is no method \"quantum-annealing\""));
    REFUSES("", known("there is no method \"\""));
}

Test(setup, names_an_unknown_parameter_and_the_nearest)
{
    REFUSES("mse:nrm=2",
            "method mse: there is no parameter \"nrm\"; did you mean \"norm\"? (known: norm)");
    REFUSES("hqq:bxyz=2",
            "method hqq: there is no parameter \"bxyz\" (known: p, iterations, beta, kappa)");
    REFUSES("hqq:steps=2",
            "method hqq: there is no parameter \"steps\" (known: p, iterations, beta, kappa)");
    REFUSES("hqq:p=0.5,bta=2", "method hqq: there is no parameter \"bta\"; did you mean \"beta\"? "
                               "(known: p, iterations, beta, kappa)");
    REFUSES("rtn:norm=2", "method rtn: it takes no parameters, found \"norm\"");
    REFUSES("rtn:", "method rtn: it takes no parameters, found \"\"");
    REFUSES("mse:norm=2,", "method mse: there is no parameter \"\" (known: norm)");
}

Test(setup, names_a_bad_value_and_the_range)
{
    REFUSES("mse:norm=9", "method mse: norm is 9, must be 0.5 to 8");
    REFUSES("mse:norm=0.49", "method mse: norm is 0.49, must be 0.5 to 8");
    REFUSES("mse:norm=-2", "method mse: norm is -2, must be 0.5 to 8");
    REFUSES("hqq:iterations=2.5", "method hqq: iterations is 2.5, must be a whole number");
    REFUSES("mse:norm", "method mse: norm has no value, expected norm=NUMBER");
    REFUSES("mse:norm=", "method mse: norm is \"\", must be a number from 0.5 to 8");
    REFUSES("mse:norm=nan", "method mse: norm is \"nan\", must be a number from 0.5 to 8");
    REFUSES("mse:norm=2,4", "method mse: there is no parameter \"4\" (known: norm)");
    REFUSES("mse:norm=2 ", "method mse: norm is \"2 \", must be a number from 0.5 to 8");
    REFUSES("mse:norm=-", "method mse: norm is \"-\", must be a number from 0.5 to 8");
    REFUSES("mse:norm=.", "method mse: norm is \".\", must be a number from 0.5 to 8");
    REFUSES("mse:norm=1.0000000000000001",
            "method mse: norm is \"1.0000000000000001\", must be a number from 0.5 to 8");
    REFUSES("mse:norm=2,norm=3", "method mse: norm is given twice");
}

/* Names longer than a message must not break it. */
Test(setup, survives_long_texts)
{
    char text[4096];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    mc_status status;
    cr_expect_lt(strlen(message_of(text, &status)), 200u);
    cr_expect_eq(status, MC_E_USAGE);
    memcpy(text, "mse:", 4);
    cr_expect_lt(strlen(message_of(text, &status)), 200u);
    cr_expect_eq(status, MC_E_USAGE);
    memcpy(text, "mse:norm=", 9);
    cr_expect_lt(strlen(message_of(text, &status)), 200u);
    cr_expect_eq(status, MC_E_USAGE);
}

/* ---- mc_quantize ---- */

Test(quantize, says_which_weight_is_not_finite)
{
    static const struct {
        float value;
        const char *message;
    } bad[] = {{NAN, "row 3, column 7: weight is nan"},
               {INFINITY, "row 3, column 7: weight is inf"},
               {-INFINITY, "row 3, column 7: weight is -inf"}};
    float w[5 * 8] = {0};
    for (size_t i = 0; i < 3; i++) {
        w[3 * 8 + 7] = bad[i].value;
        const quant_case c = {.setup = "rtn",
                              .grid = int_grid(4, MC_OFFSET_NONE, MC_F16),
                              .w = w,
                              .rows = 5,
                              .cols = 8,
                              .group = 4};
        quant_result r = try_quantize(c);
        cr_expect_eq(r.status, MC_E_FORMAT);
        cr_expect_str_eq(r.err.text, bad[i].message);
        close_result(&r);
    }
}

Test(quantize, counts_rows_from_the_slabs_first)
{
    const float w[2] = {1.0f, NAN};
    const mc_quant_setup setup = setup_of("mse");
    const mc_quant_job job = {.weights = {w, 2, 1}, .setup = &setup, .first_row = 1000};
    uint8_t code[2];
    mc_params params[2];
    mc_qmat q = {.grid = int_grid(4, MC_OFFSET_NONE, MC_F16),
                 .rows = 2,
                 .cols = 1,
                 .group = 1,
                 .code = code,
                 .params = params};
    mc_err err = {0};
    cr_expect_eq(mc_quantize(&job, &q, (mc_arena){0}, &err), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "row 1001, column 0: weight is nan");
}

Test(quantize, refuses_a_group_that_does_not_divide_the_row)
{
    const float w[6] = {0};
    const mc_quant_setup setup = setup_of("rtn");
    const mc_quant_job job = {.weights = {w, 1, 6}, .setup = &setup};
    mc_qmat q = {.grid = int_grid(4, MC_OFFSET_NONE, MC_F16), .rows = 1, .cols = 6, .group = 4};
    mc_err err = {0};
    cr_expect_eq(mc_quantize(&job, &q, (mc_arena){0}, &err), MC_E_USAGE);
    cr_expect_str_eq(err.text, "group of 4 does not divide a row of 6");
    q.group = 0;
    cr_expect_eq(mc_quantize(&job, &q, (mc_arena){0}, &err), MC_E_USAGE);
}

Test(quantize, refuses_codes_of_another_shape)
{
    const float w[6] = {0};
    const mc_quant_setup setup = setup_of("rtn");
    const mc_quant_job job = {.weights = {w, 1, 6}, .setup = &setup};
    mc_qmat q = {.grid = int_grid(4, MC_OFFSET_NONE, MC_F16), .rows = 2, .cols = 6, .group = 6};
    mc_err err = {0};
    cr_expect_eq(mc_quantize(&job, &q, (mc_arena){0}, &err), MC_E_INTERNAL);
    cr_expect_str_eq(err.text, "weights are 1 x 6, codes are 2 x 6");
}

Test(quantize, refuses_a_grid_that_means_nothing)
{
    const float w[4] = {0};
    const mc_quant_setup setup = setup_of("rtn");
    const mc_quant_job job = {.weights = {w, 1, 4}, .setup = &setup};
    mc_qmat q = {
        .grid = table_grid("nf4", MC_OFFSET_ZERO, MC_F16), .rows = 1, .cols = 4, .group = 4};
    mc_err err = {0};
    cr_expect_neq(mc_quantize(&job, &q, (mc_arena){0}, &err), MC_OK);
    cr_expect_neq(err.text[0], '\0');
}

Test(quantize, gives_the_reason_why_a_method_refuses_a_grid)
{
    static const struct {
        const char *setup, *levels;
        mc_offset offset;
        const char *message;
    } bad[] = {
        {"hqq", "int4", MC_OFFSET_NONE,
         "method hqq: it optimises the zero, so it needs an asymmetric grid"},
        {"ternary", "int2", MC_OFFSET_NONE,
         "method ternary: it needs the levels -1, 0, 1 (\"ternary\")"},
        {"ternary", "ternary", MC_OFFSET_FREE,
         "method ternary: it has no offset, so it needs a symmetric grid"},
        {"binary", "int1", MC_OFFSET_FREE, "method binary: it needs the levels -1, 1 (\"binary\")"},
    };
    const float w[4] = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        quant_result r =
            try_quantize((quant_case){.setup = bad[i].setup,
                                      .grid = table_grid(bad[i].levels, bad[i].offset, MC_F16),
                                      .w = w,
                                      .rows = 1,
                                      .cols = 4,
                                      .group = 4});
        cr_expect_eq(r.status, MC_E_UNSUPPORTED);
        cr_expect_str_eq(r.err.text, bad[i].message);
        close_result(&r);
    }
}
