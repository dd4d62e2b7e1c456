/* ONNX files made in tests, field by field: messages are built inside out and moved into the one
 * that holds them. Memory that cannot be had ends the test program. */
#ifndef MC_TESTS_SUPPORT_ONNX_BUILDER_H
#define MC_TESTS_SUPPORT_ONNX_BUILDER_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    unsigned char *at;
    size_t n, room;
} proto;

void proto_raw(proto *to, const void *bytes, size_t n); /* without a tag */
void proto_int(proto *to, uint32_t field, int64_t value);
void proto_float(proto *to, uint32_t field, float value);
void proto_bytes(proto *to, uint32_t field, const void *bytes, size_t n);
void proto_text(proto *to, uint32_t field, const char *text);
void proto_move(proto *to, uint32_t field, proto message); /* message is gone */
void proto_free(proto *p);

/* Dimensions end with -1, lists of names with NULL. */
proto onnx_tensor(const char *name, int data_type, const int64_t *dim); /* without data */
proto onnx_raw_tensor(const char *name, int data_type, const int64_t *dim, const void *data,
                      size_t n);
proto onnx_value(const char *name, int data_type, const int64_t *dim);
proto onnx_node(const char *op, const char *const *in, const char *const *out);
proto onnx_string(const char *key, const char *value); /* StringStringEntryProto */
proto onnx_attr_tensor(const char *name, proto tensor);
proto onnx_attr_graph(const char *name, proto graph);
proto onnx_attr_int(const char *name, int64_t value);

/* ir_version 8, ai.onnx 17; the graph comes last. */
proto onnx_model(proto graph);

/* y = MatMul(x [1, 4], w [4, 2]) with w = 1, 2, … 8, as a graph. */
proto onnx_small_graph(void);

/* Writes the model into the current folder; it is gone. */
void onnx_put(const char *path, proto model);

#endif
