/* tokenizer.model of the bundled model, and messages built by hand. */
#include "core/file.h"
#include "core/tokenizer.h"

#include <criterion/criterion.h>
#include <string.h>

static mc_region region;

static void enter(void)
{
    mc_err err = {0};
    cr_assert_eq(mc_region_open(&region, 1 << 22, &err), MC_OK);
}

static void leave(void)
{
    mc_region_close(&region);
}

TestSuite(sentencepiece, .init = enter, .fini = leave);

static bool is_piece(const mc_piece_of_text *p, const char *text, int type)
{
    return p->length == strlen(text) && memcmp(p->text, text, p->length) == 0 && p->type == type;
}

Test(sentencepiece, reads_the_bundled_model_and_its_ids_are_those_of_the_tokenizer)
{
    mc_map map, json;
    mc_sentencepiece model;
    mc_tokenizer *t;
    mc_err err = {0};
    cr_assert_eq(mc_map_open(MC_SOURCE_DIR "/examples/tinylm/tokenizer.model", 0, &map, &err),
                 MC_OK);
    cr_assert_eq(mc_map_open(MC_SOURCE_DIR "/examples/tinylm/tokenizer.json", 0, &json, &err),
                 MC_OK);
    cr_assert_eq(mc_sentencepiece_read(map.data, map.size, "m", &region.arena, &model, &err), MC_OK,
                 "%s", err.text);
    cr_assert_eq(mc_tokenizer_open((const char *)json.data, json.size, "t", &t, &err), MC_OK);
    cr_expect_eq(model.pieces, 4096);
    cr_expect_eq(model.pieces, mc_tokenizer_size(t));
    cr_expect_eq(model.model_type, 2);
    cr_expect(model.add_dummy_prefix && model.byte_fallback && !model.remove_extra_whitespaces);
    cr_expect(model.unk == 0 && model.bos == 1 && model.eos == 2 && model.pad == -1);
    cr_expect(is_piece(&model.piece[0], "<unk>", 2) && is_piece(&model.piece[1], "<s>", 3));
    cr_expect(is_piece(&model.piece[3], "<0x00>", 6) && is_piece(&model.piece[258], "<0xFF>", 6));
    for (size_t i = 259; i < model.pieces; i++) { /* what is merged first scores highest */
        int32_t *ids;
        size_t n;
        cr_assert_eq(model.piece[i].type, 1);
        cr_assert(i == 259 || model.piece[i].score < model.piece[i - 1].score);
        if (memchr(model.piece[i].text, '<', model.piece[i].length)) continue;
        /* The tokenizer puts a space in front of its own: one that has it is one token. */
        if (model.piece[i].length < 4 || memcmp(model.piece[i].text, "\xe2\x96\x81", 3)) continue;
        cr_assert_eq(mc_tokenizer_encode(t, model.piece[i].text + 3, model.piece[i].length - 3,
                                         &ids, &n, &err),
                     MC_OK);
        cr_expect(n == 1 && ids[0] == (int32_t)i, "piece %zu", i);
        mc_tokenizer_free_ids(ids);
    }
    mc_tokenizer_close(t);
    mc_map_close(&json);
    mc_map_close(&map);
}

typedef struct {
    const char *bytes;
    size_t n;
    const char *message;
} refusal;

#define BYTES(text) text, sizeof text - 1
#define A              \
    "\x0a\x03\x0a\x01" \
    "a" /* a piece "a" */

Test(sentencepiece, what_is_missing_has_the_value_of_the_format)
{
    mc_sentencepiece model;
    mc_err err = {0};
    static const char two[] = A "\x0a\x0a\x0a\x01"
                                "b\x15\x00\x00\x80\xbf\x18\x03" A;
    cr_assert_eq(mc_sentencepiece_read((const unsigned char *)two, sizeof two - 1, "m",
                                       &region.arena, &model, &err),
                 MC_OK, "%s", err.text);
    cr_expect_eq(model.pieces, 3);
    cr_expect(is_piece(&model.piece[0], "a", 1) && is_piece(&model.piece[1], "b", 3));
    cr_expect(model.piece[0].score == 0 && model.piece[1].score == -1);
    cr_expect(model.model_type == 1 && model.add_dummy_prefix && model.remove_extra_whitespaces);
    cr_expect(!model.byte_fallback && model.unk == 0 && model.bos == 1 && model.eos == 2);
    cr_expect_eq(model.pad, -1);
}

Test(sentencepiece, takes_settings_and_skips_what_it_does_not_know)
{
    mc_sentencepiece model;
    mc_err err = {0};
    /* trainer: 3 = 2, 35 = 1, 40 = -5 in ten bytes, 41 = 0, 42 = 0, 43 = 0, 99 = "x"; normalizer:
     * 3 = 0, 4 = 0, 2 = "y"; then field 4 */
    static const char all[] =
        A "\x12\x1e\x18\x02\x98\x02\x01\xc0\x02\xfb\xff\xff\xff\xff\xff\xff\xff"
          "\xff\x01\xc8\x02\x00\xd0\x02\x00\xd8\x02\x00\x9a\x06\x01x"
          "\x1a\x07\x18\x00\x20\x00\x12\x01y\x22\x00";
    cr_assert_eq(mc_sentencepiece_read((const unsigned char *)all, sizeof all - 1, "m",
                                       &region.arena, &model, &err),
                 MC_OK, "%s", err.text);
    cr_expect(model.model_type == 2 && model.byte_fallback && !model.add_dummy_prefix);
    cr_expect(!model.remove_extra_whitespaces);
    cr_expect(model.unk == -1 && model.bos == 0 && model.eos == 0 && model.pad == 0);
}

Test(sentencepiece, each_refusal_names_what_is_wrong)
{
    static const refusal all[] = {
        {BYTES(""), "m: has no pieces"},
        {BYTES("\x08\x01"), "m: field 1 of the model has another wire type than it must"},
        {BYTES(A "\x0b"), "m: the model holds a group, which no format here has"},
        {BYTES("\x0a\x05"
               "a"),
         "m: the model holds a field that is longer than what holds it"},
        {BYTES("\x0a\x02\x0a\x05"), "m: a piece holds a field that is longer than what holds it"},
        {BYTES("\x0a\x02\x08\x01"), "m: field 1 of a piece has another wire type than it must"},
        {BYTES("\x0a\x05\x0a\x01"
               "a\x18\x07"),
         "m: piece 0 has type 7, not 1 to 6"},
        {BYTES(A "\x0a\x00"),
         "m: piece 1 is empty, not UTF-8, holds a NUL, or has no finite score"},
        {BYTES("\x0a\x03\x0a\x01\xff"),
         "m: piece 0 is empty, not UTF-8, holds a NUL, or has no finite score"},
        {BYTES("\x0a\x08\x0a\x01"
               "a\x15\x00\x00\x80\x7f"),
         "m: piece 0 is empty, not UTF-8, holds a NUL, or has no finite score"},
        {BYTES(A "\x12\x02\x18\x05"), "m: model type 5 is not 1 to 4"},
        {BYTES(A "\x12\x02\x18\x80"),
         "m: the trainer's settings holds a number that is no varint of 64 bits"},
        {BYTES(A "\x1a\x05\x1d\x01\x01\x01\x01"),
         "m: field 3 of the normalizer's settings has another wire type than it must"},
        {BYTES(A "\x12\x03\xc8\x02\x01"), "m: the id of bos is 1, but there are 1 pieces"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        mc_sentencepiece model;
        mc_err err = {0};
        cr_expect_eq(mc_sentencepiece_read((const unsigned char *)all[i].bytes, all[i].n, "m",
                                           &region.arena, &model, &err),
                     MC_E_FORMAT);
        cr_expect_str_eq(err.text, all[i].message);
    }
}

Test(sentencepiece, no_damage_crashes)
{
    static const char file[] = A "\x12\x07\x18\x02\x98\x02\x01\xc0\x02"
                                 "\x1a\x02\x18\x00" A A;
    unsigned char copy[sizeof file];
    for (size_t i = 0; i < sizeof file; i++)
        for (unsigned v = 0; v < 256; v++) {
            mc_sentencepiece model;
            mc_err err = {0};
            mc_arena mem = region.arena;
            memcpy(copy, file, sizeof file);
            copy[i] = (unsigned char)v;
            mc_sentencepiece_read(copy, sizeof file - 1, "m", &mem, &model, &err);
            mc_sentencepiece_read(copy, i, "m", &mem, &model, &err);
        }
}
