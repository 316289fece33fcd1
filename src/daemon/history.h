/*
 * history.h - how often each key was granted and refused, and how often there was each result, by
 * minutes, hours and days of the wall clock: what is stored of it.
 *
 * What a sweep finds to be more than it knew goes into the minute, the hour and the day of its own
 * time, together with the total that it belongs to, in one transaction. So nothing is rolled up
 * later, and what a kill leaves is whole: the three agree whenever they are looked at. It costs two
 * more writes for each key and sweep; a roll-up by the hour would have to be resumed, and to look
 * at hours again that a clock which was set back goes through twice.
 *
 * Each level can be kept for another time, or not at all. A clock that jumps moves nothing that is
 * stored: what is counted afterwards goes to where the clock says, and adds to what is there. Pure.
 */
#ifndef DAEMON_HISTORY_H
#define DAEMON_HISTORY_H

#include "usage/process.h"

enum history_level { HISTORY_DAYS, HISTORY_HOURS, HISTORY_MINUTES, HISTORY_LEVELS };

/* Whose it is: a key's, or of all verifications by their result. No key has the id 0. */
#define HISTORY_RESULTS UINT64_C(0)

/* The level's letter, the number of the minute, hour or day since 1970, and the id, big-endian. So
 * the newest minutes are at the end of the database, where writing is cheap. */
#define HISTORY_KEY_BYTES 13u

/* Results that are not 0, each with its count. A key's has two numbers: far less. */
#define HISTORY_ENCODED_MAX 288u

struct history_entry {
    uint64_t granted, refused;
};

/* Where what a sweep finds goes. */
struct history_plan {
    int64_t now_unix_s;
    bool kept[HISTORY_LEVELS];
};

int64_t history_span_s(enum history_level level);

/* The number of the span that this moment is in. */
uint32_t history_bucket(enum history_level level, int64_t unix_s);

/* When it begins. */
int64_t history_begin_s(enum history_level level, uint32_t bucket);

void history_key(enum history_level level, uint32_t bucket, uint64_t id,
                 unsigned char ret_key[HISTORY_KEY_BYTES]);

/* False: it is no such key. */
bool history_key_parse(const unsigned char *key, size_t len, enum history_level *ret_level,
                       uint32_t *ret_bucket, uint64_t *ret_id);

/* The sum, at most INT64_MAX, for JSON's readers. */
uint64_t history_add(uint64_t a, uint64_t b);

/* Both return the length, at most HISTORY_ENCODED_MAX. */
size_t history_encode(const struct history_entry *entry,
                      unsigned char ret_bytes[HISTORY_ENCODED_MAX]);
size_t history_encode_results(const uint64_t counts[PROCESS_RESULTS],
                              unsigned char ret_bytes[HISTORY_ENCODED_MAX]);

/* Both return 0 or E_DATA. */
int history_decode(const unsigned char *bytes, size_t len, struct history_entry *ret_entry);
int history_decode_results(const unsigned char *bytes, size_t len,
                           uint64_t ret_counts[PROCESS_RESULTS]);

#endif
