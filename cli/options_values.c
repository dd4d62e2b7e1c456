/* The values of options. Numbers are read digit by digit: strtod and strtoul skip blanks, take
 * signs and follow the locale. */
#include "cli/options_values.h"

#include "calib/observe.h"
#include "cli/presets.h"

#include "core/ckd.h"
#include "core/levels.h"
#include "formats/target.h"
#include "quant/chain.h"
#include "verify/report.h"

#include <assert.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#define BITS_ALLOWED "1, 1.58, 2 to 8"

static void *field_of(const mc_option *option, mc_option_sink *to)
{
    return (unsigned char *)to->out + option->field;
}

static mc_status refuse(const mc_option *option, const char *value, const char *allowed,
                        mc_err *err)
{
    char text[MC_OPTION_TEXT];
    return mc_fail(err, MC_E_USAGE, "%s %s: allowed: %s", mc_option_text(option, text), value,
                   allowed);
}

static mc_status refuse_word(const mc_option *option, const char *value, mc_err *err)
{
    char words[1024];
    mc_option_words(option, words, sizeof words);
    return refuse(option, value, words, err);
}

/* ---- numbers ---- */

/* Digits from `*text` on, which is left behind the last one. */
static bool take_digits(const char **text, uint64_t *value, bool *fits)
{
    const char *at = *text;
    *value = 0;
    *fits = true;
    for (; *at >= '0' && *at <= '9'; at++)
        if (!mc_mul_u64(*value, 10, value) || !mc_add_u64(*value, (uint64_t)(*at - '0'), value))
            *fits = false;
    const bool any = at != *text;
    *text = at;
    return any;
}

bool mc_parse_u64(const char *text, uint64_t most, uint64_t *value)
{
    bool fits;
    return take_digits(&text, value, &fits) && fits && *text == '\0' && *value <= most;
}

bool mc_parse_size(const char *text, uint64_t *bytes, bool *fits)
{
    static const struct {
        const char *name;
        uint64_t factor;
    } units[] = {
        {"", 1},
        {"B", 1},
        {"K", UINT64_C(1) << 10},
        {"KiB", UINT64_C(1) << 10},
        {"M", UINT64_C(1) << 20},
        {"MiB", UINT64_C(1) << 20},
        {"G", UINT64_C(1) << 30},
        {"GiB", UINT64_C(1) << 30},
        {"T", UINT64_C(1) << 40},
        {"TiB", UINT64_C(1) << 40},
        {"kB", 1000},
        {"MB", 1000000},
        {"GB", 1000000000},
        {"TB", UINT64_C(1000000000000)},
    };

    if (!take_digits(&text, bytes, fits)) return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(text, units[i].name) != 0) continue;
        *fits = *fits && mc_mul_u64(*bytes, units[i].factor, bytes);
        return true;
    }
    return false;
}

double mc_parse_bits(const char *text, size_t length, bool keep)
{
    static const struct {
        const char *name;
        double bits;
    } known[] = {{"1", 1}, {"1.58", 1.58}, {"2", 2}, {"3", 3}, {"4", 4},
                 {"5", 5}, {"6", 6},       {"7", 7}, {"8", 8}, {"16", 16}};

    const size_t n = sizeof known / sizeof known[0] - (keep ? 0 : 1);
    for (size_t i = 0; i < n; i++)
        if (strlen(known[i].name) == length && memcmp(known[i].name, text, length) == 0)
            return known[i].bits;
    return 0;
}

/* ---- plain kinds ---- */

mc_status mc_set_true(const mc_option *option, const char *value, mc_option_sink *to, mc_err *err)
{
    (void)value;
    (void)err;
    *(bool *)field_of(option, to) = true;
    return MC_OK;
}

mc_status mc_set_count(const mc_option *option, const char *value, mc_option_sink *to, mc_err *err)
{
    (void)value;
    (void)err;
    ++*(unsigned *)field_of(option, to);
    return MC_OK;
}

/* Enums without negative values have the size of an int; their bytes are copied, not aliased. */
static void store_enum(const mc_option *option, mc_option_sink *to, uint64_t value)
{
    static_assert(sizeof(mc_symmetry) == sizeof(unsigned), "an enum is as wide as an int");
    const unsigned narrow = (unsigned)value;
    memcpy(field_of(option, to), &narrow, sizeof narrow);
}

mc_status mc_set_choose(const mc_option *option, const char *value, mc_option_sink *to, mc_err *err)
{
    (void)value;
    unsigned before;
    memcpy(&before, field_of(option, to), sizeof before);
    store_enum(option, to, option->least);
    if (before == 0 || before == option->least) return MC_OK;

    for (size_t i = 0;; i++) { /* the one that was given before */
        const mc_option *other = mc_option_at(i);
        assert(other);
        if (other->set != mc_set_choose || other->field != option->field || other == option)
            continue;
        return mc_fail(err, MC_E_USAGE, "--%s and --%s contradict each other", other->name,
                       option->name);
    }
}

mc_status mc_set_text(const mc_option *option, const char *value, mc_option_sink *to, mc_err *err)
{
    (void)err;
    *(const char **)field_of(option, to) = value;
    return MC_OK;
}

mc_status mc_set_word(const mc_option *option, const char *value, mc_option_sink *to, mc_err *err)
{
    char room[MC_OPTION_WORD];
    const char *word;
    for (size_t i = 0; (word = mc_option_word(option, i, room)); i++) {
        if (strcmp(word, value) != 0) continue;
        store_enum(option, to, i + 1);
        return MC_OK;
    }
    return refuse_word(option, value, err);
}

static mc_status parse_number(const mc_option *option, const char *value, uint64_t *number,
                              mc_err *err)
{
    if (mc_parse_u64(value, option->most, number) && *number >= option->least) return MC_OK;
    char allowed[48];
    snprintf(allowed, sizeof allowed, "%llu to %llu", (unsigned long long)option->least,
             (unsigned long long)option->most);
    return refuse(option, value, allowed, err);
}

mc_status mc_set_unsigned(const mc_option *option, const char *value, mc_option_sink *to,
                          mc_err *err)
{
    uint64_t number;
    MC_TRY(parse_number(option, value, &number, err));
    *(unsigned *)field_of(option, to) = (unsigned)number;
    return MC_OK;
}

mc_status mc_set_number(const mc_option *option, const char *value, mc_option_sink *to, mc_err *err)
{
    return parse_number(option, value, field_of(option, to), err);
}

mc_status mc_set_seed(const mc_option *option, const char *value, mc_option_sink *to, mc_err *err)
{
    to->out->seeded = true;
    return mc_set_number(option, value, to, err);
}

mc_status mc_set_size(const mc_option *option, const char *value, mc_option_sink *to, mc_err *err)
{
    uint64_t bytes;
    bool fits;
    if (!mc_parse_size(value, &bytes, &fits))
        return refuse(option, value, "a number of bytes such as 65536, 64KiB, 2MiB or 1GiB", err);
    if (!fits) return refuse(option, value, "less than 2^64 bytes", err);
    if (bytes == 0) return refuse(option, value, "1 byte or more", err);
    *(uint64_t *)field_of(option, to) = bytes;
    return MC_OK;
}

mc_status mc_set_align(const mc_option *option, const char *value, mc_option_sink *to, mc_err *err)
{
    uint64_t n;
    const bool ok = mc_parse_u64(value, option->most, &n) && n >= option->least && !(n & (n - 1));
    if (!ok) return refuse(option, value, "a power of two, 64 to 4096", err);
    *(uint32_t *)field_of(option, to) = (uint32_t)n;
    return MC_OK;
}

/* ---- the scheme ---- */

/* 4, 8 or 16 at `*at`, which is left behind it; 0 and a message for anything else. */
static unsigned take_width(const char *scheme, const char **at, const char *what, mc_err *err)
{
    const size_t length = strspn(*at, "0123456789");
    const unsigned allowed[] = {4, 8, 16};
    for (size_t i = 0; i < 3; i++) {
        char name[4];
        snprintf(name, sizeof name, "%u", allowed[i]);
        if (strlen(name) != length || memcmp(name, *at, length) != 0) continue;
        *at += length;
        return allowed[i];
    }
    mc_fail(err, MC_E_USAGE, "--%s: %s bits %.*s, allowed: 4, 8, 16", scheme, what,
            length ? (int)length : 7, length ? *at : "missing");
    return 0;
}

mc_status mc_set_scheme(const mc_option *option, const char *value, mc_option_sink *to, mc_err *err)
{
    (void)option;
    mc_options *out = to->out;
    const char *at = value + 1;
    const size_t length = strspn(at, "0123456789.");
    out->weight_bits = mc_parse_bits(at, length, false);
    if (out->weight_bits == 0.0)
        return mc_fail(err, MC_E_USAGE, "--%s: weight bits %.*s, allowed: " BITS_ALLOWED, value,
                       (int)length, at);

    at += length;
    if (*at == 'a') {
        at++;
        out->activation_bits = take_width(value, &at, "activation", err);
        if (!out->activation_bits) return MC_E_USAGE;
        if (strncmp(at, "kv", 2) == 0) {
            at += 2;
            out->kv_bits = take_width(value, &at, "KV cache", err);
            if (!out->kv_bits) return MC_E_USAGE;
        }
    }
    if (*at == '\0') return MC_OK;
    return mc_fail(err, MC_E_USAGE, "--%s: '%s' is too much, expected --wX, --wXaY or --wXaYkvZ",
                   value, at);
}

mc_status mc_set_group(const mc_option *option, const char *value, mc_option_sink *to, mc_err *err)
{
    mc_options *out = to->out;
    if (strcmp(value, "channel") == 0) {
        out->group_kind = MC_GROUP_CHANNEL;
    } else if (strcmp(value, "tensor") == 0) {
        out->group_kind = MC_GROUP_TENSOR;
    } else if (mc_parse_u64(value, option->most, &out->group) && out->group >= option->least) {
        out->group_kind = MC_GROUP_SIZE;
    } else {
        return refuse(option, value, "1 to 4294967295, channel, tensor", err);
    }
    return MC_OK;
}

/* "k6x8": sub-scales of 4..8 bits, 2..256 groups under a super-scale. */
static bool parse_two_level(const char *text, unsigned *bits, unsigned *super)
{
    uint64_t b, g;
    bool fits;
    if (*text++ != 'k' || !take_digits(&text, &b, &fits) || !fits || b < 4 || b > 8) return false;
    if (*text++ != 'x' || !mc_parse_u64(text, 256, &g) || g < 2) return false;
    *bits = (unsigned)b;
    *super = (unsigned)g;
    return true;
}

mc_status mc_set_scale_dtype(const mc_option *option, const char *value, mc_option_sink *to,
                             mc_err *err)
{
    static const struct {
        const char *name;
        mc_dtype dtype;
        bool tensor_scaled;
    } known[] = {{"f16", MC_F16, false},      {"bf16", MC_BF16, false},
                 {"f32", MC_F32, false},      {"e8m0", MC_F8_E8M0, false},
                 {"e4m3", MC_F8_E4M3, false}, {"e4m3xf32", MC_F8_E4M3, true}};

    mc_options *out = to->out;
    out->tensor_scaled = false;
    out->sub_bits = out->super = 0;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(value, known[i].name) != 0) continue;
        out->scale_dtype = known[i].dtype;
        out->tensor_scaled = known[i].tensor_scaled;
        return MC_OK;
    }
    if (!parse_two_level(value, &out->sub_bits, &out->super))
        return refuse(option, value,
                      "f16, bf16, f32, e8m0, e4m3, e4m3xf32, or kBxG with B 4 to 8 and G 2 to 256",
                      err);
    out->scale_dtype = MC_F16;
    return MC_OK;
}

/* ---- names of other tables ---- */

mc_status mc_set_levels(const mc_option *option, const char *value, mc_option_sink *to, mc_err *err)
{
    const mc_levels *levels = mc_levels_find(value);
    if (!levels || !levels->value) return refuse_word(option, value, err);
    to->out->levels = levels->name;
    return MC_OK;
}

mc_status mc_set_method(const mc_option *option, const char *value, mc_option_sink *to, mc_err *err)
{
    mc_chain chain;
    if (strcmp(value, "auto") != 0 && mc_chain_parse(value, &chain, err) != MC_OK)
        return mc_wrap(err, "--%s", option->name);
    return mc_set_text(option, value, to, err);
}

mc_status mc_set_kv_window(const mc_option *option, const char *value, mc_option_sink *to,
                           mc_err *err)
{
    to->out->kv_windowed = true;
    return mc_set_number(option, value, to, err);
}

mc_status mc_set_preset(const mc_option *option, const char *value, mc_option_sink *to, mc_err *err)
{
    if (!mc_preset_find(value)) return refuse_word(option, value, err);
    return mc_set_text(option, value, to, err);
}

mc_status mc_set_observer(const mc_option *option, const char *value, mc_option_sink *to,
                          mc_err *err)
{
    mc_observe_setup setup;
    if (mc_observe_setup_parse(value, &setup, err) != MC_OK)
        return mc_wrap(err, "--%s", option->name);
    return mc_set_text(option, value, to, err);
}

mc_status mc_set_target(const mc_option *option, const char *value, mc_option_sink *to, mc_err *err)
{
    if (!mc_target_find(value)) return refuse_word(option, value, err);
    return mc_set_text(option, value, to, err);
}

/* ---- lists ---- */

enum { MOST_COPIES = 1024, LONGEST_PATTERN = 1024 };

/* The largest number up to the closing brace, at least 1. */
static uint64_t most_in_braces(const char *p)
{
    uint64_t most = 1, n = 0;
    for (; *p && *p != '}'; p++) {
        const bool digit = *p >= '0' && *p <= '9';
        n = digit && n <= MOST_COPIES ? n * 10 + (uint64_t)(*p - '0') : 0;
        if (n > most) most = n;
    }
    return most;
}

/* Why the pattern would cost more than a pattern may, or NULL. The system's compiler copies what is
 * repeated: once for "+", n times for "{n}", and copies of copies when they nest; what repetitions
 * in a row mean POSIX leaves open. Names of tensors need little of either. */
static const char *too_costly(const char *pattern)
{
    uint64_t copies = 1;
    bool repeated = false;
    if (strlen(pattern) > LONGEST_PATTERN) return "it is longer than 1024 bytes";
    for (const char *p = pattern; *p && copies <= MOST_COPIES; p++) {
        const bool repeats = *p == '*' || *p == '+' || *p == '?' || *p == '{';
        if (repeats && repeated) return "two repetitions in a row";
        repeated = repeats && *p != '{';
        if (*p == '+') copies *= 2;
        if (*p == '{') copies *= most_in_braces(p + 1);
        if (*p == '}') repeated = true;
        if (*p == '\\' && p[1]) p++;
    }
    return copies > MOST_COPIES ? "its repetitions multiply beyond 1024" : NULL;
}

/* Compiled and thrown away: a bad pattern shall be refused before any work begins. */
static mc_status check_pattern(const mc_option *option, const char *pattern, mc_err *err)
{
    const char *costly = too_costly(pattern);
    if (costly) return mc_fail(err, MC_E_USAGE, "--%s %s: %s", option->name, pattern, costly);

    regex_t compiled;
    const int bad = regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB);
    if (bad == 0) {
        regfree(&compiled);
        return MC_OK;
    }
    char reason[128];
    regerror(bad, &compiled, reason, sizeof reason);
    return mc_fail(err, MC_E_USAGE, "--%s %s: %s", option->name, pattern, reason);
}

/* Puts `value` behind the last entry of a list of texts. */
static mc_status append(const char *const **list, size_t *n, const char *value, mc_option_sink *to,
                        mc_err *err)
{
    const char **room = (const char **)*list; /* the same memory, made below */
    if (!room) {
        room = MC_NEW(to->mem, const char *, to->most);
        if (!room) return mc_no_room(err, "the command line");
        *list = room;
    }
    room[(*n)++] = value;
    return MC_OK;
}

mc_status mc_set_keep(const mc_option *option, const char *value, mc_option_sink *to, mc_err *err)
{
    MC_TRY(check_pattern(option, value, err));
    return append(&to->out->keep, &to->out->keeps, value, to, err);
}

mc_status mc_set_explain(const mc_option *option, const char *value, mc_option_sink *to,
                         mc_err *err)
{
    (void)option;
    return append(&to->out->explain, &to->out->explains, value, to, err);
}

mc_status mc_set_merge(const mc_option *option, const char *value, mc_option_sink *to, mc_err *err)
{
    (void)option;
    return append(&to->out->merge, &to->out->merges, value, to, err);
}

/* Letters, digits, '-' and '_' before '=' are a name: "test=eval.npz". */
static size_t name_length(const char *value)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    const size_t n = strspn(value, allowed);
    return value[n] == '=' ? n : 0;
}

mc_status mc_set_data(const mc_option *option, const char *value, mc_option_sink *to, mc_err *err)
{
    mc_options *o = to->out;
    const size_t n = name_length(value);
    const mc_data_name data = {.name = mc_copy_text(to->mem, value, n),
                               .path = n ? value + n + 1 : value};
    if (!o->data) o->data = MC_NEW(to->mem, mc_data_name, to->most);
    if (!o->data || !data.name) return mc_no_room(err, "the command line");
    if (!data.path[0]) return refuse(option, value, "a file or folder, or NAME=FILE", err);
    for (size_t i = 0; i < o->datas; i++)
        if (strcmp(o->data[i].name, data.name) == 0)
            return mc_fail(err, MC_E_USAGE, "--%s %s: %s; several data sets need a name each",
                           option->name, value, n ? "the name is taken" : "has no name");
    ((mc_data_name *)o->data)[o->datas++] = data;
    return MC_OK;
}

mc_status mc_set_require(const mc_option *option, const char *value, mc_option_sink *to,
                         mc_err *err)
{
    mc_gate gate;
    mc_arena scratch = *to->mem;
    if (mc_gate_parse(value, &scratch, &gate, err) != MC_OK)
        return mc_wrap(err, "--%s", option->name);
    return append(&to->out->require, &to->out->requires, value, to, err);
}

mc_status mc_set_bits(const mc_option *option, const char *value, mc_option_sink *to, mc_err *err)
{
    const char *split = strrchr(value, '=');
    if (!split)
        return mc_fail(err, MC_E_USAGE, "--%s %s: no '=', expected REGEX=N", option->name, value);
    const double bits = mc_parse_bits(split + 1, strlen(split + 1), true);
    if (bits == 0.0)
        return mc_fail(err, MC_E_USAGE, "--%s %s: bits %s, allowed: " BITS_ALLOWED ", 16",
                       option->name, value, split[1] ? split + 1 : "missing");

    mc_options *out = to->out;
    mc_bits_rule *room = (mc_bits_rule *)out->bits; /* the same memory, made below */
    if (!room) room = MC_NEW(to->mem, mc_bits_rule, to->most);
    char *pattern = mc_copy_text(to->mem, value, (size_t)(split - value));
    if (!room || !pattern) return mc_no_room(err, "the command line");
    MC_TRY(check_pattern(option, pattern, err));
    room[out->bits_rules++] = (mc_bits_rule){.pattern = pattern, .bits = bits};
    out->bits = room;
    return MC_OK;
}
