/* The index of a model in several files: the input is the whole file. No accepted name may leave
 * its folder. */
#include "core/bytes.h"
#include "formats/model_build.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) abort();
}

static bool is_listed(const mc_shard_index *got, const char *name)
{
    for (size_t i = 0; i < got->shards; i++)
        if (strcmp(got->shard[i], name) == 0) return true;
    return false;
}

static void check(const mc_shard_index *got)
{
    must(got->entries > 0 && got->shards > 0 && got->shards <= got->entries);
    for (size_t i = 0; i < got->entries; i++) {
        const mc_shard_entry *e = &got->entry[i];
        must(!strchr(e->shard, '/') && strcmp(e->shard, "..") != 0 && strcmp(e->shard, ".") != 0);
        must(e->shard[0] && mc_is_utf8(e->tensor, strlen(e->tensor)));
        if (i > 0) must(strcmp(got->entry[i - 1].tensor, e->tensor) < 0);
        if (got->shards <= 64) must(is_listed(got, e->shard));
    }
    for (size_t i = 1; i < got->shards; i++) must(strcmp(got->shard[i - 1], got->shard[i]) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const mc_map file = {.data = size ? data : NULL, .size = size, .slot = -1};
    mc_err err = {0};
    mc_region room;
    must(mc_region_open(&room, mc_shard_index_memory(&file), &err) == MC_OK);

    mc_shard_index got;
    const mc_status status = mc_shard_index_parse(&file, "fuzz", &room.arena, &got, &err);
    if (status == MC_OK) {
        check(&got);
    } else {
        must(status == MC_E_FORMAT || status == MC_E_UNSUPPORTED || status == MC_E_BUDGET);
        must(memchr(err.text, '\0', sizeof err.text) && mc_is_utf8(err.text, strlen(err.text)));
    }
    mc_region_close(&room);
    return 0;
}
