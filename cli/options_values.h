/* Values on the command line: strict, free of the locale, and refused with the allowed ones named.
 * Each mc_set_… is an mc_option_set for the table. */
#ifndef MC_CLI_OPTIONS_VALUES_H
#define MC_CLI_OPTIONS_VALUES_H

#include "cli/options_table.h"

mc_option_set mc_set_true;      /* bool */
mc_option_set mc_set_count;     /* unsigned, how often it was given */
mc_option_set mc_set_choose;    /* an enum: the entry's `least` */
mc_option_set mc_set_text;      /* const char * */
mc_option_set mc_set_word;      /* an enum: 1 + the place of the word */
mc_option_set mc_set_unsigned;  /* unsigned, least..most */
mc_option_set mc_set_number;    /* uint64_t, least..most */
mc_option_set mc_set_seed;      /* the same, and says that it was given */
mc_option_set mc_set_data;
mc_option_set mc_set_size;      /* uint64_t, bytes */
mc_option_set mc_set_align;     /* uint32_t, a power of two, least..most */
mc_option_set mc_set_scheme;    /* `value` is "w4a8" */
mc_option_set mc_set_group;
mc_option_set mc_set_scale_dtype;
mc_option_set mc_set_levels;
mc_option_set mc_set_method;
mc_option_set mc_set_observer;
mc_option_set mc_set_preset;
mc_option_set mc_set_explain;
mc_option_set mc_set_merge;
mc_option_set mc_set_kv_window;
mc_option_set mc_set_target;
mc_option_set mc_set_bits;
mc_option_set mc_set_keep;
mc_option_set mc_set_require;

/* Decimal digits and nothing else, up to `most`. */
bool mc_parse_u64(const char *text, uint64_t most, uint64_t *value);

/* 65536, 64K = 64KiB, 2M = 2MiB, 1G = 1GiB, 1T = 1TiB, and kB, MB, GB, TB for powers of 1000.
 * False when it is no size; `*fits` is false when it is one of more than 64 bits. */
bool mc_parse_size(const char *text, uint64_t *bytes, bool *fits);

/* "1", "1.58", "2" … "8" (and "16" when `keep`); 0 for anything else. */
double mc_parse_bits(const char *text, size_t length, bool keep);

#endif
