/* A change's bytes, its chain, and what tells two versions of a key apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/difference.h"

#define assert_text(text, string) assert_true(text_is((text), (string)))

static const struct change_difference two[] = {
    {{"name", 4}, {"a", 1}, {"b", 1}},
    {{"scopes", 6}, {NULL, 0}, {"read write", 10}},
};

static struct change sample(void)
{
    return (struct change){
        .epoch = 1,
        .sequence = 2,
        .time_unix_ms = 3,
        .kind = CHANGE_OWNER_RESUMED,
        .key_id = 4,
        .actor = {.uid = 5, .login_uid = UINT32_MAX, .pid = -6, .key_id = 7},
        .owner = text_of("acme"),
        .detail = text_of("they paid"),
        .difference_count = 2,
        .differences = two,
        .chain = {{1, 2, 3, 4}},
    };
}

static void a_change_comes_back_as_it_was(void **state)
{
    unsigned char bytes[512];
    struct change_room room;
    size_t len = 0;
    struct change decoded, change = sample();
    (void)state;
    assert_int_equal(change_encode(&change, bytes, sizeof bytes, &len), 0);
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(change_decode(bytes, cut, &room, &decoded), CATLATCH_E_DATA);
    assert_int_equal(change_decode(bytes, len + 1, &room, &decoded), CATLATCH_E_DATA);
    assert_int_equal(change_decode(bytes, len, &room, &decoded), 0);
    assert_true(decoded.epoch == 1 && decoded.sequence == 2 && decoded.time_unix_ms == 3);
    assert_true(decoded.kind == CHANGE_OWNER_RESUMED && decoded.key_id == 4);
    assert_true(decoded.actor.uid == 5 && decoded.actor.login_uid == UINT32_MAX);
    assert_true(decoded.actor.pid == -6 && decoded.actor.key_id == 7);
    assert_text(decoded.owner, "acme");
    assert_text(decoded.detail, "they paid");
    assert_int_equal(decoded.difference_count, 2);
    assert_text(decoded.differences[0].field, "name");
    assert_text(decoded.differences[0].before, "a");
    assert_text(decoded.differences[1].before, "");
    assert_text(decoded.differences[1].after, "read write");
    assert_true(digest_equal(&decoded.chain, &change.chain));
    bytes[0] = 9;
    assert_int_equal(change_decode(bytes, len, &room, &decoded), CATLATCH_E_VERSION);
}

static void a_kind_that_is_none_and_texts_beyond_their_bounds_are_refused(void **state)
{
    static char text[CHANGE_VALUE_MAX + 1];
    unsigned char bytes[8192];
    struct change_room room;
    size_t len = 0;
    struct change decoded, change = sample();
    struct change_difference longer = {{"name", 4}, {NULL, 0}, {text, sizeof text}};
    (void)state;
    memset(text, 'x', sizeof text);
    assert_int_equal(change_encode(&change, bytes, sizeof bytes, &len), 0);
    bytes[1] = 0;
    assert_int_equal(change_decode(bytes, len, &room, &decoded), CATLATCH_E_DATA);
    bytes[1] = CHANGE_KIND_END;
    assert_int_equal(change_decode(bytes, len, &room, &decoded), CATLATCH_E_DATA);
    change.detail = (struct text){text, CHANGE_DETAIL_MAX + 1};
    assert_int_equal(change_encode(&change, bytes, sizeof bytes, &len), CATLATCH_E_DATA);
    change = sample();
    change.differences = &longer;
    change.difference_count = 1;
    assert_int_equal(change_encode(&change, bytes, sizeof bytes, &len), CATLATCH_E_DATA);
    longer.after.len = CHANGE_VALUE_MAX;
    assert_int_equal(change_encode(&change, bytes, sizeof bytes, &len), 0);
}

static void a_change_follows_from_the_one_before_it_and_no_other(void **state)
{
    unsigned char bytes[512];
    size_t len = 0;
    struct change change = sample();
    struct digest before = change.chain, other = {{1, 2, 3, 5}};
    (void)state;
    assert_int_equal(change_encode(&change, bytes, sizeof bytes, &len), 0);
    assert_false(digest_equal(&change.chain, &before));
    assert_true(change_follows(bytes, len, &before));
    assert_false(change_follows(bytes, len, &other));
    assert_false(change_follows(bytes, DIGEST_BYTES - 1, &before));
    for (size_t i = 0; i < len; i++) {
        bytes[i] ^= 0x40;
        assert_false(change_follows(bytes, len, &before));
        bytes[i] ^= 0x40;
    }
}

static void every_kind_has_a_name_that_reads_back(void **state)
{
    (void)state;
    for (unsigned kind = CHANGE_CREATED; kind < CHANGE_KIND_END; kind++) {
        enum change_kind read;
        assert_int_equal(change_kind_parse(text_of(change_kind_name(kind)), &read), 0);
        assert_int_equal(read, kind);
    }
    enum change_kind read;
    assert_int_equal(change_kind_parse(text_of("frobbed"), &read), CATLATCH_E_DATA);
}

static void expect(const struct change *change, const char *field, const char *before,
                   const char *after)
{
    for (size_t i = 0; i < change->difference_count; i++) {
        const struct change_difference *found = &change->differences[i];
        if (!text_is(found->field, field))
            continue;
        assert_text(found->before, before);
        assert_text(found->after, after);
        return;
    }
    fail_msg("%s is not among the differences", field);
}

static void all_that_changed_is_told_before_and_after(void **state)
{
    struct record old = {.name = text_of("a"), .scope_count = 1, .metadata_count = 2}, fresh = old;
    struct difference_room room;
    struct change change;
    (void)state;
    old.scopes[0] = text_of("read");
    old.metadata[0] = (struct record_pair){text_of("gone"), text_of("x")};
    old.metadata[1] = (struct record_pair){text_of("kept"), text_of("y")};
    fresh = old;
    difference_find(&old, &fresh, &room, &change);
    assert_int_equal(change.difference_count, 0);

    fresh.name = text_of("b");
    fresh.disabled = true;
    fresh.expires_unix_s = 1700000000;
    fresh.scopes[0] = text_of("read");
    fresh.scopes[1] = text_of("write");
    fresh.scope_count = 2;
    fresh.metadata[0] = (struct record_pair){text_of("kept"), text_of("z")};
    fresh.metadata[1] = (struct record_pair){text_of("new"), text_of("w")};
    fresh.revoked = true;
    fresh.revoked_unix_s = 1700000001;
    fresh.revoke_reason = RECORD_REASON_LEAKED;
    fresh.network_count = 2;
    fresh.networks[0] = (struct network){{{[10] = 0xff, [11] = 0xff, [12] = 10}}, 96 + 8};
    fresh.networks[1] = (struct network){{{0x20, 1, 0x0d, 0xb8}}, 32};
    difference_find(&old, &fresh, &room, &change);
    expect(&change, "name", "a", "b");
    expect(&change, "disabled", "", "true");
    expect(&change, "expires_at", "", "2023-11-14T22:13:20Z");
    expect(&change, "scopes", "read", "read write");
    expect(&change, "metadata.gone", "x", "");
    expect(&change, "metadata.kept", "y", "z");
    expect(&change, "metadata.new", "", "w");
    expect(&change, "revoked_at", "", "2023-11-14T22:13:21Z");
    expect(&change, "revoke_reason", "", "leaked");
    expect(&change, "allowed_networks", "", "10.0.0.0/8 2001:db8::/32");
    assert_int_equal(change.difference_count, 10);
    old = fresh;
    fresh.network_count = 1;
    fresh.networks[0].prefix_len--;
    difference_find(&old, &fresh, &room, &change);
    expect(&change, "allowed_networks", "10.0.0.0/8 2001:db8::/32", "10.0.0.0/7");
    assert_int_equal(change.difference_count, 1);
}

static void of_a_new_key_all_is_told(void **state)
{
    struct record fresh = {.name = text_of("a"), .rotated_from = 7, .comment = text_of("c")};
    struct difference_room room;
    struct change change;
    (void)state;
    difference_find(NULL, &fresh, &room, &change);
    expect(&change, "name", "", "a");
    expect(&change, "comment", "", "c");
    assert_int_equal(change.difference_count, 3);
}

/* In memory that is used up from the front. */
static struct text long_text(size_t len, char c)
{
    static char room[2 * RECORD_ENCODED_MAX];
    static size_t used;
    char *bytes = room + used;
    assert_true(len <= sizeof room - used);
    used += len;
    memset(bytes, c, len);
    return (struct text){bytes, (uint32_t)len};
}

/* Everything as long as it may be, and nothing the same. */
static struct record largest(char c)
{
    struct record record = {.scope_count = RECORD_SCOPES_MAX,
                            .metadata_count = RECORD_METADATA_MAX,
                            .network_count = NETWORKS_MAX};
    for (size_t i = 0; i < NETWORKS_MAX; i++) {
        memset(record.networks[i].base.bytes, c, sizeof record.networks[i].base.bytes);
        record.networks[i].prefix_len = 128;
    }
    record.name = long_text(RECORD_TEXT_MAX, c);
    record.comment = record.revoke_comment = long_text(RECORD_COMMENT_MAX, c);
    for (size_t i = 0; i < RECORD_SCOPES_MAX; i++)
        record.scopes[i] = long_text(63, c);
    for (size_t i = 0; i < RECORD_METADATA_MAX; i++) {
        struct text name = long_text(RECORD_METADATA_NAME_MAX, c);
        memcpy((char *)(uintptr_t)name.bytes, &(char){(char)('0' + i)}, 1);
        record.metadata[i] = (struct record_pair){name, long_text(RECORD_COMMENT_MAX, c)};
    }
    return record;
}

static void the_largest_difference_fits_its_room_and_its_bytes(void **state)
{
    static unsigned char bytes[CHANGE_ENCODED_MAX];
    static struct record old, fresh;
    struct difference_room room;
    struct change change = {.kind = CHANGE_UPDATED, .owner = long_text(RECORD_TEXT_MAX, 'o')};
    size_t len = 0;
    (void)state;
    old = largest('a');
    fresh = largest('b');
    change.detail = long_text(CHANGE_DETAIL_MAX, 'd');
    difference_find(&old, &fresh, &room, &change);
    assert_int_equal(change.difference_count, 5 + 2 * RECORD_METADATA_MAX);
    assert_int_equal(change_encode(&change, bytes, sizeof bytes, &len), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_comes_back_as_it_was),
        cmocka_unit_test(a_kind_that_is_none_and_texts_beyond_their_bounds_are_refused),
        cmocka_unit_test(a_change_follows_from_the_one_before_it_and_no_other),
        cmocka_unit_test(every_kind_has_a_name_that_reads_back),
        cmocka_unit_test(all_that_changed_is_told_before_and_after),
        cmocka_unit_test(of_a_new_key_all_is_told),
        cmocka_unit_test(the_largest_difference_fits_its_room_and_its_bytes),
    };
    return cmocka_run_group_tests_name("change", tests, NULL, NULL);
}
