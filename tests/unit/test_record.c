#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/record.h"

static struct record sample(void)
{
    struct record record = {
        .id = 0x0123456789abcdef,
        .version = 77,
        .digest = {{1, 2, 3, UINT64_MAX}},
        .revoked = true,
        .revoke_reason = RECORD_REASON_LEAKED,
        .created_unix_s = 1700000000,
        .expires_unix_s = 1800000000,
        .not_before_unix_s = 1700000001,
        .revoked_unix_s = 1750000000,
        .rotated_from = 5,
        .rotated_to = UINT64_MAX,
        .name = text_of("build server"),
        .owner = text_of("acme"),
        .prefix = text_of("cc_live_AbCdEfG"),
        .environment = text_of("live"),
        .environment_prefix = text_of("cc_live_"),
        .comment = text_of("for the nightly build"),
        .revoke_comment = text_of("seen in a gist"),
        .scope_count = 2,
        .metadata_count = 2,
        .network_count = 2,
        .networks = {{{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2}}, 96 + 24},
                     {{{0x20, 1, 0x0d, 0xb8}}, 32}},
    };
    record.scopes[0] = text_of("orders:read");
    record.scopes[1] = text_of("orders:write");
    record.metadata[0] = (struct record_pair){text_of("ticket"), text_of("OPS-17")};
    record.metadata[1] = (struct record_pair){text_of("empty"), text_of("")};
    return record;
}

static char long_bytes[RECORD_ENCODED_MAX];

static struct text long_text(uint32_t len)
{
    memset(long_bytes, 'x', sizeof long_bytes);
    return (struct text){long_bytes, len};
}

/* The largest record that keeps to every bound. */
static struct record largest(void)
{
    struct record record = sample();

    record.name = record.owner = long_text(RECORD_TEXT_MAX);
    record.comment = record.revoke_comment = long_text(RECORD_COMMENT_MAX);
    record.scope_count = RECORD_SCOPES_MAX;
    for (size_t i = 0; i < RECORD_SCOPES_MAX; i++)
        record.scopes[i] = long_text(63);
    record.metadata_count = RECORD_METADATA_MAX;
    for (size_t i = 0; i < RECORD_METADATA_MAX; i++)
        record.metadata[i] = (struct record_pair){long_text(RECORD_METADATA_NAME_MAX),
                                                  long_text(RECORD_COMMENT_MAX)};
    record.retirement = (struct retirement){
        .on_use = true, .grace_s = RETIREMENT_SPAN_MAX_S, .unseen_s = RETIREMENT_SPAN_MAX_S};
    record.network_count = NETWORKS_MAX;
    for (size_t i = 0; i < NETWORKS_MAX; i++)
        record.networks[i] = (struct network){{{0xfe, 0x80, [15] = (unsigned char)i}}, 128};
    return record;
}

static void assert_text_equal(struct text a, struct text b)
{
    assert_int_equal(a.len, b.len);
    if (a.len > 0)
        assert_memory_equal(a.bytes, b.bytes, a.len);
}

static void assert_lists_equal(const struct record *a, const struct record *b)
{
    assert_int_equal(a->scope_count, b->scope_count);
    for (size_t i = 0; i < a->scope_count; i++)
        assert_text_equal(a->scopes[i], b->scopes[i]);
    assert_int_equal(a->metadata_count, b->metadata_count);
    for (size_t i = 0; i < a->metadata_count; i++) {
        assert_text_equal(a->metadata[i].name, b->metadata[i].name);
        assert_text_equal(a->metadata[i].value, b->metadata[i].value);
    }
    assert_int_equal(a->network_count, b->network_count);
    for (size_t i = 0; i < a->network_count; i++)
        assert_true(network_equal(&a->networks[i], &b->networks[i]));
}

static void assert_records_equal(const struct record *a, const struct record *b)
{
    assert_true(a->id == b->id);
    assert_true(a->version == b->version);
    assert_true(digest_equal(&a->digest, &b->digest));
    assert_int_equal(a->disabled, b->disabled);
    assert_int_equal(a->suspended, b->suspended);
    assert_int_equal(a->revoked, b->revoked);
    assert_int_equal(a->revoke_reason, b->revoke_reason);
    assert_true(a->created_unix_s == b->created_unix_s);
    assert_true(a->expires_unix_s == b->expires_unix_s);
    assert_true(a->not_before_unix_s == b->not_before_unix_s);
    assert_true(a->revoked_unix_s == b->revoked_unix_s);
    assert_true(a->enabled_unix_s == b->enabled_unix_s);
    assert_true(a->rotated_from == b->rotated_from);
    assert_true(a->rotated_to == b->rotated_to);
    assert_int_equal(a->retirement.on_use, b->retirement.on_use);
    assert_true(a->retirement.grace_s == b->retirement.grace_s);
    assert_true(a->retirement.unseen_s == b->retirement.unseen_s);
    assert_true(a->retirement.since_unix_s == b->retirement.since_unix_s);
    assert_text_equal(a->name, b->name);
    assert_text_equal(a->owner, b->owner);
    assert_text_equal(a->prefix, b->prefix);
    assert_text_equal(a->environment, b->environment);
    assert_text_equal(a->environment_prefix, b->environment_prefix);
    assert_text_equal(a->comment, b->comment);
    assert_text_equal(a->revoke_comment, b->revoke_comment);
    assert_lists_equal(a, b);
}

static void assert_round_trip(const struct record *record)
{
    static unsigned char bytes[RECORD_ENCODED_MAX], again[RECORD_ENCODED_MAX];
    size_t len = 0, again_len = 0;
    struct record decoded;

    assert_int_equal(record_encode(record, bytes, sizeof bytes, &len), 0);
    assert_int_equal(record_decode(bytes, len, &decoded), 0);
    assert_records_equal(record, &decoded);
    assert_int_equal(record_encode(&decoded, again, sizeof again, &again_len), 0);
    assert_int_equal(len, again_len);
    assert_memory_equal(bytes, again, len);
}

static void a_key_comes_back_as_it_was(void **state)
{
    struct record full = sample();
    struct record bare = {.id = 1, .owner = text_of("default")};
    (void)state;
    assert_round_trip(&full);
    full.disabled = true;
    full.revoked = false;
    full.enabled_unix_s = 1740000000;
    full.retirement = (struct retirement){.unseen_s = 86400, .since_unix_s = 1740000000};
    assert_round_trip(&full);
    full.retirement = (struct retirement){.on_use = true, .grace_s = 7, .unseen_s = 8};
    assert_round_trip(&full);
    assert_round_trip(&bare);
}

static void an_owners_suspension_is_not_stored_with_the_key(void **state)
{
    struct record told = sample(), decoded;
    unsigned char bytes[RECORD_ENCODED_MAX];
    size_t len;
    (void)state;
    told.suspended = true;
    assert_int_equal(record_encode(&told, bytes, sizeof bytes, &len), 0);
    assert_int_equal(record_decode(bytes, len, &decoded), 0);
    assert_false(decoded.suspended);
}

static void the_largest_key_fits_its_buffer(void **state)
{
    struct record record = largest();
    (void)state;
    assert_round_trip(&record);
}

static void a_buffer_that_is_too_small_is_full_and_nothing_is_said(void **state)
{
    unsigned char bytes[512];
    struct record record = sample();
    size_t len = 0, other = 42;
    (void)state;
    assert_int_equal(record_encode(&record, bytes, sizeof bytes, &len), 0);
    for (size_t size = 0; size < len; size++) {
        assert_int_equal(record_encode(&record, bytes, size, &other), CATLATCH_E_FULL);
        assert_int_equal(other, 42);
    }
}

/* Exactly len bytes on the heap, so that a sanitizer sees a read past them. */
static int decode_exactly(const unsigned char *bytes, size_t len, struct record *ret_record)
{
    unsigned char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    int r = record_decode(copy, len, ret_record);
    free(copy);
    return r;
}

static void every_truncation_is_refused(void **state)
{
    unsigned char bytes[512];
    struct record record = sample(), target;
    size_t len = 0;
    (void)state;
    assert_int_equal(record_encode(&record, bytes, sizeof bytes, &len), 0);
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(decode_exactly(bytes, cut, &target), CATLATCH_E_DATA);
    assert_int_equal(decode_exactly(bytes, len, &target), 0);
}

static void a_digest_can_be_had_alone(void **state)
{
    unsigned char bytes[512];
    struct record record = sample();
    struct digest digest;
    size_t len = 0;
    (void)state;
    assert_int_equal(record_encode(&record, bytes, sizeof bytes, &len), 0);
    assert_true(record_peek_digest(bytes, len, &digest));
    assert_true(digest_equal(&digest, &record.digest));
    assert_true(record_peek_digest(bytes, 51, &digest));
    assert_false(record_peek_digest(bytes, 50, &digest));
}

static void bytes_after_the_end_are_refused(void **state)
{
    unsigned char bytes[512] = {0};
    struct record record = sample();
    size_t len = 0;
    (void)state;
    assert_int_equal(record_encode(&record, bytes, sizeof bytes, &len), 0);
    assert_int_equal(record_decode(bytes, len + 1, &record), CATLATCH_E_DATA);
}

static void an_unknown_version_is_told_from_damage(void **state)
{
    unsigned char bytes[512];
    struct record record = sample();
    size_t len = 0;
    (void)state;
    assert_int_equal(record_encode(&record, bytes, sizeof bytes, &len), 0);
    bytes[0] = RECORD_VERSION + 1;
    assert_int_equal(record_decode(bytes, len, &record), CATLATCH_E_VERSION);
    bytes[0] = 0;
    assert_int_equal(record_decode(bytes, len, &record), CATLATCH_E_DATA);
}

/* What version 2 made of the sample; version 1 ended before the networks. */
static const char version_2[] =
    "\x02\x04\x01\xef\xcd\xab\x89\x67\x45\x23\x01\x4d\x00\x00\x00\x00\x00\x00\x00\x01"
    "\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00"
    "\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\xf1\x53\x65\x00\x00\x00\x00\x00"
    "\x00\x00\x00\x00\x00\x00\x00\x00\xd2\x49\x6b\x00\x00\x00\x00\x01\xf1\x53\x65\x00"
    "\x00\x00\x00\x80\xe1\x4e\x68\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\xff"
    "\xff\xff\xff\xff\xff\xff\xff\x00\x00\x0c\x00\x62\x75\x69\x6c\x64\x20\x73\x65\x72"
    "\x76\x65\x72\x04\x00\x61\x63\x6d\x65\x0f\x00\x63\x63\x5f\x6c\x69\x76\x65\x5f\x41"
    "\x62\x43\x64\x45\x66\x47\x04\x00\x6c\x69\x76\x65\x08\x00\x63\x63\x5f\x6c\x69\x76"
    "\x65\x5f\x15\x00\x66\x6f\x72\x20\x74\x68\x65\x20\x6e\x69\x67\x68\x74\x6c\x79\x20"
    "\x62\x75\x69\x6c\x64\x0e\x00\x73\x65\x65\x6e\x20\x69\x6e\x20\x61\x20\x67\x69\x73"
    "\x74\x02\x0b\x00\x6f\x72\x64\x65\x72\x73\x3a\x72\x65\x61\x64\x0c\x00\x6f\x72\x64"
    "\x65\x72\x73\x3a\x77\x72\x69\x74\x65\x02\x06\x00\x74\x69\x63\x6b\x65\x74\x06\x00"
    "\x4f\x50\x53\x2d\x31\x37\x05\x00\x65\x6d\x70\x74\x79\x00\x00\x02\x99\xc0\x00\x02"
    "\x20\x20\x01\x0d\xb8";
#define VERSION_2_LEN (sizeof version_2 - 1)
#define NETWORKS_LEN 10

static void keys_of_earlier_versions_are_read(void **state)
{
    unsigned char bytes[VERSION_2_LEN], again[512];
    struct record record = sample(), decoded;
    size_t len = 0;
    (void)state;
    memcpy(bytes, version_2, sizeof bytes);
    assert_int_equal(record_decode(bytes, sizeof bytes, &decoded), 0);
    assert_records_equal(&record, &decoded);
    assert_int_equal(record_decode(bytes, sizeof bytes - 1, &decoded), CATLATCH_E_DATA);
    assert_int_equal(record_encode(&record, again, sizeof again, &len), 0);
    again[0] = 3;
    assert_int_equal(record_decode(again, len, &decoded), 0);
    assert_records_equal(&record, &decoded);
    record.network_count = 0;
    bytes[0] = 1;
    assert_int_equal(record_decode(bytes, sizeof bytes - NETWORKS_LEN, &decoded), 0);
    assert_records_equal(&record, &decoded);
    assert_int_equal(record_decode(bytes, sizeof bytes, &decoded), CATLATCH_E_DATA);
    assert_int_equal(record_encode(&decoded, again, sizeof again, &len), 0);
    assert_int_equal(again[0], RECORD_VERSION);
}

static void what_most_keys_have_not_takes_no_byte(void **state)
{
    unsigned char bytes[512];
    struct record record = {.id = 7,
                            .version = 8,
                            .created_unix_s = 1700000000,
                            .name = text_of("12345"),
                            .owner = text_of("acme"),
                            .prefix = text_of("cc_live_AbCdEfG"),
                            .environment = text_of("live"),
                            .environment_prefix = text_of("cc_live_")};
    size_t len = 0;
    (void)state;
    assert_int_equal(record_encode(&record, bytes, sizeof bytes, &len), 0);
    assert_int_equal(len, 19 + 32 + 8 + (5 + 5 + 4 + 15 + 4 + 8) + 2);
}

/* Each bit of the word that says which follow, set without its field. */
static void a_field_that_is_announced_must_be_there(void **state)
{
    unsigned char bytes[512];
    struct record record = {.id = 7, .owner = text_of("acme")}, decoded;
    size_t len = 0;
    (void)state;
    assert_int_equal(record_encode(&record, bytes, sizeof bytes, &len), 0);
    for (unsigned bit = 0; bit < 16; bit++) {
        uint16_t fields = htole16((uint16_t)(1u << bit));
        memset(bytes + len, 0, 16); /* and there, as nothing: how nobody writes it */
        memcpy(bytes + len - 2, &fields, sizeof fields);
        for (size_t more = 0; more <= 16; more++)
            assert_int_equal(record_decode(bytes, len + more, &decoded), CATLATCH_E_DATA);
    }
}

static void a_retirement_is_a_rotated_keys_and_says_something(void **state)
{
    unsigned char bytes[512];
    struct record record = {.id = 7, .owner = text_of("acme")}, decoded;
    size_t len = 0;
    (void)state;
    record.retirement = (struct retirement){.on_use = true, .unseen_s = 5};
    assert_int_equal(record_encode(&record, bytes, sizeof bytes, &len), CATLATCH_E_DATA);
    record.rotated_to = 9;
    assert_int_equal(record_encode(&record, bytes, sizeof bytes, &len), 0);
    assert_int_equal(record_decode(bytes, len, &decoded), 0);
    bytes[0] = 4; /* which knew of none */
    assert_int_equal(record_decode(bytes, len, &decoded), CATLATCH_E_DATA);
    bytes[0] = RECORD_VERSION;
    for (size_t less = 1; less <= 25; less++)
        assert_int_equal(record_decode(bytes, len - less, &decoded), CATLATCH_E_DATA);
    bytes[len - 25] = 2; /* neither true nor false */
    assert_int_equal(record_decode(bytes, len, &decoded), CATLATCH_E_DATA);
    memset(bytes + len - 25, 0, 25);
    assert_int_equal(record_decode(bytes, len, &decoded), CATLATCH_E_DATA);
}

static void networks_take_few_bytes_and_others_than_ours_are_refused(void **state)
{
    unsigned char bytes[512];
    struct record record = sample();
    size_t len = 0;
    (void)state;
    assert_int_equal(record_encode(&record, bytes, sizeof bytes, &len), 0);
    assert_memory_equal(bytes + len - 10, "\x02\x99\xc0\x00\x02\x20\x20\x01\x0d\xb8", 10);
    bytes[len - 10] = NETWORKS_MAX + 1;
    assert_int_equal(record_decode(bytes, len, &record), CATLATCH_E_DATA);
    bytes[len - 10] = 2;
    bytes[len - 9] = 0xa2; /* an IPv4 prefix of 33 */
    assert_int_equal(record_decode(bytes, len, &record), CATLATCH_E_DATA);
    bytes[len - 9] = 0x98; /* 192.0.2.0/23 */
    assert_int_equal(record_decode(bytes, len, &record), 0);
    bytes[len - 6] = 3; /* 192.0.3.0/23 */
    assert_int_equal(record_decode(bytes, len, &record), CATLATCH_E_DATA);
}

static void one_list_of_networks_covers_another(void **state)
{
    static const struct {
        const char *wide[3], *narrow[3];
        bool covers;
    } cases[] = {
        {{NULL}, {NULL}, true},
        {{NULL}, {"10.0.0.0/8"}, true},
        {{"10.0.0.0/8"}, {NULL}, false},
        {{"0.0.0.0/0", "::/0"}, {NULL}, false},
        {{"10.0.0.0/8"}, {"10.0.0.0/8"}, true},
        {{"10.0.0.0/8"}, {"10.1.0.0/16", "10.2.0.0/16"}, true},
        {{"10.0.0.0/8"}, {"10.1.0.0/16", "11.0.0.0/8"}, false},
        {{"11.0.0.0/8", "10.0.0.0/8"}, {"10.0.0.0/8", "11.0.0.0/8"}, true},
        {{"10.0.0.0/9", "10.128.0.0/9"}, {"10.0.0.0/8"}, false},
        {{"10.0.0.0/8"}, {"::/0"}, false},
        {{"::/0"}, {"10.0.0.0/8"}, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct record wide = {.id = 1}, narrow = {.id = 1};
        for (size_t j = 0; cases[i].wide[j] != NULL; j++)
            assert_int_equal(network_parse(text_of(cases[i].wide[j]),
                                           &wide.networks[wide.network_count++], NULL),
                             0);
        for (size_t j = 0; cases[i].narrow[j] != NULL; j++)
            assert_int_equal(network_parse(text_of(cases[i].narrow[j]),
                                           &narrow.networks[narrow.network_count++], NULL),
                             0);
        if (record_networks_cover(&wide, &narrow) != cases[i].covers)
            fail_msg("case %zu", i);
    }
}

static void unknown_flags_and_reasons_are_refused(void **state)
{
    unsigned char bytes[512];
    struct record record = sample();
    size_t len = 0;
    (void)state;
    assert_int_equal(record_encode(&record, bytes, sizeof bytes, &len), 0);
    bytes[1] |= 0x80;
    assert_int_equal(record_decode(bytes, len, &record), CATLATCH_E_DATA);
    bytes[1] &= 0x7f;
    bytes[2] = RECORD_REASON_COUNT;
    assert_int_equal(record_decode(bytes, len, &record), CATLATCH_E_DATA);
}

static void assert_refused(const struct record *record)
{
    static unsigned char bytes[2 * RECORD_ENCODED_MAX];
    size_t len = 7;

    assert_int_equal(record_encode(record, bytes, sizeof bytes, &len), CATLATCH_E_DATA);
    assert_int_equal(len, 7);
}

static void texts_beyond_their_bounds_are_refused(void **state)
{
    struct record record;
    (void)state;
    record = sample(), record.name = long_text(RECORD_TEXT_MAX + 1), assert_refused(&record);
    record = sample(), record.owner = long_text(RECORD_TEXT_MAX + 1), assert_refused(&record);
    record = sample(), record.owner = text_of(""), assert_refused(&record);
    record = sample(), record.prefix = long_text(16), assert_refused(&record);
    record = sample(), record.environment = long_text(24), assert_refused(&record);
    record = sample(), record.environment_prefix = long_text(9), assert_refused(&record);
    record = sample(), record.comment = long_text(RECORD_COMMENT_MAX + 1), assert_refused(&record);
    record = sample(), record.revoke_comment = long_text(RECORD_COMMENT_MAX + 1);
    assert_refused(&record);
}

static void lists_beyond_their_bounds_are_refused(void **state)
{
    struct record record;
    (void)state;
    record = largest(), record.scopes[0] = long_text(64), assert_refused(&record);
    record = sample(), record.scopes[0] = long_text(65), assert_refused(&record);
    record = sample(), record.scopes[0] = text_of(""), assert_refused(&record);
    record = sample(), record.scope_count = RECORD_SCOPES_MAX + 1, assert_refused(&record);
    record = sample(), record.metadata_count = RECORD_METADATA_MAX + 1, assert_refused(&record);
    record = sample(), record.network_count = NETWORKS_MAX + 1, assert_refused(&record);
    record = sample(), record.metadata[0].name = long_text(65), assert_refused(&record);
    record = sample(), record.metadata[0].name = text_of(""), assert_refused(&record);
    record = sample(), record.metadata[0].value = long_text(RECORD_COMMENT_MAX + 1);
    assert_refused(&record);
}

static void numbers_that_cannot_be_are_refused(void **state)
{
    struct record record;
    (void)state;
    record = sample(), record.id = 0, assert_refused(&record);
    record = sample(), record.expires_unix_s = -1, assert_refused(&record);
    record = sample(), record.not_before_unix_s = INT64_MIN, assert_refused(&record);
    record = sample(), record.created_unix_s = -1, assert_refused(&record);
    record = sample(), record.revoked_unix_s = -1, assert_refused(&record);
    record = sample(), record.revoke_reason = RECORD_REASON_COUNT, assert_refused(&record);
}

static void a_state_is_the_first_that_applies(void **state)
{
    struct record record = {.id = 1, .not_before_unix_s = 200, .expires_unix_s = 100};
    (void)state;
    record.revoked = record.suspended = true;
    assert_int_equal(record_state(&record, 150), STATE_REVOKED);
    record.revoked = false;
    assert_int_equal(record_state(&record, 150), STATE_DISABLED);
    record.suspended = false;
    record.disabled = true;
    assert_int_equal(record_state(&record, 150), STATE_DISABLED);
    record.disabled = false;
    assert_int_equal(record_state(&record, 150), STATE_NOT_YET_VALID);
    assert_int_equal(record_state(&record, 200), STATE_EXPIRED);
    record.expires_unix_s = 201;
    assert_int_equal(record_state(&record, 200), STATE_ACTIVE);
    assert_int_equal(record_state(&record, 201), STATE_EXPIRED);
    record.expires_unix_s = 0;
    assert_int_equal(record_state(&record, INT64_MAX), STATE_ACTIVE);
}

static void every_name_reads_back(void **state)
{
    enum record_reason reason = RECORD_REASON_NONE;
    enum record_state what = STATE_ACTIVE;
    (void)state;
    assert_null(record_reason_name(RECORD_REASON_NONE));
    assert_null(record_reason_name(RECORD_REASON_COUNT));
    for (unsigned i = 1; i < RECORD_REASON_COUNT; i++) {
        const char *name = record_reason_name((enum record_reason)i);
        assert_int_equal(record_reason_parse(text_of(name), &reason), 0);
        assert_int_equal(reason, i);
    }
    for (unsigned i = 0; i <= STATE_REVOKED; i++) {
        const char *name = record_state_name((enum record_state)i);
        assert_int_equal(record_state_parse(text_of(name), &what), 0);
        assert_int_equal(what, i);
    }
    assert_int_equal(record_reason_parse(text_of(""), &reason), CATLATCH_E_DATA);
    assert_int_equal(record_state_parse(text_of("Active"), &what), CATLATCH_E_DATA);
}

static void an_owner_comes_back_as_it_was(void **state)
{
    unsigned char bytes[512];
    size_t len = 0;
    struct record_owner decoded, owner = {
                                     .name = text_of("acme"),
                                     .suspended = true,
                                     .suspended_unix_s = 1,
                                     .created_unix_s = 2,
                                     .key_count = 3,
                                     .version = 4,
                                 };
    (void)state;
    assert_int_equal(rates_parse(text_of("10/1s:3,1000/1h"), &owner.rates, NULL), 0);
    assert_int_equal(record_owner_encode(&owner, bytes, sizeof bytes, &len), 0);
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(record_owner_decode(bytes, cut, &decoded), CATLATCH_E_DATA);
    assert_int_equal(record_owner_decode(bytes, len + 1, &decoded), CATLATCH_E_DATA);
    assert_int_equal(record_owner_decode(bytes, len, &decoded), 0);
    assert_text_equal(decoded.name, owner.name);
    assert_true(decoded.suspended);
    assert_true(decoded.suspended_unix_s == 1 && decoded.created_unix_s == 2);
    assert_true(decoded.key_count == 3 && decoded.version == 4);
    assert_true(rates_equal(&decoded.rates, &owner.rates));
    bytes[len - 4] = 11; /* the last burst is above what comes in an hour then */
    bytes[len - 1] = 1;
    assert_int_equal(record_owner_decode(bytes, len, &decoded), CATLATCH_E_DATA);
    /* One that was written before owners had limits. */
    owner.rates.count = 0;
    assert_int_equal(record_owner_encode(&owner, bytes, sizeof bytes, &len), 0);
    bytes[0] = 1;
    assert_int_equal(record_owner_decode(bytes, len, &decoded), CATLATCH_E_DATA);
    assert_int_equal(record_owner_decode(bytes, len - 1, &decoded), 0);
    assert_true(decoded.rates.count == 0 && decoded.version == 4);
    assert_text_equal(decoded.name, owner.name);
    assert_int_equal(record_owner_encode(&owner, bytes, sizeof bytes, &len), 0);
    bytes[1] |= 1;
    assert_int_equal(record_owner_decode(bytes, len, &decoded), CATLATCH_E_DATA);
    bytes[0] = 9;
    assert_int_equal(record_owner_decode(bytes, len, &decoded), CATLATCH_E_VERSION);
    owner.name = text_of("");
    assert_int_equal(record_owner_encode(&owner, bytes, sizeof bytes, &len), CATLATCH_E_DATA);
}

static void a_key_is_ours_by_its_environment_unless_it_was_issued_elsewhere(void **state)
{
    struct record record = {.environment = text_of("live")};
    (void)state;
    assert_true(record_is_ours(&record));
    record.assumed_bits = 128;
    assert_false(record_is_ours(&record));
    record = (struct record){0};
    assert_false(record_is_ours(&record));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_comes_back_as_it_was),
        cmocka_unit_test(an_owners_suspension_is_not_stored_with_the_key),
        cmocka_unit_test(the_largest_key_fits_its_buffer),
        cmocka_unit_test(a_buffer_that_is_too_small_is_full_and_nothing_is_said),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(a_digest_can_be_had_alone),
        cmocka_unit_test(bytes_after_the_end_are_refused),
        cmocka_unit_test(an_unknown_version_is_told_from_damage),
        cmocka_unit_test(keys_of_earlier_versions_are_read),
        cmocka_unit_test(what_most_keys_have_not_takes_no_byte),
        cmocka_unit_test(a_field_that_is_announced_must_be_there),
        cmocka_unit_test(a_retirement_is_a_rotated_keys_and_says_something),
        cmocka_unit_test(networks_take_few_bytes_and_others_than_ours_are_refused),
        cmocka_unit_test(one_list_of_networks_covers_another),
        cmocka_unit_test(unknown_flags_and_reasons_are_refused),
        cmocka_unit_test(texts_beyond_their_bounds_are_refused),
        cmocka_unit_test(lists_beyond_their_bounds_are_refused),
        cmocka_unit_test(numbers_that_cannot_be_are_refused),
        cmocka_unit_test(a_state_is_the_first_that_applies),
        cmocka_unit_test(every_name_reads_back),
        cmocka_unit_test(an_owner_comes_back_as_it_was),
        cmocka_unit_test(a_key_is_ours_by_its_environment_unless_it_was_issued_elsewhere),
    };
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
