/* The outputs of both models, sample by sample, as an npz file. */
#include "verify/data_run.h"

#include <string.h>

/* Rows of an output: its shape without the first axis, which counts the one sample. */
static mc_status member_of(const mc_judging *j, size_t output, const char *name, mc_npz_member *m,
                           mc_err *err)
{
    const mc_nd *shape = &j->shape[output];
    const mc_value *v = &j->pair->graph->value[j->pair->graph->output[output]];
    if (shape->kind != MC_ND_TENSOR || shape->dtype == MC_STRING)
        return mc_fail(err, MC_E_UNSUPPORTED, "--dump: output '%s' holds no numbers", v->name);
    const int skip = shape->ndim > 0 && shape->dim[0] == 1 ? 1 : 0;
    *m = (mc_npz_member){.name = name,
                         .dtype = mc_nd_storage(shape->dtype),
                         .rows = j->samples,
                         .row_ndim = shape->ndim - skip};
    for (int d = skip; d < shape->ndim; d++) m->row_dim[d - skip] = (uint64_t)shape->dim[d];
    return MC_OK;
}

mc_status mc_dump_open(const char *path, bool replace, const mc_judging *j, mc_arena *mem,
                       mc_dump *out, mc_err *err)
{
    const size_t n = j->pair->graph->outputs;
    mc_npz_member *member = MC_NEW(mem, mc_npz_member, 2 * n + 1);
    *out = (mc_dump){.row_bytes = MC_NEW(mem, size_t, n + 1), .outputs = n};
    if (!member || !out->row_bytes) return mc_no_room(err, "the arrays of --dump");
    for (size_t i = 0; i < 2 * n; i++) {
        const char *output = j->pair->graph->value[j->pair->graph->output[i / 2]].name;
        const char *name = mc_format(mem, "%s/%s", i % 2 ? "container" : "original", output);
        if (!name) return mc_no_room(err, "the arrays of --dump");
        MC_TRY(member_of(j, i / 2, name, &member[i], err));
        out->row_bytes[i / 2] = j->shape[i / 2].count * mc_nd_width(j->shape[i / 2].dtype);
    }
    return mc_npz_out_open(path, replace, member, 2 * n, &out->file, err);
}

size_t mc_dump_slot_bytes(const mc_dump *dump)
{
    size_t bytes = 0;
    for (size_t i = 0; i < dump->outputs; i++) bytes += 2 * dump->row_bytes[i];
    return bytes;
}

mc_status mc_dump_see(const mc_dump *dump, const mc_judging *j, const mc_lane *lane,
                      unsigned char *slot, mc_err *err)
{
    for (size_t i = 0; i < 2 * dump->outputs; i++) {
        const mc_id id = j->pair->graph->output[i / 2];
        const mc_nd *nd = mc_run_value(i % 2 ? lane->container : lane->original, id);
        const size_t bytes = dump->row_bytes[i / 2];
        if (!nd || nd->count * mc_nd_width(nd->dtype) != bytes)
            return mc_fail(err, MC_E_UNSUPPORTED,
                           "--dump: output '%s' is of another size for other samples",
                           j->pair->graph->value[id].name);
        if (bytes > 0) memcpy(slot, nd->data, bytes);
        slot += bytes;
    }
    return MC_OK;
}

mc_status mc_dump_take(const mc_dump *dump, uint64_t row, const unsigned char *slot, mc_err *err)
{
    for (size_t i = 0; i < 2 * dump->outputs; i++) {
        MC_TRY(mc_npz_out_row(dump->file, i, row, slot, err));
        slot += dump->row_bytes[i / 2];
    }
    return MC_OK;
}

mc_status mc_dump_commit(mc_dump *dump, mc_err *err)
{
    mc_npz_out *file = dump->file;
    dump->file = NULL;
    return file ? mc_npz_out_commit(file, err) : MC_OK;
}

void mc_dump_discard(mc_dump *dump)
{
    mc_npz_out_discard(dump->file);
    dump->file = NULL;
}
