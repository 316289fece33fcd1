/*
 * lib_import.h - KEY.IMPORT as an admin client sends it, through the daemon's own code: requests,
 * the commands' table, the handler, and the rules of a key that is imported. No socket, no store.
 */
#ifndef FUZZ_LIB_IMPORT_H
#define FUZZ_LIB_IMPORT_H

#include "core/error.h"
#include "daemon/op.h"

/* The clock of keys that are imported: 2027. */
#define IMPORT_NOW_UNIX_S INT64_C(1800000000)

/* The environments live and test. */
const struct key_environments *import_environments(void);

/* Bulk strings of RESP, as many as were said, with KEY.IMPORT before them. Returns an operation for
 * op_free, or NULL and what the reply was: an error, held to be one line. Nothing of the request is
 * left when it returns. */
struct op *import_request(const char *words, size_t len, size_t count, struct error *ret_error);

/* The key that the operation would store, if it is a new one. Returns 0, or a code and the error
 * that the reply would say. Texts are the operation's. */
int import_record(struct op *op, size_t number, struct record *ret_record, struct error *ret_error);

/* That the record holds no raw key, can be stored, and comes out of a store as it went in. */
void import_check_stored(const struct record *record);

#endif
