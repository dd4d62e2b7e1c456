/* cJSON, wrapped once.
 *
 * Writing: cJSON holds the tree and prints it; every number goes in as text of ours, because cJSON
 * keeps 53 bits of an integer and 15 digits of a fraction. Reading: cJSON parses; what it lets pass
 * is refused before (bytes) and after (tree). */
#include "core/json.h"

#include "core/bytes.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64, NUMBER_BYTES = 48 };

struct mc_json_out {
    cJSON *root;
    cJSON *open[MAX_DEPTH]; /* containers, outermost first */
    size_t depth;
    bool failed; /* out of memory, or called out of order: nothing comes out any more */
};

/* ---- text ---- */

/* Bytes of the well-formed character at `p`, or 0. */
static size_t character(const char *p, size_t left)
{
    for (size_t n = 1; n <= 4 && n <= left; n++)
        if (mc_is_utf8(p, n)) return n;
    return 0;
}

/* A copy of `text` with U+FFFD in place of each byte that belongs to no character; free() it. */
static char *valid_copy(const char *text)
{
    static const char replacement[] = "\xef\xbf\xbd";
    const size_t length = strlen(text);
    if (length > SIZE_MAX / 3 - 1) return NULL;
    char *copy = malloc(3 * length + 1), *to = copy;
    if (!copy) return NULL;
    for (size_t i = 0; i < length;) {
        const size_t n = character(text + i, length - i);
        const size_t bytes = n ? n : sizeof replacement - 1;
        memcpy(to, n ? text + i : replacement, bytes);
        to += bytes;
        i += n ? n : 1;
    }
    *to = '\0';
    return copy;
}

/* ---- numbers ---- */

/* printf writes the locale's decimal point, which may be several bytes: all that is not part of
 * a number in C is that point. */
static void plain_point(char *text)
{
    char *to = text;
    bool in_point = false;
    for (const char *p = text; *p; p++) {
        const bool point = !strchr("0123456789+-e", *p);
        if (!point) *to++ = *p;
        if (point && !in_point) *to++ = '.';
        in_point = point;
    }
    *to = '\0';
}

/* Whole numbers that a double holds exactly have no exponent; the rest has as few digits as read
 * back the same. */
static void print_number(double value, char text[NUMBER_BYTES])
{
    if (!isfinite(value)) {
        strcpy(text, "null");
        return;
    }
    if (fabs(value) < 0x1p53 && value == floor(value)) {
        snprintf(text, NUMBER_BYTES, "%.0f", value);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, NUMBER_BYTES, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    plain_point(text);
}

/* ---- the cursor ---- */

mc_status mc_json_out_open(mc_json_out **out, mc_err *err)
{
    *out = calloc(1, sizeof **out);
    return *out ? MC_OK : mc_no_room(err, "JSON");
}

void mc_json_out_close(mc_json_out *out)
{
    if (!out) return;
    cJSON_Delete(out->root);
    free(out);
}

static bool add_member(cJSON *object, const char *key, cJSON *item)
{
    if (mc_is_utf8(key, strlen(key))) return cJSON_AddItemToObject(object, key, item);
    char *valid = valid_copy(key);
    const bool added = valid && cJSON_AddItemToObject(object, valid, item);
    free(valid);
    return added;
}

/* Owns `item` from here on; NULL stands for an allocation that failed. */
static void add(mc_json_out *out, const char *key, cJSON *item)
{
    bool added = false;
    if (item && !out->failed) {
        cJSON *parent = out->depth > 0 ? out->open[out->depth - 1] : NULL;
        if (!parent)
            added = !out->root && !key;
        else if (cJSON_IsObject(parent))
            added = key && add_member(parent, key, item);
        else
            added = !key && cJSON_AddItemToArray(parent, item);
        if (added && !parent) out->root = item;
    }
    if (added) return;
    cJSON_Delete(item);
    out->failed = true;
}

static void enter(mc_json_out *out, const char *key, cJSON *container)
{
    add(out, key, container);
    if (out->failed) return;
    if (out->depth == MAX_DEPTH)
        out->failed = true;
    else
        out->open[out->depth++] = container;
}

void mc_json_object(mc_json_out *out, const char *key)
{
    enter(out, key, cJSON_CreateObject());
}

void mc_json_array(mc_json_out *out, const char *key)
{
    enter(out, key, cJSON_CreateArray());
}

void mc_json_end(mc_json_out *out)
{
    if (out->depth > 0)
        out->depth--;
    else
        out->failed = true;
}

void mc_json_text(mc_json_out *out, const char *key, const char *value)
{
    if (!value) {
        mc_json_null(out, key);
        return;
    }
    if (mc_is_utf8(value, strlen(value))) {
        add(out, key, cJSON_CreateString(value));
        return;
    }
    char *valid = valid_copy(value);
    add(out, key, valid ? cJSON_CreateString(valid) : NULL);
    free(valid);
}

void mc_json_u64(mc_json_out *out, const char *key, uint64_t value)
{
    char text[NUMBER_BYTES];
    snprintf(text, sizeof text, "%" PRIu64, value);
    mc_json_raw(out, key, text);
}

void mc_json_i64(mc_json_out *out, const char *key, int64_t value)
{
    char text[NUMBER_BYTES];
    snprintf(text, sizeof text, "%" PRId64, value);
    mc_json_raw(out, key, text);
}

void mc_json_bool(mc_json_out *out, const char *key, bool value)
{
    add(out, key, cJSON_CreateBool(value));
}

void mc_json_null(mc_json_out *out, const char *key)
{
    add(out, key, cJSON_CreateNull());
}

void mc_json_num(mc_json_out *out, const char *key, double value)
{
    char text[NUMBER_BYTES];
    print_number(value, text);
    mc_json_raw(out, key, text);
}

void mc_json_raw(mc_json_out *out, const char *key, const char *json)
{
    add(out, key, cJSON_CreateRaw(json));
}

char *mc_json_done(mc_json_out *out, bool pretty)
{
    if (out->failed || out->depth > 0 || !out->root) return NULL;
    return pretty ? cJSON_Print(out->root) : cJSON_PrintUnformatted(out->root);
}

/* ---- a tree that was read ---- */

/* Turns numbers into text of ours. Recursion ends where cJSON's reader does, at its limit. */
static bool fix_numbers(cJSON *node)
{
    for (; node; node = node->next) {
        if (cJSON_IsNumber(node)) {
            char text[NUMBER_BYTES];
            print_number(node->valuedouble, text);
            node->valuestring = strdup(text);
            if (!node->valuestring) return false;
            node->type = (node->type & ~0xff) | cJSON_Raw;
        } else if (node->child && !fix_numbers(node->child)) {
            return false;
        }
    }
    return true;
}

char *mc_json_print(const mc_json *json)
{
    if (!json) return NULL;
    cJSON *copy = cJSON_Duplicate(json, true);
    char *text = copy && fix_numbers(copy) ? cJSON_PrintUnformatted(copy) : NULL;
    cJSON_Delete(copy);
    return text;
}

/* ---- parsing ---- */

/* cJSON would cut a text at a NUL, so neither the byte nor its escape may come in. */
static mc_status check_bytes(const char *text, size_t bytes, const char *name, mc_err *err)
{
    static const char escaped_nul[] = "\\u0000";
    const size_t length = sizeof escaped_nul - 1;
    if (bytes > 0 && memchr(text, '\0', bytes))
        return mc_fail(err, MC_E_FORMAT, "%s: holds a NUL byte", name);
    if (!mc_is_utf8(text, bytes)) return mc_fail(err, MC_E_FORMAT, "%s: is not UTF-8", name);
    for (size_t i = 0; i + length <= bytes; i++) {
        if (text[i] != '\\') continue;
        if (memcmp(text + i, escaped_nul, length) == 0)
            return mc_fail(err, MC_E_FORMAT, "%s: holds a NUL (\\u0000) at byte %zu", name, i);
        i++; /* "\\u0000" is a backslash and five characters */
    }
    return MC_OK;
}

static bool only_space(const char *p, const char *end)
{
    while (p < end && strchr(" \t\r\n", *p)) p++;
    return p == end;
}

static mc_status invalid_at(const char *text, const char *at, const char *name, mc_err *err)
{
    size_t line = 1, column = 1;
    for (const char *p = text; p < at; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    return mc_fail(err, MC_E_FORMAT, "%s: is not valid JSON near line %zu, column %zu", name, line,
                   column);
}

/* ---- the tree ---- */

static int by_key(const void *a, const void *b)
{
    const cJSON *const *left = a, *const *right = b;
    return strcmp((*left)->string, (*right)->string);
}

static mc_status check_keys(const cJSON *object, const char *name, mc_err *err)
{
    const size_t n = mc_json_count(object);
    if (n < 2) return MC_OK;
    const cJSON **member = calloc(n, sizeof(cJSON *));
    if (!member) return mc_no_room(err, name);
    size_t i = 0;
    for (const cJSON *child = object->child; child; child = child->next) member[i++] = child;
    qsort(member, n, sizeof *member, by_key);

    mc_status status = MC_OK;
    for (i = 1; i < n && status == MC_OK; i++)
        if (by_key(&member[i - 1], &member[i]) == 0)
            status =
                mc_fail(err, MC_E_FORMAT, "%s: key \"%s\" appears twice", name, member[i]->string);
    free(member);
    return status;
}

/* Recursion ends at cJSON's nesting limit. */
static mc_status check_tree(const cJSON *node, const char *name, mc_err *err)
{
    if (cJSON_IsNumber(node) && !isfinite(node->valuedouble))
        return mc_fail(err, MC_E_FORMAT, "%s: %s%s%sa number is too large", name,
                       node->string ? "key \"" : "", node->string ? node->string : "",
                       node->string ? "\": " : "");
    if (cJSON_IsObject(node)) MC_TRY(check_keys(node, name, err));
    for (const cJSON *child = node->child; child; child = child->next)
        MC_TRY(check_tree(child, name, err));
    return MC_OK;
}

mc_status mc_json_parse(const char *text, size_t bytes, const char *name, mc_json **out,
                        mc_err *err)
{
    *out = NULL;
    MC_TRY(check_bytes(text, bytes, name, err));
    /* A terminator of our own: cJSON before 1.7.18 looks one byte past a text that breaks off. */
    char *copy = bytes < SIZE_MAX ? malloc(bytes + 1) : NULL;
    if (!copy) return mc_no_room(err, name);
    if (bytes > 0) memcpy(copy, text, bytes);
    copy[bytes] = '\0';

    const char *end = copy;
    cJSON *tree = cJSON_ParseWithLengthOpts(copy, bytes + 1, &end, false);
    mc_status status = MC_OK;
    if (!tree || !only_space(end, copy + bytes))
        status = invalid_at(copy, end, name, err);
    else
        status = check_tree(tree, name, err);
    free(copy);
    if (status != MC_OK)
        cJSON_Delete(tree);
    else
        *out = tree;
    return status;
}

void mc_json_free(mc_json *json)
{
    cJSON_Delete(json);
}

/* ---- looking ---- */

const mc_json *mc_json_get(const mc_json *json, const char *key)
{
    return cJSON_IsObject(json) ? cJSON_GetObjectItemCaseSensitive(json, key) : NULL;
}

const mc_json *mc_json_at(const mc_json *json, size_t i)
{
    const cJSON *child = json ? json->child : NULL;
    for (; child && i > 0; i--) child = child->next;
    return child;
}

const mc_json *mc_json_first(const mc_json *json)
{
    return json ? json->child : NULL;
}

const mc_json *mc_json_next(const mc_json *json)
{
    return json ? json->next : NULL;
}

size_t mc_json_count(const mc_json *json)
{
    size_t n = 0;
    for (const cJSON *child = json ? json->child : NULL; child; child = child->next) n++;
    return n;
}

const char *mc_json_key(const mc_json *json)
{
    return json ? json->string : NULL;
}

bool mc_json_is_object(const mc_json *json)
{
    return cJSON_IsObject(json);
}

bool mc_json_is_array(const mc_json *json)
{
    return cJSON_IsArray(json);
}

bool mc_json_is_null(const mc_json *json)
{
    return cJSON_IsNull(json);
}

const char *mc_json_as_text(const mc_json *json, const char *otherwise)
{
    return cJSON_IsString(json) ? json->valuestring : otherwise;
}

bool mc_json_as_bool(const mc_json *json, bool otherwise)
{
    return cJSON_IsBool(json) ? cJSON_IsTrue(json) : otherwise;
}

double mc_json_as_num(const mc_json *json, double otherwise)
{
    return cJSON_IsNumber(json) ? json->valuedouble : otherwise;
}

bool mc_json_as_u64(const mc_json *json, uint64_t *value)
{
    if (!cJSON_IsNumber(json)) return false;
    const double number = json->valuedouble;
    if (!(number >= 0 && number < 0x1p53) || number != floor(number)) return false;
    *value = (uint64_t)number;
    return true;
}
