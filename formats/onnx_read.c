/* ONNX files -> mc_model.
 *
 * Two walks over the file: mc_pb_check sees that it is well-formed and counts what is in it, so
 * that all memory is had at once; then the parts are read (onnx_graph.c, onnx_node.c,
 * onnx_tensor.c). Tensors are listed as they come and moved into the order of their names at the
 * end, when whoever points at one is told where it went. */
#include "core/op.h"
#include "formats/limits.h"
#include "formats/model_build.h"
#include "formats/onnx_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    mc_model *m;
    mc_map map; /* until it is a source */
    mc_onnx_externals files;
    mc_region work;
    mc_pb_counts counts;
    mc_onnx_read r;
    mc_onnx_file *file;
    mc_cursor model; /* the ModelProto */
    mc_err *err;
} reading;

/* ---- memory ---- */

static mc_status open_memory(reading *b, const char *path)
{
    const size_t each = sizeof(mc_tensor) + sizeof(mc_onnx_tensor_place) + 256;
    const size_t files = (MC_SHARD_LIMIT + 1) * (2 * sizeof(mc_source) + 128);
    size_t bytes = b->counts.bytes, work;
    if (bytes > SIZE_MAX / 8) return mc_no_room(b->err, "the model");
    bytes += b->counts.tensors * each + b->counts.graphs * 64 + files + 2 * strlen(path) + 8192;
    work = bytes + mc_sort_tensors_memory(b->counts.tensors);
    MC_TRY(mc_region_open(&b->m->memory, bytes, b->err));
    MC_TRY(mc_region_open(&b->work, work, b->err));

    mc_arena *mem = &b->m->memory.arena;
    b->r = (mc_onnx_read){.mem = mem, .work = &b->work.arena, .files = &b->files, .err = b->err};
    b->r.graph = MC_NEW_RAW(mem, mc_onnx_graph, b->counts.graphs + 1);
    b->r.tensor = MC_NEW_RAW(mem, mc_tensor, b->counts.tensors);
    b->r.place = MC_NEW_RAW(mem, mc_onnx_tensor_place, b->counts.tensors);
    b->file = MC_NEW(mem, mc_onnx_file, 1);
    b->files.mem = mem;
    b->files.work = &b->work.arena;
    b->files.file = MC_NEW_RAW(&b->work.arena, mc_source, MC_SHARD_LIMIT);
    b->m->path = mc_copy_text(mem, path, strlen(path));
    if (!b->r.graph || !b->r.tensor || !b->r.place || !b->file || !b->files.file || !b->m->path)
        return mc_no_room(b->err, "the model");
    return MC_OK;
}

/* ---- the parts of ModelProto ---- */

static mc_status keep_rest(reading *b)
{
    mc_cursor in = b->model;
    mc_wire_field f;
    size_t n = 0;
    while (mc_wire_next(&in, &f)) n += f.number != 7;
    mc_raw *rest = MC_NEW_RAW(b->r.mem, mc_raw, n);
    if (!rest) return mc_no_room(b->err, "the parts of the model");
    b->file->raw = (mc_raw){b->model.at, mc_left(&b->model)};
    b->file->rest = rest;
    in = b->model;
    while (mc_wire_next(&in, &f)) {
        if (f.number != 7) rest[b->file->rests++] = (mc_raw){f.from, (size_t)(in.at - f.from)};
        if (f.number == 1) b->file->ir_version = mc_wire_signed(f.value);
    }
    return MC_OK;
}

/* Before IR 3 there were no operator sets: all was version 1. */
static mc_status read_opsets(reading *b)
{
    static const mc_opset first = {"", 1};
    if (b->file->ir_version < 1)
        return mc_fail(b->err, MC_E_FORMAT, "ir_version is %" PRId64 ", must be 1 or more",
                       b->file->ir_version);
    MC_TRY(mc_onnx_read_opsets(&b->r, b->model, 8));
    if (b->r.opsets == 0 && b->file->ir_version < 3) {
        b->r.opset = &first;
        b->r.opsets = 1;
    }
    if (b->r.opsets == 0) return mc_fail(b->err, MC_E_FORMAT, "imports no operator set");
    mc_opset *own = MC_NEW_RAW(b->r.mem, mc_opset, b->r.opsets);
    if (!own) return mc_no_room(b->err, "the list of operator sets");
    memcpy(own, b->r.opset, b->r.opsets * sizeof *own);
    b->m->opset = own;
    b->m->opsets = b->r.opsets;
    return MC_OK;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const mc_pair *)a)->key, ((const mc_pair *)b)->key);
}

static mc_status read_pair(reading *b, mc_cursor in, mc_pair *out)
{
    mc_wire_field f;
    *out = (mc_pair){"", ""};
    while (mc_wire_next(&in, &f)) {
        if (f.number == 1 && !(out->key = mc_onnx_text(&b->r, f.bytes))) return b->err->status;
        if (f.number == 2 && !(out->value = mc_onnx_text(&b->r, f.bytes))) return b->err->status;
    }
    return MC_OK;
}

static mc_status read_metadata(reading *b)
{
    mc_cursor in = b->model;
    mc_wire_field f;
    size_t n = 0;
    while (mc_wire_next(&in, &f)) n += f.number == 14;
    mc_pair *list = MC_NEW_RAW(b->r.mem, mc_pair, n);
    if (!list) return mc_no_room(b->err, "the metadata");
    b->m->metadata = list;
    in = b->model;
    while (mc_wire_next(&in, &f))
        if (f.number == 14) MC_TRY(read_pair(b, f.bytes, &list[b->m->metadatas++]));
    if (n > 1) qsort(list, n, sizeof *list, by_key);
    for (size_t i = 1; i < n; i++)
        if (by_key(&list[i - 1], &list[i]) == 0)
            return mc_fail(b->err, MC_E_FORMAT, "metadata_props has key %s twice",
                           mc_quote(list[i].key).text);
    return MC_OK;
}

static mc_status read_graphs(reading *b)
{
    mc_cursor in = b->model, graph = {NULL, NULL};
    mc_wire_field f;
    while (mc_wire_next(&in, &f))
        if (f.number == 7) graph = f.bytes;
    if (!graph.at) return mc_fail(b->err, MC_E_FORMAT, "holds no graph");
    MC_TRY(mc_onnx_read_graph(&b->r, graph, false, NULL, &b->m->graph));
    return mc_onnx_read_functions(&b->r, b->model, b->m->graph);
}

/* ---- tensors ---- */

/* Graphs apart may use one name for two tensors. The first keeps it, the others are called NAME#2,
 * NAME#3, …, as far as those names are free. */
static mc_status name_apart(reading *b)
{
    mc_onnx_names names = {0};
    const size_t n = b->r.tensors;
    mc_arena work = b->work.arena;
    unsigned *last = MC_NEW(&work, unsigned, n); /* the number given last, of the first */
    bool *again = MC_NEW(&work, bool, n);
    if (!last || !again) return mc_no_room(b->err, "the list of tensors");
    for (size_t i = 0; i < n; i++) {
        const char *name = b->r.tensor[i].name;
        const mc_onnx_names_result got =
            mc_onnx_names_add(&names, &work, name, strlen(name), (mc_id)i);
        if (got == MC_NAMES_FULL) return mc_no_room(b->err, "the list of tensors");
        again[i] = got == MC_NAMES_THERE;
    }
    for (size_t i = 0; i < n; i++) {
        if (!again[i]) continue;
        mc_tensor *t = &b->r.tensor[i];
        unsigned *number = &last[mc_onnx_names_find(&names, t->name, strlen(t->name))];
        if (*number == 0) *number = 1;
        for (mc_onnx_names_result got = MC_NAMES_THERE; got != MC_NAMES_ADDED;) {
            mc_arena mem = *b->r.mem;
            const char *name = mc_format(&mem, "%s#%u", t->name, ++*number);
            got = name ? mc_onnx_names_add(&names, &work, name, strlen(name), (mc_id)i)
                       : MC_NAMES_FULL;
            if (got == MC_NAMES_FULL) return mc_no_room(b->err, "the list of tensors");
            if (got == MC_NAMES_ADDED) *b->r.mem = mem, t->name = name;
        }
    }
    return MC_OK;
}

/* Tells the value or Constant that a tensor belongs to where it lies now. */
static void point_at(const mc_onnx_tensor_place *place, const mc_tensor *t)
{
    mc_graph *g = (mc_graph *)(uintptr_t)place->graph;
    if (place->node == MC_NONE) {
        g->value[place->value].constant = t;
        return;
    }
    mc_node *node = &g->node[place->node];
    for (size_t i = 0; i < node->attrs; i++)
        if (strcmp(node->attr[i].name, "value") == 0) node->attr[i].t = t;
}

static mc_status sort_tensors(reading *b)
{
    const size_t n = b->r.tensors;
    MC_TRY(name_apart(b));
    mc_arena work = b->work.arena;
    uint32_t *was = MC_NEW_RAW(&work, uint32_t, n);
    mc_onnx_tensor_place *place = MC_NEW_RAW(b->r.mem, mc_onnx_tensor_place, n);
    if (!was || !place || (n > 0 && !mc_sort_tensors(b->r.tensor, n, was, work)))
        return mc_no_room(b->err, "the list of tensors");
    for (size_t i = 0; i < n; i++) {
        place[i] = b->r.place[was[i]];
        point_at(&place[i], &b->r.tensor[i]);
    }
    b->r.place = place;
    b->m->tensor = b->r.tensor;
    b->m->tensors = n;
    return MC_OK;
}

/* ---- the graph as a whole ---- */

static mc_status order_graph(reading *b, mc_graph *g, const char *name)
{
    MC_TRY(mc_graph_check(g, name, b->err));
    return mc_graph_order(g, name, b->work.arena, b->err);
}

static mc_status order_graphs(reading *b)
{
    mc_graph *g = b->m->graph;
    MC_TRY(order_graph(b, g, "the graph"));
    for (size_t i = 0; i < g->functions; i++) {
        char name[MC_QUOTE_ROOM + 16] = "function ";
        const mc_quoted quoted = mc_quote(g->function[i].name);
        memcpy(name + strlen(name), quoted.text, strlen(quoted.text) + 1);
        MC_TRY(order_graph(b, (mc_graph *)(uintptr_t)g->function[i].body, name));
    }
    /* Nothing grows any more, and nodes have moved. */
    for (size_t i = 0; i < b->r.graphs; i++)
        ((mc_graph *)(uintptr_t)b->r.graph[i].graph)->mem = NULL;
    for (size_t i = 0; i < b->r.tensors; i++) {
        mc_onnx_tensor_place *p = &b->r.place[i];
        if (p->node != MC_NONE) p->node = p->graph->value[p->value].producer;
    }
    return MC_OK;
}

/* The first output gives numbers of two or more classes to each sample, or to each token of rows of
 * whole numbers: words of a language, as far as shapes can tell. */
static mc_task task_of(const mc_graph *g)
{
    if (g->outputs == 0 || g->inputs == 0) return MC_TASK_NONE;
    const mc_value *out = &g->value[g->output[0]], *in = &g->value[g->input[0]];
    if (!mc_dtype_about(out->dtype)->is_float) return MC_TASK_NONE;
    if (out->ndim == 2 && out->dim[1] >= 2) return MC_TASK_CLASSIFY;
    const bool ids = in->ndim == 2 && (in->dtype == MC_I64 || in->dtype == MC_I32);
    return ids && out->ndim == 3 ? MC_TASK_LANGUAGE : MC_TASK_NONE;
}

/* What has no meaning here cannot be run, but its weights can be seen. */
static void decide_graph(reading *b)
{
    mc_model *m = b->m;
    for (size_t i = 0; i < m->opsets; i++) {
        if (m->opset[i].domain[0] != '\0' || m->opset[i].version <= MC_OPSET_NEWEST) continue;
        m->no_graph = mc_format(b->r.mem,
                                "the model is of opset %" PRId64 " of ai.onnx, the newest that is "
                                "known is %d",
                                m->opset[i].version, (int)MC_OPSET_NEWEST);
    }
    if (b->r.sparse)
        m->no_graph =
            mc_format(b->r.mem, "value %s has a sparse initializer", mc_quote(b->r.sparse).text);
    if (!m->no_graph) {
        m->task = task_of(m->graph);
        return;
    }
    m->graph = NULL;
}

/* ---- sources ---- */

static int by_path(const void *a, const void *b)
{
    return strcmp(((const mc_source *)a)->path, ((const mc_source *)b)->path);
}

/* The model first, its external files by name; tensors learn the places of theirs. Nothing may fail
 * once maps have moved: then each has one owner at any time. */
static mc_status list_sources(reading *b)
{
    mc_model *m = b->m;
    const size_t n = b->files.files;
    mc_source *list = MC_NEW(b->r.mem, mc_source, n + 1);
    uint32_t *to = MC_NEW_RAW(&b->work.arena, uint32_t, n + 1);
    mc_source *sorted = MC_NEW_RAW(&b->work.arena, mc_source, n);
    if (!list || !to || !sorted) return mc_no_room(b->err, "the list of files");
    for (size_t i = 0; i < n; i++) {
        sorted[i] = b->files.file[i];
        sorted[i].map.slot = (int)i; /* stands for the number while they are sorted */
    }
    if (n > 1) qsort(sorted, n, sizeof *sorted, by_path);
    to[0] = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t was = (size_t)sorted[i].map.slot;
        to[was + 1] = (uint32_t)i + 1;
        list[i + 1] = b->files.file[was];
    }
    for (size_t i = 0; i < m->tensors; i++) m->tensor[i].source = to[m->tensor[i].source];
    list[0] = (mc_source){.path = m->path, .role = "weights", .map = b->map};
    m->source = list;
    m->sources = n + 1;
    b->map = (mc_map){0};
    b->files.files = 0;
    return MC_OK;
}

static mc_status read_parts(reading *b)
{
    MC_TRY(keep_rest(b));
    MC_TRY(read_opsets(b));
    MC_TRY(read_metadata(b));
    MC_TRY(read_graphs(b));
    MC_TRY(sort_tensors(b));
    MC_TRY(order_graphs(b));
    decide_graph(b);
    b->file->graph = b->r.graph;
    b->file->graphs = b->r.graphs;
    b->file->tensor = b->r.place;
    b->m->onnx = b->file;
    b->m->format = "onnx";
    return list_sources(b);
}

static mc_status read_all(reading *b, const char *path)
{
    static const unsigned char none[1];
    b->model.at = b->map.data ? b->map.data : none;
    b->model.end = b->model.at + b->map.size;
    MC_TRY(mc_pb_check(b->model, MC_PB_MODEL, path, &b->counts, b->err));
    MC_TRY(open_memory(b, path));
    if (read_parts(b) == MC_OK) return MC_OK;
    char shown[MC_PATH_ROOM];
    return mc_wrap(b->err, "%s", mc_show_path(path, shown, sizeof shown));
}

static mc_status read_model(const char *path, const mc_read_options *options, mc_model *out,
                            mc_err *err)
{
    reading b = {.m = out, .err = err, .files = {.model = path, .policy = options->external}};
    *out = (mc_model){0};
    MC_TRY(mc_map_open(path, options->no_follow ? MC_NO_FOLLOW : 0, &b.map, err));

    const mc_status status = read_all(&b, path);
    mc_map_close(&b.map); /* those that are still ours */
    for (size_t i = 0; i < b.files.files; i++) mc_map_close(&b.files.file[i].map);
    mc_region_close(&b.work);
    if (status != MC_OK) mc_model_close(out);
    return status;
}

/* Protobuf has no magic: field 1 is a small ir_version, and one of the next fields of ModelProto
 * follows. */
static bool bids(const mc_probe *p)
{
    if (p->is_folder) return false;
    if (mc_ends_with(p->path, ".onnx")) return true;
    if (p->head_bytes < 3 || p->head[0] != 0x08 || p->head[1] == 0 || p->head[1] > 32) return false;
    return memchr("\x12\x1a\x22\x28\x32\x3a\x42", p->head[2], 7) != NULL;
}

const mc_format_reader mc_format_onnx = {.bids = bids, .read = read_model};

mc_nd_kind mc_onnx_value_kind(const mc_value *value)
{
    if (!value->raw.at) return MC_ND_TENSOR;
    mc_cursor info = {value->raw.at, value->raw.at + value->raw.bytes};
    mc_nd_kind kind = MC_ND_TENSOR;
    mc_wire_field f, t;
    while (mc_wire_next(&info, &f)) {
        if (f.number != 2) continue;
        while (mc_wire_next(&f.bytes, &t)) {
            if (t.number == 4) kind = MC_ND_SEQUENCE;
            if (t.number == 9) kind = MC_ND_OPTIONAL;
        }
    }
    return kind;
}
