/* Hadamard matrices, constructed. R. E. A. C. Paley, "On orthogonal matrices" (1933): order q + 1
 * for prime powers q of the form 4t + 3, order 2 (q + 1) for 4t + 1. Goethals and Seidel, "A skew
 * Hadamard matrix of order 36" (1970): order 4n from four sequences of +-1 of length n whose
 * periodic autocorrelations add up to nothing. */
#include "core/hadamard.h"

#include <stdbool.h>

/* ---- quadratic residues ---- */

enum { LARGEST_FIELD = 139 };

/* The field of q = p or q = p^2 elements; a + b t is element a + p b, with t^2 = 2, which must be
 * no square modulo p then. */
typedef struct {
    size_t p, q;
    int chi[LARGEST_FIELD]; /* 1 of squares, -1 of others, 0 of 0 */
} field;

static size_t square(const field *f, size_t x)
{
    const size_t a = x % f->p, b = x / f->p;
    return (a * a + 2 * b * b) % f->p + 2 * a * b % f->p * f->p;
}

static int chi_of_difference(const field *f, size_t x, size_t y)
{
    const size_t a = (x % f->p + f->p - y % f->p) % f->p, b = (x / f->p + f->p - y / f->p) % f->p;
    return f->chi[a + f->p * b];
}

static field make_field(size_t p, size_t q)
{
    field f = {.p = p, .q = q};
    for (size_t x = 1; x < q; x++) f.chi[x] = -1;
    for (size_t x = 1; x < q; x++) f.chi[square(&f, x)] = 1;
    return f;
}

/* ---- Paley ---- */

/* The conference matrix, of order q + 1: 0 on the diagonal, 1 in the first row, and below it
 * chi(x - y), which is skew for q = 4t + 3 and symmetric for q = 4t + 1. */
static int conference(const field *f, size_t i, size_t j)
{
    if (i == 0) return j == 0 ? 0 : 1;
    if (j == 0) return f->q % 4 == 3 ? -1 : 1;
    return chi_of_difference(f, i - 1, j - 1);
}

/* C + I. */
static void paley_one(size_t p, size_t q, double *t)
{
    const field f = make_field(p, q);
    for (size_t i = 0; i <= q; i++)
        for (size_t j = 0; j <= q; j++)
            t[i * (q + 1) + j] = (double)(conference(&f, i, j) + (i == j));
}

/* C x [1 1; 1 -1] + I x [1 -1; -1 -1]. */
static void paley_two(size_t p, size_t q, double *t)
{
    const field f = make_field(p, q);
    const size_t n = 2 * (q + 1);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            const size_t odd = i % 2 + j % 2;
            const int first = odd == 2 ? -1 : 1, second = odd == 0 ? 1 : -1;
            t[i * n + j] =
                (double)(conference(&f, i / 2, j / 2) * first + (i / 2 == j / 2) * second);
        }
}

/* ---- Goethals and Seidel ---- */

enum { LONGEST = 43 };

typedef int sequences[4][LONGEST];

/* With A, B, C, D the circulants of the sequences (element i, j is x[j - i]) and R the reversal:
 *      A     B R    C R    D R
 *     -B R   A     D'R   -C'R
 *     -C R  -D'R    A     B'R
 *     -D R   C'R  -B'R    A                (' transposes) */
static void goethals_seidel(size_t n, sequences x, double *t)
{
    static const struct {
        int from, sign;
        bool transposed;
    } block[4][4] = {
        {{0, 1, false}, {1, 1, false}, {2, 1, false}, {3, 1, false}},
        {{1, -1, false}, {0, 1, false}, {3, 1, true}, {2, -1, true}},
        {{2, -1, false}, {3, -1, true}, {0, 1, false}, {1, 1, true}},
        {{3, -1, false}, {2, 1, true}, {1, -1, true}, {0, 1, false}},
    };
    for (size_t i = 0; i < 4 * n; i++)
        for (size_t j = 0; j < 4 * n; j++) {
            const size_t bi = i / n, bj = j / n;
            const int from = block[bi][bj].from;
            const size_t row = i % n, col = from == 0 ? j % n : n - 1 - j % n;
            const size_t at = block[bi][bj].transposed ? row + n - col : col + n - row;
            t[i * 4 * n + j] = (double)(block[bi][bj].sign * x[from][at % n]);
        }
}

/* Order 172: sequences that are constant on the classes 3^(i + 6 j) of the numbers modulo 43, i.e.
 * on the cosets of the sixth powers. Found by trying all. */
static void order_172(double *t)
{
    static const char sign[4][7] = {"++---+", "-+--++", "---+++", "+---+-"}; /* of i = 0 .. 5 */
    sequences x;
    for (int s = 0; s < 4; s++) {
        x[s][0] = 1;
        size_t power = 1;
        for (int i = 0; i < 42; i++) {
            x[s][power] = sign[s][i % 6] == '+' ? 1 : -1;
            power = power * 3 % 43;
        }
    }
    goethals_seidel(43, x, t);
}

/* Order 156: Cooper and Wallis, "A construction for Hadamard arrays" (1972). Four symmetric
 * sequences of length 13 whose circulants A, B, C, D have A^2 + B^2 + C^2 + D^2 = 52 I (Williamson
 * 1944; found by trying all) are set side by side over the numbers modulo 3 x 13 = 39. */
static void order_156(double *t)
{
    static const char sign[4][8] = {"+--++++", "+++-+-+", "+-++--+", "+-+++--"}; /* of 0 .. 6 */
    static const struct {
        int from, sign;
    } part[4][3] = {
        {{0, 1}, {1, 1}, {2, 1}},
        {{1, -1}, {0, 1}, {3, 1}},
        {{2, -1}, {3, -1}, {0, 1}},
        {{3, -1}, {2, 1}, {1, -1}},
    };
    sequences x;
    for (int s = 0; s < 4; s++)
        for (size_t i = 0; i < 39; i++) {
            const size_t at = i % 13 <= 6 ? i % 13 : 13 - i % 13;
            const int from = part[s][i % 3].from;
            x[s][i] = part[s][i % 3].sign * (sign[from][at] == '+' ? 1 : -1);
        }
    goethals_seidel(39, x, t);
}

/* ---- all ---- */

static const struct {
    size_t order, p, q; /* q 0: not Paley's */
} known[] = {{1, 0, 0},       {12, 11, 11}, {20, 19, 19}, {28, 13, 13},
             {36, 17, 17},    {52, 5, 25},  {60, 59, 59}, {108, 107, 107},
             {140, 139, 139}, {156, 0, 0},  {172, 0, 0}};

size_t mc_hadamard_order(size_t i)
{
    return i < sizeof known / sizeof *known ? known[i].order : 0;
}

void mc_hadamard_table(size_t order, double *table)
{
    size_t i = 0;
    while (mc_hadamard_order(i) != order && mc_hadamard_order(i) != 0) i++;
    const size_t q = mc_hadamard_order(i) != 0 ? known[i].q : 0;
    if (q % 4 == 3) {
        paley_one(known[i].p, q, table);
    } else if (q % 4 == 1) {
        paley_two(known[i].p, q, table);
    } else if (order == 1) {
        table[0] = 1.0;
    } else if (order == 156) {
        order_156(table);
    } else if (order == 172) {
        order_172(table);
    }
}
