/* A container and its reference, both in files that have no name. */
#include "tests/support/measured_pair.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    const mc_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* Deterministic, of both signs, zero for every fifth element. */
static float noise(size_t i)
{
    return 0.01f * (float)((int)(i % 5) - 2) * (float)(1 + i % 11);
}

static void fill_tensor(measured_pair *p, size_t w, bool noisy, unsigned char *at, mc_tensor *t)
{
    const mc_weight_spec *spec = &p->container.weight[w];
    *t = (mc_tensor){.name = spec->name, .dtype = spec->dtype, .ndim = spec->ndim, .data = at};
    memcpy(t->dim, spec->dim, sizeof t->dim);
    t->count = spec->rows * spec->cols;
    if (spec->form == MC_FORM_DENSE) {
        const unsigned char *bytes = mc_container_dense(&p->container, w, &t->bytes);
        if (t->bytes) memcpy(at, bytes, (size_t)t->bytes);
        return;
    }
    float *v = malloc((size_t)t->count * sizeof *v + 1);
    cr_assert_not_null(v);
    cr_assert_eq(mc_container_to_f32(&p->container, w, 0, t->count, v, &p->err),
                 MC_OK, "%s", p->err.text);
    for (size_t i = 0; noisy && i < t->count; i++) v[i] += noise(i);
    t->bytes = t->count * mc_dtype_about(t->dtype)->bits / 8;
    mc_from_f32(t->dtype, v, at, (size_t)t->count);
    free(v);
}

static void open_reference(measured_pair *p, bool noisy)
{
    size_t room = 1;
    for (size_t w = 0; w < p->container.weights; w++)
        room += (size_t)(p->container.weight[w].rows * p->container.weight[w].cols * 8);
    unsigned char *bytes = calloc(room, 1);
    cr_assert_not_null(bytes);
    p->model.tensors = p->container.weights;
    p->model.tensor =
        calloc(p->model.tensors + 1, sizeof *p->model.tensor); /* one more for tests */
    cr_assert_not_null(p->model.tensor);

    size_t at = 0;
    for (size_t w = 0; w < p->model.tensors; w++) {
        fill_tensor(p, w, noisy, bytes + at, &p->model.tensor[w]);
        at += (size_t)p->model.tensor[w].bytes;
    }
    p->source.map = container_builder_map(bytes, at);
    for (size_t w = 0; w < p->model.tensors; w++)
        p->model.tensor[w].data = p->source.map.data + (p->model.tensor[w].data - bytes);
    free(bytes);
    qsort(p->model.tensor, p->model.tensors, sizeof *p->model.tensor, by_name);
    p->source.path = "ref.safetensors";
    p->source.role = "weights";
    p->model.path = "ref";
    p->model.source = &p->source;
    p->model.sources = 1;
}

void measured_pair_open(measured_pair *p, const container_builder *builder, bool noisy)
{
    size_t bytes;
    memset(p, 0, sizeof *p);
    cr_assert_eq(mc_region_open(&p->memory, (size_t)1 << 28, &p->err), MC_OK);
    unsigned char *image = container_builder_image(builder, &bytes);
    cr_assert_eq(
        mc_container_open_map(container_builder_map(image, bytes), "c.bin", &p->container, &p->err),
        MC_OK, "%s", p->err.text);
    free(image);
    open_reference(p, noisy);
}

void measured_pair_close(measured_pair *p)
{
    mc_map_close(&p->source.map);
    free(p->model.tensor);
    mc_container_close(&p->container);
    mc_region_close(&p->memory);
}

mc_status measured_pair_run(measured_pair *p, unsigned threads, mc_report *out)
{
    mc_pool *pool = NULL;
    cr_assert_eq(mc_pool_open(&pool, threads, mc_verify_scratch_bytes(), &p->err), MC_OK, "%s",
                 p->err.text);
    const mc_verify_input input = {&p->model, &p->container, pool, p->meter};
    const mc_status status = mc_verify_weights(&input, &p->memory.arena, out, &p->err);
    mc_pool_close(pool);
    return status;
}

mc_tensor *measured_pair_reference(measured_pair *p, size_t weight)
{
    for (size_t i = 0; i < p->model.tensors; i++)
        if (strcmp(p->model.tensor[i].name, p->container.weight[weight].name) == 0)
            return &p->model.tensor[i];
    return NULL;
}

unsigned char *measured_pair_edit(measured_pair *p, const mc_tensor *t)
{
    /* The copy must lie in a map: the measurement releases pages of it. */
    const size_t offset = (size_t)(t->data - p->source.map.data);
    unsigned char *copy = malloc(p->source.map.size);
    cr_assert_not_null(copy);
    memcpy(copy, p->source.map.data, p->source.map.size);
    return copy + offset;
}

void measured_pair_use(measured_pair *p, const mc_tensor *t, unsigned char *edited)
{
    unsigned char *copy = edited - (t->data - p->source.map.data);
    mc_map changed = container_builder_map(copy, p->source.map.size);
    for (size_t i = 0; i < p->model.tensors; i++)
        p->model.tensor[i].data = changed.data + (p->model.tensor[i].data - p->source.map.data);
    mc_map_close(&p->source.map);
    p->source.map = changed;
    free(copy);
}
