#include "data_case.h"

#include "tests/support/scratch_model.h"

#include "core/file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

data_case data_begin(mc_task task)
{
    data_case c = {.model = {.path = "model", .task = task}};
    mc_err err = {0};
    cr_assert_eq(mc_region_open(&c.memory, (size_t)1 << 24, &err), MC_OK);
    c.model.graph = mc_graph_new(&c.memory.arena, "g");
    cr_assert_not_null(c.model.graph);
    c.model.graph->mem = NULL;
    return c;
}

void data_input(data_case *c, const char *name, mc_dtype dtype, int ndim, const int64_t *dim)
{
    c->model.graph->mem = &c->memory.arena; /* the case may have moved */
    cr_assert_neq(mc_graph_add_input(c->model.graph, name, dtype, ndim, dim), MC_NONE);
    c->model.graph->mem = NULL;
}

data_case data_language(const char *tokenizer)
{
    data_case c = data_begin(MC_TASK_LANGUAGE);
    const int64_t any[] = {-1, -1};
    data_input(&c, "input_ids", MC_I64, 2, any);
    if (!tokenizer) return c;
    mc_err err = {0};
    const char *path =
        mc_format(&c.memory.arena, "%s/tests/golden/tokenizer/%s", MC_SOURCE_DIR, tokenizer);
    mc_source *source = MC_NEW(&c.memory.arena, mc_source, 1);
    cr_assert(path && source);
    *source = (mc_source){.path = "tokenizer.json", .role = "tokenizer"};
    cr_assert_eq(mc_map_open(path, 0, &source->map, &err), MC_OK, "%s", err.text);
    c.model.source = source;
    c.model.sources = 1;
    return c;
}

void data_end(data_case *c)
{
    for (size_t i = 0; i < c->model.sources; i++) mc_map_close(&c->model.source[i].map);
    mc_region_close(&c->memory);
}

mc_dataset *data_open(const data_case *c, const char *path, const mc_dataset_options *options)
{
    const mc_dataset_options none = {0};
    mc_dataset *d = NULL;
    mc_err err = {0};
    cr_assert_eq(mc_dataset_open(path, &c->model, options ? options : &none, &d, &err), MC_OK, "%s",
                 err.text);
    return d;
}

void data_refused(const data_case *c, const char *path, const mc_dataset_options *options,
                  mc_status status, const char *message)
{
    const mc_dataset_options none = {0};
    mc_dataset *d = NULL;
    mc_err err = {0};
    const mc_status found = mc_dataset_open(path, &c->model, options ? options : &none, &d, &err);
    cr_expect_eq(found, status, "%s: status %d, wanted %d (%s)", path, (int)found, (int)status,
                 err.text);
    cr_expect_str_eq(err.text, message, "found  %s\nwanted %s", err.text, message);
    cr_expect_null(d);
    mc_dataset_close(d);
}

void data_sample(data_case *c, const mc_dataset *d, uint64_t i)
{
    mc_err err = {0};
    mc_arena room = c->memory.arena; /* the last sample may go */
    memset(c->input, 0x55, sizeof c->input);
    cr_assert_eq(mc_dataset_sample(d, i, &room, c->input, &err), MC_OK, "%s", err.text);
}

void data_sample_refused(data_case *c, const mc_dataset *d, uint64_t i, mc_status status,
                         const char *message)
{
    mc_err err = {0};
    mc_arena room = c->memory.arena;
    cr_expect_eq(mc_dataset_sample(d, i, &room, c->input, &err), status);
    cr_expect_str_eq(err.text, message, "found  %s\nwanted %s", err.text, message);
}

void data_put(const char *path, blob b)
{
    scratch_put(path, b.at, b.n);
    blob_free(&b);
}

void data_put_f32(const char *path, const char *shape, const float *x, size_t n)
{
    data_put(path, npy_of("<f4", shape, x, n * sizeof *x));
}

void data_put_i64(const char *path, const char *shape, const int64_t *x, size_t n)
{
    data_put(path, npy_of("<i8", shape, x, n * sizeof *x));
}
