/* What a tokenizer.json must not be: each refusal with its message, damage of every kind without a
 * crash, and files that were made to be slow. */
#include "core/file.h"
#include "core/text.h"
#include "core/tokenizer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL \
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}"
#define BPE(more)     "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2}," more "}}"
#define NORM(step)    "{\"normalizer\":" step "," MODEL "}"
#define PRE(step)     "{\"pre_tokenizer\":" step "," MODEL "}"
#define DECODER(step) "{\"decoder\":" step "," MODEL "}"
#define TOKEN(id, content, normalized)                                                   \
    "{\"id\":" id ",\"content\":\"" content "\",\"single_word\":false,\"lstrip\":false," \
    "\"rstrip\":false,\"normalized\":" normalized ",\"special\":false}"
#define ADDED(list) \
    "{\"normalizer\":{\"type\":\"Lowercase\"},\"added_tokens\":[" list "]," MODEL "}"
#define PIECE(more) "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}" more "}}"
#define HINT        ", give token ids"

typedef struct {
    const char *json;
    mc_status status;
    const char *message; /* behind "t: " */
} refusal;

static const refusal refusals[] = {
    /* whole models */
    {"[]", MC_E_FORMAT, "is no JSON object"},
    {"{}", MC_E_FORMAT, "has no model that is an object"},
    {"{\"model\":{\"type\":\"Unigram\"}}", MC_E_UNSUPPORTED,
     "tokenizer type Unigram is not supported" HINT},
    {"{\"model\":{\"vocab\":[[\"a\",0]]}}", MC_E_UNSUPPORTED,
     "tokenizer type Unigram is not supported" HINT},
    {"{\"model\":{\"vocab\":{}}}", MC_E_UNSUPPORTED,
     "tokenizer type WordLevel is not supported" HINT},
    {"{\"model\":{\"type\":\"Bloom\"}}", MC_E_UNSUPPORTED,
     "tokenizer type Bloom is not supported" HINT},
    {"{\"version\":\"2.0\"," MODEL "}", MC_E_UNSUPPORTED, "version 2.0 is not supported, only 1.0"},
    {"{\"later\":1," MODEL "}", MC_E_UNSUPPORTED,
     "key \"later\" of the file is not supported" HINT},
    /* BPE */
    {BPE("\"merges\":[],\"later\":1"), MC_E_UNSUPPORTED,
     "key \"later\" of model BPE is not supported" HINT},
    {BPE("\"merges\":[],\"dropout\":0.1"), MC_E_UNSUPPORTED,
     "model BPE with dropout is not supported" HINT},
    {BPE("\"merges\":[],\"continuing_subword_prefix\":\"##\""), MC_E_UNSUPPORTED,
     "model BPE with continuing_subword_prefix is not supported" HINT},
    {BPE("\"merges\":[],\"end_of_word_suffix\":\"</w>\""), MC_E_UNSUPPORTED,
     "model BPE with end_of_word_suffix is not supported" HINT},
    {BPE("\"merges\":[],\"fuse_unk\":1"), MC_E_FORMAT,
     "\"fuse_unk\" of BPE is missing or neither true nor false"},
    {BPE("\"merges\":[],\"unk_token\":1"), MC_E_FORMAT,
     "\"unk_token\" of BPE is missing or no text"},
    {BPE("\"merges\":{}"), MC_E_FORMAT, "the model has no merges that are a list"},
    {BPE("\"merges\":[\"ab\"]"), MC_E_FORMAT, "merge 0 is not two tokens"},
    {BPE("\"merges\":[\"a b\",\"a b c\"]"), MC_E_FORMAT, "merge 1 is not two tokens"},
    {BPE("\"merges\":[[\"a\"]]"), MC_E_FORMAT, "merge 0 is not two tokens"},
    {BPE("\"merges\":[[\"a\",1]]"), MC_E_FORMAT, "merge 0 is not two tokens"},
    {BPE("\"merges\":[7]"), MC_E_FORMAT, "merge 0 is not two tokens"},
    {BPE("\"merges\":[\"a c\"]"), MC_E_FORMAT,
     "merge 0: \"a\" + \"c\": the second is not in the vocabulary"},
    {BPE("\"merges\":[\"c a\"]"), MC_E_FORMAT,
     "merge 0: \"c\" + \"a\": the first is not in the vocabulary"},
    {BPE("\"merges\":[\"ab ab\"]"), MC_E_FORMAT,
     "merge 0: \"ab\" + \"ab\": what they give is not in the vocabulary"},
    {"{\"model\":{\"type\":\"BPE\",\"vocab\":[],\"merges\":[]}}", MC_E_FORMAT,
     "the model has no vocab that is an object"},
    {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", MC_E_FORMAT,
     "tokens \"a\" and \"b\" share id 0"},
    {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", MC_E_FORMAT,
     "the id of token \"a\" is no whole number below 4194304"},
    {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":4194304},\"merges\":[]}}", MC_E_FORMAT,
     "the id of token \"a\" is no whole number below 4194304"},
    {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1e300},\"merges\":[]}}", MC_E_FORMAT,
     "the id of token \"a\" is no whole number below 4194304"},
    /* WordPiece */
    {PIECE(""), MC_E_FORMAT, "\"unk_token\" of WordPiece is missing or no text"},
    {PIECE(",\"unk_token\":\"u\",\"continuing_subword_prefix\":\"##\""), MC_E_FORMAT,
     "max_input_chars_per_word of WordPiece is no whole number"},
    {PIECE(",\"unk_token\":\"u\",\"continuing_subword_prefix\":\"##\","
           "\"max_input_chars_per_word\":1025"),
     MC_E_UNSUPPORTED, "max_input_chars_per_word of WordPiece is above 1024" HINT},
    /* steps */
    {NORM("{\"type\":\"NFKC\"}"), MC_E_UNSUPPORTED, "normalizer NFKC is not supported" HINT},
    {NORM("{\"type\":\"StripAccents\"}"), MC_E_UNSUPPORTED,
     "normalizer StripAccents is not supported" HINT},
    {NORM("{}"), MC_E_FORMAT, "a normalizer has no type"},
    {NORM("{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Precompiled\"}]}"), MC_E_UNSUPPORTED,
     "normalizer Precompiled is not supported" HINT},
    {NORM("{\"type\":\"Sequence\"}"), MC_E_FORMAT,
     "a normalizer of type Sequence has no list of normalizers"},
    {NORM("{\"type\":\"NFC\",\"form\":1}"), MC_E_UNSUPPORTED,
     "key \"form\" of normalizer NFC is not supported" HINT},
    {NORM("{\"type\":\"Strip\",\"strip_left\":true}"), MC_E_FORMAT,
     "\"strip_right\" of Strip is missing or neither true nor false"},
    {NORM("{\"type\":\"Prepend\"}"), MC_E_FORMAT, "\"prepend\" of Prepend is missing or no text"},
    {NORM("{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" +\"},\"content\":\"\"}"),
     MC_E_UNSUPPORTED, "normalizer Replace with the pattern  + is not supported" HINT},
    {NORM("{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"\"}"),
     MC_E_UNSUPPORTED, "a text of 0 bytes to look for or put in is not supported, only 1 to 64"},
    {NORM("{\"type\":\"Replace\",\"pattern\":\" \",\"content\":\"\"}"), MC_E_FORMAT,
     "normalizer Replace has no pattern"},
    {PRE("{\"type\":\"UnicodeScripts\"}"), MC_E_UNSUPPORTED,
     "pre_tokenizer UnicodeScripts is not supported" HINT},
    {PRE("{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\d\"},\"behavior\":\"Isolated\","
         "\"invert\":false}"),
     MC_E_UNSUPPORTED, "pre_tokenizer Split with the pattern \\d is not supported" HINT},
    {PRE("{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"isolated\","
         "\"invert\":false}"),
     MC_E_FORMAT, "the behavior of Split is no known one"},
    {PRE("{\"type\":\"ByteLevel\"}"), MC_E_FORMAT,
     "\"add_prefix_space\" of ByteLevel is missing or neither true nor false"},
    {PRE("{\"type\":\"Metaspace\",\"replacement\":\"ab\"}"), MC_E_FORMAT,
     "the replacement of Metaspace is not one character"},
    {PRE("{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"last\"}"), MC_E_FORMAT,
     "prepend_scheme last of Metaspace is unknown or contradicts add_prefix_space"},
    {PRE("{\"type\":\"Metaspace\",\"replacement\":\"_\",\"add_prefix_space\":false}"), MC_E_FORMAT,
     "prepend_scheme always of Metaspace is unknown or contradicts add_prefix_space"},
    {PRE("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},"
         "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\"}]}"),
     MC_E_UNSUPPORTED,
     "pre_tokenizer Metaspace with prepend_scheme first behind other steps is not supported" HINT},
    {"{\"normalizer\":{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":false},"
     "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\"}"
     "," MODEL "}",
     MC_E_UNSUPPORTED,
     "pre_tokenizer Metaspace with prepend_scheme first behind other steps is not supported" HINT},
    {DECODER("{\"type\":\"CTC\"}"), MC_E_UNSUPPORTED, "decoder CTC is not supported" HINT},
    {DECODER("{\"type\":\"Strip\",\"content\":\" \",\"start\":-1,\"stop\":0}"), MC_E_FORMAT,
     "decoder Strip needs one character and two whole numbers"},
    /* added tokens */
    {"{\"added_tokens\":{}," MODEL "}", MC_E_FORMAT, "added_tokens is no list"},
    {"{\"added_tokens\":[1]," MODEL "}", MC_E_FORMAT,
     "the id of token \"\" is no whole number below 4194304"},
    {ADDED("{\"id\":3,\"content\":\"x\"}"), MC_E_FORMAT,
     "\"single_word\" of an added token is missing or neither true nor false"},
    {ADDED(TOKEN("5", "x", "false")), MC_E_FORMAT, "added token \"x\" has id 5, not 3"},
    {ADDED(TOKEN("3", "ab", "false")), MC_E_FORMAT, "added token \"ab\" has id 3, not 2"},
    {ADDED(TOKEN("2", "ab", "false") "," TOKEN("2", "ab", "true")), MC_E_FORMAT,
     "token \"ab\" is added twice"},
    {ADDED(TOKEN("3", "X", "true") "," TOKEN("4", "x", "true")), MC_E_FORMAT,
     "added tokens 3 and 4 are the same text, \"x\""},
    {ADDED(TOKEN("3", "", "false")), MC_E_FORMAT,
     "added token 3 has 0 bytes, allowed are 1 to 1024"},
};

static void expect_refused(const char *json, size_t bytes, mc_status status, const char *message)
{
    mc_tokenizer *t;
    mc_err err = {0};
    char wanted[512];
    snprintf(wanted, sizeof wanted, "t: %s", message);
    cr_expect_eq(mc_tokenizer_open(json, bytes, "t", &t, &err), status, "%s", message);
    cr_expect_str_eq(err.text, wanted);
    cr_expect_null(t);
}

Test(tokenizer_rules, each_refusal_names_what_is_wrong)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        expect_refused(refusals[i].json, strlen(refusals[i].json), refusals[i].status,
                       refusals[i].message);
}

/* ---- made to hurt ---- */

static char *repeated(const char *front, const char *unit, size_t times, const char *end)
{
    mc_text text;
    mc_text_open(&text);
    mc_text_add(&text, front);
    for (size_t i = 0; i < times; i++) mc_text_add(&text, unit);
    mc_text_add(&text, end);
    return mc_text_take(&text);
}

Test(tokenizer_rules, sequences_end_at_a_depth_and_steps_at_a_number)
{
    char *deep = repeated("{\"normalizer\":", "{\"type\":\"Sequence\",\"normalizers\":[", 9,
                          "]}]}]}]}]}]}]}]}]}," MODEL "}");
    expect_refused(deep, strlen(deep), MC_E_UNSUPPORTED,
                   "normalizer: sequences in sequences deeper than 8 are not supported");
    char *many = repeated("{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["
                          "{\"type\":\"Whitespace\"}",
                          ",{\"type\":\"Whitespace\"}", 16, "]}," MODEL "}");
    expect_refused(many, strlen(many), MC_E_UNSUPPORTED,
                   "the pre_tokenizer has more than 16 steps" HINT);
    free(deep);
    free(many);
}

Test(tokenizer_rules, nesting_without_end_is_not_json)
{
    char *deep = repeated("{\"normalizer\":", "[", 100000, "");
    mc_tokenizer *t;
    mc_err err = {0};
    cr_expect_eq(mc_tokenizer_open(deep, strlen(deep), "t", &t, &err), MC_E_FORMAT);
    free(deep);
}

/* Each step makes 64 letters of one. */
Test(tokenizer_rules, a_text_that_grows_without_end_is_refused)
{
#define SIXTEEN "aaaaaaaaaaaaaaaa"
#define GROW                                                                                      \
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"" SIXTEEN SIXTEEN SIXTEEN \
        SIXTEEN "\"}"
    const char *json = "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[" GROW "," GROW
                       "," GROW "," GROW "," GROW "," GROW "]}," MODEL "}";
    mc_tokenizer *t;
    int32_t *ids;
    size_t n;
    mc_err err = {0};
    cr_assert_eq(mc_tokenizer_open(json, strlen(json), "t", &t, &err), MC_OK, "%s", err.text);
    cr_expect_eq(mc_tokenizer_encode(t, "a", 1, &ids, &n, &err), MC_E_BUDGET);
    cr_expect_str_eq(err.text, "the tokenizer's normalizer makes more than 65600 bytes of 1");
    cr_expect_null(ids);
    mc_tokenizer_close(t);
}

/* Every prefix and every byte of a small file that has all parts, changed. */
Test(tokenizer_rules, no_damage_crashes)
{
    static const char file[] =
        "{\"version\":\"1.0\",\"normalizer\":{\"type\":\"Prepend\",\"prepend\":\"_\"},"
        "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\"},"
        "\"added_tokens\":[" TOKEN("3", "x", "true") "],"
                                                     "\"decoder\":{\"type\":\"Strip\",\"content\":"
                                                     "\" \",\"start\":1,\"stop\":0}," MODEL "}";
    static const char changes[] = {'"', '0', '9', '{', ']', ',', '\\', '\x80'};
    char copy[sizeof file];
    for (size_t i = 0; i < sizeof file; i++)
        for (size_t c = 0; c <= sizeof changes; c++) {
            mc_tokenizer *t;
            int32_t *ids;
            size_t n;
            mc_err err = {0};
            memcpy(copy, file, sizeof file);
            const size_t bytes = c == sizeof changes ? i : sizeof file - 1;
            if (c < sizeof changes) copy[i] = changes[c];
            if (mc_tokenizer_open(copy, bytes, "t", &t, &err) != MC_OK) {
                cr_expect_null(t);
                cr_expect_neq(err.text[0], '\0');
                continue;
            }
            if (mc_tokenizer_encode(t, "a b_x ab", 8, &ids, &n, &err) == MC_OK)
                mc_tokenizer_free_ids(ids);
            mc_tokenizer_close(t);
        }
}
