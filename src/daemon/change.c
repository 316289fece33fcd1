#include "daemon/change.h"

#include <openssl/sha.h>
#include <string.h>

#include "daemon/bytes.h"

/* Of the layout below. A change of it gives it a new number, and the reader keeps the old one's. */
#define CHANGE_VERSION 1u

static const char *const kind_names[CHANGE_KIND_END] = {
    [CHANGE_CREATED] = "created",
    [CHANGE_UPDATED] = "updated",
    [CHANGE_DISABLED] = "disabled",
    [CHANGE_ENABLED] = "enabled",
    [CHANGE_REVOKED] = "revoked",
    [CHANGE_ROTATED] = "rotated",
    [CHANGE_OWNER_SUSPENDED] = "owner_suspended",
    [CHANGE_OWNER_RESUMED] = "owner_resumed",
    [CHANGE_PURGED] = "purged",
    [CHANGE_IMPORTED] = "imported",
    [CHANGE_RESTORED] = "restored",
    [CHANGE_OWNER_UPDATED] = "owner_updated",
};

const char *change_kind_name(enum change_kind kind)
{
    return (unsigned)kind < CHANGE_KIND_END ? kind_names[kind] : NULL;
}

int change_kind_parse(struct text text, enum change_kind *ret_kind)
{
    for (unsigned i = CHANGE_CREATED; i < CHANGE_KIND_END; i++)
        if (text_is(text, kind_names[i])) {
            *ret_kind = (enum change_kind)i;
            return 0;
        }
    return CATLATCH_E_DATA;
}

static bool differences_are_bounded(const struct change *change)
{
    if (change->difference_count > CHANGE_DIFFERENCES_MAX)
        return false;
    for (size_t i = 0; i < change->difference_count; i++) {
        const struct change_difference *difference = &change->differences[i];
        if (difference->field.len == 0 || difference->field.len > RECORD_TEXT_MAX ||
            difference->before.len > CHANGE_VALUE_MAX || difference->after.len > CHANGE_VALUE_MAX)
            return false;
    }
    return true;
}

static bool change_is_bounded(const struct change *change)
{
    return (unsigned)change->kind >= CHANGE_CREATED && (unsigned)change->kind < CHANGE_KIND_END &&
           change->time_unix_ms >= 0 && change->owner.len <= RECORD_TEXT_MAX &&
           change->detail.len <= CHANGE_DETAIL_MAX && differences_are_bounded(change);
}

static void put_differences(struct bytes_writer *writer, const struct change *change)
{
    bytes_put_u8(writer, (uint8_t)change->difference_count);
    for (size_t i = 0; i < change->difference_count; i++) {
        bytes_put_text(writer, change->differences[i].field);
        bytes_put_text(writer, change->differences[i].before);
        bytes_put_text(writer, change->differences[i].after);
    }
}

/* Of the entry before, and of len bytes of this one. */
static struct digest chain_of(const struct digest *before, const void *bytes, size_t len)
{
    struct digest chain;
    SHA256_CTX context;

    SHA256_Init(&context);
    SHA256_Update(&context, before, sizeof *before);
    SHA256_Update(&context, bytes, len);
    SHA256_Final((unsigned char *)chain.word, &context);
    return chain;
}

int change_encode(struct change *change, void *buffer, size_t size, size_t *ret_len)
{
    struct bytes_writer writer = {.at = buffer, .left = size};

    if (!change_is_bounded(change))
        return CATLATCH_E_DATA;
    bytes_put_u8(&writer, CHANGE_VERSION);
    bytes_put_u8(&writer, (uint8_t)change->kind);
    bytes_put_u64(&writer, change->epoch);
    bytes_put_u64(&writer, change->sequence);
    bytes_put_i64(&writer, change->time_unix_ms);
    bytes_put_u64(&writer, change->key_id);
    bytes_put_u32(&writer, change->actor.uid);
    bytes_put_u32(&writer, change->actor.login_uid);
    bytes_put_u32(&writer, (uint32_t)change->actor.pid);
    bytes_put_u64(&writer, change->actor.key_id);
    bytes_put_text(&writer, change->owner);
    bytes_put_text(&writer, change->detail);
    put_differences(&writer, change);
    if (writer.failed || writer.left < DIGEST_BYTES)
        return CATLATCH_E_FULL;
    struct digest chain = chain_of(&change->chain, buffer, size - writer.left);
    bytes_put(&writer, &chain, DIGEST_BYTES);
    change->chain = chain;
    return bytes_writer_end(&writer, size, ret_len);
}

static void take_differences(struct bytes_reader *reader, struct change_room *room,
                             struct change *change)
{
    change->differences = room->list;
    change->difference_count = bytes_take_u8(reader);
    if (change->difference_count > CHANGE_DIFFERENCES_MAX) {
        reader->failed = true;
        return;
    }
    for (size_t i = 0; i < change->difference_count; i++) {
        room->list[i].field = bytes_take_text(reader);
        room->list[i].before = bytes_take_text(reader);
        room->list[i].after = bytes_take_text(reader);
    }
}

int change_decode(const void *bytes, size_t len, struct change_room *room,
                  struct change *ret_change)
{
    struct bytes_reader reader;
    struct change change;

    int r = bytes_reader_start(&reader, bytes, len, CHANGE_VERSION);
    if (r != 0)
        return r;
    change.kind = (enum change_kind)bytes_take_u8(&reader);
    change.epoch = bytes_take_u64(&reader);
    change.sequence = bytes_take_u64(&reader);
    change.time_unix_ms = bytes_take_i64(&reader);
    change.key_id = bytes_take_u64(&reader);
    change.actor.uid = bytes_take_u32(&reader);
    change.actor.login_uid = bytes_take_u32(&reader);
    change.actor.pid = (int32_t)bytes_take_u32(&reader);
    change.actor.key_id = bytes_take_u64(&reader);
    change.owner = bytes_take_text(&reader);
    change.detail = bytes_take_text(&reader);
    take_differences(&reader, room, &change);
    const unsigned char *chain = bytes_take(&reader, DIGEST_BYTES);
    if (!bytes_reader_is_done(&reader) || !change_is_bounded(&change))
        return CATLATCH_E_DATA;
    memcpy(&change.chain, chain, DIGEST_BYTES);
    *ret_change = change;
    return 0;
}

bool change_follows(const void *bytes, size_t len, const struct digest *before)
{
    struct digest chain, stored;

    if (len < DIGEST_BYTES)
        return false;
    chain = chain_of(before, bytes, len - DIGEST_BYTES);
    memcpy(&stored, (const unsigned char *)bytes + len - DIGEST_BYTES, DIGEST_BYTES);
    return digest_equal(&chain, &stored);
}
