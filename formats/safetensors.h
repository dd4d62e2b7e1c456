/* safetensors: u64le N, N bytes of JSON header, then the tensors' bytes back to back.
 *
 * Reading holds a file to every rule of the reference parser and a few more (safetensors_read.c
 * lists them). Writing gives the same bytes for the same content: tensors by dtype, wide ones
 * first, then by name; metadata by key; header padded with spaces to a multiple of 8. */
#ifndef MC_FORMATS_SAFETENSORS_H
#define MC_FORMATS_SAFETENSORS_H

#include "core/arena.h"
#include "core/file.h"
#include "core/model.h"
#include "core/tensor.h"

#include <stdbool.h>

/* What one file holds. */
typedef struct {
    mc_tensor *tensor;
    size_t tensors;
    mc_pair *metadata;
    size_t metadatas;
} mc_safetensors;

/* Does a file of `file_bytes` that begins with `head` look like one: a header that fits, and a
 * brace at its start? */
bool mc_safetensors_is(const unsigned char *head, size_t head_bytes, uint64_t file_bytes);

/* Room that mc_safetensors_parse takes of `mem` at most: less than 8 bytes for each byte of the
 * header, most of it never touched, and 1 KiB. */
size_t mc_safetensors_memory(const mc_map *file);

/* Checks the whole header of `file` and lists its tensors by name and its metadata by key; both
 * point into `mem`, data into the map. `path` is for messages. MC_E_FORMAT, or MC_E_UNSUPPORTED for
 * more than MC_MAX_DIMS dimensions. */
mc_status mc_safetensors_parse(const mc_map *file, const char *path, mc_arena *mem,
                               mc_safetensors *out, mc_err *err);

/* Writes `content`, in any order, to `out`, which is empty; tensors need name, dtype, shape, data
 * and bytes. `scratch` holds the header while it is made: mc_safetensors_write_memory() bytes.
 * MC_E_USAGE: a content that no reader would take. */
size_t mc_safetensors_write_memory(const mc_safetensors *content);
mc_status mc_safetensors_write(mc_out *out, const mc_safetensors *content, mc_arena scratch,
                               mc_err *err);

/* The same; each tensor is told of once its bytes are written, so that pages of a mapped source may
 * leave memory. */
typedef struct {
    void (*tell)(void *to, const mc_tensor *tensor); /* NULL: nobody wants to know */
    void *to;
} mc_safetensors_written;
mc_status mc_safetensors_write_from(mc_out *out, const mc_safetensors *content,
                                    mc_safetensors_written written, mc_arena scratch, mc_err *err);

#endif
