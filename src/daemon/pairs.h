/* pairs.h - the pairs that PROTOCOL.md's maps are made of: a name and its value. */
#ifndef DAEMON_PAIRS_H
#define DAEMON_PAIRS_H

#include "daemon/reply.h"

void pair_text(struct reply *reply, const char *name, struct text value); /* empty: null */
void pair_word(struct reply *reply, const char *name, const char *value); /* NULL: null */
void pair_bool(struct reply *reply, const char *name, bool value);
void pair_count(struct reply *reply, const char *name, uint64_t value);
void pair_time(struct reply *reply, const char *name, int64_t unix_s); /* 0: null */
void pair_id(struct reply *reply, const char *name, uint64_t id);      /* 0: null */

/* "2026-01-31T02:14:07.123Z" */
#define PAIRS_MOMENT_SIZE 25
void pairs_moment(int64_t unix_ms, char ret_text[PAIRS_MOMENT_SIZE]);
void pair_moment(struct reply *reply, const char *name, int64_t unix_ms);

/* "1:42" */
void pair_position(struct reply *reply, const char *name, uint64_t epoch, uint64_t sequence);

#endif
