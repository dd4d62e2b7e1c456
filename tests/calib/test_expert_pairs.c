/* Rows of experts in two streams whose routers chose differently. */
#include "calib/expert_pairs.h"

#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <string.h>

enum { TOKENS = 6, EXPERTS = 3, WIDTH = 2 };

static mc_region region;
static mc_arena room;
static mc_graph *g;
static mc_err err;

static void set_up(void)
{
    cr_assert_eq(mc_region_open(&region, 1 << 22, &err), MC_OK);
    room = (mc_arena){region.arena.at, region.arena.at + (1 << 20)};
    region.arena.at = room.end;
    g = mc_graph_new(&room, "g");
}

static void tear_down(void)
{
    mc_region_close(&region);
}

TestSuite(expert_pairs, .init = set_up, .fini = tear_down);

/* ---- where rows were chosen ---- */

static mc_id made(const char *domain, const char *op, const mc_id *in, size_t ins, const char *name)
{
    return mc_graph_apply(g, domain, op, 23, in, ins, name);
}

static mc_id rows_of(mc_id x, mc_id gates, int64_t expert, const char *name)
{
    const mc_id rows = made(MC_DOMAIN, "ExpertRows", (const mc_id[]){x, gates}, 2, name);
    mc_node_add_int(g, "expert", expert);
    return rows;
}

Test(expert_pairs, rows_are_an_experts_until_they_are_merged)
{
    const mc_id x = mc_graph_add_input(g, "x", MC_F32, 2, (const int64_t[]){TOKENS, WIDTH});
    const mc_id gates = mc_graph_add_input(g, "gates", MC_F32, 2, (const int64_t[]){TOKENS, 2});
    const mc_id scale = mc_graph_const_f32(g, "scale", 0, NULL, &(float){2});
    const mc_id a = rows_of(x, gates, 0, "a"), b = rows_of(x, gates, 1, "b");
    const mc_id up = made("", "Mul", (const mc_id[]){scale, a}, 2, "up");
    const mc_id gate = made("", "Sigmoid", &a, 1, "gate");
    const mc_id inner = made("", "Mul", (const mc_id[]){up, gate}, 2, "inner");
    const mc_id y = made(MC_DOMAIN, "ExpertMerge", (const mc_id[]){x, gates, inner, b}, 4, "y");
    const mc_id sum = made("", "Add", (const mc_id[]){y, x}, 2, "sum");
    const mc_id other = made("", "Add", (const mc_id[]){x, y}, 2, "other");
    mc_graph_add_output(g, sum);
    cr_assert_eq(mc_graph_check(g, "g", &err), MC_OK, "%s", err.text);

    unsigned char constant[64] = {0};
    constant[scale] = 1;
    const mc_stages stages = {.graph = g, .constant = constant};
    const mc_id first = g->value[a].producer, second = g->value[b].producer;
    cr_expect_eq(mc_expert_rows_node(&stages, a), first);
    cr_expect_eq(mc_expert_rows_node(&stages, up), first); /* past a constant */
    cr_expect_eq(mc_expert_rows_node(&stages, inner), first);
    cr_expect_eq(mc_expert_rows_node(&stages, b), second);
    const mc_id all[] = {x, gates, y, sum, other, scale};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        cr_expect_eq(mc_expert_rows_node(&stages, all[i]), MC_NONE, "%zu", i);
}

/* ---- pairs ---- */

typedef struct {
    mc_nd gates, rows;
    float gate[TOKENS * EXPERTS], row[TOKENS * WIDTH];
} stream;

/* Tokens that go to expert 1, as in "x..x.x"; row values are base + 10 token + column. */
static void choose(stream *s, const char *tokens, float base)
{
    int64_t n = 0;
    memset(s->gate, 0, sizeof s->gate);
    for (size_t t = 0; t < TOKENS; t++) {
        s->gate[t * EXPERTS + (t % 2 ? 0 : 2)] = 0.5f;
        if (tokens[t] != 'x') continue;
        s->gate[t * EXPERTS + 1] = 0.25f;
        for (size_t i = 0; i < WIDTH; i++)
            s->row[(size_t)n * WIDTH + i] = base + 10 * (float)t + (float)i;
        n++;
    }
    s->gates = op_f32(2, (const int64_t[]){TOKENS, EXPERTS}, s->gate);
    s->rows = op_f32(2, (const int64_t[]){n, WIDTH}, s->row);
}

static mc_status pair(stream *x, const stream *y)
{
    int64_t expert = 1;
    const mc_attr attr = {.name = "expert", .kind = MC_ATTR_INT, .count = 1, .i = &expert};
    const mc_node node = {.op = "ExpertRows", .attr = (mc_attr *)&attr, .attrs = 1};
    const mc_expert_pair p = {
        .node = &node, .x_gates = &x->gates, .y_gates = &y->gates, .y = &y->rows};
    return mc_expert_pair_rows(&p, &x->rows, &err);
}

/* What becomes of x's rows: those of y where both have the token. */
static void expect_pairs(const char *x_tokens, const char *y_tokens)
{
    stream x, y;
    choose(&x, x_tokens, 1000);
    choose(&y, y_tokens, 2000);
    cr_assert_eq(pair(&x, &y), MC_OK, "%s", err.text);
    size_t row = 0;
    for (size_t t = 0; t < TOKENS; t++) {
        if (x_tokens[t] != 'x') continue;
        const float base = y_tokens[t] == 'x' ? 2000 : 1000;
        for (size_t i = 0; i < WIDTH; i++)
            cr_expect_eq(x.row[row * WIDTH + i], base + 10 * (float)t + (float)i, "%s %s token %zu",
                         x_tokens, y_tokens, t);
        row++;
    }
}

Test(expert_pairs, rows_of_the_same_token_come_together)
{
    for (unsigned a = 0; a < 1u << TOKENS; a++)
        for (unsigned b = 0; b < 1u << TOKENS; b++) {
            char x[TOKENS + 1] = "", y[TOKENS + 1] = "";
            for (size_t t = 0; t < TOKENS; t++) {
                x[t] = a >> t & 1 ? 'x' : '.';
                y[t] = b >> t & 1 ? 'x' : '.';
            }
            expect_pairs(x, y);
        }
}

Test(expert_pairs, refuses_what_does_not_belong_together)
{
    stream x, y;
    choose(&x, "xx..x.", 0);
    choose(&y, "x...x.", 0);
    y.gates.dim[0] = 5;
    y.gates.count = 15;
    cr_expect_eq(pair(&x, &y), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "gates of two streams that do not belong together");
    choose(&y, "x...x.", 0);
    y.rows = op_f32(2, (const int64_t[]){3, WIDTH}, y.row); /* 3 rows of 2 tokens */
    cr_expect_eq(pair(&x, &y), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "rows of expert 1 that do not belong together");
}
