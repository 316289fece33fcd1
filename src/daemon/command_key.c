#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/timespan.h"
#include "daemon/daemon.h"
#include "daemon/options.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What a page holds when LIMIT is not given. */
#define PAGE_DEFAULT 100u

/* What KEY.ROTATE leaves the old key without GRACE: a day to roll the new one out. */
#define GRACE_DEFAULT_S INT64_C(86400)
#define GRACE_UNSAID INT64_C(-2)

static bool take_name(struct call *call, struct op *op, const char *word, const struct text *values)
{
    op->fields.has |= OP_HAS_NAME;
    return options_text(call, op, word, values[0], 1, RECORD_TEXT_MAX, &op->fields.name);
}

static bool take_owner(struct call *call, struct op *op, const char *word,
                       const struct text *values)
{
    op->fields.has |= OP_HAS_OWNER;
    return options_text(call, op, word, values[0], 1, RECORD_TEXT_MAX, &op->fields.owner);
}

/* Refuses a name that is not configured; the answer lists those that are. */
static bool take_environment_name(struct call *call, struct op *op, const char *word,
                                  struct text value, struct text *ret_text)
{
    const struct key_environments *known = &call->daemon->settings.config->environments;
    char list[KEY_ENVIRONMENTS_MAX * (CATLATCH_ENVIRONMENT_SIZE + 2)] = "";
    size_t len = 0;

    if (key_environment_named(known, value.bytes, value.len))
        return options_text(call, op, word, value, 1, CATLATCH_ENVIRONMENT_SIZE - 1, ret_text);
    for (size_t i = 0; i < known->count; i++)
        len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", i ? ", " : "",
                                known->list[i].name);
    return call_refuse(call, "INVALID", "%s is no environment; there are: %s", word, list);
}

static bool take_environment(struct call *call, struct op *op, const char *word,
                             const struct text *values)
{
    op->fields.has |= OP_HAS_ENVIRONMENT;
    return take_environment_name(call, op, word, values[0], &op->fields.environment);
}

static bool take_expires(struct call *call, struct op *op, const char *word,
                         const struct text *values)
{
    op->fields.has |= OP_HAS_EXPIRES;
    return options_time(call, word, values[0], &op->fields.expires_unix_s);
}

static bool take_not_before(struct call *call, struct op *op, const char *word,
                            const struct text *values)
{
    op->fields.has |= OP_HAS_NOT_BEFORE;
    return options_time(call, word, values[0], &op->fields.not_before_unix_s);
}

static bool take_comment(struct call *call, struct op *op, const char *word,
                         const struct text *values)
{
    op->fields.has |= OP_HAS_COMMENT;
    return options_text(call, op, word, values[0], 0, RECORD_COMMENT_MAX, &op->fields.comment);
}

static bool take_scope(struct call *call, struct op *op, const char *word,
                       const struct text *values)
{
    op->fields.has |= OP_HAS_SCOPES;
    return options_scope(call, &op->fields, op, word, values[0]);
}

/* Takes the next of a list that is separated by blanks or commas off its front; false: none. */
static bool next_of_list(struct text *io_list, struct text *ret_item)
{
    const char *at = io_list->bytes, *end = at + io_list->len, *item_end;

    while (at < end && (*at == ' ' || *at == ','))
        at++;
    for (item_end = at; item_end < end && *item_end != ' ' && *item_end != ',';)
        item_end++;
    *ret_item = (struct text){at, (uint32_t)(item_end - at)};
    *io_list = (struct text){item_end, (uint32_t)(end - item_end)};
    return ret_item->len > 0;
}

static bool take_scopes(struct call *call, struct op *op, const char *word,
                        const struct text *values)
{
    struct text list = values[0], scope;

    op->fields.has |= OP_HAS_SCOPES;
    while (next_of_list(&list, &scope))
        if (!options_scope(call, &op->fields, op, word, scope))
            return false;
    return true;
}

static bool take_network(struct call *call, struct op *op, const char *word,
                         const struct text *values)
{
    op->fields.has |= OP_HAS_NETWORKS;
    return options_network(call, &op->fields, word, values[0]);
}

static bool take_networks(struct call *call, struct op *op, const char *word,
                          const struct text *values)
{
    struct text list = values[0], network;

    op->fields.has |= OP_HAS_NETWORKS;
    while (next_of_list(&list, &network))
        if (!options_network(call, &op->fields, word, network))
            return false;
    /* Two empty variables and the comma between them must not lift what confines the key. */
    return values[0].len == 0 || op->fields.network_count > 0 ||
           call_refuse(call, "INVALID", "%s is a list without a network; only an empty one clears",
                       word);
}

/* An empty value takes it away. */
static bool take_uses(struct call *call, struct op *op, const char *word, const struct text *values)
{
    struct error error;

    op->fields.has |= OP_HAS_ALLOWANCE;
    return values[0].len == 0 || allowance_parse(values[0], &op->fields.allowance, &error) == 0 ||
           call_refuse(call, "INVALID", "%s %s", word, error.text);
}

static bool take_metadata(struct call *call, struct op *op, const char *word,
                          const struct text *values)
{
    op->fields.has |= OP_HAS_METADATA;
    return options_pair(call, op, word, values[0], values[1], op->fields.metadata,
                        &op->fields.metadata_count);
}

void handle_key_create(struct call *call)
{
    static const struct option options[] = {
        {"NAME", 1, false, take_name},
        {"OWNER", 1, false, take_owner},
        {"ENV", 1, false, take_environment},
        {"EXPIRES", 1, false, take_expires},
        {"NOT_BEFORE", 1, false, take_not_before},
        {"COMMENT", 1, false, take_comment},
        {"SCOPE", 1, true, take_scope},
        {"ALLOW", 1, true, take_network},
        {"RATE", 1, true, options_rate},
        {"USES", 1, false, take_uses},
        {"META", 2, true, take_metadata},
    };
    struct op *op = call_op(call, OP_CREATE);

    if (!op)
        return;
    bool ok = options_parse(call, op, 1, options, COUNT(options));
    if (ok && !(op->fields.has & OP_HAS_NAME))
        ok = call_refuse(call, "INVALID", "NAME is missing: a key needs one");
    call_leave(call, op, ok);
}

/* The digits behind the '@' of a cursor; false: they are no time. */
static bool read_place(struct text digits, int64_t *ret_unix_s)
{
    int64_t unix_s = 0;

    for (uint32_t i = 0; i < digits.len; i++) {
        if (digits.bytes[i] < '0' || digits.bytes[i] > '9' || unix_s > TIMESPAN_UNIX_MAX)
            return false;
        unix_s = 10 * unix_s + (digits.bytes[i] - '0');
    }
    *ret_unix_s = unix_s;
    return unix_s > 0 && unix_s <= TIMESPAN_UNIX_MAX;
}

static bool take_cursor(struct call *call, struct op *op, const char *word,
                        const struct text *values)
{
    struct text id = values[0];
    const char *at = id.len > 0 ? memchr(id.bytes, '@', id.len) : NULL;
    bool good = true;

    if (at) {
        id.len = (uint32_t)(at - id.bytes);
        struct text digits = {at + 1, values[0].len - id.len - 1};
        good = read_place(digits, &op->after_expires_unix_s);
    }
    if (good && key_id_parse(id.bytes, id.len, &op->after_id) == 0)
        return true;
    return call_refuse(call, "INVALID", "%s is none that KEY.LIST returned", word);
}

static bool take_list_owner(struct call *call, struct op *op, const char *word,
                            const struct text *values)
{
    return options_text(call, op, word, values[0], 1, RECORD_TEXT_MAX, &op->selection.owner);
}

static bool take_list_prefix(struct call *call, struct op *op, const char *word,
                             const struct text *values)
{
    if (values[0].len != KEY_SHOWN_LEN)
        return call_refuse(call, "INVALID", "%s is not the first %u characters of a key", word,
                           KEY_SHOWN_LEN);
    return options_text(call, op, word, values[0], 1, KEY_SHOWN_LEN, &op->selection.prefix);
}

static bool take_list_environment(struct call *call, struct op *op, const char *word,
                                  const struct text *values)
{
    return take_environment_name(call, op, word, values[0], &op->selection.environment);
}

static bool take_list_state(struct call *call, struct op *op, const char *word,
                            const struct text *values)
{
    op->selection.has_state = true;
    if (record_state_parse(values[0], &op->selection.state) == 0)
        return true;
    return call_refuse(call, "INVALID",
                       "%s is none of active, disabled, expired, not_yet_valid, revoked", word);
}

static bool take_list_name(struct call *call, struct op *op, const char *word,
                           const struct text *values)
{
    return options_text(call, op, word, values[0], 1, RECORD_TEXT_MAX, &op->selection.name_glob);
}

static bool take_before(struct call *call, const char *word, struct text value, int64_t *ret_unix_s)
{
    int64_t ms;

    if (value.len == 0)
        return call_refuse(call, "INVALID", "%s is empty", word);
    /* It would lie ahead of now, where every key was created, or revoked, before. */
    if (timespan_parse_ms(value.bytes, value.len, &ms) == 0)
        return call_refuse(call, "INVALID", "%s is a duration: a date or RFC 3339 is wanted", word);
    return options_time(call, word, value, ret_unix_s);
}

static bool take_created_before(struct call *call, struct op *op, const char *word,
                                const struct text *values)
{
    return take_before(call, word, values[0], &op->selection.created_before_unix_s);
}

static bool take_revoked_before(struct call *call, struct op *op, const char *word,
                                const struct text *values)
{
    return take_before(call, word, values[0], &op->selection.revoked_before_unix_s);
}

static bool take_expiring_within(struct call *call, struct op *op, const char *word,
                                 const struct text *values)
{
    int64_t within_s;

    if (!options_duration(call, word, values[0], &within_s))
        return false;
    if (__builtin_add_overflow(time(NULL), within_s, &op->selection.expiring_before_unix_s))
        return call_refuse(call, "INVALID", "%s is too long", word);
    return true;
}

/* Of nothing, it would be every key. */
static bool take_unused_for(struct call *call, struct op *op, const char *word,
                            const struct text *values)
{
    int64_t unused_s, now_unix_s = time(NULL);

    if (!options_duration(call, word, values[0], &unused_s))
        return false;
    if (unused_s == 0)
        return call_refuse(call, "INVALID", "%s is at least a second", word);
    /* Longer than there has been time is longer than any key can be unused. */
    op->selection.unused_since_unix_s = unused_s < now_unix_s ? now_unix_s - unused_s : 1;
    return true;
}

static bool take_list_metadata(struct call *call, struct op *op, const char *word,
                               const struct text *values)
{
    return options_pair(call, op, word, values[0], values[1], op->selection.metadata,
                        &op->selection.metadata_count);
}

/* Only the digest goes on from here. */
static bool take_list_key(struct call *call, struct op *op, const char *word,
                          const struct text *values)
{
    if (values[0].len == 0 || values[0].len > KEY_FOREIGN_MAX)
        return call_refuse(call, "INVALID", "%s is not 1 to %u bytes long", word, KEY_FOREIGN_MAX);
    op->selection.has_digest = true;
    digest_of(values[0].bytes, values[0].len, &op->selection.digest);
    return true;
}

void handle_key_list(struct call *call)
{
    static const struct option options[] = {
        {"CURSOR", 1, false, take_cursor},
        {"LIMIT", 1, false, options_limit},
        {"OWNER", 1, false, take_list_owner},
        {"PREFIX", 1, false, take_list_prefix},
        {"ENV", 1, false, take_list_environment},
        {"STATE", 1, false, take_list_state},
        {"NAME", 1, false, take_list_name},
        {"CREATED_BEFORE", 1, false, take_created_before},
        {"REVOKED_BEFORE", 1, false, take_revoked_before},
        {"EXPIRING_WITHIN", 1, false, take_expiring_within},
        {"UNUSED_FOR", 1, false, take_unused_for},
        {"META", 2, true, take_list_metadata},
        {"KEY", 1, false, take_list_key},
    };
    struct op *op = call_op(call, OP_LIST);

    if (!op)
        return;
    op->limit = PAGE_DEFAULT;
    call_leave(call, op, options_parse(call, op, 1, options, COUNT(options)));
}

void handle_key_get(struct call *call)
{
    struct op *op = call_op(call, OP_GET);
    size_t next;

    if (op)
        call_leave(call, op, options_ids(call, op, &next));
}

static bool take_set(struct call *call, struct op *op, const char *word, const struct text *values)
{
    static const struct {
        const char *name;
        unsigned has;
        bool (*take)(struct call *, struct op *, const char *, const struct text *);
    } fields[] = {
        {"name", OP_HAS_NAME, take_name},
        {"expires", OP_HAS_EXPIRES, take_expires},
        {"not_before", OP_HAS_NOT_BEFORE, take_not_before},
        {"comment", OP_HAS_COMMENT, take_comment},
        {"scopes", OP_HAS_SCOPES, take_scopes},
        {"allow", OP_HAS_NETWORKS, take_networks},
        {"rate", OP_HAS_RATES, options_all_rates},
        {"uses", OP_HAS_ALLOWANCE, take_uses},
    };
    struct text field = values[0];

    for (size_t i = 0; i < COUNT(fields); i++) {
        if (!text_is_nocase(field, fields[i].name))
            continue;
        if (op->fields.has & fields[i].has)
            return call_refuse(call, "INVALID", "%s %s is given twice", word, fields[i].name);
        return fields[i].take(call, op, fields[i].name, &values[1]);
    }
    if (field.len > 5 && strncasecmp(field.bytes, "meta.", 5) == 0) {
        struct text pair[2] = {{field.bytes + 5, field.len - 5}, values[1]};
        return take_metadata(call, op, "meta.", pair);
    }
    return call_refuse(call, "INVALID",
                       "%s knows the fields name, expires, not_before, comment, scopes, allow, "
                       "rate, uses and meta.NAME; owner and environment of a key never change",
                       word);
}

void handle_key_update(struct call *call)
{
    static const struct option options[] = {{"SET", 2, true, take_set}};
    struct op *op = call_op(call, OP_UPDATE);
    size_t next;

    if (!op)
        return;
    bool ok =
        options_ids(call, op, &next) && options_parse(call, op, next, options, COUNT(options));
    if (ok && op->fields.has == 0)
        ok = call_refuse(call, "INVALID", "SET is missing: nothing to update");
    call_leave(call, op, ok);
}

static bool take_reason(struct call *call, struct op *op, const char *word,
                        const struct text *values)
{
    if (record_reason_parse(values[0], &op->reason) == 0)
        return true;
    return call_refuse(call, "INVALID",
                       "%s is none of leaked, compromised, superseded, owner-left, unused, other",
                       word);
}

static bool take_grace(struct call *call, struct op *op, const char *word,
                       const struct text *values)
{
    if (text_is_nocase(values[0], "keep")) {
        op->grace_s = OP_GRACE_KEEP;
        return true;
    }
    if (!options_duration(call, word, values[0], &op->grace_s))
        return false;
    if (op->grace_s > 0)
        return true;
    return call_refuse(call, "INVALID",
                       "%s of nothing would leave a moment in which neither key works: use keep, "
                       "and revoke the old keys when the new ones are in place",
                       word);
}

/* A key that is not seen for a while ends, however long its grace is. */
static bool take_until_unseen(struct call *call, struct op *op, const char *word,
                              const struct text *values)
{
    int64_t *unseen_s = &op->retirement.unseen_s;

    return options_duration(call, word, values[0], unseen_s) &&
           ((*unseen_s > 0 && *unseen_s <= RETIREMENT_SPAN_MAX_S) ||
            call_refuse(call, "INVALID", "%s is 1s to 100y", word));
}

static bool take_on_use(struct call *call, struct op *op, const char *word,
                        const struct text *values)
{
    (void)call;
    (void)word;
    (void)values;
    return op->retirement.on_use = true;
}

/* The grace that nobody gave is a day, but where the evidence ends the key. One that begins with
 * the first use is part of that. */
static bool settle_grace(struct call *call, struct op *op)
{
    if (op->grace_s == GRACE_UNSAID)
        op->grace_s = op->retirement.unseen_s != 0 ? OP_GRACE_KEEP : GRACE_DEFAULT_S;
    if (!op->retirement.on_use)
        return true;
    if (op->grace_s != OP_GRACE_KEEP)
        op->retirement.grace_s = op->grace_s;
    op->grace_s = OP_GRACE_KEEP;
    return retirement_is_sane(&op->retirement) ||
           call_refuse(call, "INVALID",
                       "ON_USE needs a GRACE of up to 100y or UNTIL_UNSEEN: what begins with the "
                       "first use of the new key");
}

static void handle_ids(struct call *call, enum op_kind kind, const struct option *options,
                       size_t count)
{
    struct op *op = call_op(call, kind);
    size_t next;

    if (!op)
        return;
    op->grace_s = GRACE_UNSAID;
    call_leave(call, op,
               options_ids(call, op, &next) && options_parse(call, op, next, options, count) &&
                   (kind != OP_ROTATE || settle_grace(call, op)));
}

void handle_key_revoke(struct call *call)
{
    static const struct option options[] = {{"REASON", 1, false, take_reason},
                                            {"COMMENT", 1, false, options_comment}};
    handle_ids(call, OP_REVOKE, options, COUNT(options));
}

void handle_key_disable(struct call *call)
{
    static const struct option options[] = {{"COMMENT", 1, false, options_comment}};
    handle_ids(call, OP_DISABLE, options, COUNT(options));
}

void handle_key_purge(struct call *call)
{
    handle_ids(call, OP_PURGE, NULL, 0);
}

void handle_key_enable(struct call *call)
{
    handle_ids(call, OP_ENABLE, NULL, 0);
}

void handle_key_rotate(struct call *call)
{
    static const struct option options[] = {{"GRACE", 1, false, take_grace},
                                            {"UNTIL_UNSEEN", 1, false, take_until_unseen},
                                            {"ON_USE", 0, false, take_on_use}};
    handle_ids(call, OP_ROTATE, options, COUNT(options));
}
