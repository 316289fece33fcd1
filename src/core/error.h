/*
 * src/core: what library, daemon and tools share. Knows libc, libcrypto, inih and catlatch.h; no
 * table, no socket, no Berkeley DB, no global state.
 *
 * error.h - one error: a code of the public list and one line for a person.
 */
#ifndef CORE_ERROR_H
#define CORE_ERROR_H

#include "catlatch.h"

#define CATLATCH_PRINTF(template, first) __attribute__((format(printf, template, first)))

/* 512: a path of PATH_MAX does not fit, but two ordinary ones and a reason do. Longer is cut,
 * between characters. Each byte of a control character (C0, DEL, C1) becomes '?': an error is one
 * line whatever it quotes. Arguments may point into the text that is being replaced. */
struct error {
    int code; /* 0 or an enum catlatch_error */
    char text[512];
};

/* Fills in the error (NULL: nobody wants to know) and returns code, so `return error_set(...)`. */
int error_set(struct error *error, int code, const char *format, ...) CATLATCH_PRINTF(3, 4);

/* Puts "what: " before the text that is there. Returns the error's code (E_ARGUMENT for NULL, where
 * there is none to return: never success). */
int error_prefix(struct error *error, const char *format, ...) CATLATCH_PRINTF(2, 3);

/* error_set with the code that fits errno: EACCES and EPERM are E_PERMISSION, ENOMEM is E_MEMORY,
 * ENOSPC and EDQUOT are E_FULL, ENOENT is E_NOT_FOUND, others E_IO. ": strerror" is appended. */
int error_errno(struct error *error, int errnum, const char *format, ...) CATLATCH_PRINTF(3, 4);

/* The exit status of a program that ends with this code: sysexits, and 1 for not found. */
int error_exit_status(int code);

/* What a code means, in words; static. */
const char *error_meaning(int code);

#endif
