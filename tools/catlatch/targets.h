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
    const char *verb;                 /* "revoke", for questions */
    const char *participle;           /* "revoked", for notes */
    bool (*omits)(const json_t *key); /* what it cannot be done to: see selection.omits */
    const char *omitted;              /* why not: "revoked already" */
    bool omits_no_raw_keys;           /* but not keys that were named by themselves, raw */
    bool final;                       /* on a terminal even one key is asked about; `disable` is
                                         offered instead */
};

enum targets_answer { TARGETS_GO, TARGETS_DISABLE, TARGETS_STOP };

bool target_is_revoked(const json_t *key);
bool target_is_not_revoked(const json_t *key);

/*
 * Connects, finds the keys of the call's options, and asks where that is due. With --dry-run they
 * are printed instead. On TARGETS_STOP everything has been said and *ret_status is the exit status;
 * otherwise there is at least one key.
 */
enum targets_answer targets_settle(struct call *call, const struct targets_plan *plan,
                                   struct targets *ret_targets, int *ret_status);

void targets_free(struct targets *targets);

#endif
