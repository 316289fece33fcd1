/*
 * value.h - the daemon's replies as JSON values. Debian's hiredis speaks RESP2, where a map is a
 * flat array of name, value and a boolean is 1 or 0; PROTOCOL.md says which names are which.
 */
#ifndef TOOL_VALUE_H
#define TOOL_VALUE_H

#include <hiredis/hiredis.h>
#include <jansson.h>
#include <stdbool.h>

/* A map as an object, in the order of the reply. The caller owns it. NULL if the reply is no map as
 * PROTOCOL.md has them, is not UTF-8, or memory ran out. */
json_t *value_of_map(const redisReply *reply);

/* Frees a reply and cleanses its strings, for some are keys. NULL is allowed. */
void value_free(redisReply *reply);

/* Fields of an object; "" and false when absent or of another type. */
const char *value_text(const json_t *object, const char *name);
bool value_true(const json_t *object, const char *name);

#endif
