/* keygen.h - makes new keys. Only the daemon links it. */
#ifndef CORE_KEYGEN_H
#define CORE_KEYGEN_H

#include "key.h"

/* A new key: prefix, 36 characters without bias from OpenSSL's private CSPRNG, check digits, NUL.
 * What it used on the way is cleansed; the caller cleanses ret_text. Returns 0, E_UNAVAILABLE
 * (the CSPRNG failed) or E_ARGUMENT (no valid prefix); ret_text is untouched on failure. */
int keygen_text(const char *prefix, char ret_text[KEY_TEXT_MAX + 1]);

#endif
