/* The parts of a data set among themselves: files in, and one view of samples for each kind. */
#ifndef MC_CALIB_DATASET_PARTS_H
#define MC_CALIB_DATASET_PARTS_H

#include "calib/dataset.h"
#include "core/file.h"
#include "formats/npy.h"

#include <stdatomic.h>

/* A file of the set. */
typedef struct {
    const char *path; /* for messages */
    mc_map map;
    atomic_bool touched; /* since pages were let go */
} mc_data_file;

/* Arrays of one file. */
typedef struct {
    mc_npz npz;
    const mc_array **input; /* of each input of the graph */
    const mc_array *labels; /* or NULL */
    uint64_t samples;
    uint64_t first; /* sample of the set */
} mc_data_arrays;

enum { MC_QUESTION_ROOMS = 20 };

struct mc_dataset {
    mc_data_kind kind;
    const mc_model *model;
    mc_dataset_options options;
    const char *path;
    mc_data_file *file; /* in the order of their names */
    size_t files;
    atomic_ullong *mapped; /* bytes of files that may be in memory, at most */
    uint64_t samples;   /* before options.most */
    uint32_t *order;    /* of samples, when shuffled */
    uint8_t digest[MC_SHA256_BYTES];
    mc_tokenizer *tokenizer;
    char *no_tokenizer; /* why there is none */

    mc_data_arrays *arrays; /* one a file */

    const int32_t *ids;
    uint64_t id_count;
    uint64_t window;

    mc_question *question;
    mc_region room[MC_QUESTION_ROOMS]; /* their ids, each room twice as large as the one before */
    size_t rooms;

    mc_region self;     /* this struct */
    mc_region memory;   /* lists of files and arrays */
    mc_region ids_room; /* token ids; the list of questions */
    mc_region order_room;
};

/* dataset_files.c: finds, maps and hashes the files. */
mc_status mc_data_open_files(mc_dataset *d, mc_err *err);

/* Says that pages of a file were read, which may have brought in so many bytes; lets go of all
 * pages of all files when there are too many. Any thread. */
void mc_data_touch(const mc_dataset *d, size_t file, uint64_t bytes);

/* What the bytes of a file say of it. */
bool mc_data_is_npy(const mc_data_file *file);
bool mc_data_is_zip(const mc_data_file *file);

/* Each fills its part of `d` from d->file. */
mc_status mc_data_open_arrays(mc_dataset *d, mc_err *err);
mc_status mc_data_open_tokens(mc_dataset *d, mc_err *err);
mc_status mc_data_open_choices(mc_dataset *d, mc_err *err);

mc_status mc_data_arrays_sample(const mc_dataset *d, uint64_t i, mc_arena *mem, mc_nd *input,
                                mc_err *err);
bool mc_data_arrays_label(const mc_dataset *d, uint64_t i, int64_t *label);

/* The tokenizer, or MC_E_UNSUPPORTED that says why there is none. */
mc_status mc_data_need_tokenizer(const mc_dataset *d, const char *what, mc_err *err);

/* Can the inputs of the graph take a row of `n` ids? */
mc_status mc_data_check_ids(const mc_model *model, uint64_t n, mc_err *err);

/* ---- dataset_convert.c ---- */

/* Some elements of an array. */
typedef struct {
    const mc_dataset *of;
    size_t file;
    const mc_array *array;
    uint64_t first, count;
} mc_data_part;

/* Whole numbers become any dtype that holds them, floats any float; a value that is not finite is
 * refused. False when no value of `from` is taken. */
bool mc_data_converts(mc_dtype from, mc_dtype to);

/* As `to->dtype` lies in memory (nd.h), one after the other. The message names the element. */
mc_status mc_data_convert(const mc_data_part *part, mc_nd *to, mc_err *err);

#endif
