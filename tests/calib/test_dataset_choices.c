/* Data sets of questions: what each line must be, and where context ends and choice begins. */
#include "tests/support/data_case.h"
#include "tests/support/scratch_model.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(dataset_choices, .init = scratch_enter, .fini = scratch_leave);

static mc_question question(const mc_dataset *d, uint64_t i)
{
    mc_question q;
    mc_err err = {0};
    cr_assert_eq(mc_dataset_question(d, i, &q, &err), MC_OK, "%s", err.text);
    return q;
}

static void expect_ids(const int32_t *ids, size_t n, const int32_t *want, size_t wanted)
{
    cr_assert_eq(n, wanted);
    cr_expect_arr_eq(ids, want, n * sizeof *ids);
}

#define IDS(...) (const int32_t[]){__VA_ARGS__}, sizeof(int32_t[]){__VA_ARGS__} / sizeof(int32_t)

/* Ids are those that `tokenizers` gives for context and choice together. */
Test(dataset_choices, are_read_with_the_ids_of_running_text)
{
    scratch_put_text("q.jsonl",
                     "{\"context\": \"Q:\", \"choices\": [\" the\", \" theory\"], \"answer\": 1}\n"
                     "\n"
                     "  \t\r\n"
                     "{\"answer\": 0, \"id\": \"more\", \"choices\": [\" the thing\", \" the\", \" "
                     "the other\"], \"context\": \"Q:\"}");
    data_case c = data_language("gpt2.json");
    mc_dataset *d = data_open(&c, "q.jsonl", NULL);
    cr_expect_eq(mc_dataset_kind(d), MC_DATA_CHOICES);
    cr_assert_eq(mc_dataset_samples(d), 2);
    cr_expect_eq(mc_dataset_window(d), 0);
    cr_expect_eq(mc_dataset_dropped(d), 0);
    mc_question q = question(d, 0);
    cr_expect(q.choices == 2 && q.answer == 1);
    expect_ids(q.context, q.context_ids, IDS(48, 25));
    expect_ids(q.choice[0], q.choice_ids[0], IDS(260));
    expect_ids(q.choice[1], q.choice_ids[1], IDS(260, 268, 88));
    cr_expect(q.choice_bytes[0] == 4 && q.choice_bytes[1] == 7);
    q = question(d, 1);
    cr_expect(q.choices == 3 && q.answer == 0);
    expect_ids(q.choice[0], q.choice_ids[0], IDS(220, 424));
    expect_ids(q.choice[1], q.choice_ids[1], IDS(260));
    expect_ids(q.choice[2], q.choice_ids[2], IDS(260, 324));

    const int32_t *ids;
    mc_err err = {0};
    cr_expect_eq(mc_dataset_question(d, 2, &q, &err), MC_E_INTERNAL);
    cr_expect_str_eq(err.text, "q.jsonl: sample 2 of 2");
    cr_expect_eq(mc_dataset_tokens(d, 0, &ids), 0);
    data_sample_refused(&c, d, 0, MC_E_INTERNAL, "q.jsonl: sample 0 of 2");
    mc_dataset_close(d);
    data_end(&c);
}

/* "Q: " and "the" give the ids of "Q: the", whose space is the choice's. */
Test(dataset_choices, own_the_space_at_the_end_of_the_context)
{
    scratch_put_text("q.jsonl",
                     "{\"context\":\"Q: \",\"choices\":[\"the\",\"theory\"],\"answer\":0}\n"
                     "{\"context\":\"Q:  \",\"choices\":[\"the\",\"theory\"],\"answer\":0}\n"
                     "{\"context\":\"  \",\"choices\":[\"the\",\"theory\"],\"answer\":0}\n");
    data_case c = data_language("gpt2.json");
    mc_dataset *d = data_open(&c, "q.jsonl", NULL);
    mc_question q = question(d, 0);
    expect_ids(q.context, q.context_ids, IDS(48, 25));
    expect_ids(q.choice[0], q.choice_ids[0], IDS(260));
    expect_ids(q.choice[1], q.choice_ids[1], IDS(260, 268, 88));
    cr_expect_eq(q.choice_bytes[0], 3); /* of the choice as it is written */
    q = question(d, 1);
    expect_ids(q.context, q.context_ids, IDS(48, 25));
    expect_ids(q.choice[0], q.choice_ids[0], IDS(220, 260));
    q = question(d, 2); /* something has to be in front */
    expect_ids(q.context, q.context_ids, IDS(220));
    mc_dataset_close(d);
    data_end(&c);
}

Test(dataset_choices, of_several_files_follow_each_other)
{
    static const char line[] =
        "{\"context\":\"Q:\",\"choices\":[\"a\",\"b\",\"c\"],\"answer\":%d}\n";
    const mc_dataset_options two = {.most = 2};
    char text[256];
    snprintf(text, sizeof text, line, 2);
    scratch_put_text("set/b.jsonl", text);
    const int n = snprintf(text, sizeof text, line, 0);
    snprintf(text + n, sizeof text - (size_t)n, line, 1);
    scratch_put_text("set/a.jsonl", text);
    data_case c = data_language("gpt2.json");
    mc_dataset *d = data_open(&c, "set", NULL);
    cr_assert_eq(mc_dataset_samples(d), 3);
    for (uint64_t i = 0; i < 3; i++) cr_expect_eq(question(d, i).answer, i);
    mc_dataset_close(d);
    d = data_open(&c, "set", &two);
    cr_expect_eq(mc_dataset_samples(d), 2);
    mc_dataset_close(d);

    scratch_put_text("set/c.jsonl", "\n{\"context\":\"Q:\"}\n");
    data_refused(&c, "set", NULL, MC_E_FORMAT,
                 "set/c.jsonl: line 2: \"choices\" are not 2 to 64 texts; expected {\"context\": "
                 "\"…\", \"choices\": [\"…\", …], \"answer\": 0}");
    data_end(&c);
}

/* More than the first piece of memory holds. */
Test(dataset_choices, may_be_many)
{
    enum { N = 9000 };
    static char text[N * 128];
    size_t n = 0;
    for (int i = 0; i < N; i++)
        n += (size_t)snprintf(
            text + n, sizeof text - n,
            "{\"context\":\"%d:\",\"choices\":[\"a\",\" thing\"],\"answer\":%d}\n", i, i % 2);
    scratch_put("q.jsonl", text, n);
    data_case c = data_language("gpt2.json");
    mc_dataset *d = data_open(&c, "q.jsonl", NULL);
    cr_assert_eq(mc_dataset_samples(d), N);
    for (uint64_t i = 0; i < N; i++) {
        const mc_question q = question(d, i);
        cr_assert_eq(q.answer, i % 2);
        cr_assert_eq(q.choice[0][0], 64);
        expect_ids(q.choice[1], q.choice_ids[1], IDS(257, 283));
    }
    mc_dataset_close(d);
    data_end(&c);
}

/* ---- what is refused ---- */

#define EXPECTED "; expected {\"context\": \"…\", \"choices\": [\"…\", …], \"answer\": 0}"

Test(dataset_choices, name_file_and_line_of_each_wrong_field)
{
    static const struct {
        const char *line, *why;
    } all[] = {
        {"[]", "\"context\" is no text"},
        {"{}", "\"context\" is no text"},
        {"{\"context\":7,\"choices\":[\"a\",\"b\"],\"answer\":0}", "\"context\" is no text"},
        {"{\"context\":\"\",\"choices\":[\"a\",\"b\"],\"answer\":0}", "\"context\" is no text"},
        {"{\"context\":\"x\",\"answer\":0}", "\"choices\" are not 2 to 64 texts"},
        {"{\"context\":\"x\",\"choices\":\"ab\",\"answer\":0}",
         "\"choices\" are not 2 to 64 texts"},
        {"{\"context\":\"x\",\"choices\":[\"a\"],\"answer\":0}",
         "\"choices\" are not 2 to 64 texts"},
        {"{\"context\":\"x\",\"choices\":{\"a\":\"a\",\"b\":\"b\"},\"answer\":0}",
         "\"choices\" are not 2 to 64 texts"},
        {"{\"context\":\"x\",\"choices\":[\"a\",2],\"answer\":0}", "a choice is no text"},
        {"{\"context\":\"x\",\"choices\":[\"a\",\"\"],\"answer\":0}", "a choice adds no token"},
        {"{\"context\":\"x\",\"choices\":[\"a\",\"b\"]}",
         "\"answer\" is not the place of a choice"},
        {"{\"context\":\"x\",\"choices\":[\"a\",\"b\"],\"answer\":2}",
         "\"answer\" is not the place of a choice"},
        {"{\"context\":\"x\",\"choices\":[\"a\",\"b\"],\"answer\":-1}",
         "\"answer\" is not the place of a choice"},
        {"{\"context\":\"x\",\"choices\":[\"a\",\"b\"],\"answer\":0.5}",
         "\"answer\" is not the place of a choice"},
        {"{\"context\":\"x\",\"choices\":[\"a\",\"b\"],\"answer\":\"0\"}",
         "\"answer\" is not the place of a choice"},
    };
    data_case c = data_language("gpt2.json");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char text[256], message[512];
        snprintf(text, sizeof text, "\n%s\n", all[i].line);
        scratch_put_text("q.jsonl", text);
        snprintf(message, sizeof message, "q.jsonl: line 2: %s" EXPECTED, all[i].why);
        data_refused(&c, "q.jsonl", NULL, MC_E_FORMAT, message);
    }
    data_end(&c);
}

static void line_refused(const data_case *c, const char *text, size_t n, const char *place)
{
    mc_dataset *d;
    mc_err err = {0};
    const mc_dataset_options none = {0};
    scratch_put("q.jsonl", text, n);
    cr_expect_eq(mc_dataset_open("q.jsonl", &c->model, &none, &d, &err), MC_E_FORMAT);
    cr_expect_eq(strncmp(err.text, place, strlen(place)), 0, "%s", err.text);
}

Test(dataset_choices, name_file_and_line_of_what_is_no_json)
{
    data_case c = data_language("gpt2.json");
    line_refused(&c, "\n\n{\"context\":\n", 13, "q.jsonl: line 3");
    line_refused(&c, "\0\n", 2, "q.jsonl: line 1");
    static const char nul[] = "{\"context\":\"a\\u0000\",\"choices\":[\"a\",\"b\"],\"answer\":0}";
    line_refused(&c, nul, sizeof nul - 1, "q.jsonl: line 1");
    static const char latin[] = "{\"context\":\"\xe4\",\"choices\":[\"a\",\"b\"],\"answer\":0}";
    line_refused(&c, latin, sizeof latin - 1, "q.jsonl: line 1");
    data_end(&c);
}

Test(dataset_choices, without_a_question_are_refused)
{
    data_case c = data_language("gpt2.json");
    scratch_put_text("q.jsonl", "\n \n");
    data_refused(&c, "q.jsonl", NULL, MC_E_FORMAT, "q.jsonl: holds no question");
    scratch_put_text("q.jsonl", "");
    data_refused(&c, "q.jsonl", NULL, MC_E_FORMAT, "q.jsonl: holds no question");
    data_end(&c);
    c = data_language(NULL);
    data_refused(
        &c, "q.jsonl", NULL, MC_E_UNSUPPORTED,
        "q.jsonl: questions cannot be turned into token ids: the model has no tokenizer.json");
    data_end(&c);
}

Test(dataset_choices, must_fit_what_the_model_takes)
{
    data_case c = data_language("gpt2.json");
    c.model.context = 4;
    scratch_put_text("q.jsonl",
                     "{\"context\":\"Q:\",\"choices\":[\" the\",\" the other\"],\"answer\":0}\n"
                     "{\"context\":\"Q:\",\"choices\":[\" the\",\" theory\"],\"answer\":0}\n");
    data_refused(&c, "q.jsonl", NULL, MC_E_UNSUPPORTED,
                 "q.jsonl: line 2: model: takes at most 4 tokens at once, not 5");
    data_end(&c);
}
