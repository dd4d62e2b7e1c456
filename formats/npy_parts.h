/* What .npy and .npz share. */
#ifndef MC_FORMATS_NPY_PARTS_H
#define MC_FORMATS_NPY_PARTS_H

#include "formats/npy.h"

/* One array from the bytes of a .npy; its data points into them. */
mc_status mc_npy_parse(const unsigned char *bytes, size_t n, const char *name, mc_array *out,
                       mc_err *err);

/* zlib's CRC-32 after `crc` (0 to begin), of any number of bytes. */
uint32_t mc_zip_crc(uint32_t crc, const unsigned char *bytes, uint64_t n);

#endif
