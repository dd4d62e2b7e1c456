/* How much memory checking and measuring takes, before any of it is done. */
#include "verify/metrics.h"
#include "verify/report.h"

enum {
    PROGRAM = 24 << 20, /* code, libraries, stacks, buffers of the standard streams */
    WINDOW = 24 << 20,  /* pages that a thread has read and still maps: of f64, and its codes */
    MANIFEST = 64, /* bytes of a parsed manifest for each byte of its text */
    EACH = 1024,   /* of a weight, beside its report: tables, names, reasons */
};

/* Rows that are unpacked whole (one scale for all is not). */
static uint64_t widest_row(const mc_container *c)
{
    uint64_t most = 0;
    for (size_t i = 0; i < c->weights; i++) {
        const mc_weight_spec *spec = &c->weight[i];
        if (spec->form != MC_FORM_QUANTIZED || spec->group == 0) continue;
        const mc_weight_shape shape = mc_weight_code_shape(spec);
        const size_t rows = mc_pack_row_step(spec);
        const uint64_t bytes = mc_qmat_bytes(&spec->grid, rows, shape.cols, shape.group);
        const uint64_t read = spec->transposed ? shape.rows : rows;
        const uint64_t window = read * shape.cols * (mc_dtype_about(spec->dtype)->bits / 8 + 1);
        if (bytes + window > most) most = bytes + window;
    }
    return most;
}

uint64_t mc_verify_memory(const mc_container *c, unsigned threads)
{
    const uint64_t scratch = mc_verify_scratch_bytes() + WINDOW + widest_row(c);
    uint64_t bytes = PROGRAM + threads * scratch + mc_stream_slots(threads) * sizeof(mc_sums);
    bytes += c->weights * (sizeof(mc_tensor_report) + EACH) + c->manifest_bytes * MANIFEST;
    bytes += c->memory.bytes;                     /* tables, and whatever was inflated */
    if (c->parts > 0) bytes += c->part[0].offset; /* header, tables and hashes are read in place */
    return bytes;
}
