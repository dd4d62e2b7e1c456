/* inspect for programs. */
#include "cli/inspect.h"

#include "core/scheme.h"

#include <stdlib.h>

static void add_tensors(mc_json_out *json, const mc_subject *s)
{
    mc_json_array(json, s->is_container ? "weights" : "tensors");
    for (size_t i = 0; i < mc_subject_tensors(s); i++) {
        const mc_subject_tensor t = mc_subject_at(s, i);
        mc_json_object(json, NULL);
        mc_json_text(json, "name", t.name);
        mc_json_text(json, "form", mc_form_name(t.form));
        mc_json_text(json, "dtype", mc_dtype_about(t.dtype)->name);
        mc_json_array(json, "shape");
        for (int d = 0; d < t.ndim; d++) mc_json_u64(json, NULL, t.dim[d]);
        mc_json_end(json);
        mc_json_u64(json, "parameters", t.count);
        mc_json_u64(json, "bytes", t.bytes);
        if (t.form == MC_FORM_QUANTIZED) mc_scheme_json(&s->container.weight[i], json);
        mc_json_end(json);
    }
    mc_json_end(json);
}

static void add_model(mc_json_out *json, const mc_model *m)
{
    mc_json_text(json, "architecture", m->architecture);
    mc_json_bool(json, "tied_head", m->tied_head);
    mc_json_array(json, "files");
    for (size_t i = 0; i < m->sources; i++) {
        mc_json_object(json, NULL);
        mc_json_text(json, "path", m->source[i].path);
        mc_json_text(json, "role", m->source[i].role);
        mc_json_u64(json, "bytes", m->source[i].map.size);
        mc_json_end(json);
    }
    mc_json_end(json);
    mc_json_object(json, "metadata");
    for (size_t i = 0; i < m->metadatas; i++)
        mc_json_text(json, m->metadata[i].key, m->metadata[i].value);
    mc_json_end(json);
}

static void add_manifest(mc_json_out *json, const mc_container *c)
{
    mc_json *parsed;
    mc_err ignored = {0};
    if (mc_json_parse(c->manifest, c->manifest_bytes, "manifest", &parsed, &ignored) != MC_OK) {
        mc_json_null(json, "manifest");
        return;
    }
    char *text = mc_json_print(parsed);
    if (text)
        mc_json_raw(json, "manifest", text);
    else
        mc_json_null(json, "manifest");
    free(text);
    mc_json_free(parsed);
}

static void add_container(mc_json_out *json, const mc_container *c)
{
    char root[MC_SHA256_HEX];
    mc_hex(c->root, MC_SHA256_BYTES, root);
    mc_json_u64(json, "version", MCPK_VERSION);
    mc_json_text(json, "root", root);
    mc_json_u64(json, "target", c->target);
    mc_json_u64(json, "align", c->align);
    mc_json_u64(json, "sections", c->parts);
    mc_json_u64(json, "activation_bits", c->numerics.activation_bits);
    mc_json_u64(json, "activation_mode", c->numerics.activation_mode);
    mc_json_u64(json, "kv_bits", c->numerics.kv_bits);
    mc_json_bool(json, "activations_measured", c->numerics.measured);
    mc_json_array(json, "side_files");
    for (size_t i = 0; i < c->sides; i++) {
        mc_json_object(json, NULL);
        mc_json_text(json, "name", c->side[i].name);
        mc_json_u64(json, "bytes", c->side[i].bytes);
        mc_json_end(json);
    }
    mc_json_end(json);
    add_manifest(json, c);
}

void mc_inspect_json(mc_json_out *json, const mc_subject *s)
{
    mc_json_object(json, NULL);
    mc_json_text(json, "file", s->path);
    mc_json_text(json, "format", mc_subject_format(s));
    mc_json_u64(json, "bytes", mc_subject_bytes(s));
    if (s->is_container)
        add_container(json, &s->container);
    else
        add_model(json, &s->model);
    add_tensors(json, s);
    mc_json_end(json);
}
