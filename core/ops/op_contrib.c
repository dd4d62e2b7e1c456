/* placeholder until the family is written */
#include "core/op.h"

const mc_op mc_ops_contrib[] = {{.domain = NULL}};
