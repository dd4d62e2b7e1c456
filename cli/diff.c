/* Values side by side. Tensors are paired by name, cut into pieces by shape, and the pieces stream
 * through the pool; their sums (verify/metrics.h) are merged in order, so the figures do not depend
 * on the threads. */
#include "cli/diff.h"

#include "verify/metrics.h"
#include "verify/pieces.h"

#include <stdlib.h>
#include <string.h>

enum {
    PIECE = 1 << 18, /* elements; a multiple of 8, so that pieces are whole bytes */
    CHUNK = 1 << 14, /* elements decoded at one time */
};

typedef struct {
    const mc_diff_input *in;
    mc_diff *diff;
    mc_pieces pieces;
    mc_sums running; /* of the tensor whose pieces are being merged */
    bool same_bytes;
} job;

/* What a piece finds out. */
typedef struct {
    mc_sums sums;
    bool same_bytes;
} found;

typedef struct {
    const char *name;
    size_t place;
} named;

/* ---- pairing ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const named *)a)->name, ((const named *)b)->name);
}

static named *names_of(const mc_subject *s, mc_arena *mem)
{
    const size_t n = mc_subject_tensors(s);
    named *list = MC_NEW(mem, named, n + 1);
    if (!list) return NULL;
    for (size_t i = 0; i < n; i++) list[i] = (named){mc_subject_at(s, i).name, i};
    qsort(list, n, sizeof *list, by_name);
    return list;
}

/* Before any value is looked at: MC_DIFF_EQUAL means that values decide. */
static mc_diff_kind compare_kind(const mc_subject_tensor *a, const mc_subject_tensor *b)
{
    if (a->ndim != b->ndim || memcmp(a->dim, b->dim, (size_t)a->ndim * sizeof a->dim[0]) != 0)
        return MC_DIFF_SHAPE;
    if (a->numbers && b->numbers) return MC_DIFF_EQUAL;
    return a->raw && b->raw && a->dtype == b->dtype ? MC_DIFF_EQUAL : MC_DIFF_DTYPE;
}

static mc_status pair(const mc_subject *a, const mc_subject *b, mc_arena *mem, mc_diff *out,
                      mc_err *err)
{
    const size_t in_a = mc_subject_tensors(a), in_b = mc_subject_tensors(b);
    const named *const from_a = names_of(a, mem), *const from_b = names_of(b, mem);
    out->entry = MC_NEW(mem, mc_diff_entry, in_a + in_b + 1);
    if (!from_a || !from_b || !out->entry) return mc_no_room(err, "the tensors to compare");

    for (size_t i = 0, k = 0; i < in_a || k < in_b;) {
        int order = i == in_a ? 1 : -1;
        if (i < in_a && k < in_b) order = strcmp(from_a[i].name, from_b[k].name);
        mc_diff_entry *e = &out->entry[out->entries++];
        e->name = order <= 0 ? from_a[i].name : from_b[k].name;
        e->kind = order < 0 ? MC_DIFF_ONLY_A : MC_DIFF_ONLY_B;
        if (order <= 0) e->a = from_a[i++].place;
        if (order >= 0) e->b = from_b[k++].place;
        if (order != 0) continue;
        const mc_subject_tensor x = mc_subject_at(a, e->a), y = mc_subject_at(b, e->b);
        e->kind = compare_kind(&x, &y);
    }
    return MC_OK;
}

/* ---- measuring ---- */

static bool same_bytes(const mc_subject_tensor *a, const mc_subject_tensor *b, uint64_t first,
                       uint64_t count)
{
    if (!a->raw || !b->raw || a->dtype != b->dtype) return false;
    const size_t from = mc_bytes_before(a->dtype, first);
    return memcmp(a->raw + from, b->raw + from, mc_bytes_before(a->dtype, count)) == 0;
}

static mc_status measure(const job *j, const mc_diff_entry *e, uint64_t first, uint64_t count,
                         found *out, mc_arena scratch, mc_err *err)
{
    const mc_subject_tensor a = mc_subject_at(j->in->a, e->a), b = mc_subject_at(j->in->b, e->b);
    const bool packed = a.form == MC_FORM_QUANTIZED && b.form == MC_FORM_QUANTIZED;
    out->same_bytes = packed || same_bytes(&a, &b, first, count);
    if (!a.numbers || !b.numbers) return MC_OK;

    float *w = MC_NEW_RAW(&scratch, float, CHUNK);
    float *v = MC_NEW_RAW(&scratch, float, CHUNK);
    if (!w || !v) return mc_no_room(err, "a chunk of weights");
    for (uint64_t at = first; at < first + count; at += CHUNK) {
        const uint64_t left = first + count - at;
        const size_t n = left < CHUNK ? (size_t)left : CHUNK;
        MC_TRY(mc_subject_to_f32(j->in->a, e->a, at, n, w, err));
        MC_TRY(mc_subject_to_f32(j->in->b, e->b, at, n, v, err));
        if (packed && memcmp(w, v, n * sizeof *w) != 0) out->same_bytes = false; /* decoded ones */
        mc_sums_add(&out->sums, w, v, n, at);
    }
    return MC_OK;
}

static mc_status make(void *data, size_t i, void *slot, mc_arena scratch, mc_err *err)
{
    const job *j = data;
    found *out = slot;
    memset(out, 0, sizeof *out);
    const size_t at = mc_pieces_tensor(&j->pieces, i);
    const mc_diff_entry *e = &j->diff->entry[at];
    const uint64_t first = (i - j->pieces.first[at]) * PIECE;
    const mc_subject_tensor a = mc_subject_at(j->in->a, e->a);
    const uint64_t left = a.count - first;
    const uint64_t count = left < PIECE ? left : PIECE;
    const mc_status status = measure(j, e, first, count, out, scratch, err);
    mc_subject_release(j->in->a, e->a, first, count);
    mc_subject_release(j->in->b, e->b, first, count);
    mc_meter_add(j->in->meter, (uint64_t)((double)a.bytes * (double)count / (double)a.count));
    return status;
}

static mc_status take(void *data, size_t i, void *slot, mc_err *err)
{
    (void)err;
    job *j = data;
    const found *piece = slot;
    const size_t at = mc_pieces_tensor(&j->pieces, i);
    mc_sums_merge(&j->running, &piece->sums);
    j->same_bytes = (i == j->pieces.first[at] || j->same_bytes) && piece->same_bytes;
    if (!mc_pieces_is_last(&j->pieces, at, i)) return MC_OK;

    /* Equal bytes are equal even where they hold NaN; other values are when nothing was lost. */
    mc_diff_entry *e = &j->diff->entry[at];
    e->measured = mc_subject_at(j->in->a, e->a).numbers && mc_subject_at(j->in->b, e->b).numbers;
    e->sqnr_db = mc_sqnr_db(&j->running);
    e->max_abs = j->running.max_abs;
    e->max_index = j->running.max_index;
    if (!j->same_bytes && !(e->measured && j->running.ee == 0.0)) e->kind = MC_DIFF_VALUES;
    memset(&j->running, 0, sizeof j->running);
    return MC_OK;
}

static mc_status cut(job *j, mc_arena *mem, mc_err *err)
{
    MC_TRY(mc_pieces_open(j->diff->entries, mem, &j->pieces, err));
    for (size_t i = 0; i < j->diff->entries; i++) {
        const mc_diff_entry *e = &j->diff->entry[i];
        const bool compared = e->kind == MC_DIFF_EQUAL;
        mc_pieces_add(&j->pieces, compared ? mc_subject_at(j->in->a, e->a).count : 0, PIECE);
    }
    return MC_OK;
}

static void total(mc_diff *diff)
{
    for (size_t i = 0; i < diff->entries; i++) {
        const mc_diff_entry *e = &diff->entry[i];
        diff->kind[e->kind]++;
        if (e->kind != MC_DIFF_VALUES || !e->measured) continue;
        if (!diff->worst || !(e->sqnr_db >= diff->worst->sqnr_db)) diff->worst = e;
    }
}

size_t mc_diff_memory(const mc_subject *a, const mc_subject *b)
{
    const size_t n = mc_subject_tensors(a) + mc_subject_tensors(b) + 2;
    return n * (sizeof(mc_diff_entry) + sizeof(named) + sizeof(uint64_t)) + 4096;
}

size_t mc_diff_scratch(void)
{
    return 2 * (CHUNK * sizeof(float) + 64) + 4096;
}

uint64_t mc_diff_bytes_needed(const mc_subject *a, const mc_subject *b, unsigned threads)
{
    enum { PROGRAM = 24 << 20, WINDOW = 16 << 20 }; /* pages of pieces, and of sections to check */
    const mc_subject *const both[] = {a, b};
    uint64_t bytes = PROGRAM + mc_diff_memory(a, b);
    bytes += threads * (uint64_t)(mc_diff_scratch() + WINDOW);
    bytes += mc_stream_slots(threads) * sizeof(found);
    for (size_t i = 0; i < 2; i++) {
        const mc_container *c = &both[i]->container;
        if (!both[i]->is_container)
            bytes += both[i]->model.memory.bytes;
        else /* tables, what was inflated, and the front, which is read in place */
            bytes += c->memory.bytes + (c->parts ? c->part[0].offset : 0);
    }
    return bytes;
}

mc_status mc_diff_run(const mc_diff_input *in, mc_arena *mem, mc_diff *out, mc_err *err)
{
    *out = (mc_diff){.containers = in->a->is_container && in->b->is_container};
    MC_TRY(pair(in->a, in->b, mem, out, err));
    job j = {.in = in, .diff = out};
    MC_TRY(cut(&j, mem, err));

    const mc_stream stream = {
        .n = mc_pieces_count(&j.pieces), .slot_bytes = sizeof(found), .make = make, .take = take};
    MC_TRY(mc_pool_stream(in->pool, &stream, &j, err));
    total(out);
    if (out->containers) mc_diff_bytes(&in->a->container, &in->b->container, out);
    return MC_OK;
}

bool mc_diff_is_equal(const mc_diff *diff)
{
    return diff->kind[MC_DIFF_EQUAL] == diff->entries;
}
