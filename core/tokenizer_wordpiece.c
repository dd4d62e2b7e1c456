/* WordPiece (Schuster and Nakajima 2012, as BERT uses it): the longest token that a word begins
 * with, then the longest continuing one of what is left; a word that cannot be covered is unknown
 * as a whole. */
#include "core/tokenizer_parts.h"
#include "core/unicode.h"

static size_t characters_of(mc_span text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) n += ((unsigned char)text.at[i] & 0xc0u) != 0x80u;
    return n;
}

/* The longest token at the front of `rest`, its bytes in *bytes; or MC_TOK_NONE. */
static int32_t longest(const mc_tok_model *m, mc_span rest, bool continues, size_t *bytes)
{
    const mc_span prefix = continues ? m->prefix : (mc_span){0};
    size_t end = rest.n;
    if (end + prefix.n > m->longest) {
        end = m->longest > prefix.n ? m->longest - prefix.n : 0;
        while (end > 0 && ((unsigned char)rest.at[end] & 0xc0u) == 0x80u) end--;
    }
    for (; end > 0; end -= mc_utf8_before(rest.at, end)) {
        *bytes = end;
        const int32_t id = mc_tok_vocab_find_behind(&m->vocab, prefix, (mc_span){rest.at, end});
        if (id != MC_TOK_NONE) return id;
    }
    return MC_TOK_NONE;
}

mc_status mc_tok_wordpiece(mc_encoder *e, mc_span word)
{
    const mc_tok_model *m = &e->t->model;
    const size_t before = e->ids.n;
    bool covered = characters_of(word) <= m->max_word, done = true;
    for (size_t at = 0, bytes = 0; at < word.n && covered && done; at += bytes) {
        const int32_t id = longest(m, (mc_span){word.at + at, word.n - at}, at > 0, &bytes);
        covered = id != MC_TOK_NONE;
        done = !covered || mc_ids_add(&e->ids, id);
    }
    if (!covered) {
        e->ids.n = before;
        if (m->unk == MC_TOK_NONE)
            return mc_fail(e->err, MC_E_FORMAT,
                           "the tokenizer's unknown token \"%.*s\" is not in its vocabulary",
                           MC_TOK_SPAN(m->unk_token));
        done = mc_ids_add(&e->ids, m->unk);
    }
    return done ? MC_OK : mc_no_room(e->err, "a text that is being encoded");
}
