/* The handlers call async-signal-safe functions only. */
#include "cli/signals.h"

#include "cli/progress.h"
#include "core/err.h"
#include "core/file.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static void say(const char *text, size_t n)
{
    while (n > 0) {
        const ssize_t done = write(STDERR_FILENO, text, n);
        if (done <= 0) return;
        text += done;
        n -= (size_t)done;
    }
}

static void say_text(const char *text)
{
    say(text, strlen(text));
}

/* Blocked while its handler runs, the signal strikes when that returns. */
static void die_by_default(int number)
{
    struct sigaction plain;
    memset(&plain, 0, sizeof plain);
    plain.sa_handler = SIG_DFL;
    sigaction(number, &plain, NULL);
    raise(number);
}

static void interrupted(int number)
{
    mc_out_abandon_all();
    mc_progress_erase();
    die_by_default(number);
}

/* A file that shrinks gives SIGBUS; one whose pages are gone may give SIGSEGV. Writing into a
 * read-only map would be our own mistake. */
static const char *broken_map(int number, const siginfo_t *info)
{
    const bool shrunk = number == SIGBUS && info->si_code > 0;
    const bool gone = number == SIGSEGV && info->si_code == SEGV_MAPERR;
    return shrunk || gone ? mc_map_name_at(info->si_addr) : NULL;
}

static void bad_access(int number, siginfo_t *info, void *context)
{
    (void)context;
    mc_out_abandon_all();
    const char *name = broken_map(number, info);
    if (!name) {
        die_by_default(number);
        return;
    }
    mc_progress_erase();
    say_text("mcompress: ");
    for (; *name; name++) { /* a name must not steer the terminal */
        const bool control = (unsigned char)*name < 0x20 || *name == 0x7f;
        say(control ? "?" : name, 1);
    }
    say_text(": changed while it was being read\n");
    _exit(MC_E_IO);
}

void mc_signals_install(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGXCPU};
    static const int faults[] = {SIGBUS, SIGSEGV};
    struct sigaction how;

    memset(&how, 0, sizeof how);
    sigfillset(&how.sa_mask);
    how.sa_handler = interrupted;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct sigaction before;
        if (sigaction(ends[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN) continue;
        sigaction(ends[i], &how, NULL);
    }

    /* The write fails instead, and says what it was for. */
    how.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &how, NULL);
    sigaction(SIGXFSZ, &how, NULL);

    memset(&how, 0, sizeof how);
    sigfillset(&how.sa_mask);
    how.sa_flags = SA_SIGINFO;
    how.sa_sigaction = bad_access;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) sigaction(faults[i], &how, NULL);
}
