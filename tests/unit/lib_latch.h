/*
 * lib_latch.h - what a worker sees, without a daemon: a folder with a configuration and run_dir,
 * tables as the daemon would leave them there, and keys with real texts.
 *
 * Failing to set any of it up is a failed cmocka assertion.
 */
#ifndef TESTS_LIB_LATCH_H
#define TESTS_LIB_LATCH_H

#include "table/writer.h"

#define LATCH_KEY_LEN 50u /* "cc_live_", 36 random characters, 6 check digits */

struct latch_world {
    char folder[64];
    char run_dir[96];
    char table[128];  /* run_dir/table */
    char config[128]; /* run_dir is set, environments live and test, and `services` */
};

/* `services` is text for the end of the configuration. */
void latch_world_open(struct latch_world *world, const char *services);
void latch_world_close(struct latch_world *world); /* removes everything */

/* A generation: a file beside `table` until it is put in place. */
struct latch_table {
    struct table_writer writer;
    void *base;
    size_t size;
    char path[160];
};

/* Empty, mode 0640, of this boot. Its heart beats when it is told to. */
void latch_table_make(struct latch_table *table, const struct latch_world *world,
                      uint64_t generation);

/* One that fills whole huge pages, as all but tiny ones do. */
#define LATCH_HUGE_PAGE ((size_t)2 << 20)
void latch_table_make_large(struct latch_table *table, const struct latch_world *world,
                            uint64_t generation);

/* Beats with pulse_ms and renames it to run_dir/table. */
void latch_table_place(struct latch_table *table, const struct latch_world *world,
                       uint64_t pulse_ms);

/* Both, with a pulse of this moment. */
void latch_table_publish(struct latch_table *table, const struct latch_world *world,
                         uint64_t generation);

void latch_table_unmap(struct latch_table *table);

/* The text of key `number`, NUL-terminated; prefix is "cc_live_" or "cc_test_". */
void latch_key_text(uint64_t number, const char *prefix, char ret_text[LATCH_KEY_LEN + 1]);

/* How a key differs from the plain one: live, scopes "read" and "write", no times. */
struct latch_key {
    uint64_t number;
    const char *prefix;      /* NULL: "cc_live_" */
    const char *environment; /* NULL: "live" */
    const char *text;        /* NULL: latch_key_text */
    bool disabled, suspended, revoked;
    int64_t expires_unix_s, not_before_unix_s;
};

/* Claims and publishes: puts the key into the table or changes it there. */
void latch_table_put(struct latch_table *table, const struct latch_key *key);

/* Open descriptors of this process. */
size_t latch_descriptors(void);

/* Mappings of this process whose path begins with `path`. */
size_t latch_mappings(const char *path);

#endif
