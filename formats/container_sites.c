/* The sites section: how the device quantizes activations, site by site, and the KV cache. */
#include "formats/container_records.h"

#include "core/act.h"
#include "core/bytes.h"
#include "core/ckd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the arrays of the section begin. */
typedef struct {
    uint32_t sites, scales, zeros, name_bytes;
    uint64_t scale, zero, name, end;
} places;

static void place(places *p)
{
    p->scale = MCPK_SITES_HEADER_BYTES + (uint64_t)p->sites * MCPK_SITE_BYTES;
    p->zero = p->scale + 4 * (uint64_t)p->scales;
    p->name = p->zero + 2 * (uint64_t)p->zeros;
    p->end = p->name + p->name_bytes;
}

static uint32_t zeros_of(const mc_act_spec *a)
{
    return a->mode == MC_ACT_STATIC && a->asymmetric ? a->scales : 0;
}

static uint32_t scales_of(const mc_act_spec *a)
{
    return a->mode == MC_ACT_STATIC ? a->scales : 0;
}

/* ---- order ---- */

static int compare(uint32_t weight, const char *site, const mc_site_act *b)
{
    if (weight != b->weight) return weight < b->weight ? -1 : 1;
    return strcmp(site ? site : "", b->site ? b->site : "");
}

static int by_place(const void *a, const void *b)
{
    const mc_site_act *x = a;
    return compare(x->weight, x->site, b);
}

void mc_site_acts_sort(mc_site_act *act, size_t n)
{
    if (n > 0) qsort(act, n, sizeof *act, by_place);
}

static const mc_site_act *find(const mc_site_act *act, size_t n, uint32_t weight, const char *site)
{
    size_t low = 0, high = n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = compare(weight, site, &act[middle]);
        if (order == 0) return &act[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const mc_site_act *mc_site_act_find(const mc_site_act *act, size_t n, uint32_t weight,
                                    const char *site)
{
    const mc_site_act *found = find(act, n, weight, site);
    if (!found && weight != MCPK_NO_WEIGHT) found = find(act, n, MCPK_NO_WEIGHT, site);
    return found || weight == MCPK_NO_WEIGHT ? found : find(act, n, weight, NULL);
}

/* ---- what the header says of it ---- */

mc_numerics mc_site_numerics(const mc_site_act *act, size_t acts, const mc_kv_spec *kv,
                             mc_numerics n)
{
    if (kv) n.kv_bits = kv->bits;
    if (acts == 0) return n;
    n.activation_bits = 16;
    n.activation_mode = MCPK_ACT_NONE;
    for (size_t i = 0; i < acts; i++) {
        const mc_act_spec *a = &act[i].act;
        if (a->mode == MC_ACT_FLOAT) continue;
        if (a->bits < n.activation_bits) n.activation_bits = a->bits;
        if (n.activation_mode != MCPK_ACT_STATIC)
            n.activation_mode = a->mode == MC_ACT_STATIC ? MCPK_ACT_STATIC : MCPK_ACT_DYNAMIC;
    }
    return n;
}

static mc_status check_numerics(const mc_site_act *act, size_t acts, const mc_kv_spec *kv,
                                const mc_numerics *n, mc_err *err)
{
    const mc_numerics want = mc_site_numerics(act, acts, kv, *n);
    if (want.activation_bits == n->activation_bits && want.activation_mode == n->activation_mode &&
        want.kv_bits == n->kv_bits)
        return MC_OK;
    return mc_fail(err, MC_E_MISMATCH,
                   "they make activations of %u bits in mode %u and a KV cache of %u, the header "
                   "says %u in mode %u and %u",
                   want.activation_bits, want.activation_mode, want.kv_bits, n->activation_bits,
                   n->activation_mode, n->kv_bits);
}

/* ---- one entry ---- */

static const char *text_of(const mc_site_act *a, size_t i, char *text, size_t room)
{
    if (a->site)
        (void)snprintf(text, room, "site '%.400s'", a->site);
    else
        (void)snprintf(text, room, "record %zu, of weight %lu", i, (unsigned long)a->weight);
    return text;
}

/* Is it whose it may be, and behind the one before it? */
static mc_status check_place(const mc_site_act *act, size_t i, size_t weights, mc_err *err)
{
    const mc_site_act *a = &act[i];
    if (a->weight == MCPK_NO_WEIGHT ? !a->site : a->weight >= weights)
        return mc_fail(err, MC_E_MISMATCH, "there are %zu weights", weights);
    if (i > 0 && by_place(&act[i - 1], a) >= 0)
        return mc_fail(err, MC_E_MISMATCH, "it does not come behind the one before it");
    return MC_OK;
}

static mc_status check_entry(const mc_site_act *act, size_t i, size_t weights, mc_err *err)
{
    char text[512];
    if (check_place(act, i, weights, err) == MC_OK && mc_act_check(&act[i].act, err) == MC_OK)
        return MC_OK;
    return mc_wrap(err, "%s", text_of(&act[i], i, text, sizeof text));
}

/* ---- writing ---- */

static bool count(const mc_container_spec *spec, places *p)
{
    uint64_t scales = 0, zeros = 0, names = 0;
    for (size_t i = 0; i < spec->acts; i++) {
        scales += scales_of(&spec->act[i].act);
        zeros += zeros_of(&spec->act[i].act);
        names += spec->act[i].site ? strlen(spec->act[i].site) + 1 : 0;
    }
    *p = (places){.sites = (uint32_t)spec->acts,
                  .scales = (uint32_t)scales,
                  .zeros = (uint32_t)zeros,
                  .name_bytes = (uint32_t)names};
    place(p);
    return spec->acts <= UINT32_MAX && scales <= UINT32_MAX && names <= UINT32_MAX;
}

mc_status mc_sites_bytes(const mc_container_spec *spec, uint64_t *bytes, mc_err *err)
{
    places p;
    *bytes = 0;
    if (spec->acts == 0 && !spec->kv) return MC_OK;
    if (!count(spec, &p))
        return mc_fail(err, MC_E_UNSUPPORTED, "more than 2^32 scales of activations");
    *bytes = p.end;
    return MC_OK;
}

bool mc_sites_required(const mc_container_spec *spec)
{
    for (size_t i = 0; i < spec->acts; i++)
        if (spec->act[i].act.hadamard > 0) return true;
    return false;
}

static void store_cache(const mc_kv_spec *kv, unsigned char *to)
{
    if (!kv) return;
    mc_store_u32le(to + MCPK_S_KV_GROUP, kv->group);
    mc_store_u32le(to + MCPK_S_KV_WINDOW, kv->window);
    to[MCPK_S_KV_BITS] = kv->bits;
    to[MCPK_S_KV_FLAGS] = kv->hadamard ? MCPK_KV_HADAMARD : 0;
}

/* `at`: what stands in front of this record's own. */
static void store_record(const mc_site_act *a, const places *at, unsigned char *to)
{
    const mc_act_spec *s = &a->act;
    const size_t length = a->site ? strlen(a->site) : 0;
    mc_store_u32le(to + MCPK_SITE_WEIGHT, a->weight);
    mc_store_u32le(to + MCPK_SITE_NAME, length > 0 ? at->name_bytes : 0);
    mc_store_u32le(to + MCPK_SITE_NAME_BYTES, (uint32_t)length);
    to[MCPK_SITE_MODE] = (unsigned char)s->mode;
    to[MCPK_SITE_BITS] = s->mode == MC_ACT_FLOAT ? 16 : s->bits;
    to[MCPK_SITE_FLAGS] = (unsigned char)((s->asymmetric ? MCPK_SITE_ASYMMETRIC : 0) |
                                          (s->power_of_two ? MCPK_SITE_POWER_OF_TWO : 0));
    mc_store_u32le(to + MCPK_SITE_HADAMARD, s->hadamard);
    mc_store_u32le(to + MCPK_SITE_SCALES, scales_of(s));
    mc_store_u32le(to + MCPK_SITE_FIRST_SCALE, scales_of(s) > 0 ? at->scales : 0);
    mc_store_u32le(to + MCPK_SITE_FIRST_ZERO, zeros_of(s) > 0 ? at->zeros : 0);
}

static void store_numbers(const mc_site_act *a, const places *all, places *at, unsigned char *to)
{
    for (uint32_t i = 0; i < scales_of(&a->act); i++) {
        uint32_t bits;
        memcpy(&bits, &a->act.scale[i], sizeof bits);
        mc_store_u32le(to + all->scale + 4 * (uint64_t)at->scales++, bits);
    }
    for (uint32_t i = 0; i < zeros_of(&a->act); i++)
        mc_store_u16le(to + all->zero + 2 * (uint64_t)at->zeros++, (uint16_t)a->act.zero[i]);
    if (!a->site) return;
    const size_t length = strlen(a->site) + 1;
    memcpy(to + all->name + at->name_bytes, a->site, length);
    at->name_bytes += (uint32_t)length;
}

mc_status mc_sites_store(const mc_container_spec *spec, unsigned char *to, mc_err *err)
{
    places all, at = {0};
    (void)count(spec, &all);
    if (spec->kv) MC_TRY(mc_kv_check(spec->kv, err));
    MC_TRY(check_numerics(spec->act, spec->acts, spec->kv, &spec->numerics, err));
    memset(to, 0, MCPK_SITES_HEADER_BYTES + spec->acts * MCPK_SITE_BYTES);
    mc_store_u32le(to + MCPK_S_VERSION, MCPK_SITES_VERSION);
    mc_store_u32le(to + MCPK_S_SITES, all.sites);
    mc_store_u32le(to + MCPK_S_SCALES, all.scales);
    mc_store_u32le(to + MCPK_S_ZEROS, all.zeros);
    mc_store_u32le(to + MCPK_S_NAME_BYTES, all.name_bytes);
    store_cache(spec->kv, to);
    for (size_t i = 0; i < spec->acts; i++) {
        MC_TRY(check_entry(spec->act, i, spec->weights, err));
        store_record(&spec->act[i], &at, to + MCPK_SITES_HEADER_BYTES + i * MCPK_SITE_BYTES);
        store_numbers(&spec->act[i], &all, &at, to);
    }
    return MC_OK;
}

/* ---- reading ---- */

uint64_t mc_sites_room(uint64_t bytes)
{
    const uint64_t records = bytes / MCPK_SITE_BYTES * sizeof(mc_site_act);
    return bytes + records + sizeof(mc_kv_spec) + 1024;
}

typedef struct {
    const unsigned char *from;
    places all, at; /* sizes and places; what the records so far have taken */
    float *scale;
    int16_t *zero;
    mc_site_act *act;
} loader;

static mc_status load_header(loader *l, uint64_t bytes, mc_err *err)
{
    const unsigned char *h = l->from;
    if (bytes < MCPK_SITES_HEADER_BYTES)
        return mc_fail(err, MC_E_MISMATCH, "%llu bytes, their header has %d",
                       (unsigned long long)bytes, MCPK_SITES_HEADER_BYTES);
    if (mc_load_u32le(h + MCPK_S_VERSION) != MCPK_SITES_VERSION)
        return mc_fail(err, MC_E_UNSUPPORTED, "version %lu, this program reads %d",
                       (unsigned long)mc_load_u32le(h + MCPK_S_VERSION), MCPK_SITES_VERSION);
    l->all = (places){.sites = mc_load_u32le(h + MCPK_S_SITES),
                      .scales = mc_load_u32le(h + MCPK_S_SCALES),
                      .zeros = mc_load_u32le(h + MCPK_S_ZEROS),
                      .name_bytes = mc_load_u32le(h + MCPK_S_NAME_BYTES)};
    place(&l->all);
    if (!mc_all_zero(h + MCPK_S_KV_FLAGS + 1, 2))
        return mc_fail(err, MC_E_MISMATCH, "an unused field is not zero");
    if (l->all.end != bytes)
        return mc_fail(err, MC_E_MISMATCH, "%llu bytes, their header makes %llu",
                       (unsigned long long)bytes, (unsigned long long)l->all.end);
    return MC_OK;
}

static mc_status load_cache(const loader *l, mc_container *c, mc_err *err)
{
    const unsigned char *h = l->from;
    const unsigned flags = h[MCPK_S_KV_FLAGS];
    if (h[MCPK_S_KV_BITS] == 0) {
        if (mc_all_zero(h + MCPK_S_KV_GROUP, 8) && flags == 0) return MC_OK;
        return mc_fail(err, MC_E_MISMATCH, "a KV cache of 0 bits");
    }
    if (flags & ~(unsigned)MCPK_KV_HADAMARD)
        return mc_fail(err, MC_E_UNSUPPORTED, "flags 0x%02x of the KV cache are unknown", flags);
    mc_kv_spec *kv = MC_NEW(&c->memory.arena, mc_kv_spec, 1);
    if (!kv) return mc_no_room(err, "a KV cache");
    *kv = (mc_kv_spec){.bits = h[MCPK_S_KV_BITS],
                       .group = mc_load_u32le(h + MCPK_S_KV_GROUP),
                       .window = mc_load_u32le(h + MCPK_S_KV_WINDOW),
                       .hadamard = flags & MCPK_KV_HADAMARD};
    c->kv = kv;
    return mc_kv_check(kv, err);
}

/* `n` things of an array of `total` stand behind the `taken` ones before them. */
static bool next(uint32_t first, uint32_t n, uint32_t *taken, uint32_t total)
{
    if (first != (n > 0 ? *taken : 0) || n > total - *taken) return false;
    *taken += n;
    return true;
}

static mc_status load_name(loader *l, const unsigned char *r, mc_site_act *to, mc_err *err)
{
    const uint32_t first = mc_load_u32le(r + MCPK_SITE_NAME);
    const uint32_t bytes = mc_load_u32le(r + MCPK_SITE_NAME_BYTES);
    const unsigned char *name = l->from + l->all.name + l->at.name_bytes;
    if (bytes == UINT32_MAX ||
        !next(first, bytes > 0 ? bytes + 1 : 0, &l->at.name_bytes, l->all.name_bytes))
        return mc_fail(err, MC_E_MISMATCH, "%lu bytes at %lu are not the next name",
                       (unsigned long)bytes, (unsigned long)first);
    if (bytes == 0) return MC_OK;
    if (name[bytes] != 0 || memchr(name, 0, bytes) || !mc_is_utf8(name, bytes))
        return mc_fail(err, MC_E_FORMAT, "the name at %lu is not UTF-8", (unsigned long)first);
    to->site = (const char *)name;
    return MC_OK;
}

static mc_status load_numbers(loader *l, const unsigned char *r, mc_act_spec *to, mc_err *err)
{
    const uint32_t n = mc_load_u32le(r + MCPK_SITE_SCALES);
    const uint32_t zeros = to->asymmetric && to->mode == MC_ACT_STATIC ? n : 0;
    float *scale = l->scale + l->at.scales;
    int16_t *zero = l->zero + l->at.zeros;
    const uint64_t scale_at = l->all.scale + 4 * (uint64_t)l->at.scales;
    const uint64_t zero_at = l->all.zero + 2 * (uint64_t)l->at.zeros;
    if (!next(mc_load_u32le(r + MCPK_SITE_FIRST_SCALE), n, &l->at.scales, l->all.scales) ||
        !next(mc_load_u32le(r + MCPK_SITE_FIRST_ZERO), zeros, &l->at.zeros, l->all.zeros))
        return mc_fail(err, MC_E_MISMATCH, "its %lu scales are not the next ones",
                       (unsigned long)n);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t bits = mc_load_u32le(l->from + scale_at + 4 * (uint64_t)i);
        memcpy(&scale[i], &bits, sizeof bits);
    }
    for (uint32_t i = 0; i < zeros; i++) {
        const int32_t x = mc_load_u16le(l->from + zero_at + 2 * (uint64_t)i);
        zero[i] = (int16_t)(x > INT16_MAX ? x - 65536 : x);
    }
    to->scales = n;
    to->scale = n > 0 ? scale : NULL;
    to->zero = zeros > 0 ? zero : NULL;
    return MC_OK;
}

static mc_status load_record(loader *l, const unsigned char *r, mc_site_act *to, mc_err *err)
{
    const unsigned flags = r[MCPK_SITE_FLAGS];
    *to = (mc_site_act){.weight = mc_load_u32le(r + MCPK_SITE_WEIGHT),
                        .act = {.mode = (mc_act_mode)r[MCPK_SITE_MODE],
                                .bits = r[MCPK_SITE_BITS],
                                .asymmetric = flags & MCPK_SITE_ASYMMETRIC,
                                .power_of_two = flags & MCPK_SITE_POWER_OF_TWO,
                                .hadamard = mc_load_u32le(r + MCPK_SITE_HADAMARD)}};
    if (flags & ~(unsigned)MCPK_SITE_FLAGS_KNOWN)
        return mc_fail(err, MC_E_UNSUPPORTED, "flags 0x%02x are unknown", flags);
    if (r[MCPK_SITE_FLAGS + 1] != 0)
        return mc_fail(err, MC_E_MISMATCH, "an unused field is not zero");
    if (to->act.mode == MC_ACT_FLOAT && to->act.bits != 16)
        return mc_fail(err, MC_E_MISMATCH, "%u bits, but not quantized", to->act.bits);
    MC_TRY(load_name(l, r, to, err));
    return load_numbers(l, r, &to->act, err);
}

static mc_status load_records(loader *l, mc_container *c, mc_err *err)
{
    for (size_t i = 0; i < l->all.sites; i++) {
        const unsigned char *r = l->from + MCPK_SITES_HEADER_BYTES + i * MCPK_SITE_BYTES;
        if (load_record(l, r, &l->act[i], err) != MC_OK) return mc_wrap(err, "record %zu", i);
        MC_TRY(check_entry(l->act, i, c->weights, err));
    }
    if (l->at.scales != l->all.scales || l->at.zeros != l->all.zeros ||
        l->at.name_bytes != l->all.name_bytes)
        return mc_fail(err, MC_E_MISMATCH, "scales, zeros or names that belong to no record");
    return MC_OK;
}

mc_status mc_sites_load(mc_container *c, const unsigned char *from, uint64_t bytes, mc_err *err)
{
    loader l = {.from = from};
    mc_arena *mem = &c->memory.arena;
    MC_TRY(load_header(&l, bytes, err));
    MC_TRY(load_cache(&l, c, err));
    l.act = MC_NEW(mem, mc_site_act, (size_t)l.all.sites + 1);
    l.scale = MC_NEW_RAW(mem, float, (size_t)l.all.scales + 1);
    l.zero = MC_NEW_RAW(mem, int16_t, (size_t)l.all.zeros + 1);
    if (!l.act || !l.scale || !l.zero) return mc_no_room(err, "the sites");
    MC_TRY(load_records(&l, c, err));
    c->act = l.act;
    c->acts = l.all.sites;
    return check_numerics(c->act, c->acts, c->kv, &c->numerics, err);
}
