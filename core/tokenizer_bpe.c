/* Byte-pair encoding (Sennrich et al., arXiv 1508.07909): characters are joined pair by pair, the
 * pair of lowest rank first and of equal ones the leftmost.
 *
 * The symbols form a linked list and the pairs wait in a heap, so a text of n characters takes
 * n log n steps even as one word. A pair that has changed since it was put into the heap is passed
 * over when it comes out. */
#include "core/tokenizer_parts.h"
#include "core/unicode.h"

/* ---- a heap of rank << 32 | place of the left symbol: the least one on top ---- */

typedef struct {
    mc_encoder *e;
    size_t n;
} pair_heap;

static bool heap_push(pair_heap *heap, uint64_t key)
{
    mc_encoder *e = heap->e;
    void *at = e->heap;
    const bool grown = mc_tok_grow(&at, &e->heap_room, heap->n + 1, sizeof *e->heap);
    e->heap = at;
    if (!grown) return false;
    size_t i = heap->n++;
    for (; i > 0 && e->heap[(i - 1) / 2] > key; i = (i - 1) / 2) e->heap[i] = e->heap[(i - 1) / 2];
    e->heap[i] = key;
    return true;
}

static uint64_t heap_pop(pair_heap *heap)
{
    uint64_t *key = heap->e->heap;
    const uint64_t top = key[0], last = key[--heap->n];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < heap->n; i = child) {
        if (child + 1 < heap->n && key[child + 1] < key[child]) child++;
        if (key[child] >= last) break;
        key[i] = key[child];
    }
    key[i] = last;
    return top;
}

/* ---- symbols ---- */

static mc_status no_room(mc_encoder *e)
{
    return mc_no_room(e->err, "a text that is being encoded");
}

static bool add_symbol(mc_encoder *e, size_t *n, int32_t id)
{
    void *at = e->symbol;
    const bool grown = mc_tok_grow(&at, &e->symbol_room, *n + 1, sizeof *e->symbol);
    e->symbol = at;
    if (!grown) return false;
    e->symbol[*n] = (mc_bpe_symbol){id, (int32_t)*n - 1, (int32_t)*n + 1};
    ++*n;
    return true;
}

/* The bytes of a character as tokens of their own; false when one of them is missing. */
static bool has_bytes(const mc_tok_model *m, mc_span character)
{
    for (size_t i = 0; i < character.n; i++)
        if (m->byte_id[(unsigned char)character.at[i]] == MC_TOK_NONE) return false;
    return m->byte_fallback;
}

/* Characters that are no tokens: bytes if there are such tokens, else the unknown token, which
 * waits for the next known character when unknown ones are fused; bytes overtake it. */
static mc_status first_symbols(mc_encoder *e, mc_span word, size_t *n)
{
    const mc_tok_model *m = &e->t->model;
    bool waits = false, done = true;
    for (size_t i = 0, bytes; i < word.n && done; i += bytes) {
        uint32_t c;
        bytes = mc_utf8_at(word.at + i, &c);
        const mc_span character = {word.at + i, bytes};
        const int32_t id = mc_tok_vocab_find(&m->vocab, character);
        if (id != MC_TOK_NONE) {
            done = !waits || add_symbol(e, n, m->unk);
            done = done && add_symbol(e, n, id);
            waits = false;
        } else if (has_bytes(m, character)) {
            for (size_t b = 0; b < bytes && done; b++)
                done = add_symbol(e, n, m->byte_id[(unsigned char)character.at[b]]);
        } else if (m->unk_token.at) {
            if (m->unk == MC_TOK_NONE)
                return mc_fail(e->err, MC_E_FORMAT,
                               "the tokenizer's unknown token \"%.*s\" is not in its vocabulary",
                               MC_TOK_SPAN(m->unk_token));
            done = !waits || m->fuse_unk || add_symbol(e, n, m->unk);
            waits = true;
        }
    }
    if (done && waits) done = add_symbol(e, n, m->unk);
    return done ? MC_OK : no_room(e);
}

/* ---- merging ---- */

static bool push_pair(pair_heap *heap, int32_t left)
{
    const mc_bpe_symbol *symbol = heap->e->symbol;
    const int32_t right = symbol[left].next;
    const mc_tok_merge *merge =
        mc_tok_merges_find(&heap->e->t->model.merges, symbol[left].id, symbol[right].id);
    return !merge || heap_push(heap, (uint64_t)merge->rank << 32 | (uint32_t)left);
}

/* Joins the pair that begins at `left` if it still is the one that was put into the heap. */
static bool join(pair_heap *heap, int32_t left, int32_t id, int32_t end)
{
    mc_bpe_symbol *symbol = heap->e->symbol;
    const int32_t right = symbol[left].next;
    if (symbol[left].id == MC_TOK_NONE || right == end) return true;
    const mc_tok_merge *merge =
        mc_tok_merges_find(&heap->e->t->model.merges, symbol[left].id, symbol[right].id);
    if (!merge || merge->id != id) return true;

    symbol[left].id = id;
    symbol[left].next = symbol[right].next;
    symbol[right].id = MC_TOK_NONE;
    if (symbol[left].next != end) symbol[symbol[left].next].previous = left;
    if (symbol[left].previous >= 0 && !push_pair(heap, symbol[left].previous)) return false;
    return symbol[left].next == end || push_pair(heap, left);
}

mc_status mc_tok_bpe(mc_encoder *e, mc_span word)
{
    const mc_tok_model *m = &e->t->model;
    if (m->ignore_merges) {
        const int32_t id = mc_tok_vocab_find(&m->vocab, word);
        if (id != MC_TOK_NONE) return mc_ids_add(&e->ids, id) ? MC_OK : no_room(e);
    }
    size_t n = 0;
    MC_TRY(first_symbols(e, word, &n));

    pair_heap heap = {.e = e};
    bool done = true;
    for (size_t i = 0; i + 1 < n && done; i++) done = push_pair(&heap, (int32_t)i);
    while (heap.n > 0 && done) {
        const uint64_t top = heap_pop(&heap);
        done = join(&heap, (int32_t)(uint32_t)top, m->merges.id_of_rank[top >> 32], (int32_t)n);
    }
    for (size_t i = 0; i < n && done; i++)
        if (e->symbol[i].id != MC_TOK_NONE) done = mc_ids_add(&e->ids, e->symbol[i].id);
    return done ? MC_OK : no_room(e);
}
