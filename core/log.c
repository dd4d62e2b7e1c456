/* One sink for the whole program. Messages of several threads reach it one at a time. */
#include "core/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

static struct {
    mc_log_sink sink;
    void *to;
    mc_log_level most;
} out;

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

void mc_log_open(mc_log_sink sink, void *to, mc_log_level most)
{
    out.sink = sink;
    out.to = to;
    out.most = most;
}

void mc_log(mc_log_level level, const char *fmt, ...)
{
    if (!out.sink || level > out.most) return;

    char text[MC_ERR_TEXT];
    va_list args;
    va_start(args, fmt);
    const int length = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (length < 0) return;

    pthread_mutex_lock(&turn);
    out.sink(out.to, level, text);
    pthread_mutex_unlock(&turn);
}
