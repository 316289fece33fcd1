/* Arbitrary bytes as a stored key, owner or change: decoding never reads outside of them, and what
 * it takes is exactly what encoding writes, so that a record has one form; but for a key of an
 * earlier version, which is written as one of this. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/change.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static unsigned char again[CHANGE_ENCODED_MAX];

/* What came of a record of an earlier version is one of this, with its one form. */
static void try_newer(size_t len)
{
    static unsigned char twice[CHANGE_ENCODED_MAX];
    struct record record;
    size_t twice_len = 0;

    if (again[0] != RECORD_VERSION || record_decode(again, len, &record) != 0 ||
        record_encode(&record, twice, sizeof twice, &twice_len) != 0 || twice_len != len ||
        memcmp(twice, again, len) != 0)
        abort();
}

static void try_key(const uint8_t *bytes, size_t size)
{
    struct record record;
    size_t len = 0;

    if (record_decode(bytes, size, &record) != 0)
        return;
    if (record_encode(&record, again, sizeof again, &len) != 0)
        abort();
    if (bytes[0] != RECORD_VERSION)
        try_newer(len);
    else if (len != size || memcmp(again, bytes, size) != 0)
        abort();
}

static void try_owner(const uint8_t *bytes, size_t size)
{
    struct record_owner owner;
    size_t len = 0;

    if (record_owner_decode(bytes, size, &owner) != 0)
        return;
    if (record_owner_encode(&owner, again, sizeof again, &len) != 0)
        abort();
    if (bytes[0] == RECORD_OWNER_VERSION && (len != size || memcmp(again, bytes, size) != 0))
        abort();
}

/* The chain's value at the end is made anew, whatever it was. */
static void try_change(const uint8_t *bytes, size_t size)
{
    struct change_room room;
    struct change change;
    size_t len = 0;

    if (change_decode(bytes, size, &room, &change) != 0)
        return;
    if (change_encode(&change, again, sizeof again, &len) != 0 || len != size ||
        memcmp(again, bytes, size - DIGEST_BYTES) != 0)
        abort();
}

/* A whole key's bytes with some of them replaced, and cut: few inputs would come near one by
 * themselves. Pairs of (position, value); the last odd byte cuts. */
static void try_patched_key(const uint8_t *patches, size_t size)
{
    struct record record = {
        .id = 1,
        .name = text_of("name"),
        .owner = text_of("owner"),
        .scope_count = 2,
        .scopes = {text_of("read"), text_of("write")},
        .metadata_count = 1,
        .metadata = {{text_of("k"), text_of("v")}},
        .network_count = 2,
        .networks = {{{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2}}, 96 + 24},
                     {{{0x20, 1, 0x0d, 0xb8}}, 32}},
    };
    unsigned char bytes[512];
    size_t len = 0;

    if (record_encode(&record, bytes, sizeof bytes, &len) != 0)
        abort();
    for (size_t i = 0; i + 1 < size; i += 2)
        bytes[patches[i] % len] = patches[i + 1];
    if (size % 2 == 1)
        len -= patches[size - 1] % len;
    unsigned char *copy = malloc(len);
    if (copy == NULL)
        abort();
    memcpy(copy, bytes, len);
    try_key(copy, len);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    try_key(bytes, size);
    try_owner(bytes, size);
    try_change(bytes, size);
    if (size <= 64)
        try_patched_key(bytes, size);
    return 0;
}
