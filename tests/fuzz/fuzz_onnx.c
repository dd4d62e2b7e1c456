/* An ONNX model: the input is the whole file, without files beside it. What is accepted must have
 * tensors that can be read, in order, and a graph that holds together. The same bytes are read as a
 * value of test data, too. What was read is written, and what is then read is the same; written
 * once more it is so byte by byte. */
#include "tests/fuzz/fuzz_file.h"

#include "core/bytes.h"
#include "formats/formats.h"
#include "formats/onnx.h"
#include "formats/onnx_file.h"
#include "tests/support/onnx_same.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned seen; /* so that reading is not left out */

static void must(bool holds)
{
    if (!holds) abort();
}

/* Memory is counted beforehand, so it never runs out. */
static void check_failure(mc_status status, const mc_err *err)
{
    must(status == MC_E_FORMAT || status == MC_E_UNSUPPORTED);
    must(memchr(err->text, '\0', sizeof err->text) && mc_is_utf8(err->text, strlen(err->text)));
}

static void touch(const unsigned char *at, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) seen += at[i];
}

static void check_tensors(const mc_model *m)
{
    for (size_t i = 0; i < m->tensors; i++) {
        const mc_tensor *t = &m->tensor[i];
        must(t->ndim >= 0 && t->ndim <= MC_MAX_DIMS && t->source < m->sources);
        must(i == 0 || strcmp(m->tensor[i - 1].name, t->name) < 0);
        touch(t->data, t->bytes);
        touch(m->onnx->tensor[i].raw.at, m->onnx->tensor[i].raw.bytes);
    }
}

/* A node comes behind those that it needs, in its own graph. */
static void check_graph(const mc_graph *g)
{
    for (size_t i = 0; i < g->nodes; i++) {
        const mc_node *n = &g->node[i];
        for (size_t k = 0; k < n->ins; k++) {
            must(n->in[k] == MC_NONE || n->in[k] < g->values);
            if (n->in[k] == MC_NONE) continue;
            const mc_id producer = g->value[n->in[k]].producer;
            must(producer == MC_NONE || producer < i);
        }
        for (size_t k = 0; k < n->outs; k++)
            must(n->out[k] == MC_NONE || g->value[n->out[k]].producer == i);
        touch(n->raw.at, n->raw.bytes);
        seen += (unsigned)strlen(n->op) + (unsigned)strlen(n->domain) + (unsigned)strlen(n->name);
    }
    for (size_t i = 0; i < g->values; i++) {
        const mc_value *v = &g->value[i];
        must(v->outer == MC_NONE || (g->outer && v->outer < g->outer->values));
        if (v->constant && v->constant->data) touch(v->constant->data, v->constant->bytes);
    }
}

static void check_model(const mc_model *m)
{
    must(m->graph || m->no_graph);
    check_tensors(m);
    for (size_t i = 0; i < m->onnx->graphs; i++) check_graph(m->onnx->graph[i].graph);
    for (size_t i = 1; i < m->metadatas; i++)
        must(strcmp(m->metadata[i - 1].key, m->metadata[i].key) < 0);
}

static void read_model(const char *path, mc_model *m)
{
    const mc_read_options options = {.external = MC_EXTERNAL_NONE};
    mc_err err = {0};
    must(mc_format_onnx.read(path, &options, m, &err) == MC_OK);
}

static void write_and_read(const mc_model *model)
{
    const mc_onnx_write_options options = {.replace = true, .no_fsync = true};
    const char *folder = getenv("TMPDIR");
    char first[256], second[256];
    mc_model again, last;
    mc_err err = {0};
    snprintf(first, sizeof first, "%s/fuzz-%ld-1.onnx", folder ? folder : "/tmp", (long)getpid());
    snprintf(second, sizeof second, "%s/fuzz-%ld-2.onnx", folder ? folder : "/tmp", (long)getpid());
    const mc_status status = mc_onnx_write(model, &options, first, &err);
    if (status != MC_OK) {
        check_failure(status, &err);
        return;
    }
    read_model(first, &again);
    const char *found = onnx_difference(model, &again);
    if (found) fprintf(stderr, "written, then read: %s\n", found);
    must(!found);
    must(mc_onnx_write(&again, &options, second, &err) == MC_OK);
    read_model(second, &last);
    const mc_map *a = &again.source[0].map, *b = &last.source[0].map;
    must(a->size == b->size && memcmp(a->data, b->data, a->size) == 0);
    mc_model_close(&last);
    mc_model_close(&again);
    unlink(first);
    unlink(second);
}

static void read_as_value(const uint8_t *data, size_t size, mc_nd_kind kind)
{
    mc_err err = {0};
    mc_region room;
    mc_nd value;
    must(mc_region_open(&room, 64 * size + (1 << 20), &err) == MC_OK);
    const mc_status status =
        mc_onnx_value_parse(data, size, "fuzz", kind, &room.arena, &value, &err);
    if (status != MC_OK) {
        check_failure(status, &err);
    } else if (kind == MC_ND_TENSOR) {
        for (size_t i = 0; i < value.count && value.dtype != MC_STRING; i++)
            seen += mc_nd_real(&value, i) > 0;
    }
    mc_region_close(&room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    const int fd = fuzz_file(data, size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);

    const mc_read_options options = {.external = MC_EXTERNAL_NONE};
    mc_model model;
    mc_err err = {0};
    const mc_status status = mc_format_onnx.read(path, &options, &model, &err);
    close(fd);
    if (status == MC_OK) {
        check_model(&model);
        write_and_read(&model);
        mc_model_close(&model);
    } else {
        check_failure(status, &err);
    }
    for (int kind = MC_ND_TENSOR; kind <= MC_ND_OPTIONAL; kind++)
        read_as_value(data, size, (mc_nd_kind)kind);
    return 0;
}
