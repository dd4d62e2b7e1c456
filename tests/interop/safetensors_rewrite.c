/* Reads a safetensors file and writes it again, for tests against the library of that name.
 *
 *     safetensors_rewrite IN OUT */
#include "formats/safetensors.h"

#include <stdio.h>

static mc_status rewrite(const char *in, const char *to, mc_err *err)
{
    mc_map map;
    mc_region room, header;
    mc_safetensors content;
    mc_out *out;
    MC_TRY(mc_map_open(in, 0, &map, err));
    MC_TRY(mc_region_open(&room, mc_safetensors_memory(&map), err));
    MC_TRY(mc_safetensors_parse(&map, in, &room.arena, &content, err));
    MC_TRY(mc_region_open(&header, mc_safetensors_write_memory(&content), err));
    MC_TRY(mc_out_open(to, 0, (mc_out_options){.replace = true, .no_fsync = true}, &out, err));
    const mc_status status = mc_safetensors_write(out, &content, header.arena, err);
    if (status != MC_OK) {
        mc_out_discard(out);
        return status;
    }
    return mc_out_commit(out, NULL, NULL, err);
}

int main(int argc, char **argv)
{
    mc_err err = {0};
    if (argc != 3) return MC_E_USAGE;
    const mc_status status = rewrite(argv[1], argv[2], &err);
    if (status != MC_OK) fprintf(stderr, "%s\n", err.text);
    return (int)status;
}
