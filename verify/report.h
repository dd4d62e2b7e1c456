/* What a container costs, measured on the written file: its weights (verify_weights.c), what the
 * model does with them (verify_data.h), the gates (gate.c) and their three forms: text, JSON (keys
 * are stable, schema mcompress-report/1) and one HTML page. */
#ifndef MC_VERIFY_REPORT_H
#define MC_VERIFY_REPORT_H

#include "core/arena.h"
#include "core/json.h"
#include "core/meter.h"
#include "core/model.h"
#include "core/pool.h"
#include "formats/container.h"
#include "verify/outcome.h"

#include <stdbool.h>
#include <stdint.h>

/* One weight of the container against the same tensor of the source. All sums are f64 over fixed
 * slabs. w: source, v: decoded. */
typedef struct {
    const char *name;
    const mc_weight_spec *spec;
    const char *kept_because; /* dense: why (from the manifest), else NULL */
    uint64_t count;           /* elements */
    uint64_t source_bytes, bytes;
    double bits_per_weight;   /* 8 * bytes / count: codes, scales, offsets, tables */
    double sqnr_db;           /* 10 log10(sum w^2 / sum (w-v)^2); +inf when equal, 0/0 included */
    double relative_error;    /* sqrt(sum (w-v)^2 / sum w^2) */
    double max_abs_error;
    uint64_t max_abs_index;   /* flat, row-major, the first of the largest */
    double cosine;            /* sum w v / sqrt(sum w^2 sum v^2); 1 when both are zero */
    double clipped;           /* share of weights over half a step outside their group's range */
    double zeros;             /* share of v that is 0; NaN for dtypes without conversion to f32 */
    double entropy_bits;      /* of the code histogram, per weight */
    uint64_t histogram[256];  /* of codes */
} mc_tensor_report;

typedef struct {
    const char *metric, *op; /* op: "<=", "<", ">=", ">", "==" */
    double threshold, value;
    double interval; /* half of the 95 % interval of the metric; NaN when it has none */
    bool pass, underpowered;
    bool needs_data; /* not measured, as the models were not run */
} mc_gate_result;

/* Where the bytes of a file go. */
typedef struct {
    uint64_t codes;   /* of the quantized weights; in the source: their numbers */
    uint64_t grids;   /* scales, zeros, offsets, tables */
    uint64_t dense;   /* tensors carried unchanged */
    uint64_t side;    /* files carried along */
    uint64_t frame;   /* headers, index, hashes, names, manifest, padding */
} mc_size_split;

typedef struct {
    const char *version; /* of the tool */
    mc_tensor_report *tensor;
    size_t tensors;
    size_t quantized; /* tensors */
    size_t edited;    /* of those: a transform changed them together with others, and their errors
                         by themselves mean nothing. Figures over all tensors' errors are then NaN:
                         gates on them fail */
    const size_t *worst_first; /* their indices: quantized ones by rising SQNR, then carried ones */
    /* Like against like: the files with weights plus those that the container carries along. */
    uint64_t source_bytes, container_bytes;
    mc_size_split source_split, container_split;
    uint64_t parameters;           /* all elements of all tensors */
    uint64_t quantized_parameters;
    double bits_per_weight;        /* of the quantized weights; NaN when there is none */
    double min_tensor_sqnr_db;     /* over quantized tensors; +inf when there is none */
    double mean_tensor_sqnr_db;    /* over those with a finite one; +inf when there is none */
    double max_abs_error, max_relative_error;
    double clipped, zeros;         /* shares of all quantized weights; 0 when there is none */
    const char *worst_tensor;      /* the one with min_tensor_sqnr_db; NULL when all are exact */
    const mc_data_report *data;    /* NULL: the models were not run */
    double score;                  /* what the program of --score printed; NaN without one */
    mc_numerics numerics;
    char headline[MC_HEADLINE_TEXT]; /* the first line: mc_numerics_headline */
    bool strict; /* set before gates are judged: an underpowered one fails */
    mc_gate_result *gate;
    size_t gates;
    bool pass; /* all gates; true when there is none */
    /* "": not known */
    char source_hash[MC_SHA256_HEX], container_hash[MC_SHA256_HEX], recipe_hash[MC_SHA256_HEX];
    const char *const *command; /* argv, NULL-terminated; only here, never in a container */
} mc_report;

/* Scratch bytes a thread of the pool needs for mc_verify_weights. */
size_t mc_verify_scratch_bytes(void);

typedef struct {
    const mc_model *reference;
    const mc_container *container;
    mc_pool *pool;  /* with mc_verify_scratch_bytes() */
    mc_meter meter; /* gets the bytes of the reference as they are measured; may be zero */
} mc_verify_input;

/* Measures every weight of the container against the reference, decoded from the container's bytes.
 * Fails with MC_E_MISMATCH when a tensor is missing or has another shape, or a carried tensor is
 * not byte-equal, with MC_E_FORMAT when a number is not finite. Fills all but version, gates,
 * source_hash and command. The report points into `mem`, container and reference. */
mc_status mc_verify_weights(const mc_verify_input *input, mc_arena *mem, mc_report *out,
                            mc_err *err);

/* Upper bound of the memory that checking and measuring the container takes with so many threads
 * (as mc_pool_threads says), mapped pages and the report included; what hashing the reference needs
 * is not. */
uint64_t mc_verify_memory(const mc_container *c, unsigned threads);

/* Pairs every tensor of the container with the one of that name in `reference`: pair[i] belongs to
 * c->weight[i]. MC_E_MISMATCH names a tensor that only one of the two has, or that differs in dtype
 * or shape. */
mc_status mc_verify_match(const mc_model *reference, const mc_container *c, mc_arena *mem,
                          const mc_tensor ***pair, mc_err *err);

/* Fills the totals of `out` from its tensors, what the manifest tells, and the headline. */
mc_status mc_verify_totals(const mc_model *reference, const mc_container *c, mc_arena *mem,
                           mc_report *out, mc_err *err);

/* ---- the scalars of a report: one table feeds gates, JSON and help ---- */

typedef enum {
    MC_METRIC_COUNT,
    MC_METRIC_BYTES,
    MC_METRIC_REAL,
    MC_METRIC_DB,
    MC_METRIC_SHARE
} mc_metric_unit;

typedef struct {
    const char *name;
    const char *section; /* of the JSON report: "size", "summary", "model" */
    mc_metric_unit unit;
    bool needs_data;     /* NaN unless the models were run */
    const char *summary; /* lower case, no full stop */
    double (*value)(const mc_report *report);
} mc_metric;

/* NULL past the end, or when there is none of that name. */
const mc_metric *mc_metric_at(size_t i);
const mc_metric *mc_metric_find(const char *name);

/* Half of the metric's 95 % interval; NaN when it has none. */
double mc_metric_interval(const mc_metric *metric, const mc_report *report);

/* Is a gate at `threshold` finer than what was measured can tell: nearer to the figure of a
 * container that lost nothing than half of the metric's 95 % interval? */
bool mc_metric_is_too_coarse(const mc_metric *metric, const mc_report *report, double threshold);

/* The same by name alone: false and NULL when there is none. */
bool mc_report_metric(const mc_report *report, const char *name, double *value);
const char *mc_report_metric_name(size_t i);

/* ---- gates ---- */

typedef struct {
    const char *metric;
    const char *op;
    double threshold;
} mc_gate;

/* "min_tensor_sqnr_db>=20", "container_bytes <= 256 KiB". MC_E_USAGE says what is wrong, and names
 * the nearest metric and all that there are when the metric is unknown. `mem` is only borrowed: the
 * gate points at constants. */
mc_status mc_gate_parse(const char *text, mc_arena *mem, mc_gate *out, mc_err *err);

/* Judges. NaN fails every comparison; out->strict fails those that are underpowered. Sets
 * out->gate, gates, pass. */
mc_status mc_gates_apply(const mc_gate *gate, size_t gates, mc_arena *mem, mc_report *out,
                         mc_err *err);

/* ---- forms; free() the text; NULL when memory ran out ---- */

char *mc_report_text(const mc_report *report, bool color);
char *mc_report_json(const mc_report *report, bool pretty);
char *mc_report_html(const mc_report *report);

#endif
