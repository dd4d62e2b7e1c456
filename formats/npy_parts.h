/* What .npy and .npz share. */
#ifndef MC_FORMATS_NPY_PARTS_H
#define MC_FORMATS_NPY_PARTS_H

#include "formats/npy.h"

/* One array from the bytes of a .npy; its data points into them. */
mc_status mc_npy_parse(const unsigned char *bytes, size_t n, const char *name, mc_array *out,
                       mc_err *err);

#endif
