/* What the lower layers have to say while they work. They never print: the sink does, and
 * only cli/ sets one. Without a sink nothing is said. */
#ifndef MC_CORE_LOG_H
#define MC_CORE_LOG_H

#include "core/err.h"

typedef enum { MC_LOG_ERROR, MC_LOG_WARNING, MC_LOG_INFO, MC_LOG_DEBUG } mc_log_level;

typedef void (*mc_log_sink)(void *to, mc_log_level level, const char *text);

/* Call before any thread starts. Messages above `most` are dropped before they are formatted. */
void mc_log_open(mc_log_sink sink, void *to, mc_log_level most);

void mc_log(mc_log_level level, const char *fmt, ...) MC_PRINTF(2, 3);

#endif
