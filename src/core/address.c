#include "core/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define BITS 128u
#define IPV4_AT 12u      /* bytes: where an IPv4 address stands in the one form */
#define IPV4_BITS_AT 96u /* bits */

/* What address_prefix keeps. */
#define PREFIX_OF_IPV4 (IPV4_BITS_AT + 24u)
#define PREFIX_OF_IPV6 48u

/* ::ffff:0:0/96 */
static const unsigned char mapped[IPV4_AT] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static int parse_family(int family, const char *string, struct address *ret_address)
{
    struct address address;

    memcpy(address.bytes, mapped, sizeof mapped);
    if (inet_pton(family, string, address.bytes + (family == AF_INET ? IPV4_AT : 0)) != 1)
        return CATLATCH_E_DATA;
    *ret_address = address;
    return 0;
}

int address_parse(struct text text, struct address *ret_address)
{
    char string[INET6_ADDRSTRLEN];

    if (text.len == 0 || text.len >= sizeof string || memchr(text.bytes, '\0', text.len) != NULL)
        return CATLATCH_E_DATA;
    memcpy(string, text.bytes, text.len);
    string[text.len] = '\0';
    return parse_family(memchr(string, ':', text.len) != NULL ? AF_INET6 : AF_INET, string,
                        ret_address);
}

bool address_is_ipv4(const struct address *address)
{
    return memcmp(address->bytes, mapped, sizeof mapped) == 0;
}

/* One to three digits, no zero in front of others. */
static int parse_len(struct text text, unsigned max, unsigned *ret_len)
{
    unsigned len = 0;

    if (text.len == 0 || text.len > 3 || (text.len > 1 && text.bytes[0] == '0'))
        return CATLATCH_E_DATA;
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.bytes[i] < '0' || text.bytes[i] > '9')
            return CATLATCH_E_DATA;
        len = 10 * len + (unsigned)(text.bytes[i] - '0');
    }
    if (len > max)
        return CATLATCH_E_DATA;
    *ret_len = len;
    return 0;
}

/* The bits of byte i that a prefix of so many bits reaches. */
static unsigned char mask_of(unsigned prefix_len, unsigned i)
{
    unsigned from = 8 * i;

    if (prefix_len <= from)
        return 0;
    return (unsigned char)(prefix_len - from >= 8 ? 0xffu : 0xff00u >> (prefix_len - from));
}

/* The network that the address lies in. */
static struct network network_around(const struct address *address, unsigned prefix_len)
{
    struct network network = {.base = *address, .prefix_len = (uint8_t)prefix_len};

    for (unsigned i = 0; i < sizeof address->bytes; i++)
        network.base.bytes[i] &= mask_of(prefix_len, i);
    return network;
}

int network_parse(struct text text, struct network *ret_network, struct error *error)
{
    const char *slash = text.len > 0 ? memchr(text.bytes, '/', text.len) : NULL;
    struct text before = text, behind = {NULL, 0};
    struct address address;
    unsigned len = BITS;

    if (slash != NULL) {
        before.len = (uint32_t)(slash - text.bytes);
        behind = (struct text){slash + 1, text.len - before.len - 1};
    }
    if (address_parse(before, &address) != 0)
        return error_set(error, CATLATCH_E_DATA,
                         "is no network: 192.0.2.0/24, 2001:db8::/32 or an address");
    bool dotted = memchr(before.bytes, ':', before.len) == NULL;
    if (slash != NULL && parse_len(behind, dotted ? BITS - IPV4_BITS_AT : BITS, &len) != 0)
        return error_set(error, CATLATCH_E_DATA, "has no length of 0 to %u behind its slash",
                         dotted ? BITS - IPV4_BITS_AT : BITS);
    if (slash != NULL && dotted)
        len += IPV4_BITS_AT;
    struct network network = network_around(&address, len);
    if (memcmp(&network.base, &address, sizeof address) != 0) {
        char meant[NETWORK_TEXT_SIZE];
        network_format(&network, meant);
        return error_set(error, CATLATCH_E_DATA,
                         "has bits set behind its prefix; the network is %s", meant);
    }
    *ret_network = network;
    return 0;
}

static bool is_ipv4(const struct network *network)
{
    return network->prefix_len >= IPV4_BITS_AT && address_is_ipv4(&network->base);
}

/* Returns the length. */
static size_t format(const struct address *address, bool ipv4, char ret_text[NETWORK_TEXT_SIZE])
{
    if (inet_ntop(ipv4 ? AF_INET : AF_INET6, address->bytes + (ipv4 ? IPV4_AT : 0), ret_text,
                  INET6_ADDRSTRLEN) == NULL)
        ret_text[0] = '\0'; /* never: it is long enough */
    return strlen(ret_text);
}

size_t address_format(const struct address *address, char ret_text[NETWORK_TEXT_SIZE])
{
    return format(address, address_is_ipv4(address), ret_text);
}

struct address address_prefix(const struct address *address)
{
    return network_around(address, address_is_ipv4(address) ? PREFIX_OF_IPV4 : PREFIX_OF_IPV6).base;
}

size_t network_format(const struct network *network, char ret_text[NETWORK_TEXT_SIZE])
{
    bool ipv4 = is_ipv4(network);
    unsigned len = network->prefix_len - (ipv4 ? IPV4_BITS_AT : 0);
    size_t at = format(&network->base, ipv4, ret_text);
    int more = snprintf(ret_text + at, NETWORK_TEXT_SIZE - at, "/%u", len);
    return at + (more > 0 ? (size_t)more : 0);
}

bool network_equal(const struct network *a, const struct network *b)
{
    return a->prefix_len == b->prefix_len && memcmp(&a->base, &b->base, sizeof a->base) == 0;
}

bool network_has(const struct network *network, const struct address *address)
{
    unsigned whole = network->prefix_len / 8;

    if (network->prefix_len < IPV4_BITS_AT && address_is_ipv4(address))
        return false;
    if (memcmp(network->base.bytes, address->bytes, whole) != 0)
        return false;
    return whole == sizeof address->bytes || ((network->base.bytes[whole] ^ address->bytes[whole]) &
                                              mask_of(network->prefix_len, whole)) == 0;
}

bool network_covers(const struct network *outer, const struct network *inner)
{
    return outer->prefix_len <= inner->prefix_len && network_has(outer, &inner->base);
}

size_t network_encode(const struct network *network, unsigned char ret_bytes[NETWORK_BYTES_MAX])
{
    bool ipv4 = is_ipv4(network);
    unsigned len = network->prefix_len - (ipv4 ? IPV4_BITS_AT : 0);
    size_t reached = (len + 7) / 8;

    ret_bytes[0] = (unsigned char)(ipv4 ? NETWORK_IPV4 + len : len);
    memcpy(ret_bytes + 1, network->base.bytes + (ipv4 ? IPV4_AT : 0), reached);
    return 1 + reached;
}

int network_decode(const unsigned char *bytes, size_t len, struct network *ret_network,
                   size_t *ret_used)
{
    struct network network = {.prefix_len = 0};
    size_t reached;

    if (len == 0 || bytes[0] > NETWORK_IPV4 + BITS - IPV4_BITS_AT)
        return CATLATCH_E_DATA;
    bool ipv4 = bytes[0] >= NETWORK_IPV4;
    unsigned prefix_len = ipv4 ? bytes[0] - NETWORK_IPV4 : bytes[0];
    reached = (prefix_len + 7) / 8;
    if (reached > len - 1)
        return CATLATCH_E_DATA;
    if (ipv4)
        memcpy(network.base.bytes, mapped, sizeof mapped);
    memcpy(network.base.bytes + (ipv4 ? IPV4_AT : 0), bytes + 1, reached);
    network.prefix_len = (uint8_t)(prefix_len + (ipv4 ? IPV4_BITS_AT : 0));
    /* Bits behind the prefix, or IPv4 written as IPv6: a second form of a network. */
    if ((reached > 0 && (bytes[reached] & ~mask_of(prefix_len, (unsigned)reached - 1)) != 0) ||
        is_ipv4(&network) != ipv4)
        return CATLATCH_E_DATA;
    *ret_network = network;
    *ret_used = 1 + reached;
    return 0;
}
