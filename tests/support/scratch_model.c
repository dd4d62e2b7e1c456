#include "scratch_model.h"

#include "core/bytes.h"
#include "core/log.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEEPEST = 8 };

static char folder[256];
static char warnings[8192];

static void hear(void *to, mc_log_level level, const char *text)
{
    (void)to;
    const size_t n = strlen(warnings);
    if (level == MC_LOG_WARNING) snprintf(warnings + n, sizeof warnings - n, "%s\n", text);
}

const char *scratch_warnings(void)
{
    return warnings;
}

void scratch_enter(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/mc-model-XXXXXX", base ? base : "/tmp");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    mc_log_open(hear, NULL, MC_LOG_WARNING);
}

static void remove_all(const char *path, int depth)
{
    DIR *list = depth < DEEPEST ? opendir(path) : NULL;
    cr_assert_not_null(list, "%s", path);
    for (const struct dirent *entry; (entry = readdir(list)) != NULL;) {
        char inner[1024];
        struct stat about;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (lstat(inner, &about) == 0 && S_ISDIR(about.st_mode))
            remove_all(inner, depth + 1);
        else
            cr_expect_eq(unlink(inner), 0, "%s", inner);
    }
    closedir(list);
    cr_expect_eq(rmdir(path), 0, "%s", path);
}

void scratch_leave(void)
{
    cr_expect_eq(chdir("/"), 0);
    remove_all(folder, 0);
}

static FILE *create(const char *path)
{
    char part[1024];
    for (const char *slash = path; (slash = strchr(slash, '/')) != NULL; slash++) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        mkdir(part, 0700);
    }
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file, "%s", path);
    return file;
}

void scratch_put(const char *path, const void *bytes, size_t n)
{
    FILE *file = create(path);
    if (n > 0) cr_assert_eq(fwrite(bytes, 1, n, file), n);
    cr_assert_eq(fclose(file), 0);
}

void scratch_put_text(const char *path, const char *text)
{
    scratch_put(path, text, strlen(text));
}

void scratch_put_model(const char *path, const char *header, size_t data_bytes)
{
    FILE *file = create(path);
    unsigned char length[8];
    mc_store_u64le(length, strlen(header));
    cr_assert_eq(fwrite(length, 1, 8, file), 8);
    cr_assert_eq(fwrite(header, 1, strlen(header), file), strlen(header));
    for (size_t i = 0; i < data_bytes; i++) fputc((int)(i & 0xff), file);
    cr_assert_eq(fclose(file), 0);
}

mc_model scratch_open(const char *path)
{
    mc_model model = {0};
    mc_err err = {0};
    cr_assert_eq(mc_model_open(path, NULL, &model, &err), MC_OK, "%s", err.text);
    return model;
}

void scratch_refused_with(const char *path, const mc_read_options *options, mc_status status,
                          const char *message)
{
    mc_model model = {0};
    mc_err err = {0};
    const mc_status found = mc_model_open(path, options, &model, &err);
    cr_expect_eq(found, status, "%s: status %d, wanted %d (%s)", path, (int)found, (int)status,
                 err.text);
    cr_expect_str_eq(err.text, message, "found  %s\nwanted %s", err.text, message);
    cr_expect_eq(model.sources, 0);
    mc_model_close(&model);
}

void scratch_refused(const char *path, mc_status status, const char *message)
{
    scratch_refused_with(path, NULL, status, message);
}
