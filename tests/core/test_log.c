/* Only what the level allows reaches the sink, whole and one message at a time. */
#include "core/log.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct {
    int calls;
    int inside;
    mc_log_level level;
    char text[MC_ERR_TEXT];
} record;

static void keep(void *to, mc_log_level level, const char *text)
{
    record *r = to;
    r->inside++;
    nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
    cr_expect_eq(r->inside, 1);
    r->calls++;
    r->level = level;
    snprintf(r->text, sizeof r->text, "%s", text);
    r->inside--;
}

Test(log, says_nothing_without_a_sink)
{
    mc_log(MC_LOG_ERROR, "%d", 1);
    mc_log_open(NULL, NULL, MC_LOG_DEBUG);
    mc_log(MC_LOG_ERROR, "%d", 1);
}

Test(log, passes_text_and_level_up_to_the_level_asked_for)
{
    record r = {0};
    mc_log_open(keep, &r, MC_LOG_WARNING);
    mc_log(MC_LOG_WARNING, "%s: group %d", "layer.w", 32);
    cr_expect_eq(r.level, MC_LOG_WARNING);
    cr_expect_str_eq(r.text, "layer.w: group 32");
    mc_log(MC_LOG_ERROR, "again");
    cr_expect_eq(r.level, MC_LOG_ERROR);
    mc_log(MC_LOG_INFO, "dropped");
    mc_log(MC_LOG_DEBUG, "dropped");
    cr_expect_eq(r.calls, 2);
}

static void *talk(void *unused)
{
    for (int i = 0; i < 50; i++) mc_log(MC_LOG_INFO, "message %d", i);
    return unused;
}

Test(log, threads_take_turns)
{
    record r = {0};
    mc_log_open(keep, &r, MC_LOG_INFO);
    pthread_t thread[4];
    for (int i = 0; i < 4; i++) cr_assert_eq(pthread_create(&thread[i], NULL, talk, NULL), 0);
    for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
    cr_expect_eq(r.calls, 200);
}
