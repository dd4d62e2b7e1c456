/* inspect for people. */
#include "cli/inspect.h"

#include "cli/output.h"
#include "core/scheme.h"
#include "formats/target.h"

#include <inttypes.h>
#include <string.h>

enum { WIDEST = 48, SHAPE = 128, LISTED = 8 };

static void add_fact(mc_text *text, const char *what, const char *value)
{
    mc_text_addf(text, "%-14s", what);
    mc_text_add_name(text, value, 0);
    mc_text_add(text, "\n");
}

static void add_size(mc_text *text, const char *what, uint64_t bytes)
{
    char size[MC_SIZE_TEXT];
    mc_text_addf(text, "%-14s%s (%" PRIu64 " bytes)\n", what, mc_size_text(bytes, size), bytes);
}

/* Columns that the names take. */
static size_t name_width(const mc_subject *s)
{
    size_t width = 6;
    for (size_t i = 0; i < mc_subject_tensors(s); i++) {
        const size_t n = mc_name_width(mc_subject_at(s, i).name);
        if (n > width && n <= WIDEST) width = n;
    }
    return width;
}

static uint64_t parameters(const mc_subject *s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < mc_subject_tensors(s); i++) n += mc_subject_at(s, i).count;
    return n;
}

/* ---- a model ---- */

static void add_files(mc_text *text, const mc_model *m)
{
    for (size_t i = 0; i < m->sources; i++) {
        char size[MC_SIZE_TEXT];
        mc_text_addf(text, "%-14s%-16s %9s  ", i ? "" : "files", m->source[i].role,
                     mc_size_text(m->source[i].map.size, size));
        mc_text_add_name(text, m->source[i].path, 0);
        mc_text_add(text, "\n");
    }
}

static void add_tensors(mc_text *text, const mc_subject *s)
{
    const size_t width = name_width(s);
    mc_text_add(text, "\n");
    mc_text_add_name(text, "tensor", width);
    mc_text_add(text, "  dtype     bytes  shape\n");
    for (size_t i = 0; i < mc_subject_tensors(s); i++) {
        const mc_subject_tensor t = mc_subject_at(s, i);
        char shape[SHAPE], size[MC_SIZE_TEXT];
        mc_subject_shape_text(&t, shape, sizeof shape);
        mc_text_add_name(text, t.name, width);
        mc_text_addf(text, "  %-5s %9s  %s\n", mc_dtype_about(t.dtype)->name,
                     mc_size_text(t.bytes, size), shape);
    }
}

static void add_model(mc_text *text, const mc_subject *s)
{
    const mc_model *m = &s->model;
    uint64_t bytes = 0;
    for (size_t i = 0; i < m->tensors; i++) bytes += m->tensor[i].bytes;

    add_fact(text, "file", s->path);
    add_fact(text, "format", m->format);
    if (m->architecture) add_fact(text, "architecture", m->architecture);
    if (m->tied_head) add_fact(text, "output head", "tied to the embedding");
    mc_text_addf(text, "%-14s%zu\n", "tensors", m->tensors);
    mc_text_addf(text, "%-14s%" PRIu64 "\n", "parameters", parameters(s));
    add_size(text, "weights", bytes);
    add_files(text, m);
    for (size_t i = 0; i < m->metadatas; i++) {
        mc_text_addf(text, "%-14s", i ? "" : "metadata");
        mc_text_add_name(text, m->metadata[i].key, 0);
        mc_text_add(text, " = ");
        mc_text_add_name(text, m->metadata[i].value, 0);
        mc_text_add(text, "\n");
    }
    add_tensors(text, s);
}

/* ---- a container ---- */

static void add_weights(mc_text *text, const mc_subject *s)
{
    const size_t width = name_width(s);
    mc_text_add(text, "\n");
    mc_text_add_name(text, "weight", width);
    mc_text_add(text, "  bytes      scheme\n");
    for (size_t i = 0; i < mc_subject_tensors(s); i++) {
        const mc_subject_tensor t = mc_subject_at(s, i);
        char shape[SHAPE], size[MC_SIZE_TEXT], scheme[MC_SCHEME_TEXT];
        mc_subject_shape_text(&t, shape, sizeof shape);
        mc_scheme_text(&s->container.weight[i], scheme);
        mc_text_add_name(text, t.name, width);
        mc_text_addf(text, "  %-9s  %s %s\n", mc_size_text(t.bytes, size), shape, scheme);
    }
}

/* "recipe.target = generic", or "kept: 9 entries" for what is too long to list. */
static void add_member(mc_text *text, const char *outer, const mc_json *member)
{
    const char *value = mc_json_as_text(member, NULL);
    const size_t inside = mc_json_count(member);
    if (!value && !inside) return;
    mc_text_addf(text, "%-14s", "");
    if (outer) mc_text_add_name(text, outer, 0);
    if (outer) mc_text_add(text, ".");
    mc_text_add_name(text, mc_json_key(member), 0);
    if (value) {
        mc_text_add(text, " = ");
        mc_text_add_name(text, value, 0);
        mc_text_add(text, "\n");
    } else {
        mc_text_addf(text, ": %zu %s\n", inside, inside == 1 ? "entry" : "entries");
    }
}

/* The first two levels of the manifest. */
static void add_manifest(mc_text *text, const mc_container *c)
{
    mc_json *json;
    mc_err ignored = {0};
    mc_text_addf(text, "%-14s%zu bytes\n", "manifest", c->manifest_bytes);
    if (mc_json_parse(c->manifest, c->manifest_bytes, "manifest", &json, &ignored) != MC_OK) return;
    for (size_t i = 0; i < mc_json_count(json); i++) {
        const mc_json *member = mc_json_at(json, i);
        const size_t inside = mc_json_is_object(member) ? mc_json_count(member) : 0;
        if (inside == 0 || inside > LISTED) add_member(text, NULL, member);
        for (size_t k = 0; k < inside && inside <= LISTED; k++)
            add_member(text, mc_json_key(member), mc_json_at(member, k));
    }
    mc_json_free(json);
}

static const char *target_name(uint16_t id)
{
    const mc_target *target;
    for (size_t i = 0; (target = mc_target_at(i)); i++)
        if (target->id == id) return target->name;
    return "unknown";
}

static void add_container(mc_text *text, const mc_subject *s)
{
    const mc_container *c = &s->container;
    char root[MC_SHA256_HEX], activations[MC_NUMERICS_TEXT];
    size_t quantized = 0;
    for (size_t i = 0; i < c->weights; i++) quantized += c->weight[i].form == MC_FORM_QUANTIZED;
    mc_hex(c->root, MC_SHA256_BYTES, root);
    mc_activations_text(&c->numerics, activations);

    add_fact(text, "file", s->path);
    mc_text_addf(text, "%-14scontainer, version %d\n", "format", MCPK_VERSION);
    add_size(text, "size", c->map.size);
    add_fact(text, "root", root);
    mc_text_addf(text, "%-14s%s (%u)\n", "target", target_name(c->target), (unsigned)c->target);
    mc_text_addf(text, "%-14s%u bytes\n", "align", (unsigned)c->align);
    mc_text_addf(text, "%-14s%zu, %zu of them quantized\n", "weights", c->weights, quantized);
    mc_text_addf(text, "%-14s%" PRIu64 "\n", "parameters", parameters(s));
    mc_text_addf(text, "%-14s%zu\n", "sections", c->parts);
    mc_text_addf(text, "%-14s%s, %s\n", "activations", activations,
                 c->numerics.measured ? "measured" : "recorded, not measured");
    if (c->numerics.kv_bits < 16)
        mc_text_addf(text, "%-14sint%u\n", "KV cache", (unsigned)c->numerics.kv_bits);
    for (size_t i = 0; i < c->sides; i++) {
        char size[MC_SIZE_TEXT];
        mc_text_addf(text, "%-14s", i ? "" : "side files");
        mc_text_add_name(text, c->side[i].name, 0);
        mc_text_addf(text, " (%s)\n", mc_size_text(c->side[i].bytes, size));
    }
    add_manifest(text, c);
    add_weights(text, s);
}

void mc_inspect_text(mc_text *text, const mc_subject *subject)
{
    if (subject->is_container)
        add_container(text, subject);
    else
        add_model(text, subject);
}
