/* Measures a container against its source, weight by weight.
 *
 * Each weight is cut into pieces of about a million elements, by its shape alone. The pieces stream
 * through the pool: any thread measures a piece, and their sums are merged in order. Codes are
 * unpacked once, by the container's reader; values come from core's grid, so what is measured is
 * what docs/container.md says the bytes mean. Pages behind the cursor are released, in both
 * files. */
#include "verify/metrics.h"
#include "verify/pieces.h"
#include "verify/report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum {
    PIECE = 1 << 20, /* elements; a multiple of 8, so that pieces of 6-bit dtypes are whole bytes */
    BLOCK = 1 << 15, /* codes unpacked and counted in one go */
    CHUNK = 1 << 12, /* elements: w and v of a chunk stay in the nearest cache */
    SCRATCH = 2 << 20,
    PAGE = 4096,
    BYTE_STEP = 40, /* as many codes are whole bytes, whatever their encoding */
};

typedef struct {
    const mc_verify_input *in;
    const mc_container *c;
    const mc_tensor **pair;
    mc_pieces pieces;
    mc_tensor_report *report;
    mc_sums running; /* of the weight whose pieces are being merged */
} job;

/* A piece: part of one weight. */
typedef struct {
    const job *job;
    const mc_tensor *source;
    const mc_weight_spec *spec;
    size_t weight;
    uint64_t first, count; /* elements */
    mc_sums *sums;
} piece;

size_t mc_verify_scratch_bytes(void)
{
    return SCRATCH;
}

/* ---- cutting ---- */

/* Elements of every piece of the weight but the last. */
static uint64_t piece_elements(const mc_weight_spec *spec)
{
    if (spec->form == MC_FORM_DENSE) return PIECE;
    if (spec->group == 0) return PIECE - PIECE % BYTE_STEP;
    const mc_weight_shape shape = mc_weight_code_shape(spec);
    const size_t step = mc_pack_row_step(spec); /* rows that start at a whole byte */
    size_t rows = shape.cols ? PIECE / shape.cols : 1;
    rows = rows < step ? step : rows - rows % step;
    return shape.cols ? (uint64_t)rows * shape.cols : 1;
}

static mc_status cut(job *j, mc_arena *mem, mc_err *err)
{
    MC_TRY(mc_pieces_open(j->c->weights, mem, &j->pieces, err));
    for (size_t i = 0; i < j->c->weights; i++)
        mc_pieces_add(&j->pieces, j->pair[i]->count, piece_elements(&j->c->weight[i]));
    return MC_OK;
}

/* ---- measuring ---- */

static const unsigned char *element_at(const mc_tensor *t, uint64_t i)
{
    return t->data + mc_bytes_before(t->dtype, i);
}

static const char *kind_of(float x)
{
    return isnan(x) ? "nan" : "infinite";
}

/* A number that is not finite makes the sum of squares so; only then the element is looked for. */
static mc_status refuse_if_not_finite(const piece *p, const float *w, const float *v, size_t n,
                                      uint64_t first, mc_err *err)
{
    if (isfinite(p->sums->ww) && isfinite(p->sums->vv)) return MC_OK;
    for (size_t i = 0; i < n; i++) {
        const mc_model *model = p->job->in->reference;
        const mc_source *file = &model->source[p->source->source];
        const uint64_t element = mc_weight_element(p->spec, first + i);
        if (!isfinite(w[i]))
            return mc_fail(err, MC_E_FORMAT, "%s: tensor \"%s\": element %" PRIu64 " is %s",
                           file->path, p->source->name, element, kind_of(w[i]));
        if (!isfinite(v[i]))
            return mc_fail(err, MC_E_FORMAT, "%s: tensor \"%s\": decoded element %" PRIu64 " is %s",
                           p->job->c->path, p->source->name, element, kind_of(v[i]));
    }
    return mc_fail(err, MC_E_INTERNAL, "tensor \"%s\": sums of finite numbers overflow",
                   p->source->name);
}

/* Decodes elements [from, from + n) of the matrix and counts those of w that were clipped: what is
 * left of a group, whole groups, the beginning of one. */
static void decode(const mc_qmat *q, size_t from, size_t n, const float *w, float *v, mc_sums *sums)
{
    for (size_t done = 0; done < n;) {
        const size_t at = from + done;
        const size_t inside = at % q->group;
        size_t groups = 1, now = q->group - inside;
        if (now > n - done) {
            now = n - done;
        } else if (inside == 0) {
            groups = (n - done) / q->group;
            now = groups * q->group;
        }
        const mc_params *params = q->params + at / q->group;
        mc_grid_decode_row(&q->grid, params, q->code + at, groups, now / groups, v + done);
        sums->clipped += mc_grid_clipped_row(&q->grid, params, w + done, groups, now / groups);
        done += now;
    }
}

static void release(const piece *p, uint64_t from, uint64_t to)
{
    const mc_model *model = p->job->in->reference;
    const uint64_t start = p->spec->transposed ? 0 : from; /* all columns are read till the end */
    uint64_t at;
    if (mc_tensor_in_file(model, p->source, &at) && (start == from || to == p->source->count))
        mc_release_tensor(&model->source[p->source->source].map, p->source, start, to);
    mc_release_weight(p->job->c, p->weight, from, to, p->source->count);
}

/* Rows of the code matrix, already unpacked; `first` is the element where they start. */
static mc_status measure_codes(const piece *p, const mc_qmat *q, uint64_t first, mc_arena scratch,
                               mc_err *err)
{
    float *w = MC_NEW_RAW(&scratch, float, CHUNK);
    float *v = MC_NEW_RAW(&scratch, float, CHUNK);
    if (!w || !v) return mc_no_room(err, "a chunk of weights");

    const size_t count = q->rows * q->cols;
    mc_sums_codes(p->sums, q->code, count, mc_grid_codes(&q->grid));
    size_t released = 0;
    for (size_t at = 0; at < count; at += CHUNK) {
        const size_t n = count - at < CHUNK ? count - at : CHUNK;
        mc_weight_source(p->spec, p->source->data, first + at, n, w);
        decode(q, at, n, w, v, p->sums);
        mc_sums_add(p->sums, w, v, n, first + at);
        MC_TRY(refuse_if_not_finite(p, w, v, n, first + at, err));
        if (at + n - released < PIECE) continue;
        release(p, first + released, first + at + n); /* rows of tens of millions */
        released = at + n;
    }
    return MC_OK;
}

/* Unpacks a few rows at a time into `room`, or into memory of its own when a row is too wide. */
static mc_status measure_rows(const piece *p, size_t block, mc_arena room, mc_arena scratch,
                              mc_err *err)
{
    const mc_weight_shape shape = mc_weight_code_shape(p->spec);
    const size_t row = (size_t)(p->first / shape.cols);
    const size_t end = row + (size_t)(p->count / shape.cols);
    for (size_t at = row; at < end; at += block) {
        const size_t rows = end - at < block ? end - at : block;
        mc_arena mem = room;
        mc_qmat q;
        MC_TRY(mc_container_qmat(p->job->c, p->weight, at, rows, &mem, &q, err));
        MC_TRY(measure_codes(p, &q, (uint64_t)at * shape.cols, scratch, err));
    }
    return MC_OK;
}

/* `n` is a multiple of BYTE_STEP. */
static size_t bytes_of_codes(const mc_weight_spec *spec, uint64_t n)
{
    const mc_levels *levels = spec->grid.levels;
    return (size_t)(levels->base3 ? n / 5 : n / 8 * levels->bits);
}

/* A weight with one scale for all has one row, which may be the whole model. Its pieces are read as
 * weights of their own: the same parts, but the codes begin later. */
static mc_status measure_one_scale(const piece *p, mc_arena scratch, mc_err *err)
{
    const mc_container *c = p->job->c;
    const uint32_t first_part = c->first_part[p->weight];
    const uint32_t parts = c->first_part[p->weight + 1] - first_part;
    const unsigned char *data[MC_WEIGHT_PARTS];
    if (parts > MC_WEIGHT_PARTS)
        return mc_fail(err, MC_E_INTERNAL, "tensor \"%s\": %u parts", p->spec->name, parts);

    const size_t each = BLOCK - BLOCK % BYTE_STEP;
    for (uint64_t at = p->first; at < p->first + p->count; at += each) {
        const uint64_t left = p->first + p->count - at;
        mc_weight_spec spec = *p->spec;
        spec.rows = 1;
        spec.cols = left < each ? left : each;
        for (uint32_t i = 0; i < parts; i++) {
            const bool codes = c->part[first_part + i].role == MCPK_ROLE_CODES;
            data[i] = c->data[first_part + i] + (codes ? bytes_of_codes(&spec, at) : 0);
        }
        uint32_t range[2] = {0, parts};
        mc_container window = *c;
        window.weight = &spec;
        window.weights = 1;
        window.part = c->part + first_part;
        window.parts = parts;
        window.data = data;
        window.first_part = range;
        mc_arena mem = scratch;
        mc_qmat q;
        MC_TRY(mc_container_qmat(&window, 0, 0, 1, &mem, &q, err));
        MC_TRY(measure_codes(p, &q, at, mem, err));
    }
    return MC_OK;
}

static mc_status measure_quantized(const piece *p, mc_arena scratch, mc_err *err)
{
    if (p->spec->group == 0) return measure_one_scale(p, scratch, err);
    const mc_weight_shape shape = mc_weight_code_shape(p->spec);
    const size_t step = mc_pack_row_step(p->spec);
    size_t block = BLOCK / shape.cols;
    block = block < step ? step : block - block % step;
    if (block > shape.rows) block = shape.rows;

    const size_t chunks = 2 * (CHUNK * sizeof(float) + 64);
    const size_t room = mc_qmat_bytes(&p->spec->grid, block, shape.cols, shape.group) + PAGE;
    if (room + chunks <= (size_t)(scratch.end - scratch.at)) {
        const mc_arena chunk = {scratch.at, scratch.at + chunks};
        scratch.at += chunks;
        return measure_rows(p, block, scratch, chunk, err);
    }
    mc_region wide = {0};
    MC_TRY(mc_region_open(&wide, room, err));
    const mc_status status = measure_rows(p, block, wide.arena, scratch, err);
    mc_region_close(&wide);
    return status;
}

/* Numbers of a transform's making: finite, and nothing to compare them with. */
static mc_status measure_edited(const piece *p, mc_arena scratch, mc_err *err)
{
    float *v = MC_NEW_RAW(&scratch, float, CHUNK);
    if (!v) return mc_no_room(err, "a chunk of weights");
    p->sums->count = p->count;
    for (uint64_t at = 0; at < p->count; at += CHUNK) {
        const size_t now = p->count - at < CHUNK ? (size_t)(p->count - at) : CHUNK;
        MC_TRY(mc_container_to_f32(p->job->c, p->weight, p->first + at, now, v, err));
        for (size_t i = 0; i < now; i++) p->sums->zeros += v[i] == 0.0f;
        for (size_t i = 0; i < now; i++)
            if (!isfinite(v[i]))
                return mc_fail(err, MC_E_FORMAT, "%s: tensor \"%s\": element %" PRIu64 " is %s",
                               p->job->c->path, p->spec->name, p->first + at + i, kind_of(v[i]));
    }
    return MC_OK;
}

/* Carried tensors must be the bytes of the source. Their zeros are counted where there are
 * values. */
static mc_status measure_dense(const piece *p, mc_arena scratch, mc_err *err)
{
    if (p->spec->edited) return measure_edited(p, scratch, err);
    uint64_t bytes = 0;
    const unsigned char *stored = mc_container_dense(p->job->c, p->weight, &bytes);
    if (!stored || bytes != p->source->bytes)
        return mc_fail(err, MC_E_MISMATCH,
                       "%s: tensor \"%s\": %" PRIu64 " bytes, %" PRIu64 " in the reference",
                       p->job->c->path, p->spec->name, bytes, p->source->bytes);

    const unsigned char *from = element_at(p->source, p->first);
    const size_t offset = (size_t)(from - p->source->data);
    const size_t n = (size_t)(element_at(p->source, p->first + p->count) - from);
    if (memcmp(from, stored + offset, n) != 0) {
        size_t i = 0;
        while (i + 1 < n && from[i] == stored[offset + i]) i++;
        return mc_fail(err, MC_E_MISMATCH,
                       "%s: tensor \"%s\": byte %zu is %02x, %02x in the reference, though it is "
                       "carried unchanged",
                       p->job->c->path, p->spec->name, offset + i, stored[offset + i], from[i]);
    }
    p->sums->count = p->count;
    if (!mc_dtype_about(p->source->dtype)->to_f32) return MC_OK;

    float *v = MC_NEW_RAW(&scratch, float, CHUNK);
    if (!v) return mc_no_room(err, "a chunk of weights");
    for (uint64_t at = 0; at < p->count; at += CHUNK) {
        const size_t now = p->count - at < CHUNK ? (size_t)(p->count - at) : CHUNK;
        mc_to_f32(p->source->dtype, element_at(p->source, p->first + at), v, now);
        for (size_t i = 0; i < now; i++) p->sums->zeros += v[i] == 0.0f;
    }
    return MC_OK;
}

/* ---- the stream ---- */

static mc_status make(void *data, size_t i, void *slot, mc_arena scratch, mc_err *err)
{
    const job *j = data;
    const size_t weight = mc_pieces_tensor(&j->pieces, i);
    const mc_weight_spec *spec = &j->c->weight[weight];
    const uint64_t each = piece_elements(spec);
    const uint64_t first = (i - j->pieces.first[weight]) * each;
    const uint64_t left = j->pair[weight]->count - first;
    const piece p = {j, j->pair[weight], spec, weight, first, left < each ? left : each, slot};

    memset(p.sums, 0, sizeof *p.sums);
    const mc_status status = spec->form == MC_FORM_DENSE ? measure_dense(&p, scratch, err)
                                                         : measure_quantized(&p, scratch, err);
    release(&p, p.first, p.first + p.count);
    mc_meter_add(j->in->meter, mc_bytes_before(p.source->dtype, p.count));
    return status;
}

static void report_sums(mc_tensor_report *r, const mc_sums *sums)
{
    const double count = r->count ? (double)r->count : 1.0;
    r->sqnr_db = mc_sqnr_db(sums);
    r->relative_error = mc_relative_error(sums);
    r->max_abs_error = sums->max_abs;
    r->max_abs_index = mc_weight_element(r->spec, sums->max_index);
    r->cosine = mc_cosine(sums);
    r->clipped = (double)sums->clipped / count;
    r->zeros = (double)sums->zeros / count;
    r->entropy_bits = mc_entropy_bits(sums->histogram);
    memcpy(r->histogram, sums->histogram, sizeof r->histogram);
    if (!mc_dtype_about(r->spec->dtype)->to_f32) r->zeros = (double)NAN;
    if (!r->spec->edited) return;
    r->sqnr_db = r->relative_error = r->max_abs_error = r->cosine = (double)NAN;
    if (r->spec->form == MC_FORM_QUANTIZED) r->clipped = (double)NAN;
}

static mc_status take(void *data, size_t i, void *slot, mc_err *err)
{
    (void)err;
    job *j = data;
    const size_t weight = mc_pieces_tensor(&j->pieces, i);
    mc_sums_merge(&j->running, slot);
    if (!mc_pieces_is_last(&j->pieces, weight, i)) return MC_OK;
    report_sums(&j->report[weight], &j->running);
    memset(&j->running, 0, sizeof j->running);
    return MC_OK;
}

/* What is known without measuring. */
static void begin_report(const job *j, size_t i)
{
    mc_tensor_report *r = &j->report[i];
    const mc_container *c = j->c;
    r->name = c->weight[i].name;
    r->spec = &c->weight[i];
    r->count = j->pair[i]->count;
    r->source_bytes = j->pair[i]->bytes;
    for (uint32_t part = c->first_part[i]; part < c->first_part[i + 1]; part++)
        r->bytes += c->part[part].stored;
    r->bits_per_weight = r->count ? 8.0 * (double)r->bytes / (double)r->count : 0.0;
    report_sums(r, &j->running); /* empty tensors have no piece */
}

mc_status mc_verify_weights(const mc_verify_input *input, mc_arena *mem, mc_report *out,
                            mc_err *err)
{
    const mc_container *c = input->container;
    *out = (mc_report){.pass = true, .tensors = c->weights, .score = (double)NAN};
    job j = {.in = input, .c = c};
    MC_TRY(mc_verify_match(input->reference, c, mem, &j.pair, err));
    MC_TRY(cut(&j, mem, err));
    j.report = out->tensor = MC_NEW(mem, mc_tensor_report, c->weights ? c->weights : 1);
    if (!out->tensor) return mc_no_room(err, "the tensors of the report");
    for (size_t i = 0; i < c->weights; i++) begin_report(&j, i);

    const mc_stream stream = {
        .n = mc_pieces_count(&j.pieces), .slot_bytes = sizeof(mc_sums), .make = make, .take = take};
    MC_TRY(mc_pool_stream(input->pool, &stream, &j, err));
    return mc_verify_totals(input->reference, c, mem, out, err);
}
