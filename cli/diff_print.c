/* A diff as text and as JSON. */
#include "cli/diff.h"

#include "cli/output.h"

#include <inttypes.h>

enum { WIDEST = 48, SHAPE = 128 };

const char *mc_diff_kind_name(mc_diff_kind kind)
{
    static const char *const name[MC_DIFF_KINDS] = {
        [MC_DIFF_EQUAL] = "equal", [MC_DIFF_VALUES] = "values", [MC_DIFF_SHAPE] = "shape",
        [MC_DIFF_DTYPE] = "dtype", [MC_DIFF_ONLY_A] = "only a", [MC_DIFF_ONLY_B] = "only b"};
    return name[kind];
}

/* ---- text ---- */

/* What a tensor is stored as: "BF16", or "quantized". */
static const char *stored_as(const mc_subject_tensor *t)
{
    return t->form == MC_FORM_DENSE ? mc_dtype_about(t->dtype)->name : mc_form_name(t->form);
}

static void add_pair(mc_text *text, const mc_subject *a, const mc_subject *b,
                     const mc_diff_entry *e)
{
    const mc_subject_tensor x = mc_subject_at(a, e->a), y = mc_subject_at(b, e->b);
    char shape_x[SHAPE], shape_y[SHAPE];
    switch (e->kind) {
    case MC_DIFF_SHAPE:
        mc_subject_shape_text(&x, shape_x, sizeof shape_x);
        mc_subject_shape_text(&y, shape_y, sizeof shape_y);
        mc_text_addf(text, "shape %s in A, %s in B\n", shape_x, shape_y);
        break;
    case MC_DIFF_DTYPE:
        mc_text_addf(text, "%s in A, %s in B\n", stored_as(&x), stored_as(&y));
        break;
    case MC_DIFF_VALUES:
        if (!e->measured) {
            mc_text_addf(text, "other bytes (%s)\n", stored_as(&x));
            break;
        }
        mc_text_add_fixed(text, e->sqnr_db, 2);
        mc_text_add(text, " dB, at most ");
        mc_text_add_fixed(text, e->max_abs, 6);
        mc_text_addf(text, " at %" PRIu64, e->max_index);
        mc_text_addf(text, " (%s, %s)\n", stored_as(&x), stored_as(&y));
        break;
    case MC_DIFF_EQUAL:
    case MC_DIFF_ONLY_A:
    case MC_DIFF_ONLY_B:
    case MC_DIFF_KINDS: break;
    }
}

static void add_entries(mc_text *text, const mc_subject *a, const mc_subject *b,
                        const mc_diff *diff)
{
    size_t width = 0;
    for (size_t i = 0; i < diff->entries; i++) {
        const size_t n = mc_name_width(diff->entry[i].name);
        if (diff->entry[i].kind != MC_DIFF_EQUAL && n > width && n <= WIDEST) width = n;
    }
    mc_text_add(text, "\n");
    for (size_t i = 0; i < diff->entries; i++) {
        const mc_diff_entry *e = &diff->entry[i];
        if (e->kind == MC_DIFF_EQUAL) continue;
        mc_text_add_name(text, e->name, width);
        mc_text_add(text, "  ");
        if (e->kind == MC_DIFF_ONLY_A || e->kind == MC_DIFF_ONLY_B)
            mc_text_addf(text, "only in %c\n", e->kind == MC_DIFF_ONLY_A ? 'A' : 'B');
        else
            add_pair(text, a, b, e);
    }
}

static void add_subject(mc_text *text, char letter, const mc_subject *s)
{
    char size[MC_SIZE_TEXT];
    mc_text_addf(text, "%c: ", letter);
    mc_text_add_name(text, s->path, 0);
    const size_t n = mc_subject_tensors(s);
    mc_text_addf(text, " (%s, %zu tensor%s, %s)\n", mc_subject_format(s), n, n == 1 ? "" : "s",
                 mc_size_text(mc_subject_bytes(s), size));
}

static void add_bytes(mc_text *text, const mc_diff *diff)
{
    if (diff->sectors_changed == 0) {
        mc_text_add(text, "every sector of B is in A already\n");
        return;
    }
    char size[MC_SIZE_TEXT];
    mc_text_addf(text, "sections: %" PRIu64 " of %" PRIu64 " changed\n", diff->sections_changed,
                 diff->sections);
    mc_text_addf(text, "4 KiB sectors: %" PRIu64 " of %" PRIu64 " changed (%s)\n",
                 diff->sectors_changed, diff->sectors,
                 mc_size_text(diff->sectors_changed * 4096, size));
}

void mc_diff_text(mc_text *text, const mc_subject *a, const mc_subject *b, const mc_diff *diff)
{
    add_subject(text, 'A', a);
    add_subject(text, 'B', b);
    if (!mc_diff_is_equal(diff)) add_entries(text, a, b, diff);

    const size_t *n = diff->kind;
    mc_text_addf(text, "\n%zu equal, %zu with other values, %zu of another shape or dtype, ",
                 n[MC_DIFF_EQUAL], n[MC_DIFF_VALUES], n[MC_DIFF_SHAPE] + n[MC_DIFF_DTYPE]);
    mc_text_addf(text, "%zu only in A, %zu only in B\n", n[MC_DIFF_ONLY_A], n[MC_DIFF_ONLY_B]);
    if (mc_diff_is_equal(diff)) mc_text_add(text, "identical values\n");
    if (diff->worst) {
        mc_text_add(text, "least SQNR: ");
        mc_text_add_fixed(text, diff->worst->sqnr_db, 2);
        mc_text_add(text, " dB in ");
        mc_text_add_name(text, diff->worst->name, 0);
        mc_text_add(text, "\n");
    }
    if (diff->containers) add_bytes(text, diff);
}

/* ---- JSON ---- */

static void add_json_subject(mc_json_out *json, const char *key, const mc_subject *s)
{
    mc_json_object(json, key);
    mc_json_text(json, "file", s->path);
    mc_json_text(json, "format", mc_subject_format(s));
    mc_json_u64(json, "bytes", mc_subject_bytes(s));
    mc_json_u64(json, "tensors", mc_subject_tensors(s));
    mc_json_end(json);
}

static void add_json_side(mc_json_out *json, const char *key, const mc_subject *s, size_t place)
{
    const mc_subject_tensor t = mc_subject_at(s, place);
    mc_json_object(json, key);
    mc_json_text(json, "form", mc_form_name(t.form));
    mc_json_text(json, "dtype", mc_dtype_about(t.dtype)->name);
    mc_json_array(json, "shape");
    for (int d = 0; d < t.ndim; d++) mc_json_u64(json, NULL, t.dim[d]);
    mc_json_end(json);
    mc_json_end(json);
}

static void add_json_entry(mc_json_out *json, const mc_subject *a, const mc_subject *b,
                           const mc_diff_entry *e)
{
    mc_json_object(json, NULL);
    mc_json_text(json, "name", e->name);
    mc_json_text(json, "difference", mc_diff_kind_name(e->kind));
    if (e->kind != MC_DIFF_ONLY_B) add_json_side(json, "a", a, e->a);
    if (e->kind != MC_DIFF_ONLY_A) add_json_side(json, "b", b, e->b);
    if (e->kind == MC_DIFF_VALUES && e->measured) {
        mc_json_num(json, "sqnr_db", e->sqnr_db);
        mc_json_num(json, "max_abs_difference", e->max_abs);
        mc_json_u64(json, "max_abs_index", e->max_index);
    }
    mc_json_end(json);
}

void mc_diff_json(mc_json_out *json, const mc_subject *a, const mc_subject *b, const mc_diff *diff)
{
    mc_json_object(json, NULL);
    add_json_subject(json, "a", a);
    add_json_subject(json, "b", b);
    mc_json_bool(json, "identical_values", mc_diff_is_equal(diff));
    mc_json_array(json, "tensors");
    for (size_t i = 0; i < diff->entries; i++) add_json_entry(json, a, b, &diff->entry[i]);
    mc_json_end(json);
    if (diff->containers) {
        mc_json_u64(json, "sections", diff->sections);
        mc_json_u64(json, "sections_changed", diff->sections_changed);
        mc_json_u64(json, "sectors", diff->sectors);
        mc_json_u64(json, "sectors_changed", diff->sectors_changed);
    }
    mc_json_end(json);
}
