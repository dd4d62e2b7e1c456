/* Presets: names for sets of options. What the command line says itself wins over them.
 *
 * To add one, add a line to the list. */
#ifndef MC_CLI_PRESETS_H
#define MC_CLI_PRESETS_H

#include <stddef.h>

/* X(name, options, what it is for). The first four take any scheme; the others bring one. */
#define MC_PRESETS(X)                                                                          \
    X("fast", "--method=imatrix", "seconds: the grid of least error where inputs are large")   \
    X("balanced", "--method=compensate+gptq", "one walk through the model: GPTQ that makes "   \
                                              "good what came before it")                      \
    X("best", "--method=compensate+gptq:rounds=3", "the same, with codes and scales descended " \
                                                   "to a minimum")                             \
    X("data-free", "--method=hqq --asym --zero=integer", "no data at all")                     \
    X("w8a16", "--w8a16 --group=channel --method=rtn", "8-bit weights, seconds")               \
    X("w8a8-dyn", "--w8a8 --group=channel --method=smoothquant:alpha=0+rtn",                   \
      "8-bit weights and activations, scales as they come")                                    \
    X("w4g128-fast", "--w4a16 --group=128 --method=imatrix", "4-bit weights, one forward pass") \
    X("w4g128", "--w4a16 --group=128 --method=compensate+gptq", "4-bit weights for servers")   \
    X("w3g64", "--w3a16 --group=64 --asym --method=compensate+gptq:rounds=3",                  \
      "3-bit weights")                                                                         \
    X("w2g64", "--w2a16 --group=64 --asym --method=compensate+gptq:rounds=3",                  \
      "2-bit weights, for models that can spare it")                                           \
    X("w4a8-int",                                                                              \
      "--w4a8 --act=static --observer=percentile:p=99.999 "                                    \
      "--method=smoothquant:alpha=0+compensate+gptq",                                          \
      "4-bit weights, static 8-bit activations: integer devices")                              \
    X("w4a4", "--w4a4 --group=channel --method=cle+rotate:r4=1+compensate+gptq",                   \
      "4-bit weights and activations on devices that rotate online")                           \
    X("kv4", "--w8a16kv4 --group=channel --method=rtn", "a 4-bit cache of keys and values")    \
    X("ternary", "--w1.58a8 --method=ternary", "three levels, for models trained for them")    \
    X("binary", "--w1a16 --method=binary", "two levels, for models trained for them")          \
    X("mxfp4", "--w4a16 --levels=e2m1 --scale-dtype=e8m0 --group=32 --method=mse", "OCP MXFP4") \
    X("nvfp4", "--w4a16 --levels=e2m1 --scale-dtype=e4m3xf32 --group=16 --method=mse",         \
      "NVIDIA NVFP4")                                                                          \
    /* end */

typedef struct {
    const char *name, *options, *summary;
} mc_preset;

const mc_preset *mc_preset_at(size_t i); /* NULL past the end */
const mc_preset *mc_preset_find(const char *name);

#endif
