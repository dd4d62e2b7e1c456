/* LSTM, GRU, RNN: the arithmetic.
 *
 * Steps are taken in chunks: the inputs of a chunk are gathered in the order in which the direction
 * walks them (which is where reversed and shorter sequences come in), one matrix product gives what
 * they add to all gates, and then each step adds what the state before it does. All in f32; f64
 * tensors are converted on the way in and out. */
#include "core/ops/op_args_shared.h"
#include "core/ops/op_number_shared.h"
#include "core/ops/op_recurrent_shared.h"

#include "core/linalg.h"

#include <string.h>

/* ---- memory ---- */

/* Steps of a chunk: as many as make its gathered inputs and gates about 4 MiB. */
static size_t chunk_steps(const mc_recurrent *l)
{
    const size_t width = (size_t)l->inputs + (size_t)l->gates * (size_t)l->hidden;
    const size_t row = mc_arg_bytes((size_t)l->batch, width > 0 ? width : 1);
    const size_t n = ((size_t)1 << 20) / row;
    return n < 1 ? 1 : n > (size_t)l->steps ? (size_t)l->steps : n;
}

/* What a run works with. All rows are samples of the batch. */
typedef struct {
    const mc_recurrent *l;
    size_t chunk;                                /* steps */
    size_t width;                                /* gates * hidden */
    bool whole;                                  /* are all samples as long as there are steps? */
    const float *x, *w, *r, *b, *h0, *c0, *peep; /* of all directions; NULL: left out */
    float *y, *y_h, *y_c;                        /* NULL: nobody wants them */
    float *in;                                   /* chunk x batch x inputs */
    float *gates;                                /* chunk x batch x gates * hidden */
    float *h, *c;                                /* batch x hidden: the state */
    float *aside;                                /* batch x hidden */
    float *bias;     /* gates * hidden: what is added to every row of `gates` */
    float *bias_r;   /* hidden: GRU's, that is added before the reset */
    int64_t *length; /* of each sample */
} work;

static size_t times(size_t a, size_t b)
{
    size_t n;
    return __builtin_mul_overflow(a, b, &n) ? SIZE_MAX / 8 : n;
}

size_t mc_recurrent_scratch(const mc_call *call, const mc_recurrent *l)
{
    const size_t batch = (size_t)l->batch, hidden = (size_t)l->hidden, inputs = (size_t)l->inputs;
    const size_t gates = times((size_t)l->gates, hidden);
    const size_t rows = times(chunk_steps(l), batch), state = times(batch, hidden);
    size_t bytes = mc_arg_bytes(batch, sizeof(int64_t));
    const size_t floats[] = {
        times(rows, inputs), times(rows, gates), state, state, state, gates, hidden};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        bytes = mc_arg_plus(bytes, mc_arg_bytes(floats[i], sizeof(float)));
    for (size_t i = 0; i < call->ins; i++)
        if (mc_arg_in(call, i) && mc_arg_is_f64(call->in[i]))
            bytes = mc_arg_plus(bytes, mc_arg_bytes(call->in[i]->count, sizeof(float)));
    for (size_t i = 0; i < call->outs; i++)
        if (mc_arg_out(call, i) && mc_arg_is_f64(call->out[i]))
            bytes = mc_arg_plus(bytes, mc_arg_bytes(call->out[i]->count, sizeof(float)));
    return bytes;
}

/* Input i as f32. NULL: it is left out, or there was no room (*room false). */
static const float *take_input(const mc_call *call, size_t i, mc_arena *mem, bool *room)
{
    const mc_nd *t = mc_arg_in(call, i);
    if (!t) return NULL;
    if (!mc_arg_is_f64(t)) return t->data;
    float *copy = MC_NEW_RAW(mem, float, t->count);
    *room = *room && copy;
    if (copy) mc_num_convert(MC_F64, t->data, MC_F32, copy, t->count);
    return copy;
}

static float *take_output(const mc_call *call, size_t i, mc_arena *mem, bool *room)
{
    mc_nd *t = mc_arg_out(call, i);
    if (!t) return NULL;
    if (!mc_arg_is_f64(t)) return t->data;
    float *copy = MC_NEW_RAW(mem, float, t->count);
    *room = *room && copy;
    return copy;
}

static mc_status read_lengths(const mc_call *call, const mc_recurrent *l, int64_t *length,
                              mc_err *err)
{
    const mc_nd *given = mc_arg_in(call, MC_RNN_LENGTHS);
    for (int64_t b = 0; b < l->batch; b++) {
        length[b] = given ? mc_nd_int(given, (size_t)b) : l->steps;
        if (length[b] < 0 || length[b] > l->steps)
            return mc_fail(err, MC_E_FORMAT, "sequence_lens[%lld] is %lld (0 to %lld are allowed)",
                           (long long)b, (long long)length[b], (long long)l->steps);
    }
    return MC_OK;
}

static mc_status open_work(const mc_call *call, const mc_recurrent *l, mc_arena *mem, work *k,
                           mc_err *err)
{
    const size_t batch = (size_t)l->batch, hidden = (size_t)l->hidden;
    const size_t gates = (size_t)l->gates * hidden;
    *k = (work){.l = l, .chunk = chunk_steps(l), .width = gates, .whole = true};
    const size_t rows = k->chunk * batch;
    bool room = true;
    k->x = take_input(call, MC_RNN_X, mem, &room);
    k->w = take_input(call, MC_RNN_W, mem, &room);
    k->r = take_input(call, MC_RNN_R, mem, &room);
    k->b = take_input(call, MC_RNN_B, mem, &room);
    k->h0 = take_input(call, MC_RNN_H, mem, &room);
    k->c0 = take_input(call, MC_RNN_C, mem, &room);
    k->peep = take_input(call, MC_RNN_P, mem, &room);
    k->y = take_output(call, 0, mem, &room);
    k->y_h = take_output(call, 1, mem, &room);
    k->y_c = take_output(call, 2, mem, &room);
    k->in = MC_NEW_RAW(mem, float, rows *(size_t)l->inputs);
    k->gates = MC_NEW_RAW(mem, float, rows *gates);
    k->h = MC_NEW_RAW(mem, float, batch *hidden);
    k->c = MC_NEW_RAW(mem, float, batch *hidden);
    k->aside = MC_NEW_RAW(mem, float, batch *hidden);
    k->bias = MC_NEW_RAW(mem, float, gates);
    k->bias_r = MC_NEW_RAW(mem, float, hidden);
    k->length = MC_NEW_RAW(mem, int64_t, batch);
    if (!room || !k->in || !k->gates || !k->h || !k->c || !k->aside || !k->bias || !k->bias_r ||
        !k->length)
        return mc_no_room(err, "a recurrent layer");
    MC_TRY(read_lengths(call, l, k->length, err));
    for (size_t b = 0; b < batch; b++) k->whole = k->whole && k->length[b] == l->steps;
    return MC_OK;
}

/* ---- steps ---- */

/* Where step `s` of a sample stands in time; false when the sample is shorter. */
static bool step_time(const work *k, int d, size_t b, size_t s, size_t *t)
{
    const size_t length = (size_t)k->length[b];
    if (s >= length) return false;
    *t = k->l->reverse[d] ? length - 1 - s : s;
    return true;
}

/* Inputs of steps [first, end) as rows, step by step and sample by sample. */
static const float *gather(const work *k, int d, size_t first, size_t end)
{
    const mc_recurrent *l = k->l;
    const size_t batch = (size_t)l->batch, steps = (size_t)l->steps, n = (size_t)l->inputs;
    if (k->whole && !l->reverse[d] && (!l->batch_first || batch == 1))
        return k->x + first * batch * n;
    float *row = k->in;
    for (size_t s = first; s < end; s++) {
        for (size_t b = 0; b < batch; b++, row += n) {
            size_t t;
            if (step_time(k, d, b, s, &t))
                memcpy(row, k->x + (l->batch_first ? b * steps + t : t * batch + b) * n,
                       n * sizeof *row);
            else
                memset(row, 0, n * sizeof *row);
        }
    }
    return k->in;
}

/* gates = in W^T + bias, for steps [first, end). */
static void add_inputs(const work *k, int d, size_t first, size_t end)
{
    const size_t n = (size_t)k->l->inputs, width = k->width;
    const size_t rows = (end - first) * (size_t)k->l->batch;
    for (size_t i = 0; i < rows; i++) memcpy(k->gates + i * width, k->bias, width * sizeof(float));
    if (n == 0) return;
    const mc_gemm_operand a = {gather(k, d, first, end), n, 0};
    const mc_gemm_operand w = {k->w + (size_t)d * width * n, n, 1};
    mc_gemm(rows, width, n, a, w, 1.0f, k->gates, width);
}

/* to[batch x n] = beta to + from[batch x hidden] (n rows of R from `row` on)^T */
static void add_state(const work *k, int d, const float *from, size_t row, size_t n, float beta,
                      float *to, size_t stride)
{
    const size_t hidden = (size_t)k->l->hidden;
    const mc_gemm_operand a = {from, hidden, 0};
    const mc_gemm_operand r = {k->r + ((size_t)d * k->width + row) * hidden, hidden, 1};
    mc_gemm((size_t)k->l->batch, n, hidden, a, r, beta, to, stride);
}

static void activate(const work *k, int d, int which, float *x, size_t n)
{
    const mc_activation *act = &k->l->act[d][which];
    act->run(act, x, n);
}

/* The clip is for gates. The specification's "input of activations" could mean LSTM's state as
 * well, but runtimes leave that alone. */
static void clip_activate(const work *k, int d, int which, float *x, size_t n)
{
    const float clip = k->l->clip;
    if (clip > 0.0f)
        for (size_t i = 0; i < n; i++) x[i] = x[i] > clip ? clip : x[i] < -clip ? -clip : x[i];
    activate(k, d, which, x, n);
}

/* One step of one sample: `g` its gates (i, o, f, c), `h` and `c` its state. */
static void lstm_row(const work *k, int d, float *g, float *h, float *c)
{
    const size_t n = (size_t)k->l->hidden;
    float *in = g, *out = g + n, *forget = g + 2 * n, *cell = g + 3 * n;
    const float *p = k->peep ? k->peep + (size_t)d * 3 * n : NULL;
    for (size_t j = 0; p && j < n; j++) {
        in[j] += p[j] * c[j];
        forget[j] += p[2 * n + j] * c[j];
    }
    clip_activate(k, d, 0, in, n);
    clip_activate(k, d, 0, forget, n);
    clip_activate(k, d, 1, cell, n);
    for (size_t j = 0; j < n; j++) {
        const float keep = k->l->input_forget ? 1.0f - in[j] : forget[j];
        c[j] = keep * c[j] + in[j] * cell[j];
        if (p) out[j] += p[n + j] * c[j];
    }
    clip_activate(k, d, 0, out, n);
    memcpy(h, c, n * sizeof *h);
    activate(k, d, 2, h, n);
    for (size_t j = 0; j < n; j++) h[j] *= out[j];
}

static void rnn_row(const work *k, int d, float *g, float *h, float *c)
{
    (void)c;
    clip_activate(k, d, 0, g, (size_t)k->l->hidden);
    memcpy(h, g, (size_t)k->l->hidden * sizeof *h);
}

/* `g`: update, reset and new, all but the new one activated. */
static void gru_row(const work *k, int d, float *g, float *h, float *c)
{
    (void)c;
    const size_t n = (size_t)k->l->hidden;
    clip_activate(k, d, 1, g + 2 * n, n);
    for (size_t j = 0; j < n; j++) h[j] = (1.0f - g[j]) * g[2 * n + j] + g[j] * h[j];
}

/* What the state adds to the gates `g` of the batch. GRU's new gate sees the state after the reset:
 * before its product with R, or behind it (linear_before_reset). */
static void gru_gates(const work *k, int d, float *g)
{
    const size_t n = (size_t)k->l->hidden, batch = (size_t)k->l->batch, width = k->width;
    add_state(k, d, k->h, 0, 2 * n, 1.0f, g, width);
    for (size_t b = 0; b < batch; b++) clip_activate(k, d, 0, g + b * width, 2 * n);
    if (k->l->linear_before_reset) {
        for (size_t b = 0; b < batch; b++) memcpy(k->aside + b * n, k->bias_r, n * sizeof(float));
        add_state(k, d, k->h, 2 * n, n, 1.0f, k->aside, n);
        for (size_t b = 0; b < batch; b++)
            for (size_t j = 0; j < n; j++)
                g[b * width + 2 * n + j] += g[b * width + n + j] * k->aside[b * n + j];
        return;
    }
    for (size_t b = 0; b < batch; b++)
        for (size_t j = 0; j < n; j++) k->aside[b * n + j] = g[b * width + n + j] * k->h[b * n + j];
    add_state(k, d, k->aside, 2 * n, n, 1.0f, g + 2 * n, width);
}

static void take_step(const work *k, int d, size_t s, float *g)
{
    static void (*const row[])(const work *, int, float *, float *, float *) = {
        [MC_RNN] = rnn_row, [MC_GRU] = gru_row, [MC_LSTM] = lstm_row};
    const mc_recurrent *l = k->l;
    const size_t n = (size_t)l->hidden, batch = (size_t)l->batch, width = k->width;
    const size_t steps = (size_t)l->steps, directions = (size_t)l->directions;
    if (l->kind == MC_GRU)
        gru_gates(k, d, g);
    else
        add_state(k, d, k->h, 0, width, 1.0f, g, width);
    for (size_t b = 0; b < batch; b++) {
        size_t t;
        if (!step_time(k, d, b, s, &t)) continue;
        row[l->kind](k, d, g + b * width, k->h + b * n, k->c + b * n);
        const size_t at = l->batch_first ? (b * steps + t) * directions + (size_t)d
                                         : (t * directions + (size_t)d) * batch + b;
        if (k->y) memcpy(k->y + at * n, k->h + b * n, n * sizeof(float));
    }
}

/* ---- directions ---- */

/* Where the state of a sample stands among those of all directions. */
static size_t state_at(const work *k, int d, size_t b)
{
    const mc_recurrent *l = k->l;
    const size_t row =
        l->batch_first ? b * (size_t)l->directions + (size_t)d : (size_t)d * (size_t)l->batch + b;
    return row * (size_t)l->hidden;
}

static void load_state(const work *k, int d, float *one, const float *all)
{
    const size_t n = (size_t)k->l->hidden, batch = (size_t)k->l->batch;
    if (!all) memset(one, 0, batch * n * sizeof *one);
    for (size_t b = 0; all && b < batch; b++)
        memcpy(one + b * n, all + state_at(k, d, b), n * sizeof *one);
}

static void store_state(const work *k, int d, const float *one, float *all)
{
    const size_t n = (size_t)k->l->hidden, batch = (size_t)k->l->batch;
    for (size_t b = 0; b < batch; b++)
        memcpy(all + state_at(k, d, b), one + b * n, n * sizeof *one);
}

/* W's and R's biases together, but for GRU's last gate when that is reset behind its product. */
static void load_bias(const work *k, int d)
{
    const size_t n = (size_t)k->l->hidden, width = k->width;
    const float *b = k->b ? k->b + (size_t)d * 2 * width : NULL;
    const size_t apart = k->l->kind == MC_GRU && k->l->linear_before_reset ? width - n : width;
    for (size_t i = 0; i < width; i++)
        k->bias[i] = !b ? 0.0f : i < apart ? b[i] + b[width + i] : b[i];
    for (size_t i = 0; i < n; i++) k->bias_r[i] = b ? b[2 * width - n + i] : 0.0f;
}

static void run_direction(const work *k, int d)
{
    const size_t steps = (size_t)k->l->steps, batch = (size_t)k->l->batch;
    load_bias(k, d);
    load_state(k, d, k->h, k->h0);
    load_state(k, d, k->c, k->c0);
    for (size_t first = 0; first < steps; first += k->chunk) {
        const size_t end = steps - first < k->chunk ? steps : first + k->chunk;
        add_inputs(k, d, first, end);
        for (size_t s = first; s < end; s++)
            take_step(k, d, s, k->gates + (s - first) * batch * k->width);
    }
    if (k->y_h) store_state(k, d, k->h, k->y_h);
    if (k->y_c) store_state(k, d, k->c, k->y_c);
}

mc_status mc_recurrent_run(const mc_call *call, const mc_recurrent *l, mc_err *err)
{
    mc_arena mem = call->scratch;
    work k;
    MC_TRY(open_work(call, l, &mem, &k, err));
    if (l->batch == 0 || l->hidden == 0) return MC_OK;
    if (k.y && !k.whole) memset(k.y, 0, mc_arg_out(call, 0)->count * sizeof(float));
    for (int d = 0; d < (int)l->directions; d++) run_direction(&k, d);
    float *const made[] = {k.y, k.y_h, k.y_c};
    for (size_t i = 0; i < call->outs; i++) {
        mc_nd *out = mc_arg_out(call, i);
        if (out && mc_arg_is_f64(out))
            mc_num_convert(MC_F32, made[i], MC_F64, out->data, out->count);
    }
    return MC_OK;
}
