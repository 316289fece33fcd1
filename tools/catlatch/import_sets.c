/* What a line's key has many of: scopes, networks, metadata. */
#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "core/allowance.h"
#include "core/rate.h"
#include "core/retirement.h"
#include "import_field.h"

#define LIST_MAX 32u     /* scopes, pairs of metadata */
#define SCOPES_MAX 2047u /* bytes of all scopes, with a blank between them */
#define META_NAME_MAX 64u

static bool has_before(const json_t *list, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (json_equal(json_array_get(list, i), json_array_get(list, index)))
            return true;
    return false;
}

int scopes_put(struct reading *reading)
{
    const json_t *list = reading->values[FIELD_SCOPES];
    size_t bytes = 0;
    int code = 0;

    if (list != NULL && !json_is_array(list))
        return field_refuse(reading, FIELD_SCOPES, "is no array of strings");
    if (json_array_size(list) > LIST_MAX)
        return field_refuse(reading, FIELD_SCOPES, "are more than 32");
    for (size_t i = 0; code == 0 && i < json_array_size(list); i++) {
        const json_t *scope = json_array_get(list, i);
        const char *text = json_string_value(scope);
        size_t len = json_string_length(scope);
        if (text == NULL || !text_is_scope(text, len))
            return field_refuse(reading, FIELD_SCOPES,
                                "holds something else than 1 to 64 printable "
                                "ASCII characters but blank, \" and \\");
        if (has_before(list, i))
            return field_refuse(reading, FIELD_SCOPES, "names one twice");
        if ((bytes += len + 1) > SCOPES_MAX + 1)
            return field_refuse(reading, FIELD_SCOPES, "take more than 2047 bytes");
        code = field_check_text(reading, "scopes", (struct text){text, (uint32_t)len});
        if (code == 0)
            code = field_put_pair(reading, "SCOPE", text, len);
    }
    return code;
}

static int network_put(struct reading *reading, const json_t *value, size_t number,
                       struct network *ret_network)
{
    struct text text = {json_string_value(value), (uint32_t)json_string_length(value)};
    char shown[NETWORK_TEXT_SIZE];
    struct error error;

    if (text.bytes == NULL)
        return field_refuse(reading, FIELD_ALLOWED_NETWORKS, "is no array of strings");
    if (network_parse(text, ret_network, &error) != 0)
        return error_set(reading->error, CATLATCH_E_DATA, "allowed_networks: number %zu %s", number,
                         error.text);
    return field_put_pair(reading, "ALLOW", shown, network_format(ret_network, shown));
}

/* What is there is never taken for nothing, which would let the key in from everywhere. */
int networks_put(struct reading *reading)
{
    const json_t *list = reading->values[FIELD_ALLOWED_NETWORKS];
    struct network networks[NETWORKS_MAX];
    int code = 0;

    if (list != NULL && !json_is_array(list))
        return field_refuse(reading, FIELD_ALLOWED_NETWORKS, "is no array of strings");
    if (json_array_size(list) > NETWORKS_MAX)
        return field_refuse(reading, FIELD_ALLOWED_NETWORKS, "are more than 32");
    for (size_t i = 0; code == 0 && i < json_array_size(list); i++) {
        code = network_put(reading, json_array_get(list, i), i + 1, &networks[i]);
        for (size_t j = 0; code == 0 && j < i; j++)
            if (network_equal(&networks[j], &networks[i]))
                return field_refuse(reading, FIELD_ALLOWED_NETWORKS, "names one twice");
    }
    return code;
}

static int rate_put(struct reading *reading, const json_t *value, size_t number,
                    struct rates *io_rates)
{
    struct text text = {json_string_value(value), (uint32_t)json_string_length(value)};
    char shown[RATE_TEXT_SIZE];
    struct rate rate;
    struct error error;

    if (text.bytes == NULL)
        return field_refuse(reading, FIELD_RATES, "is no array of strings");
    if (rate_parse(text, &rate, &error) != 0 || rates_add(io_rates, &rate, &error) != 0)
        return error_set(reading->error, CATLATCH_E_DATA, "rates: number %zu %s", number,
                         error.text);
    return field_put_pair(reading, "RATE", shown, rate_format(&rate, shown));
}

/* As with networks: nothing that is there is taken for no limit. */
int rates_put(struct reading *reading)
{
    const json_t *list = reading->values[FIELD_RATES];
    struct rates rates = {.count = 0};
    int code = 0;

    if (list != NULL && !json_is_array(list))
        return field_refuse(reading, FIELD_RATES, "is no array of strings");
    for (size_t i = 0; code == 0 && i < json_array_size(list); i++)
        code = rate_put(reading, json_array_get(list, i), i + 1, &rates);
    return code;
}

/* Without the second, all of it. */
int uses_put(struct reading *reading)
{
    const json_t *uses = reading->values[FIELD_USES], *left = reading->values[FIELD_USES_REMAINING];
    char shown[ALLOWANCE_TEXT_SIZE];
    struct allowance allowance;
    struct error error;

    if (uses == NULL)
        return left == NULL ? 0 : field_refuse(reading, FIELD_USES_REMAINING, "goes with uses");
    if (!json_is_string(uses))
        return field_refuse(reading, FIELD_USES, "is no string");
    struct text text = {json_string_value(uses), (uint32_t)json_string_length(uses)};
    if (allowance_parse(text, &allowance, &error) != 0)
        return field_refuse(reading, FIELD_USES, error.text);
    int code = field_put_pair(reading, "USES", shown, allowance_format(&allowance, shown));
    if (code != 0 || left == NULL)
        return code;
    json_int_t count = json_is_integer(left) ? json_integer_value(left) : -1;
    if (count < 0 || (uint64_t)count > allowance.uses)
        return field_refuse(reading, FIELD_USES_REMAINING, "is no number up to that of uses");
    int len = snprintf(shown, sizeof shown, "%lld", (long long)count);
    return field_put_pair(reading, "USES_LEFT", shown, (size_t)len);
}

int retires_put(struct reading *reading)
{
    const json_t *value = reading->values[FIELD_RETIRES];
    char shown[RETIREMENT_TEXT_SIZE];
    struct retirement retirement;
    struct error error;

    if (value == NULL)
        return 0;
    if (!json_is_string(value))
        return field_refuse(reading, FIELD_RETIRES, "is no string");
    struct text text = {json_string_value(value), (uint32_t)json_string_length(value)};
    if (retirement_parse(text, &retirement, &error) != 0)
        return field_refuse(reading, FIELD_RETIRES, error.text);
    return field_put_pair(reading, "RETIRES", shown, retirement_format(&retirement, shown));
}

static int pair_put(struct reading *reading, const char *name, const json_t *value)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    struct text text = {json_string_value(value), (uint32_t)json_string_length(value)};
    size_t name_len = strlen(name);
    int code;

    if (name_len == 0 || name_len > META_NAME_MAX || name[strspn(name, allowed)] != '\0')
        return field_refuse(reading, FIELD_METADATA,
                            "has a name that is not 1 to 64 of A-Z a-z 0-9 _ . -");
    if (text.bytes == NULL)
        return field_refuse(reading, FIELD_METADATA, "has a value that is no string");
    if (json_string_length(value) > FIELD_COMMENT_MAX)
        return field_refuse(reading, FIELD_METADATA, "has a value of more than 1024 bytes");
    if ((code = field_check_text(reading, "metadata", text)) != 0 ||
        (code = field_check_text(reading, "metadata", text_of(name))) != 0 || text.len == 0)
        return code;
    if ((code = field_put_word(reading, "META", 4)) != 0 ||
        (code = field_put_word(reading, name, name_len)) != 0)
        return code;
    return field_put_word(reading, text.bytes, text.len);
}

int metadata_put(struct reading *reading)
{
    json_t *object = (json_t *)(uintptr_t)reading->values[FIELD_METADATA], *value;
    const char *name;
    int code;

    if (object != NULL && !json_is_object(object))
        return field_refuse(reading, FIELD_METADATA, "is no object of strings");
    if (json_object_size(object) > LIST_MAX)
        return field_refuse(reading, FIELD_METADATA, "has more than 32 values");
    json_object_foreach(object, name, value)
    {
        code = pair_put(reading, name, value);
        if (code != 0)
            return code;
    }
    return 0;
}
