/* The command line: each line of the input is an argument. */
#include "cli/options.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_ARGS = 64, ARENA_BYTES = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char room[ARENA_BYTES];
    char *text = malloc(size + 1);
    if (!text) abort();
    memcpy(text, data, size);
    text[size] = '\0'; /* a NUL inside ends its argument early, as it would in a real one */

    char program[] = "mcompress";
    char *argv[MOST_ARGS + 2] = {program};
    int argc = 1;
    for (char *at = text; at && argc <= MOST_ARGS;) {
        argv[argc++] = at;
        char *end = memchr(at, '\n', (size_t)(text + size - at));
        if (end) *end++ = '\0';
        at = end;
    }

    mc_arena arena = {.at = room, .end = room + ARENA_BYTES};
    mc_options options;
    mc_err err = {0};
    const mc_status status = mc_options_parse(argc, argv, &arena, &options, &err);

    /* Either it is understood, or there is one sentence that says why not. */
    if (status == MC_OK ? !options.command : status != MC_E_USAGE && status != MC_E_BUDGET) abort();
    if (status != MC_OK && (!err.text[0] || !memchr(err.text, '\0', sizeof err.text))) abort();

    free(text);
    return 0;
}
