/* Tokenizers: text to ids, exactly as the model's own tokenizer.json says.
 *
 * BPE on bytes (GPT-2, Llama-3, Qwen) and on characters with byte fallback (Llama-2, Mistral,
 * Gemma), with added tokens; WordPiece (BERT). Anything else is refused by name: ids that are
 * nearly right would make every figure wrong. */
#ifndef MC_CORE_TOKENIZER_H
#define MC_CORE_TOKENIZER_H

#include "core/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mc_tokenizer mc_tokenizer;

/* From the text of tokenizer.json; `name` stands in front of messages. MC_E_UNSUPPORTED: "tokenizer
 * type X is not supported, give token ids". MC_E_FORMAT: not what a tokenizer.json can be. */
mc_status mc_tokenizer_open(const char *json, size_t bytes, const char *name, mc_tokenizer **out,
                            mc_err *err);
void mc_tokenizer_close(mc_tokenizer *t);

/* The ids of a text, encoded whole, added tokens in the text recognised, nothing put in front or
 * behind (no BOS; what the file says of post-processing and truncation is for single sequences). A
 * special token that the text spells out ("</s>") is text like any other, as in SentencePiece and
 * llama.cpp, unless mc_tokenizer_take_special() says otherwise. MC_E_FORMAT when the text is not
 * UTF-8. Time grows as n log n. *ids is to be freed with mc_tokenizer_free_ids. */
mc_status mc_tokenizer_encode(const mc_tokenizer *t, const char *text, size_t bytes, int32_t **ids,
                              size_t *n, mc_err *err);
void mc_tokenizer_free_ids(int32_t *ids);

/* For texts that a chat template wrote: special tokens in them are tokens. */
void mc_tokenizer_take_special(mc_tokenizer *t, bool take);

/* The text of some ids, for people to read: invalid UTF-8 becomes U+FFFD. NUL-terminated, in `mem`;
 * NULL when it does not fit. */
char *mc_tokenizer_decode(const mc_tokenizer *t, const int32_t *ids, size_t n, mc_arena *mem);

size_t mc_tokenizer_size(const mc_tokenizer *t); /* ids are below it */

/* ---- SentencePiece: tokenizer.model, for export ---- */

typedef struct {
    const char *text; /* UTF-8, not NUL-terminated */
    size_t length;
    float score;
    int type; /* 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte */
} mc_piece_of_text;

typedef struct {
    mc_piece_of_text *piece;
    size_t pieces;
    int model_type; /* 1 unigram, 2 bpe, 3 word, 4 char */
    bool add_dummy_prefix, remove_extra_whitespaces, byte_fallback;
    int64_t unk, bos, eos, pad; /* -1: none */
} mc_sentencepiece;

/* Pieces point into `bytes`. */
mc_status mc_sentencepiece_read(const unsigned char *bytes, size_t n, const char *name,
                                mc_arena *mem, mc_sentencepiece *out, mc_err *err);

#endif
