/* Writing to the streams, and the small formats that all commands share. */
#include "cli/output.h"

#include "cli/progress.h"
#include "core/log.h"
#include "formats/json_pull.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_ROOM = 4096 };

void mc_stdio_open(void)
{
    /* Opened the wrong way round, so that using a stream that the caller closed still fails. */
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            _exit(MC_E_IO);
}

static mc_status stdout_failed(int error, mc_err *err)
{
    return mc_fail_errno(err, error, "standard output: cannot write");
}

mc_status mc_stdout_finish(mc_err *err)
{
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) return stdout_failed(errno ? errno : EIO, err);
    return MC_OK;
}

mc_status mc_print(mc_err *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    errno = 0;
    const bool ok = vprintf(fmt, args) >= 0;
    va_end(args);
    return ok ? MC_OK : stdout_failed(errno ? errno : EIO, err);
}

mc_status mc_print_and_free(char *text, mc_err *err)
{
    if (!text) return mc_no_room(err, "the text to print");
    const size_t n = strlen(text);
    const bool ends = n == 0 || text[n - 1] == '\n';
    const mc_status status = mc_print(err, "%s%s", text, ends ? "" : "\n");
    free(text);
    return status;
}

mc_status mc_print_text(mc_text *text, mc_err *err)
{
    return mc_print_and_free(mc_text_take(text), err);
}

mc_status mc_print_json(mc_json_out *json, mc_err *err)
{
    char *text = mc_json_done(json, true);
    mc_json_out_close(json);
    return mc_print_and_free(text, err);
}

void mc_complain(const char *what, const char *text)
{
    char shown[2 * MC_ERR_TEXT];
    mc_show_path(text, shown, sizeof shown);

    flockfile(stderr);
    mc_progress_erase();
    fprintf(stderr, "mcompress: %s%s%s\n", what ? what : "", what ? ": " : "", shown);
    funlockfile(stderr);
}

static void say(void *to, mc_log_level level, const char *text)
{
    (void)to;
    static const char *const what[] = {
        [MC_LOG_ERROR] = "error", [MC_LOG_WARNING] = "warning", [MC_LOG_DEBUG] = "debug"};
    mc_complain(level == MC_LOG_INFO ? NULL : what[level], text);
}

void mc_log_to_stderr(const mc_options *options)
{
    mc_log_level most = MC_LOG_WARNING;
    if (options->quiet) most = MC_LOG_ERROR;
    if (options->verbose) most = options->verbose > 1 ? MC_LOG_DEBUG : MC_LOG_INFO;
    mc_log_open(say, NULL, most);
}

bool mc_is_terminal(int fd)
{
    const char *term = getenv("TERM");
    return isatty(fd) && !(term && strcmp(term, "dumb") == 0);
}

bool mc_stdout_has_color(void)
{
    const char *no = getenv("NO_COLOR");
    return !(no && *no) && mc_is_terminal(STDOUT_FILENO);
}

static size_t characters(const char *text)
{
    size_t n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

size_t mc_name_width(const char *name)
{
    char shown[NAME_ROOM];
    return characters(mc_show_path(name, shown, sizeof shown));
}

void mc_text_add_name(mc_text *text, const char *name, size_t width)
{
    char shown[NAME_ROOM];
    mc_text_add(text, mc_show_path(name, shown, sizeof shown));
    const size_t n = characters(shown);
    if (n < width) mc_text_add_repeated(text, ' ', width - n);
}
