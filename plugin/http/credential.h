/*
 * credential.h - a key in the header fields of an HTTP request, the same in every server (RFC 6750,
 * RFC 7617, RFC 9110 section 11).
 *
 * Authorization is for several sources, and for servers behind this one: its scheme tells whose it
 * is. Pure, but for the caller's memory; any thread.
 */
#ifndef HTTP_CREDENTIAL_H
#define HTTP_CREDENTIAL_H

#include <stdbool.h>
#include <stddef.h>

#include "catlatch.h"

/* Of what Basic encodes: a user and a password, of which one is a key (512 bytes at most), and the
 * colon between them. */
#define CREDENTIAL_BASIC_SIZE 1024u

enum credential_scheme {
    CREDENTIAL_OTHER,  /* none of ours, or no scheme at all */
    CREDENTIAL_BEARER, /* what follows may still be no token */
    CREDENTIAL_BASIC,
    CREDENTIAL_SEVERAL, /* a list of credentials: what some servers make of a field that came twice
                         */
};

/* The scheme of an Authorization field. */
enum credential_scheme credential_scheme(const char *value, size_t len);

/* Whether a field that has a key and nothing else is a list: keys have no comma. */
bool credential_is_list(const char *value, size_t len);

/* What Basic encodes, in the caller's memory, which the caller cleanses. */
struct credential_basic {
    char text[CREDENTIAL_BASIC_SIZE];
    const char *user, *password; /* in it, each terminated */
    size_t user_len, password_len;
};

/* False: it cannot be read, or is longer than any with a key. */
bool credential_read_basic(const char *value, size_t len, struct credential_basic *ret);

/* The key is the password or, where that is empty or was answered by this result, the user. */
bool credential_user_is_next(enum catlatch_result of_password);

#endif
