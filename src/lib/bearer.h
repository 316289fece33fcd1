/* bearer.h - the key in the value of an HTTP Authorization header. */
#ifndef LIB_BEARER_H
#define LIB_BEARER_H

#include "catlatch.h"
#include "core/text.h"

/*
 * Takes "Bearer" in any case, one or more spaces, a token68 (RFC 9110 section 11.2, RFC 6750
 * section 2.1) of at most KEY_FOREIGN_MAX bytes, and trailing blanks, which the header's parser may
 * have left.
 * Returns VALID and the token, which points into value; MISSING for another scheme and for blanks
 * alone; MALFORMED for a bearer credential that is empty, too long or no token68: a second one
 * behind a comma is not.
 */
enum catlatch_result bearer_token(const char *value, size_t len, struct text *ret_token);

#endif
