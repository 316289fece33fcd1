/*
 * command.h - the table of commands, from which the parse, every --help and `help` are made.
 */
#ifndef TOOL_COMMAND_H
#define TOOL_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "core/config.h"
#include "options.h"
#include "session.h"

/* One run of a command. */
struct call {
    const struct command *command;
    struct options options;
    struct config *config;   /* NULL until call_configure */
    struct session *session; /* NULL until call_connect */
    int argc;
    char **argv;
};

struct command {
    const char *name;     /* one word, or two: "owner list" */
    const char *summary;  /* one line */
    const char *operands; /* as usage shows them; "" */
    const char *details;  /* a paragraph for --help; "" */
    uint64_t options;     /* beside OPTIONS_GLOBAL */
    size_t operands_min;
    size_t operands_max;
    int (*run)(struct call *call); /* returns the exit status; has printed any error */
};

extern const struct command command_list[];
extern const size_t command_list_len;

/* The configuration that somebody named, by -c or CATLATCH_CONFIG; NULL: nobody did. */
const char *call_config_named(const struct call *call);

/* Where the configuration is: -c, CATLATCH_CONFIG, or the compiled-in path. */
const char *call_config_path(const struct call *call);

/* Of a configuration that was not read: one that is not there is an error of configuration, and
 * says how to name another. Returns its code. */
int call_config_error(struct error *error);

/* Reads the configuration, and refuses arguments that hold a key of one of its environments.
 * Returns 0, E_ARGUMENT, E_CONFIG or what config_read returned. */
int call_configure(struct call *call, struct error *error);

/* The same, and connects to the daemon. */
int call_connect(struct call *call, struct error *error);

/* The tool, all of it: returns the exit status. */
int command_main(int argc, char **argv);

#endif
