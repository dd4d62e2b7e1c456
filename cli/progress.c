/* Bytes are counted with one atomic addition. The thread that finds a drawing due draws it, the
 * others go on. */
#include "cli/progress.h"

#include "cli/output.h"
#include "core/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INTERVAL_MS 125u

struct mc_progress {
    const char *label;
    uint64_t total;
    double start;
    atomic_uint_least64_t done;
    atomic_uint_least64_t due_ms; /* since the start */
};

static struct mc_progress only;
static bool allowed;
static atomic_bool drawn;

void mc_progress_allow(bool yes)
{
    allowed = yes;
}

mc_progress *mc_progress_open(uint64_t total_bytes, const char *label)
{
    if (!allowed || !mc_is_terminal(STDERR_FILENO)) return NULL;
    only.label = label;
    only.total = total_bytes;
    only.start = mc_seconds();
    atomic_store(&only.done, 0);
    atomic_store(&only.due_ms, INTERVAL_MS);
    return &only;
}

static void time_left(double seconds, char *text, size_t room)
{
    if (!(seconds < 360000.0)) seconds = 359999.0; /* 99:59:59 */
    const unsigned s = (unsigned)(seconds + 0.5);
    if (s < 3600)
        snprintf(text, room, "%u:%02u left", s / 60, s % 60);
    else
        snprintf(text, room, "%u:%02u:%02u left", s / 3600, s / 60 % 60, s % 60);
}

void mc_progress_line(const char *label, uint64_t done, uint64_t total, double seconds,
                      char line[MC_PROGRESS_LINE])
{
    char now[MC_SIZE_TEXT], all[MC_SIZE_TEXT], rate[MC_SIZE_TEXT], left[32];
    if (done > total) done = total;
    const unsigned percent = total ? (unsigned)((double)done / (double)total * 100.0) : 100;
    const int n = snprintf(line, MC_PROGRESS_LINE, "%.24s  %u %%  %s of %s", label, percent,
                           mc_size_text(done, now), mc_size_text(total, all));
    if (n < 0 || n >= MC_PROGRESS_LINE || done == 0 || !(seconds > 0.0)) return;

    const double per_second = (double)done / seconds;
    if (!(per_second < 1e18)) return;
    time_left((double)(total - done) / per_second, left, sizeof left);
    snprintf(line + n, (size_t)(MC_PROGRESS_LINE - n), "  %s/s  %s",
             mc_size_text((uint64_t)per_second, rate), left);
}

/* A message that is being printed goes first: without the lock there is no drawing now. */
static void draw(mc_progress *p, uint64_t done, double seconds)
{
    char line[MC_PROGRESS_LINE], screen[MC_PROGRESS_LINE + 8];
    if (ftrylockfile(stderr) != 0) return;
    mc_progress_line(p->label, done, p->total, seconds, line);
    const int n = snprintf(screen, sizeof screen, "\r%s\033[K", line);
    atomic_store(&drawn, true);
    (void)!write(STDERR_FILENO, screen, (size_t)n);
    funlockfile(stderr);
}

void mc_progress_add(mc_progress *p, uint64_t bytes)
{
    if (!p) return;
    const uint64_t done = atomic_fetch_add(&p->done, bytes) + bytes;
    const double seconds = mc_seconds() - p->start;
    const uint64_t now = (uint64_t)(seconds * 1000.0);
    uint_least64_t due = atomic_load(&p->due_ms);
    if (now < due) return;
    if (atomic_compare_exchange_strong(&p->due_ms, &due, now + INTERVAL_MS)) draw(p, done, seconds);
}

static void add_to(void *progress, uint64_t bytes)
{
    mc_progress_add(progress, bytes);
}

mc_meter mc_progress_meter(mc_progress *p)
{
    return (mc_meter){p ? add_to : NULL, p};
}

void mc_progress_close(mc_progress *p)
{
    if (p) mc_progress_erase();
}

void mc_progress_erase(void)
{
    if (atomic_exchange(&drawn, false)) (void)!write(STDERR_FILENO, "\r\033[K", 4);
}
