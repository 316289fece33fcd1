/*
 * lib_store.h - a store in a folder of its own, keys to put into it, and a look at whether all that
 * it holds agrees. For tests; what should not fail ends the program with a line, so that children
 * of tests can use it too.
 */
#ifndef TESTS_LIB_STORE_H
#define TESTS_LIB_STORE_H

#include "daemon/store.h"

#define STORE_FOLDER_SIZE 64

/* A new folder, 0700; store_folder_remove takes it and all in it away. */
void store_folder_make(char ret_path[STORE_FOLDER_SIZE]);
void store_folder_remove(const char *path);

struct store *store_open_or_die(const char *folder);

/* An active key. The texts are the caller's. */
struct record store_sample(uint64_t id, const char *name, const char *owner);

/* store_put with a change of this kind. */
int store_put_kind(struct store_txn *txn, const struct record *old, struct record *record,
                   enum change_kind kind, struct error *error);

/* In a transaction of its own, committed and flushed. */
void store_save(struct store *store, const struct record *old, struct record *record,
                enum change_kind kind);

/* So many keys, with the ids 10, 20, ..., as changes 1, 2, ... of a new store: one transaction. */
void store_fill(struct store *store, uint64_t count);

/* NULL if keys, indexes, owners' counts and flags, change log and numbers all agree; otherwise what
 * does not. */
const char *store_disagrees(struct store *store);

#endif
