/*
 * export_line.h - one line of an export: a key as import_line.h reads it.
 */
#ifndef TOOL_EXPORT_LINE_H
#define TOOL_EXPORT_LINE_H

#include <jansson.h>

/* Of a key as KEY.EXPORT replies it. What is null or empty is left out; and the state is what is
 * stored, for expired and not yet valid follow from the times. The caller owns the line; NULL: no
 * memory. */
json_t *export_line_of(const json_t *key);

#endif
