#include "daemon/keys_internal.h"

#include <string.h>

#include "core/timespan.h"

/* Scopes that give rights on the daemon's sockets; only a peer with the right admin gives them. */
static bool is_admin_scope(struct text scope)
{
    return scope.len >= 9 && memcmp(scope.bytes, "catlatch:", 9) == 0;
}

static int refuse_key(struct run *run, const char *what)
{
    return error_set(&run->op->error, CATLATCH_E_DATA,
                     "%s holds a whole key, and keys are never stored; nothing was changed", what);
}

int fields_check_text(struct run *run, const char *what, struct text text, size_t max)
{
    struct error *error = &run->op->error;
    if (text.len > max)
        return error_set(error, CATLATCH_E_DATA, "%s is %u bytes long; at most %zu are allowed",
                         what, text.len, max);
    if (!text_is_printable_utf8(text.bytes, text.len))
        return error_set(error, CATLATCH_E_DATA, "%s is not UTF-8 without control characters",
                         what);
    /* Somebody pasted it into the wrong place, and it would be kept for ever. */
    if (key_is_within(&run->keys->config->environments, text.bytes, text.len))
        return refuse_key(run, what);
    return 0;
}

static int check_metadata(struct run *run, const struct op_fields *fields)
{
    struct error *error = &run->op->error;
    for (size_t i = 0; i < fields->metadata_count; i++) {
        const struct record_pair *pair = &fields->metadata[i];
        int r;
        if (pair->name.len == 0)
            return error_set(error, CATLATCH_E_DATA, "a metadata name is empty");
        if ((r = fields_check_text(run, "a metadata name", pair->name, RECORD_METADATA_NAME_MAX)) !=
                0 ||
            (r = fields_check_text(run, "a metadata value", pair->value, RECORD_COMMENT_MAX)) != 0)
            return r;
        for (uint32_t at = 0; at < pair->name.len; at++)
            if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-",
                       pair->name.bytes[at]) == NULL)
                return error_set(error, CATLATCH_E_DATA,
                                 "a metadata name has other characters than A-Z a-z 0-9 _ . -");
        for (size_t j = 0; j < i; j++)
            if (text_equal(fields->metadata[j].name, pair->name))
                return error_set(error, CATLATCH_E_DATA,
                                 "metadata values %zu and %zu have the same name", j + 1, i + 1);
    }
    return 0;
}

int fields_check(struct run *run, const struct op_fields *fields)
{
    int r;
    if ((fields->has & OP_HAS_NAME) != 0 && fields->name.len == 0)
        return error_set(&run->op->error, CATLATCH_E_DATA, "the name is empty");
    if ((fields->has & OP_HAS_OWNER) != 0 && fields->owner.len == 0)
        return error_set(&run->op->error, CATLATCH_E_DATA, "the owner is empty");
    if ((r = fields_check_text(run, "the name", fields->name, RECORD_TEXT_MAX)) != 0 ||
        (r = fields_check_text(run, "the owner", fields->owner, RECORD_TEXT_MAX)) != 0 ||
        (r = fields_check_text(run, "the comment", fields->comment, RECORD_COMMENT_MAX)) != 0)
        return r;
    return check_metadata(run, fields);
}

int fields_check_comment(struct run *run)
{
    return fields_check_text(run, "the comment", run->op->comment, RECORD_COMMENT_MAX);
}

int fields_check_admin(struct run *run, const struct record *record)
{
    char id[CATLATCH_ID_SIZE];
    bool has = false;
    for (size_t i = 0; i < record->scope_count; i++)
        has |= is_admin_scope(record->scopes[i]);
    if (!has || run->op->may_grant_admin)
        return 0;
    key_id_format(record->id, id);
    return error_set(&run->op->error, CATLATCH_E_PERMISSION,
                     "%s has rights on this daemon (a catlatch: scope): only a peer with the right "
                     "admin can do more than disable or revoke it",
                     id);
}

int fields_check_scopes(struct run *run, const struct op_fields *fields)
{
    struct error *error = &run->op->error;
    size_t bytes = 0;
    for (size_t i = 0; i < fields->scope_count; i++) {
        struct text scope = fields->scopes[i];
        if (!text_is_scope(scope.bytes, scope.len))
            return error_set(error, CATLATCH_E_DATA,
                             "a scope is 1 to 64 printable ASCII characters but blank, \" and \\");
        if (key_is_within(&run->keys->config->environments, scope.bytes, scope.len))
            return refuse_key(run, "a scope");
        bytes += scope.len + (i > 0);
        if (bytes > RECORD_SCOPES_BYTES_MAX)
            return error_set(error, CATLATCH_E_DATA, "the scopes take more than %u bytes",
                             RECORD_SCOPES_BYTES_MAX);
        if (is_admin_scope(scope) && !run->op->may_grant_admin)
            return error_set(error, CATLATCH_E_PERMISSION,
                             "a catlatch: scope can be given by a peer with the right admin only");
        for (size_t j = 0; j < i; j++)
            if (text_equal(fields->scopes[j], scope))
                return error_set(error, CATLATCH_E_DATA, "scopes %zu and %zu are the same", j + 1,
                                 i + 1);
    }
    return 0;
}

int fields_check_expiry(struct run *run, int64_t expires_unix_s, int64_t not_before_unix_s)
{
    struct error *error = &run->op->error;
    int64_t max = run->keys->config->max_expiry_s;
    if (expires_unix_s < 0 || expires_unix_s > TIMESPAN_UNIX_MAX || not_before_unix_s < 0 ||
        not_before_unix_s > TIMESPAN_UNIX_MAX)
        return error_set(error, CATLATCH_E_DATA, "a time lies outside of 1970 to 9999");
    if (max != 0 && (expires_unix_s == 0 || expires_unix_s > run->now_unix_s + max)) {
        char until[TIMESPAN_RFC3339_SIZE];
        timespan_rfc3339(run->now_unix_s + max, until);
        return error_set(error, CATLATCH_E_LIMIT,
                         "[policy] max_expiry lets keys live until %s at the most", until);
    }
    if (expires_unix_s != 0 && not_before_unix_s >= expires_unix_s)
        return error_set(error, CATLATCH_E_DATA, "the key would expire before it becomes valid");
    return 0;
}
