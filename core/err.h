/* Errors: a status for programs to act on, and one sentence for people to act on. */
#ifndef MC_CORE_ERR_H
#define MC_CORE_ERR_H

/* The values are the exit codes of the program, which `mcompress help` lists. */
typedef enum {
    MC_OK = 0,
    MC_E_GATE = 1,        /* a gate of --require was not met */
    MC_E_USAGE = 2,       /* the request makes no sense */
    MC_E_FORMAT = 3,      /* the input breaks the rules of its format, or holds NaN or infinity */
    MC_E_UNSUPPORTED = 4, /* valid, but not something this program or target can do */
    MC_E_IO = 5,          /* the operating system refused */
    MC_E_MISMATCH = 6,    /* a hash, a signature, or the container is not what was measured */
    MC_E_BUDGET = 7,      /* memory, flash or size limit cannot be met */
    MC_E_INTERNAL = 70,   /* our own bug, or an algorithm that did not converge */
} mc_status;

enum { MC_ERR_TEXT = 2048 };

typedef struct {
    mc_status status;
    char text[MC_ERR_TEXT];
} mc_err;

#define MC_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Records what went wrong and returns `status`, so that to fail takes one line. */
mc_status mc_fail(mc_err *err, mc_status status, const char *fmt, ...) MC_PRINTF(3, 4);

/* MC_E_IO with the system's reason behind the sentence: "out.bin: cannot write: No space left". */
mc_status mc_fail_errno(mc_err *err, int error, const char *fmt, ...) MC_PRINTF(3, 4);

/* Puts the place in front of the cause: "layer3.w: row 2: weight is nan". */
mc_status mc_wrap(mc_err *err, const char *fmt, ...) MC_PRINTF(2, 3);

/* Passes a failure up. Only for functions that hold nothing to release. */
#define MC_TRY(call)                    \
    do {                                \
        mc_status try_ = (call);        \
        if (try_ != MC_OK) return try_; \
    } while (0)

#endif
