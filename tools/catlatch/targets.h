/*
 * targets.h - the keys that a change will hit: found by a selection, shown, agreed to.
 */
#ifndef TOOL_TARGETS_H
#define TOOL_TARGETS_H

#include "command.h"
#include "select.h"

/* What a person can take in before answering a question. */
#define TARGETS_PREVIEW_MAX 20u

struct targets {
    uint64_t *ids;
    size_t count;
    size_t capacity;
    json_t *preview; /* the first TARGETS_PREVIEW_MAX keys */
};

/* How a command goes about its keys. */
struct targets_plan {
    const char *verb;       /* "revoke", for questions */
    const char *participle; /* "revoked", for notes */
    bool keep_revoked;      /* revoked keys that were swept up are hit too */
    bool asks_for_one;      /* on a terminal even a single key needs an answer */
    bool offers_disable;    /* `disable` is another answer */
};

enum targets_answer { TARGETS_GO, TARGETS_DISABLE, TARGETS_STOP };

/*
 * Connects, finds the keys of the call's options, and asks where that is due. With --dry-run they
 * are printed instead. On TARGETS_STOP everything has been said and *ret_status is the exit status;
 * otherwise there is at least one key.
 */
enum targets_answer targets_settle(struct call *call, const struct targets_plan *plan,
                                   struct targets *ret_targets, int *ret_status);

void targets_free(struct targets *targets);

#endif
