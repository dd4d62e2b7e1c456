/* The progress line: what, how much, how fast, how long still. Only on a terminal, and at most
 * eight times a second. There is one at a time. */
#ifndef MC_CLI_PROGRESS_H
#define MC_CLI_PROGRESS_H

#include "core/meter.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct mc_progress mc_progress;

/* Whether lines may be drawn at all (not with --quiet or --json); they may not before this is
 * called. */
void mc_progress_allow(bool yes);

/* NULL, which is fine for the others, when nothing is to be drawn. `label` must outlive it. */
mc_progress *mc_progress_open(uint64_t total_bytes, const char *label);

/* From any thread; cheap. */
void mc_progress_add(mc_progress *progress, uint64_t bytes);

/* The same for those who know no progress lines. */
mc_meter mc_progress_meter(mc_progress *progress);

/* Erases the line. */
void mc_progress_close(mc_progress *progress);

/* Makes room for a message; the next mc_progress_add draws the line anew. Async-signal-safe. */
void mc_progress_erase(void);

/* "quantizing 45 % 1.0 GB of 2.2 GB 512.0 MB/s 0:03 left", at most 79 columns. Rate and time stand
 * there when there is something to tell them from. */
enum { MC_PROGRESS_LINE = 80 };
void mc_progress_line(const char *label, uint64_t done, uint64_t total, double seconds,
                      char line[MC_PROGRESS_LINE]);

#endif
