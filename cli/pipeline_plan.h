/* The plan: what happens to every tensor, decided from names, shapes and options alone, before any
 * weight is read. --dry-run prints it, a run carries it out, and nothing is decided later.
 *
 * Rules for one tensor, the first that fits:
 *   kept     --keep or --bits REGEX=16 says so; it holds no real numbers, or numbers that cannot
 *            be converted; it has fewer than two dimensions or no elements; it is a norm or a bias;
 *            the model has a graph in which it meets no activation
 *   8 bits   embedding, output head, router (pipeline_purpose.c), unless --bits says otherwise
 *   scheme   everything else: the bits of --wXaY
 *
 * Groups: 32 columns up to 4 bits, one scale a row from 5 bits on, or what --group says. A group
 * that does not divide the row is halved down to 8; when none divides, the tensor gets 8 bits with
 * one scale a row. */
#ifndef MC_CLI_PIPELINE_PLAN_H
#define MC_CLI_PIPELINE_PLAN_H

#include "calib/observe.h"
#include "cli/options.h"
#include "core/model.h"
#include "core/site.h"
#include "core/text.h"
#include "formats/container.h"
#include "formats/target.h"
#include "quant/chain.h"

/* What --calib names: nothing, samples to run, or what was seen of the float model's inputs. */
typedef enum { MC_CALIB_NONE, MC_CALIB_DATA, MC_CALIB_STATS, MC_CALIB_IMATRIX } mc_calib_kind;

typedef struct {
    const mc_tensor *tensor;
    const mc_quant_setup *setup; /* NULL: kept as it is */
    const char *why;             /* kept: the reason; by a rule of its own: which; else NULL */
    bool fallback;               /* the scheme asked for did not fit this tensor */
} mc_plan_entry;

/* A piece of a run: rows of a quantized tensor's code shape, or bytes of a kept one. Cut by
 * shapes alone, so that results do not depend on threads. */
typedef struct {
    size_t entry;
    uint64_t first, count;
} mc_work;

typedef struct {
    const mc_model *model;
    const mc_options *options;
    const mc_target *target;
    mc_sites sites;         /* of the source graph; none without a graph */
    mc_plan_entry *entry;   /* in the order of the source files */
    mc_weight_spec *weight; /* of the same entry */
    size_t entries;
    mc_chain chain;         /* of --method, or the scheme's default */
    mc_quant_setup asked;   /* the chain's method that chooses codes */
    mc_quant_setup other;   /* for tensors whose grid the one asked for refuses */
    const char *method;     /* as --method would say it */
    mc_calib_kind calib_kind;
    bool calibrated;        /* codes are chosen with data (--calib) */
    bool sequential;        /* for the inputs that coded weights give, not the float model's */
    bool spills;            /* activations wait in a scratch file */
    bool act_static, act_asymmetric, act_power_of_two, act_per_channel;
    mc_observe_setup observer; /* of static activations */
    const char *calib_data; /* what names the data, once it was opened; no path in it */
    uint64_t calib_samples, calib_tokens;
    mc_grid usual_grid;     /* of weights of the scheme's bits */
    uint64_t usual_group;   /* 0: one scale a row */
    mc_side_file *side;
    size_t sides;
    const mc_site_act *act; /* of sites, as they were chosen; none before */
    size_t acts;
    mc_kv_spec kv;          /* 16 bits: not quantized */
    mc_container_spec container;
    mc_layout layout;
    mc_work *work;
    size_t works;
    uint64_t source_bytes;  /* of files of weights and those carried along: what is replaced */
    uint64_t tensor_bytes;
    size_t quantized_tensors, by_asked;  /* and how many of them by the method asked for */
    size_t fallbacks;
    uint64_t quantized, quantized_bytes; /* weights and bytes of the quantized ones */
    uint64_t memory_bytes;  /* upper estimate of the peak, mapped pages included */
} mc_plan;

/* What the arena of a plan must hold: a bound, of which only what is used becomes memory. */
size_t mc_plan_memory(const mc_model *model, const mc_options *options);

/* Decides everything; the plan lives in `mem`. */
mc_status mc_plan_make(const mc_model *model, const mc_options *options, unsigned threads,
                       mc_arena *mem, mc_plan *plan, mc_err *err);

/* Sizes and places anew, after dense weights have taken another dtype. */
mc_status mc_plan_lay_out(mc_plan *plan, mc_arena *mem, mc_err *err);

/* Of the quantized weights, everything that is stored for them counted; 0 when there are none. */
double mc_plan_bits_per_weight(const mc_plan *plan);

/* "28 quantized by ternary, 2 by mse, 9 kept, 1 by fallback" */
void mc_plan_add_counts(mc_text *text, const mc_plan *plan);

/* Seconds that a run would take, from timing the methods on a few slabs of the model's own
 * weights; below 0 for runs that choose codes with data, which that does not tell. */
mc_status mc_plan_seconds(const mc_plan *plan, unsigned threads, double *seconds, mc_err *err);

/* ---- what a tensor is for: by the graph, else by its name ---- */

typedef enum {
    MC_PURPOSE_WEIGHT,
    MC_PURPOSE_NORM_OR_BIAS,
    MC_PURPOSE_EMBEDDING,
    MC_PURPOSE_HEAD,
    MC_PURPOSE_ROUTER,
    MC_PURPOSE_NO_SITE, /* a constant that meets no activation */
} mc_purpose;
mc_purpose mc_purpose_of(const char *tensor_name);
mc_purpose mc_purpose_in(const mc_sites *sites, const char *tensor_name);
const char *mc_purpose_name(mc_purpose purpose);

/* pipeline_calibration.c: what --calib names, which decides what "auto" stands for; then what the
 * options say of calibration and activations. */
mc_status mc_plan_calib_kind(mc_plan *plan, mc_err *err);
mc_status mc_plan_calibration(mc_plan *plan, mc_err *err);

/* pipeline_work.c: fills plan->work. */
mc_status mc_plan_cut(mc_plan *plan, mc_arena *mem, mc_err *err);

/* Rows of an entry's code shape in one piece. */
size_t mc_plan_slab_rows(const mc_plan *plan, size_t entry);

/* A slot of the stream holds an mc_slab and behind it, from here on, the piece's bytes. */
enum { MC_SLOT_ROOM = (sizeof(mc_slab) + 63) / 64 * 64 };

/* The most that one piece needs: encoded bytes, and scratch (f32 rows, codes, the method's own). */
size_t mc_plan_slot_bytes(const mc_plan *plan);
size_t mc_plan_scratch_bytes(const mc_plan *plan);

/* The manifest; its length does not depend on the digests, which may be NULL (zeros). free() it. */
char *mc_plan_manifest(const mc_plan *plan, const uint8_t (*digest)[MC_SHA256_BYTES]);

/* ---- the plan as text and JSON (--dry-run); `seconds` below 0: not estimated. free() it ---- */
char *mc_plan_text(const mc_plan *plan, double seconds);
char *mc_plan_json(const mc_plan *plan, double seconds);

#endif
