/* Tables of tokens and merges: open addressing with steps of one. A file could choose tokens that
 * fall on one place; then it is refused, so that neither reading nor encoding becomes slow. */
#include "core/tokenizer_parts.h"

#include <string.h>

enum { MAX_STEPS = 1024 };

static const uint64_t factor = 0x9e3779b97f4a7c15u;

/* FNV-1a, with the prefix in front. */
static uint64_t hash_on(uint64_t h, mc_span text)
{
    for (size_t i = 0; i < text.n; i++) h = (h ^ (unsigned char)text.at[i]) * 0x100000001b3u;
    return h;
}

static uint64_t hash_of(mc_span prefix, mc_span text)
{
    const uint64_t h = hash_on(hash_on(0xcbf29ce484222325u, prefix), text) * factor;
    return h ^ h >> 32;
}

static uint64_t hash_pair(uint64_t pair)
{
    pair = (pair ^ pair >> 31) * factor;
    return pair ^ pair >> 32;
}

/* At least twice the entries, a power of two. */
static size_t slots_for(size_t count)
{
    size_t slots = 16;
    while (slots < 2 * count) slots *= 2;
    return slots;
}

/* ---- tokens ---- */

mc_status mc_tok_vocab_open(mc_tok_vocab *v, size_t size, size_t count, mc_arena *mem, mc_err *err)
{
    *v = (mc_tok_vocab){.size = size, .slots = slots_for(count)};
    v->token = MC_NEW(mem, mc_span, size);
    v->slot = MC_NEW_RAW(mem, int32_t, v->slots);
    if (!v->token || !v->slot) return mc_no_room(err, "a vocabulary");
    for (size_t i = 0; i < v->slots; i++) v->slot[i] = MC_TOK_NONE;
    return MC_OK;
}

bool mc_tok_vocab_add(mc_tok_vocab *v, mc_span token, int32_t id)
{
    size_t at = (size_t)hash_of((mc_span){0}, token) & (v->slots - 1);
    size_t steps = 0;
    for (; v->slot[at] != MC_TOK_NONE; at = (at + 1) & (v->slots - 1))
        if (++steps == MAX_STEPS) return false;
    v->slot[at] = id;
    v->token[id] = token;
    v->count++;
    return true;
}

static bool is_joined(mc_span whole, mc_span prefix, mc_span rest)
{
    return whole.n == prefix.n + rest.n &&
           (prefix.n == 0 || memcmp(whole.at, prefix.at, prefix.n) == 0) &&
           (rest.n == 0 || memcmp(whole.at + prefix.n, rest.at, rest.n) == 0);
}

int32_t mc_tok_vocab_find_behind(const mc_tok_vocab *v, mc_span prefix, mc_span token)
{
    size_t at = (size_t)hash_of(prefix, token) & (v->slots - 1);
    for (; v->slot[at] != MC_TOK_NONE; at = (at + 1) & (v->slots - 1))
        if (is_joined(v->token[v->slot[at]], prefix, token)) return v->slot[at];
    return MC_TOK_NONE;
}

int32_t mc_tok_vocab_find(const mc_tok_vocab *v, mc_span token)
{
    return mc_tok_vocab_find_behind(v, (mc_span){0}, token);
}

/* ---- merges ---- */

mc_status mc_tok_merges_open(mc_tok_merges *m, size_t count, mc_arena *mem, mc_err *err)
{
    *m = (mc_tok_merges){.slots = slots_for(count), .ranks = count};
    m->slot = MC_NEW_RAW(mem, mc_tok_merge, m->slots);
    m->id_of_rank = MC_NEW(mem, int32_t, count);
    if (!m->slot || !m->id_of_rank) return mc_no_room(err, "merges");
    for (size_t i = 0; i < m->slots; i++) m->slot[i].pair = UINT64_MAX;
    return MC_OK;
}

/* Ids are below 2^22, so no pair looks like a free slot. */
static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

/* The place of the pair or the free one where it belongs. */
static size_t place_of(const mc_tok_merges *m, uint64_t pair, size_t *steps)
{
    size_t at = (size_t)hash_pair(pair) & (m->slots - 1);
    for (*steps = 0; m->slot[at].pair != UINT64_MAX && m->slot[at].pair != pair; ++*steps)
        at = (at + 1) & (m->slots - 1);
    return at;
}

bool mc_tok_merges_add(mc_tok_merges *m, int32_t left, int32_t right, uint32_t rank, int32_t id)
{
    const uint64_t pair = pair_of(left, right);
    size_t steps;
    const size_t at = place_of(m, pair, &steps);
    if (steps >= MAX_STEPS) return false;
    m->slot[at] = (mc_tok_merge){pair, rank, id}; /* of two equal pairs the later one counts */
    m->id_of_rank[rank] = id;
    return true;
}

const mc_tok_merge *mc_tok_merges_find(const mc_tok_merges *m, int32_t left, int32_t right)
{
    size_t steps;
    const uint64_t pair = pair_of(left, right);
    const mc_tok_merge *found = &m->slot[place_of(m, pair, &steps)];
    return found->pair == pair ? found : NULL;
}
