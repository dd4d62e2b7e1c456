/* SelectiveScan, in our own domain: the state space recurrence of Mamba2 (Dao and Gu, 2024, in the
 * linear form): for each head, a state [p, n] fades and takes in x b^T at every step, and is read
 * through c. Step by step as it is defined; states and numbers are f32, the sum over a state's row
 * takes at most CHUNK products in f32 before it goes to a double. */
#include "core/ops/op_args_shared.h"

#include <math.h>
#include <string.h>

enum { X, DT, A, B, C, D }; /* inputs */
enum { LANES = 8, CHUNK = 256 };

typedef struct {
    int64_t batch, steps, heads, width, groups, state; /* -1: not known */
} sizes;

static mc_status find_sizes(const mc_call *call, sizes *s, mc_err *err)
{
    int64_t x[] = {-1, -1, -1, -1}, b[] = {-1, -1, -1, -1};
    MC_TRY(mc_arg_dims(call, X, 4, x, err));
    MC_TRY(mc_arg_dims(call, DT, 3, x, err));
    MC_TRY(mc_arg_dims(call, A, 1, x + 2, err));
    MC_TRY(mc_arg_dims(call, D, 1, x + 2, err));
    b[0] = x[0];
    b[1] = x[1];
    MC_TRY(mc_arg_dims(call, B, 4, b, err));
    MC_TRY(mc_arg_dims(call, C, 4, b, err));
    *s = (sizes){b[0], b[1], x[2], x[3], b[2], b[3]};
    if (s->groups == 0 || (s->groups > 0 && s->heads >= 0 && s->heads % s->groups != 0))
        return mc_fail(err, MC_E_FORMAT, "%lld heads share %lld groups; allowed is a divisor",
                       (long long)s->heads, (long long)s->groups);
    return MC_OK;
}

static mc_status scan_shape(const mc_call *call, mc_err *err)
{
    sizes s;
    MC_TRY(mc_arg_floats(call, 0, call->ins, err));
    for (size_t i = 0; i < call->ins; i++) {
        if (call->in[i] && mc_arg_is_f64(call->in[i])) return mc_op_refuse_dtype(call, i, err);
    }
    MC_TRY(find_sizes(call, &s, err));
    return mc_op_same_shape(call, err);
}

/* state = fade * state + take * b; returns the sum of state * c. */
static double step_row(float *state, size_t n, float fade, float take, const float *b,
                       const float *c)
{
    double sum = 0.0;
    for (size_t first = 0; first < n; first += CHUNK) {
        const size_t end = n - first < CHUNK ? n : first + CHUNK;
        float lane[LANES] = {0};
        size_t i = first;
        for (; i + LANES <= end; i += LANES) {
            for (size_t j = 0; j < LANES; j++) {
                const float s = fade * state[i + j] + take * b[i + j];
                state[i + j] = s;
                lane[j] += s * c[i + j];
            }
        }
        for (size_t j = 0; i < end; i++, j++) {
            state[i] = fade * state[i] + take * b[i];
            lane[j] += state[i] * c[i];
        }
        for (size_t j = 0; j < LANES; j++) sum += (double)lane[j];
    }
    return sum;
}

static void scan_head(const mc_call *call, const sizes *s, size_t batch, size_t head, float *state)
{
    const size_t heads = (size_t)s->heads, width = (size_t)s->width, n = (size_t)s->state;
    const size_t group = head / (heads / (size_t)s->groups), groups = (size_t)s->groups;
    const float *x = call->in[X]->data, *dt = call->in[DT]->data, *a = call->in[A]->data;
    const float *b = call->in[B]->data, *c = call->in[C]->data;
    const mc_nd *through = mc_arg_in(call, D);
    const double d = through ? (double)((const float *)through->data)[head] : 0.0;
    float *y = call->out[0]->data;
    memset(state, 0, width * n * sizeof *state);
    for (size_t t = 0; t < (size_t)s->steps; t++) {
        const size_t step = batch * (size_t)s->steps + t;
        const float length = dt[step * heads + head], fade = expf(length * a[head]);
        const size_t from = (step * groups + group) * n, at = (step * heads + head) * width;
        for (size_t p = 0; p < width; p++) {
            const double read =
                step_row(state + p * n, n, fade, length * x[at + p], b + from, c + from);
            y[at + p] = (float)(read + d * (double)x[at + p]);
        }
    }
}

static mc_status scan_run(const mc_call *call, mc_err *err)
{
    sizes s;
    MC_TRY(find_sizes(call, &s, err));
    mc_arena scratch = call->scratch;
    if (call->out[0]->count == 0) return MC_OK;
    float *state = mc_alloc_raw(&scratch, (size_t)s.width, (size_t)s.state * sizeof(float));
    if (!state) return mc_no_room(err, "the state of a head");
    for (size_t batch = 0; batch < (size_t)s.batch; batch++) {
        for (size_t head = 0; head < (size_t)s.heads; head++)
            scan_head(call, &s, batch, head, state);
    }
    return MC_OK;
}

static size_t scan_scratch(const mc_call *call)
{
    sizes s;
    mc_err err;
    if (find_sizes(call, &s, &err) != MC_OK || s.width < 0 || s.state < 0) return 0;
    return mc_arg_bytes((size_t)s.width, mc_arg_bytes((size_t)s.state, sizeof(float)));
}

const mc_op mc_ops_scan[] = {
    {.domain = MC_DOMAIN,
     .name = "SelectiveScan",
     .since = 1,
     .least_in = 5,
     .most_in = 6,
     .most_out = 1,
     .shape = scan_shape,
     .run = scan_run,
     .scratch = scan_scratch},
    {.domain = NULL},
};
