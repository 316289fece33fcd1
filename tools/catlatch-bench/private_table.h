/*
 * private_table.h - what catlatch is measured against: the plainest fast table that a program can
 * keep for itself. Open addressing, linear probing, at most half full, 40 bytes an entry, huge
 * pages, and the same SHA-256. It can neither revoke, nor be shared, nor tell a typo.
 */
#ifndef BENCH_PRIVATE_TABLE_H
#define BENCH_PRIVATE_TABLE_H

#include "keys.h"

struct private_table;

/* All of the keys; the value of the nth is n + 1. Returns 0 or E_MEMORY. */
int private_table_make(const struct keys *keys, struct private_table **ret_table);
void private_table_free(struct private_table *table); /* NULL is allowed */

/* The key's value, or 0. */
uint64_t private_table_find(const struct private_table *table, const char *text, size_t len);

#endif
