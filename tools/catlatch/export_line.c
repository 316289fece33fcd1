#include "export_line.h"

#include <string.h>

#include "value.h"

/* In this order. */
static const char *const fields[] = {
    "id",
    "sha256",
    "name",
    "owner",
    "prefix",
    "environment",
    "state",
    "created_at",
    "last_used_at",
    "last_used_from",
    "use_count",
    "last_refused_at",
    "last_refused_from",
    "refused_count",
    "expires_at",
    "not_before",
    "revoked_at",
    "revoke_reason",
    "revoke_comment",
    "comment",
    "scopes",
    "allowed_networks",
    "rates",
    "uses",
    "uses_remaining",
    "metadata",
    "rotated_from",
    "rotated_to",
    "retires",
    "assumed_bits",
};

static bool is_empty(const json_t *value)
{
    return value == NULL || json_is_null(value) ||
           (json_is_integer(value) && json_integer_value(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

static void state_set(json_t *line, const json_t *key)
{
    bool revoked = strcmp(value_text(key, "state"), "revoked") == 0;
    bool disabled = value_true(key, "disabled");

    (void)json_object_set_new(line, "state",
                              json_string(revoked    ? "revoked"
                                          : disabled ? "disabled"
                                                     : "active"));
    if (revoked && disabled)
        (void)json_object_set_new(line, "disabled", json_true());
}

json_t *export_line_of(const json_t *key)
{
    json_t *line = json_object();

    for (size_t i = 0; line != NULL && i < sizeof fields / sizeof *fields; i++) {
        json_t *value = json_object_get(key, fields[i]);
        if (strcmp(fields[i], "state") == 0)
            state_set(line, key);
        else if (!is_empty(value))
            (void)json_object_set(line, fields[i], value);
    }
    return line;
}
