/* The escapes of GNU make: '$' is doubled; a blank, '#' and ':' take a backslash, and backslashes
 * right before these, or at the end of a name, are doubled. All other backslashes are letters. */
#include "cli/depfile.h"

#include "core/arena.h"
#include "core/file.h"

#include <stdlib.h>
#include <string.h>

static mc_status add_name(mc_text *text, const char *name, mc_err *err)
{
    size_t slashes = 0; /* right before `name` */
    for (; *name; name++) {
        if (*name == '\n' || *name == '\r')
            return mc_fail(err, MC_E_UNSUPPORTED, "a depfile cannot hold a name with a line break");
        if (strchr(" \t#:", *name)) mc_text_add_repeated(text, '\\', slashes + 1);
        if (*name == '$') mc_text_add(text, "$");
        mc_text_add_bytes(text, name, 1);
        slashes = *name == '\\' ? slashes + 1 : 0;
    }
    mc_text_add_repeated(text, '\\', slashes);
    return MC_OK;
}

mc_status mc_depfile_text(mc_text *text, const char *target, const char *const *dep, size_t deps,
                          mc_err *err)
{
    MC_TRY(add_name(text, target, err));
    mc_text_add(text, ":");
    for (size_t i = 0; i < deps; i++) {
        mc_text_add(text, " \\\n  ");
        MC_TRY(add_name(text, dep[i], err));
    }
    mc_text_add(text, "\n");
    return MC_OK;
}

mc_status mc_depfile_write(const char *path, const char *target, const char *const *dep,
                           size_t deps, mc_err *err)
{
    mc_text text;
    mc_text_open(&text);
    mc_status status = mc_depfile_text(&text, target, dep, deps, err);
    if (status != MC_OK) {
        status = mc_wrap(err, "%s", path);
    } else {
        const size_t bytes = text.length;
        char *all = mc_text_take(&text);
        status = all ? mc_write_file(path, all, bytes, 0, err) : mc_no_room(err, "the depfile");
        free(all);
    }
    mc_text_close(&text);
    return status;
}
