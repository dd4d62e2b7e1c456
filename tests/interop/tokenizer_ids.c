/* Ids and texts of a tokenizer, for comparison with another program.
 *
 *   tokenizer_ids TOKENIZER.json text|special <texts >answers
 *
 * With `special`, special tokens in a text are tokens. Each text is a length (32 bits,
 * little-endian) and bytes. Each answer is a count and that many ids (all 32 bits; the count is
 * 2^32 - 1 for a refusal), then the length and bytes of what the ids give back or of the message. A
 * file that is refused ends the program with the status and the message. */
#include "core/bytes.h"
#include "core/file.h"
#include "core/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_u32(uint32_t value)
{
    unsigned char bytes[4];
    mc_store_u32le(bytes, value);
    fwrite(bytes, 1, sizeof bytes, stdout);
}

static void put_text(const char *text)
{
    put_u32((uint32_t)strlen(text));
    fwrite(text, 1, strlen(text), stdout);
}

static void answer(const mc_tokenizer *t, const char *text, size_t bytes, mc_arena mem)
{
    mc_err err = {0};
    int32_t *ids;
    size_t n;
    if (mc_tokenizer_encode(t, text, bytes, &ids, &n, &err) != MC_OK) {
        put_u32(UINT32_MAX);
        put_text(err.text);
        return;
    }
    put_u32((uint32_t)n);
    for (size_t i = 0; i < n; i++) put_u32((uint32_t)ids[i]);
    const char *back = mc_tokenizer_decode(t, ids, n, &mem);
    put_text(back ? back : "");
    mc_tokenizer_free_ids(ids);
}

int main(int argc, char **argv)
{
    mc_err err = {0};
    mc_map map;
    mc_tokenizer *t;
    mc_region region;
    if (argc != 3) return 2;
    mc_status status = mc_map_open(argv[1], 0, &map, &err);
    if (status == MC_OK)
        status = mc_tokenizer_open((const char *)map.data, map.size, "tokenizer.json", &t, &err);
    if (status == MC_OK) status = mc_region_open(&region, (size_t)1 << 30, &err);
    if (status != MC_OK) {
        fprintf(stderr, "%s\n", err.text);
        return (int)status;
    }
    mc_tokenizer_take_special(t, strcmp(argv[2], "special") == 0);
    unsigned char length[4];
    while (fread(length, 1, sizeof length, stdin) == sizeof length) {
        const size_t bytes = mc_load_u32le(length);
        char *text = malloc(bytes + 1);
        if (!text || fread(text, 1, bytes, stdin) != bytes) return 2;
        answer(t, text, bytes, region.arena);
        free(text);
    }
    mc_region_close(&region);
    mc_tokenizer_close(t);
    mc_map_close(&map);
    return fflush(stdout) == 0 ? 0 : 5;
}
