/*
 * address.h - addresses of peers and the networks that a key can be confined to.
 *
 * IPv4 and IPv6 have one form: the sixteen bytes of an IPv6 address, where 192.0.2.1 is
 * ::ffff:192.0.2.1 (RFC 4291, section 2.5.5.2), however it was written. Pure: no allocation, no
 * system call, no locale.
 */
#ifndef CORE_ADDRESS_H
#define CORE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/text.h"

struct address {
    unsigned char bytes[16]; /* as they go over the wire */
};

/* The first prefix_len bits of `base`; its others are 0. Of an IPv4 network prefix_len is 96 more
 * than people write. */
struct network {
    struct address base;
    uint8_t prefix_len; /* bits, 0 to 128 */
};

/* Networks of one key: what a verification may have to compare, each in some 20 ns. */
#define NETWORKS_MAX 32u

/* INET6_ADDRSTRLEN, and a length behind it. */
#define NETWORK_TEXT_SIZE 50u

/* As inet_pton(3) has it: four decimal numbers without leading zeros, or RFC 4291; without zone,
 * port, blanks or brackets. Returns 0 or E_DATA. */
int address_parse(struct text text, struct address *ret_address);

bool address_is_ipv4(const struct address *address);

/* "192.0.2.1", "2001:db8::1". Returns its length. */
size_t address_format(const struct address *address, char ret_text[NETWORK_TEXT_SIZE]);

/* The network that it is likely of, as its first address: 24 bits of IPv4, 48 of IPv6, what a
 * customer is given at least. */
struct address address_prefix(const struct address *address);

/* ADDRESS/LENGTH, or an address alone, which is a network of one. Refuses bits behind the prefix,
 * which were meant for something else. Returns 0 or E_DATA, and what is wrong as the end of a
 * sentence, without what was written ("has bits set behind its prefix; ... "). */
int network_parse(struct text text, struct network *ret_network, struct error *error);

/* The one form that a network is shown in: "192.0.2.0/24", "2001:db8::/32". Returns its length. */
size_t network_format(const struct network *network, char ret_text[NETWORK_TEXT_SIZE]);

bool network_equal(const struct network *a, const struct network *b);

/* Whether the address lies in the network. No IPv4 address lies in an IPv6 network: ::/0 is all of
 * IPv6, and 0.0.0.0/0 all of IPv4. */
bool network_has(const struct network *network, const struct address *address);

/* Whether all of `inner` lies in `outer`. */
bool network_covers(const struct network *outer, const struct network *inner);

/* A network's bytes, where it is stored: one that says the family and the length of the prefix, 0
 * to 128 of IPv6 and NETWORK_IPV4 + 0 to 32 of IPv4, and those of the address that the prefix
 * reaches into. Each network has one form. */
#define NETWORK_IPV4 129u
#define NETWORK_BYTES_MAX 17u

/* Returns how many bytes it wrote. */
size_t network_encode(const struct network *network, unsigned char ret_bytes[NETWORK_BYTES_MAX]);

/* Reads one from the beginning of the bytes. Returns 0 or E_DATA. */
int network_decode(const unsigned char *bytes, size_t len, struct network *ret_network,
                   size_t *ret_used);

#endif
