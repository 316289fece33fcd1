/* explain.h - a decision about one key, line by line: `verify --explain`. */
#ifndef TOOL_EXPLAIN_H
#define TOOL_EXPLAIN_H

#include <jansson.h>

#include "catlatch.h"
#include "core/error.h"

/* Opens the service of the configuration in this process, by the library, as a worker does, and
 * decides about the request there; nothing is settled. *ret_answer is {"service", "result", "id",
 * "lines": [...]}. Returns 0, or what catlatch_open returns. */
int explain_ask(const char *config_path, const char *service,
                const struct catlatch_request *request, json_t **ret_answer, struct error *error);

/* As a table, with the result below it. Returns 0 or E_MEMORY. */
int explain_print(const json_t *answer, struct error *error);

#endif
