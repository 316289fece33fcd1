/* Which key a line means: its digest or raw key, id, prefix, environment and entropy. */
#include <stdio.h>
#include <string.h>

#include "import_field.h"

/* A raw key: its digest and, if it is one of ours, its start. */
static int key_get(struct reading *reading)
{
    const struct key_environments *environments = reading->rules->environments;
    struct text key;
    int code = field_get_text(reading, FIELD_KEY, KEY_FOREIGN_MAX, &key);

    if (code != 0)
        return code;
    if (key.len == 0)
        return field_refuse(reading, FIELD_KEY, "is empty");
    if (reading->values[FIELD_SHA256] != NULL)
        return field_refuse(reading, FIELD_KEY, "and sha256 are both given: one of them");
    digest_of(key.bytes, key.len, &reading->line->digest);
    reading->environment = key_environment_of(environments, key.bytes, key.len);
    if (reading->environment == NULL)
        return 0;
    if (text_is(key, KEY_EXAMPLE)) /* its check digits are none; but this says more */
        return field_refuse(reading, FIELD_KEY, "is the example key of the documentation");
    if (!key_is_well_formed(environments, key.bytes, key.len))
        return error_set(reading->error, CATLATCH_E_DATA,
                         "key begins as one of environment %s and has not its length, characters "
                         "or check digits",
                         reading->environment->name);
    reading->prefix = (struct text){key.bytes, KEY_SHOWN_LEN};
    return 0;
}

static int digest_get(struct reading *reading)
{
    struct digest example;
    struct text hex;
    int code = field_get_text(reading, FIELD_SHA256, SIZE_MAX, &hex);

    if (reading->values[FIELD_KEY] != NULL)
        return key_get(reading);
    if (code != 0)
        return code;
    if (reading->values[FIELD_SHA256] == NULL)
        return error_set(reading->error, CATLATCH_E_DATA,
                         "neither sha256 nor key: which key is it?");
    if (digest_parse(hex.bytes, hex.len, &reading->line->digest) != 0)
        return field_refuse(reading, FIELD_SHA256, "is not 64 hex digits");
    digest_of(KEY_EXAMPLE, strlen(KEY_EXAMPLE), &example);
    if (digest_equal(&reading->line->digest, &example))
        return field_refuse(reading, FIELD_SHA256, "is that of the documentation's example key");
    return 0;
}

/* The prefix that was given, which tells ours from foreign keys where no raw key does. */
static int prefix_get(struct reading *reading)
{
    const struct key_environments *environments = reading->rules->environments;
    struct text given;
    int code = field_get_text(reading, FIELD_PREFIX, KEY_SHOWN_LEN, &given);

    if (code == 0)
        code = field_check_text(reading, "prefix", given);
    if (code != 0)
        return code;
    if (reading->prefix.len > 0) {
        if (given.len > 0 && !text_equal(given, reading->prefix))
            return field_refuse(reading, FIELD_PREFIX, "is not the start of the key");
        return 0;
    }
    if (reading->values[FIELD_KEY] == NULL && reading->values[FIELD_ASSUMED_BITS] == NULL)
        reading->environment = key_environment_of(environments, given.bytes, given.len);
    if (reading->environment != NULL && !key_is_start(reading->environment, given.bytes, given.len))
        return error_set(reading->error, CATLATCH_E_DATA,
                         "prefix begins as one of environment %s and is not %u characters of a key",
                         reading->environment->name, KEY_SHOWN_LEN);
    reading->prefix = given;
    return 0;
}

static int environment_get(struct reading *reading)
{
    const struct key_environment *named;
    struct text given;
    int code = field_get_text(reading, FIELD_ENVIRONMENT, FIELD_TEXT_MAX, &given);

    if (code != 0 || given.len == 0)
        return code;
    named = key_environment_named(reading->rules->environments, given.bytes, given.len);
    if (named == NULL)
        return field_refuse(reading, FIELD_ENVIRONMENT,
                            "is none of the configuration's [environments]");
    if (!reading->line->foreign && named != reading->environment)
        return field_refuse(reading, FIELD_ENVIRONMENT, "is not that of the prefix");
    reading->environment = named;
    return 0;
}

static int bits_put(struct reading *reading)
{
    const json_t *value = reading->values[FIELD_ASSUMED_BITS];
    const struct import_rules *rules = reading->rules;
    json_int_t bits = rules->assumed_bits;
    char text[24];

    if (value != NULL && !reading->line->foreign)
        return field_refuse(reading, FIELD_ASSUMED_BITS, "is given for a key of ours");
    if (!reading->line->foreign)
        return 0;
    if (value != NULL && !json_is_integer(value))
        return field_refuse(reading, FIELD_ASSUMED_BITS, "is no integer");
    if (value != NULL)
        bits = json_integer_value(value);
    if (value == NULL && bits == 0)
        return error_set(reading->error, CATLATCH_E_DATA,
                         "not a key of ours by its %s: --assume-bits must say what entropy keys "
                         "issued elsewhere have",
                         reading->values[FIELD_KEY] != NULL ? "text" : "prefix");
    if (bits < 1 || bits > IMPORT_BITS_MAX)
        return error_set(reading->error, CATLATCH_E_DATA, "assumed_bits is not from 1 to %u",
                         IMPORT_BITS_MAX);
    if (bits < IMPORT_BITS_MIN && !rules->force)
        return error_set(reading->error, CATLATCH_E_DATA,
                         "a key of %d bits can be found by trying, by whoever reads the table; "
                         "under %u needs --force",
                         (int)bits, IMPORT_BITS_MIN);
    int len = snprintf(text, sizeof text, "%d", (int)bits);
    return field_put_pair(reading, "BITS", text, (size_t)len);
}

/* Which key, and whose. */
int identity_put(struct reading *reading)
{
    char hex[2 * DIGEST_BYTES + 1];
    int code = digest_get(reading);

    if (code != 0)
        return code;
    digest_hex(&reading->line->digest, hex);
    if ((code = field_put_pair(reading, "KEY", hex, 2 * DIGEST_BYTES)) != 0 ||
        (code = field_put_id(reading, FIELD_ID, "ID", &reading->line->id)) != 0 ||
        (code = prefix_get(reading)) != 0)
        return code;
    reading->line->foreign = reading->environment == NULL;
    if ((code = environment_get(reading)) != 0 || (code = bits_put(reading)) != 0)
        return code;
    if (reading->prefix.len > 0)
        code = field_put_pair(reading, "PREFIX", reading->prefix.bytes, reading->prefix.len);
    if (code == 0 && reading->environment != NULL)
        code = field_put_pair(reading, "ENV", reading->environment->name,
                              strlen(reading->environment->name));
    return code;
}
