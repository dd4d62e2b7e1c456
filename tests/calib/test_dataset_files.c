/* Data sets of one file, a folder or an archive: which files belong to them, their order and hash;
 * and which samples are taken. */
#include "tests/support/archive_builder.h"
#include "tests/support/data_case.h"
#include "tests/support/scratch_model.h"

#include "core/pool.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(dataset_files, .init = scratch_enter, .fini = scratch_leave);

static const int64_t any[] = {-1};

static data_case scalars(void)
{
    data_case c = data_begin(MC_TASK_NONE);
    data_input(&c, "x", MC_F32, 1, any);
    return c;
}

/* Samples first, first + 1, …; labels too when they are wanted. */
static blob npz_from(size_t first, size_t n, bool labels)
{
    unsigned char x[256];
    char shape[32];
    cr_assert_leq(first + n, sizeof x);
    for (size_t i = 0; i < n; i++) x[i] = (unsigned char)(first + i);
    snprintf(shape, sizeof shape, "(%zu,)", n);
    zip_item item[] = {{"x.npy", npy_of("|u1", shape, x, n), false},
                       {"labels.npy", npy_of("|u1", shape, x, n), false}};
    const blob b = zip_of(item, labels ? 2 : 1, (zip_kind){0});
    blob_free(&item[0].bytes);
    blob_free(&item[1].bytes);
    return b;
}

static float value_of(data_case *c, const mc_dataset *d, uint64_t i)
{
    data_sample(c, d, i);
    return ((const float *)c->input[0].data)[0];
}

static void expect_count_up(data_case *c, const char *path, uint64_t n)
{
    mc_dataset *d = data_open(c, path, NULL);
    cr_assert_eq(mc_dataset_samples(d), n, "%s", path);
    for (uint64_t i = 0; i < n; i++) {
        int64_t label;
        cr_expect_eq(value_of(c, d, i), (float)i, "%s: %d", path, (int)i);
        cr_expect(mc_dataset_label(d, i, &label) && label == (int64_t)i);
    }
    mc_dataset_close(d);
}

/* ---- which files ---- */

Test(dataset_files, follow_each_other_in_the_order_of_their_names)
{
    data_put("set/b.npz", npz_from(5, 4, true));
    data_put("set/a10.npz", npz_from(0, 2, true));
    data_put("set/a2.npz", npz_from(2, 3, true));
    data_put("set/b0.npz", npz_from(9, 0, true)); /* none */
    data_put("set/c.npz", npz_from(9, 1, true));
    data_put("set/.hidden.npz", npz_from(99, 1, true));
    data_put("set/below/d.npz", npz_from(88, 1, true));
    scratch_put_text("set/README.md", "not data");
    data_case c = scalars();
    expect_count_up(&c, "set", 10);
    expect_count_up(&c, "set/", 10);
    cr_assert_eq(symlink("set", "link"), 0);
    expect_count_up(&c, "link", 10);
    data_end(&c);
}

Test(dataset_files, may_lie_in_an_archive)
{
    static const char *const paths[] = {"s.zip",    "s.tar",     "s.tar.gz",
                                        "s.tar.xz", "s.tar.zst", "s.tar.bz2"};
    blob a = npz_from(0, 3, true), b = npz_from(3, 2, true), h = npz_from(99, 1, true);
    const archive_item list[] = {{.name = "set/", .type = AE_IFDIR},
                                 {.name = "set/b.npz", .bytes = (const char *)b.at, .n = b.n},
                                 {.name = "set/a.npz", .bytes = (const char *)a.at, .n = a.n},
                                 {.name = "set/.c.npz", .bytes = (const char *)h.at, .n = h.n},
                                 {.name = ".trash/d.npz", .bytes = (const char *)h.at, .n = h.n},
                                 {.name = "__MACOSX/set/._a.npz", .bytes = "x", .n = 1},
                                 {.name = "set/README", .bytes = "x", .n = 1}};
    data_case c = scalars();
    uint8_t first[MC_SHA256_BYTES], digest[MC_SHA256_BYTES];
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        put_archive(paths[i], list, sizeof list / sizeof *list);
        expect_count_up(&c, paths[i], 5);
        mc_dataset *d = data_open(&c, paths[i], NULL);
        mc_dataset_hash(d, i ? digest : first);
        if (i) cr_expect_arr_eq(digest, first, sizeof digest, "%s", paths[i]);
        mc_dataset_close(d);
    }
    /* Of what is read, not of how it was packed. */
    data_put("set/a.npz", a);
    data_put("set/b.npz", b);
    mc_dataset *d = data_open(&c, "set", NULL);
    mc_dataset_hash(d, digest);
    cr_expect_arr_eq(digest, first, sizeof digest);
    mc_dataset_close(d);
    blob_free(&h);
    data_end(&c);
}

Test(dataset_files, that_are_damaged_in_an_archive_are_named)
{
    const archive_item bad[] = {{.name = "in/x.npy", .bytes = "hello", .n = 5}},
                       link[] = {{.name = "x.npy", .type = AE_IFLNK, .link = "y"}},
                       none[] = {{.name = "x.safetensors", .bytes = "x", .n = 1}};
    data_case c = scalars();
    put_archive("s.zip", bad, 1);
    data_refused(&c, "s.zip", NULL, MC_E_UNSUPPORTED,
                 "s.zip: text cannot be turned into token ids: the model has no tokenizer.json");
    put_archive("s.tar", link, 1);
    data_refused(&c, "s.tar", NULL, MC_E_FORMAT,
                 "s.tar: entry \"x.npy\" is a link, must be the file itself");
    put_archive("s.tar", none, 1);
    data_refused(&c, "s.tar", NULL, MC_E_FORMAT, "s.tar: holds no .npz, .npy, .txt or .jsonl file");
    scratch_put_text("s.tar", "no archive");
    data_refused(&c, "s.tar", NULL, MC_E_FORMAT,
                 "s.tar: cannot be unpacked: Unrecognized archive format");
    data_end(&c);
}

Test(dataset_files, of_two_kinds_are_refused)
{
    data_put("set/a.npz", npz_from(0, 1, false));
    scratch_put_text("set/b.txt", "hello");
    data_case c = scalars();
    data_refused(&c, "set", NULL, MC_E_FORMAT,
                 "set: holds files of two kinds, set/a.npz and set/b.txt");
    cr_assert_eq(unlink("set/b.txt"), 0);
    data_put("set/b.npz", npz_from(0, 1, true));
    data_refused(&c, "set", NULL, MC_E_FORMAT, "set/b.npz has labels, set/a.npz has none");
    data_put("set/a.npz", npz_from(0, 1, true));
    data_put("set/b.npz", npz_from(0, 1, false));
    data_refused(&c, "set", NULL, MC_E_FORMAT, "set/a.npz has labels, set/b.npz has none");
    data_end(&c);
}

Test(dataset_files, must_be_there)
{
    data_case c = scalars();
    data_refused(&c, "gone", NULL, MC_E_IO, "gone: cannot open: No such file or directory");
    scratch_put_text("set/notes.md", "x");
    data_refused(&c, "set", NULL, MC_E_FORMAT, "set: holds no .npz, .npy, .txt or .jsonl file");
    scratch_put_text("set/x.npz/inner", "x"); /* a folder of that name */
    data_refused(&c, "set", NULL, MC_E_USAGE, "set/x.npz: is a directory");
    cr_assert_eq(mkfifo("pipe", 0600), 0);
    data_refused(&c, "pipe", NULL, MC_E_USAGE, "pipe: is not a regular file");
    data_end(&c);
}

Test(dataset_files, that_are_links_are_refused_when_told_to)
{
    const mc_dataset_options hardened = {.no_follow = true};
    data_put("x.npz", npz_from(0, 3, true));
    data_put("set/a.npz", npz_from(0, 3, true));
    cr_assert_eq(symlink("x.npz", "y.npz"), 0);
    cr_assert_eq(symlink("../x.npz", "set/b.npz"), 0);
    data_case c = scalars();
    expect_count_up(&c, "y.npz", 3);
    data_refused(&c, "y.npz", &hardened, MC_E_USAGE, "y.npz: is a symbolic link");
    data_refused(&c, "set", &hardened, MC_E_USAGE, "set/b.npz: is a symbolic link");
    data_end(&c);
}

/* The name says what it is, not what its first bytes look like. */
Test(dataset_files, named_as_text_are_text)
{
    static const char *const texts[] = {"PK is a name", "BZh and so on", "the other"};
    data_case c = data_language("gpt2.json");
    const mc_dataset_options one = {.window = 1};
    for (size_t i = 0; i < 3; i++) {
        scratch_put_text("t.txt", texts[i]);
        mc_dataset *d = data_open(&c, "t.txt", &one);
        cr_expect_eq(mc_dataset_kind(d), MC_DATA_TOKENS);
        mc_dataset_close(d);
    }
    data_end(&c);
}

/* ---- hashes ---- */

static void expect_hash(const mc_dataset *d, const char *want)
{
    uint8_t digest[MC_SHA256_BYTES];
    char text[MC_SHA256_HEX];
    mc_dataset_hash(d, digest);
    mc_hex(digest, sizeof digest, text);
    cr_expect_str_eq(text, want);
}

Test(dataset_files, have_the_hash_that_sha256sum_gives)
{
    data_case c = data_language("gpt2.json");
    const mc_dataset_options one = {.window = 1};
    scratch_put_text("a.txt", "the other\n");
    mc_dataset *d = data_open(&c, "a.txt", &one);
    expect_hash(d, "5f7b8ba08646afd730fa365848d43090d3e88b17e796024b0cc7e7914fc8f067");
    mc_dataset_close(d);

    /* sha256sum of the two digests, one behind the other */
    scratch_put_text("set/a.txt", "the other\n");
    scratch_put_text("set/b.txt", "thing\n");
    d = data_open(&c, "set", &one);
    expect_hash(d, "2636bdebfbb4f90b48054eae1db2c41034eb944da610546723f0c4549872d6b4");
    mc_dataset_close(d);
    data_end(&c);
}

/* More than one step of hashing. */
Test(dataset_files, of_any_size_are_hashed_whole)
{
    enum { N = (3 << 20) + 17 };
    unsigned char *x = malloc(N);
    cr_assert_not_null(x);
    for (size_t i = 0; i < N; i++) x[i] = (unsigned char)(i % 251);
    blob b = npy_of("|u1", "(3145745,)", x, N);
    uint8_t want[MC_SHA256_BYTES], digest[MC_SHA256_BYTES];
    mc_err err = {0};
    cr_assert_eq(mc_sha256_of(b.at, b.n, want, &err), MC_OK);
    data_put("x.npy", b);
    free(x);
    data_case c = scalars();
    mc_dataset *d = data_open(&c, "x.npy", NULL);
    mc_dataset_hash(d, digest);
    cr_expect_arr_eq(digest, want, sizeof want);
    mc_dataset_close(d);
    data_end(&c);
}

/* ---- which samples ---- */

static void order_of(data_case *c, const mc_dataset_options *options, float *out, uint64_t n)
{
    mc_dataset *d = data_open(c, "set", options);
    cr_assert_eq(mc_dataset_samples(d), n);
    for (uint64_t i = 0; i < n; i++) {
        int64_t label;
        out[i] = value_of(c, d, i);
        cr_expect(mc_dataset_label(d, i, &label) && (float)label == out[i]);
    }
    mc_dataset_close(d);
}

Test(dataset_files, are_shuffled_by_the_seed_alone)
{
    enum { N = 100 };
    float a[N], b[N], other[N], some[N];
    bool seen[N] = {false};
    data_put("set/a.npz", npz_from(0, 60, true));
    data_put("set/b.npz", npz_from(60, 40, true));
    data_case c = scalars();
    const mc_dataset_options seven = {.shuffled = true, .seed = 7},
                             eight = {.shuffled = true, .seed = 8},
                             ten = {.shuffled = true, .seed = 7, .most = 10};
    order_of(&c, &seven, a, N);
    order_of(&c, &seven, b, N);
    order_of(&c, &eight, other, N);
    cr_expect_eq(memcmp(a, b, sizeof a), 0);
    cr_expect_neq(memcmp(a, other, sizeof a), 0);
    size_t moved = 0;
    for (size_t i = 0; i < N; i++) {
        seen[(size_t)a[i]] = true;
        moved += a[i] != (float)i;
    }
    for (size_t i = 0; i < N; i++) cr_expect(seen[i], "%d", (int)i);
    cr_expect_gt(moved, N / 2);
    order_of(&c, &ten, some, 10);
    cr_expect_eq(memcmp(a, some, 10 * sizeof *some), 0);
    data_end(&c);
}

Test(dataset_files, give_the_first_samples_when_only_some_are_wanted)
{
    float a[3];
    data_put("set/a.npz", npz_from(0, 2, true));
    data_put("set/b.npz", npz_from(2, 2, true));
    data_case c = scalars();
    const mc_dataset_options three = {.most = 3}, many = {.most = 9}, all = {.most = 0};
    order_of(&c, &three, a, 3);
    cr_expect(a[0] == 0.0f && a[1] == 1.0f && a[2] == 2.0f);
    float b[4];
    order_of(&c, &many, b, 4);
    order_of(&c, &all, b, 4);
    cr_expect_eq(b[3], 3.0f);
    data_end(&c);
}

/* Every position is about as likely for every sample: chi-squared of 8 samples over 4000 seeds has
 * 7 degrees of freedom for the first position; 24.3 is passed once in a thousand. */
Test(dataset_files, are_shuffled_without_favour)
{
    enum { N = 8, SEEDS = 4000 };
    double count[N] = {0}, chi = 0.0;
    data_put("x.npz", npz_from(0, N, false));
    data_case c = scalars();
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        const mc_dataset_options options = {.shuffled = true, .seed = seed};
        mc_dataset *d = data_open(&c, "x.npz", &options);
        count[(size_t)value_of(&c, d, 0)]++;
        mc_dataset_close(d);
    }
    for (size_t i = 0; i < N; i++) {
        const double off = count[i] - (double)SEEDS / N;
        chi += off * off / ((double)SEEDS / N);
    }
    cr_expect_lt(chi, 24.3);
    data_end(&c);
}

Test(dataset_files, do_not_need_their_path_any_more)
{
    char path[] = "x.npz";
    data_put(path, npz_from(0, 1, false));
    data_case c = scalars();
    mc_dataset *d = data_open(&c, path, NULL);
    memset(path, '?', sizeof path - 1);
    data_sample_refused(&c, d, 1, MC_E_INTERNAL, "x.npz: sample 1 of 1");
    mc_dataset_close(d);
    data_end(&c);
}

/* ---- many readers, much data ---- */

static mc_status read_one(void *job, size_t i, mc_arena scratch, mc_err *err)
{
    const mc_dataset *d = job;
    mc_nd input;
    MC_TRY(mc_dataset_sample(d, i % mc_dataset_samples(d), &scratch, &input, err));
    const float want = (float)(i % mc_dataset_samples(d) % 251), *at = input.data;
    for (size_t k = 0; k < input.count; k++)
        if (at[k] != want) return mc_fail(err, MC_E_INTERNAL, "sample %zu", i);
    return MC_OK;
}

/* Pages are let go while others read: more bytes than may stay, in both orders. */
Test(dataset_files, may_be_read_by_many_threads)
{
    enum { ROWS = 300, COLS = 40000 };
    const int64_t row[] = {-1, COLS};
    unsigned char *x = malloc((size_t)ROWS * COLS);
    cr_assert_not_null(x);
    for (int fortran = 0; fortran < 2; fortran++) {
        for (size_t i = 0; i < (size_t)ROWS * COLS; i++)
            x[i] = (unsigned char)((fortran ? i % ROWS : i / COLS) % 251);
        data_put("x.npy", npy_text(1,
                                   fortran ? "{'descr': '|u1', 'fortran_order': True, 'shape': "
                                             "(300, 40000), }\n"
                                           : "{'descr': '|u1', 'fortran_order': False, 'shape': "
                                             "(300, 40000), }\n",
                                   x, (size_t)ROWS * COLS));
        data_case c = data_begin(MC_TASK_NONE);
        data_input(&c, "x", MC_F32, 2, row);
        mc_dataset *d = data_open(&c, "x.npy", NULL);
        mc_pool *pool;
        mc_err err = {0};
        cr_assert_eq(mc_pool_open(&pool, 4, 1 << 20, &err), MC_OK);
        const size_t n = fortran ? 12 : 2 * ROWS;
        cr_expect_eq(mc_pool_for(pool, n, read_one, d, &err), MC_OK, "%s", err.text);
        mc_pool_close(pool);
        mc_dataset_close(d);
        data_end(&c);
    }
    free(x);
}
