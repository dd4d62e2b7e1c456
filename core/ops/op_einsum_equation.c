/* Reading "bij,bjk->bik": terms of letters with at most one "..." each; without "->" the output is
 * the "..." and then the letters that occur once, in the order of their codes. */
#include "core/ops/op_einsum_equation.h"

#include <string.h>

enum { UNSEEN = -2 };

static int letter_of(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    return -1;
}

/* Letters of a term, and before which of them "..." stands (-1: nowhere). */
typedef struct {
    int n, dots;
    uint8_t letter[MC_MAX_DIMS];
} raw_term;

static const char *read_raw(const char *at, raw_term *t, mc_err *err)
{
    *t = (raw_term){.dots = -1};
    for (;; at++) {
        const int letter = letter_of(*at);
        if (*at == ' ') continue;
        if (letter >= 0 && t->n < MC_MAX_DIMS) {
            t->letter[t->n++] = (uint8_t)letter;
        } else if (strncmp(at, "...", 3) == 0 && t->dots < 0) {
            t->dots = t->n;
            at += 2;
        } else if (*at == '\0' || *at == ',' || strncmp(at, "->", 2) == 0) {
            return at;
        } else {
            mc_fail(err, MC_E_FORMAT, "the equation is wrong, or a term too long, at '%.20s'", at);
            return NULL;
        }
    }
}

/* `extra` dimensions for "...". */
static mc_status expand(const raw_term *t, int extra, mc_einsum_term *out, mc_err *err)
{
    if (extra < 0 || t->n + extra > MC_MAX_DIMS || (extra > 0 && t->dots < 0))
        return mc_fail(err, MC_E_FORMAT, "a term of %d letters stands for %d dimensions", t->n,
                       t->n + extra);
    out->n = 0;
    for (int i = 0; i <= t->n; i++) {
        for (int e = 0; i == t->dots && e < extra; e++)
            out->label[out->n++] = (uint8_t)(MC_EINSUM_LABELS - extra + e);
        if (i < t->n) out->label[out->n++] = t->letter[i];
    }
    return MC_OK;
}

/* A dimension of 1 goes with any other. */
static mc_status note_sizes(const mc_nd *x, const mc_einsum_term *t, int64_t *size, mc_err *err)
{
    for (int i = 0; i < t->n; i++) {
        int64_t *const known = &size[t->label[i]];
        const int64_t dim = x->dim[i];
        if (*known < 0 || *known == 1) {
            if (*known == UNSEEN || dim > 1 || dim == 0 || (*known == 1 && dim < 0)) *known = dim;
        } else if (dim >= 0 && dim != 1 && dim != *known) {
            return mc_fail(err, MC_E_FORMAT, "one label stands for dimensions of %lld and of %lld",
                           (long long)*known, (long long)dim);
        }
    }
    return MC_OK;
}

static mc_status read_inputs(const mc_call *call, const char **at, mc_einsum_equation *eq,
                             int *extra, mc_err *err)
{
    *extra = 0;
    for (size_t k = 0; k < call->ins; k++) {
        raw_term raw;
        const mc_nd *x = call->in[k];
        if (k > 0 && *(*at)++ != ',')
            return mc_fail(err, MC_E_FORMAT, "the equation has %zu terms for %zu inputs", k,
                           call->ins);
        *at = read_raw(*at, &raw, err);
        if (!*at) return MC_E_FORMAT;
        if (x->ndim < 0) {
            eq->ranked = false;
            continue;
        }
        const int own = x->ndim - raw.n;
        if (expand(&raw, own, &eq->in[k], err) != MC_OK)
            return mc_wrap(err, "input %zu of %d dimensions", k, x->ndim);
        MC_TRY(note_sizes(x, &eq->in[k], eq->size, err));
        if (own > *extra) *extra = own;
    }
    return MC_OK;
}

static mc_status read_output(const char *at, int extra, mc_einsum_equation *eq, mc_err *err)
{
    raw_term raw;
    at = read_raw(at, &raw, err);
    if (!at) return MC_E_FORMAT;
    if (*at)
        return mc_fail(err, MC_E_FORMAT, "the equation goes on behind its output: '%.20s'", at);
    if (!eq->ranked) return MC_OK;
    MC_TRY(expand(&raw, raw.dots < 0 ? 0 : extra, &eq->out, err));
    for (int i = 0; i < eq->out.n; i++) {
        if (eq->size[eq->out.label[i]] == UNSEEN)
            return mc_fail(err, MC_E_FORMAT, "the output has a label that no input has");
        if (memchr(eq->out.label, eq->out.label[i], (size_t)i))
            return mc_fail(err, MC_E_FORMAT, "the output has a label twice");
    }
    return MC_OK;
}

static mc_status implied_output(size_t ins, int extra, mc_einsum_equation *eq, mc_err *err)
{
    unsigned times[MC_EINSUM_LETTERS] = {0};
    raw_term raw = {.dots = 0};
    for (size_t k = 0; k < ins; k++) {
        for (int i = 0; i < eq->in[k].n; i++) {
            if (eq->in[k].label[i] < MC_EINSUM_LETTERS) times[eq->in[k].label[i]]++;
        }
    }
    for (int l = 0; l < MC_EINSUM_LETTERS; l++) {
        if (times[l] != 1) continue;
        if (raw.n == MC_MAX_DIMS)
            return mc_fail(err, MC_E_FORMAT, "the output has more than %d dimensions",
                           (int)MC_MAX_DIMS);
        raw.letter[raw.n++] = (uint8_t)l;
    }
    return expand(&raw, extra, &eq->out, err);
}

mc_status mc_einsum_read(const mc_call *call, mc_einsum_equation *out, mc_err *err)
{
    const char *at = mc_node_text(call->node, "equation", NULL);
    int extra;
    if (!at) return mc_fail(err, MC_E_FORMAT, "attribute 'equation' is missing");
    if (call->ins > MC_EINSUM_OPERANDS)
        return mc_fail(err, MC_E_UNSUPPORTED, "%zu inputs (at most %d are allowed)", call->ins,
                       (int)MC_EINSUM_OPERANDS);
    memset(out, 0, sizeof *out);
    out->ranked = true;
    for (int l = 0; l < MC_EINSUM_LABELS; l++) out->size[l] = UNSEEN;
    MC_TRY(read_inputs(call, &at, out, &extra, err));
    if (*at == ',')
        return mc_fail(err, MC_E_FORMAT, "the equation has more terms than %zu inputs", call->ins);
    if (*at == '-') return read_output(at + 2, extra, out, err);
    return out->ranked ? implied_output(call->ins, extra, out, err) : MC_OK;
}
