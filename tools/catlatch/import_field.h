/*
 * import_field.h - a line of an import while it is read, for the files that make its words: fields
 * of the line are found, refused, and put as words of KEY.IMPORT. Only import_*.c know of it.
 */
#ifndef TOOL_IMPORT_FIELD_H
#define TOOL_IMPORT_FIELD_H

#include <jansson.h>

#include "core/text.h"
#include "import_line.h"

#define FIELD_TEXT_MAX 255u     /* name, owner */
#define FIELD_COMMENT_MAX 1024u /* comments, metadata values */

/* In the order in which `export` writes them. */
enum field {
    FIELD_ID,
    FIELD_SHA256,
    FIELD_KEY,
    FIELD_NAME,
    FIELD_OWNER,
    FIELD_PREFIX,
    FIELD_ENVIRONMENT,
    FIELD_STATE,
    FIELD_DISABLED,
    FIELD_CREATED_AT,
    FIELD_LAST_USED_AT,
    FIELD_LAST_USED_FROM,
    FIELD_USE_COUNT,
    FIELD_LAST_REFUSED_AT,
    FIELD_LAST_REFUSED_FROM,
    FIELD_REFUSED_COUNT,
    FIELD_EXPIRES_AT,
    FIELD_NOT_BEFORE,
    FIELD_REVOKED_AT,
    FIELD_REVOKE_REASON,
    FIELD_REVOKE_COMMENT,
    FIELD_COMMENT,
    FIELD_SCOPES,
    FIELD_ALLOWED_NETWORKS,
    FIELD_RATES,
    FIELD_USES,
    FIELD_USES_REMAINING,
    FIELD_METADATA,
    FIELD_ROTATED_FROM,
    FIELD_ROTATED_TO,
    FIELD_RETIRES,
    FIELD_ASSUMED_BITS,
    FIELD_SUSPENDED_OWNER,
    FIELD_SUSPENDED_AT,
    FIELD_LIMITED_OWNER,
    FIELDS,
};

struct reading {
    const struct import_rules *rules;
    const json_t *values[FIELDS]; /* NULL: not given, or null */
    struct import_line *line;
    struct error *error;
    struct text prefix; /* of the key, as it will be shown */
    const struct key_environment *environment;
    bool revoked;
    bool disabled;
};

/* All return 0, E_DATA and what is wrong, or E_MEMORY. */

/* The line's fields, each of them known. */
int field_find_all(struct reading *reading, json_t *object);

/* E_DATA: "FIELD what". */
int field_refuse(struct reading *reading, enum field field, const char *what);

/* A bulk string, and two. */
int field_put_word(struct reading *reading, const char *bytes, size_t len);
int field_put_pair(struct reading *reading, const char *word, const char *bytes, size_t len);

/* *ret_text is empty when the field is not there. */
int field_get_text(struct reading *reading, enum field field, size_t max, struct text *ret_text);

/* Whether such a text can be stored; `what` is for the error. */
int field_check_text(struct reading *reading, const char *what, struct text text);

/* *ret_unix_s is 0 when the field is not there. */
int field_get_time(struct reading *reading, enum field field, int64_t *ret_unix_s);

/* The field, if it is there, behind the word. */
int field_put_text(struct reading *reading, enum field field, const char *word, size_t max);
int field_put_time(struct reading *reading, enum field field, const char *word);

/* ret_id may be NULL. */
int field_put_id(struct reading *reading, enum field field, const char *word, uint64_t *ret_id);

/* What a key consists of: import_identity.c, import_usage.c, import_state.c, import_sets.c. */
int identity_put(struct reading *reading);
int usage_put(struct reading *reading);
int state_put(struct reading *reading);
int scopes_put(struct reading *reading);
int networks_put(struct reading *reading);
int rates_put(struct reading *reading);
int uses_put(struct reading *reading);
int retires_put(struct reading *reading);
int metadata_put(struct reading *reading);

#endif
