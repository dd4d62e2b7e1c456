/* What the files of the tokenizer share: its parts in the order in which a text passes them.
 *
 *   text -> added tokens that are not normalized -> normalizer -> added tokens that are
 *        -> pre-tokenizer -> model -> ids
 */
#ifndef MC_CORE_TOKENIZER_PARTS_H
#define MC_CORE_TOKENIZER_PARTS_H

#include "core/json.h"
#include "core/text.h"
#include "core/tokenizer.h"

enum {
    MC_TOK_MAX_ID = 1 << 22, /* ids are below it */
    MC_TOK_MAX_STEPS = 16,   /* of a normalizer, pre-tokenizer or decoder, sequences unrolled */
    MC_TOK_MAX_DEPTH = 8,    /* of sequences in sequences */
    MC_TOK_MAX_CONTENT = 64, /* bytes that a step puts in or looks for */
    MC_TOK_MAX_ADDED = 1024, /* bytes of an added token */
    MC_TOK_MAX_WORD = 1024,  /* characters of a WordPiece word that is not unknown */
    MC_TOK_NONE = -1,        /* no id */
};

/* Text that belongs to somebody else. */
typedef struct {
    const char *at;
    size_t n;
} mc_span;

static inline mc_span mc_span_of(const mc_text *text)
{
    return (mc_span){text->at ? text->at : "", text->length};
}

typedef struct {
    int32_t *at;
    size_t n, room;
} mc_ids;

bool mc_ids_add(mc_ids *ids, int32_t id);

/* ---- vocabulary (tokenizer_vocab.c) ---- */

/* A table of slots, at most half full. */
typedef struct {
    mc_span *token; /* by id; at is NULL where there is none */
    size_t size;    /* ids are below it */
    size_t count;   /* that can be found */
    int32_t *slot;  /* id or MC_TOK_NONE */
    size_t slots;   /* a power of two */
} mc_tok_vocab;

typedef struct {
    uint64_t pair; /* left id << 32 | right id; UINT64_MAX: free */
    uint32_t rank;
    int32_t id;
} mc_tok_merge;

typedef struct {
    mc_tok_merge *slot;
    size_t slots;
    int32_t *id_of_rank;
    size_t ranks;
} mc_tok_merges;

mc_status mc_tok_vocab_open(mc_tok_vocab *v, size_t size, size_t count, mc_arena *mem, mc_err *err);

/* `token` stays where it is. False when too many tokens fall on one place. */
bool mc_tok_vocab_add(mc_tok_vocab *v, mc_span token, int32_t id);
int32_t mc_tok_vocab_find(const mc_tok_vocab *v, mc_span token); /* or MC_TOK_NONE */

/* As if `prefix` stood in front of `token`. */
int32_t mc_tok_vocab_find_behind(const mc_tok_vocab *v, mc_span prefix, mc_span token);

mc_status mc_tok_merges_open(mc_tok_merges *m, size_t count, mc_arena *mem, mc_err *err);
bool mc_tok_merges_add(mc_tok_merges *m, int32_t left, int32_t right, uint32_t rank, int32_t id);
const mc_tok_merge *mc_tok_merges_find(const mc_tok_merges *m, int32_t left, int32_t right);

/* ---- steps ---- */

typedef enum {
    MC_NORM_PREPEND, /* text, unless there is nothing */
    MC_NORM_REPLACE, /* text by other */
    MC_NORM_NFC,
    MC_NORM_NFD,
    MC_NORM_LOWER,
    MC_NORM_STRIP,
    MC_NORM_CLEAN,   /* BERT's clean_text */
    MC_NORM_CHINESE, /* BERT's handle_chinese_chars */
    MC_NORM_ACCENTS, /* BERT's strip_accents behind NFD */
} mc_norm_kind;

typedef struct {
    mc_norm_kind kind;
    mc_span text, other;
    bool left, right;
} mc_norm_step;

/* What a step of the pre-tokenizer looks for. */
typedef enum {
    MC_FIND_TEXT,    /* a text */
    MC_FIND_PATTERN, /* one of the patterns that cover every text */
    MC_FIND_SPACE,
    MC_FIND_NUMBER,
    MC_FIND_PUNCTUATION,
    MC_FIND_WORDS, /* \w+|[^\w\s]+ */
} mc_find_kind;

typedef enum {
    MC_SPLIT_REMOVED,
    MC_SPLIT_ISOLATED,
    MC_SPLIT_CONTIGUOUS,
    MC_SPLIT_WITH_PREVIOUS,
    MC_SPLIT_WITH_NEXT,
} mc_split_rule;

typedef enum {
    MC_PRE_SPLIT,
    MC_PRE_SPACE,     /* a space in front unless there is one */
    MC_PRE_BYTES,     /* every byte becomes a character that can be seen */
    MC_PRE_METASPACE, /* space by `text`, and one in front */
} mc_pre_kind;

typedef enum { MC_PREPEND_ALWAYS, MC_PREPEND_FIRST, MC_PREPEND_NEVER } mc_prepend;

typedef struct mc_tok_pattern mc_tok_pattern;

typedef struct {
    mc_pre_kind kind;
    mc_find_kind find;
    const mc_tok_pattern *pattern;
    mc_span text;
    mc_split_rule rule;
    bool invert; /* what is between is what was looked for */
    mc_prepend prepend;
} mc_pre_step;

typedef enum {
    MC_DECODE_REPLACE,
    MC_DECODE_BYTE_FALLBACK,
    MC_DECODE_FUSE,
    MC_DECODE_STRIP,
    MC_DECODE_METASPACE,
    MC_DECODE_WORDPIECE,
    MC_DECODE_BYTES,
} mc_decode_kind;

typedef struct {
    mc_decode_kind kind;
    mc_span text, other;
    size_t left, right; /* characters to strip */
    bool flag;          /* Metaspace: the first one goes; WordPiece: clean up */
} mc_decode_step;

/* ---- added tokens (tokenizer_added.c) ---- */

typedef struct {
    mc_span text; /* what is looked for: normalized for those of the second search */
    mc_span content;
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
} mc_added;

/* Sorted by text. */
typedef struct {
    mc_added *token;
    size_t n;
    bool first_byte[256];
} mc_added_set;

/* ---- the model ---- */

typedef enum { MC_MODEL_BPE, MC_MODEL_WORDPIECE } mc_tok_model_kind;

typedef struct {
    mc_tok_model_kind kind;
    mc_tok_vocab vocab;
    mc_span unk_token; /* at is NULL: none */
    int32_t unk;       /* its id or MC_TOK_NONE */
    mc_tok_merges merges;
    bool fuse_unk, byte_fallback, ignore_merges;
    int32_t byte_id[256]; /* of <0x00>..<0xFF> or MC_TOK_NONE */
    mc_span prefix;       /* of WordPiece's continuing parts */
    size_t max_word;      /* characters */
    size_t longest;       /* bytes of a token */
} mc_tok_model;

struct mc_tokenizer {
    mc_region region;
    mc_added_set plain, normalized;
    mc_norm_step norm[MC_TOK_MAX_STEPS];
    size_t norms;
    mc_pre_step pre[MC_TOK_MAX_STEPS];
    size_t pres;
    mc_decode_step decode[MC_TOK_MAX_STEPS];
    size_t decodes;
    mc_span *added; /* by id: the text that an added token is looked for by; at is NULL elsewhere */
    bool take_special;
    bool no_decoder; /* tokens are joined by spaces */
    mc_tok_model model;
};

/* ---- reading tokenizer.json (tokenizer_read*.c) ---- */

typedef struct {
    mc_tokenizer *t;
    mc_arena *mem;
    const char *name; /* of the file */
    mc_err *err;
} mc_tok_reader;

/* How many bytes of a token a message shows: whole characters. The macros give "%.*s" its two. */
int mc_tok_shown(mc_span token);
#define MC_TOK_SPAN(span) mc_tok_shown(span), (span).at
#define MC_TOK_TEXT(text) mc_tok_shown((mc_span){(text), strlen(text)}), (text)

/* Refuses an object that holds anything but `keys` (ended by NULL). */
mc_status mc_tok_only_keys(const mc_tok_reader *r, const mc_json *object, const char *what,
                           const char *const *keys);

mc_status mc_tok_unsupported(const mc_tok_reader *r, const char *what, const char *type);
mc_status mc_tok_need_bool(const mc_tok_reader *r, const mc_json *object, const char *key,
                           bool *out);
mc_status mc_tok_need_text(const mc_tok_reader *r, const mc_json *object, const char *key,
                           mc_span *out);
mc_status mc_tok_read_normalizer(const mc_tok_reader *r, const mc_json *json, int depth);
mc_status mc_tok_read_pre(const mc_tok_reader *r, const mc_json *json, int depth);
mc_status mc_tok_read_decoder(const mc_tok_reader *r, const mc_json *json, int depth);

/* Both the model and the added tokens, which share their ids. */
mc_status mc_tok_read_model(const mc_tok_reader *r, const mc_json *json, const mc_json *added);

/* After the normalizer. */
mc_status mc_tok_read_added(const mc_tok_reader *r, const mc_json *json);

/* NULL when the pattern is none of those known. */
const mc_tok_pattern *mc_tok_pattern_find(const char *regex);

/* Where the match at text[at] ends; there always is one. */
size_t mc_tok_pattern_match(const mc_tok_pattern *p, mc_span text, size_t at);

/* ---- encoding ---- */

typedef struct {
    int32_t id;
    int32_t previous, next; /* places or -1 */
} mc_bpe_symbol;

/* Everything that grows while a text is encoded. */
typedef struct {
    const mc_tokenizer *t;
    mc_err *err;
    mc_ids ids;
    bool front; /* what is normalized right now begins the text */
    mc_text norm[2];
    mc_text pre[MC_TOK_MAX_STEPS];
    mc_bpe_symbol *symbol;
    size_t symbol_room;
    uint64_t *heap;
    size_t heap_room;
} mc_encoder;

/* Makes room for `n` objects of `size` bytes, old ones kept; false when there is no memory. */
bool mc_tok_grow(void **at, size_t *room, size_t n, size_t size);

/* The normalized text, in one of two texts of `buffer` or where it was. */
mc_status mc_tok_normalize(const mc_tokenizer *t, mc_span text, mc_text buffer[2], mc_span *out,
                           mc_err *err);

/* Cuts `text` at added tokens: gives each token's id to e->ids and what is between to `between`,
 * with `first` where the piece begins the text. */
typedef mc_status mc_between(mc_encoder *e, mc_span piece, bool first);
mc_status mc_added_cut(mc_encoder *e, const mc_added_set *set, mc_span text, mc_between *between);

/* Sorts and checks; two tokens that are looked for by one text are refused. */
mc_status mc_added_sort(const mc_tok_reader *r, mc_added_set *set);

mc_status mc_tok_pre_tokenize(mc_encoder *e, mc_span text, bool first);
mc_status mc_tok_bpe(mc_encoder *e, mc_span word);
mc_status mc_tok_wordpiece(mc_encoder *e, mc_span word);

/* The byte that a character of the byte-level alphabet stands for, or -1; and back. */
int mc_tok_byte_of(uint32_t c);
uint32_t mc_tok_character_of(unsigned char byte);

#endif
