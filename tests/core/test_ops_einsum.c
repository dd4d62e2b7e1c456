/* Einsum against a sum over all values of all labels at once. */
#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define DIMS(...)   \
    (int64_t[])     \
    {               \
        __VA_ARGS__ \
    }

enum { MOST_IN = 3, ROOM = 512 };

/* Terms as they are meant, without "..." (the labels A, B, C stand for its dimensions). */
typedef struct {
    const char *equation;
    const char *in[MOST_IN], *out;
} einsum_case;

static const einsum_case cases[] = {
    {"ij,jk->ik", {"ij", "jk"}, "ik"},
    {"ij,jk", {"ij", "jk"}, "ik"},
    {"ij,kj->ki", {"ij", "kj"}, "ki"},
    {"ji,jk->ik", {"ji", "jk"}, "ik"},
    {"bij,bjk->bik", {"bij", "bjk"}, "bik"},
    {"bthd,bshd->bhts", {"bthd", "bshd"}, "bhts"},
    {"bhts,bshd->bthd", {"bhts", "bshd"}, "bthd"},
    {"...ij,...jk->...ik", {"ABij", "ABjk"}, "ABik"},
    {"...ij,...jk->...ik", {"ABij", "jk"}, "ABik"},
    {"... i j , ... j k", {"Bij", "ABjk"}, "ABik"},
    {"i,j->ij", {"i", "j"}, "ij"},
    {"i,i", {"i", "i"}, ""},
    {"i,i->i", {"i", "i"}, "i"},
    {"ij->ji", {"ij"}, "ji"},
    {"ij->", {"ij"}, ""},
    {"ij->i", {"ij"}, "i"},
    {"ij->j", {"ij"}, "j"},
    {"ii->i", {"ii"}, "i"},
    {"ii", {"ii"}, ""},
    {"iji->j", {"iji"}, "j"},
    {"...ii->...i", {"ABii"}, "ABi"},
    {"iij,jk->ik", {"iij", "jk"}, "ik"},
    {"ba", {"ba"}, "ab"},
    {"ij,j->i", {"ij", "j"}, "i"},
    {"ijk,il->l", {"ijk", "il"}, "l"},
    {"ij,jk,kl->il", {"ij", "jk", "kl"}, "il"},
    {"i,j,k->kji", {"i", "j", "k"}, "kji"},
    {"bn,anm,bm->ba", {"bn", "anm", "bm"}, "ba"},
    {"ijkl,lmk->mji", {"ijkl", "lmk"}, "mji"},
    {"...,...->...", {"AB", "AB"}, "AB"},
};
enum { CASES = sizeof cases / sizeof *cases };

static int64_t size_of(char label)
{
    return strchr("jB", label) ? 3 : strchr("kA", label) ? 4 : label == 'd' ? 5 : 2;
}

static int dims_of(const char *term, int64_t dim[8])
{
    int n = 0;
    for (; term[n]; n++) dim[n] = size_of(term[n]);
    return n;
}

/* Which element a term's labels choose. */
static size_t element(const char *term, const int64_t value[128])
{
    size_t at = 0;
    for (; *term; term++) at = at * (size_t)size_of(*term) + (size_t)value[(unsigned char)*term];
    return at;
}

static size_t operands(const einsum_case *e)
{
    size_t n = 0;
    while (n < MOST_IN && e->in[n]) n++;
    return n;
}

static void expected(const einsum_case *e, const double *const *x, double want[ROOM])
{
    char labels[64] = "";
    for (size_t k = 0; k < operands(e); k++) {
        for (const char *at = e->in[k]; *at; at++) {
            if (!strchr(labels, *at)) strncat(labels, at, 1);
        }
    }
    memset(want, 0, ROOM * sizeof *want);
    int64_t value[128] = {0};
    for (bool more = true; more;) {
        double product = 1.0;
        for (size_t k = 0; k < operands(e); k++) product *= x[k][element(e->in[k], value)];
        want[element(e->out, value)] += product;
        more = false;
        for (const char *at = labels; *at && !more; at++) {
            more = ++value[(unsigned char)*at] < size_of(*at);
            if (!more) value[(unsigned char)*at] = 0;
        }
    }
}

static void store(mc_dtype dtype, void *to, size_t i, double x)
{
    if (dtype == MC_F32) ((float *)to)[i] = (float)x;
    if (dtype == MC_F64) ((double *)to)[i] = x;
    if (dtype == MC_I32) ((int32_t *)to)[i] = (int32_t)x;
    if (dtype == MC_I64) ((int64_t *)to)[i] = (int64_t)x;
}

/* The numbers are small and whole, so that every dtype gives the same. */
static void expect_case(const einsum_case *e, mc_dtype dtype)
{
    static double x[MOST_IN][ROOM], want[ROOM], typed[MOST_IN][ROOM];
    const double *const numbers[] = {x[0], x[1], x[2]};
    op_case c = op_begin("Einsum", 12);
    op_text(&c, "equation", e->equation);
    for (size_t k = 0; k < operands(e); k++) {
        for (size_t i = 0; i < ROOM; i++) {
            x[k][i] = (double)((i * 31 + k * 17) % 13) - 6.0;
            store(dtype, typed[k], i, x[k][i]);
        }
        int64_t dim[8];
        const int n = dims_of(e->in[k], dim);
        op_in(&c, op_nd(dtype, n, dim, typed[k]));
    }
    expected(e, numbers, want);
    op_run(&c);
    int64_t dim[8];
    const mc_nd *out = op_out(&c, 0);
    cr_assert_eq(out->ndim, dims_of(e->out, dim), "%s", e->equation);
    for (int i = 0; i < out->ndim; i++) cr_assert_eq(out->dim[i], dim[i], "%s", e->equation);
    for (size_t i = 0; i < out->count; i++)
        cr_expect_eq(mc_nd_real(out, i), want[i], "%s in %s: element %zu is %g, not %g",
                     e->equation, mc_dtype_about(dtype)->name, i, mc_nd_real(out, i), want[i]);
    op_end(&c);
}

Test(ops_einsum, equations_are_sums_over_their_labels)
{
    const mc_dtype dtypes[] = {MC_F32, MC_F64, MC_I32, MC_I64};
    for (size_t i = 0; i < CASES; i++) {
        for (size_t d = 0; d < 4; d++) expect_case(&cases[i], dtypes[d]);
    }
}

Test(ops_einsum, dimensions_of_one_broadcast)
{
    const float a[] = {1, 2, 3, 4}, b[] = {10, 100};
    op_case c = op_begin("Einsum", 12);
    op_text(&c, "equation", "...i,...i->...");
    op_in(&c, op_f32(3, DIMS(2, 1, 2), a));
    op_in(&c, op_f32(3, DIMS(1, 2, 1), b));
    op_run(&c);
    op_expect_f32(&c, 0, 2, DIMS(2, 2), (float[]){30, 300, 70, 700}, 0.0);
    op_end(&c);
}

Test(ops_einsum, sums_of_nothing_are_zero)
{
    const float b[] = {1.0f};
    op_case c = op_begin("Einsum", 12);
    op_text(&c, "equation", "ij,jk->ik");
    op_in(&c, op_f32(2, DIMS(2, 0), b));
    op_in(&c, op_f32(2, DIMS(0, 2), b));
    op_run(&c);
    op_expect_f32(&c, 0, 2, DIMS(2, 2), (float[4]){0.0f}, 0.0);
    op_end(&c);
}

Test(ops_einsum, wrong_equations_are_refused)
{
    static const struct {
        const char *equation, *why;
    } wrong[] = {
        {"ij,jk,kl->il", "more terms than 2 inputs"},
        {"ij->ij", "has 1 terms for 2 inputs"},
        {"ij,jk,", "more terms than 2 inputs"},
        {"ij,jkl->il", "3 letters stands for 2 dimensions"},
        {"ij,jj->i", "one label stands for dimensions of 3 and of 4"},
        {"ij,jk->iz", "a label that no input has"},
        {"ij,jk->ii", "a label twice"},
        {"ij,jk->i->k", "goes on behind its output"},
        {"ij,j1->i", "the equation is wrong"},
        {"i...j...,jk", "the equation is wrong"},
        {"ij,abcdefghi->i", "the equation is wrong, or a term too long"},
    };
    const float x[12] = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        op_case c = op_begin("Einsum", 12);
        op_text(&c, "equation", wrong[i].equation);
        op_in(&c, op_f32(2, DIMS(2, 3), x));
        op_in(&c, op_f32(2, DIMS(3, 4), x));
        cr_expect_eq(op_try(&c), MC_E_FORMAT, "%s", wrong[i].equation);
        cr_expect_not_null(strstr(c.err.text, wrong[i].why), "%s: %s", wrong[i].equation,
                           c.err.text);
        op_end(&c);
    }
}
