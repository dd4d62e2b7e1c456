/* Rotations (QuaRot, Ashkboos et al. 2024; SpinQuant, Liu et al. 2024). R1 turns the residual
 * stream: gains of its norms go into the matrices that read it, everything that reads or writes it
 * is rotated. R2 turns values head by head, R4 the inputs of the other matrices that write into the
 * stream, and R3 keys and queries; the last two need a device that runs Hadamard transforms.
 *
 * The graph stays: its norms get gains of 1. RMSNormalization commutes with every rotation.
 * LayerNormalization takes the mean off, so a rotation Q that keeps means is taken instead:
 * Q = H G, where H is the rotation asked for and G the reflection that turns 1 H back to 1. It
 * commutes without any centring, which QuaRot folds into the writers. */
#include "quant/transform_residual.h"
#include "quant/transform_scale.h"

#include <math.h>
#include <string.h>

enum { KIND, BLOCK, R3, R4 };

typedef struct {
    const mc_transform_job *job;
    mc_look look;
    mc_residual stream;
    mc_rotation q; /* R1 */
    mc_arena *mem;
    mc_residual_tensor *turned; /* rotated for R1 already, and along which axis */
    size_t turned_count;
} rotor;

static mc_status turn(const mc_transform_job *job, const mc_tensor *tensor, int axis,
                      const mc_rotation *q, mc_err *err)
{
    const mc_edit edit = {.kind = MC_EDIT_ROTATE, .axis = axis, .rotation = q};
    return mc_edits_add(job->edits, tensor, &edit, err);
}

/* Rotates a tensor along an axis unless that was done: experts share stacks, heads may be
 * embeddings. */
static mc_status turn_once(rotor *r, const mc_tensor *tensor, int axis, mc_err *err)
{
    for (size_t i = 0; i < r->turned_count; i++)
        if (r->turned[i].tensor == tensor && r->turned[i].axis == axis) return MC_OK;
    r->turned[r->turned_count++] = (mc_residual_tensor){tensor, axis};
    return turn(r->job, tensor, axis, &r->q, err);
}

/* ---- what becomes of inputs ---- */

static mc_status tell_readers(const rotor *r, const mc_residual_norm *norm, mc_input_change change,
                              mc_err *err)
{
    change.n = r->stream.width;
    for (size_t i = 0; i < norm->sites; i++)
        MC_TRY(mc_input_changed(r->job, norm->site[i], change, err));
    return MC_OK;
}

static mc_status tell_turned(const rotor *r, size_t site, const mc_rotation *q, mc_err *err)
{
    const mc_input_change change = {.kind = MC_INPUT_ROTATED, .n = q->n, .rotation = q};
    return mc_input_changed(r->job, site, change, err);
}

/* ---- R1: norms ---- */

static bool is_table(const rotor *r, const mc_tensor *tensor)
{
    for (size_t i = 0; i < r->stream.froms; i++)
        if (r->stream.from[i].tensor == tensor) return true;
    return false;
}

typedef struct {
    double *gain, *inverse, *bias; /* of each channel; bias NULL: none */
    bool flat;                     /* all gains are one number, which commutes */
} norm_numbers;

static mc_status load_norm(const rotor *r, const mc_residual_norm *norm, mc_arena *mem,
                           norm_numbers *out, mc_err *err)
{
    const size_t n = r->stream.width;
    const float *x = NULL;
    out->gain = MC_NEW(mem, double, n);
    out->inverse = MC_NEW(mem, double, n);
    out->bias = norm->bias ? MC_NEW(mem, double, n) : NULL;
    if (!out->gain || !out->inverse || (norm->bias && !out->bias))
        return mc_no_room(err, "a rotation");
    mc_arena scratch = *mem;
    if (norm->gain) MC_TRY(mc_scale_load(r->job, norm->gain, &scratch, &x, err));
    out->flat = true;
    for (size_t i = 0; i < n; i++) {
        out->gain[i] = x ? (double)x[i] + norm->gain_offset : 1.0;
        out->inverse[i] = 1.0 / out->gain[i];
        out->flat = out->flat && out->gain[i] == out->gain[0];
    }
    scratch = *mem;
    if (norm->bias) MC_TRY(mc_scale_load(r->job, norm->bias, &scratch, &x, err));
    for (size_t i = 0; norm->bias && i < n; i++) out->bias[i] = (double)x[i];
    return MC_OK;
}

static bool all_have_slots(const rotor *r, const mc_residual_norm *norm)
{
    for (size_t i = 0; i < norm->sites; i++)
        if (!mc_place_slot(&r->job->places->output[norm->site[i]]) ||
            r->job->places->output[norm->site[i]].norm.scale)
            return false;
    return norm->sites > 0;
}

/* May the gains go into what reads the norm, and its bias somewhere? */
static mc_status check_norm(const rotor *r, const mc_residual_norm *norm, mc_err *err)
{
    mc_arena scratch = *r->mem;
    norm_numbers n = {.flat = true};
    MC_TRY(load_norm(r, norm, &scratch, &n, err));
    if (n.flat) return MC_OK;
    for (size_t i = 0; i < norm->sites; i++) {
        const mc_tensor *w = r->job->places->sites->site[norm->site[i]].weight;
        char text[MC_NODE_TEXT];
        if (is_table(r, w))
            return mc_fail(err, MC_E_UNSUPPORTED,
                           "tensor '%s' is the embedding and the head behind %s, whose gain would "
                           "go into one of them alone: untie them first",
                           w->name, mc_node_show(r->look.graph, norm->node, text));
    }
    for (size_t i = 0; norm->bias && !all_have_slots(r, norm) && i < r->stream.width; i++) {
        char text[MC_NODE_TEXT];
        if (!(fabs(n.inverse[i]) <= 1e3))
            return mc_fail(err, MC_E_UNSUPPORTED,
                           "%s has the gain %g at channel %zu and a bias that no reader's bias can "
                           "take: it cannot be rotated",
                           mc_node_show(r->look.graph, norm->node, text), n.gain[i], i);
    }
    return MC_OK;
}

/* b + W beta, for matrices as they stand. */
static mc_status move_bias(const rotor *r, const mc_residual_norm *norm, const double *beta,
                           mc_arena scratch, mc_err *err)
{
    for (size_t i = 0; i < norm->sites; i++) {
        mc_arena mem = scratch;
        const mc_site *site = &r->job->places->sites->site[norm->site[i]];
        mc_scale_matrix m;
        const float *w;
        if (!mc_scale_matrix_of(r->job->places, site, &m))
            return mc_fail(err, MC_E_INTERNAL, "'%s' is no matrix", site->name);
        double *sum = MC_NEW(&mem, double, m.rows);
        float *row = MC_NEW(&mem, float, m.cols);
        if (!sum || !row) return mc_no_room(err, site->name);
        MC_TRY(mc_scale_load(r->job, site->weight, &mem, &w, err));
        for (size_t o = 0; o < m.rows; o++) {
            mc_scale_row(&m, w, o, row);
            for (size_t k = 0; k < m.cols; k++) sum[o] += (double)row[k] * beta[k];
        }
        const mc_tensor *slot = mc_place_slot(&r->job->places->output[norm->site[i]]);
        MC_TRY(mc_scale_edit_bias(r->job, slot, MC_EDIT_ADD, sum, err));
    }
    return MC_OK;
}

/* The bias goes into the readers' biases; or it stays, over the gain and rotated:
 * gain x + beta = gain (x + beta / gain). */
static mc_status rotate_bias(const rotor *r, const mc_residual_norm *norm, const norm_numbers *n,
                             mc_arena scratch, mc_err *err)
{
    if (!norm->bias) return MC_OK;
    if (all_have_slots(r, norm)) {
        double *zero = MC_NEW(&scratch, double, r->stream.width);
        if (!zero) return mc_no_room(err, "a rotation");
        const mc_input_change shifted = {.kind = MC_INPUT_SHIFTED, .vector = n->bias};
        MC_TRY(move_bias(r, norm, n->bias, scratch, err));
        MC_TRY(tell_readers(r, norm, shifted, err));
        return mc_scale_edit(r->job, norm->bias, MC_EDIT_SET, 0, zero, err);
    }
    if (!n->flat) MC_TRY(mc_scale_edit(r->job, norm->bias, MC_EDIT_SCALE, 0, n->inverse, err));
    return turn(r->job, norm->bias, 0, &r->q, err);
}

static mc_status fold_gain(rotor *r, const mc_residual_norm *norm, const norm_numbers *n,
                           mc_arena scratch, mc_err *err)
{
    if (n->flat) return MC_OK;
    double *one = MC_NEW(&scratch, double, r->stream.width);
    if (!one) return mc_no_room(err, "a rotation");
    for (size_t i = 0; i < r->stream.width; i++) one[i] = 1.0 - norm->gain_offset;
    const mc_input_change scaled = {.kind = MC_INPUT_SCALED, .vector = n->gain};
    MC_TRY(mc_scale_edit(r->job, norm->gain, MC_EDIT_SET, 0, one, err));
    MC_TRY(tell_readers(r, norm, scaled, err));
    for (size_t i = 0; i < norm->sites; i++) {
        const mc_site *site = &r->job->places->sites->site[norm->site[i]];
        mc_site_axes axes;
        size_t before = 0;
        for (size_t k = 0; k < i; k++)
            before += r->job->places->sites->site[norm->site[k]].weight == site->weight;
        if (before > 0 || !mc_look_axes(r->look.graph, site, &axes)) continue;
        MC_TRY(mc_scale_edit(r->job, site->weight, MC_EDIT_SCALE, axes.in, n->gain, err));
    }
    return MC_OK;
}

static mc_status rotate_norm(rotor *r, const mc_residual_norm *norm, mc_err *err)
{
    mc_arena scratch = *r->mem;
    norm_numbers n = {.flat = true};
    MC_TRY(load_norm(r, norm, &scratch, &n, err));
    MC_TRY(rotate_bias(r, norm, &n, scratch, err));
    MC_TRY(fold_gain(r, norm, &n, scratch, err));
    const mc_input_change turned = {.kind = MC_INPUT_ROTATED, .rotation = &r->q};
    MC_TRY(tell_readers(r, norm, turned, err));
    for (size_t i = 0; i < norm->sites; i++) {
        const mc_site *site = &r->job->places->sites->site[norm->site[i]];
        mc_site_axes axes;
        if (!mc_look_axes(r->look.graph, site, &axes)) continue;
        MC_TRY(turn_once(r, site->weight, axes.in, err));
    }
    return MC_OK;
}

/* ---- R1: writers ---- */

static mc_status rotate_writers(rotor *r, mc_err *err)
{
    for (size_t i = 0; i < r->stream.writers; i++) {
        const size_t at = r->stream.writer[i];
        const mc_site *site = &r->job->places->sites->site[at];
        const mc_tensor *bias = r->job->places->output[at].bias;
        mc_site_axes axes;
        if (!mc_look_axes(r->look.graph, site, &axes)) continue;
        MC_TRY(turn_once(r, site->weight, axes.out, err));
        if (bias) MC_TRY(turn(r->job, bias, mc_look_vector_axis(bias), &r->q, err));
    }
    for (size_t i = 0; i < r->stream.froms; i++)
        MC_TRY(turn_once(r, r->stream.from[i].tensor, r->stream.from[i].axis, err));
    return MC_OK;
}

/* ---- rotations that keep means ---- */

/* Q G with G = 1 - 2 u u^T / u^T u, u = 1 Q / sqrt(n) - 1 / sqrt(n): 1 Q G = 1. */
static mc_status keep_means(rotor *r, mc_err *err)
{
    const size_t n = r->stream.width;
    double *matrix = MC_NEW(r->mem, double, n *n);
    mc_arena scratch = *r->mem;
    double *u = MC_NEW(&scratch, double, n);
    if (!matrix || !u) return mc_no_room(err, "a rotation");
    const double each = 1.0 / sqrt((double)n);
    for (size_t i = 0; i < n; i++) {
        matrix[i * n + i] = 1.0;
        u[i] = each;
    }
    mc_rotate_f64(&r->q, false, matrix, n, n, scratch);
    mc_rotate_f64(&r->q, false, u, 1, n, scratch);
    double size = 0.0;
    for (size_t i = 0; i < n; i++) {
        u[i] -= each;
        size += u[i] * u[i];
    }
    for (size_t row = 0; row < n && size > 1e-24; row++) {
        double *x = matrix + row * n, along = 0.0;
        for (size_t i = 0; i < n; i++) along += x[i] * u[i];
        for (size_t i = 0; i < n; i++) x[i] -= 2.0 * along / size * u[i];
    }
    r->q = (mc_rotation){.kind = MC_ROTATE_ORTHOGONAL, .n = n, .block = n, .matrix = matrix};
    return MC_OK;
}

static mc_status rotate_stream(rotor *r, mc_err *err)
{
    const double *param = r->job->setup->param;
    MC_TRY(mc_residual_find(&r->look, r->mem, &r->stream, err));
    MC_TRY(mc_rotation_make((mc_rotate_kind)param[KIND], r->stream.width, (size_t)param[BLOCK],
                            r->job->seed, r->mem, &r->q, err));
    if (r->stream.centres) MC_TRY(keep_means(r, err));
    for (size_t i = 0; i < r->stream.norms; i++) /* before the first edit */
        MC_TRY(check_norm(r, &r->stream.norm[i], err));
    for (size_t i = 0; i < r->stream.norms; i++) MC_TRY(rotate_norm(r, &r->stream.norm[i], err));
    return rotate_writers(r, err);
}

/* ---- R2: values, head by head; R4: what comes before the other writers ---- */

/* A rotation whose blocks are all the same, so that heads that share values share it. */
static mc_status make_blocks(const rotor *r, size_t n, size_t block, const mc_rotation **out,
                             mc_err *err)
{
    const bool hadamard = (mc_rotate_kind)r->job->setup->param[KIND] != MC_ROTATE_ORTHOGONAL &&
                          mc_hadamard_exists(block);
    mc_rotation *q = MC_NEW(r->mem, mc_rotation, 1);
    *out = q;
    if (!q) return mc_no_room(err, "a rotation");
    return mc_rotation_make(hadamard ? MC_ROTATE_HADAMARD : MC_ROTATE_ORTHOGONAL, n, block,
                            r->job->seed + 1, r->mem, q, err);
}

static mc_status rotate_values(rotor *r, const mc_place *place, mc_err *err)
{
    const mc_site_output *o =
        &r->job->places->output[place->producer - r->job->places->sites->site];
    const mc_rotation *values, *heads;
    mc_site_axes axes;
    if (place->head < 2 || o->norm.scale) return MC_OK;
    MC_TRY(make_blocks(r, place->channels, place->head, &values, err));
    MC_TRY(make_blocks(r, place->width, place->head, &heads, err));
    if (!mc_look_axes(r->look.graph, place->producer, &axes)) return MC_OK;
    MC_TRY(turn(r->job, place->producer->weight, axes.out, values, err));
    if (o->bias) MC_TRY(turn(r->job, o->bias, mc_look_vector_axis(o->bias), values, err));
    for (size_t i = 0; i < place->sites; i++) {
        const mc_site *site = &r->job->places->sites->site[place->site[i]];
        if (!mc_look_axes(r->look.graph, site, &axes)) continue;
        MC_TRY(turn(r->job, site->weight, axes.in, heads, err));
        MC_TRY(tell_turned(r, place->site[i], heads, err));
    }
    return MC_OK;
}

/* A place of its own matrices: of a fused one the other parts would be rotated too. */
static bool is_whole(const mc_place *place)
{
    size_t shares = 0;
    for (size_t i = 0; i < place->width; i++) shares += place->from[i] == place->from[0];
    return place->width == place->channels * shares;
}

/* Is the site's input an attention's output, place or not? */
static bool behind_attention(const rotor *r, size_t at)
{
    const mc_site *site = &r->job->places->sites->site[at];
    mc_id value = r->look.graph->node[site->node].in[site->activation_input];
    for (int i = 0; i < 4; i++) {
        const mc_node *n = mc_look_maker(&r->look, value);
        if (!n) return false;
        if (strcmp(n->op, "Attention") == 0) return true;
        if (!mc_node_is(n, "", "Reshape") && !mc_node_is(n, "", "Transpose")) return false;
        value = mc_look_in(n, 0);
    }
    return false;
}

static mc_status rotate_input(rotor *r, size_t at, const mc_tensor **done, size_t *dones,
                              mc_err *err)
{
    const mc_site *site = &r->job->places->sites->site[at];
    mc_site_axes axes;
    if (!mc_look_axes(r->look.graph, site, &axes)) return MC_OK;
    const size_t block = mc_hadamard_block(axes.ins);
    if (block < 2 || behind_attention(r, at)) return MC_OK;
    r->job->hadamard[at] = (uint32_t)block;
    mc_rotation *q = MC_NEW(r->mem, mc_rotation, 1);
    if (!q) return mc_no_room(err, "a rotation");
    MC_TRY(mc_rotation_make(MC_ROTATE_HADAMARD, axes.ins, block, 0, r->mem, q, err));
    MC_TRY(tell_turned(r, at, q, err));
    for (size_t i = 0; i < *dones; i++)
        if (done[i] == site->weight) return MC_OK;
    done[(*dones)++] = site->weight;
    return turn(r->job, site->weight, axes.in, q, err);
}

static mc_status rotate_inputs(rotor *r, mc_err *err)
{
    const mc_tensor **done = MC_NEW(r->mem, const mc_tensor *, r->stream.writers + 1);
    size_t dones = 0;
    if (!done) return mc_no_room(err, "a rotation");
    for (size_t i = 0; i < r->stream.writers; i++)
        MC_TRY(rotate_input(r, r->stream.writer[i], done, &dones, err));
    return MC_OK;
}

/* ---- the transform ---- */

static mc_status begin(const mc_transform_job *job, mc_arena *mem, mc_err *err)
{
    const double *param = job->setup->param;
    if ((param[R3] != 0.0 || param[R4] != 0.0) && !job->online_hadamard)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "%s=1 needs a target that runs Hadamard transforms; this one does not",
                       param[R4] != 0.0 ? "r4" : "r3");
    rotor r = {.job = job, .mem = mem};
    rotor *kept = MC_NEW(mem, rotor, 1); /* edits point to its rotation */
    if (!kept) return mc_no_room(err, "a rotation");
    *kept = r;
    MC_TRY(mc_look_open(job->places->graph, job->places->sites, mem, &kept->look, err));
    kept->turned = MC_NEW(mem, mc_residual_tensor,
                          2 * job->places->sites->sites + job->places->graph->values + 1);
    if (!kept->turned) return mc_no_room(err, "a rotation");
    MC_TRY(rotate_stream(kept, err));
    for (size_t i = 0; i < job->places->places; i++)
        if (job->places->place[i].head && is_whole(&job->places->place[i]))
            MC_TRY(rotate_values(kept, &job->places->place[i], err));
    if (param[R4] != 0.0) MC_TRY(rotate_inputs(kept, err));
    if (param[R3] != 0.0) *job->kv_hadamard = true;
    return MC_OK;
}

const mc_transform mc_transform_rotate = {
    .name = "rotate",
    .summary = "the residual stream and values rotated, so that outliers spread over all channels",
    .needs = "no data, a transformer with norms in front",
    .cost = "n log n per row of a weight; on the device n log n per token where online",
    .paper = "Ashkboos et al. 2024 (QuaRot), section 4; Liu et al. 2024 (SpinQuant), R1 to R4",
    .params = {[KIND] = {.key = "kind",
                         .summary = "0: Hadamard; 1: Hadamard with random signs; 2: random "
                                    "orthogonal",
                         .least = 0.0,
                         .most = 2.0,
                         .usual = 1.0,
                         .whole = true},
               [BLOCK] = {.key = "block",
                          .summary = "channels of the stream that are mixed; 0: all",
                          .least = 0.0,
                          .most = 1048576.0,
                          .usual = 0.0,
                          .whole = true},
               [R3] = {.key = "r3",
                       .summary = "1: the device also rotates queries and keys",
                       .least = 0.0,
                       .most = 1.0,
                       .usual = 0.0,
                       .whole = true},
               [R4] = {.key = "r4",
                       .summary =
                           "1: the device also rotates what comes into the MLP's last matrix",
                       .least = 0.0,
                       .most = 1.0,
                       .usual = 0.0,
                       .whole = true}},
    .rotates = true,
    .begin = begin,
};
