#include "tests/support/onnx_builder.h"

#include "core/bytes.h"
#include "tests/support/scratch_model.h"

#include <stdlib.h>
#include <string.h>

void proto_raw(proto *to, const void *bytes, size_t n)
{
    if (to->n + n > to->room) {
        to->room = 2 * (to->n + n) + 64;
        to->at = realloc(to->at, to->room);
        if (!to->at) abort();
    }
    if (n > 0) memcpy(to->at + to->n, bytes, n);
    to->n += n;
}

static void varint(proto *to, uint64_t value)
{
    do {
        const unsigned char byte = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        proto_raw(to, &byte, 1);
        value >>= 7;
    } while (value);
}

void proto_int(proto *to, uint32_t field, int64_t value)
{
    varint(to, field << 3);
    varint(to, (uint64_t)value);
}

void proto_float(proto *to, uint32_t field, float value)
{
    varint(to, field << 3 | 5);
    proto_raw(to, &value, sizeof value);
}

void proto_bytes(proto *to, uint32_t field, const void *bytes, size_t n)
{
    varint(to, field << 3 | 2);
    varint(to, n);
    proto_raw(to, bytes, n);
}

void proto_text(proto *to, uint32_t field, const char *text)
{
    proto_bytes(to, field, text, strlen(text));
}

void proto_move(proto *to, uint32_t field, proto message)
{
    proto_bytes(to, field, message.at, message.n);
    proto_free(&message);
}

void proto_free(proto *p)
{
    free(p->at);
    *p = (proto){0};
}

proto onnx_tensor(const char *name, int data_type, const int64_t *dim)
{
    proto t = {0};
    for (; *dim != -1; dim++) proto_int(&t, 1, *dim);
    proto_int(&t, 2, data_type);
    proto_text(&t, 8, name);
    return t;
}

proto onnx_raw_tensor(const char *name, int data_type, const int64_t *dim, const void *data,
                      size_t n)
{
    proto t = onnx_tensor(name, data_type, dim);
    proto_bytes(&t, 9, data, n);
    return t;
}

proto onnx_value(const char *name, int data_type, const int64_t *dim)
{
    proto shape = {0}, tensor = {0}, type = {0}, value = {0};
    for (; *dim != -1; dim++) {
        proto d = {0};
        proto_int(&d, 1, *dim);
        proto_move(&shape, 1, d);
    }
    proto_int(&tensor, 1, data_type);
    proto_move(&tensor, 2, shape);
    proto_move(&type, 1, tensor);
    proto_text(&value, 1, name);
    proto_move(&value, 2, type);
    return value;
}

proto onnx_node(const char *op, const char *const *in, const char *const *out)
{
    proto n = {0};
    for (; *in; in++) proto_text(&n, 1, *in);
    for (; *out; out++) proto_text(&n, 2, *out);
    proto_text(&n, 4, op);
    return n;
}

proto onnx_string(const char *key, const char *value)
{
    proto p = {0};
    proto_text(&p, 1, key);
    proto_text(&p, 2, value);
    return p;
}

static proto attr(const char *name, int64_t type)
{
    proto a = {0};
    proto_text(&a, 1, name);
    proto_int(&a, 20, type);
    return a;
}

proto onnx_attr_tensor(const char *name, proto tensor)
{
    proto a = attr(name, 4);
    proto_move(&a, 5, tensor);
    return a;
}

proto onnx_attr_graph(const char *name, proto graph)
{
    proto a = attr(name, 5);
    proto_move(&a, 6, graph);
    return a;
}

proto onnx_attr_int(const char *name, int64_t value)
{
    proto a = attr(name, 2);
    proto_int(&a, 3, value);
    return a;
}

proto onnx_model(proto graph)
{
    proto m = {0}, opset = {0};
    proto_int(&m, 1, 8);
    proto_text(&opset, 1, "");
    proto_int(&opset, 2, 17);
    proto_move(&m, 8, opset);
    proto_move(&m, 7, graph);
    return m;
}

proto onnx_small_graph(void)
{
    static const float w[] = {1, 2, 3, 4, 5, 6, 7, 8};
    proto g = {0};
    proto_move(&g, 1,
               onnx_node("MatMul", (const char *[]){"x", "w", NULL}, (const char *[]){"y", NULL}));
    proto_text(&g, 2, "small");
    proto_move(&g, 5, onnx_raw_tensor("w", 1, (int64_t[]){4, 2, -1}, w, sizeof w));
    proto_move(&g, 11, onnx_value("x", 1, (int64_t[]){1, 4, -1}));
    proto_move(&g, 12, onnx_value("y", 1, (int64_t[]){1, 2, -1}));
    return g;
}

void onnx_put(const char *path, proto model)
{
    scratch_put(path, model.at, model.n);
    proto_free(&model);
}
