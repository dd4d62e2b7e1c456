/* RouteTopK, ExpertRows, ExpertMerge: by hand, and together against a dense mixture. */
#include "tests/support/op_ramp.h"
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static op_case route(int64_t rows, int64_t experts, const float *logits, int k, int normalize)
{
    op_case c = op_begin_in(MC_DOMAIN, "RouteTopK", 1);
    op_int(&c, "k", k);
    op_int(&c, "normalize", normalize);
    op_in(&c, op_f32(2, (int64_t[]){rows, experts}, logits));
    return c;
}

Test(op_experts, gates_are_a_softmax_over_the_chosen_or_over_all)
{
    const float logits[] = {logf(1), logf(4), logf(2), logf(3)};
    const float chosen[] = {0, 4.0f / 7.0f, 0, 3.0f / 7.0f}, all[] = {0, 0.4f, 0, 0.3f};
    op_case c = route(1, 4, logits, 2, 1);
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){1, 4}, chosen, 1e-6);
    op_end(&c);
    c = route(1, 4, logits, 2, 0);
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){1, 4}, all, 1e-6);
    op_end(&c);
}

Test(op_experts, ties_go_to_lower_experts)
{
    const float logits[] = {1, 2, 2, 2, 5, 5, 5, 5}, want[] = {0, 0.5f, 0.5f, 0, 0.5f, 0.5f, 0, 0};
    op_case c = route(2, 4, logits, 2, 1);
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){2, 4}, want, 0.0);
    op_end(&c);
}

Test(op_experts, nan_shows_in_the_gates)
{
    const float logits[] = {1, NAN, 2};
    op_case c = route(1, 3, logits, 1, 1);
    op_run(&c);
    cr_assert(isnan(((const float *)op_out(&c, 0)->data)[1]));
    op_end(&c);
}

static const float gates[] = {0, 1, 0.5f, 0, 0.25f, 0.75f};

Test(op_experts, rows_are_those_whose_gate_is_not_0)
{
    const float x[] = {1, 2, 3, 4, 5, 6}, want[] = {3, 4, 5, 6};
    op_case c = op_begin_in(MC_DOMAIN, "ExpertRows", 1);
    op_int(&c, "expert", 0);
    op_in(&c, op_f32(3, (int64_t[]){1, 3, 2}, x));
    op_in(&c, op_f32(2, (int64_t[]){3, 2}, gates));
    op_run(&c);
    op_expect_f32(&c, 0, 2, (int64_t[]){2, 2}, want, 0.0);
    op_end(&c);
}

Test(op_experts, an_expert_may_have_no_rows)
{
    const float x[] = {1, 2}, none[] = {0, 1};
    op_case c = op_begin_in(MC_DOMAIN, "ExpertRows", 1);
    op_int(&c, "expert", 0);
    op_in(&c, op_f32(2, (int64_t[]){1, 2}, x));
    op_in(&c, op_f32(2, (int64_t[]){1, 2}, none));
    op_run(&c);
    cr_assert_eq(op_out(&c, 0)->dim[0], 0);
    cr_assert_eq(op_out(&c, 0)->dim[1], 2);
    op_end(&c);
}

static op_case merge(int64_t first_rows)
{
    static const float x[6], first[] = {10, 20, 30, 40, 0, 0}, second[] = {1, 2, 3, 4};
    op_case c = op_begin_in(MC_DOMAIN, "ExpertMerge", 1);
    op_in(&c, op_f32(3, (int64_t[]){1, 3, 2}, x));
    op_in(&c, op_f32(2, (int64_t[]){3, 2}, gates));
    op_in(&c, op_f32(2, (int64_t[]){first_rows, 2}, first));
    op_in(&c, op_f32(2, (int64_t[]){2, 2}, second));
    return c;
}

Test(op_experts, what_experts_made_is_added_up_by_gates)
{
    const float want[] = {1, 2, 5, 10, 0.25f * 30 + 0.75f * 3, 0.25f * 40 + 0.75f * 4};
    op_case c = merge(2);
    op_run(&c);
    op_expect_f32(&c, 0, 3, (int64_t[]){1, 3, 2}, want, 0.0);
    op_end(&c);
}

static void expect_refusal(op_case *c, const char *text)
{
    cr_assert_eq(op_try(c), MC_E_FORMAT, "%s", c->err.text);
    cr_assert_not_null(strstr(c->err.text, text), "%s", c->err.text);
    op_end(c);
}

Test(op_experts, says_what_is_wrong)
{
    const float logits[] = {1, 2, 3};
    op_case c = route(1, 3, logits, 4, 1);
    expect_refusal(&c, "k is 4; allowed is 1 to 3 experts");

    c = merge(3);
    expect_refusal(&c, "expert 0 gives 3 rows; allowed are 2");

    c = op_begin_in(MC_DOMAIN, "ExpertRows", 1);
    op_int(&c, "expert", 2);
    op_in(&c, op_f32(2, (int64_t[]){3, 2}, gates));
    op_in(&c, op_f32(2, (int64_t[]){3, 2}, gates));
    expect_refusal(&c, "expert is 2; allowed is 0 to 1");

    c = op_begin_in(MC_DOMAIN, "ExpertMerge", 1);
    op_in(&c, op_f32(2, (int64_t[]){3, 2}, gates));
    op_in(&c, op_f32(2, (int64_t[]){3, 2}, gates));
    op_in(&c, op_f32(2, (int64_t[]){3, 2}, gates));
    expect_refusal(&c, "there are rows of 1 experts; allowed are 2");
}
