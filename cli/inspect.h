/* What inspect shows of a model or a container. */
#ifndef MC_CLI_INSPECT_H
#define MC_CLI_INSPECT_H

#include "cli/subject.h"
#include "core/json.h"
#include "core/text.h"

void mc_inspect_text(mc_text *text, const mc_subject *subject);
void mc_inspect_json(mc_json_out *json, const mc_subject *subject);

#endif
