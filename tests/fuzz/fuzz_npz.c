/* An npz, and the same bytes as a .npy: the input is the whole file. What is accepted must have
 * arrays of different names that can be read to the end, in any pieces. */
#include "tests/fuzz/fuzz_file.h"

#include "core/bytes.h"
#include "formats/npy.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECE = 512, LIMIT = 1 << 20 };

static void must(bool holds)
{
    if (!holds) abort();
}

static void check_failure(mc_status status, const mc_err *err)
{
    must(status == MC_E_FORMAT || status == MC_E_UNSUPPORTED || status == MC_E_BUDGET);
    must(memchr(err->text, '\0', sizeof err->text) && mc_is_utf8(err->text, strlen(err->text)));
}

/* All of it, and the same from the middle on. */
static void check_array(const mc_array *a)
{
    const size_t width = mc_dtype_about(a->dtype)->bits / 8;
    uint64_t piece[PIECE], again[PIECE];
    must(a->ndim >= 0 && a->ndim <= MC_MAX_DIMS && mc_is_utf8(a->name, strlen(a->name)));
    must(a->bytes == a->count * width);
    for (uint64_t at = 0; at < a->count; at += PIECE) {
        const uint64_t n = a->count - at < PIECE ? a->count - at : PIECE;
        mc_array_read(a, at, n, piece);
        mc_array_read(a, at + n / 2, n - n / 2, again);
        must(memcmp((unsigned char *)piece + n / 2 * width, again, (n - n / 2) * width) == 0);
    }
}

static void check(mc_status status, mc_npz *npz, const mc_err *err)
{
    if (status != MC_OK) {
        check_failure(status, err);
        return;
    }
    must(npz->arrays > 0);
    for (size_t i = 0; i < npz->arrays; i++) {
        check_array(&npz->array[i]);
        for (size_t k = 0; k < i; k++) must(strcmp(npz->array[i].name, npz->array[k].name) != 0);
    }
    mc_npz_close(npz);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mc_npz npz;
    mc_err err = {0};
    const mc_npz_source from = {.bytes = data, .n = size, .name = "fuzz", .limit = LIMIT};
    check(mc_npz_read(&from, &npz, &err), &npz, &err);
    check(mc_npy_read(data, size, "fuzz", &npz, &err), &npz, &err);
    return 0;
}
