/*
 * import_spool.h - the checked lines of an import, in a temporary file that has no name: words of
 * KEY.IMPORT, never a raw key. So what is applied is what was checked, whatever becomes of the
 * input meanwhile. It also finds keys and ids that stand in the input twice.
 */
#ifndef TOOL_IMPORT_SPOOL_H
#define TOOL_IMPORT_SPOOL_H

#include "import_line.h"

/* A hash table of one value for each key, open addressing; a key of 0 is none. */
struct import_set {
    struct import_entry {
        uint64_t key;
        uint64_t value;
    } * entries;
    uint64_t size; /* a power of two */
    uint64_t count;
};

struct import_frame {
    uint64_t line;
    uint32_t word_count;
    uint32_t len; /* of the words that follow */
    struct digest digest;
    uint64_t is_owner;
};

struct import_spool {
    int fd;
    char *buffer;
    size_t used;      /* of the buffer: not written yet, */
    uint64_t written; /* behind so many bytes that were */
    uint64_t key_count;
    uint64_t owner_count;
    struct import_set digests; /* first word of the digest -> the frame's place and 1 */
    struct import_set ids;     /* id -> line */
};

/* The file is made in TMPDIR, or /var/tmp. Returns 0, E_MEMORY, E_FULL, E_PERMISSION or E_IO. */
int import_spool_open(struct import_spool *ret_spool, struct error *error);

/* Returns 0; E_DATA when the line's key or id stood in an earlier one, which the error names;
 * E_MEMORY, E_FULL or E_IO. */
int import_spool_add(struct import_spool *spool, const struct import_line *line, uint64_t number,
                     struct error *error);

/* Writes out what is left, and forgets what was needed to find doubles. */
int import_spool_end(struct import_spool *spool, struct error *error);

void import_spool_close(struct import_spool *spool);

/* A place in the spool, for reading it from the start. */
struct import_reader {
    const struct import_spool *spool;
    uint64_t offset; /* of the next frame */
    char *buffer;
    size_t at, end;
};

int import_reader_open(const struct import_spool *spool, struct import_reader *ret_reader,
                       struct error *error);

/* *ret_frame is NULL at the end; the words follow it, until the next call. */
int import_reader_next(struct import_reader *reader, const struct import_frame **ret_frame,
                       struct error *error);

void import_reader_close(struct import_reader *reader);

#endif
