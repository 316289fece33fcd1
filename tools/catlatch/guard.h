/*
 * guard.h - raw keys don't belong on a command line: every user of the host can read it in /proc,
 * and shells write it down. Here they are recognised, so that they can be refused unseen.
 */
#ifndef TOOL_GUARD_H
#define TOOL_GUARD_H

#include <stdbool.h>

#include "core/error.h"
#include "core/key.h"

/* An argument as messages may repeat it: its start, without control characters. 20 bytes name any
 * command or option and give no key away. */
#define GUARD_ECHO_MAX 20u
#define GUARD_ECHO_SIZE (GUARD_ECHO_MAX + 4u)

/* True if some word of the text has the shape of a whole key, of whatever environment, or begins
 * with a prefix of one of `environments` and goes on past what is shown in public: a key cut short
 * or mistyped is as secret. environments may be NULL while they are not known. */
bool guard_holds_key(const char *text, const struct key_environments *environments);

/* Looks at every argument. Returns 0 or E_ARGUMENT with a line that says where keys go and doesn't
 * repeat them. */
int guard_arguments(int argc, char *const *argv, const struct key_environments *environments,
                    struct error *error);

void guard_echo(const char *text, char ret_text[GUARD_ECHO_SIZE]);

#endif
