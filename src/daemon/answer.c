/* What came of an operation, as PROTOCOL.md's maps. */
#include "daemon/command.h"
#include "daemon/pairs.h"

#define KEY_PAIRS 31u
#define RECEIPT_PAIRS 6u

static void pair_scopes(struct reply *reply, const struct record *record)
{
    reply_word(reply, "scopes");
    reply_array(reply, record->scope_count);
    for (size_t i = 0; i < record->scope_count; i++)
        reply_text(reply, record->scopes[i]);
}

static void pair_networks(struct reply *reply, const struct record *record)
{
    char text[NETWORK_TEXT_SIZE];

    reply_word(reply, "allowed_networks");
    reply_array(reply, record->network_count);
    for (size_t i = 0; i < record->network_count; i++)
        reply_bulk(reply, text, network_format(&record->networks[i], text));
}

static void pair_rates(struct reply *reply, const struct rates *rates)
{
    char text[RATE_TEXT_SIZE];

    reply_word(reply, "rates");
    reply_array(reply, rates->count);
    for (uint32_t i = 0; i < rates->count; i++)
        reply_bulk(reply, text, rate_format(&rates->list[i], text));
}

/* Two pairs. */
static void pair_uses(struct reply *reply, const struct op_key *key)
{
    char text[ALLOWANCE_TEXT_SIZE];
    const struct allowance *allowance = &key->record.allowance;

    if (allowance->uses == 0) {
        pair_word(reply, "uses", NULL);
        pair_word(reply, "uses_remaining", NULL);
        return;
    }
    reply_word(reply, "uses");
    reply_bulk(reply, text, allowance_format(allowance, text));
    pair_count(reply, "uses_remaining", key->uses_left);
}

static void pair_retires(struct reply *reply, const struct record *record)
{
    char text[RETIREMENT_TEXT_SIZE];
    size_t len = retirement_format(&record->retirement, text);

    pair_text(reply, "retires", (struct text){text, (uint32_t)len});
}

static void pair_metadata(struct reply *reply, const struct record *record)
{
    reply_word(reply, "metadata");
    reply_map(reply, record->metadata_count);
    for (size_t i = 0; i < record->metadata_count; i++) {
        reply_text(reply, record->metadata[i].name);
        reply_text(reply, record->metadata[i].value);
    }
}

static void pair_state(struct reply *reply, const struct record *record, int64_t now_unix_s)
{
    pair_word(reply, "state", record_state_name(record_state(record, now_unix_s)));
}

void answer_from(struct reply *reply, const char *name, const struct total_event *event)
{
    char text[NETWORK_TEXT_SIZE];

    reply_word(reply, name);
    if (event->has_from)
        reply_bulk(reply, text, address_format(&event->from, text));
    else
        reply_null(reply);
}

/* USAGE_PAIRS pairs. */
static void usage_pairs(struct reply *reply, const struct total *total)
{
    pair_time(reply, "last_used_at", total->used.last_unix_s);
    answer_from(reply, "last_used_from", &total->used);
    pair_count(reply, "use_count", total->used.count);
    pair_time(reply, "last_refused_at", total->refused.last_unix_s);
    answer_from(reply, "last_refused_from", &total->refused);
    pair_count(reply, "refused_count", total->refused.count);
}

/* KEY_PAIRS pairs. */
static void key_pairs(struct reply *reply, const struct op_key *key, int64_t now_unix_s)
{
    const struct record *record = &key->record;

    pair_id(reply, "id", record->id);
    pair_text(reply, "name", record->name);
    pair_text(reply, "owner", record->owner);
    pair_text(reply, "prefix", record->prefix);
    pair_text(reply, "environment", record->environment);
    pair_state(reply, record, now_unix_s);
    pair_bool(reply, "disabled", record->disabled);
    pair_bool(reply, "owner_suspended", record->suspended);
    pair_time(reply, "created_at", record->created_unix_s);
    usage_pairs(reply, &key->total);
    pair_time(reply, "expires_at", record->expires_unix_s);
    pair_time(reply, "not_before", record->not_before_unix_s);
    pair_time(reply, "revoked_at", record->revoked_unix_s);
    pair_word(reply, "revoke_reason", record_reason_name(record->revoke_reason));
    pair_text(reply, "revoke_comment", record->revoke_comment);
    pair_text(reply, "comment", record->comment);
    pair_scopes(reply, record);
    pair_networks(reply, record);
    pair_rates(reply, &record->rates);
    pair_uses(reply, key);
    pair_metadata(reply, record);
    pair_id(reply, "rotated_from", record->rotated_from);
    pair_id(reply, "rotated_to", record->rotated_to);
    pair_retires(reply, record);
    pair_count(reply, "version", record->version);
}

/* Three pairs: when and where in the order of things it took effect. */
static void moment_pairs(struct reply *reply, const struct op *op)
{
    pair_moment(reply, "time", op->time_unix_ms);
    pair_position(reply, "sequence", op->epoch, op->sequence);
    pair_count(reply, "generation", op->generation);
}

void answer_created(const struct op *op, const struct answer_place *place, struct reply *reply)
{
    const struct op_key *key = &op->keys[0];

    reply_map(reply, KEY_PAIRS + 4);
    key_pairs(reply, key, place->now_unix_s);
    reply_word(reply, "key");
    reply_bulk(reply, key->raw, key->raw_len);
    moment_pairs(reply, op);
}

void answer_key(const struct op *op, const struct answer_place *place, struct reply *reply)
{
    reply_map(reply, KEY_PAIRS);
    key_pairs(reply, &op->keys[0], place->now_unix_s);
}

/* "key_…", and in a list by expiry behind it "@" and the second of the place. */
static void pair_cursor(struct reply *reply, const struct op *op)
{
    char text[CATLATCH_ID_SIZE + 1 + REPLY_DIGITS_MAX];
    size_t len = CATLATCH_ID_SIZE - 1;

    if (op->next_expires_unix_s == 0) {
        pair_id(reply, "cursor", op->next_id);
        return;
    }
    key_id_format(op->next_id, text);
    text[len++] = '@';
    len += reply_digits((uint64_t)op->next_expires_unix_s, text + len);
    reply_word(reply, "cursor");
    reply_bulk(reply, text, len);
}

void answer_keys(const struct op *op, const struct answer_place *place, struct reply *reply)
{
    reply_map(reply, 2);
    pair_cursor(reply, op);
    reply_word(reply, "keys");
    reply_array(reply, op->key_count);
    for (size_t i = 0; i < op->key_count; i++) {
        reply_map(reply, KEY_PAIRS);
        key_pairs(reply, &op->keys[i], place->now_unix_s);
    }
}

/* Eight pairs of a receipt's key: the last two say when and from where it was last accepted. */
static void touched_pairs(struct reply *reply, const struct op_key *key, int64_t now_unix_s)
{
    pair_id(reply, "id", key->record.id);
    pair_text(reply, "prefix", key->record.prefix);
    pair_text(reply, "name", key->record.name);
    pair_text(reply, "owner", key->record.owner);
    pair_state(reply, &key->record, now_unix_s);
    pair_bool(reply, "changed", key->changed);
    pair_time(reply, "last_used_at", key->total.used.last_unix_s);
    answer_from(reply, "last_used_from", &key->total.used);
}

static uint64_t changed_count(const struct op *op)
{
    uint64_t count = 0;

    for (size_t i = 0; i < op->key_count; i++)
        count += op->keys[i].changed;
    return count;
}

/* RECEIPT_PAIRS pairs, the last of which the caller goes on with: an array of key_count maps. */
static void receipt_head(struct reply *reply, const struct op *op, const struct answer_place *place)
{
    reply_map(reply, RECEIPT_PAIRS);
    pair_word(reply, "host", place->host);
    moment_pairs(reply, op);
    pair_count(reply, "count", changed_count(op));
    reply_word(reply, "keys");
    reply_array(reply, op->key_count);
}

void answer_receipt(const struct op *op, const struct answer_place *place, struct reply *reply)
{
    receipt_head(reply, op, place);
    for (size_t i = 0; i < op->key_count; i++) {
        reply_map(reply, 8);
        touched_pairs(reply, &op->keys[i], place->now_unix_s);
    }
}

void answer_rotated(const struct op *op, const struct answer_place *place, struct reply *reply)
{
    receipt_head(reply, op, place);
    for (size_t i = 0; i < op->key_count; i++) {
        const struct op_key *key = &op->keys[i];
        reply_map(reply, 12);
        touched_pairs(reply, key, place->now_unix_s);
        pair_bool(reply, "owner_suspended", key->record.suspended);
        pair_id(reply, "old_id", key->record.rotated_from);
        reply_word(reply, "key");
        reply_bulk(reply, key->raw, key->raw_len);
        pair_time(reply, "old_expires_at", key->old_expires_unix_s);
    }
}

#define OWNER_PAIRS 6

static void owner_pairs(struct reply *reply, const struct record_owner *owner)
{
    pair_text(reply, "owner", owner->name);
    pair_bool(reply, "suspended", owner->suspended);
    pair_time(reply, "suspended_at", owner->suspended ? owner->suspended_unix_s : 0);
    pair_time(reply, "created_at", owner->created_unix_s);
    pair_count(reply, "keys", owner->key_count);
    pair_rates(reply, &owner->rates);
}

void answer_owner(const struct op *op, const struct answer_place *place, struct reply *reply)
{
    (void)place;
    reply_map(reply, OWNER_PAIRS);
    owner_pairs(reply, &op->owners[0]);
}

void answer_owners(const struct op *op, const struct answer_place *place, struct reply *reply)
{
    (void)place;
    reply_map(reply, 2);
    pair_text(reply, "cursor", op->next_owner);
    reply_word(reply, "owners");
    reply_array(reply, op->owner_count);
    for (size_t i = 0; i < op->owner_count; i++) {
        reply_map(reply, OWNER_PAIRS);
        owner_pairs(reply, &op->owners[i]);
    }
}

void answer_owner_change(const struct op *op, const struct answer_place *place, struct reply *reply)
{
    reply_map(reply, OWNER_PAIRS + 5);
    owner_pairs(reply, &op->owners[0]);
    pair_word(reply, "host", place->host);
    moment_pairs(reply, op);
    pair_count(reply, "count", op->owner_changed ? op->owners[0].key_count : 0);
}

void answer_imported(const struct op *op, const struct answer_place *place, struct reply *reply)
{
    reply_map(reply, 7);
    pair_word(reply, "host", place->host);
    moment_pairs(reply, op);
    pair_count(reply, "count", op->imported_count);
    pair_count(reply, "skipped", op->skipped_count);
    pair_count(reply, "under_suspended_owner", op->suspended_count);
}

void answer_exported(const struct op *op, const struct answer_place *place, struct reply *reply)
{
    char hex[2 * DIGEST_BYTES + 1];

    reply_map(reply, 2);
    pair_cursor(reply, op);
    reply_word(reply, "keys");
    reply_array(reply, op->key_count);
    for (size_t i = 0; i < op->key_count; i++) {
        const struct record *record = &op->keys[i].record;
        reply_map(reply, KEY_PAIRS + 2);
        key_pairs(reply, &op->keys[i], place->now_unix_s);
        digest_hex(&record->digest, hex);
        pair_word(reply, "sha256", hex);
        pair_count(reply, "assumed_bits", record->assumed_bits);
    }
}
