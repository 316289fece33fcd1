/* receipt.h - what a change answers: host, time, sequence, generation, and what became of each key.
 */
#ifndef TOOL_RECEIPT_H
#define TOOL_RECEIPT_H

#include <jansson.h>
#include <stdio.h>

#include "core/error.h"

/* Puts a further receipt behind the ones so far (*io_receipt NULL: it is the first): the keys of
 * all, counts summed, and the moment of the last, from which everything holds. Takes `next` over.
 * Returns 0 or E_MEMORY. */
int receipt_join(json_t **io_receipt, json_t *next, struct error *error);

/* The table of keys. Returns 0 or E_MEMORY. */
int receipt_table(FILE *stream, const json_t *receipt, struct error *error);

/* "3 keys refused everywhere on HOST since TIME (sequence S, generation G)"; what: "refused
 * everywhere", when: "since" or "at". */
void receipt_line(FILE *stream, const json_t *receipt, size_t total, const char *what,
                  const char *when);

/* "last accepted at TIME from ADDRESS: ID": of these keys, the last one; or that none was. */
void receipt_last_used(FILE *stream, const json_t *keys);

#endif
