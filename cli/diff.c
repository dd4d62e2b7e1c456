/* Values side by side. Tensors are paired by name, cut into pieces by shape, and the pieces stream through the pool;
 * their sums (verify/metrics.h) are merged in order, so the figures do not depend on the threads. */
#include "cli/diff.h"

#include "core/ckd.h"
#include "verify/metrics.h"

#include <stdlib.h>
#include <string.h>

enum {
    PIECE = 1 << 18, /* elements; a multiple of 8, so that pieces are whole bytes */
    CHUNK = 1 << 14, /* elements decoded at one time */
};

typedef struct {
    const mc_subject *a, *b;
    mc_diff *diff;
    uint64_t *first_piece; /* entries + 1 */
    mc_sums running;       /* of the tensor whose pieces are being merged */
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

/* The entry that piece i belongs to: the last one that starts at or before it and is not empty. */
static size_t entry_of(const job *j, uint64_t i)
{
    size_t low = 0, high = j->diff->entries;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (j->first_piece[middle] <= i)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static bool same_bytes(const mc_subject_tensor *a, const mc_subject_tensor *b, uint64_t first,
                       uint64_t count)
{
    if (!a->raw || !b->raw || a->dtype != b->dtype) return false;
    const uint64_t bits = mc_dtype_about(a->dtype)->bits;
    const size_t from = (size_t)(first / 8 * bits); /* pieces begin at multiples of 8 */
    const size_t n = (size_t)(count / 8 * bits + (count % 8 * bits + 7) / 8);
    return memcmp(a->raw + from, b->raw + from, n) == 0;
}

static mc_status measure(const job *j, const mc_diff_entry *e, uint64_t first, uint64_t count,
                         found *out, mc_arena scratch, mc_err *err)
{
    const mc_subject_tensor a = mc_subject_at(j->a, e->a), b = mc_subject_at(j->b, e->b);
    out->same_bytes = (!a.raw && !b.raw) || same_bytes(&a, &b, first, count);
    if (!a.numbers || !b.numbers) return MC_OK;

    /* Of two quantized weights the values stand for the bytes. */
    float *w = MC_NEW_RAW(&scratch, float, CHUNK);
    float *v = MC_NEW_RAW(&scratch, float, CHUNK);
    if (!w || !v) return mc_no_room(err, "a chunk of weights");
    for (uint64_t at = first; at < first + count; at += CHUNK) {
        const uint64_t left = first + count - at;
        const size_t n = left < CHUNK ? (size_t)left : CHUNK;
        MC_TRY(mc_subject_to_f32(j->a, e->a, at, n, w, scratch, err));
        MC_TRY(mc_subject_to_f32(j->b, e->b, at, n, v, scratch, err));
        if (!a.raw && !b.raw && memcmp(w, v, n * sizeof *w) != 0) out->same_bytes = false;
        mc_sums_add(&out->sums, w, v, n, at);
    }
    return MC_OK;
}

static mc_status make(void *data, size_t i, void *slot, mc_arena scratch, mc_err *err)
{
    const job *j = data;
    found *out = slot;
    memset(out, 0, sizeof *out);
    const size_t at = entry_of(j, i);
    const mc_diff_entry *e = &j->diff->entry[at];
    const uint64_t first = (i - j->first_piece[at]) * PIECE;
    const uint64_t left = mc_subject_at(j->a, e->a).count - first;
    const uint64_t count = left < PIECE ? left : PIECE;
    const mc_status status = measure(j, e, first, count, out, scratch, err);
    mc_subject_release(j->a, e->a, first, count);
    mc_subject_release(j->b, e->b, first, count);
    return status;
}

static mc_status take(void *data, size_t i, void *slot, mc_err *err)
{
    (void)err;
    job *j = data;
    const found *piece = slot;
    const size_t at = entry_of(j, i);
    mc_sums_merge(&j->running, &piece->sums);
    j->same_bytes = (i == j->first_piece[at] || j->same_bytes) && piece->same_bytes;
    if (i + 1 < j->first_piece[at + 1]) return MC_OK;

    /* Equal bytes are equal even where they hold NaN; other values are when nothing was lost. */
    mc_diff_entry *e = &j->diff->entry[at];
    e->measured = mc_subject_at(j->a, e->a).numbers && mc_subject_at(j->b, e->b).numbers;
    e->sqnr_db = mc_sqnr_db(&j->running);
    e->max_abs = j->running.max_abs;
    e->max_index = j->running.max_index;
    if (!j->same_bytes && !(e->measured && j->running.ee == 0.0)) e->kind = MC_DIFF_VALUES;
    memset(&j->running, 0, sizeof j->running);
    return MC_OK;
}

static mc_status cut(job *j, mc_arena *mem, mc_err *err)
{
    j->first_piece = MC_NEW(mem, uint64_t, j->diff->entries + 1);
    if (!j->first_piece) return mc_no_room(err, "the pieces");
    for (size_t i = 0; i < j->diff->entries; i++) {
        const mc_diff_entry *e = &j->diff->entry[i];
        const bool compared = e->kind == MC_DIFF_EQUAL;
        const uint64_t count = compared ? mc_subject_at(j->a, e->a).count : 0;
        j->first_piece[i + 1] = j->first_piece[i] + mc_ceil_div(count, PIECE);
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

mc_status mc_diff_run(const mc_subject *a, const mc_subject *b, mc_pool *pool, mc_arena *mem,
                      mc_diff *out, mc_err *err)
{
    *out = (mc_diff){.containers = a->is_container && b->is_container};
    MC_TRY(pair(a, b, mem, out, err));
    job j = {.a = a, .b = b, .diff = out};
    MC_TRY(cut(&j, mem, err));

    const mc_stream stream = {.n = (size_t)j.first_piece[out->entries],
                              .slot_bytes = sizeof(found),
                              .make = make,
                              .take = take};
    MC_TRY(mc_pool_stream(pool, &stream, &j, err));
    total(out);
    if (out->containers) mc_diff_bytes(&a->container, &b->container, out);
    return MC_OK;
}

bool mc_diff_is_equal(const mc_diff *diff)
{
    return diff->kind[MC_DIFF_EQUAL] == diff->entries;
}
