/*
 * src/stack: what a service demands of a key, and the decision. Used by the library and by the
 * daemon for KEY.VERIFY. Knows core and table. Deciding makes no system call but vDSO clocks.
 *
 * service.h - a [service NAME] compiled: which checks, how binding, with which arguments.
 *
 * Controls are PAM's: a failed `requisite` ends the run at once, a failed `required` lets the rest
 * run; either way the first failure is the answer, but where any check that ran could not be done
 * the answer is `unavailable`. Checks run in the order format, table, environment, scope.
 */
#ifndef STACK_SERVICE_H
#define STACK_SERVICE_H

#include "core/config.h"
#include "core/error.h"
#include "core/key.h"

enum stack_check {
    STACK_FORMAT,      /* the text is a well-formed key of a configured environment */
    STACK_TABLE,       /* the table knows the digest, and the key is live */
    STACK_ENVIRONMENT, /* the key belongs to one of the named environments */
    STACK_SCOPE,       /* the key has every scope that the request names */
    STACK_CHECKS,
};

enum stack_control { STACK_ABSENT, STACK_REQUIRED, STACK_REQUISITE };

struct stack_service {
    char name[CONFIG_NAME_MAX + 1];
    enum stack_control control[STACK_CHECKS]; /* all ABSENT: the empty stack, which denies */
    char allowed[KEY_ENVIRONMENTS_MAX][CATLATCH_ENVIRONMENT_SIZE]; /* environment's arguments */
    size_t allowed_count;
    struct key_environments environments; /* what `format` knows */
};

/* Compiles one service. A line that is not understood is refused as "file:line: ...": unknown
 * control or module, arguments that a module does not take, an environment that is not configured,
 * a module named twice, modules out of order, or a service that never looks the key up.
 * Returns 0 or E_CONFIG. */
int stack_compile(const struct config *config, const struct config_service *service,
                  struct stack_service *ret_service, struct error *error);

/* The service of that name; `default` when the configuration has none of that name is format,
 * table, scope, all required. Returns 0, E_CONFIG or E_NOT_FOUND (which lists those there are). */
int stack_service(const struct config *config, const char *name, struct stack_service *ret_service,
                  struct error *error);

/* Compiles all services, for -t and reload. Returns 0 or E_CONFIG. */
int stack_check_all(const struct config *config, struct error *error);

#endif
