/* change.h - one change to many keys, in requests that are each one transaction. */
#ifndef TOOL_CHANGE_H
#define TOOL_CHANGE_H

#include "session.h"

/* Keys that one request may name (PROTOCOL.md). */
#define CHANGE_CHUNK_MAX 10000u

/* Asks for one change of at most CHANGE_CHUNK_MAX keys. `extra` (may be NULL) follows the ids.
 * Returns 0 and the receipt, or what session_ask returned. */
int change_chunk(struct session *session, const char *verb, const uint64_t *ids, size_t count,
                 const struct session_words *extra, json_t **ret_receipt, struct error *error);

/* All of them, chunk by chunk. On failure *ret_receipt has what was done before (NULL: nothing) and
 * the error says how far it came and what to do. */
int change_apply(struct session *session, const char *verb, const uint64_t *ids, size_t count,
                 const struct session_words *extra, json_t **ret_receipt, struct error *error);

#endif
