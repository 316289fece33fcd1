/*
 * ini.h - reads an INI file strictly, through inih's ini_parse_stream.
 *
 * inih by itself cuts long values and drops text without an error; this reader hands it one line
 * at a time, counts them, and refuses what it would bend: a line over INI_LINE_MAX bytes, a NUL
 * byte or other control character, an indented line that is not blank, text after a section's ']'
 * other than a comment, a section or key whose name is longer than inih keeps, a key before the
 * first section, a line without '=', text that is not UTF-8. A `key = value` separates at the
 * first '='; ':' as separator is refused. ';' and '#' begin a comment at the start of a line, " ;"
 * within one. A tab is a blank, but may not stand inside a name or value.
 *
 * inih's switches are globals of the host process, and its idea of a blank is the host's locale:
 * what it makes of a line is compared with what stands there, and refused if it differs.
 * Threads: any, each with its own stream. Blocks: on the stream.
 */
#ifndef CORE_INI_H
#define CORE_INI_H

#include <stdio.h>

#include "core/error.h"

#define INI_LINE_MAX 190u /* inih keeps 200 with its newline and NUL; the rest is margin */
#define INI_NAME_MAX 48u  /* inih keeps 50 of section and key */

struct ini_event {
    const char *file;
    unsigned line;       /* from 1 */
    const char *section; /* whole text between the brackets */
    const char *name;    /* NULL: the section's header itself, seen once for each time it stands */
    const char *value;   /* NULL with name */
};

/* Returns 0 to go on, or a negative code with *error set, which ends the reading; the place is put
 * before its text. What the event points to lives as long as the call. */
typedef int ini_visitor(void *context, const struct ini_event *event, struct error *error);

/* file is for messages: every error starts with "file:line: ". Returns 0, E_CONFIG, E_IO E_MEMORY
 * or what the visitor returned. The stream stays the caller's. */
int ini_read(FILE *stream, const char *file, ini_visitor *visitor, void *context,
             struct error *error);

#endif
