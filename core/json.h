/* JSON for recipes, manifests and reports. Wraps cJSON once: written numbers keep 64 bits, keys
 * keep their case, duplicate keys and trailing bytes are refused, and the same tree always prints
 * the same bytes in any locale.
 *
 * Not for headers of model files: those need formats/json_pull.h. */
#ifndef MC_CORE_JSON_H
#define MC_CORE_JSON_H

#include "core/arena.h"
#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- writing: a cJSON tree behind a cursor; numbers are printed here, not by cJSON ---- */

typedef struct mc_json_out mc_json_out;

mc_status mc_json_out_open(mc_json_out **out, mc_err *err);
void mc_json_out_close(mc_json_out *out);

/* Containers. `key` is NULL inside an array and for the root. */
void mc_json_object(mc_json_out *out, const char *key);
void mc_json_array(mc_json_out *out, const char *key);
void mc_json_end(mc_json_out *out);

/* Values. A text that is NULL becomes null; a number that is not finite becomes null. Invalid UTF-8
 * is replaced. */
void mc_json_text(mc_json_out *out, const char *key, const char *value);
void mc_json_u64(mc_json_out *out, const char *key, uint64_t value);
void mc_json_i64(mc_json_out *out, const char *key, int64_t value);
void mc_json_bool(mc_json_out *out, const char *key, bool value);
void mc_json_null(mc_json_out *out, const char *key);

/* The shortest decimal that reads back as the same double. */
void mc_json_num(mc_json_out *out, const char *key, double value);

/* An already printed JSON text (of one value). */
void mc_json_raw(mc_json_out *out, const char *key, const char *json);

/* The text, NUL-terminated, on one line or indented, to be freed; NULL when memory ran out at any
 * point. */
char *mc_json_done(mc_json_out *out, bool pretty);

/* ---- reading ---- */

typedef struct cJSON mc_json;

/* Parses exactly one value; `name` stands in front of messages. */
mc_status mc_json_parse(const char *text, size_t bytes, const char *name, mc_json **out,
                        mc_err *err);
void mc_json_free(mc_json *json);

/* NULL when `json` is no object or has no such key (case matters). */
const mc_json *mc_json_get(const mc_json *json, const char *key);
const mc_json *mc_json_at(const mc_json *json, size_t i); /* i-th element or member, or NULL */

/* All elements or members one after the other, NULL behind the last: mc_json_at counts from the
 * start each time. */
const mc_json *mc_json_first(const mc_json *json);
const mc_json *mc_json_next(const mc_json *json);

size_t mc_json_count(const mc_json *json);
const char *mc_json_key(const mc_json *json); /* of a member */
bool mc_json_is_object(const mc_json *json);
bool mc_json_is_array(const mc_json *json);
bool mc_json_is_null(const mc_json *json); /* the word null; false when it is missing */

/* The value, or `otherwise` when it is missing or of another kind. */
const char *mc_json_as_text(const mc_json *json, const char *otherwise);
bool mc_json_as_bool(const mc_json *json, bool otherwise);
double mc_json_as_num(const mc_json *json, double otherwise);

/* A whole number below 2^53, exactly; false otherwise. */
bool mc_json_as_u64(const mc_json *json, uint64_t *value);

/* The same bytes again, for embedding; free() it. */
char *mc_json_print(const mc_json *json);

#endif
