/*
 * import_send.h - sends a spool to the daemon: requests of up to a thousand keys, each of them
 * all or nothing, a few on the way at a time.
 */
#ifndef TOOL_IMPORT_SEND_H
#define TOOL_IMPORT_SEND_H

#include <jansson.h>

#include "import_spool.h"
#include "progress.h"
#include "session.h"

struct import_sending {
    struct session *session;
    const struct import_spool *spool;
    bool skips;   /* keys that are there already */
    bool forced;  /* takes keys that could be guessed */
    bool tries;   /* changes nothing */
    bool expects; /* tells the daemon how many there will be */

    /* What was acknowledged. */
    uint64_t imported;
    uint64_t skipped;
    uint64_t under_suspended_owner;
    json_t *last; /* the last reply; owned */
};

/* All of it. Returns 0, or the first failure; where the daemon named a key, the error names its
 * line. Requests that were on the way are waited for. */
int import_send(struct import_sending *sending, struct progress *progress, struct error *error);

#endif
