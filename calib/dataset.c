/* placeholder until data sets are written */
#include "calib/dataset.h"

