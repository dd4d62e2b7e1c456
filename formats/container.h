/* The container: docs/container.md in code. runtime/mcpk.h holds the on-disk structs and numbers.
 *
 * Writing:  spec -> mc_container_layout (all offsets and sizes, no weights touched: --dry-run shows
 *           them) -> mc_pack_open (writes the names) -> for each slab of rows: mc_pack_encode,
 *           mc_pack_put (any thread, any order), mc_pack_seal (in plan order) -> mc_pack_finish.
 *           The header is written last; the caller commits the mc_out.
 * Reading:  mc_container_open checks header, tables, root hash, and the hashes of what it reads:
 *           names, manifest, compressed sections; mc_container_check all the rest. */
#ifndef MC_FORMATS_CONTAINER_H
#define MC_FORMATS_CONTAINER_H

#include "core/act_spec.h"
#include "core/arena.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/pool.h"
#include "core/weight.h"
#include "runtime/mcpk.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- what goes in ---- */

/* How activations and the KV cache are meant to be quantized on the device. */
typedef struct {
    uint8_t activation_bits; /* 16 and MCPK_ACT_NONE = not quantized */
    uint8_t activation_mode; /* MCPK_ACT_NONE, MCPK_ACT_DYNAMIC, MCPK_ACT_STATIC */
    uint8_t kv_bits;         /* 16 = not quantized */
    bool measured;           /* whether the report's figures include the activations */
    bool kv_measured;        /* and the KV cache; of reports only */
} mc_numerics;

bool mc_numerics_act(const mc_numerics *n); /* are activations quantized? */

/* "int8 dynamic" or "not quantized"; and the first line of every report: "activations: int8 dynamic
 * recorded, not measured; kv cache: int4 recorded, not measured". */
enum { MC_NUMERICS_TEXT = 32, MC_HEADLINE_TEXT = 160 };
void mc_activations_text(const mc_numerics *n, char text[MC_NUMERICS_TEXT]);
void mc_kv_text(const mc_numerics *n, char text[MC_NUMERICS_TEXT]);
void mc_numerics_headline(const mc_numerics *n, char text[MC_HEADLINE_TEXT]);

/* The activation of a site: of every site of a weight that has no entry of its own, or of the one
 * site of a name (mc_site.name). */
typedef struct {
    uint32_t weight;  /* of the container, or MCPK_NO_WEIGHT: then it has a name */
    const char *site; /* or NULL */
    mc_act_spec act;
} mc_site_act;

/* By weight, then by name (none first): the order that containers have them in. */
void mc_site_acts_sort(mc_site_act *act, size_t n);

/* The entry for a site, in that order; NULL: none. */
const mc_site_act *mc_site_act_find(const mc_site_act *act, size_t n, uint32_t weight,
                                    const char *site);

/* What the header must say of them: the fewest bits, static when one is; without entries or without
 * a cache what `n` says. */
mc_numerics mc_site_numerics(const mc_site_act *act, size_t acts, const mc_kv_spec *kv,
                             mc_numerics n);

/* A file carried along (config.json, tokenizer): an optional section with that name. */
typedef struct {
    const char *name;
    const unsigned char *data;
    uint64_t bytes;
} mc_side_file;

typedef struct {
    const mc_weight_spec *weight; /* in file order; names are unique */
    size_t weights;
    const mc_side_file *side;
    size_t sides;
    uint64_t manifest_bytes; /* of the JSON text that mc_pack_finish will get */
    uint32_t align;          /* of sections: a power of two, 64..4096 */
    uint16_t target;         /* mc_target.id */
    mc_numerics numerics;
    const mc_site_act *act; /* sorted, no two alike. With entries, sites without one keep their
                               activations; without, all follow `numerics`. Scales and zeros are
                               read by mc_pack_finish, before that only their number matters */
    size_t acts;
    const mc_kv_spec *kv;   /* or NULL; numerics must agree with both (mc_site_numerics) */
    bool compress; /* zlib for all but names and CRC table. Codes and dense numbers of more than
                      1 MiB are deflated as they pass and may even grow; every other section stays
                      raw when it does not shrink. */
} mc_container_spec;

/* ---- where it goes ---- */

/* Parts of weight w are part[first_part[w]] … part[first_part[w + 1] - 1]; sections without a
 * weight stand before and behind them, in file order. With spec.compress offsets and stored sizes
 * are upper bounds. */
typedef struct {
    const mc_container_spec *spec;
    mcpk_part *part;
    size_t parts;
    uint32_t *first_part; /* weights + 1 */
    uint64_t front_bytes; /* header, weight table, index, hash table */
    uint64_t file_bytes;
} mc_layout;

/* `spec` must outlive the layout. */
mc_status mc_container_layout(const mc_container_spec *spec, mc_arena *mem, mc_layout *out,
                              mc_err *err);

/* ---- writing ---- */

/* Encoded rows of one weight: a few pieces, each a range of one part. */
enum { MC_SLAB_PIECES = 6 };
typedef struct {
    uint32_t part;
    uint64_t offset; /* in the part */
    uint64_t bytes;
    const unsigned char *data;
} mc_piece;
typedef struct {
    mc_piece piece[MC_SLAB_PIECES];
    unsigned pieces;
} mc_slab;

/* Slabs of a quantized weight start at a multiple of this many rows (of its code shape), so that
 * each starts at a whole byte in every part. */
size_t mc_pack_row_step(const mc_weight_spec *weight);

/* Most bytes mc_pack_encode needs for `rows` rows of the weight. */
size_t mc_pack_slab_bytes(const mc_weight_spec *weight, size_t rows);

/* Turns rows [row, row + q->rows) into the bytes of the weight's parts. Pure; any thread. `room`
 * has mc_pack_slab_bytes() bytes. */
void mc_pack_encode(const mc_layout *layout, size_t weight, size_t row, const mc_qmat *q,
                    unsigned char *room, mc_slab *slab);

/* Dense bytes [offset, offset + n) of the weight, as the source stores them. */
void mc_pack_dense(const mc_layout *layout, size_t weight, uint64_t offset,
                   const unsigned char *data, uint64_t n, mc_slab *slab);

typedef struct mc_pack mc_pack;

/* Begins the file with the names. `out` is of layout->file_bytes bytes, or grows (0) when the spec
 * says compress. */
mc_status mc_pack_open(mc_out *out, const mc_layout *layout, mc_pack **pack, mc_err *err);

/* Writes the slab's bytes; any thread, any order. */
mc_status mc_pack_put(mc_pack *pack, const mc_slab *slab, mc_err *err);

/* Hashes the slab; one at a time, in file order of each part. Compressed containers are written
 * here. */
mc_status mc_pack_seal(mc_pack *pack, const mc_slab *slab, mc_err *err);

/* Writes side files, manifest, CRC table, the tables of the front and at last the header.
 * `file_bytes` is the final size. */
mc_status mc_pack_finish(mc_pack *pack, const char *manifest, uint8_t root[MC_SHA256_BYTES],
                         uint64_t *file_bytes, mc_err *err);
void mc_pack_close(mc_pack *pack); /* in every case; NULL is allowed */

/* ---- reading ---- */

typedef struct {
    mc_map map;
    mc_weight_spec *weight; /* as in the spec */
    size_t weights;
    mcpk_part *part;
    size_t parts;
    const unsigned char **data; /* of each part: in the map, or inflated */
    uint32_t *first_part;
    const char *manifest; /* manifest_bytes, not NUL-terminated */
    size_t manifest_bytes;
    mc_side_file *side;
    size_t sides;
    mc_numerics numerics;
    const mc_site_act *act; /* as in the spec */
    size_t acts;
    const mc_kv_spec *kv;
    uint16_t target;
    uint32_t align;
    uint8_t root[MC_SHA256_BYTES];
    const char *path;
    mc_region memory;
} mc_container;

/* True when the file begins like a container. */
bool mc_container_is(const unsigned char *head, size_t bytes);

/* Opens `path`: MC_E_FORMAT not a container, MC_E_UNSUPPORTED another version or something required
 * that this program does not know, MC_E_MISMATCH whatever the root hash or the sizes contradict.
 *
 * Compressed sections are inflated here, all of them, each after its hash was checked: the
 * container then holds mc_container_inflated_bytes() bytes beside its map. */
mc_status mc_container_open(const char *path, unsigned flags, mc_container *out, mc_err *err);

/* The same from a map that the container takes over (also on failure). */
mc_status mc_container_open_map(mc_map map, const char *path, mc_container *out, mc_err *err);
void mc_container_close(mc_container *c);

/* Bytes of memory that inflated sections take; 0 when nothing is compressed. */
uint64_t mc_container_inflated_bytes(const mc_container *c);

/* Hashes of all sections, CRC table, zero padding; then whether the bytes mean something: the
 * manifest is JSON (else MC_E_FORMAT), scales and offsets are finite (else MC_E_FORMAT), scales of
 * an allowed sign, codes those of their levels. All else is MC_E_MISMATCH. The message names the
 * section; of several, the largest one. */
mc_status mc_container_check(const mc_container *c, mc_pool *pool, mc_err *err);

/* Rows [row, row + rows) of the code shape (mc_weight_code_shape) of a quantized weight, as numbers
 * again. */
mc_status mc_container_qmat(const mc_container *c, size_t weight, size_t row, size_t rows,
                            mc_arena *mem, mc_qmat *out, mc_err *err);

/* Elements [first, first + count) in row-major order, of any form that has a conversion to f32. */
mc_status mc_container_to_f32(const mc_container *c, size_t weight, uint64_t first, uint64_t count,
                              float *out, mc_err *err);

/* The bytes of a dense weight. */
const unsigned char *mc_container_dense(const mc_container *c, size_t weight, uint64_t *bytes);

/* Version of the zlib behind compressed sections. */
const char *mc_zlib_version(void);

#endif
