/* JSON of model files, one token at a time: strict, without recursion, without memory of its own.
 *
 * Takes the bytes of one JSON text, gives tokens that point into them. It refuses what RFC 8259
 * refuses, invalid UTF-8, lone surrogates, nesting beyond MC_PULL_DEPTH, and anything but
 * whitespace behind the value. Numbers stay text until they are asked for as integers, so no digit
 * is lost. Duplicate keys are the caller's business: it knows the keys. */
#ifndef MC_FORMATS_JSON_PULL_H
#define MC_FORMATS_JSON_PULL_H

#include "core/bytes.h"
#include "core/err.h"
#include "formats/limits.h"

typedef enum {
    MC_PULL_OBJECT, /* begins; a key or MC_PULL_END follows */
    MC_PULL_ARRAY,  /* begins; a value or MC_PULL_END follows */
    MC_PULL_END,    /* of the innermost object or array */
    MC_PULL_KEY,    /* its value follows */
    MC_PULL_TEXT,
    MC_PULL_NUMBER,
    MC_PULL_TRUE,
    MC_PULL_FALSE,
    MC_PULL_NULL,
    MC_PULL_DONE, /* the whole text was one value */
} mc_pull_kind;

/* `at` and `bytes` are the token as it stands in the file; of keys and texts what is between the
 * quotes. */
typedef struct {
    const unsigned char *at;
    size_t bytes;
    mc_pull_kind kind;
    bool escaped;   /* a key or text with a backslash in it */
    bool holds_nul; /* \u0000 is among them: no C string can hold it */
} mc_pull_token;

typedef struct {
    mc_cursor in;
    const unsigned char *begin;
    const char *path;    /* of the file, for messages */
    const char *what;    /* "header": the part of the file, for messages */
    uint64_t position;   /* of `begin` in the file */
    uint64_t objects[2]; /* bit d: level d is an object */
    unsigned depth;
    int expects;
} mc_pull;

/* Starts on `text`, which begins at `position` of the file. Checks that all of it is UTF-8. */
mc_status mc_pull_open(mc_pull *pull, mc_cursor text, const char *path, const char *what,
                       uint64_t position, mc_err *err);

mc_status mc_pull_next(mc_pull *pull, mc_pull_token *token, mc_err *err);

/* Passes over the value that `token` begins (all of it, when it is an object or array). */
mc_status mc_pull_skip(mc_pull *pull, const mc_pull_token *token, mc_err *err);

/* Is it this key or text, escapes decoded? `text` is ASCII. */
bool mc_pull_is(const mc_pull_token *token, const char *text);

/* Decodes a key or text to `to` and ends it with NUL; gives its length. At most token->bytes + 1
 * bytes. */
size_t mc_pull_decode(const mc_pull_token *token, char *to);

/* A whole number from 0 to 2^64-1, written as digits alone. */
bool mc_pull_u64(const mc_pull_token *token, uint64_t *value);

/* "an object", "a number", … */
const char *mc_pull_kind_name(mc_pull_kind kind);

/* Names from files, made safe for a terminal: control characters, invalid UTF-8 and characters that
 * turn the direction of writing come out as \n, \u001b, \xff; long ones end in "...". */
enum { MC_QUOTE_ROOM = MC_QUOTE_LIMIT + 32 };
typedef struct {
    char text[MC_QUOTE_ROOM];
} mc_quoted;
mc_quoted mc_quote(const char *name); /* "name", with quotation marks */
mc_quoted mc_quote_token(
    const mc_pull_token *token); /* a key or text, with them; other tokens as they are */

/* The same for paths: without marks, backslash and quotation mark unchanged, and not shortened
 * below `room`. Gives `to`. */
const char *mc_show_path(const char *path, char *to, size_t room);
enum { MC_PATH_ROOM = 1024 };

#endif
