/*
 * fields.h - the header fields that go with an answer, one by one, as servers take them.
 *
 * Pure, but for the caller's memory; any thread.
 */
#ifndef HTTP_FIELDS_H
#define HTTP_FIELDS_H

#include "plugin/http/answer.h"

/* Is given each field. Names last for ever, values until it returns. */
typedef void (*fields_told)(void *context, const char *name, const char *value);

/* Tells what is left of the tightest rate, if one applied: all that a granted request has. */
void fields_tell_rate(const struct answer *answer, fields_told told, void *context);

/* Tells all fields of an answer: of a granted request those of its rate, of a refused one all that
 * it is sent with, but for what says how long its body is and of which type: not every page about a
 * refusal is ours. `realm` is sane; `scopes` as for answer_challenge; a request_id that is NULL or
 * not sane is not told. */
void fields_tell(const struct answer *answer, const char *realm, const char *scopes,
                 const char *request_id, size_t request_id_len, fields_told told, void *context);

#endif
