/* "name:key=value,…": how a member of a family (a method, a transform, an observer) is asked for
 * with its parameters. A family lists its members once; reading and refusing texts is here. */
#ifndef MC_CORE_SETUP_H
#define MC_CORE_SETUP_H

#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    const char *key;
    const char *summary;
    double least, most, usual; /* all parameters are numbers */
    bool whole;                /* no fraction allowed */
} mc_setup_param;

enum { MC_SETUP_PARAMS = 8 };

typedef struct {
    const char *name;
    const mc_setup_param *params; /* MC_SETUP_PARAMS; the last ones without a key if fewer */
} mc_setup_member;

typedef struct {
    const char *kind;                              /* "method", for messages */
    bool (*at)(size_t i, mc_setup_member *member); /* the i-th member; false past the end */
} mc_setup_family;

typedef struct {
    size_t member;
    double param[MC_SETUP_PARAMS]; /* in the order of the member's params */
} mc_setup;

/* How many parameters there are. */
size_t mc_setup_count(const mc_setup_param *params);

/* The first `length` bytes of a text: which member they name, and its parameters, those not named
 * as usual. Numbers are decimal digits (at most 15) with an optional point and sign, whatever
 * the locale. MC_E_USAGE names what is wrong and what is allowed. */
mc_status mc_setup_parse(const mc_setup_family *family, const char *text, size_t length,
                         mc_setup *out, mc_err *err);

#endif
