/*
 * total.h - what is stored of a key's use: numbers that go on over areas, restarts and backups.
 *
 * The area that workers write (src/usage) counts from 0 when it begins. A total remembers which
 * record of which area it saw last and how far that had counted, so that it goes on by the
 * difference, and by all of it where the record is another. So a total that a backup brings back
 * goes on as well from where it was: by what was counted since in the same area, or in another one.
 * The record is another one in the same area where a key was gone for a while, with a restore of an
 * earlier backup. What the area says is hostile: a count that goes back, or on by
 * more than any host counts, is what somebody wrote there, and the total stays as it was and goes
 * on from there. Pure.
 */
#ifndef DAEMON_TOTAL_H
#define DAEMON_TOTAL_H

#include "usage/record.h"

#define TOTAL_AREA_BYTES 16u
#define TOTAL_ENCODED_MAX 160u

/* More than all cores of a large host count of one key in hours. */
#define TOTAL_STEP_MAX (UINT64_C(1) << 44)

struct total_event {
    uint64_t count; /* at most INT64_MAX, for JSON's readers */
    uint64_t seen;  /* what of it the area had counted */
    int64_t last_unix_s;
    bool has_from;
    struct address from;
};

/* What is left of an allowance, in thousandths of a use; of the first key of those that share it.
 */
struct total_uses {
    bool exists;
    uint64_t left_milli;    /* beside what the area was given */
    uint64_t granted_milli; /* that it was given, all together; it goes on over periods */
    uint64_t block_milli;   /* the last of that, which a crash can have kept from getting there, */
    bool resets;            /* and in the place of what is there, not beside it */
    int64_t period_unix_s;  /* of this period; 0: of the only one */
    unsigned char area[TOTAL_AREA_BYTES];
};

/* Zeros: never used, and no area was seen. */
struct total {
    unsigned char area[TOTAL_AREA_BYTES];
    uint32_t ref; /* of its record there */
    struct total_event used, refused;
    struct total_uses uses;
};

/* Takes over what the record `ref` of the area with this id says of the key at this moment. False:
 * some of it was not to be believed, and was left out. */
bool total_advance(struct total *io_total, const unsigned char area[TOTAL_AREA_BYTES], uint32_t ref,
                   const struct usage_numbers *numbers, int64_t now_unix_s);

/* Of two that are of one key, and of which neither need know all that the other does: nothing is
 * counted twice, so the sum is the greater of both, and the later last use. It goes on from where
 * io_total is, which is what saw the area of this host last. True: that made a difference. */
bool total_join(struct total *io_total, const struct total *other);

/* Nothing is known: the key was never used, nor refused, and has no uses to count down. */
bool total_is_empty(const struct total *total);

/* Forgets what the key was used for. What is left of an allowance stays: others may share it. */
void total_forget(struct total *io_total);

/* Returns the length, at most TOTAL_ENCODED_MAX. */
size_t total_encode(const struct total *total, unsigned char ret_bytes[TOTAL_ENCODED_MAX]);

/* Takes what total_encode writes and nothing else. Returns 0, E_DATA or E_VERSION. */
int total_decode(const unsigned char *bytes, size_t len, struct total *ret_total);

#endif
