#include "daemon/difference.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/key.h"

static_assert(NETWORKS_MAX * NETWORK_TEXT_SIZE <= CHANGE_VALUE_MAX, "the log takes any list");

struct finding {
    struct difference_room *room;
    size_t count;
    size_t metadata_count; /* of them */
};

static void add(struct finding *finding, const char *field, struct text before, struct text after)
{
    if (text_equal(before, after))
        return;
    finding->room->found.list[finding->count++] =
        (struct change_difference){text_of(field), before, after};
}

static struct text time_text(int64_t unix_s, char room[TIMESPAN_RFC3339_SIZE])
{
    if (unix_s == 0)
        return text_of(NULL);
    timespan_rfc3339(unix_s, room);
    return text_of(room);
}

static struct text id_text(uint64_t id, char room[CATLATCH_ID_SIZE])
{
    if (id == 0)
        return text_of(NULL);
    key_id_format(id, room);
    return text_of(room);
}

static struct text bits_text(uint32_t bits, char room[12])
{
    if (bits == 0)
        return text_of(NULL);
    snprintf(room, 12, "%u", (unsigned)bits);
    return text_of(room);
}

static struct text scopes_text(const struct record *record, char room[RECORD_SCOPES_BYTES_MAX + 1])
{
    size_t at = 0;

    for (size_t i = 0; i < record->scope_count; i++) {
        if (i > 0)
            room[at++] = ' ';
        memcpy(room + at, record->scopes[i].bytes, record->scopes[i].len);
        at += record->scopes[i].len;
    }
    return (struct text){room, (uint32_t)at};
}

static struct text networks_text(const struct record *record,
                                 char room[NETWORKS_MAX * NETWORK_TEXT_SIZE])
{
    size_t at = 0;

    for (size_t i = 0; i < record->network_count; i++) {
        if (i > 0)
            room[at++] = ' ';
        at += network_format(&record->networks[i], room + at);
    }
    return (struct text){room, (uint32_t)at};
}

static struct text rates_text(const struct rates *rates, char room[RATES_TEXT_SIZE])
{
    return (struct text){room, (uint32_t)rates_format(rates, room)};
}

static struct text allowance_text(const struct record *record, char room[ALLOWANCE_TEXT_SIZE])
{
    return (struct text){room, (uint32_t)allowance_format(&record->allowance, room)};
}

static struct text retirement_text(const struct record *record, char room[RETIREMENT_TEXT_SIZE])
{
    return (struct text){room, (uint32_t)retirement_format(&record->retirement, room)};
}

static struct text metadata_value(const struct record *record, struct text name)
{
    for (size_t i = 0; i < record->metadata_count; i++)
        if (text_equal(record->metadata[i].name, name))
            return record->metadata[i].value;
    return text_of(NULL);
}

static void add_metadata(struct finding *finding, const struct record *old,
                         const struct record *fresh, struct text name)
{
    struct text before = metadata_value(old, name), after = metadata_value(fresh, name);

    if (text_equal(before, after))
        return;
    char *field = finding->room->metadata[finding->metadata_count++];
    snprintf(field, sizeof finding->room->metadata[0], "metadata.%.*s", (int)name.len, name.bytes);
    add(finding, field, before, after);
}

static void find_metadata(struct finding *finding, const struct record *old,
                          const struct record *fresh)
{
    for (size_t i = 0; i < old->metadata_count; i++)
        add_metadata(finding, old, fresh, old->metadata[i].name);
    for (size_t i = 0; i < fresh->metadata_count; i++)
        if (metadata_value(old, fresh->metadata[i].name).len == 0)
            add_metadata(finding, old, fresh, fresh->metadata[i].name);
}

static struct text bool_text(bool value)
{
    return text_of(value ? "true" : NULL);
}

void difference_find(const struct record *old, const struct record *fresh,
                     struct difference_room *room, struct change *change)
{
    static const struct record nothing;
    struct finding finding = {.room = room};

    if (old == NULL)
        old = &nothing;
    add(&finding, "name", old->name, fresh->name);
    add(&finding, "disabled", bool_text(old->disabled), bool_text(fresh->disabled));
    add(&finding, "expires_at", time_text(old->expires_unix_s, room->times[0]),
        time_text(fresh->expires_unix_s, room->times[1]));
    add(&finding, "not_before", time_text(old->not_before_unix_s, room->times[2]),
        time_text(fresh->not_before_unix_s, room->times[3]));
    add(&finding, "revoked_at", time_text(old->revoked_unix_s, room->times[4]),
        time_text(fresh->revoked_unix_s, room->times[5]));
    add(&finding, "revoke_reason", text_of(record_reason_name(old->revoke_reason)),
        text_of(record_reason_name(fresh->revoke_reason)));
    add(&finding, "revoke_comment", old->revoke_comment, fresh->revoke_comment);
    add(&finding, "comment", old->comment, fresh->comment);
    add(&finding, "scopes", scopes_text(old, room->scopes[0]), scopes_text(fresh, room->scopes[1]));
    add(&finding, "allowed_networks", networks_text(old, room->networks[0]),
        networks_text(fresh, room->networks[1]));
    add(&finding, "rates", rates_text(&old->rates, room->rates[0]),
        rates_text(&fresh->rates, room->rates[1]));
    add(&finding, "uses", allowance_text(old, room->allowances[0]),
        allowance_text(fresh, room->allowances[1]));
    add(&finding, "retires", retirement_text(old, room->retirements[0]),
        retirement_text(fresh, room->retirements[1]));
    add(&finding, "rotated_from", id_text(old->rotated_from, room->ids[0]),
        id_text(fresh->rotated_from, room->ids[1]));
    add(&finding, "rotated_to", id_text(old->rotated_to, room->ids[2]),
        id_text(fresh->rotated_to, room->ids[3]));
    add(&finding, "assumed_bits", bits_text(old->assumed_bits, room->bits[0]),
        bits_text(fresh->assumed_bits, room->bits[1]));
    find_metadata(&finding, old, fresh);
    change->differences = room->found.list;
    change->difference_count = finding.count;
}

void difference_find_owner(const struct record_owner *old, const struct record_owner *fresh,
                           struct difference_room *room, struct change *change)
{
    struct finding finding = {.room = room};

    add(&finding, "rates", rates_text(&old->rates, room->rates[0]),
        rates_text(&fresh->rates, room->rates[1]));
    change->differences = room->found.list;
    change->difference_count = finding.count;
}

bool difference_any(const struct record *old, const struct record *fresh)
{
    struct difference_room room;
    struct change change;

    difference_find(old, fresh, &room, &change);
    return change.difference_count > 0;
}
