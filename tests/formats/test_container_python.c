/* The reader in Python, written from docs/container.md alone, must give the numbers of
 * mc_container_to_f32 bit for bit, and so must the codes that verification reads
 * (mc_container_qmat): so the document says enough. Skipped without python3. */
#include "core/bytes.h"
#include "tests/support/container_builder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char script[] = MC_SOURCE_DIR "/tests/reference/mcpk_decode.py";

static container_builder builder;

typedef struct {
    char *folder;
    char path[600];
} place;

static place new_place(void)
{
    place p = {.folder = container_builder_folder()};
    (void)snprintf(p.path, sizeof p.path, "%s/c.bin", p.folder);
    return p;
}

static void remove_place(place *p)
{
    unlink(p->path);
    rmdir(p->folder);
    free(p->folder);
}

static void need_python(void)
{
    if (system("python3 -c pass >/dev/null 2>&1") != 0) cr_skip_test("there is no python3");
}

/* Runs the script; what it prints goes to `out`. The exit status, -1 when it could not run. */
static int run(const char *arguments, unsigned char *out, size_t room, size_t *n)
{
    char command[2048];
    (void)snprintf(command, sizeof command, "python3 '%s' %s 2>/dev/null", script, arguments);
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    *n = fread(out, 1, room, pipe);
    const int status = pclose(pipe);
    return status == -1 ? -1 : status >> 8;
}

/* The same weight by its codes and the grid, a row at a time. */
static void expect_same_by_codes(const mc_container *c, size_t w, const float *numbers,
                                 mc_arena memory)
{
    mc_err err;
    mc_qmat q;
    const mc_weight_shape shape = mc_weight_code_shape(&c->weight[w]);
    mc_arena mem = memory;
    cr_assert_eq(mc_container_qmat(c, w, 0, (size_t)shape.rows, &mem, &q, &err), MC_OK, "%s",
                 err.text);
    const size_t groups = mc_qmat_groups(&q);
    float *row = MC_NEW(&mem, float, q.cols);
    cr_assert_not_null(row);
    for (size_t r = 0; r < q.rows; r++) {
        mc_grid_decode_row(&q.grid, q.params + r * groups, q.code + r * q.cols, groups, q.group,
                           row);
        for (size_t k = 0; k < q.cols; k++)
            cr_assert_eq(row[k], numbers[mc_weight_element(&c->weight[w], r * q.cols + k)],
                         "%s: row %zu, column %zu", c->weight[w].name, r, k);
    }
}

/* All weights that have a conversion, one after the other, as the program decodes them. */
static size_t decode_here(const char *path, float *out, size_t room)
{
    mc_err err;
    mc_container c;
    mc_region memory;
    size_t n = 0;
    cr_assert_eq(mc_region_open(&memory, 1 << 24, &err), MC_OK);
    cr_assert_eq(mc_container_open(path, 0, &c, &err), MC_OK, "%s", err.text);
    for (size_t w = 0; w < c.weights; w++) {
        const mc_weight_spec *spec = &c.weight[w];
        if (spec->form == MC_FORM_DENSE && !mc_dtype_about(spec->dtype)->to_f32) continue;
        const uint64_t count = spec->rows * spec->cols;
        cr_assert_leq(n + count, room);
        cr_assert_eq(mc_container_to_f32(&c, w, 0, count, out + n, &err), MC_OK, "%s", err.text);
        if (spec->form == MC_FORM_QUANTIZED) expect_same_by_codes(&c, w, out + n, memory.arena);
        n += (size_t)count;
    }
    mc_container_close(&c);
    mc_region_close(&memory);
    return n;
}

static bool same(float a, float b)
{
    return (a != a && b != b) || memcmp(&a, &b, sizeof a) == 0;
}

static void expect_same_numbers(uint64_t seed, bool compress)
{
    enum { ROOM = 1 << 17 };
    static float here[ROOM], there[ROOM];
    char arguments[700];
    size_t bytes;
    mc_err err;
    place p = new_place();
    container_builder_begin(&builder, seed);
    container_builder_everything(&builder);
    builder.compress = compress;
    cr_assert_eq(container_builder_write(&builder, p.path, &err), MC_OK, "%s", err.text);

    (void)snprintf(arguments, sizeof arguments, "--all '%s'", p.path);
    cr_expect_eq(run(arguments, (unsigned char *)there, sizeof there, &bytes), 0);
    const size_t n = decode_here(p.path, here, ROOM);
    cr_assert_eq(bytes, n * sizeof *there);
    for (size_t i = 0; i < n; i++)
        cr_assert(same(here[i], there[i]), "number %zu: %a there, %a here", i, (double)there[i],
                  (double)here[i]);
    (void)snprintf(arguments, sizeof arguments, "--check '%s'", p.path);
    cr_expect_eq(run(arguments, (unsigned char *)there, sizeof there, &bytes), 0);
    remove_place(&p);
}

Test(container_python, reads_the_same_numbers_from_the_document_alone)
{
    need_python();
    expect_same_numbers(21, false);
}

Test(container_python, reads_the_same_numbers_from_a_compressed_container)
{
    need_python();
    expect_same_numbers(22, true);
}

Test(container_python, prints_one_weight_and_a_line_for_each)
{
    need_python();
    unsigned char out[4096];
    char arguments[700];
    size_t n;
    mc_err err;
    place p = new_place();
    container_builder_begin(&builder, 23);
    container_builder_little(&builder);
    cr_assert_eq(container_builder_write(&builder, p.path, &err), MC_OK);
    (void)snprintf(arguments, sizeof arguments, "'%s' layer1.weight", p.path);
    cr_expect_eq(run(arguments, out, sizeof out, &n), 0);
    cr_expect_eq(n, 2 * 32 * sizeof(float));
    (void)snprintf(arguments, sizeof arguments, "'%s' nothing", p.path);
    cr_expect_eq(run(arguments, out, sizeof out, &n), 1);
    (void)snprintf(arguments, sizeof arguments, "'%s'", p.path);
    cr_expect_eq(run(arguments, out, sizeof out, &n), 0);
    size_t lines = 0;
    for (size_t i = 0; i < n; i++) lines += out[i] == '\n';
    cr_expect_eq(lines, builder.weights);
    remove_place(&p);
}

static int check_image(const place *p, const unsigned char *image, size_t bytes)
{
    char arguments[700];
    unsigned char out[64];
    size_t n;
    FILE *file = fopen(p->path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(image, 1, bytes, file), bytes);
    cr_assert_eq(fclose(file), 0);
    (void)snprintf(arguments, sizeof arguments, "--check '%s'", p->path);
    return run(arguments, out, sizeof out, &n);
}

/* Weight or "-", name, mode, bits, flags, rotation, scales and zeros as bytes. */
Test(container_python, prints_a_line_for_each_site)
{
    static const char want[] = "layer0.weight\t-\t2\t8\t0\t0\t0000003f\n"
                               "layer0.weight\tlayer.0/MatMul\t2\t8\t1\t0\t0000003f000080350000404"
                               "06f12833a80ff7f0000000500\n"
                               "layer0.weight\tlayer.1/MatMul\t1\t8\t1\t0\t-\n"
                               "layer1.weight\t-\t1\t4\t2\t64\t-\n"
                               "layer1.weight\té\t0\t16\t0\t0\t-\n"
                               "-\thead\t2\t16\t1\t0\t6f12833a0500\n"
                               "kv\t4\t32\t100\t1\n";
    need_python();
    char out[4096], arguments[700];
    size_t n;
    mc_err err;
    place p = new_place();
    container_builder_begin(&builder, 26);
    container_builder_little(&builder);
    container_builder_sites(&builder, true);
    cr_assert_eq(container_builder_write(&builder, p.path, &err), MC_OK, "%s", err.text);
    (void)snprintf(arguments, sizeof arguments, "--sites '%s'", p.path);
    cr_expect_eq(run(arguments, (unsigned char *)out, sizeof out - 1, &n), 0);
    out[n] = 0;
    cr_expect_str_eq(out, want);
    (void)snprintf(arguments, sizeof arguments, "--check '%s'", p.path);
    cr_expect_eq(run(arguments, (unsigned char *)out, sizeof out, &n), 0);
    remove_place(&p);
}

/* The last byte of a part, and one that no writer writes there. Hashes and CRCs fit. */
Test(container_python, refuses_bytes_that_mean_nothing)
{
    static const struct {
        uint32_t weight;
        uint8_t role, byte;
    } lie[] = {
        {1, MCPK_ROLE_SCALE, 0x7c},        /* F16: infinite or NaN */
        {1, MCPK_ROLE_SCALE, 0xbc},        /* F16: about -1 */
        {2, MCPK_ROLE_ZERO, 0x08},         /* 27 of 32 bits are used */
        {3, MCPK_ROLE_SUPER_OFFSET, 0xfe}, /* F16: NaN */
        {3, MCPK_ROLE_SUPER_SCALE, 0xc0},  /* F16: about -2 */
        {5, MCPK_ROLE_CODES, 3},           /* one of five digits is used */
        {5, MCPK_ROLE_CODES, 243},         /* no five digits */
        {6, MCPK_ROLE_CODES, 0xf0},        /* e2m1 has 15 levels */
        {6, MCPK_ROLE_SCALE, 0xff},        /* F8_E8M0: NaN */
        {MCPK_NO_WEIGHT, 0, '['},          /* the manifest, which ends the file */
    };
    need_python();
    size_t bytes;
    place p = new_place();
    container_builder_begin(&builder, 25);
    container_builder_little(&builder);
    unsigned char *image = container_builder_image(&builder, &bytes);
    cr_expect_eq(check_image(&p, image, bytes), 0);
    for (size_t i = 0; i < sizeof lie / sizeof *lie; i++) {
        const unsigned char *entry = image + mc_load_u64le(image + MCPK_AT_INDEX);
        while (mc_load_u32le(entry + MCPK_P_WEIGHT) != lie[i].weight ||
               entry[MCPK_P_ROLE] != lie[i].role ||
               (lie[i].weight == MCPK_NO_WEIGHT && entry[MCPK_P_TYPE] != MCPK_SECTION_MANIFEST))
            entry += MCPK_PART_BYTES;
        const size_t end =
            (size_t)(mc_load_u64le(entry + MCPK_P_OFFSET) + mc_load_u64le(entry + MCPK_P_STORED));
        const unsigned char before = image[end - 1];
        image[end - 1] = lie[i].byte;
        container_builder_repair(image, bytes);
        cr_expect_eq(check_image(&p, image, bytes), 1, "lie %zu", i);
        image[end - 1] = before;
    }
    container_builder_repair(image, bytes);
    cr_expect_eq(check_image(&p, image, bytes), 0);
    free(image);
    remove_place(&p);
}

Test(container_python, refuses_a_flipped_bit)
{
    need_python();
    size_t bytes;
    place p = new_place();
    container_builder_begin(&builder, 24);
    container_builder_little(&builder);
    unsigned char *image = container_builder_image(&builder, &bytes);
    for (size_t at = 3; at < bytes; at += bytes / 12) {
        image[at] ^= 4;
        cr_expect_eq(check_image(&p, image, bytes), 1, "byte %zu", at);
        image[at] ^= 4;
    }
    free(image);
    remove_place(&p);
}

/* A byte of the sites section, and one that no writer writes there. */
Test(container_python, refuses_sites_that_mean_nothing)
{
    static const struct {
        size_t at;
        uint8_t byte;
    } lie[] = {
        {MCPK_S_VERSION, 2},
        {MCPK_S_SITES, 5},
        {MCPK_S_KV_BITS, 8},
        {MCPK_S_KV_GROUP, 0},
        {MCPK_SITES_HEADER_BYTES + MCPK_SITE_WEIGHT, 1},
        {MCPK_SITES_HEADER_BYTES + MCPK_SITE_MODE, 1},
        {MCPK_SITES_HEADER_BYTES + MCPK_SITE_BITS, 9},
        {MCPK_SITES_HEADER_BYTES + MCPK_SITE_FLAGS, 4},
        {MCPK_SITES_HEADER_BYTES + MCPK_SITE_HADAMARD, 7},
        {MCPK_SITES_HEADER_BYTES + 3 * MCPK_SITE_BYTES + MCPK_SITE_BITS, 8},
        {MCPK_SITES_HEADER_BYTES + 6 * MCPK_SITE_BYTES + 3, 0xff},  /* the first scale: negative */
        {MCPK_SITES_HEADER_BYTES + 6 * MCPK_SITE_BYTES + 25, 0x7f}, /* the first zero: above 127 */
    };
    need_python();
    size_t bytes;
    place p = new_place();
    container_builder_begin(&builder, 27);
    container_builder_little(&builder);
    container_builder_sites(&builder, false);
    unsigned char *image = container_builder_image(&builder, &bytes);
    cr_expect_eq(check_image(&p, image, bytes), 0);
    const unsigned char *entry = image + mc_load_u64le(image + MCPK_AT_INDEX);
    while (mc_load_u16le(entry + MCPK_P_TYPE) != MCPK_SECTION_SITES) entry += MCPK_PART_BYTES;
    unsigned char *section = image + mc_load_u64le(entry + MCPK_P_OFFSET);
    for (size_t i = 0; i < sizeof lie / sizeof *lie; i++) {
        const unsigned char before = section[lie[i].at];
        section[lie[i].at] = lie[i].byte;
        container_builder_repair(image, bytes);
        cr_expect_eq(check_image(&p, image, bytes), 1, "lie %zu", i);
        section[lie[i].at] = before;
    }
    free(image);
    remove_place(&p);
}
