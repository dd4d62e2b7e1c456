/* Where everything goes: all offsets and sizes from the specs alone, so that a plan can show them
 * and the writer can stream. Sections stand in index order, each at the next multiple of `align`:
 *
 *     CRC table, names, the parts of each weight, sites, side files, manifest
 *
 * With compression the sizes are upper bounds, and the CRC table stands last, where its size is
 * known. */
#include "formats/container_records.h"

#include "core/ckd.h"

#include <string.h>
#include <zlib.h>

typedef struct {
    const mc_container_spec *spec;
    mc_layout *out;
    uint64_t at; /* where the next section may begin */
} layouter;

static mc_status check_spec(const mc_container_spec *spec, mc_err *err)
{
    const uint32_t align = spec->align;
    const mc_numerics *n = &spec->numerics;
    if (align < MCPK_MIN_ALIGN || align > MCPK_MAX_ALIGN || (align & (align - 1)) != 0)
        return mc_fail(err, MC_E_USAGE, "alignment %u is not a power of two from %d to %d",
                       (unsigned)align, MCPK_MIN_ALIGN, MCPK_MAX_ALIGN);
    if (n->activation_bits < 1 || n->activation_bits > 16 || n->kv_bits < 1 || n->kv_bits > 16 ||
        n->activation_mode > MCPK_ACT_STATIC)
        return mc_fail(err, MC_E_USAGE, "activations of %u bits in mode %u, KV cache of %u bits",
                       (unsigned)n->activation_bits, (unsigned)n->activation_mode,
                       (unsigned)n->kv_bits);
    if (spec->manifest_bytes == 0) return mc_fail(err, MC_E_USAGE, "an empty manifest");
    if (spec->weights > UINT32_MAX / MC_SLAB_PIECES || spec->sides > UINT32_MAX / 2)
        return mc_fail(err, MC_E_UNSUPPORTED, "%zu weights and %zu side files are too many",
                       spec->weights, spec->sides);
    return MC_OK;
}

/* Offset and name length of each name are 32 bits. */
static mc_status names_bytes(const mc_container_spec *spec, uint64_t *bytes, mc_err *err)
{
    *bytes = 0;
    for (size_t i = 0; i < spec->weights; i++) *bytes += strlen(spec->weight[i].name) + 1;
    for (size_t i = 0; i < spec->sides; i++) *bytes += strlen(spec->side[i].name) + 1;
    if (*bytes > UINT32_MAX)
        return mc_fail(err, MC_E_UNSUPPORTED, "names of %llu bytes, at most %lu",
                       (unsigned long long)*bytes, (unsigned long)UINT32_MAX);
    return MC_OK;
}

static bool may_compress(const layouter *l, const mcpk_part *part)
{
    return l->spec->compress && part->type != MCPK_SECTION_NAMES && part->type != MCPK_SECTION_CRC;
}

static mc_status place(layouter *l, mcpk_part part, mc_err *err)
{
    char text[256];
    part.stored = may_compress(l, &part) ? compressBound((uLong)part.raw) : part.raw;
    part.offset = l->at;
    uint64_t end;
    if (part.stored < part.raw || !mc_add_u64(l->at, part.stored, &end) || end > INT64_MAX ||
        !mc_align_up(end, l->spec->align, &l->at))
        return mc_fail(err, MC_E_UNSUPPORTED, "%s: %llu bytes are too many",
                       mc_section_text(&part, NULL, NULL, text, sizeof text),
                       (unsigned long long)part.raw);
    l->out->part[l->out->parts++] = part;
    l->out->file_bytes = end;
    return MC_OK;
}

static mc_status place_other(layouter *l, uint16_t type, uint64_t raw, mc_err *err)
{
    mcpk_part part = {.type = type, .raw = raw, .weight = MCPK_NO_WEIGHT};
    if (type == MCPK_SECTION_NAMES) part.flags = MCPK_REQUIRED;
    if (type == MCPK_SECTION_CRC) part.param[0] = MCPK_CRC_CHUNK;
    return place(l, part, err);
}

static mc_status place_weights(layouter *l, mc_err *err)
{
    for (size_t w = 0; w < l->spec->weights; w++) {
        mc_needs needs;
        if (mc_needs_of(&l->spec->weight[w], &needs, err) != MC_OK)
            return mc_wrap(err, "weight \"%s\"", l->spec->weight[w].name);
        l->out->first_part[w] = (uint32_t)l->out->parts;
        for (unsigned i = 0; i < needs.parts; i++) {
            const mcpk_part part = {.type = MCPK_SECTION_WEIGHT,
                                    .weight = (uint32_t)w,
                                    .role = needs.part[i].role,
                                    .flags = MCPK_REQUIRED,
                                    .encoding = needs.part[i].encoding,
                                    .raw = needs.part[i].bytes};
            if (place(l, part, err) != MC_OK)
                return mc_wrap(err, "weight \"%s\"", l->spec->weight[w].name);
        }
    }
    l->out->first_part[l->spec->weights] = (uint32_t)l->out->parts;
    return MC_OK;
}

static mc_status place_sides(layouter *l, mc_err *err)
{
    uint64_t name = 0;
    for (size_t w = 0; w < l->spec->weights; w++) name += strlen(l->spec->weight[w].name) + 1;
    for (size_t i = 0; i < l->spec->sides; i++) {
        const mc_side_file *side = &l->spec->side[i];
        const size_t length = strlen(side->name);
        const mcpk_part part = {.type = MCPK_SECTION_SIDE,
                                .weight = MCPK_NO_WEIGHT,
                                .raw = side->bytes,
                                .param = {(uint32_t)name, (uint32_t)length}};
        if (place(l, part, err) != MC_OK) return mc_wrap(err, "side file \"%s\"", side->name);
        name += length + 1;
    }
    return MC_OK;
}

static mc_status place_sites(layouter *l, mc_err *err)
{
    uint64_t bytes;
    MC_TRY(mc_sites_bytes(l->spec, &bytes, err));
    if (bytes == 0) return MC_OK;
    const mcpk_part part = {.type = MCPK_SECTION_SITES,
                            .raw = bytes,
                            .weight = MCPK_NO_WEIGHT,
                            .flags = mc_sites_required(l->spec) ? MCPK_REQUIRED : 0};
    return place(l, part, err);
}

/* The CRC table's size follows from the sizes of the others, so those are placed once to learn them
 * and once behind the table. */
static mc_status place_all(layouter *l, uint64_t front_bytes, uint64_t names, mc_err *err)
{
    uint64_t chunks = 0;
    const bool crc_first = !l->spec->compress;
    for (int round = crc_first ? 0 : 1; round < 2; round++) {
        l->at = front_bytes;
        l->out->parts = 0;
        if (crc_first) MC_TRY(place_other(l, MCPK_SECTION_CRC, 4 * chunks, err));
        MC_TRY(place_other(l, MCPK_SECTION_NAMES, names, err));
        MC_TRY(place_weights(l, err));
        MC_TRY(place_sites(l, err));
        MC_TRY(place_sides(l, err));
        MC_TRY(place_other(l, MCPK_SECTION_MANIFEST, l->spec->manifest_bytes, err));
        if (!mc_crc_chunks(l->out->part, l->out->parts, &chunks))
            return mc_fail(err, MC_E_UNSUPPORTED, "a CRC table of more than 2^64 bytes");
    }
    return crc_first ? MC_OK : place_other(l, MCPK_SECTION_CRC, 4 * chunks, err);
}

static uint64_t count_parts(const mc_container_spec *spec)
{
    return 4 + (uint64_t)spec->sides + (uint64_t)spec->weights * MC_MOST_NEEDS;
}

mc_status mc_container_layout(const mc_container_spec *spec, mc_arena *mem, mc_layout *out,
                              mc_err *err)
{
    MC_TRY(check_spec(spec, err));
    uint64_t names;
    MC_TRY(names_bytes(spec, &names, err));

    *out = (mc_layout){.spec = spec};
    uint64_t parts = count_parts(spec);
    if (parts > UINT32_MAX)
        return mc_fail(err, MC_E_UNSUPPORTED, "%llu sections are too many",
                       (unsigned long long)parts);
    out->first_part = MC_NEW(mem, uint32_t, spec->weights + 1);
    out->part = MC_NEW(mem, mcpk_part, (size_t)parts);
    if (!out->part || !out->first_part) return mc_no_room(err, "the layout of the container");

    /* The front's size depends on the number of parts alone: placing once at 0 counts them. */
    layouter l = {.spec = spec, .out = out};
    MC_TRY(place_all(&l, 0, names, err));
    mc_front front;
    if (!mc_front_of((uint32_t)spec->weights, (uint32_t)out->parts, spec->align, &front))
        return mc_fail(err, MC_E_UNSUPPORTED, "a front that is too large");
    out->front_bytes = front.front_bytes;
    return place_all(&l, front.front_bytes, names, err);
}
