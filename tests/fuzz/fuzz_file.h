/* An input of the fuzzer as a file without a name. Include it first: memfd_create is not in
 * POSIX. */
#ifndef MC_TESTS_FUZZ_FILE_H
#define MC_TESTS_FUZZ_FILE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "core/file.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* An open descriptor of a file of those bytes. */
static inline int fuzz_file(const uint8_t *data, size_t size)
{
    const int fd = memfd_create("fuzz", 0);
    if (fd < 0 || (size && write(fd, data, size) != (ssize_t)size)) abort();
    return fd;
}

/* The same, mapped. False when the input cannot be mapped at all. */
static inline bool fuzz_map(const uint8_t *data, size_t size, mc_map *map)
{
    mc_err err = {0};
    const int fd = fuzz_file(data, size);
    const mc_status status = mc_map_open_fd(fd, "fuzz", map, &err);
    close(fd);
    return status == MC_OK;
}

#endif
