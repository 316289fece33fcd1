/*
 * fields.h - the header fields that go with an answer, one by one: for servers that take them as
 * names and values.
 *
 * Pure, but for the caller's memory; any thread.
 */
#ifndef HTTP_FIELDS_H
#define HTTP_FIELDS_H

#include "plugin/http/answer.h"

/* Is given each field; both texts are good until it returns. */
typedef void (*fields_told)(void *context, const char *name, const char *value);

/* Tells the fields of an answer: of a granted request what is left of its rates, of a refused one
 * all that it is sent with, the body's type among them. `realm` is sane; `scopes` as for
 * answer_challenge; a request_id that is NULL or not sane is not told. */
void fields_tell(const struct answer *answer, const char *realm, const char *scopes,
                 const char *request_id, fields_told told, void *context);

#endif
