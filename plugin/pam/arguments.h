/*
 * plugin/pam: pam_catlatch.so, by which programs that speak PAM take an API key for a password.
 * Knows Linux-PAM, core and the library's public header; no table, no stack. No globals.
 *
 * arguments.h - what a line of a PAM service says behind pam_catlatch.so.
 */
#ifndef PAM_ARGUMENTS_H
#define PAM_ARGUMENTS_H

#include <stdbool.h>

#include "core/error.h"

/* Asked of a key where no scope= is written. Not every key of an owner's may be he: whoever may
 * create keys for an owner does not become that user by it, unless he may give this scope too. */
#define ARGUMENTS_SCOPE "pam:login"

/* Texts are those of the argv that was read. */
struct arguments {
    const char *config;  /* absolute; NULL: the compiled-in one */
    const char *service; /* NULL: "default" */
    const char *scope;   /* never NULL */
    const char *map;     /* absolute; NULL: a user's keys are those of the owner of his name */
    bool allow_root;
    bool use_first_pass;
    bool try_first_pass;
    bool debug;
};

/* What holds where nothing is said. */
struct arguments arguments_default(void);

/* Takes the words of one line; what they do not say stays as it is. Returns 0, or E_CONFIG for an
 * unknown word, one that is given twice, one without its value or with one that cannot be, or two
 * that contradict each other. */
int arguments_read(int argc, const char **argv, struct arguments *arguments, struct error *error);

#endif
