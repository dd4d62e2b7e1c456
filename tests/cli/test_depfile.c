/* Depfiles: what make reads back is what was given. */
#include "cli/depfile.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *depfile(const char *target, const char *const *dep, size_t deps)
{
    mc_text text;
    mc_err err = {0};
    mc_text_open(&text);
    cr_assert_eq(mc_depfile_text(&text, target, dep, deps, &err), MC_OK, "%s", err.text);
    char *all = mc_text_take(&text);
    cr_assert_not_null(all);
    return all;
}

static void expect_name(const char *name, const char *escaped)
{
    char *text = depfile(name, NULL, 0);
    char wanted[128];
    snprintf(wanted, sizeof wanted, "%s:\n", escaped);
    cr_expect_str_eq(text, wanted);
    free(text);
}

Test(depfile, has_a_line_for_each_input)
{
    const char *const dep[] = {"model.safetensors", "../x/config.json"};
    char *text = depfile("out.bin", dep, 2);
    cr_expect_str_eq(text, "out.bin: \\\n  model.safetensors \\\n  ../x/config.json\n");
    free(text);
}

/* GNU make 4.3, chapters 4.2 "Rule Syntax" and 3.1.1: what it acts on is taken back. */
Test(depfile, escapes_what_make_acts_on)
{
    expect_name("a b", "a\\ b");
    expect_name("a\tb", "a\\\tb");
    expect_name("a#b", "a\\#b");
    expect_name("a$b", "a$$b");
    expect_name("C:x", "C\\:x");
    expect_name("a\\b", "a\\b");
    expect_name("a\\ b", "a\\\\\\ b");
    expect_name("a\\#b", "a\\\\\\#b");
    expect_name("a\\\\ b", "a\\\\\\\\\\ b");
    expect_name("a\\", "a\\\\");
    expect_name("\xc3\xa4%*?~", "\xc3\xa4%*?~");
}

Test(depfile, refuses_line_breaks)
{
    const char *const dep[] = {"a\nb"};
    mc_text text;
    mc_err err = {0};
    mc_text_open(&text);
    cr_expect_eq(mc_depfile_text(&text, "out", dep, 1, &err), MC_E_UNSUPPORTED);
    cr_expect_str_eq(err.text, "a depfile cannot hold a name with a line break");
    mc_text_close(&text);
}

Test(depfile, names_its_path_once_when_it_cannot_be_written)
{
    const char *const dep[] = {"in"};
    mc_err err = {0};
    cr_expect_eq(mc_depfile_write("/nowhere/d", "out", dep, 1, &err), MC_E_IO);
    cr_expect(strncmp(err.text, "/nowhere/d: ", 12) == 0, "%s", err.text);
    cr_expect_not(strstr(err.text + 1, "/nowhere/d: "), "%s", err.text);
}

Test(depfile, is_written_whole)
{
    char path[64];
    const char *tmp = getenv("TMPDIR");
    snprintf(path, sizeof path, "%.40s/mcompress-XXXXXX", tmp ? tmp : "/tmp");
    cr_assert_not_null(mkdtemp(path));
    char file[80], read[64] = "";
    snprintf(file, sizeof file, "%s/d", path);

    const char *const dep[] = {"in"};
    mc_err err = {0};
    cr_assert_eq(mc_depfile_write(file, "out", dep, 1, &err), MC_OK, "%s", err.text);
    FILE *stream = fopen(file, "rb");
    cr_assert_not_null(stream);
    cr_expect_gt(fread(read, 1, sizeof read - 1, stream), 0u);
    fclose(stream);
    cr_expect_str_eq(read, "out: \\\n  in\n");

    const char *const bad[] = {"i\rn"};
    cr_expect_eq(mc_depfile_write(file, "out", bad, 1, &err), MC_E_UNSUPPORTED);
    char wanted[160];
    snprintf(wanted, sizeof wanted, "%s: a depfile cannot hold a name with a line break", file);
    cr_expect_str_eq(err.text, wanted);
    unlink(file);
    rmdir(path);
}
