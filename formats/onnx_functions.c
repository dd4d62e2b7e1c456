/* Local functions: FunctionProto -> mc_function, and the operator sets that a model or a function
 * imports. core/pass_functions.c puts bodies in place of calls. */
#include "formats/onnx_parts.h"

#include <inttypes.h>
#include <string.h>

static size_t count(mc_cursor in, uint32_t number)
{
    mc_wire_field f;
    size_t n = 0;
    while (mc_wire_next(&in, &f)) n += f.number == number;
    return n;
}

/* ---- operator sets ---- */

static mc_status read_opset(mc_onnx_read *r, mc_cursor in, mc_opset *out)
{
    mc_wire_field f;
    *out = (mc_opset){.domain = ""};
    while (mc_wire_next(&in, &f)) {
        if (f.number == 1 && !(out->domain = mc_onnx_text(r, f.bytes))) return r->err->status;
        if (f.number == 2) out->version = mc_wire_signed(f.value);
    }
    if (strcmp(out->domain, "ai.onnx") == 0) out->domain = "";
    if (out->version < 1 || out->version > INT32_MAX)
        return mc_fail(r->err, MC_E_FORMAT,
                       "opset_import of domain %s has version %" PRId64 ", must be 1 to 2^31-1",
                       mc_quote(out->domain).text, out->version);
    return MC_OK;
}

/* A domain that is imported twice: the higher version holds, as it does elsewhere. Few enough to
 * look at all of them. */
static void keep_opset(mc_opset *list, size_t *n, mc_opset new)
{
    for (size_t i = 0; i < *n; i++) {
        if (strcmp(list[i].domain, new.domain) != 0) continue;
        if (list[i].version < new.version) list[i].version = new.version;
        return;
    }
    list[(*n)++] = new;
}

mc_status mc_onnx_read_opsets(mc_onnx_read *r, mc_cursor in, uint32_t number)
{
    const size_t n = count(in, number);
    if (n > MC_ONNX_OPSETS)
        return mc_fail(r->err, MC_E_FORMAT, "imports %zu operator sets, at most %d are allowed", n,
                       (int)MC_ONNX_OPSETS);
    mc_opset *list = MC_NEW(r->mem, mc_opset, n);
    if (!list) return mc_no_room(r->err, "the list of operator sets");
    size_t kept = 0;
    mc_wire_field f;
    while (mc_wire_next(&in, &f)) {
        if (f.number != number) continue;
        mc_opset new;
        MC_TRY(read_opset(r, f.bytes, &new));
        keep_opset(list, &kept, new);
    }
    r->opset = list;
    r->opsets = kept;
    return MC_OK;
}

/* ---- functions ---- */

static mc_status read_names(mc_onnx_read *r, mc_cursor in, mc_function *out)
{
    mc_wire_field f;
    out->domain = out->name = out->overload = "";
    while (mc_wire_next(&in, &f)) {
        const char **to = f.number == 1    ? &out->name
                          : f.number == 10 ? &out->domain
                          : f.number == 13 ? &out->overload
                                           : NULL;
        if (to && !(*to = mc_onnx_text(r, f.bytes))) return r->err->status;
    }
    if (strcmp(out->domain, "ai.onnx") == 0) out->domain = "";
    if (out->name[0] == '\0') return mc_fail(r->err, MC_E_FORMAT, "a function has no name");
    return MC_OK;
}

static mc_status read_fallbacks(mc_onnx_read *r, mc_cursor in, mc_function *out)
{
    mc_attr *list = MC_NEW(r->mem, mc_attr, count(in, 11));
    if (!list) return mc_no_room(r->err, "a function");
    out->fallback = list;
    mc_wire_field f;
    while (mc_wire_next(&in, &f)) {
        if (f.number != 11) continue;
        mc_attr *a = &list[out->fallbacks++];
        MC_TRY(mc_onnx_read_attr(r, NULL, f.bytes, a));
        if (a->refers)
            return mc_fail(r->err, MC_E_FORMAT, "attribute %s has a default that refers to another",
                           mc_quote(a->name).text);
    }
    return MC_OK;
}

static mc_status read_function(mc_onnx_read *r, mc_cursor in, mc_function *out)
{
    mc_graph *body;
    MC_TRY(read_names(r, in, out));
    mc_status status = mc_onnx_read_opsets(r, in, 9);
    if (status == MC_OK) status = read_fallbacks(r, in, out);
    if (status == MC_OK) status = mc_onnx_read_graph(r, in, true, NULL, &body);
    if (status != MC_OK) return mc_wrap(r->err, "function %s", mc_quote(out->name).text);
    out->body = body;
    return MC_OK;
}

/* Two functions must differ in domain, name or overload. */
static mc_status check_once(mc_onnx_read *r, mc_onnx_names *seen, const mc_function *f)
{
    const char *key = mc_format(r->work, "%s\x01%s\x01%s", f->domain, f->name, f->overload);
    if (!key) return mc_no_room(r->err, "the functions");
    switch (mc_onnx_names_add(seen, r->work, key, strlen(key), 0)) {
    case MC_NAMES_ADDED: return MC_OK;
    case MC_NAMES_FULL: return mc_no_room(r->err, "the functions");
    default:
        return mc_fail(r->err, MC_E_FORMAT, "function %s of domain %s appears twice",
                       mc_quote(f->name).text, mc_quote(f->domain).text);
    }
}

mc_status mc_onnx_read_functions(mc_onnx_read *r, mc_cursor model, mc_graph *graph)
{
    const mc_opset *opset = r->opset;
    const size_t opsets = r->opsets;
    mc_function *list = MC_NEW(r->mem, mc_function, count(model, 25));
    if (!list) return mc_no_room(r->err, "the functions");
    mc_onnx_names seen = {0};
    size_t n = 0;
    mc_wire_field f;
    while (mc_wire_next(&model, &f)) {
        if (f.number != 25) continue;
        MC_TRY(read_function(r, f.bytes, &list[n]));
        MC_TRY(check_once(r, &seen, &list[n++]));
    }
    graph->function = list;
    graph->functions = n;
    r->opset = opset;
    r->opsets = opsets;
    return MC_OK;
}
