/* The progress line and the sizes in it. */
#include "cli/output.h"
#include "cli/progress.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void expect_line(uint64_t done, uint64_t total, double seconds, const char *wanted)
{
    char line[MC_PROGRESS_LINE];
    mc_progress_line("quantizing", done, total, seconds, line);
    cr_expect_str_eq(line, wanted);
}

Test(progress, tells_share_rate_and_time_left)
{
    expect_line(1 << 30, 2362232013, 2.0,
                "quantizing  45 %  1.00 GiB of 2.20 GiB  512.0 MiB/s  0:02 left");
    expect_line(1024, 10240000, 1.0,
                "quantizing  0 %  1.00 KiB of 9.77 MiB  1.00 KiB/s  2:46:39 left");
    expect_line(1025, 1024, 4.0, "quantizing  100 %  1.00 KiB of 1.00 KiB  256 B/s  0:00 left");
    expect_line(1024, 1024, 4.0, "quantizing  100 %  1.00 KiB of 1.00 KiB  256 B/s  0:00 left");
}

Test(progress, says_no_rate_when_there_is_none)
{
    expect_line(0, 5000, 1.0, "quantizing  0 %  0 B of 4.88 KiB");
    expect_line(5000, 5000, 0.0, "quantizing  100 %  4.88 KiB of 4.88 KiB");
    expect_line(0, 0, 1.0, "quantizing  100 %  0 B of 0 B");
    expect_line(1, UINT64_MAX, 1e9, "quantizing  0 %  1 B of 16777216.0 TiB  0 B/s  99:59:59 left");
}

Test(progress, is_never_wider_than_a_terminal)
{
    char line[MC_PROGRESS_LINE];
    mc_progress_line("a label that is far too long to fit on any line", UINT64_MAX - 1, UINT64_MAX,
                     1e-3, line);
    cr_expect_lt(strlen(line), (size_t)MC_PROGRESS_LINE);
    mc_progress_line("a label that is far too long to fit on any line", 999949999, UINT64_MAX, 1.0,
                     line);
    cr_expect_lt(strlen(line), (size_t)MC_PROGRESS_LINE);
}

Test(progress, is_silent_unless_allowed_and_on_a_terminal)
{
    cr_expect_null(mc_progress_open(10, "x"));
    setenv("TERM", "dumb", 1);
    mc_progress_allow(true);
    cr_expect_null(mc_progress_open(10, "x"));
    mc_progress_add(NULL, 5);
    mc_progress_close(NULL);
}

Test(names, do_not_steer_the_terminal)
{
    mc_text text;
    mc_text_open(&text);
    mc_text_add_name(&text, "\x1b[2Jw\n\xc3\xa4", 16);
    mc_text_add(&text, "|");
    char *all = mc_text_take(&text);
    cr_assert_not_null(all);
    cr_expect_str_eq(all, "\\u001b[2Jw\\n\xc3\xa4   |");
    cr_expect_eq(mc_name_width("\x1b"), 6u);
    free(all);
}
