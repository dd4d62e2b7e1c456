/* Signals: an interrupted run leaves nothing behind, and a map that breaks under us has a name. */
#ifndef MC_CLI_SIGNALS_H
#define MC_CLI_SIGNALS_H

/* SIGINT, SIGTERM, SIGHUP: outputs are abandoned, then the signal does what it does by default (one
 * that the caller ignores stays ignored). SIGBUS and SIGSEGV inside a mapped input: exit 5 with the
 * file's name; anywhere else they crash. SIGPIPE is ignored: writing fails instead. */
void mc_signals_install(void);

#endif
