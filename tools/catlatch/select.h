/*
 * select.h - the one selector: which keys a command is about.
 *
 * Conditions combine by AND. Keys are found by raw key where --key-stdin is given, else by id where
 * ids are, else the daemon looks for them; what the daemon was not asked is checked here.
 */
#ifndef TOOL_SELECT_H
#define TOOL_SELECT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "input.h"
#include "options.h"

struct selection {
    const struct options *options;
    bool by_id; /* ids were given: as operands, by --ids-from, or both, which leaves the common */
    uint64_t *ids; /* rising, each once */
    size_t id_count;
    bool by_key; /* --key-stdin */
    struct input keys;
    char created_before[32]; /* RFC 3339, as the daemon writes times; "": any */
    char revoked_before[32];
    char expiring_from[32]; /* now, if --expiring-within was given */
    char expiring_before[32];
    char unused_since[32];
    size_t limit; /* 0: no bound */

    /* True for keys that are passed over where a condition or a raw key only swept them up: a
     * change that they cannot take would otherwise be refused for all. NULL: none are. */
    bool (*omits)(const json_t *key);

    size_t omitted; /* keys that were passed over */
    size_t unknown; /* raw keys that are not known here */
};

/* Reads what the options say, files and standard input too. `options` must outlive the selection.
 * Returns 0, E_ARGUMENT, E_DATA (an id, time, state or input line that is none), or what reading
 * returned. */
int selection_read(const struct options *options, struct selection *ret_selection,
                   struct error *error);

void selection_free(struct selection *selection);

/* True if nothing restricts it: every key. */
bool selection_is_open(const struct selection *selection);

/* True if the key (a key map) meets every condition of the selection. */
bool selection_matches(const struct selection *selection, const json_t *key);

#endif
