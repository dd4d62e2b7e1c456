/* The same ids as the reference (PyPI's tokenizers; tests/reference/make_tokenizer_goldens.py), the
 * same merges as a plain loop, and time that does not grow as the square. */
#include "core/file.h"
#include "core/json.h"
#include "core/rng.h"
#include "core/text.h"
#include "core/tokenizer.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEBIBYTE = 1 << 20 };

static mc_tokenizer *open_text(const char *json)
{
    mc_tokenizer *t;
    mc_err err = {0};
    cr_assert_eq(mc_tokenizer_open(json, strlen(json), "t", &t, &err), MC_OK, "%s", err.text);
    return t;
}

/* ---- goldens ---- */

typedef struct {
    char name[32];
} golden;

ParameterizedTestParameters(tokenizer, gives_the_ids_and_texts_of_the_reference)
{
    static golden all[] = {
        {"gpt2"},
        {"gpt2_split"},
        {"roberta"},
        {"llama3"},
        {"gpt4"},
        {"qwen2"},
        {"gpt4o"},
        {"nemo"},
        {"llama2"},
        {"llama2_gaps"},
        {"gemma"},
        {"metaspace_always"},
        {"metaspace_first"},
        {"metaspace_never"},
        {"bert"},
        {"words"},
        {"bert_cased"},
        {"digits"},
        {"tinylm"},
        {"cuts_gpt2"},
        {"cuts_llama3"},
        {"cuts_qwen2"},
        {"cuts_gpt4o"},
        {"cuts_nemo"},
    };
    return cr_make_param_array(golden, all, sizeof all / sizeof *all);
}

static mc_map map_file(const char *folder, const char *name, const char *end)
{
    char path[512];
    mc_map map;
    mc_err err = {0};
    snprintf(path, sizeof path, "%s/%s/%s%s.json", MC_SOURCE_DIR, folder, name, end);
    cr_assert_eq(mc_map_open(path, 0, &map, &err), MC_OK, "%s", err.text);
    return map;
}

static mc_tokenizer *open_golden(const char *name)
{
    const bool bundled = strcmp(name, "tinylm") == 0;
    mc_map map = map_file(bundled ? "examples/tinylm" : "tests/golden/tokenizer",
                          bundled ? "tokenizer" : name, "");
    mc_tokenizer *t;
    mc_err err = {0};
    cr_assert_eq(mc_tokenizer_open((const char *)map.data, map.size, name, &t, &err), MC_OK, "%s",
                 err.text);
    mc_map_close(&map);
    return t;
}

static void expect_ids(const mc_tokenizer *t, const char *text, const mc_json *wanted)
{
    int32_t *ids;
    size_t n, i = 0;
    mc_err err = {0};
    cr_assert_eq(mc_tokenizer_encode(t, text, strlen(text), &ids, &n, &err), MC_OK, "%s", err.text);
    cr_expect_eq(n, mc_json_count(wanted), "%s: %zu ids, not %zu", text, n, mc_json_count(wanted));
    for (const mc_json *id = mc_json_first(wanted); id && i < n; id = mc_json_next(id), i++)
        if (ids[i] != (int32_t)mc_json_as_num(id, -1)) break;
    cr_expect_eq(i, n, "%s: another id at %zu", text, i);
    mc_tokenizer_free_ids(ids);
}

static void expect_decoded(const mc_tokenizer *t, const mc_json *ids, const char *wanted)
{
    int32_t list[512];
    size_t n = 0;
    mc_region region;
    mc_err err = {0};
    cr_assert_eq(mc_region_open(&region, 1 << 16, &err), MC_OK);
    for (const mc_json *id = mc_json_first(ids); id; id = mc_json_next(id))
        list[n++] = (int32_t)mc_json_as_num(id, -1);
    const char *text = mc_tokenizer_decode(t, list, n, &region.arena);
    cr_assert_not_null(text);
    cr_expect_str_eq(text, wanted);
    mc_region_close(&region);
}

ParameterizedTest(golden *g, tokenizer, gives_the_ids_and_texts_of_the_reference)
{
    mc_tokenizer *t = open_golden(g->name);
    mc_map map = map_file("tests/golden/tokenizer", g->name, "_answers");
    mc_json *answers;
    mc_err err = {0};
    cr_assert_eq(mc_json_parse((const char *)map.data, map.size, g->name, &answers, &err), MC_OK);
    cr_assert_geq(mc_json_count(answers), 20);
    for (const mc_json *a = mc_json_first(answers); a; a = mc_json_next(a)) {
        const char *text = mc_json_as_text(mc_json_at(a, 0), NULL);
        cr_assert_not_null(text);
        expect_ids(t, text, mc_json_at(a, 1));
        mc_tokenizer_take_special(t, true);
        expect_ids(t, text, mc_json_at(a, 2));
        mc_tokenizer_take_special(t, false);
        expect_decoded(t, mc_json_at(a, 1), mc_json_as_text(mc_json_at(a, 3), ""));
    }
    mc_json_free(answers);
    mc_map_close(&map);
    mc_tokenizer_close(t);
}

/* ---- merging against a plain loop ---- */

enum { LETTERS = 3, MERGES = 40, TOKENS = LETTERS + MERGES, LONGEST = 12, TEXT = 60 };

typedef struct {
    char token[TOKENS][LONGEST + 1];
    int left[MERGES], right[MERGES]; /* the merge of rank r gives token LETTERS + r */
} small_bpe;

static int find_token(const small_bpe *b, const char *token, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(b->token[i], token) == 0) return i;
    return -1;
}

typedef struct {
    mc_rng rng;
    uint64_t at;
} dice;

static int roll(dice *d, int sides)
{
    return (int)mc_rng_below(d->rng, d->at++, (uint64_t)sides);
}

static void draw_bpe(small_bpe *b, dice *d)
{
    for (int i = 0; i < LETTERS; i++) snprintf(b->token[i], LONGEST, "%c", 'a' + i);
    for (int r = 0; r < MERGES;) {
        char joined[2 * LONGEST + 1];
        const int n = LETTERS + r;
        b->left[r] = roll(d, n);
        b->right[r] = roll(d, n);
        snprintf(joined, sizeof joined, "%s%s", b->token[b->left[r]], b->token[b->right[r]]);
        if (strlen(joined) > LONGEST || find_token(b, joined, n) >= 0) continue;
        strcpy(b->token[n], joined);
        r++;
    }
}

static mc_tokenizer *open_bpe(const small_bpe *b)
{
    mc_text json;
    mc_text_open(&json);
    mc_text_add(&json, "{\"model\":{\"type\":\"BPE\",\"vocab\":{");
    for (int i = 0; i < TOKENS; i++)
        mc_text_addf(&json, "%s\"%s\":%d", i ? "," : "", b->token[i], i);
    mc_text_add(&json, "},\"merges\":[");
    for (int r = 0; r < MERGES; r++)
        mc_text_addf(&json, "%s[\"%s\",\"%s\"]", r ? "," : "", b->token[b->left[r]],
                     b->token[b->right[r]]);
    mc_text_add(&json, "]}}");
    char *text = mc_text_take(&json);
    mc_tokenizer *t = open_text(text);
    free(text);
    return t;
}

static size_t merge_plainly(const small_bpe *b, int *id, size_t n)
{
    for (int r = 0; r < MERGES;) { /* the lowest rank that fits, at its leftmost place */
        size_t i = 0;
        while (i + 1 < n && !(id[i] == b->left[r] && id[i + 1] == b->right[r])) i++;
        if (i + 1 >= n) {
            r++;
            continue;
        }
        id[i] = LETTERS + r;
        memmove(id + i + 1, id + i + 2, (n - i - 2) * sizeof *id);
        n--;
        r = 0;
    }
    return n;
}

Test(tokenizer, merges_lowest_rank_first_and_leftmost_first)
{
    dice d = {.rng = {.seed = 7}};
    for (int round = 0; round < 50; round++) {
        small_bpe b;
        draw_bpe(&b, &d);
        mc_tokenizer *t = open_bpe(&b);
        for (int k = 0; k < 20; k++) {
            char text[TEXT];
            int wanted[TEXT];
            for (int i = 0; i < TEXT; i++) {
                wanted[i] = roll(&d, LETTERS);
                text[i] = (char)('a' + wanted[i]);
            }
            int32_t *ids;
            size_t n;
            mc_err err = {0};
            cr_assert_eq(mc_tokenizer_encode(t, text, TEXT, &ids, &n, &err), MC_OK);
            cr_assert_eq(n, merge_plainly(&b, wanted, TEXT));
            for (size_t i = 0; i < n; i++) cr_assert_eq(ids[i], wanted[i]);
            mc_tokenizer_free_ids(ids);
        }
        mc_tokenizer_close(t);
    }
}

/* ---- long texts ---- */

static size_t count_ids(const mc_tokenizer *t, const char *unit, size_t times)
{
    const size_t n = strlen(unit);
    char *text = malloc(n * times);
    int32_t *ids;
    size_t count;
    mc_err err = {0};
    cr_assert_not_null(text);
    for (size_t i = 0; i < times; i++) memcpy(text + i * n, unit, n);
    cr_assert_eq(mc_tokenizer_encode(t, text, n * times, &ids, &count, &err), MC_OK, "%s",
                 err.text);
    mc_tokenizer_free_ids(ids);
    free(text);
    return count;
}

Test(tokenizer, a_mebibyte_of_one_letter_is_one_word_and_merges_at_once, .timeout = 60)
{
    mc_tokenizer *t =
        open_text("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"aa\":1,\"aaaa\":2,"
                  "\"aaaaaaaa\":3},\"merges\":[\"a a\",\"aa aa\",\"aaaa aaaa\"]}}");
    cr_expect_eq(count_ids(t, "a", MEBIBYTE), MEBIBYTE / 8);
    cr_expect_eq(count_ids(t, "aaa", MEBIBYTE), 3 * MEBIBYTE / 8);
    mc_tokenizer_close(t);
}

Test(tokenizer, long_rows_of_one_thing_take_no_time_squared, .timeout = 120)
{
    static const char *const names[] = {"gpt2", "llama3", "gpt4o", "gemma", "words", "bert"};
    static const char *const units[] = {" ", "\n", "'", "A\xca\xb0", "\xcc\x81\xcc\xa3", "<pad>"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        mc_tokenizer *t = open_golden(names[i]);
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            const size_t n = count_ids(t, units[u], MEBIBYTE / 16);
            cr_expect_leq(n, MEBIBYTE / 16 * 2 * strlen(units[u]), "%s, %s", names[i], units[u]);
        }
        mc_tokenizer_close(t);
    }
}

/* ---- the rest of the interface ---- */

static size_t count_of(const mc_tokenizer *t, const char *text)
{
    return count_ids(t, text, 1);
}

Test(tokenizer, ignore_merges_takes_a_word_that_no_merge_reaches)
{
    mc_tokenizer *t = open_text("{\"model\":{\"type\":\"BPE\",\"ignore_merges\":true,\"vocab\":"
                                "{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[]}}");
    mc_tokenizer *u = open_text("{\"model\":{\"type\":\"BPE\",\"ignore_merges\":false,\"vocab\":"
                                "{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[]}}");
    cr_expect_eq(count_of(t, "ab"), 1);
    cr_expect_eq(count_of(t, "aba"), 3);
    cr_expect_eq(count_of(u, "ab"), 2);
    mc_tokenizer_close(t);
    mc_tokenizer_close(u);
}

Test(tokenizer, a_word_is_unknown_from_one_character_too_many)
{
    mc_tokenizer *t = open_text(
        "{\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"continuing_subword_prefix\":"
        "\"##\",\"max_input_chars_per_word\":3,\"vocab\":{\"u\":0,\"\xc3\xa9\":1,\"##\xc3\xa9\":2}}"
        "}");
    cr_expect_eq(count_of(t, "\xc3\xa9\xc3\xa9\xc3\xa9"), 3);
    cr_expect_eq(count_of(t, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"), 1);
    mc_tokenizer_close(t);
}

Test(tokenizer, gives_its_size_and_leaves_out_ids_that_are_none_of_its_own)
{
    mc_tokenizer *t = open_text(
        "{\"added_tokens\":[{\"id\":2,\"content\":\"<x>\",\"single_word\":false,\"lstrip\":false,"
        "\"rstrip\":false,\"normalized\":false,\"special\":true}],"
        "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]}}");
    mc_region region;
    mc_err err = {0};
    cr_assert_eq(mc_region_open(&region, 4096, &err), MC_OK);
    cr_expect_eq(mc_tokenizer_size(t), 3);
    const int32_t ids[] = {0, -1, 2, 3, INT32_MAX, 1, INT32_MIN};
    cr_expect_str_eq(mc_tokenizer_decode(t, ids, 7, &region.arena), "a <x> b");
    cr_expect_str_eq(mc_tokenizer_decode(t, ids, 0, &region.arena), "");
    mc_arena none = {region.base, region.base};
    cr_expect_null(mc_tokenizer_decode(t, ids, 7, &none));
    mc_region_close(&region);
    mc_tokenizer_close(t);
}

Test(tokenizer, refuses_a_text_that_is_not_utf8_or_holds_what_has_no_token)
{
    mc_tokenizer *t = open_text("{\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"vocab\":"
                                "{\"a\":0},\"merges\":[]}}");
    int32_t *ids;
    size_t n;
    mc_err err = {0};
    cr_expect_eq(mc_tokenizer_encode(t, "a\xff", 2, &ids, &n, &err), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "the text is not UTF-8");
    cr_expect_null(ids);
    cr_expect_eq(mc_tokenizer_encode(t, "ab", 2, &ids, &n, &err), MC_E_FORMAT);
    cr_expect_str_eq(err.text, "the tokenizer's unknown token \"<unk>\" is not in its vocabulary");
    cr_expect_eq(mc_tokenizer_encode(t, "", 0, &ids, &n, &err), MC_OK);
    cr_expect_eq(n, 0);
    mc_tokenizer_free_ids(ids);
    mc_tokenizer_close(t);
}
