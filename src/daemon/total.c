#include "daemon/total.h"

#include <string.h>

#include "daemon/bytes.h"

#define TOTAL_VERSION 1u

#define HAS_USED 1u
#define HAS_REFUSED 2u
#define HAS_USED_FROM 4u
#define HAS_REFUSED_FROM 8u
#define HAS_USES 16u
#define HAS_ALL 31u

static bool advance_count(struct total_event *total, bool same_record, uint64_t count)
{
    uint64_t seen = same_record ? total->seen : 0;
    bool believed = count >= seen && count - seen <= TOTAL_STEP_MAX;

    if (believed) {
        uint64_t room = INT64_MAX - total->count;
        total->count += count - seen < room ? count - seen : room;
    }
    total->seen = count;
    return believed;
}

/* A last use that lies ahead was told before the clock was set back. Of one second the use counts
 * that tells where it came from. */
static void advance_last(struct total_event *total, const struct usage_event *event,
                         int64_t now_unix_s)
{
    bool tells_from =
        event->last_unix_s == total->last_unix_s && event->has_from && !total->has_from;

    if (event->last_unix_s <= total->last_unix_s && total->last_unix_s <= now_unix_s && !tells_from)
        return;
    if (event->last_unix_s == 0)
        return;
    total->last_unix_s = event->last_unix_s;
    total->has_from = event->has_from;
    total->from = event->has_from ? event->from : (struct address){{0}};
}

static bool is_same_record(const struct total *total, const unsigned char area[TOTAL_AREA_BYTES],
                           uint32_t ref)
{
    return total->ref == ref && memcmp(total->area, area, sizeof total->area) == 0;
}

bool total_advance(struct total *io_total, const unsigned char area[TOTAL_AREA_BYTES], uint32_t ref,
                   const struct usage_numbers *numbers, int64_t now_unix_s)
{
    bool same_record = is_same_record(io_total, area, ref);
    bool believed = advance_count(&io_total->used, same_record, numbers->used.count);

    believed &= advance_count(&io_total->refused, same_record, numbers->refused.count);
    advance_last(&io_total->used, &numbers->used, now_unix_s);
    advance_last(&io_total->refused, &numbers->refused, now_unix_s);
    memcpy(io_total->area, area, sizeof io_total->area);
    io_total->ref = ref;
    return believed;
}

static bool join_event(struct total_event *io_event, const struct total_event *other)
{
    bool counted_more = other->count > io_event->count;
    bool later = other->last_unix_s > io_event->last_unix_s;

    if (counted_more)
        io_event->count = other->count;
    if (later) {
        io_event->last_unix_s = other->last_unix_s;
        io_event->has_from = other->has_from;
        io_event->from = other->from;
    }
    return counted_more || later;
}

bool total_join(struct total *io_total, const struct total *other)
{
    bool used = join_event(&io_total->used, &other->used);
    bool refused = join_event(&io_total->refused, &other->refused);

    return used || refused;
}

static bool is_empty(const struct total_event *event)
{
    return event->count == 0 && event->seen == 0 && event->last_unix_s == 0;
}

bool total_is_empty(const struct total *total)
{
    return is_empty(&total->used) && is_empty(&total->refused) && !total->uses.exists;
}

void total_forget(struct total *io_total)
{
    *io_total = (struct total){.uses = io_total->uses};
}

static void put_event(struct bytes_writer *writer, const struct total_event *event)
{
    if (is_empty(event))
        return;
    bytes_put_u64(writer, event->count);
    bytes_put_u64(writer, event->seen);
    bytes_put_i64(writer, event->last_unix_s);
    if (event->has_from)
        bytes_put(writer, event->from.bytes, sizeof event->from.bytes);
}

static void put_uses(struct bytes_writer *writer, const struct total_uses *uses)
{
    bytes_put_u64(writer, uses->left_milli);
    bytes_put_u64(writer, uses->granted_milli);
    bytes_put_u64(writer, uses->block_milli);
    bytes_put_u8(writer, uses->resets);
    bytes_put_i64(writer, uses->period_unix_s);
    bytes_put(writer, uses->area, sizeof uses->area);
}

size_t total_encode(const struct total *total, unsigned char ret_bytes[TOTAL_ENCODED_MAX])
{
    struct bytes_writer writer = {ret_bytes, TOTAL_ENCODED_MAX, false};
    bool used = !is_empty(&total->used), refused = !is_empty(&total->refused);

    bytes_put_u8(&writer, TOTAL_VERSION);
    bytes_put_u8(&writer, (uint8_t)((used ? HAS_USED : 0) | (refused ? HAS_REFUSED : 0) |
                                    (used && total->used.has_from ? HAS_USED_FROM : 0) |
                                    (refused && total->refused.has_from ? HAS_REFUSED_FROM : 0) |
                                    (total->uses.exists ? HAS_USES : 0)));
    bytes_put(&writer, total->area, sizeof total->area);
    bytes_put_u32(&writer, total->ref);
    put_event(&writer, &total->used);
    put_event(&writer, &total->refused);
    if (total->uses.exists)
        put_uses(&writer, &total->uses);
    return TOTAL_ENCODED_MAX - writer.left;
}

static bool take_event(struct bytes_reader *reader, bool has_from, struct total_event *event)
{
    const unsigned char *from;

    event->count = bytes_take_u64(reader);
    event->seen = bytes_take_u64(reader);
    event->last_unix_s = bytes_take_i64(reader);
    event->has_from = has_from;
    if (has_from && (from = bytes_take(reader, sizeof event->from.bytes)) != NULL)
        memcpy(event->from.bytes, from, sizeof event->from.bytes);
    return event->count <= INT64_MAX && event->last_unix_s >= 0 && !is_empty(event);
}

static void take_uses(struct bytes_reader *reader, struct total_uses *uses)
{
    uses->exists = true;
    uses->left_milli = bytes_take_u64(reader);
    uses->granted_milli = bytes_take_u64(reader);
    uses->block_milli = bytes_take_u64(reader);
    uint8_t resets = bytes_take_u8(reader);
    uses->resets = resets == 1;
    reader->failed |= resets > 1;
    uses->period_unix_s = bytes_take_i64(reader);
    const unsigned char *area = bytes_take(reader, sizeof uses->area);
    if (area != NULL)
        memcpy(uses->area, area, sizeof uses->area);
}

/* An address is of an event. */
static bool flags_are_good(unsigned has)
{
    return has <= HAS_ALL && ((has & HAS_USED_FROM) == 0 || (has & HAS_USED) != 0) &&
           ((has & HAS_REFUSED_FROM) == 0 || (has & HAS_REFUSED) != 0);
}

int total_decode(const unsigned char *bytes, size_t len, struct total *ret_total)
{
    struct bytes_reader reader;
    struct total total = {.used = {.count = 0}};
    int r = bytes_reader_start(&reader, bytes, len, TOTAL_VERSION);

    if (r != 0)
        return r;
    uint8_t has = bytes_take_u8(&reader);
    const unsigned char *area = bytes_take(&reader, sizeof total.area);
    bool good = flags_are_good(has) && area != NULL;
    if (good)
        memcpy(total.area, area, sizeof total.area);
    total.ref = bytes_take_u32(&reader);
    if ((has & HAS_USED) != 0)
        good &= take_event(&reader, (has & HAS_USED_FROM) != 0, &total.used);
    if ((has & HAS_REFUSED) != 0)
        good &= take_event(&reader, (has & HAS_REFUSED_FROM) != 0, &total.refused);
    if ((has & HAS_USES) != 0)
        take_uses(&reader, &total.uses);
    if (!good || !bytes_reader_is_done(&reader))
        return CATLATCH_E_DATA;
    *ret_total = total;
    return 0;
}
