/* The container's records in memory and on disk, for formats/container_*.c only. */
#ifndef MC_FORMATS_CONTAINER_RECORDS_H
#define MC_FORMATS_CONTAINER_RECORDS_H

#include "formats/container.h"

/* What a weight's shape demands of one of its parts. */
typedef struct {
    uint8_t role;
    uint16_t encoding;
    uint64_t count; /* elements */
    uint64_t bytes;
} mc_part_need;

enum { MC_MOST_NEEDS = MC_WEIGHT_PARTS };

/* The parts of `spec` in file order, with the sizes its shape demands. MC_E_UNSUPPORTED for what a
 * container cannot say. The dims' product must be rows * cols. */
typedef struct {
    mc_part_need part[MC_MOST_NEEDS];
    unsigned parts;
} mc_needs;
mc_status mc_needs_of(const mc_weight_spec *spec, mc_needs *out, mc_err *err);

/* Groups of one row of the code shape, and super-scales of one row (0 when plain). */
uint64_t mc_needs_groups(const mc_weight_spec *spec);
uint64_t mc_needs_supers(const mc_weight_spec *spec);

/* The encoding that a weight's codes are written in. */
uint16_t mc_codes_encoding(const mc_levels *levels);

/* Where the pieces of the front stand. */
typedef struct {
    uint64_t index, hashes, root, front_bytes;
} mc_front;
bool mc_front_of(uint32_t weights, uint32_t parts, uint32_t align, mc_front *out);

/* Chunks of 4096 bytes that the CRC section describes: of all sections but itself. */
bool mc_crc_chunks(const mcpk_part *part, size_t parts, uint64_t *chunks);

/* ---- records on disk ---- */

void mc_part_store(const mcpk_part *part, unsigned char to[MCPK_PART_BYTES]);

/* False when a spare byte is not zero. */
bool mc_part_load(const unsigned char *from, mcpk_part *part);

/* A weight record and what it says beside the spec. */
typedef struct {
    uint32_t name, name_bytes; /* in the names section */
    uint32_t first_part;
    uint16_t parts;
} mc_weight_place;
void mc_weight_store(const mc_weight_spec *spec, mc_weight_place place,
                     unsigned char to[MCPK_WEIGHT_BYTES]);

/* `name` stays NULL. MC_E_UNSUPPORTED: an id this program does not know; MC_E_MISMATCH: a
 * contradiction in the record itself. */
mc_status mc_weight_load(const unsigned char *from, mc_weight_spec *spec, mc_weight_place *place,
                         mc_err *err);

/* "weight 'fc1': scale", "the manifest", "side file 'config.json'": for messages. The names are
 * NULL when they are not known (yet). */
const char *mc_section_text(const mcpk_part *part, const char *weight, const char *side,
                            char *text, size_t room);
const char *mc_role_name(uint8_t role);

/* ---- container_sites.c ---- */

/* Bytes of the sites section, 0: there is none. What scales and zeros are is not looked at. */
mc_status mc_sites_bytes(const mc_container_spec *spec, uint64_t *bytes, mc_err *err);

/* Devices that do not know the section must not run the weights: some expect rotated inputs. */
bool mc_sites_required(const mc_container_spec *spec);

mc_status mc_sites_store(const mc_container_spec *spec, unsigned char *to, mc_err *err);

/* Fills act, acts and kv of the container, whose weights and numerics are there. Of mc_sites_room()
 * bytes. */
mc_status mc_sites_load(mc_container *c, const unsigned char *from, uint64_t bytes, mc_err *err);
uint64_t mc_sites_room(uint64_t bytes);

/* Does section i hold only what a writer may have written? For after its hash held. */
mc_status mc_check_contents(const mc_container *c, size_t i, mc_err *err);

#endif
