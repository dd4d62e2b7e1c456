/* ONNX: a bounded reader of the wire format over the mapped file, and a writer from the source
 * graph. Field numbers, data rules and the rules of external data are those of onnx.proto and
 * ExternalDataSecurity.md.
 *
 * Reading copies no weights: raw_data, packed float_data and external files stay views. Every node,
 * attribute and value keeps its own bytes (mc_raw), so that what was not touched is written back as
 * it was. */
#ifndef MC_FORMATS_ONNX_H
#define MC_FORMATS_ONNX_H

#include "core/file.h"
#include "core/model.h"
#include "core/nd.h"

/* The values of TensorProto.DataType and our dtypes; MC_DTYPE_NONE and 0 where there is none. */
mc_dtype mc_onnx_dtype(int64_t data_type);
int mc_onnx_data_type(mc_dtype dtype);

/* A serialized TensorProto, SequenceProto or OptionalProto (test data, *.pb) as a tensor in memory;
 * `kind` says which. Strings too. */
mc_status mc_onnx_value_parse(const unsigned char *bytes, size_t n, const char *name,
                              mc_nd_kind kind, mc_arena *mem, mc_nd *out, mc_err *err);

/* What a value's ValueInfoProto says it is; a tensor when there is none. */
mc_nd_kind mc_onnx_value_kind(const mc_value *value);

/* Where initializers are said to lie whose data was left out. No file has that name; what reads
 * external data only when it is needed, and MC_EXTERNAL_ABSENT here, reads all the rest. */
#define MC_ONNX_LEFT_OUT "mcompress-container"

/* Writes the source graph: of a model that was read from ONNX, or one that was built and holds no
 * operator of our own domain (MC_E_UNSUPPORTED names it). Nodes, attributes and values whose `raw`
 * is there are written as they stand in the file that was read, others from their fields; tensors
 * always from theirs. `options` may be NULL. External data goes to OUT.data. */
typedef struct {
    /* Bytes of a tensor as the file stores them; NULL leaves the tensor as the model has it. The
     * memory must last until the call returns. May be NULL. */
    const unsigned char *(*bytes)(void *of, const mc_tensor *tensor);
    void *of;
    uint64_t external_from; /* tensors of so many bytes and more go to OUT.data; 0: 1024 when the
                               whole would pass 1.9 GB, else none */
    bool without_weights;   /* leaves data of initializers and Constants out (graph section of
                               containers): external, at location MC_ONNX_LEFT_OUT */
    bool replace, no_fsync; /* as mc_out_options */
} mc_onnx_write_options;

mc_status mc_onnx_write(const mc_model *model, const mc_onnx_write_options *options,
                        const char *path, mc_err *err);

#endif
