/*
 * scan.h - finds keys in any bytes, by prefix and check digits. Pure: no file, no allocation.
 *
 * What is a key: a prefix of one of the environments, 36 base62 characters, and the six check
 * digits that belong to them. Nothing is asked of the bytes around it: escapes put letters before a
 * key
 * ("\ncc_live_...", "key%3Dcc_live_..."), and databases others behind it. That random text has a
 * prefix and the right digits happens once in 4 billion prefixes.
 */
#ifndef TOOL_SCAN_H
#define TOOL_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/key.h"

/* Where in the text prefixes begin: two bytes that stand `distance` apart. */
struct scan_lead {
    uint8_t first;
    uint8_t last;
    uint8_t distance; /* below KEY_PREFIX_MAX */
};

/* What is looked for. The environments stay the caller's. */
struct scan_rules {
    const struct key_environments *environments;
    size_t lead_count;
    struct scan_lead leads[KEY_ENVIRONMENTS_MAX];
};

/* A key in the text. `text` points into the scanned block: raw, and gone with it. */
struct scan_finding {
    uint64_t line;   /* from 1 */
    uint64_t column; /* in bytes, from 1 */
    const char *text;
    size_t len;
    const struct key_environment *environment;
};

typedef void scan_found(void *context, const struct scan_finding *finding);

/* A text on its way through, block by block. */
struct scan {
    const struct scan_rules *rules;
    uint64_t line; /* of the first byte of the next block */
    uint64_t column;
};

/* What a block must at least hold for the scan to advance. */
#define SCAN_BLOCK_MIN (KEY_TEXT_MAX + 1)

void scan_rules_make(const struct key_environments *environments, struct scan_rules *ret_rules);

/* At line 1, column 1. */
void scan_begin(const struct scan_rules *rules, struct scan *ret_scan);

/* Looks at the next bytes of the text and calls `found` for each key, in order. Returns how many
 * of them are done with; the next block begins with the others, which are at most KEY_TEXT_MAX.
 * At the text's end (at_end) that is all of them. Reads exactly len bytes at most. */
size_t scan_block(struct scan *scan, const char *bytes, size_t len, bool at_end, scan_found *found,
                  void *context);

#endif
