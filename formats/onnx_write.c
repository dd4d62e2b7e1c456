/* mc_model -> ONNX files.
 *
 * The model is emitted three times by the same calls (onnx_emit.h), or four times when it turns out
 * to be so large that its tensors have to go to a file beside it: protobuf ends at 2 GiB. */
#include "core/ckd.h"
#include "formats/limits.h"
#include "formats/onnx_write_parts.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { MOVED_FROM = 1024 };                    /* bytes of a tensor that is worth moving */
static const uint64_t whole_most = 1900000000; /* bytes of a model that keeps its tensors */
static const uint64_t protobuf_most = INT32_MAX;

typedef struct {
    const char *path;
    mc_region memory, lengths;
    mc_onnx_writing *w;
    mc_onnx_sizes sizes;
    mc_err *err;
} writer;

/* ---- the message ---- */

static mc_status put_graph(mc_onnx_writing *w, mc_cursor raw)
{
    const mc_model *m = w->model;
    return mc_onnx_put_graph(w, 7, m->graph ? m->graph : m->onnx->graph[0].graph, raw, NULL);
}

static void put_imports(mc_onnx_writing *w)
{
    for (size_t i = 0; i < w->opsets; i++) {
        const size_t message = mc_emit_begin(&w->emit, 8);
        mc_emit_text(&w->emit, 1, w->opset[i].domain);
        mc_emit_int(&w->emit, 2, w->opset[i].version);
        mc_emit_end(&w->emit, message);
    }
}

static mc_status put_built(mc_onnx_writing *w)
{
    mc_emit_int(&w->emit, 1, w->ir_version);
    mc_emit_text(&w->emit, 2, "mcompress");
    MC_TRY(put_graph(w, (mc_cursor){NULL, NULL}));
    put_imports(w);
    return MC_OK;
}

static mc_status put_model(mc_onnx_writing *w)
{
    w->next = &w->first;
    w->data_bytes = 0;
    if (!w->model->onnx) return put_built(w);

    const mc_onnx_file *file = w->model->onnx;
    const mc_function *function = file->graph[0].graph->function;
    mc_cursor in = {file->raw.at, file->raw.at + file->raw.bytes};
    mc_wire_field f;
    while (mc_wire_next(&in, &f)) {
        if (f.number == 7)
            MC_TRY(put_graph(w, f.bytes));
        else if (f.number == 25)
            MC_TRY(mc_onnx_put_function(w, 25, function++, f.bytes));
        else
            mc_emit_raw(&w->emit, (mc_raw){f.from, (size_t)(in.at - f.from)});
    }
    put_imports(w);
    return MC_OK;
}

/* ---- passes ---- */

/* The first IR version that knows what the operator set has (Versioning.md); older sets are fine
 * with 8. */
static int64_t ir_of(const mc_onnx_writing *w)
{
    int64_t version = 0;
    for (size_t i = 0; i < w->opsets; i++)
        if (w->opset[i].domain[0] == '\0') version = w->opset[i].version;
    if (version <= 18) return 8;
    if (version <= 20) return 9;
    return version <= 22 ? 10 : version - 12;
}

static mc_status open_writer(writer *b, const mc_model *m, const mc_onnx_write_options *options)
{
    size_t bytes;
    if (!m->graph && !m->onnx)
        return mc_fail(b->err, MC_E_USAGE, "the model has no graph: %s",
                       m->no_graph ? m->no_graph : "it was read as weights alone");
    MC_TRY(mc_onnx_written_memory(m, &bytes, b->err));
    if (!mc_add_size(bytes, MC_ONNX_OPSETS * sizeof(mc_opset), &bytes) ||
        !mc_add_size(bytes, sizeof *b->w + strlen(b->path) + 4096, &bytes))
        return mc_no_room(b->err, "the model");
    MC_TRY(mc_region_open(&b->memory, bytes, b->err));

    mc_arena *mem = &b->memory.arena;
    mc_onnx_writing *w = b->w = MC_NEW(mem, mc_onnx_writing, 1);
    if (!w) return mc_no_room(b->err, "the model");
    w->emit.err = w->err = b->err;
    w->model = m;
    w->mem = mem;
    if (options) w->options = *options;
    w->ir_version = m->onnx ? m->onnx->ir_version : 0;
    w->external_from = w->options.external_from ? w->options.external_from : UINT64_MAX;
    const char *slash = strrchr(b->path, '/');
    w->location = mc_format(mem, "%s.data", slash ? slash + 1 : b->path);
    w->opset = MC_NEW_RAW(mem, mc_opset, MC_ONNX_OPSETS);
    return w->location && w->opset ? MC_OK : mc_no_room(b->err, "the model");
}

static mc_status pass(writer *b, mc_emit_pass which)
{
    mc_emit_start(&b->w->emit, which);
    MC_TRY(put_model(b->w));
    MC_TRY(mc_emit_finish(&b->w->emit));
    if (which == MC_EMIT_MEASURE) b->sizes = (mc_onnx_sizes){b->w->emit.at, b->w->data_bytes};
    return MC_OK;
}

/* Lengths of all messages, and which tensors go where. */
static mc_status measure(writer *b)
{
    mc_onnx_writing *w = b->w;
    MC_TRY(put_model(w));
    if (w->ir_version == 0) w->ir_version = ir_of(w);
    MC_TRY(mc_region_open(&b->lengths, w->emit.next * sizeof *w->emit.length + 64, b->err));
    w->emit.length = MC_NEW_RAW(&b->lengths.arena, uint64_t, w->emit.next);
    if (!w->emit.length) return mc_no_room(b->err, "the model");
    MC_TRY(pass(b, MC_EMIT_MEASURE));
    if (b->sizes.model > whole_most && w->options.external_from == 0) {
        w->external_from = MOVED_FROM;
        MC_TRY(pass(b, MC_EMIT_MEASURE));
    }
    if (b->sizes.model > protobuf_most)
        return mc_fail(b->err, MC_E_UNSUPPORTED,
                       "the model has %" PRIu64 " bytes without external data, at most %" PRIu64
                       " are possible",
                       b->sizes.model, protobuf_most);
    if (b->sizes.data > 0 && !mc_is_utf8(w->location, strlen(w->location)))
        return mc_fail(b->err, MC_E_USAGE,
                       "its name must be UTF-8, as the model holds the name of "
                       "its external data");
    return MC_OK;
}

/* Puts the path in front of a message; those about files have it. */
static mc_status name_file(writer *b, mc_status status)
{
    char shown[MC_PATH_ROOM];
    if (status == MC_OK || status == MC_E_IO) return status;
    return mc_wrap(b->err, "%s", mc_show_path(b->path, shown, sizeof shown));
}

static mc_status prepare(writer *b, const mc_model *m, const mc_onnx_write_options *options)
{
    mc_status status = open_writer(b, m, options);
    if (status == MC_OK) status = measure(b);
    return name_file(b, status);
}

static void close_writer(writer *b)
{
    mc_region_close(&b->lengths);
    mc_region_close(&b->memory);
}

mc_status mc_onnx_write_sizes(const mc_model *model, const mc_onnx_write_options *options,
                              const char *path, mc_onnx_sizes *out, mc_err *err)
{
    writer b = {.path = path, .err = err};
    const mc_status status = prepare(&b, model, options);
    *out = b.sizes;
    close_writer(&b);
    return status;
}

/* ---- files ---- */

/* Of two files one has to be named first. The data is: a model whose data is missing would be worse
 * than data that no model speaks of. When the model then fails, its data goes too. */
static mc_status commit(writer *b, mc_out **data, mc_out **model, const char *data_path)
{
    mc_out *d = *data, *m = *model;
    *data = NULL;
    if (d) MC_TRY(mc_out_commit(d, NULL, NULL, b->err));
    *model = NULL;
    const mc_status status = mc_out_commit(m, NULL, NULL, b->err);
    if (status != MC_OK && d) unlink(data_path);
    return status;
}

static mc_status write_files(writer *b)
{
    mc_onnx_writing *w = b->w;
    const mc_out_options how = {w->options.replace, w->options.no_fsync};
    const char *data_path = mc_format(w->mem, "%s.data", b->path);
    if (!data_path) return mc_no_room(b->err, "the model");
    mc_status status = mc_out_open(b->path, b->sizes.model, how, &w->emit.out, b->err);
    if (status == MC_OK && b->sizes.data > 0)
        status = mc_out_open(data_path, b->sizes.data, how, &w->data, b->err);
    if (status == MC_OK) status = name_file(b, pass(b, MC_EMIT_WRITE));
    if (status == MC_OK) status = commit(b, &w->data, &w->emit.out, data_path);
    mc_out_discard(w->data);
    mc_out_discard(w->emit.out);
    return status;
}

mc_status mc_onnx_write(const mc_model *model, const mc_onnx_write_options *options,
                        const char *path, mc_err *err)
{
    writer b = {.path = path, .err = err};
    mc_status status = prepare(&b, model, options);
    if (status == MC_OK) status = write_files(&b);
    close_writer(&b);
    return status;
}
