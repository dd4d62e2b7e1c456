/* Compares graph by graph, values by their names, and what graphs do not model field by field. */
#include "tests/support/onnx_same.h"

#include "formats/onnx_file.h"
#include "formats/onnx_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char text[512];

static const char *differ(const char *fmt, ...) MC_PRINTF(1, 2);

static const char *differ(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return text;
}

#define RETURN_DIFFERENCE(call)      \
    do {                             \
        const char *found_ = (call); \
        if (found_) return found_;   \
    } while (0)

typedef struct {
    const mc_model *a, *b;
} both;

/* ---- fields as they stand ---- */

typedef struct {
    uint32_t number;
    mc_raw raw;
} field;

/* Fields of one number stay in their order. */
static int by_number(const void *a, const void *b)
{
    const field *x = a, *y = b;
    if (x->number != y->number) return x->number < y->number ? -1 : 1;
    return x->raw.at < y->raw.at ? -1 : x->raw.at > y->raw.at;
}

static field *fields_of(mc_raw raw, const char *without, size_t *n)
{
    mc_cursor in = {raw.at, raw.at ? raw.at + raw.bytes : NULL};
    mc_wire_field f;
    size_t room = 0;
    *n = 0;
    for (mc_cursor again = in; mc_wire_next(&again, &f);) room++;
    field *list = malloc((room + 1) * sizeof *list);
    if (!list) abort();
    while (mc_wire_next(&in, &f))
        if (f.number > 127 || !strchr(without, (int)f.number))
            list[(*n)++] = (field){f.number, {f.from, (size_t)(in.at - f.from)}};
    if (*n > 1) qsort(list, *n, sizeof *list, by_number);
    return list;
}

/* All fields but those whose numbers `without` holds as characters. */
static const char *same_fields(mc_raw a, mc_raw b, const char *without, const char *what)
{
    size_t n, m, i = 0;
    field *x = fields_of(a, without, &n), *y = fields_of(b, without, &m);
    while (i < n && i < m && x[i].raw.bytes == y[i].raw.bytes &&
           memcmp(x[i].raw.at, y[i].raw.at, x[i].raw.bytes) == 0)
        i++;
    const bool same = i == n && i == m;
    const uint32_t number = i < n ? x[i].number : i < m ? y[i].number : 0;
    free(x);
    free(y);
    return same ? NULL : differ("field %u of %s", (unsigned)number, what);
}

static mc_raw raw_of(mc_cursor c)
{
    return (mc_raw){c.at, mc_left(&c)};
}

/* ---- tensors ---- */

static const char *same_numbers(const mc_tensor *a, const mc_tensor *b)
{
    if (a->dtype != b->dtype || a->ndim != b->ndim || a->bytes != b->bytes ||
        memcmp(a->dim, b->dim, (size_t)a->ndim * sizeof *a->dim) != 0)
        return differ("type or shape of tensor %s", a->name);
    if (!a->data != !b->data && a->bytes > 0) return differ("only one tensor %s has data", a->name);
    if (!a->data) return NULL;
    if (a->bytes > 0 && memcmp(a->data, b->data, (size_t)a->bytes) != 0)
        return differ("data of tensor %s", a->name);
    return NULL;
}

/* All but dims, data_type, and where numbers may be; strings have only their fields. */
static const char *same_proto(mc_cursor a, mc_cursor b)
{
    const mc_cursor string = mc_onnx_part(a, 6);
    const bool is_strings = string.at != a.end || string.end != a.end;
    return same_fields(raw_of(a), raw_of(b), is_strings ? "" : "\1\2\3\4\5\6\7\11\12\13\15\16",
                       "a tensor");
}

/* ---- nodes ---- */

static const char *name_of(const mc_graph *g, mc_id id)
{
    return id == MC_NONE ? "" : g->value[id].name;
}

static const char *same_list(const mc_graph *a, const mc_id *x, size_t n, const mc_graph *b,
                             const mc_id *y, size_t m)
{
    if (n != m) return differ("%zu values, not %zu", m, n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(name_of(a, x[i]), name_of(b, y[i])) != 0)
            return differ("value %s, not %s", name_of(b, y[i]), name_of(a, x[i]));
    return NULL;
}

static const char *same_graph(both m, const mc_graph *a, const mc_graph *b);

/* The next field of that number. */
static mc_cursor next(mc_cursor *in, uint32_t number)
{
    mc_wire_field f;
    while (mc_wire_next(in, &f))
        if (f.number == number) return f.bytes;
    return (mc_cursor){NULL, NULL};
}

static const char *same_attr(both m, const mc_attr *a, const mc_attr *b)
{
    if (strcmp(a->name, b->name) != 0 || a->kind != b->kind || a->count != b->count ||
        !a->refers != !b->refers)
        return differ("attribute %s", a->name);
    const bool tensors = a->kind == MC_ATTR_TENSOR || a->kind == MC_ATTR_TENSORS;
    const bool graphs = a->kind == MC_ATTR_GRAPH || a->kind == MC_ATTR_GRAPHS;
    if (a->refers || (!tensors && !graphs)) return same_fields(a->raw, b->raw, "", a->name);

    const uint32_t number = mc_onnx_attr_field(a->kind);
    RETURN_DIFFERENCE(same_fields(a->raw, b->raw, (char[]){(char)number, '\0'}, a->name));
    mc_cursor x = {a->raw.at, a->raw.at + a->raw.bytes};
    mc_cursor y = {b->raw.at, b->raw.at + b->raw.bytes};
    for (size_t i = 0; i < a->count; i++) {
        if (graphs) {
            RETURN_DIFFERENCE(same_graph(m, a->g[i], b->g[i]));
        } else {
            RETURN_DIFFERENCE(same_numbers(&a->t[i], &b->t[i]));
            RETURN_DIFFERENCE(same_proto(next(&x, number), next(&y, number)));
        }
    }
    return NULL;
}

static const char *same_attrs(both m, const mc_attr *a, size_t n, const mc_attr *b, size_t k)
{
    if (n != k) return differ("%zu attributes, not %zu", k, n);
    for (size_t i = 0; i < n; i++) RETURN_DIFFERENCE(same_attr(m, &a[i], &b[i]));
    return NULL;
}

static const char *same_node(both m, const mc_graph *a, const mc_graph *b, size_t i)
{
    const mc_node *x = &a->node[i], *y = &b->node[i];
    if (strcmp(x->name, y->name) != 0 || strcmp(x->op, y->op) != 0 ||
        strcmp(x->domain, y->domain) != 0 || strcmp(x->overload, y->overload) != 0 ||
        x->version != y->version)
        return differ("node %zu: %s, not %s", i, y->op, x->op);
    RETURN_DIFFERENCE(same_list(a, x->in, x->ins, b, y->in, y->ins));
    RETURN_DIFFERENCE(same_list(a, x->out, x->outs, b, y->out, y->outs));
    RETURN_DIFFERENCE(same_fields(x->raw, y->raw, "\5", x->op));
    return same_attrs(m, x->attr, x->attrs, y->attr, y->attrs);
}

/* ---- values ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const mc_value *const *)a)->name, (*(const mc_value *const *)b)->name);
}

static const mc_value **sorted(const mc_graph *g)
{
    const mc_value **list = malloc((g->values + 1) * sizeof *list);
    if (!list) abort();
    for (size_t i = 0; i < g->values; i++) list[i] = &g->value[i];
    if (g->values > 1) qsort(list, g->values, sizeof *list, by_name);
    return list;
}

static const char *same_value(const mc_value *a, const mc_value *b)
{
    if (strcmp(a->name, b->name) != 0) return differ("value %s, not %s", b->name, a->name);
    if (a->dtype != b->dtype || a->ndim != b->ndim || !a->constant != !b->constant ||
        (a->outer == MC_NONE) != (b->outer == MC_NONE))
        return differ("type of value %s", a->name);
    for (int i = 0; i < a->ndim; i++) {
        const char *x = a->dim_name[i], *y = b->dim_name[i];
        if (a->dim[i] != b->dim[i] || !x != !y || (x && strcmp(x, y) != 0))
            return differ("shape of value %s", a->name);
    }
    RETURN_DIFFERENCE(same_fields(a->raw, b->raw, "", a->name));
    if (!a->constant) return NULL;
    return same_numbers(a->constant, b->constant);
}

static const char *same_values(const mc_graph *a, const mc_graph *b)
{
    if (a->values != b->values) return differ("%zu values, not %zu", b->values, a->values);
    const mc_value **x = sorted(a), **y = sorted(b);
    const char *found = NULL;
    for (size_t i = 0; i < a->values && !found; i++) found = same_value(x[i], y[i]);
    free(x);
    free(y);
    return found;
}

/* ---- graphs ---- */

static const mc_onnx_graph *kept(const mc_model *m, const mc_graph *g)
{
    for (size_t i = 0; i < m->onnx->graphs; i++)
        if (m->onnx->graph[i].graph == g) return &m->onnx->graph[i];
    return NULL;
}

static bool is_function(const mc_model *m, const mc_graph *g)
{
    const mc_graph *main = m->onnx->graph[0].graph;
    for (size_t i = 0; i < main->functions; i++)
        if (main->function[i].body == g) return true;
    return false;
}

static const char *same_initializers(mc_raw a, mc_raw b)
{
    mc_cursor x = {a.at, a.at + a.bytes}, y = {b.at, b.at + b.bytes};
    for (;;) {
        const mc_cursor p = next(&x, 5), q = next(&y, 5);
        if (!p.at != !q.at) return differ("number of initializers");
        if (!p.at) return NULL;
        RETURN_DIFFERENCE(same_proto(p, q));
    }
}

static const char *same_graph(both m, const mc_graph *a, const mc_graph *b)
{
    const mc_onnx_graph *x = kept(m.a, a), *y = kept(m.b, b);
    if (!x || !y) return differ("a graph of no file");
    if (strcmp(a->name, b->name) != 0) return differ("graph %s, not %s", b->name, a->name);
    RETURN_DIFFERENCE(same_list(a, a->input, a->inputs, b, b->input, b->inputs));
    RETURN_DIFFERENCE(same_list(a, a->output, a->outputs, b, b->output, b->outputs));
    RETURN_DIFFERENCE(same_list(a, x->input, x->inputs, b, y->input, y->inputs));
    RETURN_DIFFERENCE(same_values(a, b));
    if (!is_function(m.a, a)) RETURN_DIFFERENCE(same_initializers(x->raw, y->raw));
    if (a->nodes != b->nodes) return differ("%zu nodes, not %zu", b->nodes, a->nodes);
    for (size_t i = 0; i < a->nodes; i++) RETURN_DIFFERENCE(same_node(m, a, b, i));

    /* Of a GraphProto all but node and initializer, of a FunctionProto all but node and defaults */
    return same_fields(x->raw, y->raw, is_function(m.a, a) ? "\7\13" : "\1\5", a->name);
}

static const char *same_functions(both m, const mc_graph *a, const mc_graph *b)
{
    if (a->functions != b->functions) return differ("%zu functions", b->functions);
    for (size_t i = 0; i < a->functions; i++) {
        const mc_function *x = &a->function[i], *y = &b->function[i];
        RETURN_DIFFERENCE(same_graph(m, x->body, y->body));
        RETURN_DIFFERENCE(same_attrs(m, x->fallback, x->fallbacks, y->fallback, y->fallbacks));
    }
    return NULL;
}

const char *onnx_difference(const mc_model *a, const mc_model *b)
{
    const both m = {a, b};
    const mc_graph *x = a->onnx->graph[0].graph, *y = b->onnx->graph[0].graph;
    if (!a->graph != !b->graph) return differ("graph that can be run");
    if (a->tensors != b->tensors) return differ("%zu tensors, not %zu", b->tensors, a->tensors);
    for (size_t i = 0; i < a->tensors; i++)
        if (strcmp(a->tensor[i].name, b->tensor[i].name) != 0)
            return differ("tensor %s, not %s", b->tensor[i].name, a->tensor[i].name);
    RETURN_DIFFERENCE(same_fields(a->onnx->raw, b->onnx->raw, "\7\31", "the model"));
    RETURN_DIFFERENCE(same_graph(m, x, y));
    return same_functions(m, x, y);
}
