/* Runs a fuzz target over the files of folders, without libFuzzer: the corpus as a test. One TAP
 * line a file, printed after the target came back. Each file is also cut short at 32 places: most
 * parsers that read too far do so at an end. */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CUTS = 32, PATH_ROOM = 4096 };

static uint8_t *read_whole(const char *path, size_t *size)
{
    struct stat st;
    FILE *file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &st) != 0) {
        if (file) fclose(file);
        return NULL;
    }
    *size = (size_t)st.st_size;
    uint8_t *data = malloc(*size + 1);
    if (data && fread(data, 1, *size, file) != *size) {
        free(data);
        data = NULL;
    }
    fclose(file);
    return data;
}

/* Each time in memory of exactly that size, so that a sanitizer sees a read behind the end. */
static void run_exact(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static bool replay(const char *path)
{
    size_t size = 0;
    uint8_t *data = read_whole(path, &size);
    if (!data) return false;
    run_exact(data, size);
    for (size_t i = 0; i < CUTS && i < size; i++) run_exact(data, size * i / CUTS);
    free(data);
    return true;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    int files = 0, failures = 0;
    for (int i = 1; i < argc; i++) {
        struct dirent **entry = NULL;
        const int n = scandir(argv[i], &entry, visible, by_name);
        for (int k = 0; k < n; k++) {
            char path[PATH_ROOM];
            snprintf(path, sizeof path, "%s/%s", argv[i], entry[k]->d_name);
            const bool read = replay(path);
            printf("%s - %s\n", read ? "ok" : "not ok", entry[k]->d_name);
            fflush(stdout);
            files++;
            failures += !read;
            free(entry[k]);
        }
        free(entry);
    }
    printf("1..%d\n", files);
    return files == 0 || failures > 0; /* an empty corpus tests nothing */
}
