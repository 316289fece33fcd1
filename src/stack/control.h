/*
 * control.h - how the result of one module weighs: a control compiled into an action for each
 * result. The words and what they do are Linux-PAM's (pam.conf(5)); `rule = [...]` is its square
 * brackets. Pure.
 */
#ifndef STACK_CONTROL_H
#define STACK_CONTROL_H

#include <stdbool.h>

#include "catlatch_module.h"
#include "core/error.h"

/* One for each value that verify can return with a meaning; the last is CATLATCH_IGNORE. */
#define CONTROL_RESULTS 32u
_Static_assert(CATLATCH_IGNORE == CONTROL_RESULTS - 1, "every result has an action");

/* What is not negative is a jump: over so many lines as it is parsed, to that line once compiled.
 */
enum control_action {
    ACTION_OK = -1,   /* counts, unless something failed before */
    ACTION_DONE = -2, /* as ok, and if nothing failed before, the rest is not run */
    ACTION_BAD = -3,  /* a failure; the first one is the result */
    ACTION_DIE = -4,  /* as bad, and the rest is not run */
    ACTION_IGNORE = -5,
    ACTION_RESET = -6,    /* forgets what came before in this substack */
    ACTION_NONSENSE = -7, /* of a value that is no result: bad, as DENIED */
};

struct control {
    int16_t actions[CONTROL_RESULTS];
    bool is_optional; /* a refusal to settle is only recorded */
};

/* "required", "requisite", "sufficient", "optional": returns false of any other word. */
bool control_of_word(const char *word, struct control *ret_control);

/* The words between the brackets of a rule, as "valid=ok not_found=ignore default=die"; the text is
 * cut up. What is not named is `default`, and without that bad. Returns 0, or E_CONFIG. */
int control_of_rule(char *text, struct control *ret_control, struct error *error);

/* "ok", "die", ...; of a jump "jump". */
const char *control_action_name(int action);

#endif
