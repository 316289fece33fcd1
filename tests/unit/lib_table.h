/*
 * lib_table.h - a table on the heap, and keys made up from a number, for tests.
 *
 * A sample_key owns the texts that its entry refers to: it must not be copied or moved while the
 * entry is in use. Nothing here is locked.
 */
#ifndef TESTS_LIB_TABLE_H
#define TESTS_LIB_TABLE_H

#include "table/writer.h"

#define SAMPLE_SCOPES_MAX 16
#define SAMPLE_NETWORKS_MAX (NETWORKS_MAX + 1)

struct sample_key {
    struct table_entry entry;
    char name[CATLATCH_TEXT_SIZE];
    char owner[CATLATCH_TEXT_SIZE];
    char prefix[CATLATCH_PREFIX_SIZE];
    struct text scopes[SAMPLE_SCOPES_MAX];
    struct network networks[SAMPLE_NETWORKS_MAX];
};

/* splitmix64: the same numbers in every run. */
uint64_t sample_random(uint64_t *state);

/* Stands for a SHA-256: uniform, and different for different numbers. */
struct digest sample_digest(uint64_t number);

/* A live key of environment "live" with the scopes "read" and "write", no networks, no times and no
 * flags; ten of them in a row have one owner. */
void sample_key_init(struct sample_key *key, uint64_t number);

/* Confines the key to one network more. */
void sample_key_confine(struct sample_key *key, const char *network);

struct heap_table {
    struct table_params params;
    void *base; /* page-aligned, exactly as long as the table */
    size_t size;
    struct table_writer writer;
};

/* Failing to is a failed cmocka assertion. */
void heap_table_open(struct heap_table *table, uint64_t capacity, uint64_t side_bytes_per_key);
void heap_table_close(struct heap_table *table);

/* Claims and publishes. Returns what table_claim returned. */
int heap_table_put(struct heap_table *table, const struct table_entry *entry);

/* NULL if readers see the digest with everything that the entry says, or what they see else:
 * "missing", "state", "name", ... */
const char *table_differs(const struct table_view *view, const struct table_entry *entry);

/* The same for a slot that table_find gave. */
const char *table_hit_differs(const struct table_view *view, const struct table_hit *hit,
                              const struct table_entry *entry);

#endif
