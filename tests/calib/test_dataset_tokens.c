/* Data sets of token ids: windows that do not overlap, from arrays, texts and files of
 * log-probabilities; and what the inputs of a graph are for them. */
#include "tests/support/data_case.h"
#include "tests/support/scratch_model.h"

#include "core/bytes.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(dataset_tokens, .init = scratch_enter, .fini = scratch_leave);

static const int64_t any[] = {-1, -1};

/* What mc_dataset_tokens gives for window i: first, first + step, … */
static void expect_ids(const mc_dataset *d, uint64_t i, size_t n, int32_t first, int32_t step)
{
    const int32_t *ids;
    cr_assert_eq(mc_dataset_tokens(d, i, &ids), n, "window %d", (int)i);
    for (size_t k = 0; k < n; k++)
        cr_expect_eq(ids[k], first + (int32_t)k * step, "window %d", (int)i);
}

static void expect_row(const mc_nd *in, mc_dtype dtype, size_t n)
{
    cr_expect_eq(in->kind, MC_ND_TENSOR);
    cr_expect_eq(in->dtype, dtype);
    cr_assert_eq(in->ndim, 2);
    cr_expect(in->dim[0] == 1 && in->dim[1] == (int64_t)n && in->count == n);
}

/* n ids 0, 10, 20, … */
static void put_ids(const char *path, const char *shape, size_t n)
{
    int64_t ids[256];
    for (size_t i = 0; i < n; i++) ids[i] = (int64_t)i * 10;
    data_put_i64(path, shape, ids, n);
}

/* ---- windows ---- */

Test(dataset_tokens, are_cut_into_windows_that_do_not_overlap)
{
    const mc_dataset_options four = {.window = 4};
    put_ids("ids.npy", "(14,)", 14);
    data_case c = data_language(NULL);
    mc_dataset *d = data_open(&c, "ids.npy", &four);
    cr_expect_eq(mc_dataset_kind(d), MC_DATA_TOKENS);
    cr_expect_eq(mc_dataset_samples(d), 3);
    cr_expect_eq(mc_dataset_window(d), 4);
    cr_expect_eq(mc_dataset_dropped(d), 2);
    expect_ids(d, 0, 5, 0, 10);
    expect_ids(d, 1, 5, 40, 10);
    expect_ids(d, 2, 5, 80, 10); /* what is dropped still holds the last target */
    for (uint64_t i = 0; i < 3; i++) {
        data_sample(&c, d, i);
        expect_row(&c.input[0], MC_I64, 4);
        for (int64_t k = 0; k < 4; k++)
            cr_expect_eq(((const int64_t *)c.input[0].data)[k], ((int64_t)i * 4 + k) * 10);
    }
    const int32_t *ids;
    int64_t label;
    cr_expect_eq(mc_dataset_tokens(d, 3, &ids), 0);
    cr_expect_null(ids);
    cr_expect_not(mc_dataset_label(d, 0, &label));
    data_sample_refused(&c, d, 3, MC_E_INTERNAL, "ids.npy: sample 3 of 3");
    mc_question q;
    mc_err err = {0};
    cr_expect_eq(mc_dataset_question(d, 0, &q, &err), MC_E_INTERNAL);
    mc_dataset_close(d);
    data_end(&c);
}

Test(dataset_tokens, have_no_last_target_when_windows_fit_exactly)
{
    const mc_dataset_options four = {.window = 4}, first = {.window = 4, .most = 2};
    put_ids("ids.npy", "(12,)", 12);
    data_case c = data_language(NULL);
    mc_dataset *d = data_open(&c, "ids.npy", &four);
    cr_expect_eq(mc_dataset_dropped(d), 0);
    expect_ids(d, 1, 5, 40, 10);
    expect_ids(d, 2, 4, 80, 10);
    mc_dataset_close(d);
    d = data_open(&c, "ids.npy", &first); /* the window behind the last one taken is there */
    cr_expect_eq(mc_dataset_samples(d), 2);
    expect_ids(d, 1, 5, 40, 10);
    mc_dataset_close(d);
    data_end(&c);
}

Test(dataset_tokens, keep_their_followers_when_shuffled)
{
    const mc_dataset_options options = {.window = 3, .shuffled = true, .seed = 3};
    put_ids("ids.npy", "(61,)", 61);
    data_case c = data_language(NULL);
    mc_dataset *d = data_open(&c, "ids.npy", &options);
    bool seen[20] = {false};
    cr_assert_eq(mc_dataset_samples(d), 20);
    for (uint64_t i = 0; i < 20; i++) {
        const int32_t *ids;
        cr_assert_eq(mc_dataset_tokens(d, i, &ids), 4);
        expect_ids(d, i, 4, ids[0], 10);
        data_sample(&c, d, i);
        cr_expect_eq(((const int64_t *)c.input[0].data)[0], ids[0]);
        seen[ids[0] / 30] = true;
    }
    for (size_t i = 0; i < 20; i++) cr_expect(seen[i]);
    mc_dataset_close(d);
    data_end(&c);
}

static void expect_window(data_case *c, const char *path, uint64_t window)
{
    mc_dataset *d = data_open(c, path, NULL);
    cr_expect_eq(mc_dataset_window(d), window, "%d", (int)mc_dataset_window(d));
    mc_dataset_close(d);
}

Test(dataset_tokens, come_in_windows_of_the_context_and_at_most_512)
{
    static int64_t ids[1200];
    data_put_i64("ids.npy", "(1200,)", ids, 1200);
    data_case c = data_language(NULL);
    expect_window(&c, "ids.npy", 512);
    c.model.context = 4096;
    expect_window(&c, "ids.npy", 512);
    c.model.context = 100;
    expect_window(&c, "ids.npy", 100);
    const mc_dataset_options more = {.window = 101};
    data_refused(&c, "ids.npy", &more, MC_E_UNSUPPORTED,
                 "--window 101: model: takes at most 100 tokens at once, not 101");
    data_end(&c);
}

Test(dataset_tokens, come_in_the_windows_that_the_graph_takes)
{
    const mc_dataset_options four = {.window = 4};
    const int64_t fixed[] = {1, 6};
    put_ids("ids.npy", "(20,)", 20);
    data_case c = data_begin(MC_TASK_LANGUAGE);
    data_input(&c, "input_ids", MC_I64, 2, fixed);
    expect_window(&c, "ids.npy", 6);
    data_refused(&c, "ids.npy", &four, MC_E_UNSUPPORTED,
                 "--window 4: model: a row of 4 token ids does not fit the graph's input "
                 "'input_ids', which is [1, 6] I64");
    data_end(&c);

    const int64_t two[] = {2, -1};
    c = data_begin(MC_TASK_LANGUAGE);
    data_input(&c, "input_ids", MC_I64, 2, two);
    data_refused(&c, "ids.npy", &four, MC_E_UNSUPPORTED,
                 "--window 4: model: a row of 4 token ids does not fit the graph's input "
                 "'input_ids', which is [2, ?] I64");
    data_end(&c);
}

Test(dataset_tokens, fewer_than_a_window_are_refused)
{
    const mc_dataset_options nine = {.window = 9};
    put_ids("ids.npy", "(8,)", 8);
    data_case c = data_language(NULL);
    data_refused(&c, "ids.npy", &nine, MC_E_FORMAT, "ids.npy: 8 tokens do not fill a window of 9");
    put_ids("ids.npy", "(0,)", 0);
    data_refused(&c, "ids.npy", NULL, MC_E_FORMAT, "ids.npy: 0 tokens do not fill a window of 512");
    data_end(&c);
}

/* ---- arrays of ids ---- */

Test(dataset_tokens, of_two_axes_come_in_their_rows)
{
    const mc_dataset_options two = {.window = 2};
    put_ids("ids.npy", "(3, 4)", 12);
    data_case c = data_language(NULL);
    mc_dataset *d = data_open(&c, "ids.npy", NULL);
    cr_expect(mc_dataset_samples(d) == 3 && mc_dataset_window(d) == 4);
    expect_ids(d, 1, 5, 40, 10);
    mc_dataset_close(d);
    d = data_open(&c, "ids.npy", &two);
    cr_expect(mc_dataset_samples(d) == 6 && mc_dataset_window(d) == 2);
    mc_dataset_close(d);
    c.model.context = 3;
    data_refused(&c, "ids.npy", NULL, MC_E_UNSUPPORTED,
                 "ids.npy: model: takes at most 3 tokens at once, not 4");
    data_end(&c);
}

Test(dataset_tokens, of_two_axes_may_lie_in_fortran_order)
{
    const unsigned char ids[] = {0, 30, 10, 40, 20, 50}; /* [[0, 10, 20], [30, 40, 50]] */
    data_put("ids.npy", npy_text(1, "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n",
                                 ids, sizeof ids));
    data_case c = data_language(NULL);
    mc_dataset *d = data_open(&c, "ids.npy", NULL);
    cr_assert_eq(mc_dataset_window(d), 3);
    expect_ids(d, 0, 4, 0, 10);
    mc_dataset_close(d);
    data_end(&c);
}

Test(dataset_tokens, of_several_files_follow_each_other)
{
    const int64_t a[] = {1, 2, 3}, b[] = {4, 5, 6, 7};
    const mc_dataset_options two = {.window = 2};
    data_put_i64("set/b.npy", "(4,)", b, 4);
    data_put_i64("set/a.npy", "(3,)", a, 3);
    data_case c = data_language(NULL);
    mc_dataset *d = data_open(&c, "set", &two);
    cr_assert(mc_dataset_samples(d) == 3 && mc_dataset_dropped(d) == 1);
    expect_ids(d, 1, 3, 3, 1);
    expect_ids(d, 2, 3, 5, 1);
    mc_dataset_close(d);

    data_put_i64("set/a.npy", "(1, 3)", a, 3);
    data_refused(&c, "set", NULL, MC_E_FORMAT,
                 "set/b.npy: rows of 0 token ids, of 3 in set/a.npy (--window cuts them alike)");
    data_put_i64("set/b.npy", "(2, 2)", b, 4);
    data_refused(&c, "set", NULL, MC_E_FORMAT,
                 "set/b.npy: rows of 2 token ids, of 3 in set/a.npy (--window cuts them alike)");
    d = data_open(&c, "set", &two);
    cr_expect_eq(mc_dataset_samples(d), 3);
    mc_dataset_close(d);
    data_end(&c);
}

Test(dataset_tokens, that_are_no_ids_are_refused)
{
    const mc_dataset_options one = {.window = 1};
    const int64_t below[] = {5, -1}, far[] = {5, (int64_t)1 << 31};
    const float x[] = {1, 2};
    data_case c = data_language(NULL);
    data_put_i64("ids.npy", "(2,)", below, 2);
    data_refused(&c, "ids.npy", &one, MC_E_FORMAT, "ids.npy: token id 1 is -1, below 0");
    data_put_i64("ids.npy", "(2,)", far, 2);
    data_refused(&c, "ids.npy", &one, MC_E_FORMAT,
                 "ids.npy: element 1 is 2147483648, which I32 does not hold");
    put_ids("set/a.npy", "(2,)", 2);
    data_put_f32("set/b.npy", "(2,)", x, 2);
    data_refused(&c, "set", &one, MC_E_FORMAT,
                 "set/b.npy: 1 axes of F32; token ids are whole numbers with one axis, or two for "
                 "rows");
    put_ids("set/b.npy", "(1, 2, 1)", 2);
    data_refused(&c, "set", &one, MC_E_FORMAT,
                 "set/b.npy: 3 axes of I64; token ids are whole numbers with one axis, or two for "
                 "rows");
    data_end(&c);
}

/* Numbers with a fraction, and ids for other models, are arrays for the input. */
Test(dataset_tokens, are_not_made_of_other_arrays)
{
    const float x[] = {1, 2};
    data_case c = data_begin(MC_TASK_LANGUAGE);
    data_input(&c, "embeddings", MC_F32, 2, any);
    data_put_f32("x.npy", "(1, 2)", x, 2);
    mc_dataset *d = data_open(&c, "x.npy", NULL);
    cr_expect_eq(mc_dataset_kind(d), MC_DATA_ARRAYS);
    mc_dataset_close(d);
    data_end(&c);
    c = data_language(NULL);
    c.model.task = MC_TASK_CLASSIFY;
    put_ids("x.npy", "(2, 3)", 6);
    d = data_open(&c, "x.npy", NULL);
    cr_expect_eq(mc_dataset_kind(d), MC_DATA_ARRAYS);
    cr_expect_eq(mc_dataset_samples(d), 2);
    mc_dataset_close(d);
    data_end(&c);
}

/* ---- texts ---- */

Test(dataset_tokens, of_a_text_are_those_of_its_tokenizer)
{
    /* `tokenizers` gives these ids */
    const int32_t want[] = {256, 68, 324, 257, 283};
    const mc_dataset_options two = {.window = 2};
    const int32_t *ids;
    scratch_put_text("t.txt", "the other thing");
    data_case c = data_language("gpt2.json");
    mc_dataset *d = data_open(&c, "t.txt", &two);
    cr_expect_eq(mc_dataset_kind(d), MC_DATA_TOKENS);
    cr_expect_not_null(mc_dataset_tokenizer(d));
    cr_assert(mc_dataset_samples(d) == 2 && mc_dataset_dropped(d) == 1);
    for (uint64_t i = 0; i < 2; i++) {
        cr_assert_eq(mc_dataset_tokens(d, i, &ids), 3);
        cr_expect_arr_eq(ids, want + 2 * i, 3 * sizeof *ids);
    }
    mc_dataset_close(d);

    /* Each file is encoded by itself: no piece spans two of them. */
    scratch_put_text("set/a.txt", "the other");
    scratch_put_text("set/b.txt", "");
    scratch_put_text("set/c.txt", " thing");
    d = data_open(&c, "set", &two);
    cr_assert(mc_dataset_samples(d) == 2 && mc_dataset_dropped(d) == 1);
    cr_assert_eq(mc_dataset_tokens(d, 1, &ids), 3);
    cr_expect_arr_eq(ids, want + 2, 3 * sizeof *ids);
    mc_dataset_close(d);
    data_end(&c);
}

Test(dataset_tokens, of_a_text_need_a_tokenizer_that_can_be_read)
{
    scratch_put_text("t.txt", "the other thing");
    data_case c = data_language(NULL);
    data_refused(&c, "t.txt", NULL, MC_E_UNSUPPORTED,
                 "t.txt: text cannot be turned into token ids: the model has no tokenizer.json");
    static const char unigram[] = "{\"model\": {\"type\": \"Unigram\", \"vocab\": []}}";
    mc_source source = {.path = "tokenizer.json",
                        .role = "tokenizer",
                        .map = {(const unsigned char *)unigram, sizeof unigram - 1, -1, 0, 0}};
    c.model.source = &source;
    c.model.sources = 1;
    mc_dataset *d;
    mc_err err = {0};
    const mc_dataset_options none = {0};
    cr_expect_eq(mc_dataset_open("t.txt", &c.model, &none, &d, &err), MC_E_UNSUPPORTED);
    cr_expect_not_null(strstr(err.text, "t.txt: text cannot be turned into token ids: "
                                        "tokenizer.json: tokenizer type "),
                       "%s", err.text);
    put_ids("ids.npy", "(2, 2)", 4); /* which ids do not need */
    d = data_open(&c, "ids.npy", NULL);
    cr_expect_null(mc_dataset_tokenizer(d));
    mc_dataset_close(d);
    c.model.sources = 0;
    data_end(&c);
}

Test(dataset_tokens, of_a_text_that_is_not_utf8_are_refused)
{
    scratch_put("set/a.txt", "the", 3);
    scratch_put("set/b.txt", "th\xff", 3);
    data_case c = data_language("gpt2.json");
    mc_dataset *d;
    mc_err err = {0};
    const mc_dataset_options one = {.window = 1};
    cr_expect_eq(mc_dataset_open("set", &c.model, &one, &d, &err), MC_E_FORMAT);
    cr_expect_eq(strncmp(err.text, "set/b.txt: ", 11), 0, "%s", err.text);
    data_end(&c);
}

/* ---- files of log-probabilities ---- */

static void put_logits(const char *path, uint32_t window, uint32_t chunks, const int32_t *ids,
                       size_t n)
{
    unsigned char b[256] = "_logits_";
    mc_store_u32le(b + 8, window);
    mc_store_u32le(b + 12, 100);
    mc_store_u32le(b + 16, chunks);
    for (size_t i = 0; i < n; i++) mc_store_u32le(b + 20 + 4 * i, (uint32_t)ids[i]);
    scratch_put(path, b, 20 + 4 * n + 7); /* and some bytes of rows */
}

Test(dataset_tokens, may_come_from_a_file_of_log_probabilities)
{
    const int32_t ids[] = {5, 6, 7, 8, 9, 10}, wrong[] = {5, 100, 7, -8, 9, 10};
    const mc_dataset_options two = {.window = 2}, three = {.window = 3};
    data_case c = data_language(NULL);
    put_logits("l.dat", 3, 2, ids, 6);
    mc_dataset *d = data_open(&c, "l.dat", NULL);
    cr_assert(mc_dataset_samples(d) == 2 && mc_dataset_window(d) == 3);
    expect_ids(d, 0, 4, 5, 1);
    expect_ids(d, 1, 3, 8, 1);
    mc_dataset_close(d);
    d = data_open(&c, "l.dat", &three);
    mc_dataset_close(d);
    data_refused(&c, "l.dat", &two, MC_E_USAGE, "--window 2: l.dat has windows of 3 tokens");
    put_logits("l.dat", 3, 2, wrong, 6);
    data_refused(&c, "l.dat", NULL, MC_E_FORMAT, "l.dat: token id 1 is 100 of 100 words");
    put_logits("l.dat", 3, 2, wrong + 2, 4);
    data_refused(&c, "l.dat", NULL, MC_E_FORMAT,
                 "l.dat: does not hold the tokens its header tells of");
    put_logits("l.dat", 3, 1, wrong + 2, 3);
    data_refused(&c, "l.dat", NULL, MC_E_FORMAT, "l.dat: token id 1 is -8, below 0");
    put_logits("l.dat", 0, 2, ids, 6);
    data_refused(&c, "l.dat", NULL, MC_E_FORMAT,
                 "l.dat: does not hold the tokens its header tells of");
    put_logits("l.dat", UINT32_MAX, UINT32_MAX, ids, 6);
    data_refused(&c, "l.dat", NULL, MC_E_FORMAT,
                 "l.dat: does not hold the tokens its header tells of");
    scratch_put_text("l.dat", "_logits_1234567");
    data_refused(&c, "l.dat", NULL, MC_E_FORMAT, "l.dat: ends in its header");
    data_end(&c);
}

Test(dataset_tokens, of_log_probabilities_stand_alone)
{
    const int32_t ids[] = {5, 6, 7, 8};
    put_logits("set/a.txt", 2, 2, ids, 4);
    scratch_put_text("set/b.txt", "the other");
    data_case c = data_language("gpt2.json");
    data_refused(&c, "set", NULL, MC_E_FORMAT,
                 "set/a.txt: a file of log-probabilities, and others beside it");
    data_end(&c);
}

/* ---- inputs of graphs ---- */

Test(dataset_tokens, fill_the_other_inputs_that_are_known)
{
    const int32_t ids[] = {7, 8, 9};
    data_case c = data_begin(MC_TASK_LANGUAGE);
    data_input(&c, "token_type_ids", MC_I64, 2, any);
    data_input(&c, "input_ids", MC_I32, 2, any);
    data_input(&c, "attention_mask", MC_F32, 2, any);
    data_input(&c, "position_ids", MC_I32, 2, any);
    mc_err err = {0};
    mc_arena mem = c.memory.arena;
    cr_assert_eq(mc_inputs_of_ids(&c.model, ids, 3, &mem, c.input, &err), MC_OK, "%s", err.text);
    expect_row(&c.input[0], MC_I64, 3);
    expect_row(&c.input[1], MC_I32, 3);
    expect_row(&c.input[2], MC_F32, 3);
    expect_row(&c.input[3], MC_I32, 3);
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(((const int64_t *)c.input[0].data)[i], 0);
        cr_expect_eq(((const int32_t *)c.input[1].data)[i], 7 + i);
        cr_expect_eq(((const float *)c.input[2].data)[i], 1.0f);
        cr_expect_eq(((const int32_t *)c.input[3].data)[i], i);
    }
    data_end(&c);

    c = data_begin(MC_TASK_LANGUAGE);
    data_input(&c, "tokens", MC_I64, 2, any); /* the first input, whatever it is called */
    data_input(&c, "attention_mask", MC_BOOL, MC_RANK_UNKNOWN, NULL);
    mem = c.memory.arena;
    cr_assert_eq(mc_inputs_of_ids(&c.model, ids, 3, &mem, c.input, &err), MC_OK, "%s", err.text);
    cr_expect_eq(((const int64_t *)c.input[0].data)[2], 9);
    expect_row(&c.input[1], MC_BOOL, 3);
    cr_expect_eq(memcmp(c.input[1].data, "\1\1\1", 3), 0);
    data_end(&c);
}

Test(dataset_tokens, do_not_fill_inputs_that_are_not_known)
{
    static const struct {
        const char *name;
        mc_dtype dtype;
    } inputs[] = {{"past_key_values.0.key", MC_F32},
                  {"second", MC_I64},
                  {"position_ids", MC_F32},
                  {"attention_mask", MC_U8}};
    const int64_t four[] = {-1, 4, -1, 64};
    put_ids("ids.npy", "(2, 3)", 6);
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        char message[256];
        data_case c = data_language(NULL);
        data_input(&c, inputs[i].name, inputs[i].dtype, 4, four);
        snprintf(message, sizeof message,
                 "ids.npy: model: token ids do not say what the graph's input '%s' ([?, 4, ?, 64] "
                 "%s) is: give an npz with an array for each input",
                 inputs[i].name, mc_dtype_about(inputs[i].dtype)->name);
        data_refused(&c, "ids.npy", NULL, MC_E_UNSUPPORTED, message);
        data_end(&c);
    }
    data_case c = data_begin(MC_TASK_LANGUAGE);
    data_input(&c, "pixels", MC_F32, 2, any);
    data_refused(&c, "ids.npy", NULL, MC_E_UNSUPPORTED,
                 "ids.npy: model: token ids do not say what the graph's input 'pixels' ([?, ?] "
                 "F32) is: give an npz with an array for each input");
    data_end(&c);
    c = data_language(NULL);
    data_input(&c, "attention_mask", MC_F32, 4, four);
    data_refused(&c, "ids.npy", NULL, MC_E_UNSUPPORTED,
                 "ids.npy: model: a row of 3 token ids does not fit the graph's input "
                 "'attention_mask', which is [?, 4, ?, 64] F32");
    data_end(&c);
}
