/* What a reader puts up with. Files are hostile: each of these bounds the time or the memory that
 * one can cost. */
#ifndef MC_FORMATS_LIMITS_H
#define MC_FORMATS_LIMITS_H

#include <stdint.h>

#define MC_HEADER_LIMIT UINT64_C(100000000)  /* bytes of a safetensors header, as its library has */
#define MC_INDEX_LIMIT  UINT64_C(100000000)  /* bytes of a shard index */
#define MC_CONFIG_LIMIT UINT64_C(16777216)   /* bytes of config.json: it becomes a tree in memory */
#define MC_SPILL_LIMIT  (UINT64_C(64) << 30) /* bytes an archive may unpack to, unless told else */

enum {
    MC_PULL_DEPTH = 128,          /* arrays and objects open at one time in a header or index */
    MC_SHARD_LIMIT = 4096,        /* files of one model */
    MC_FILE_NAME_LIMIT = 255,     /* bytes of a shard's name */
    MC_ARCHIVE_ENTRIES = 100000,  /* entries of an archive, whatever they are */
    MC_ARCHIVE_FILES = 8192,      /* entries that are unpacked */
    MC_ARCHIVE_NAME_LIMIT = 4096, /* bytes of an entry's name */
    MC_ONNX_DEPTH = 100,          /* messages inside messages of an ONNX file: 33 graphs */
    MC_ONNX_NODES = 1 << 22,      /* nodes of an ONNX file, those of subgraphs and functions too */
    MC_ONNX_NAME_LIMIT = 1 << 16, /* bytes of a name in an ONNX file */
    MC_ONNX_OPSETS = 1024,        /* operator sets that a model or a function imports */
    MC_NPZ_MEMBERS = 4096,        /* members of an npz */
    MC_QUOTE_LIMIT = 200,         /* bytes of a name that a message shows */
};

#endif
