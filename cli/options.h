/* The command line. One table (options_table.c) holds every option: the parser, --help, the man
 * pages and the shell completions are made from it, so an option is added with one line there and
 * one field here. */
#ifndef MC_CLI_OPTIONS_H
#define MC_CLI_OPTIONS_H

#include "core/arena.h"
#include "core/dtype.h"
#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mc_command mc_command;

typedef enum { MC_SYM_UNSET, MC_SYM, MC_ASYM } mc_symmetry;
typedef enum {
    MC_SYM_GRID_UNSET,
    MC_SYM_GRID_FULL,
    MC_SYM_GRID_RESTRICTED,
    MC_SYM_GRID_POSITIVE
} mc_sym_grid;
typedef enum { MC_ZERO_UNSET, MC_ZERO_INTEGER, MC_ZERO_FLOAT } mc_zero_kind;

/* --group N | channel | tensor */
typedef enum { MC_GROUP_UNSET, MC_GROUP_SIZE, MC_GROUP_CHANNEL, MC_GROUP_TENSOR } mc_group_kind;

/* --bits REGEX=N */
typedef struct {
    const char *pattern; /* POSIX extended regular expression, matched anywhere in the name */
    double bits;         /* 1, 1.58, 2..8, or 16: keep */
} mc_bits_rule;

/* --data NAME=PATH; the name is "" when there is none */
typedef struct {
    const char *name, *path;
} mc_data_name;

/* --numerics */
typedef enum {
    MC_NUMERICS_UNSET,
    MC_NUMERICS_SAID_FLOAT,
    MC_NUMERICS_SAID_FAKE_QUANT,
    MC_NUMERICS_SAID_INTEGER
} mc_numerics_kind;

/* --sequential, --no-sequential; --act */
typedef enum { MC_SEQUENCE_UNSET, MC_SEQUENCE_YES, MC_SEQUENCE_NO } mc_sequence_kind;
typedef enum { MC_ACT_KIND_UNSET, MC_ACT_KIND_DYNAMIC, MC_ACT_KIND_STATIC } mc_act_kind;

/* --external-data */
typedef enum {
    MC_EXTERNAL_UNSET,
    MC_EXTERNAL_SAID_STRICT,
    MC_EXTERNAL_SAID_FOLLOW,
    MC_EXTERNAL_SAID_NONE
} mc_external_kind;

/* Everything a command line can say, with the fields' zero meaning "not said". */
typedef struct {
    const mc_command *command;
    const char *arg[4]; /* positional */
    int args;

    /* quantize: the scheme */
    double weight_bits;      /* of --wXaY: 1, 1.58, 2..8; 0 = not said */
    unsigned activation_bits;/* 4, 8, 16; 0 = not said */
    unsigned kv_bits;        /* 4, 8, 16; 0 = not said */
    const char *method;      /* "mse" or "mse:norm=2.4" */
    mc_group_kind group_kind;
    uint64_t group;
    mc_symmetry symmetry;
    mc_sym_grid sym_grid;
    mc_zero_kind zero;       /* of --asym */
    const char *levels;      /* "nf4", …: a table instead of integers */
    mc_dtype scale_dtype;    /* MC_DTYPE_NONE = not said */
    bool tensor_scaled;       /* --scale-dtype e4m3xf32: under one f32 of the whole tensor */
    unsigned sub_bits, super; /* --scale-dtype k6x8: 6-bit sub-scales, 8 under an f16 super-scale */
    const mc_bits_rule *bits; /* in the order given; the last match wins */
    size_t bits_rules;
    const char *const *keep; /* patterns of --keep */
    size_t keeps;
    bool no_fallback;
    bool no_side_files;      /* leave config.json and the tokenizer out */
    const char *target;
    uint32_t align;          /* of sections; 0 = the target's */
    bool compress;           /* zlib sections */
    uint64_t max_flash;      /* bytes; 0 = no limit */

    /* quantize: calibration */
    const char *calib;       /* data set or statistics; NULL = none */
    mc_sequence_kind sequence;
    uint64_t max_tokens;     /* 0 = not said */
    mc_act_kind act;
    const char *observer;    /* "mse", "percentile:p=99.99" */
    mc_symmetry act_symmetry; /* --act-sym, --act-asym */
    bool act_power_of_two, act_per_channel;
    uint64_t kv_group, kv_window; /* 0 = not said */
    bool kv_windowed;         /* --kv-window was given */
    const char *const *explain; /* tensors */
    size_t explains;
    const char *checkpoint;   /* a folder */

    /* calibrate */
    const char *const *merge; /* files to be added */
    size_t merges;
    bool no_gram;
    const char *preset;

    /* verify */
    const char *reference;

    /* verify and quantize: running the model on data */
    const mc_data_name *data; /* in the order given */
    size_t datas;
    uint64_t quick;          /* samples of each data set; 0 = all */
    uint64_t window;         /* tokens of a sample; 0 = not said */
    bool seeded;             /* --seed was given: samples are shuffled by it */
    uint64_t seed;
    mc_numerics_kind numerics;
    const char *dump, *score, *logits_out, *logits_in;

    /* all that write a file */
    bool force, write_if_changed, no_fsync, dry_run, strict;
    bool depfile;            /* -MD */
    const char *depfile_path;/* -MF */
    const char *report, *html;
    const char *const *require; /* --require 'METRIC OP VALUE' */
    size_t requires;

    /* all */
    unsigned threads;        /* 0 = one per processor */
    uint64_t memory_limit;   /* bytes; 0 = none */
    bool no_follow;          /* refuse symlinked inputs */
    mc_external_kind external; /* files that an ONNX model names */
    bool json, quiet;
    unsigned verbose;        /* times -v was given */
    bool help;
    bool version;            /* --version: run the command of that name */
    bool man;                /* help: the source of a manual page */

    const char *const *argv; /* as given, NULL-terminated: for the report's "command" */
} mc_options;

/* A command is one file, cmd_<name>.c, and one line in commands.h. */
struct mc_command {
    const char *name;
    const char *args;     /* "IN OUT" */
    int least_args, most_args;
    const char *summary;  /* one line, lower case, no full stop */
    const char *details;  /* paragraphs of the man page and of `help COMMAND` */
    const char *examples; /* lines "mcompress …\n" */

    /* The exit code is the status (err.h); the message is printed by main. Results go to stdout. */
    mc_status (*run)(const mc_options *options, mc_err *err);
};

/* Parses argv[1..]. MC_E_USAGE names the option, the value found, those allowed, and for an unknown
 * option the nearest one. The result lives in `mem` and points into argv. With --help and --version
 * the arguments are not counted, and the command need not be named: then it is `help`. */
mc_status mc_options_parse(int argc, char **argv, mc_arena *mem, mc_options *out, mc_err *err);

#endif
