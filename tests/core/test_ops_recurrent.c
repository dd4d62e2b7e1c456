#include "tests/support/op_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 40000 };

/* sin(k), sin(2 k), …: numbers that other programs can make too. */
static mc_nd waves(float *room, double k, int ndim, const int64_t *dim)
{
    const mc_nd t = op_f32(ndim, dim, room);
    cr_assert_leq(t.count, (size_t)ROOM);
    for (size_t i = 0; i < t.count; i++) room[i] = (float)sin((double)(i + 1) * k);
    return t;
}

static float rooms[8][ROOM];

enum { S = 4, N = 3, I = 2, H = 3 }; /* steps, batch, inputs, hidden of the golden cases */
static const int32_t lengths[N] = {4, 2, 3};

static op_case begin(const char *op, const char *direction, int64_t hidden)
{
    op_case c = op_begin(op, 14);
    op_int(&c, "hidden_size", hidden);
    op_text(&c, "direction", direction);
    return c;
}

/* Numbers of ONNX Runtime 1.2x. */
static const float lstm_y[] = {0.526004851f,
                               0.233997613f,
                               0.0298473351f,
                               0.419972181f,
                               -0.469926029f,
                               0.0376361385f,
                               0.190820485f,
                               -0.522604048f,
                               -0.429352045f,
                               -0.0700810403f,
                               -0.00122015981f,
                               0.120881423f,
                               -0.0770548731f,
                               -0.18391268f,
                               -0.0149333011f,
                               -0.275541037f,
                               0.131105021f,
                               0.256437927f,
                               0.188592777f,
                               -0.199603513f,
                               0.0995480418f,
                               0.451181531f,
                               0.049990166f,
                               -0.0581827387f,
                               0.488301545f,
                               0.0444576442f,
                               -0.00960098486f,
                               -0.42808798f,
                               0.0579160899f,
                               0.280853957f,
                               -0.152962044f,
                               -0.0480511412f,
                               0.03527762f,
                               -0.0385193415f,
                               0.157934144f,
                               0.263945639f,
                               0.356566638f,
                               -0.0127424449f,
                               -0.120037131f,
                               0,
                               0,
                               0,
                               0.30014962f,
                               -0.0906858891f,
                               -0.300145835f,
                               -0.157137334f,
                               -0.232355773f,
                               0.056326706f,
                               0,
                               0,
                               0,
                               0.109475292f,
                               0.0788447633f,
                               0.356158257f,
                               0.500957191f,
                               0.128645077f,
                               -0.0418369733f,
                               0,
                               0,
                               0,
                               0,
                               0,
                               0,
                               -0.046248097f,
                               -0.334053397f,
                               -0.340073198f,
                               0,
                               0,
                               0,
                               0,
                               0,
                               0};
static const float lstm_h[] = {
    0.500957191f,   0.128645077f,   -0.0418369733f, 0.451181531f,   0.049990166f,    -0.0581827387f,
    0.30014962f,    -0.0906858891f, -0.300145835f,  -0.0700810403f, -0.00122015981f, 0.120881423f,
    -0.0770548731f, -0.18391268f,   -0.0149333011f, -0.275541037f,  0.131105021f,    0.256437927f};
static const float lstm_c[] = {
    0.828052819f, 0.893992007f,  -0.448481381f,  0.791809916f,  0.237999767f,    -0.355443537f,
    0.694250822f, -0.216309309f, -0.674995363f,  -1.52014089f,  -0.00206700712f, 0.141962349f,
    -1.23835707f, -0.359865904f, -0.0174874738f, -0.659354866f, 0.178095803f,    0.500510573f};

static const float gru_y[2][S * N * H] = {{0.315822899f,
                                           0.778397024f,
                                           0.877082229f,
                                           0.861950397f,
                                           0.89905417f,
                                           0.941954315f,
                                           0.794771016f,
                                           0.785583675f,
                                           0.873286426f,
                                           0.343733609f,
                                           0.827759504f,
                                           0.833219409f,
                                           0.897626281f,
                                           0.953808486f,
                                           0.961945176f,
                                           0.809263706f,
                                           0.693943083f,
                                           0.865433335f,
                                           0.250133276f,
                                           0.59009105f,
                                           0.795809925f,
                                           0,
                                           0,
                                           0,
                                           0.844162583f,
                                           0.728318334f,
                                           0.794630349f,
                                           0.261907429f,
                                           0.532467663f,
                                           0.819045007f},
                                          {0.303205758f,
                                           0.747613728f,
                                           0.925482213f,
                                           0.865387738f,
                                           0.831169486f,
                                           0.967225313f,
                                           0.80329299f,
                                           0.684223294f,
                                           0.951843917f,
                                           0.331314743f,
                                           0.806599319f,
                                           0.903315544f,
                                           0.90105617f,
                                           0.911385596f,
                                           0.981800199f,
                                           0.802810967f,
                                           0.627958834f,
                                           0.933261275f,
                                           0.235557407f,
                                           0.555111706f,
                                           0.878539085f,
                                           0,
                                           0,
                                           0,
                                           0.836294055f,
                                           0.673362136f,
                                           0.908289969f,
                                           0.257799774f,
                                           0.521281481f,
                                           0.868025482f}};

Test(lstm, of_two_directions_with_peepholes_and_lengths_is_what_others_compute)
{
    op_case c = begin("LSTM", "bidirectional", H);
    op_outputs(&c, 3);
    op_in(&c, waves(rooms[0], 0.7, 3, (int64_t[]){S, N, I}));
    op_in(&c, waves(rooms[1], 0.37, 3, (int64_t[]){2, 4 * H, I}));
    op_in(&c, waves(rooms[2], 0.53, 3, (int64_t[]){2, 4 * H, H}));
    op_in(&c, waves(rooms[3], 0.91, 2, (int64_t[]){2, 8 * H}));
    op_in(&c, op_nd(MC_I32, 1, (int64_t[]){N}, lengths));
    op_in(&c, waves(rooms[4], 0.3, 3, (int64_t[]){2, N, H}));
    op_in(&c, waves(rooms[5], 0.41, 3, (int64_t[]){2, N, H}));
    op_in(&c, waves(rooms[6], 0.67, 2, (int64_t[]){2, 3 * H}));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){S, 2, N, H}, lstm_y, 2e-6);
    op_expect_f32(&c, 1, 3, (int64_t[]){2, N, H}, lstm_h, 2e-6);
    op_expect_f32(&c, 2, 3, (int64_t[]){2, N, H}, lstm_c, 2e-6);
    op_end(&c);
}

Test(gru, resets_before_or_behind_its_product)
{
    for (int i = 0; i < 2; i++) {
        op_case c = begin("GRU", "reverse", H);
        op_int(&c, "linear_before_reset", i);
        op_in(&c, waves(rooms[0], 0.7, 3, (int64_t[]){S, N, I}));
        op_in(&c, waves(rooms[1], 0.37, 3, (int64_t[]){1, 3 * H, I}));
        op_in(&c, waves(rooms[2], 0.53, 3, (int64_t[]){1, 3 * H, H}));
        op_in(&c, waves(rooms[3], 0.91, 2, (int64_t[]){1, 6 * H}));
        op_in(&c, op_nd(MC_I32, 1, (int64_t[]){N}, lengths));
        op_in(&c, waves(rooms[4], 0.3, 3, (int64_t[]){1, N, H}));
        op_run(&c);
        op_expect_f32(&c, 0, 4, (int64_t[]){S, 1, N, H}, gru_y[i], 2e-6);
        op_end(&c);
    }
}

/* H_t = tanh(w x_t + r H_(t-1)), one number wide, in double. The steps are more than a chunk
 * holds. */
Test(rnn, carries_its_state_over_chunks_of_steps)
{
    enum { STEPS = 40000 };
    const float w = 0.9f, r = -0.8f;
    static float want[STEPS];
    const mc_nd x = waves(rooms[0], 0.7, 3, (int64_t[]){STEPS, 1, 1});
    double h = 0.0;
    for (int t = 0; t < STEPS; t++) {
        h = tanh((double)w * (double)rooms[0][t] + (double)r * h);
        want[t] = (float)h;
    }
    op_case c = begin("RNN", "forward", 1);
    op_in(&c, x);
    op_in(&c, op_f32(3, (int64_t[]){1, 1, 1}, &w));
    op_in(&c, op_f32(3, (int64_t[]){1, 1, 1}, &r));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){STEPS, 1, 1, 1}, want, 2e-6);
    op_end(&c);
}

/* One step from a state of 0 with W = 1 and R = 0 is the activation alone. */
static float activated(const char *name, float alpha, float beta, float clip, float x)
{
    const float one = 1.0f, zero = 0.0f;
    op_case c = begin("RNN", "forward", 1);
    op_texts(&c, "activations", 1, &name);
    if (!isnan(alpha)) op_floats(&c, "activation_alpha", 1, &alpha);
    if (!isnan(beta)) op_floats(&c, "activation_beta", 1, &beta);
    if (clip > 0.0f) op_float(&c, "clip", clip);
    op_in(&c, op_f32(3, (int64_t[]){1, 1, 1}, &x));
    op_in(&c, op_f32(3, (int64_t[]){1, 1, 1}, &one));
    op_in(&c, op_f32(3, (int64_t[]){1, 1, 1}, &zero));
    op_run(&c);
    const float y = *(const float *)op_out(&c, 0)->data;
    op_end(&c);
    return y;
}

Test(rnn, knows_every_activation_and_its_defaults)
{
    static const float none = NAN;
    const struct {
        const char *name;
        float alpha, beta, clip, x, want;
    } t[] = {{"Relu", none, none, 0, -2, 0},
             {"relu", none, none, 0, 2, 2},
             {"Tanh", none, none, 0, 0.5f, 0.462117157f},
             {"Sigmoid", none, none, 0, 0.5f, 0.622459331f},
             {"Affine", 2, 3, 0, 5, 13},
             {"LeakyRelu", none, none, 0, -2, -0.02f},
             {"LeakyRelu", 0.5f, none, 0, -2, -1},
             {"ThresholdedRelu", none, none, 0, 0.5f, 0},
             {"ThresholdedRelu", 0.25f, none, 0, 0.5f, 0.5f},
             {"ScaledTanh", 2, 0.5f, 0, 1, 0.924234315f},
             {"HardSigmoid", none, none, 0, 1, 0.7f},
             {"HardSigmoid", none, none, 0, 9, 1},
             {"Elu", none, none, 0, -1, -0.632120559f},
             {"Softsign", none, none, 0, -3, -0.75f},
             {"Softplus", none, none, 0, 1, 1.31326169f},
             {"Softplus", none, none, 0, 200, 200},
             {"Relu", none, none, 1.5f, 2, 1.5f},
             {"Affine", 1, 0, 1.5f, -2, -1.5f}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        const float got = activated(t[i].name, t[i].alpha, t[i].beta, t[i].clip, t[i].x);
        cr_expect(fabsf(got - t[i].want) <= 1e-6f * fmaxf(1, fabsf(t[i].want)), "%s(%g) is %.9g",
                  t[i].name, (double)t[i].x, (double)got);
    }
}

/* Layout 1 is layout 0 with batch and steps (and directions) changed about. */
Test(lstm, takes_the_batch_first_when_asked)
{
    static float turned[S * N * I];
    const mc_nd x = waves(rooms[0], 0.7, 3, (int64_t[]){S, N, I});
    for (int t = 0; t < S; t++)
        for (int b = 0; b < N; b++)
            memcpy(turned + (b * S + t) * I, rooms[0] + (t * N + b) * I, I * sizeof(float));
    op_case c[2];
    for (int i = 0; i < 2; i++) {
        c[i] = begin("LSTM", "bidirectional", H);
        op_int(&c[i], "layout", i);
        op_outputs(&c[i], 3);
        op_in(&c[i], i ? op_f32(3, (int64_t[]){N, S, I}, turned) : x);
        op_in(&c[i], waves(rooms[1], 0.37, 3, (int64_t[]){2, 4 * H, I}));
        op_in(&c[i], waves(rooms[2], 0.53, 3, (int64_t[]){2, 4 * H, H}));
        op_run(&c[i]);
    }
    const mc_nd *y0 = op_out(&c[0], 0), *y1 = op_out(&c[1], 0);
    const mc_nd *c0 = op_out(&c[0], 2), *c1 = op_out(&c[1], 2);
    cr_expect_eq(y1->dim[0], N);
    cr_expect_eq(y1->dim[1], S);
    for (int t = 0; t < S; t++)
        for (int d = 0; d < 2; d++)
            for (int b = 0; b < N; b++) {
                cr_expect_eq(memcmp((float *)y1->data + ((b * S + t) * 2 + d) * H,
                                    (float *)y0->data + ((t * 2 + d) * N + b) * H,
                                    H * sizeof(float)),
                             0);
                cr_expect_eq(memcmp((float *)c1->data + (b * 2 + d) * H,
                                    (float *)c0->data + (d * N + b) * H, H * sizeof(float)),
                             0);
            }
    op_end(&c[0]);
    op_end(&c[1]);
}

Test(rnn, takes_f64)
{
    const double x[2] = {0.5, -1}, w = 1, r = 0;
    op_case c = begin("RNN", "forward", 1);
    op_in(&c, op_nd(MC_F64, 3, (int64_t[]){2, 1, 1}, x));
    op_in(&c, op_nd(MC_F64, 3, (int64_t[]){1, 1, 1}, &w));
    op_in(&c, op_nd(MC_F64, 3, (int64_t[]){1, 1, 1}, &r));
    op_run(&c);
    cr_expect_eq(op_out(&c, 0)->dtype, MC_F64);
    for (int i = 0; i < 2; i++)
        cr_expect(fabs(((const double *)op_out(&c, 0)->data)[i] - tanh(x[i])) <= 1e-6);
    op_end(&c);
}

static void expect_refusal(op_case *c, const char *why)
{
    cr_expect_eq(op_try(c), MC_E_FORMAT);
    cr_expect(strstr(c->err.text, why), "%s", c->err.text);
    op_end(c);
}

Test(gru, refuses_shapes_lengths_and_names_that_do_not_fit)
{
    const mc_nd x = waves(rooms[0], 0.7, 3, (int64_t[]){S, N, I});
    const mc_nd w = waves(rooms[1], 0.37, 3, (int64_t[]){1, 3 * H, I});
    const mc_nd r = waves(rooms[2], 0.53, 3, (int64_t[]){1, 3 * H, H});
    op_case c = begin("GRU", "forward", H);
    op_in(&c, x);
    op_in(&c, waves(rooms[3], 0.37, 3, (int64_t[]){1, 3 * H, I + 1}));
    op_in(&c, r);
    expect_refusal(&c, "input 1 is [1, 9, 3] F32; allowed is [1, 9, 2] F32");
    c = begin("GRU", "forward", H);
    op_in(&c, x);
    op_in(&c, w);
    op_in(&c, r);
    op_no_input(&c);
    op_in(&c, op_nd(MC_I32, 1, (int64_t[]){N}, (int32_t[]){1, 2, S + 1}));
    expect_refusal(&c, "sequence_lens[2] is 5 (0 to 4 are allowed)");
    c = begin("GRU", "backward", H);
    op_in(&c, x);
    op_in(&c, w);
    op_in(&c, r);
    expect_refusal(&c, "direction is 'backward'");
    c = begin("GRU", "forward", H);
    op_texts(&c, "activations", 1, (const char *[]){"Tanh"});
    op_in(&c, x);
    op_in(&c, w);
    op_in(&c, r);
    expect_refusal(&c, "activations has 1 names (2 are needed)");
    c = begin("GRU", "forward", H);
    op_texts(&c, "activations", 2, (const char *[]){"Tanh", "Wave"});
    op_in(&c, x);
    op_in(&c, w);
    op_in(&c, r);
    expect_refusal(&c, "activation 'Wave' is not known");
    c = begin("GRU", "forward", H + 1);
    op_in(&c, x);
    op_in(&c, w);
    op_in(&c, r);
    expect_refusal(&c, "input 2 is");
}

/* Gates of 3 are clipped to 0.5, so that i = f = o = sigmoid(0.5) = s; the state is not:
 * c = 2 s + s tanh(0.5), h = s tanh(c). ONNX Runtime agrees. */
Test(lstm, clips_gates_and_not_the_state)
{
    const float zero[4] = {0}, bias[8] = {3, 3, 3, 3}, before = 2.0f;
    const double s = 1.0 / (1.0 + exp(-0.5)), c1 = 2.0 * s + s * tanh(0.5);
    const float h = (float)(s * tanh(c1)), state = (float)c1;
    op_case c = begin("LSTM", "forward", 1);
    op_float(&c, "clip", 0.5f);
    op_outputs(&c, 3);
    op_in(&c, op_f32(3, (int64_t[]){1, 1, 1}, zero));
    op_in(&c, op_f32(3, (int64_t[]){1, 4, 1}, zero));
    op_in(&c, op_f32(3, (int64_t[]){1, 4, 1}, zero));
    op_in(&c, op_f32(2, (int64_t[]){1, 8}, bias));
    op_no_input(&c);
    op_no_input(&c);
    op_in(&c, op_f32(3, (int64_t[]){1, 1, 1}, &before));
    op_run(&c);
    op_expect_f32(&c, 0, 4, (int64_t[]){1, 1, 1, 1}, &h, 1e-6);
    op_expect_f32(&c, 2, 3, (int64_t[]){1, 1, 1}, &state, 1e-6);
    op_end(&c);
}
