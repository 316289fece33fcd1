/*
 * backup.h - a backup: all keys, owners and changes of a store as one stream of bytes, whatever
 * engine keeps them. What an entry's bytes mean is the daemon's; this is the frame around them.
 *
 *   head      magic (8), format version (4)
 *   entries   type (1), length (4), bytes
 *
 *   first     BEGIN: identity of the store (16), time (8), epoch and sequence at the start (16),
 *             those of the last change that was removed from the log and its chain value (48), host
 *             and version of the program (each a length (2) and text)
 *   then      KEY, OWNER, CHANGE: encoded as the daemon stores them; GONE: id (8). A later entry
 *             stands in place of an earlier one of the same key or owner; changes come in order.
 *             USAGE, right behind a KEY: its id (8), and what is known of its use, encoded as the
 *             daemon stores it. A key that was never used has none
 *   then      POSITION: epoch and sequence at which all of it together is true, and time (24)
 *   at last   END: how many KEY, OWNER, CHANGE entries there are (24), SHA-256 over all before it
 *             (32), and nothing behind it
 *
 * Uses are counted while a backup is written, and no change tells of them: so a USAGE is of the
 * moment at which its key was looked at, between BEGIN and POSITION, and not of POSITION.
 *
 * Integers are little-endian, times milliseconds of Unix time. A reader refuses a format version
 * that it does not know. Version 1 is the same without USAGE.
 */
#ifndef CORE_BACKUP_H
#define CORE_BACKUP_H

#include <openssl/sha.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

#define BACKUP_VERSION 2u
#define BACKUP_VERSION_1 1u /* is read as well */
#define BACKUP_HEAD_BYTES 12u
#define BACKUP_ENTRY_HEAD_BYTES 5u

/* More than any entry of ours; a length beyond it is damage, and is not allocated for. */
#define BACKUP_ENTRY_MAX (256u << 10)

#define BACKUP_IDENTITY_BYTES 16u
#define BACKUP_NAME_MAX 255u /* bytes of the host's name, and of the version */

enum backup_type {
    BACKUP_BEGIN = 'B',
    BACKUP_KEY = 'K',
    BACKUP_USAGE = 'U',
    BACKUP_OWNER = 'O',
    BACKUP_CHANGE = 'C',
    BACKUP_GONE = 'G',
    BACKUP_POSITION = 'P',
    BACKUP_END = 'E',
};

#define BACKUP_GONE_BYTES 8u
#define BACKUP_USAGE_ID_BYTES 8u
#define BACKUP_POSITION_BYTES 24u
#define BACKUP_END_BYTES (24u + SHA256_DIGEST_LENGTH)

/* What BEGIN says. */
struct backup_begin {
    unsigned char identity[BACKUP_IDENTITY_BYTES];
    int64_t time_unix_ms;
    uint64_t epoch;
    uint64_t sequence;
    uint64_t log_epoch, log_sequence; /* the log begins behind it; zeros: nothing was removed */
    unsigned char log_chain[32];
    char host[BACKUP_NAME_MAX + 1];
    char version[BACKUP_NAME_MAX + 1];
};

struct backup_position {
    uint64_t epoch;
    uint64_t sequence;
    int64_t time_unix_ms;
};

/* Writing. The first gives head and BEGIN, the last END. */
#define BACKUP_BEGIN_MAX (BACKUP_HEAD_BYTES + BACKUP_ENTRY_HEAD_BYTES + 88u + 2 * (2u + 255u))
size_t backup_begin_write(const struct backup_begin *begin, unsigned char ret[BACKUP_BEGIN_MAX]);
void backup_head_write(enum backup_type type, size_t len,
                       unsigned char ret[BACKUP_ENTRY_HEAD_BYTES]);
void backup_position_write(const struct backup_position *position,
                           unsigned char ret[BACKUP_ENTRY_HEAD_BYTES + BACKUP_POSITION_BYTES]);

/* What is known of a backup so far, be it written or read. */
struct backup_tally {
    SHA256_CTX hash;
    struct backup_begin begin;
    struct backup_position position; /* epoch 0: not there yet */
    uint64_t keys, owners, changes;  /* entries */
    uint64_t bytes;
    uint32_t version; /* of the format */
    bool begun;       /* BEGIN was there */
    bool after_key;   /* a KEY was the last */
};
void backup_tally_start(struct backup_tally *tally);

/* Takes whole entries, with the head before the first; not END. Returns 0, E_DATA or E_VERSION,
 * with a line that goes on from the file's name. */
int backup_tally_add(struct backup_tally *tally, const void *bytes, size_t len,
                     struct error *error);

/* END for what was added; E_DATA when POSITION is not the last of it. */
#define BACKUP_TRAILER_BYTES (BACKUP_ENTRY_HEAD_BYTES + BACKUP_END_BYTES)
int backup_trailer(struct backup_tally *tally, unsigned char ret[BACKUP_TRAILER_BYTES],
                   struct error *error);

/* Reading a file from where it stands. */
struct backup_reader {
    int fd;
    unsigned char *buffer;
    size_t at, end;
    bool ended; /* the file has no more */
    struct backup_tally tally;
};

struct backup_entry {
    enum backup_type type;
    const unsigned char *bytes; /* until the next call */
    size_t len;
};

/* Returns 0 or E_MEMORY; backup_reader_close frees, and leaves the descriptor. */
int backup_reader_open(struct backup_reader *reader, int fd, struct error *error);
void backup_reader_close(struct backup_reader *reader);

/* Returns 1 and an entry (KEY, USAGE, OWNER, CHANGE or GONE), 0 when the end was reached and all of
 * it is what was written, E_DATA, E_VERSION or E_IO. Until 0 nothing that was read is certain. */
int backup_next(struct backup_reader *reader, struct backup_entry *ret_entry, struct error *error);

#endif
