/* Reading "name:key=value,…" against the table of a family. Nothing is copied: names and pairs
 * are pieces of the text, which need not end with a NUL. */
#include "core/setup.h"

#include "core/nearest.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A piece of the text that is being parsed. */
typedef struct {
    const char *at;
    size_t length;
} span;

static bool span_is(span s, const char *word)
{
    return strlen(word) == s.length && memcmp(word, s.at, s.length) == 0;
}

/* Takes the piece up to `end`, and `end` itself, off the text; false, and all of it, when there is
 * no such end. */
static bool next_until(span *text, char end, span *piece)
{
    const char *found = memchr(text->at, end, text->length);
    *piece = (span){text->at, found ? (size_t)(found - text->at) : text->length};
    const size_t taken = piece->length + (found != NULL);
    *text = (span){text->at + taken, text->length - taken};
    return found != NULL;
}

/* ---- messages that help ---- */

/* Words to choose from: the nearest of them, and all of them as a list. */
typedef struct {
    mc_nearest nearest;
    char list[512];
} choices;

static void offer(choices *c, const char *word)
{
    const size_t length = strlen(c->list);
    snprintf(c->list + length, sizeof c->list - length, "%s%s", length ? ", " : "", word);
    mc_nearest_offer(&c->nearest, word);
}

/* "…; did you mean "mse"? (rtn, mse, …)": a suggestion only when it is closer than a guess. */
static mc_status fail_choice(const choices *c, const char *what, mc_err *err)
{
    const mc_nearest *wanted = &c->nearest;
    const int length = wanted->length > 64 ? 64 : (int)wanted->length;
    const char *near = mc_nearest_best(wanted);
    if (near)
        return mc_fail(err, MC_E_USAGE, "%s \"%.*s\"; did you mean \"%s\"? (known: %s)", what,
                       length, wanted->text, near, c->list);
    return mc_fail(err, MC_E_USAGE, "%s \"%.*s\" (known: %s)", what, length, wanted->text, c->list);
}

static mc_status fail_member(const mc_setup_family *family, span name, mc_err *err)
{
    choices c = {.nearest = {.text = name.at, .length = name.length}};
    mc_setup_member member;
    for (size_t i = 0; family->at(i, &member); i++) offer(&c, member.name);
    char what[64];
    snprintf(what, sizeof what, "there is no %s", family->kind);
    return fail_choice(&c, what, err);
}

size_t mc_setup_count(const mc_setup_param *params)
{
    size_t n = 0;
    while (n < MC_SETUP_PARAMS && params[n].key) n++;
    return n;
}

static mc_status fail_param(const mc_setup_param *params, span key, mc_err *err)
{
    const size_t n = mc_setup_count(params);
    if (n == 0)
        return mc_fail(err, MC_E_USAGE, "it takes no parameters, found \"%.*s\"",
                       key.length > 64 ? 64 : (int)key.length, key.at);

    choices c = {.nearest = {.text = key.at, .length = key.length}};
    for (size_t i = 0; i < n; i++) offer(&c, params[i].key);
    return fail_choice(&c, "there is no parameter", err);
}

/* ---- parsing ---- */

/* Decimal digits with an optional point and sign. Not strtod, which follows the locale. At most 15
 * digits, so that digits and power of ten are exact and the quotient is the nearest double. */
static bool parse_number(span s, double *value)
{
    double digits = 0.0, power = 1.0;
    size_t count = 0, i = 0;
    bool point = false;

    const bool minus = s.length > 0 && s.at[0] == '-';
    for (i = minus; i < s.length; i++) {
        const char c = s.at[i];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9' || ++count > 15) return false;
        digits = digits * 10.0 + (c - '0');
        if (point) power *= 10.0;
    }
    *value = (minus ? -digits : digits) / power;
    return count > 0;
}

static mc_status parse_param(const mc_setup_param *param, span value, double *out, mc_err *err)
{
    const int length = value.length > 64 ? 64 : (int)value.length;
    if (!parse_number(value, out))
        return mc_fail(err, MC_E_USAGE, "%s is \"%.*s\", must be a number from %g to %g",
                       param->key, length, value.at, param->least, param->most);
    if (!(*out >= param->least && *out <= param->most))
        return mc_fail(err, MC_E_USAGE, "%s is %.*s, must be %g to %g", param->key, length,
                       value.at, param->least, param->most);
    if (param->whole && *out != floor(*out))
        return mc_fail(err, MC_E_USAGE, "%s is %.*s, must be a whole number", param->key, length,
                       value.at);
    return MC_OK;
}

static mc_status parse_pair(const mc_setup_param *params, span pair, mc_setup *out, unsigned *seen,
                            mc_err *err)
{
    const char *equals = memchr(pair.at, '=', pair.length);
    const span key = {pair.at, equals ? (size_t)(equals - pair.at) : pair.length};

    for (size_t i = 0; i < mc_setup_count(params); i++) {
        if (!span_is(key, params[i].key)) continue;
        if (!equals)
            return mc_fail(err, MC_E_USAGE, "%s has no value, expected %s=NUMBER", params[i].key,
                           params[i].key);
        if (*seen & 1u << i) return mc_fail(err, MC_E_USAGE, "%s is given twice", params[i].key);
        *seen |= 1u << i;
        const span value = {equals + 1, pair.length - key.length - 1};
        return parse_param(&params[i], value, &out->param[i], err);
    }
    return fail_param(params, key, err);
}

static bool find(const mc_setup_family *family, span name, size_t *index, mc_setup_member *member)
{
    for (*index = 0; family->at(*index, member); ++*index)
        if (span_is(name, member->name)) return true;
    return false;
}

mc_status mc_setup_parse(const mc_setup_family *family, const char *text, size_t length,
                         mc_setup *out, mc_err *err)
{
    span rest = {text, length}, name, pair;
    mc_setup_member member;
    *out = (mc_setup){0};
    bool more = next_until(&rest, ':', &name);
    if (!find(family, name, &out->member, &member)) return fail_member(family, name, err);

    for (size_t i = 0; i < mc_setup_count(member.params); i++)
        out->param[i] = member.params[i].usual;

    unsigned seen = 0;
    while (more) {
        more = next_until(&rest, ',', &pair);
        if (parse_pair(member.params, pair, out, &seen, err) != MC_OK)
            return mc_wrap(err, "%s %s", family->kind, member.name);
    }
    return MC_OK;
}
