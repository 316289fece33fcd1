/*
 * key.h - the text of a key: <environment prefix><36 random base62><6 check digits>.
 *
 * The check is CRC-32 over everything before it, prefix included, as six digits of 0-9A-Za-z, most
 * significant first. It proves nothing; it lets typos, truncation and swapped environments be
 * refused offline and lets scanners recognise a key.
 */
#ifndef CORE_KEY_H
#define CORE_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "catlatch.h"

/* The digits of a key's random part and check, in the order of their values. */
#define KEY_ALPHABET "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

#define KEY_RANDOM_LEN 36u /* 36 * log2(62) = 214 bits */
#define KEY_CHECK_LEN 6u   /* 62^6 > 2^32 */
#define KEY_PREFIX_MIN 3u
#define KEY_PREFIX_MAX 8u
#define KEY_TEXT_MAX (KEY_PREFIX_MAX + KEY_RANDOM_LEN + KEY_CHECK_LEN) /* 50: one SHA-256 block */
#define KEY_SHOWN_LEN 15u                                              /* cc_live_AbCdEfG */

/* For documentation, tests of others and screenshots: it looks like a key and never is one. Its
 * last six digits say more than 32 bits, so that they are no text's check: `format` answers
 * malformed, scanners that know check digits pass it by, and no key that is created can be it. */
#define KEY_EXAMPLE "cc_live_ThisIsAnExampleKeyAndItNeverVerifiesSample"

/* Keys issued elsewhere can look otherwise. 512 bounds what is hashed for a stranger. */
#define KEY_FOREIGN_MAX 512u

/* How many environments a configuration can have: a table numbers them in eight bits and keeps
 * their names in its first page. */
#define KEY_ENVIRONMENTS_MAX 32u

struct key_environment {
    char name[CATLATCH_ENVIRONMENT_SIZE]; /* "live" */
    char prefix[KEY_PREFIX_MAX + 1];      /* "cc_live_" */
};

struct key_environments {
    size_t count;
    struct key_environment list[KEY_ENVIRONMENTS_MAX];
};

/* 3 to 8 of [a-z0-9_], ending in '_'. */
int key_prefix_is_valid(const char *prefix);

/* The environment whose prefix the text starts with, or NULL. At most one can (none of the
 * prefixes is the start of another). */
const struct key_environment *key_environment_of(const struct key_environments *environments,
                                                 const char *text, size_t len);
const struct key_environment *key_environment_named(const struct key_environments *environments,
                                                    const char *name, size_t name_len);

/* True if text is a well-formed key of one of the environments: prefix, length, alphabet, check.
 * Does not branch on more than it must, allocates nothing, reads exactly len bytes at most. */
int key_is_well_formed(const struct key_environments *environments, const char *text, size_t len);

/* What is left to ask of a text that is known to be well formed: is its prefix one of these? False
 * for a text of any other length than a key's. */
int key_has_known_prefix(const struct key_environments *environments, const char *text, size_t len);

/* True if a well-formed key of one of the environments stands somewhere in the text. */
int key_is_within(const struct key_environments *environments, const char *text, size_t len);

/* True if the text is the start of a key of this environment, as it is shown: KEY_SHOWN_LEN
 * characters. */
int key_is_start(const struct key_environment *environment, const char *text, size_t len);

/* The six check digits of the len bytes before them. */
void key_check_digits(const char *text, size_t len, char ret_check[KEY_CHECK_LEN]);

/* The id that names a key in public: "key_" and 13 digits of RFC 4648 base32 in lower case. */
void key_id_format(uint64_t id, char ret_text[CATLATCH_ID_SIZE]);

/* Returns 0 and the id (never 0), or E_DATA. Only the text that key_id_format makes is taken. */
int key_id_parse(const char *text, size_t len, uint64_t *ret_id);

#endif
