/* Models and containers behind one face. */
#include "cli/subject.h"

#include "cli/pipeline_outputs.h"

#include "formats/formats.h"
#include "verify/pieces.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

mc_status mc_subject_open(const char *path, const mc_options *options, mc_subject *out, mc_err *err)
{
    *out = (mc_subject){.path = path};
    struct stat about;
    if (stat(path, &about) != 0) return mc_fail_errno(err, errno, "%s: cannot open", path);

    if (S_ISREG(about.st_mode)) {
        mc_map map;
        MC_TRY(mc_map_open(path, options->no_follow ? MC_NO_FOLLOW : 0, &map, err));
        out->is_container = mc_container_is(map.data, map.size);
        if (out->is_container) return mc_container_open_map(map, path, &out->container, err);
        mc_map_close(&map);
    }
    const mc_read_options how = mc_reading(options);
    return mc_model_open(path, &how, &out->model, err);
}

void mc_subject_close(mc_subject *subject)
{
    if (subject->is_container)
        mc_container_close(&subject->container);
    else
        mc_model_close(&subject->model);
}

size_t mc_subject_tensors(const mc_subject *s)
{
    return s->is_container ? s->container.weights : s->model.tensors;
}

static uint64_t product(const uint64_t *dim, int ndim)
{
    uint64_t n = 1; /* the reader has refused what does not fit */
    for (int i = 0; i < ndim; i++) n *= dim[i];
    return n;
}

static mc_subject_tensor weight_at(const mc_container *c, size_t i)
{
    const mc_weight_spec *w = &c->weight[i];
    mc_subject_tensor t = {.name = w->name,
                           .form = w->form,
                           .dtype = w->dtype,
                           .ndim = w->ndim,
                           .dim = w->dim,
                           .count = product(w->dim, w->ndim)};
    for (uint32_t p = c->first_part[i]; p < c->first_part[i + 1]; p++) t.bytes += c->part[p].stored;
    t.numbers = w->form == MC_FORM_QUANTIZED || mc_dtype_about(w->dtype)->to_f32;
    if (w->form == MC_FORM_DENSE) {
        uint64_t bytes;
        t.raw = mc_container_dense(c, i, &bytes);
    }
    return t;
}

mc_subject_tensor mc_subject_at(const mc_subject *s, size_t i)
{
    if (s->is_container) return weight_at(&s->container, i);
    const mc_tensor *t = &s->model.tensor[i];
    return (mc_subject_tensor){.name = t->name,
                               .form = MC_FORM_DENSE,
                               .dtype = t->dtype,
                               .ndim = t->ndim,
                               .dim = t->dim,
                               .count = t->count,
                               .bytes = t->bytes,
                               .numbers = mc_dtype_about(t->dtype)->to_f32,
                               .raw = t->data};
}

uint64_t mc_subject_bytes(const mc_subject *s)
{
    if (s->is_container) return s->container.map.size;
    uint64_t bytes = 0;
    for (size_t i = 0; i < s->model.sources; i++) bytes += s->model.source[i].map.size;
    return bytes;
}

const char *mc_subject_format(const mc_subject *s)
{
    return s->is_container ? "container" : s->model.format;
}

mc_status mc_subject_to_f32(const mc_subject *s, size_t i, uint64_t first, uint64_t count,
                            float *out, mc_err *err)
{
    if (s->is_container) return mc_container_to_f32(&s->container, i, first, count, out, err);
    const mc_tensor *t = &s->model.tensor[i];
    mc_to_f32(t->dtype, t->data + mc_bytes_before(t->dtype, first), out, (size_t)count);
    return MC_OK;
}

void mc_subject_release(const mc_subject *s, size_t i, uint64_t first, uint64_t count)
{
    if (s->is_container) {
        const uint64_t all = mc_subject_at(s, i).count;
        mc_release_weight(&s->container, i, first, first + count, all);
        return;
    }
    const mc_tensor *t = &s->model.tensor[i];
    uint64_t at;
    if (mc_tensor_in_file(&s->model, t, &at))
        mc_release_tensor(&s->model.source[t->source].map, t, first, first + count);
}

void mc_subject_shape_text(const mc_subject_tensor *tensor, char *text, size_t room)
{
    mc_tensor t = {.ndim = tensor->ndim};
    memcpy(t.dim, tensor->dim, sizeof t.dim);
    mc_tensor_shape_text(&t, text, room);
}
