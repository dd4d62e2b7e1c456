/* Added tokens are found in the text before anything else looks at it: at each place the longest
 * one, from left to right. The tokens are sorted, so that each further byte narrows a range. */
#include "core/tokenizer_parts.h"
#include "core/unicode.h"

#include <stdlib.h>
#include <string.h>

static int by_text(const void *a, const void *b)
{
    const mc_added *left = a, *right = b;
    const size_t n = left->text.n < right->text.n ? left->text.n : right->text.n;
    const int order = memcmp(left->text.at, right->text.at, n);
    return order != 0 ? order : (left->text.n > right->text.n) - (left->text.n < right->text.n);
}

mc_status mc_added_sort(const mc_tok_reader *r, mc_added_set *set)
{
    if (set->n == 0) return MC_OK;
    qsort(set->token, set->n, sizeof *set->token, by_text);
    for (size_t i = 0; i < set->n; i++) {
        const mc_added *token = &set->token[i];
        set->first_byte[(unsigned char)token->text.at[0]] = true;
        if (i == 0 || by_text(token - 1, token) != 0) continue;
        return mc_fail(r->err, MC_E_FORMAT,
                       "%s: added tokens %d and %d are the same text, \"%.*s\"", r->name,
                       (int)token[-1].id, (int)token->id, MC_TOK_SPAN(token->text));
    }
    return MC_OK;
}

/* The first of token[low..high) whose byte at `depth` is at least `byte`; all are longer. */
static size_t first_from(const mc_added_set *set, size_t low, size_t high, size_t depth,
                         unsigned byte)
{
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if ((unsigned char)set->token[middle].text.at[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest token that text[at..] begins with, or NULL. */
static const mc_added *longest_at(const mc_added_set *set, mc_span text, size_t at)
{
    const mc_added *best = NULL;
    size_t low = 0, high = set->n;
    for (size_t depth = 0; at + depth < text.n; depth++) {
        if (low < high && set->token[low].text.n == depth) low++; /* ends here, was seen */
        const unsigned byte = (unsigned char)text.at[at + depth];
        low = first_from(set, low, high, depth, byte);
        high = first_from(set, low, high, depth, byte + 1);
        if (low == high) break;
        if (set->token[low].text.n == depth + 1) best = &set->token[low];
    }
    return best;
}

static bool is_single_word(mc_span text, size_t start, size_t stop)
{
    uint32_t c;
    if (start > 0) {
        mc_utf8_at(text.at + start - mc_utf8_before(text.at, start), &c);
        if (mc_is_word(c)) return false;
    }
    if (stop == text.n) return true;
    mc_utf8_at(text.at + stop, &c);
    return !mc_is_word(c);
}

/* Where space before `at` begins, not before `floor`. */
static size_t space_before(mc_span text, size_t at, size_t floor)
{
    while (at > floor) {
        uint32_t c;
        const size_t n = mc_utf8_before(text.at, at);
        mc_utf8_at(text.at + at - n, &c);
        if (!mc_is_space(c)) break;
        at -= n;
    }
    return at > floor ? at : floor;
}

/* Where space from `at` on ends. The last run is kept, so that tokens that are space themselves do
 * not look at a long run again and again. */
static size_t space_behind(mc_span text, size_t at, mc_span *run)
{
    const char *from = text.at + at;
    if (run->at && from >= run->at && from <= run->at + run->n)
        return (size_t)(run->at + run->n - text.at);
    size_t end = at;
    while (end < text.n) {
        uint32_t c;
        const size_t n = mc_utf8_at(text.at + end, &c);
        if (!mc_is_space(c)) break;
        end += n;
    }
    *run = (mc_span){from, end - at};
    return end;
}

mc_status mc_added_cut(mc_encoder *e, const mc_added_set *set, mc_span text, mc_between *between)
{
    size_t kept = 0; /* everything before it is done */
    mc_span run = {0};
    for (size_t at = 0; at < text.n && set->n > 0;) {
        const mc_added *token =
            set->first_byte[(unsigned char)text.at[at]] ? longest_at(set, text, at) : NULL;
        if (!token) {
            at++;
            continue;
        }
        size_t start = at, stop = at + token->text.n;
        at = stop;
        if (token->special && !e->t->take_special) continue;
        if (token->single_word && !is_single_word(text, start, stop)) continue;
        if (token->lstrip) start = space_before(text, start, kept);
        if (token->rstrip) stop = space_behind(text, stop, &run);
        if (kept < start) MC_TRY(between(e, (mc_span){text.at + kept, start - kept}, kept == 0));
        if (!mc_ids_add(&e->ids, token->id)) return mc_no_room(e->err, "token ids");
        kept = stop; /* may lie before what the last one took: so does the reference */
    }
    if (kept == text.n) return MC_OK;
    return between(e, (mc_span){text.at + kept, text.n - kept}, kept == 0);
}
