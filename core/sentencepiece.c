/* tokenizer.model: SentencePiece's ModelProto (sentencepiece_model.proto), in Protobuf's wire
 * format. Read for export, so only what other formats keep is taken; the rest is skipped by its
 * length. Of a single field that comes twice the later one counts, as everywhere in Protobuf. */
#include "core/bytes.h"
#include "core/tokenizer.h"
#include "core/wire.h"

#include <string.h>

enum {
    MODEL_PIECE = 1,
    MODEL_TRAINER = 2,
    MODEL_NORMALIZER = 3,
    PIECE_TEXT = 1,
    PIECE_SCORE = 2,
    PIECE_TYPE = 3,
    TRAINER_TYPE = 3,
    TRAINER_BYTE_FALLBACK = 35,
    TRAINER_UNK = 40,
    TRAINER_BOS = 41,
    TRAINER_EOS = 42,
    TRAINER_PAD = 43,
    NORMALIZER_DUMMY_PREFIX = 3,
    NORMALIZER_EXTRA_SPACE = 4,
    LAST_MODEL_TYPE = 4,
    LAST_PIECE_TYPE = 6,
};

typedef struct {
    const char *name;
    mc_err *err;
} reader;

static mc_status damaged(const reader *r, mc_cursor in, const char *where)
{
    return mc_fail(r->err, MC_E_FORMAT, "%s: %s holds %s", r->name, where, mc_wire_damage(in));
}

static mc_status wrong_type(const reader *r, const char *where, uint32_t number)
{
    return mc_fail(r->err, MC_E_FORMAT, "%s: field %u of %s has another wire type than it must",
                   r->name, (unsigned)number, where);
}

/* ---- pieces ---- */

static float float_of(uint64_t bits)
{
    const uint32_t word = (uint32_t)bits;
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
}

static mc_status read_piece(const reader *r, mc_cursor in, size_t i, mc_piece_of_text *out)
{
    mc_wire_field f;
    *out = (mc_piece_of_text){.text = "", .type = 1};
    uint64_t type = 1;
    while (mc_wire_next(&in, &f)) {
        const mc_wire_type must = f.number == PIECE_TEXT    ? MC_WIRE_COUNTED
                                  : f.number == PIECE_SCORE ? MC_WIRE_4_BYTES
                                                            : MC_WIRE_VARINT;
        if (f.number > PIECE_TYPE) continue;
        if (f.type != must) return wrong_type(r, "a piece", f.number);
        if (f.number == PIECE_TEXT) {
            out->text = (const char *)f.bytes.at;
            out->length = mc_left(&f.bytes);
        } else if (f.number == PIECE_SCORE) {
            out->score = float_of(f.value);
        } else {
            type = f.value;
        }
    }
    if (in.at < in.end) return damaged(r, in, "a piece");
    if (type < 1 || type > LAST_PIECE_TYPE)
        return mc_fail(r->err, MC_E_FORMAT, "%s: piece %zu has type %llu, not 1 to %d", r->name, i,
                       (unsigned long long)type, (int)LAST_PIECE_TYPE);
    out->type = (int)type;
    if (out->length > 0 && mc_is_utf8(out->text, out->length) &&
        !memchr(out->text, '\0', out->length) && out->score - out->score == 0)
        return MC_OK;
    return mc_fail(r->err, MC_E_FORMAT,
                   "%s: piece %zu is empty, not UTF-8, holds a NUL, or has no finite score",
                   r->name, i);
}

/* ---- settings ---- */

static mc_status read_trainer(const reader *r, mc_cursor in, mc_sentencepiece *out)
{
    mc_wire_field f;
    while (mc_wire_next(&in, &f)) {
        int64_t *id = NULL;
        switch (f.number) {
        case TRAINER_UNK: id = &out->unk; break;
        case TRAINER_BOS: id = &out->bos; break;
        case TRAINER_EOS: id = &out->eos; break;
        case TRAINER_PAD: id = &out->pad; break;
        case TRAINER_TYPE:
        case TRAINER_BYTE_FALLBACK: break;
        default: continue;
        }
        if (f.type != MC_WIRE_VARINT) return wrong_type(r, "the trainer's settings", f.number);
        if (id) *id = mc_wire_signed(f.value);
        if (f.number == TRAINER_BYTE_FALLBACK) out->byte_fallback = f.value != 0;
        if (f.number != TRAINER_TYPE) continue;
        if (f.value < 1 || f.value > LAST_MODEL_TYPE)
            return mc_fail(r->err, MC_E_FORMAT, "%s: model type %llu is not 1 to %d", r->name,
                           (unsigned long long)f.value, (int)LAST_MODEL_TYPE);
        out->model_type = (int)f.value;
    }
    return in.at < in.end ? damaged(r, in, "the trainer's settings") : MC_OK;
}

static mc_status read_normalizer(const reader *r, mc_cursor in, mc_sentencepiece *out)
{
    mc_wire_field f;
    while (mc_wire_next(&in, &f)) {
        if (f.number != NORMALIZER_DUMMY_PREFIX && f.number != NORMALIZER_EXTRA_SPACE) continue;
        if (f.type != MC_WIRE_VARINT) return wrong_type(r, "the normalizer's settings", f.number);
        if (f.number == NORMALIZER_DUMMY_PREFIX)
            out->add_dummy_prefix = f.value != 0;
        else
            out->remove_extra_whitespaces = f.value != 0;
    }
    return in.at < in.end ? damaged(r, in, "the normalizer's settings") : MC_OK;
}

/* ---- the model ---- */

/* Also the check of the outermost message: what follows may rely on it. */
static mc_status count_pieces(const reader *r, mc_cursor in, size_t *n)
{
    mc_wire_field f;
    *n = 0;
    while (mc_wire_next(&in, &f)) {
        if (f.number > MODEL_NORMALIZER) continue;
        if (f.type != MC_WIRE_COUNTED) return wrong_type(r, "the model", f.number);
        *n += f.number == MODEL_PIECE;
    }
    if (in.at < in.end) return damaged(r, in, "the model");
    if (*n == 0) return mc_fail(r->err, MC_E_FORMAT, "%s: has no pieces", r->name);
    return MC_OK;
}

static mc_status check_id(const reader *r, const char *what, int64_t id, size_t pieces)
{
    if (id < 0 || (uint64_t)id < pieces) return MC_OK;
    return mc_fail(r->err, MC_E_FORMAT, "%s: the id of %s is %lld, but there are %zu pieces",
                   r->name, what, (long long)id, pieces);
}

/* Any negative id means none. */
static mc_status check_ids(const reader *r, mc_sentencepiece *out)
{
    static const char *const names[] = {"unk", "bos", "eos", "pad"};
    int64_t *const ids[] = {&out->unk, &out->bos, &out->eos, &out->pad};
    for (size_t i = 0; i < 4; i++) {
        MC_TRY(check_id(r, names[i], *ids[i], out->pieces));
        if (*ids[i] < 0) *ids[i] = -1;
    }
    return MC_OK;
}

mc_status mc_sentencepiece_read(const unsigned char *bytes, size_t n, const char *name,
                                mc_arena *mem, mc_sentencepiece *out, mc_err *err)
{
    const reader r = {name, err};
    mc_cursor in = {bytes, bytes + n};
    *out = (mc_sentencepiece){.model_type = 1,
                              .add_dummy_prefix = true,
                              .remove_extra_whitespaces = true,
                              .bos = 1,
                              .eos = 2,
                              .pad = -1};
    MC_TRY(count_pieces(&r, in, &out->pieces));
    out->piece = MC_NEW(mem, mc_piece_of_text, out->pieces);
    if (!out->piece) return mc_no_room(err, name);

    mc_wire_field f;
    for (size_t i = 0; mc_wire_next(&in, &f);) {
        if (f.number == MODEL_PIECE) {
            MC_TRY(read_piece(&r, f.bytes, i, &out->piece[i]));
            i++;
        } else if (f.number == MODEL_TRAINER) {
            MC_TRY(read_trainer(&r, f.bytes, out));
        } else if (f.number == MODEL_NORMALIZER) {
            MC_TRY(read_normalizer(&r, f.bytes, out));
        }
    }
    return check_ids(&r, out);
}
