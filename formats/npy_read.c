/* Reading .npy: a magic, a version, and a Python dictionary of three known keys, which is parsed as
 * such and nothing more. */
#include "formats/npy.h"

#include "core/bytes.h"
#include "core/ckd.h"
#include "formats/json_pull.h"
#include "formats/npy_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- the dictionary ---- */

typedef struct {
    mc_cursor at;
    const char *name;
    mc_err *err;
} parser;

static mc_status refuse(const parser *p, const char *what)
{
    return mc_fail(p->err, MC_E_FORMAT, "%s: header of the array: %s", p->name, what);
}

static void skip_spaces(parser *p)
{
    while (mc_left(&p->at) > 0 && (*p->at.at == ' ' || *p->at.at == '\n')) p->at.at++;
}

static bool take_char(parser *p, char c)
{
    skip_spaces(p);
    if (mc_left(&p->at) == 0 || *p->at.at != (unsigned char)c) return false;
    p->at.at++;
    return true;
}

static bool take_word(parser *p, const char *word)
{
    skip_spaces(p);
    const size_t n = strlen(word);
    if (mc_left(&p->at) < n || memcmp(p->at.at, word, n) != 0) return false;
    p->at.at += n;
    return true;
}

/* A text in quotes of either kind, without escapes. */
static bool take_text(parser *p, const char **text, size_t *length)
{
    skip_spaces(p);
    if (mc_left(&p->at) == 0) return false;
    const unsigned char quote = *p->at.at;
    if (quote != '\'' && quote != '"') return false;
    const unsigned char *start = p->at.at + 1;
    const unsigned char *end = memchr(start, quote, mc_left(&p->at) - 1);
    if (!end) return false;
    *text = (const char *)start;
    *length = (size_t)(end - start);
    p->at.at = end + 1;
    return true;
}

static bool take_number(parser *p, uint64_t *value)
{
    skip_spaces(p);
    const unsigned char *start = p->at.at;
    *value = 0;
    while (mc_left(&p->at) > 0 && *p->at.at >= '0' && *p->at.at <= '9') {
        if (!mc_mul_u64(*value, 10, value) || !mc_add_u64(*value, *p->at.at - '0', value))
            return false;
        p->at.at++;
    }
    if (p->at.at == start) return false;
    (void)take_char(p, 'L'); /* of Python 2 */
    return true;
}

static mc_status take_descr(parser *p, mc_array *a)
{
    static const struct {
        const char *kind;
        mc_dtype dtype;
    } known[] = {{"f4", MC_F32}, {"f8", MC_F64}, {"f2", MC_F16}, {"i1", MC_I8},
                 {"i2", MC_I16}, {"i4", MC_I32}, {"i8", MC_I64}, {"u1", MC_U8},
                 {"u2", MC_U16}, {"u4", MC_U32}, {"u8", MC_U64}, {"b1", MC_BOOL}};
    const char *text;
    size_t n;
    if (!take_text(p, &text, &n))
        return mc_fail(p->err, MC_E_UNSUPPORTED, "%s: 'descr' is no text: records are not read",
                       p->name);
    if (n == 3 && memchr("<>|=", text[0], 4))
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (memcmp(text + 1, known[i].kind, 2) == 0) {
                a->dtype = known[i].dtype;
                a->swapped = text[0] == '>' && known[i].kind[1] != '1';
                return MC_OK;
            }
    char found[41];
    snprintf(found, sizeof found, "%.*s", n < 40 ? (int)n : 40, text);
    return mc_fail(p->err, MC_E_UNSUPPORTED,
                   "%s: numbers of type %s (allowed: f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1)", p->name,
                   mc_quote(found).text);
}

/* Dimensions of 0 count as 1 for the overflow, so that no product of some dimensions has one. */
static mc_status take_shape(parser *p, mc_array *a)
{
    uint64_t all = 1;
    bool more = true, empty = false;
    if (!take_char(p, '(')) return refuse(p, "'shape' is no tuple");
    while (!take_char(p, ')')) {
        if (!more) return refuse(p, "'shape' does not end");
        if (a->ndim == MC_MAX_DIMS)
            return mc_fail(p->err, MC_E_UNSUPPORTED, "%s: more than %d dimensions", p->name,
                           MC_MAX_DIMS);
        uint64_t *dim = &a->dim[a->ndim++];
        if (!take_number(p, dim)) return refuse(p, "'shape' holds something that is no number");
        empty = empty || *dim == 0;
        if (!mc_mul_u64(all, *dim ? *dim : 1, &all) || all > INT64_MAX)
            return refuse(p, "the shape overflows");
        more = take_char(p, ',');
    }
    if (a->ndim == 1 && !more) return refuse(p, "'shape' is no tuple");
    a->count = empty ? 0 : all;
    return MC_OK;
}

static mc_status take_order(parser *p, mc_array *a)
{
    a->fortran = take_word(p, "True");
    return a->fortran || take_word(p, "False") ? MC_OK
                                               : refuse(p, "'fortran_order' is no True or False");
}

static mc_status take_dictionary(parser *p, mc_array *a)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    mc_status (*const take[])(parser *, mc_array *) = {take_descr, take_order, take_shape};
    bool seen[3] = {false, false, false}, more = true;
    if (!take_char(p, '{')) return refuse(p, "it is no dictionary");
    while (!take_char(p, '}')) {
        const char *key;
        size_t n, k = 0;
        if (!more) return refuse(p, "a comma is missing");
        if (!take_text(p, &key, &n) || !take_char(p, ':')) return refuse(p, "a key is missing");
        while (k < 3 && (strlen(keys[k]) != n || memcmp(keys[k], key, n) != 0)) k++;
        if (k == 3) return refuse(p, "a key other than descr, fortran_order and shape");
        if (seen[k]) return refuse(p, "a key stands twice");
        seen[k] = true;
        MC_TRY(take[k](p, a));
        more = take_char(p, ',');
    }
    skip_spaces(p);
    if (!seen[0] || !seen[1] || !seen[2]) return refuse(p, "a key is missing");
    return mc_left(&p->at) == 0 ? MC_OK : refuse(p, "something stands behind the dictionary");
}

/* ---- the file ---- */

mc_status mc_npy_parse(const unsigned char *bytes, size_t n, const char *name, mc_array *a,
                       mc_err *err)
{
    if (n < 8 || memcmp(bytes, "\x93NUMPY", 6) != 0)
        return mc_fail(err, MC_E_FORMAT, "%s: not a .npy file", name);
    mc_cursor file = {bytes, bytes + n};
    const unsigned char *magic = mc_take(&file, 8);
    if (magic[6] < 1 || magic[6] > 3 || magic[7] != 0)
        return mc_fail(err, MC_E_UNSUPPORTED,
                       "%s: version %u.%u of .npy (1.0, 2.0 and 3.0 are known)", name,
                       (unsigned)magic[6], (unsigned)magic[7]);
    const size_t width = magic[6] == 1 ? 2 : 4;
    const unsigned char *length = mc_take(&file, width);
    const size_t header = !length ? 0 : width == 2 ? mc_load_u16le(length) : mc_load_u32le(length);
    const unsigned char *text = length ? mc_take(&file, header) : NULL;
    if (!text) return mc_fail(err, MC_E_FORMAT, "%s: the file ends in the array's header", name);

    *a = (mc_array){.name = ""};
    parser p = {{text, text + header}, name, err};
    MC_TRY(take_dictionary(&p, a));
    if (!mc_mul_u64(a->count, mc_dtype_about(a->dtype)->bits / 8, &a->bytes) ||
        a->bytes > mc_left(&file))
        return mc_fail(err, MC_E_FORMAT,
                       "%s: %zu bytes of numbers, %" PRIu64 " elements of %u bits need more", name,
                       mc_left(&file), a->count, mc_dtype_about(a->dtype)->bits);
    a->data = file.at;
    return MC_OK;
}

mc_status mc_npy_read(const unsigned char *bytes, size_t n, const char *name, mc_npz *out,
                      mc_err *err)
{
    *out = (mc_npz){0};
    MC_TRY(mc_region_open(&out->memory, sizeof(mc_array) + 64, err));
    out->array = MC_NEW(&out->memory.arena, mc_array, 1);
    mc_status status = out->array ? MC_OK : mc_no_room(err, "an array");
    if (status == MC_OK) status = mc_npy_parse(bytes, n, name, out->array, err);
    if (status == MC_OK)
        out->arrays = 1;
    else
        mc_npz_close(out);
    return status;
}

void mc_npz_close(mc_npz *npz)
{
    mc_map_close(&npz->spilled);
    mc_region_close(&npz->inflated);
    mc_region_close(&npz->memory);
    *npz = (mc_npz){0};
}

/* ---- elements ---- */

static void read_fortran(const mc_array *a, uint64_t first, uint64_t count, unsigned char *to)
{
    const size_t width = mc_dtype_about(a->dtype)->bits / 8;
    uint64_t index[MC_MAX_DIMS], stride[MC_MAX_DIMS], all = 1, place = 0;
    for (int d = 0; d < a->ndim; d++) {
        stride[d] = all;
        all *= a->dim[d];
    }
    for (int d = a->ndim; d-- > 0; first /= a->dim[d]) {
        index[d] = first % a->dim[d];
        place += index[d] * stride[d];
    }
    for (uint64_t i = 0; i < count; i++, to += width) {
        memcpy(to, a->data + place * width, width);
        for (int d = a->ndim; d-- > 0;) { /* as an odometer counts */
            place += stride[d];
            if (++index[d] < a->dim[d]) break;
            place -= a->dim[d] * stride[d];
            index[d] = 0;
        }
    }
}

void mc_array_read(const mc_array *a, uint64_t first, uint64_t count, void *out)
{
    const size_t width = mc_dtype_about(a->dtype)->bits / 8;
    unsigned char *to = out;
    if (count == 0) return;
    if (a->fortran)
        read_fortran(a, first, count, to);
    else
        memcpy(to, a->data + first * width, (size_t)count * width);
    if (!a->swapped) return;
    for (uint64_t i = 0; i < count; i++, to += width)
        for (size_t k = 0; k < width / 2; k++) {
            const unsigned char byte = to[k];
            to[k] = to[width - 1 - k];
            to[width - 1 - k] = byte;
        }
}
