/* The state of a line's key, and why it was revoked. */
#include <string.h>

#include "import_field.h"

/* `expired` and `not_yet_valid` follow from times; a line whose times say otherwise would make a
 * key that is refused there valid here. */
static int state_get(struct reading *reading)
{
    struct text state;
    int64_t expires, not_before, now = reading->rules->now_unix_s;
    const json_t *flag = reading->values[FIELD_DISABLED];
    int code = field_get_text(reading, FIELD_STATE, FIELD_TEXT_MAX, &state);

    if (code != 0 || (code = field_get_time(reading, FIELD_EXPIRES_AT, &expires)) != 0 ||
        (code = field_get_time(reading, FIELD_NOT_BEFORE, &not_before)) != 0)
        return code;
    if (flag != NULL && !json_is_boolean(flag))
        return field_refuse(reading, FIELD_DISABLED, "is neither true nor false");
    reading->disabled = json_is_true(flag) || text_is(state, "disabled");
    reading->revoked =
        text_is(state, "revoked") || (state.len == 0 && reading->values[FIELD_REVOKED_AT] != NULL);
    if (reading->values[FIELD_STATE] == NULL || reading->disabled || reading->revoked ||
        text_is(state, "active"))
        return 0;
    if (text_is(state, "expired"))
        return expires != 0 && expires <= now
                   ? 0
                   : field_refuse(reading, FIELD_STATE, "is expired, and expires_at is not past");
    if (text_is(state, "not_yet_valid"))
        return not_before > now ? 0
                                : field_refuse(reading, FIELD_STATE,
                                               "is not_yet_valid, and not_before is not ahead");
    return field_refuse(reading, FIELD_STATE,
                        "is none of active, disabled, revoked, expired, not_yet_valid");
}

static int reason_put(struct reading *reading)
{
    static const char *const known[] = {"leaked",     "compromised", "superseded",
                                        "owner-left", "unused",      "other"};
    struct text reason;
    int code = field_get_text(reading, FIELD_REVOKE_REASON, FIELD_TEXT_MAX, &reason);

    if (code != 0 || reading->values[FIELD_REVOKE_REASON] == NULL)
        return code;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (text_is(reason, known[i]))
            return field_put_pair(reading, "REASON", known[i], strlen(known[i]));
    return field_refuse(reading, FIELD_REVOKE_REASON,
                        "is none of leaked, compromised, superseded, owner-left, unused, other");
}

int state_put(struct reading *reading)
{
    int code = state_get(reading);

    if (code == 0 && reading->disabled)
        code = field_put_pair(reading, "STATE", "disabled", 8);
    if (code == 0 && reading->revoked)
        code = field_put_pair(reading, "STATE", "revoked", 7);
    for (int i = FIELD_REVOKED_AT; code == 0 && i <= FIELD_REVOKE_COMMENT; i++)
        if (reading->values[i] != NULL && !reading->revoked)
            code = field_refuse(reading, (enum field)i, "is given for a key that is not revoked");
    if (code == 0)
        code = field_put_time(reading, FIELD_REVOKED_AT, "REVOKED");
    if (code == 0)
        code = reason_put(reading);
    return code != 0
               ? code
               : field_put_text(reading, FIELD_REVOKE_COMMENT, "REVOKE_COMMENT", FIELD_COMMENT_MAX);
}
