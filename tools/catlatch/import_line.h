/*
 * import_line.h - one line of an import: read, checked by every rule that a line alone can break,
 * and made into the words of KEY.IMPORT. Raw keys end here: what comes out has their digest.
 */
#ifndef TOOL_IMPORT_LINE_H
#define TOOL_IMPORT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/digest.h"
#include "core/error.h"
#include "core/key.h"
#include "json_arena.h"

/* Bytes of a line: more than the longest key with every character written as \uXXXX. */
#define IMPORT_LINE_MAX ((size_t)256 << 10)

/* Bytes of a line's words, framed: more than all texts of a key, each as long as it can be. */
#define IMPORT_WORDS_MAX ((size_t)64 << 10)

/* Entropy under which a key issued elsewhere is only taken by force: whoever reads the table could
 * find such a key by trying. */
#define IMPORT_BITS_MIN 112u
#define IMPORT_BITS_MAX 4096u

struct import_rules {
    const struct key_environments *environments;
    uint32_t assumed_bits; /* of keys issued elsewhere whose line does not say; 0: unknown */
    bool force;            /* takes those that could be guessed */
    int64_t now_unix_s;
};

/* What a line says, as bulk strings of RESP that go into a request as they are. */
struct import_line {
    bool is_owner; /* suspended or limited: words for a request of its own */
    bool foreign;  /* a key without check digits: `format` refuses it */
    struct digest digest;
    uint64_t id; /* 0: none was given */
    size_t word_count;
    size_t len;
    char *words; /* the caller's, with room for IMPORT_WORDS_MAX */
};

/* Returns 0, E_DATA and what is wrong (without what was written there, which may be a key; a
 * field's name with a slip alone is repeated), or E_MEMORY. The arena is for what jansson makes of
 * the line, and cleansed. *io_line has its `words` before. Thread: any, each with its arena. */
int import_line_read(const struct import_rules *rules, struct json_arena *arena, const char *text,
                     size_t len, struct import_line *io_line, struct error *error);

#endif
