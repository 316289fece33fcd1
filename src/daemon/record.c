#include "daemon/record.h"

#include <string.h>

#include "core/key.h"
#include "daemon/bytes.h"

/* Of the layouts below. A change of any of them gives it a new number, and the reader keeps the
 * old one's. A key's is RECORD_VERSION; before it: */
#define KEY_VERSION_4 4u   /* the same without FLAG_RETIRES */
#define KEY_VERSION_3 3u   /* and without HAS_ENABLED */
#define KEY_VERSION_2 2u   /* with every field, whether the key has it or not */
#define KEY_VERSION_1 1u   /* the same without networks, which are at the end */
#define OWNER_VERSION_1 1u /* without rates */

/* Where a key's digest lies, in each: behind version, flags, reason, id and version of the key. */
#define DIGEST_AT (3u + 8u + 8u)

/* Fields that most keys do not have, in their order; a word of bits says which follow. */
#define HAS_LAST_USED 0x0001u
#define HAS_EXPIRES 0x0002u
#define HAS_NOT_BEFORE 0x0004u
#define HAS_REVOKED 0x0008u
#define HAS_ROTATED_FROM 0x0010u
#define HAS_ROTATED_TO 0x0020u
#define HAS_BITS 0x0040u
#define HAS_COMMENT 0x0080u
#define HAS_REVOKE_COMMENT 0x0100u
#define HAS_SCOPES 0x0200u
#define HAS_METADATA 0x0400u
#define HAS_NETWORKS 0x0800u
#define HAS_RATES 0x1000u
#define HAS_GROUP 0x2000u
#define HAS_ALLOWANCE 0x4000u
#define HAS_ENABLED 0x8000u

#define SCOPE_MAX 64u        /* bytes of one scope: text_is_scope */
#define FLAG_DISABLED 0x01u  /* keys */
#define FLAG_SUSPENDED 0x02u /* owners */
#define FLAG_REVOKED 0x04u   /* keys */
#define FLAG_PURGED 0x08u    /* keys */
#define FLAG_RETIRES 0x10u   /* keys: their retirement is at the end */
#define KEY_FLAGS (FLAG_DISABLED | FLAG_REVOKED | FLAG_PURGED | FLAG_RETIRES)
#define OWNER_FLAGS 0x02u /* all of an owner's */

static const char *const reason_names[RECORD_REASON_COUNT] = {
    [RECORD_REASON_LEAKED] = "leaked",         [RECORD_REASON_COMPROMISED] = "compromised",
    [RECORD_REASON_SUPERSEDED] = "superseded", [RECORD_REASON_OWNER_LEFT] = "owner-left",
    [RECORD_REASON_UNUSED] = "unused",         [RECORD_REASON_OTHER] = "other",
};

static const char *const state_names[] = {
    [STATE_ACTIVE] = "active",   [STATE_DISABLED] = "disabled",
    [STATE_EXPIRED] = "expired", [STATE_NOT_YET_VALID] = "not_yet_valid",
    [STATE_REVOKED] = "revoked",
};
#define STATE_COUNT (sizeof state_names / sizeof state_names[0])

const char *record_reason_name(enum record_reason reason)
{
    return (unsigned)reason < RECORD_REASON_COUNT ? reason_names[reason] : NULL;
}

int record_reason_parse(struct text text, enum record_reason *ret_reason)
{
    for (unsigned i = RECORD_REASON_NONE + 1; i < RECORD_REASON_COUNT; i++)
        if (text_is(text, reason_names[i])) {
            *ret_reason = (enum record_reason)i;
            return 0;
        }
    return CATLATCH_E_DATA;
}

bool record_is_ours(const struct record *record)
{
    return record->assumed_bits == 0 && record->environment.len > 0;
}

static bool is_covered(const struct record *wide, const struct network *network)
{
    for (size_t i = 0; i < wide->network_count; i++)
        if (network_covers(&wide->networks[i], network))
            return true;
    return false;
}

bool record_networks_cover(const struct record *wide, const struct record *narrow)
{
    if (wide->network_count == 0)
        return true;
    for (size_t i = 0; i < narrow->network_count; i++)
        if (!is_covered(wide, &narrow->networks[i]))
            return false;
    return narrow->network_count > 0;
}

static const struct rate *rate_of_period(const struct rates *rates, uint32_t period_s)
{
    for (uint32_t i = 0; i < rates->count; i++)
        if (rates->list[i].period_s == period_s)
            return &rates->list[i];
    return NULL;
}

bool record_rates_narrow(const struct rates *old, const struct rates *fresh)
{
    for (uint32_t i = 0; i < fresh->count; i++) {
        const struct rate *rate = &fresh->list[i];
        const struct rate *before = rate_of_period(old, rate->period_s);
        if (before == NULL || rate->count < before->count || rate->burst < before->burst)
            return true;
    }
    return false;
}

struct record record_purged(const struct record *record)
{
    return (struct record){
        .id = record->id,
        .version = record->version,
        .digest = record->digest,
        .revoked = true,
        .purged = true,
        .revoke_reason = record->revoke_reason,
        .revoked_unix_s = record->revoked_unix_s,
    };
}

enum record_state record_state(const struct record *record, int64_t now_unix_s)
{
    if (record->revoked)
        return STATE_REVOKED;
    if (record->disabled || record->suspended)
        return STATE_DISABLED;
    if (record->not_before_unix_s > now_unix_s)
        return STATE_NOT_YET_VALID;
    if (record->expires_unix_s != 0 && record->expires_unix_s <= now_unix_s)
        return STATE_EXPIRED;
    return STATE_ACTIVE;
}

const char *record_state_name(enum record_state state)
{
    return (unsigned)state < STATE_COUNT ? state_names[state] : NULL;
}

int record_state_parse(struct text text, enum record_state *ret_state)
{
    for (unsigned i = 0; i < STATE_COUNT; i++)
        if (text_is(text, state_names[i])) {
            *ret_state = (enum record_state)i;
            return 0;
        }
    return CATLATCH_E_DATA;
}

static bool scopes_are_bounded(const struct record *record)
{
    size_t total = 0;

    if (record->scope_count > RECORD_SCOPES_MAX)
        return false;
    for (size_t i = 0; i < record->scope_count; i++) {
        if (record->scopes[i].len == 0 || record->scopes[i].len > SCOPE_MAX)
            return false;
        total += record->scopes[i].len + 1;
    }
    return total <= RECORD_SCOPES_BYTES_MAX + 1;
}

static bool metadata_is_bounded(const struct record *record)
{
    if (record->metadata_count > RECORD_METADATA_MAX)
        return false;
    for (size_t i = 0; i < record->metadata_count; i++) {
        const struct record_pair *pair = &record->metadata[i];
        if (pair->name.len == 0 || pair->name.len > RECORD_METADATA_NAME_MAX ||
            pair->value.len > RECORD_COMMENT_MAX)
            return false;
    }
    return true;
}

/* What encode refuses to write and decode to read. */
static bool record_is_bounded(const struct record *record)
{
    return record->id != 0 && record->id <= RECORD_ID_MAX &&
           (unsigned)record->revoke_reason < RECORD_REASON_COUNT && record->created_unix_s >= 0 &&
           record->last_used_unix_s >= 0 && record->expires_unix_s >= 0 &&
           record->assumed_bits <= RECORD_BITS_MAX && record->not_before_unix_s >= 0 &&
           record->revoked_unix_s >= 0 && record->enabled_unix_s >= 0 &&
           record->name.len <= RECORD_TEXT_MAX && (record->owner.len > 0 || record->purged) &&
           (record->revoked || !record->purged) && record->owner.len <= RECORD_TEXT_MAX &&
           record->prefix.len <= KEY_SHOWN_LEN &&
           record->environment.len < CATLATCH_ENVIRONMENT_SIZE &&
           record->environment_prefix.len <= KEY_PREFIX_MAX &&
           record->comment.len <= RECORD_COMMENT_MAX &&
           record->revoke_comment.len <= RECORD_COMMENT_MAX && scopes_are_bounded(record) &&
           metadata_is_bounded(record) && record->network_count <= NETWORKS_MAX &&
           rates_are_sane(&record->rates) && allowance_is_sane(&record->allowance) &&
           retirement_is_sane(&record->retirement) &&
           (record->rotated_to != 0 || retirement_is_none(&record->retirement));
}

static void put_scopes(struct bytes_writer *writer, const struct record *record)
{
    bytes_put_u8(writer, (uint8_t)record->scope_count);
    for (size_t i = 0; i < record->scope_count; i++)
        bytes_put_text(writer, record->scopes[i]);
}

static void put_metadata(struct bytes_writer *writer, const struct record *record)
{
    bytes_put_u8(writer, (uint8_t)record->metadata_count);
    for (size_t i = 0; i < record->metadata_count; i++) {
        bytes_put_text(writer, record->metadata[i].name);
        bytes_put_text(writer, record->metadata[i].value);
    }
}

static void put_networks(struct bytes_writer *writer, const struct record *record)
{
    unsigned char bytes[NETWORK_BYTES_MAX];

    bytes_put_u8(writer, (uint8_t)record->network_count);
    for (size_t i = 0; i < record->network_count; i++)
        bytes_put(writer, bytes, network_encode(&record->networks[i], bytes));
}

static void put_rates(struct bytes_writer *writer, const struct rates *rates)
{
    bytes_put_u8(writer, (uint8_t)rates->count);
    for (uint32_t i = 0; i < rates->count; i++) {
        bytes_put_u32(writer, rates->list[i].count);
        bytes_put_u32(writer, rates->list[i].period_s);
        bytes_put_u32(writer, rates->list[i].burst);
    }
}

static uint8_t record_flags(const struct record *record)
{
    return (uint8_t)((record->disabled ? FLAG_DISABLED : 0) | (record->revoked ? FLAG_REVOKED : 0) |
                     (record->purged ? FLAG_PURGED : 0) |
                     (retirement_is_none(&record->retirement) ? 0 : FLAG_RETIRES));
}

static unsigned fields_of(const struct record *record)
{
    return (record->last_used_unix_s != 0 ? HAS_LAST_USED : 0) |
           (record->expires_unix_s != 0 ? HAS_EXPIRES : 0) |
           (record->not_before_unix_s != 0 ? HAS_NOT_BEFORE : 0) |
           (record->revoked_unix_s != 0 ? HAS_REVOKED : 0) |
           (record->rotated_from != 0 ? HAS_ROTATED_FROM : 0) |
           (record->rotated_to != 0 ? HAS_ROTATED_TO : 0) |
           (record->assumed_bits != 0 ? HAS_BITS : 0) |
           (record->comment.len > 0 ? HAS_COMMENT : 0) |
           (record->revoke_comment.len > 0 ? HAS_REVOKE_COMMENT : 0) |
           (record->scope_count > 0 ? HAS_SCOPES : 0) |
           (record->metadata_count > 0 ? HAS_METADATA : 0) |
           (record->network_count > 0 ? HAS_NETWORKS : 0) |
           (record->rates.count > 0 ? HAS_RATES : 0) | (record->limit_group != 0 ? HAS_GROUP : 0) |
           (record->allowance.uses != 0 ? HAS_ALLOWANCE : 0) |
           (record->enabled_unix_s != 0 ? HAS_ENABLED : 0);
}

static void put_fields(struct bytes_writer *writer, const struct record *record)
{
    unsigned fields = fields_of(record);

    bytes_put_u16(writer, (uint16_t)fields);
    if (fields & HAS_LAST_USED)
        bytes_put_i64(writer, record->last_used_unix_s);
    if (fields & HAS_EXPIRES)
        bytes_put_i64(writer, record->expires_unix_s);
    if (fields & HAS_NOT_BEFORE)
        bytes_put_i64(writer, record->not_before_unix_s);
    if (fields & HAS_REVOKED)
        bytes_put_i64(writer, record->revoked_unix_s);
    if (fields & HAS_ROTATED_FROM)
        bytes_put_u64(writer, record->rotated_from);
    if (fields & HAS_ROTATED_TO)
        bytes_put_u64(writer, record->rotated_to);
    if (fields & HAS_BITS)
        bytes_put_u16(writer, (uint16_t)record->assumed_bits);
    if (fields & HAS_COMMENT)
        bytes_put_text(writer, record->comment);
    if (fields & HAS_REVOKE_COMMENT)
        bytes_put_text(writer, record->revoke_comment);
    if (fields & HAS_SCOPES)
        put_scopes(writer, record);
    if (fields & HAS_METADATA)
        put_metadata(writer, record);
    if (fields & HAS_NETWORKS)
        put_networks(writer, record);
    if (fields & HAS_RATES)
        put_rates(writer, &record->rates);
    if (fields & HAS_GROUP)
        bytes_put_u64(writer, record->limit_group);
    if (fields & HAS_ALLOWANCE) {
        bytes_put_u64(writer, record->allowance.uses);
        bytes_put_u32(writer, record->allowance.refill);
        bytes_put_u32(writer, record->allowance.interval_s);
    }
    if (fields & HAS_ENABLED)
        bytes_put_i64(writer, record->enabled_unix_s);
}

static void put_retirement(struct bytes_writer *writer, const struct retirement *retirement)
{
    if (retirement_is_none(retirement))
        return;
    bytes_put_u8(writer, retirement->on_use);
    bytes_put_i64(writer, retirement->grace_s);
    bytes_put_i64(writer, retirement->unseen_s);
    bytes_put_i64(writer, retirement->since_unix_s);
}

int record_encode(const struct record *record, void *buffer, size_t size, size_t *ret_len)
{
    struct bytes_writer writer = {.at = buffer, .left = size};

    if (!record_is_bounded(record))
        return CATLATCH_E_DATA;
    bytes_put_u8(&writer, RECORD_VERSION);
    bytes_put_u8(&writer, record_flags(record));
    bytes_put_u8(&writer, (uint8_t)record->revoke_reason);
    bytes_put_u64(&writer, record->id);
    bytes_put_u64(&writer, record->version);
    bytes_put(&writer, &record->digest, DIGEST_BYTES);
    bytes_put_i64(&writer, record->created_unix_s);
    bytes_put_short_text(&writer, record->name);
    bytes_put_short_text(&writer, record->owner);
    bytes_put_short_text(&writer, record->prefix);
    bytes_put_short_text(&writer, record->environment);
    bytes_put_short_text(&writer, record->environment_prefix);
    put_fields(&writer, record);
    put_retirement(&writer, &record->retirement);
    return bytes_writer_end(&writer, size, ret_len);
}

/* True: a retirement is at the end. */
static bool take_flags(struct bytes_reader *reader, struct record *record)
{
    unsigned flags = bytes_take_u8(reader);

    if ((flags & ~KEY_FLAGS) != 0)
        reader->failed = true;
    record->disabled = (flags & FLAG_DISABLED) != 0;
    record->suspended = false;
    record->revoked = (flags & FLAG_REVOKED) != 0;
    record->purged = (flags & FLAG_PURGED) != 0;
    return (flags & FLAG_RETIRES) != 0;
}

static void take_scopes(struct bytes_reader *reader, struct record *record)
{
    record->scope_count = bytes_take_u8(reader);
    if (record->scope_count > RECORD_SCOPES_MAX)
        reader->failed = true;
    for (size_t i = 0; !reader->failed && i < record->scope_count; i++)
        record->scopes[i] = bytes_take_text(reader);
}

static void take_metadata(struct bytes_reader *reader, struct record *record)
{
    record->metadata_count = bytes_take_u8(reader);
    if (record->metadata_count > RECORD_METADATA_MAX)
        reader->failed = true;
    for (size_t i = 0; !reader->failed && i < record->metadata_count; i++) {
        record->metadata[i].name = bytes_take_text(reader);
        record->metadata[i].value = bytes_take_text(reader);
    }
}

static void take_networks(struct bytes_reader *reader, struct record *record)
{
    size_t used = 0;

    record->network_count = bytes_take_u8(reader);
    if (record->network_count > NETWORKS_MAX)
        reader->failed = true;
    for (size_t i = 0; !reader->failed && i < record->network_count; i++)
        if (network_decode(reader->at, reader->left, &record->networks[i], &used) == 0)
            (void)bytes_take(reader, used);
        else
            reader->failed = true;
}

static void take_rates(struct bytes_reader *reader, struct rates *rates)
{
    rates->count = bytes_take_u8(reader);
    if (rates->count > RATES_MAX)
        reader->failed = true;
    for (uint32_t i = 0; !reader->failed && i < rates->count; i++) {
        rates->list[i].count = bytes_take_u32(reader);
        rates->list[i].period_s = bytes_take_u32(reader);
        rates->list[i].burst = bytes_take_u32(reader);
    }
}

static void take_digest(struct bytes_reader *reader, struct digest *ret_digest)
{
    const unsigned char *bytes = bytes_take(reader, DIGEST_BYTES);
    if (bytes != NULL)
        memcpy(ret_digest, bytes, DIGEST_BYTES);
}

/* What is not there is none: a field that is there and says so is not how we write. */
static void take_fields(struct bytes_reader *reader, struct record *record)
{
    unsigned fields = bytes_take_u16(reader);

    record->last_used_unix_s = fields & HAS_LAST_USED ? bytes_take_i64(reader) : 0;
    record->expires_unix_s = fields & HAS_EXPIRES ? bytes_take_i64(reader) : 0;
    record->not_before_unix_s = fields & HAS_NOT_BEFORE ? bytes_take_i64(reader) : 0;
    record->revoked_unix_s = fields & HAS_REVOKED ? bytes_take_i64(reader) : 0;
    record->rotated_from = fields & HAS_ROTATED_FROM ? bytes_take_u64(reader) : 0;
    record->rotated_to = fields & HAS_ROTATED_TO ? bytes_take_u64(reader) : 0;
    record->assumed_bits = fields & HAS_BITS ? bytes_take_u16(reader) : 0;
    record->comment = fields & HAS_COMMENT ? bytes_take_text(reader) : (struct text){NULL, 0};
    record->revoke_comment =
        fields & HAS_REVOKE_COMMENT ? bytes_take_text(reader) : (struct text){NULL, 0};
    record->scope_count = record->metadata_count = record->network_count = 0;
    record->rates.count = 0;
    if (fields & HAS_SCOPES)
        take_scopes(reader, record);
    if (fields & HAS_METADATA)
        take_metadata(reader, record);
    if (fields & HAS_NETWORKS)
        take_networks(reader, record);
    if (fields & HAS_RATES)
        take_rates(reader, &record->rates);
    record->limit_group = fields & HAS_GROUP ? bytes_take_u64(reader) : 0;
    record->allowance = (struct allowance){.uses = 0};
    if (fields & HAS_ALLOWANCE) {
        record->allowance.uses = bytes_take_u64(reader);
        record->allowance.refill = bytes_take_u32(reader);
        record->allowance.interval_s = bytes_take_u32(reader);
    }
    record->enabled_unix_s = fields & HAS_ENABLED ? bytes_take_i64(reader) : 0;
    reader->failed |= fields_of(record) != fields;
}

static void take_version_3(struct bytes_reader *reader, struct record *record)
{
    record->created_unix_s = bytes_take_i64(reader);
    record->name = bytes_take_short_text(reader);
    record->owner = bytes_take_short_text(reader);
    record->prefix = bytes_take_short_text(reader);
    record->environment = bytes_take_short_text(reader);
    record->environment_prefix = bytes_take_short_text(reader);
    take_fields(reader, record);
}

static void take_version_1(struct bytes_reader *reader, struct record *record)
{
    record->created_unix_s = bytes_take_i64(reader);
    record->last_used_unix_s = bytes_take_i64(reader);
    record->expires_unix_s = bytes_take_i64(reader);
    record->not_before_unix_s = bytes_take_i64(reader);
    record->revoked_unix_s = bytes_take_i64(reader);
    record->rotated_from = bytes_take_u64(reader);
    record->rotated_to = bytes_take_u64(reader);
    record->assumed_bits = bytes_take_u16(reader);
    record->name = bytes_take_text(reader);
    record->owner = bytes_take_text(reader);
    record->prefix = bytes_take_text(reader);
    record->environment = bytes_take_text(reader);
    record->environment_prefix = bytes_take_text(reader);
    record->comment = bytes_take_text(reader);
    record->revoke_comment = bytes_take_text(reader);
    take_scopes(reader, record);
    take_metadata(reader, record);
    record->network_count = 0;
    record->rates.count = 0;
    record->limit_group = 0;
    record->allowance = (struct allowance){.uses = 0};
    record->enabled_unix_s = 0;
}

static void take_retirement(struct bytes_reader *reader, struct retirement *retirement)
{
    uint8_t on_use = bytes_take_u8(reader);

    retirement->on_use = on_use == 1;
    retirement->grace_s = bytes_take_i64(reader);
    retirement->unseen_s = bytes_take_i64(reader);
    retirement->since_unix_s = bytes_take_i64(reader);
    reader->failed |= on_use > 1 || retirement_is_none(retirement);
}

int record_decode(const void *bytes, size_t len, struct record *record)
{
    struct bytes_reader reader;
    unsigned version = len > 0 ? *(const unsigned char *)bytes : 0;
    bool is_known = version >= KEY_VERSION_1 && version <= RECORD_VERSION;

    int r = bytes_reader_start(&reader, bytes, len, is_known ? version : RECORD_VERSION);
    if (r != 0)
        return r;
    bool retires = take_flags(&reader, record);
    record->revoke_reason = (enum record_reason)bytes_take_u8(&reader);
    record->id = bytes_take_u64(&reader);
    record->version = bytes_take_u64(&reader);
    take_digest(&reader, &record->digest);
    if (version >= KEY_VERSION_3)
        take_version_3(&reader, record);
    else
        take_version_1(&reader, record);
    if (version == KEY_VERSION_2)
        take_networks(&reader, record);
    record->retirement = (struct retirement){.unseen_s = 0};
    if (retires)
        take_retirement(&reader, &record->retirement);
    reader.failed |= retires && version <= KEY_VERSION_4;
    return bytes_reader_is_done(&reader) && record_is_bounded(record) ? 0 : CATLATCH_E_DATA;
}

bool record_peek_digest(const void *bytes, size_t len, struct digest *ret_digest)
{
    if (len < DIGEST_AT + DIGEST_BYTES)
        return false;
    memcpy(ret_digest, (const unsigned char *)bytes + DIGEST_AT, DIGEST_BYTES);
    return true;
}

static bool owner_is_bounded(const struct record_owner *owner)
{
    return owner->name.len > 0 && owner->name.len <= RECORD_TEXT_MAX &&
           owner->created_unix_s >= 0 && owner->suspended_unix_s >= 0 &&
           rates_are_sane(&owner->rates);
}

int record_owner_encode(const struct record_owner *owner, void *buffer, size_t size,
                        size_t *ret_len)
{
    struct bytes_writer writer = {.at = buffer, .left = size};

    if (!owner_is_bounded(owner))
        return CATLATCH_E_DATA;
    bytes_put_u8(&writer, RECORD_OWNER_VERSION);
    bytes_put_u8(&writer, owner->suspended ? FLAG_SUSPENDED : 0);
    bytes_put_u64(&writer, owner->version);
    bytes_put_u64(&writer, owner->key_count);
    bytes_put_i64(&writer, owner->created_unix_s);
    bytes_put_i64(&writer, owner->suspended_unix_s);
    bytes_put_text(&writer, owner->name);
    put_rates(&writer, &owner->rates);
    return bytes_writer_end(&writer, size, ret_len);
}

int record_owner_decode(const void *bytes, size_t len, struct record_owner *ret_owner)
{
    struct bytes_reader reader;
    struct record_owner owner = {.rates.count = 0};
    unsigned version = len > 0 ? *(const unsigned char *)bytes : 0;

    int r = bytes_reader_start(&reader, bytes, len,
                               version == OWNER_VERSION_1 ? version : RECORD_OWNER_VERSION);
    if (r != 0)
        return r;
    unsigned flags = bytes_take_u8(&reader);
    owner.suspended = (flags & FLAG_SUSPENDED) != 0;
    owner.version = bytes_take_u64(&reader);
    owner.key_count = bytes_take_u64(&reader);
    owner.created_unix_s = bytes_take_i64(&reader);
    owner.suspended_unix_s = bytes_take_i64(&reader);
    owner.name = bytes_take_text(&reader);
    if (version != OWNER_VERSION_1)
        take_rates(&reader, &owner.rates);
    if (!bytes_reader_is_done(&reader) || (flags & ~OWNER_FLAGS) != 0 || !owner_is_bounded(&owner))
        return CATLATCH_E_DATA;
    *ret_owner = owner;
    return 0;
}
