/* result.h - the names and HTTP statuses of enum catlatch_result: one list for everybody. */
#ifndef CORE_RESULT_H
#define CORE_RESULT_H

#include "catlatch.h"

const char *result_name(enum catlatch_result result);
int result_http_status(enum catlatch_result result);

#endif
