/*
 * lines.h - the lines of a service as they are written: control, module and arguments, with the
 * lines of included services in their places. Nothing is loaded.
 */
#ifndef STACK_LINES_H
#define STACK_LINES_H

#include "core/config.h"
#include "stack/control.h"
#include "stack/service.h"

#define LINE_ARGUMENTS_MAX 64u

struct line {
    const struct config_rule *rule;
    unsigned level;
    bool begins_substack; /* nothing below is set */
    struct control control;
    char *text; /* what module and arguments point into */
    const char *module;
    size_t argument_count;
    struct catlatch_argument arguments[LINE_ARGUMENTS_MAX];
};

struct lines {
    unsigned count;
    struct line *list[STACK_LINES_MAX];
};

/* Refuses with "file:line: " before it. Returns 0, E_CONFIG, E_NOT_FOUND or E_MEMORY. */
int lines_read(const struct config *config, const char *service, struct lines *ret_lines,
               struct error *error);
void lines_free(struct lines *lines);

#endif
