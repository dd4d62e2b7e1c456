/* Time and peak memory of this process. */
#include "core/clock.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double mc_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* From /proc, not getrusage: the latter also counts the process that started us. */
uint64_t mc_peak_memory(void)
{
    char text[4096];
    const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    const ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return 0;
    text[n] = '\0';

    const char *at = strstr(text, "VmHWM:");
    uint64_t kilobytes = 0;
    if (!at) return 0;
    for (at += 6; *at == ' ' || *at == '\t'; at++) continue;
    for (; *at >= '0' && *at <= '9'; at++) kilobytes = kilobytes * 10 + (uint64_t)(*at - '0');
    return kilobytes * 1024;
}
