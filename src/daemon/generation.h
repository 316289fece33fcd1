/*
 * generation.h - one generation of the table as a file of run_dir: make, publish, retire.
 *
 * The file is made as run_dir/table.<n>, fully allocated, filled through its writer, and then gets
 * its second name by a rename over run_dir/table. table.<n> stays until the generation is marked
 * superseded, so that a daemon that starts after a crash finds every generation that a reader may
 * still have mapped.
 */
#ifndef DAEMON_GENERATION_H
#define DAEMON_GENERATION_H

#include <sys/types.h>

#include "core/error.h"
#include "table/writer.h"

struct generation {
    struct table_writer writer;
    void *base;
    size_t size;
    uint64_t number;
    dev_t device;
    ino_t inode;
    bool published;
    struct generation *next; /* for lists of those to be freed */
};

/* Makes and maps the file, empty and formatted; seeds params->seed and sets the boot id. A file of
 * that name that nobody published is replaced. Any thread; takes as long as the kernel needs to
 * hand out the memory. Returns 0, E_FULL (run_dir has no room), E_PERMISSION, E_IO or E_MEMORY. */
int generation_make(const char *run_dir, const struct table_params *params,
                    struct generation **ret_generation, struct error *error);

/* Starts its heartbeat and renames it over run_dir/table. Returns 0 or a negative code. */
int generation_publish(struct generation *generation, const char *run_dir, struct error *error);

/* Marks it superseded and takes its own name away. Readers that have it mapped leave it. */
void generation_retire(struct generation *generation, const char *run_dir);

/* Unmaps; what was never published is unlinked as well. NULL is allowed. */
void generation_free(struct generation *generation, const char *run_dir);

/* Whether run_dir still has its own name, table.<n>, for this generation. */
bool generation_is_named(const struct generation *generation, const char *run_dir);

/* Whether run_dir/table is this generation. */
bool generation_is_in_place(const struct generation *generation, const char *run_dir);

/* What an earlier daemon left in run_dir. If its table has lost its own name it gets it back. */
struct generation_found {
    uint64_t highest;  /* number of the highest generation that there is a name of; 0: none */
    uint64_t epoch;    /* of run_dir/table, when it can be read */
    uint64_t sequence; /* likewise */
    bool has_expected; /* the one that was asked for is there */
};
int generation_look(const char *run_dir, uint64_t expected, struct generation_found *ret_found,
                    struct error *error);

/* Maps run_dir/table for reading, whoever made it, if it is a table of ours: what an earlier daemon
 * published last. False: there is none. */
bool generation_map_published(const char *run_dir, struct table_view *ret_view);
void generation_unmap(const struct table_view *view);

/* Marks and unlinks every other generation in run_dir. *ret_found is true if one of them was number
 * `expected`: then run_dir was not emptied since that was made. Files that are no tables of ours
 * are left alone. */
int generation_mark_others(const char *run_dir, uint64_t own, uint64_t expected, bool *ret_found,
                           struct error *error);

/* CLOCK_MONOTONIC in ms, never 0: the table's pulse. */
uint64_t generation_now_ms(void);

#endif
