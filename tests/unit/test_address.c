#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/address.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static struct address address_of(const char *string)
{
    struct address address;
    if (address_parse(text_of(string), &address) != 0)
        fail_msg("\"%s\" is no address", string);
    return address;
}

static struct network network_of(const char *string)
{
    struct network network;
    struct error error = {0};
    if (network_parse(text_of(string), &network, &error) != 0)
        fail_msg("\"%s\" %s", string, error.text);
    return network;
}

/* Exactly len bytes on the heap, so that a sanitizer sees a read past them. */
static struct text exact_text(const char *bytes, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    return (struct text){copy, (uint32_t)len};
}

static int parse_exactly(const char *bytes, size_t len, struct network *ret)
{
    struct text text = exact_text(bytes, len);
    struct error error = {0};
    int r = network_parse(text, ret, &error);
    assert_int_equal(error.code, r);
    assert_true((r == 0) == (error.text[0] == '\0'));
    free((void *)(uintptr_t)text.bytes);
    return r;
}

static void every_network_has_one_text(void **state)
{
    static const struct {
        const char *given, *shown;
    } cases[] = {
        {"192.0.2.0/24", "192.0.2.0/24"},
        {"192.0.2.1", "192.0.2.1/32"},
        {"192.0.2.1/32", "192.0.2.1/32"},
        {"0.0.0.0/0", "0.0.0.0/0"},
        {"10.0.0.0/8", "10.0.0.0/8"},
        {"10.128.0.0/9", "10.128.0.0/9"},
        {"255.255.255.255", "255.255.255.255/32"},
        {"255.255.255.254/31", "255.255.255.254/31"},
        {"::ffff:192.0.2.0/120", "192.0.2.0/24"},
        {"::ffff:192.0.2.1", "192.0.2.1/32"},
        {"::FFFF:c000:201/128", "192.0.2.1/32"},
        {"0:0:0:0:0:ffff:0:0/96", "0.0.0.0/0"},
        {"::/0", "::/0"},
        {"::1", "::1/128"},
        {"2001:db8::/32", "2001:db8::/32"},
        {"2001:0DB8:0000::0000/32", "2001:db8::/32"},
        {"2001:db8:0:0:1::1", "2001:db8::1:0:0:1/128"},
        {"fe80::/10", "fe80::/10"},
        {"fe80::/64", "fe80::/64"},
        {"2001:db8::8000:0:0:0/65", "2001:db8:0:0:8000::/65"},
        {"::fffe:0:0/95", "::fffe:0:0/95"},
        {"::ffff:0:0:0/96", "::ffff:0:0:0/96"},
        {"64:ff9b::192.0.2.33/128", "64:ff9b::c000:221/128"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"},
        {"0000:0000:0000:0000:0000:ffff:255.255.255.255", "255.255.255.255/32"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct network network = network_of(cases[i].given), again;
        char shown[NETWORK_TEXT_SIZE];
        assert_int_equal(network_format(&network, shown), strlen(cases[i].shown));
        assert_string_equal(shown, cases[i].shown);
        again = network_of(shown);
        assert_true(network_equal(&network, &again));
    }
}

static void what_is_no_network_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "/",
        "/24",
        "192.0.2.0/",
        "192.0.2.0/33",
        "192.0.2.0/-1",
        "192.0.2.0/+24",
        "192.0.2.0/024",
        "192.0.2.0/00",
        "0.0.0.0/00",
        "192.0.2.0/24 ",
        " 192.0.2.0/24",
        "192.0.2.0 /24",
        "192.0.2.0/ 24",
        "192.0.2.0/24/24",
        "192.0.2.0//24",
        "192.0.2.0/2x",
        "192.0.2.0/0x18",
        "192.0.2.0/255.255.255.0",
        "192.0.2.0/4294967320", /* 24, were it cut to 32 bits */
        "192.0.2.0/18446744073709551640",
        "192.0.2",
        "192.0.2.",
        "192.0.2.0.1",
        "192.0.2.256",
        "192.0.2.01",
        "192.0.02.1",
        "010.0.0.0/8",
        "0x7f.0.0.1",
        "0300.0.2.1",
        "3221225985",
        "127.1",
        "127.0.0.1:80",
        "192.0.2.1\n",
        "192.0.2.-1",
        "\xD9\xA1.0.0.1", /* an Arabic one */
        "fe80::1%eth0",
        "fe80::1%eth0/64",
        "fe80::/64%eth0",
        "[::1]",
        "[::1]:80",
        "::1/129",
        "::1/1280",
        "::/0128",
        "::/",
        ":",
        ":::",
        "1::2::3",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:8::9",
        "12345::",
        "g::",
        "::192.0.2.256",
        "::192.0.2.01",
        "::ffff:192.0.2",
        "::ffff:192.0.2.1:0",
        "0000:0000:0000:0000:0000:ffff:255.255.255.2555",
        "0000:0000:0000:0000:0000:0000:ffff:255.255.255.255",
        "localhost",
        "*",
        "all",
        "192.0.2.0-192.0.2.9",
        "192.0.2.0/24,192.0.3.0/24",
    };
    struct network network, before;

    (void)state;
    memset(&network, 0x5a, sizeof network);
    before = network;
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (parse_exactly(bad[i], strlen(bad[i]), &network) != CATLATCH_E_DATA)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_memory_equal(&network, &before, sizeof network);
    }
}

static void a_text_ends_where_its_length_says(void **state)
{
    struct network network;
    struct address address;
    (void)state;
    assert_int_equal(parse_exactly("192.0.2.0/24", 11, &network), CATLATCH_E_DATA); /* a /2 */
    assert_int_equal(parse_exactly("10.0.0.0/89", 10, &network), 0);
    assert_int_equal(network.prefix_len, 96 + 8);
    assert_int_equal(parse_exactly("192.0.2.1\0", 10, &network), CATLATCH_E_DATA);
    assert_int_equal(parse_exactly("192.0.2.1\0/24", 13, &network), CATLATCH_E_DATA);
    assert_int_equal(parse_exactly("\0", 1, &network), CATLATCH_E_DATA);
    assert_int_equal(address_parse((struct text){NULL, 0}, &address), CATLATCH_E_DATA);
    assert_int_equal(address_parse((struct text){"192.0.2.123", 9}, &address), 0);
    struct address meant = address_of("192.0.2.1");
    assert_memory_equal(&address, &meant, sizeof meant);
}

static void an_address_has_no_prefix(void **state)
{
    static const char *const bad[] = {"192.0.2.0/24", "192.0.2.1/32", "::1/128", "", "1", "::1%1"};
    struct address address;
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(address_parse(text_of(bad[i]), &address), CATLATCH_E_DATA);
}

static void bits_behind_the_prefix_are_refused_and_the_network_is_named(void **state)
{
    static const struct {
        const char *given, *meant;
    } cases[] = {
        {"192.0.2.1/24", "192.0.2.0/24"},
        {"192.0.2.128/24", "192.0.2.0/24"},
        {"10.1.2.3/8", "10.0.0.0/8"},
        {"10.1.2.3/0", "0.0.0.0/0"},
        {"10.1.2.3/31", "10.1.2.2/31"},
        {"192.0.3.0/23", "192.0.2.0/23"},
        {"::ffff:192.0.2.1/120", "192.0.2.0/24"},
        {"2001:db8::1/32", "2001:db8::/32"},
        {"2001:db8:8000::/32", "2001:db8::/32"},
        {"::1/0", "::/0"},
        {"::ffff:10.0.0.0/8", "::/8"},
        {"::ffff:0:0/95", "::fffe:0:0/95"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct network network;
        struct error error;
        char wanted[128];
        assert_int_equal(network_parse(text_of(cases[i].given), &network, &error), CATLATCH_E_DATA);
        snprintf(wanted, sizeof wanted, "has bits set behind its prefix; the network is %s",
                 cases[i].meant);
        assert_string_equal(error.text, wanted);
    }
}

static void a_network_has_its_addresses_and_no_others(void **state)
{
    static const struct {
        const char *network, *address;
        bool has;
    } cases[] = {
        {"192.0.2.0/24", "192.0.2.0", true},
        {"192.0.2.0/24", "192.0.2.255", true},
        {"192.0.2.0/24", "192.0.3.0", false},
        {"192.0.2.0/24", "192.0.1.255", false},
        {"192.0.2.0/24", "::ffff:192.0.2.7", true},
        {"::ffff:192.0.2.0/120", "192.0.2.7", true},
        {"192.0.2.0/24", "::192.0.2.7", false},
        {"192.0.2.0/24", "64:ff9b::192.0.2.7", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"192.0.2.6/31", "192.0.2.7", true},
        {"192.0.2.6/31", "192.0.2.8", false},
        {"10.128.0.0/9", "10.128.0.0", true},
        {"10.128.0.0/9", "10.127.255.255", false},
        {"0.0.0.0/0", "255.1.2.3", true},
        {"0.0.0.0/0", "::1", false},
        {"0.0.0.0/0", "::ffff:1.2.3.4", true},
        {"::/0", "2001:db8::1", true},
        {"::/0", "1.2.3.4", false},
        {"::/0", "::ffff:1.2.3.4", false},
        {"::/80", "::1", true},
        {"::/80", "1.2.3.4", false},
        {"::fffe:0:0/95", "1.2.3.4", false},
        {"::fffe:0:0/95", "::fffe:1.2.3.4", true},
        {"2001:db8::/32", "2001:db8:ffff::1", true},
        {"2001:db8::/32", "2001:db9::", false},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"::1", "::1", true},
        {"::1", "::2", false},
        {"::1", "0.0.0.1", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct network network = network_of(cases[i].network);
        struct address address = address_of(cases[i].address);
        if (network_has(&network, &address) != cases[i].has)
            fail_msg("%s and %s", cases[i].network, cases[i].address);
    }
}

/* Bit by bit, for every length and each address that differs from the network in one bit. */
static void every_bit_of_a_prefix_counts_and_no_other(void **state)
{
    static const char *const bases[] = {"2001:db8:a5a5:5a5a:f00d:cafe:1234:8765", "165.90.240.13"};
    (void)state;
    for (size_t i = 0; i < COUNT(bases); i++) {
        struct address base = address_of(bases[i]);
        for (unsigned len = address_is_ipv4(&base) ? 96 : 0; len <= 128; len++) {
            struct network network = {.base = base, .prefix_len = (uint8_t)len};
            for (unsigned bit = len; bit < 128; bit++)
                network.base.bytes[bit / 8] &= (unsigned char)~(0x80u >> bit % 8);
            assert_true(network_has(&network, &base));
            for (unsigned bit = 0; bit < 128; bit++) {
                struct address other = base;
                other.bytes[bit / 8] ^= (unsigned char)(0x80u >> bit % 8);
                assert_int_equal(network_has(&network, &other), bit >= len);
            }
        }
    }
}

static void a_network_covers_what_lies_in_it_whole(void **state)
{
    static const struct {
        const char *outer, *inner;
        bool covers;
    } cases[] = {
        {"10.0.0.0/8", "10.0.0.0/8", true},
        {"10.0.0.0/8", "10.1.0.0/16", true},
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.1.0.0/16", "10.0.0.0/8", false},
        {"10.0.0.0/8", "11.0.0.0/8", false},
        {"10.0.0.0/8", "0.0.0.0/0", false},
        {"0.0.0.0/0", "10.0.0.0/8", true},
        {"0.0.0.0/0", "::/0", false},
        {"::/0", "0.0.0.0/0", false},
        {"::/0", "10.0.0.0/8", false},
        {"::/0", "2001:db8::/32", true},
        {"::/0", "::/0", true},
        {"2001:db8::/32", "2001:db8::/31", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct network outer = network_of(cases[i].outer), inner = network_of(cases[i].inner);
        if (network_covers(&outer, &inner) != cases[i].covers)
            fail_msg("%s and %s", cases[i].outer, cases[i].inner);
    }
}

static void a_networks_bytes_are_few_and_come_back(void **state)
{
    static const struct {
        const char *network;
        size_t len;
    } cases[] = {
        {"0.0.0.0/0", 1},     {"10.0.0.0/8", 2},   {"192.0.2.0/24", 4},
        {"192.0.2.1", 5},     {"10.128.0.0/9", 3}, {"::/0", 1},
        {"2001:db8::/32", 5}, {"::1", 17},         {"::fffe:0:0/95", 13},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct network network = network_of(cases[i].network), again;
        unsigned char bytes[NETWORK_BYTES_MAX + 1];
        size_t used = 0;
        assert_int_equal(network_encode(&network, bytes), cases[i].len);
        bytes[cases[i].len] = 0xff;
        assert_int_equal(network_decode(bytes, cases[i].len + 1, &again, &used), 0);
        assert_int_equal(used, cases[i].len);
        assert_true(network_equal(&network, &again));
        for (size_t cut = 0; cut < cases[i].len; cut++)
            assert_int_equal(network_decode(bytes, cut, &again, &used), CATLATCH_E_DATA);
    }
}

/* Whatever the bytes: what is taken is what encoding writes, and can be shown and read again. */
static void bytes_that_are_no_network_are_refused(void **state)
{
    unsigned char bytes[NETWORK_BYTES_MAX], again[NETWORK_BYTES_MAX];
    struct network network, parsed;
    char shown[NETWORK_TEXT_SIZE];
    size_t used, taken = 0;

    (void)state;
    for (unsigned form = 0; form < 256; form++)
        for (unsigned fill = 0; fill < 256; fill++) {
            memset(bytes, (int)fill, sizeof bytes);
            if (fill == 1) /* the prefix of IPv4 in IPv6 */
                memcpy(bytes + 1, "\0\0\0\0\0\0\0\0\0\0\xff\xff\0\0\0\0", 16);
            bytes[0] = (unsigned char)form;
            if (network_decode(bytes, sizeof bytes, &network, &used) != 0)
                continue;
            taken++;
            assert_true(form <= NETWORK_IPV4 + 32);
            assert_int_equal(network_encode(&network, again), used);
            assert_memory_equal(bytes, again, used);
            network_format(&network, shown);
            parsed = network_of(shown);
            assert_true(network_equal(&network, &parsed));
        }
    assert_true(taken > 1000 && taken < 20000);
    bytes[0] = 128; /* ::ffff:0:0 as IPv6 */
    memcpy(bytes + 1, "\0\0\0\0\0\0\0\0\0\0\xff\xff\0\0\0\0", 16);
    assert_int_equal(network_decode(bytes, sizeof bytes, &network, &used), CATLATCH_E_DATA);
    assert_int_equal(network_decode((const unsigned char *)"\x98\x0a\x80", 3, &network, &used),
                     CATLATCH_E_DATA); /* 10.128/15 */
    assert_int_equal(network_decode((const unsigned char *)"\x8a\x0a\x80", 3, &network, &used), 0);
    assert_int_equal(network_decode((const unsigned char *)"\x89\x0b", 1, &network, &used),
                     CATLATCH_E_DATA);
}

static void no_text_of_random_characters_does_harm(void **state)
{
    static const char alphabet[] = "0123456789abcdefABCDEF::::..../%[]xX -+\0\n\xff";
    uint64_t random = 42;
    char bytes[64], shown[NETWORK_TEXT_SIZE];
    size_t taken = 0;

    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        size_t len = 0, wanted;
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        wanted = random >> 58;
        while (len < wanted) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
            bytes[len++] = alphabet[(random >> 33) % (sizeof alphabet - 1)];
        }
        struct network network, again;
        if (parse_exactly(bytes, len, &network) != 0)
            continue;
        taken++;
        network_format(&network, shown);
        again = network_of(shown);
        assert_true(network_equal(&network, &again));
    }
    assert_true(taken > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_network_has_one_text),
        cmocka_unit_test(what_is_no_network_is_refused),
        cmocka_unit_test(a_text_ends_where_its_length_says),
        cmocka_unit_test(an_address_has_no_prefix),
        cmocka_unit_test(bits_behind_the_prefix_are_refused_and_the_network_is_named),
        cmocka_unit_test(a_network_has_its_addresses_and_no_others),
        cmocka_unit_test(every_bit_of_a_prefix_counts_and_no_other),
        cmocka_unit_test(a_network_covers_what_lies_in_it_whole),
        cmocka_unit_test(a_networks_bytes_are_few_and_come_back),
        cmocka_unit_test(bytes_that_are_no_network_are_refused),
        cmocka_unit_test(no_text_of_random_characters_does_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
