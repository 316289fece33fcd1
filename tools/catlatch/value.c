#include "value.h"

#include <openssl/crypto.h>
#include <string.h>

enum kind { PLAIN, BOOLEAN, TEXTS, TEXT_MAP, MAPS };

/* The fields whose RESP2 form does not say what they are. `keys` is a list of maps in a page or a
 * receipt, and a number in an owner's map or STATS. */
static enum kind kind_of(const char *name, const redisReply *value)
{
    static const struct {
        const char *name;
        int type;
        enum kind kind;
    } known[] = {
        {"disabled", REDIS_REPLY_INTEGER, BOOLEAN},
        {"owner_suspended", REDIS_REPLY_INTEGER, BOOLEAN},
        {"suspended", REDIS_REPLY_INTEGER, BOOLEAN},
        {"changed", REDIS_REPLY_INTEGER, BOOLEAN},
        {"growing", REDIS_REPLY_INTEGER, BOOLEAN},
        {"scopes", REDIS_REPLY_ARRAY, TEXTS},
        {"allowed_networks", REDIS_REPLY_ARRAY, TEXTS},
        {"rates", REDIS_REPLY_ARRAY, TEXTS},
        {"metadata", REDIS_REPLY_ARRAY, TEXT_MAP},
        {"keys", REDIS_REPLY_ARRAY, MAPS},
        {"owners", REDIS_REPLY_ARRAY, MAPS},
        {"changes", REDIS_REPLY_ARRAY, MAPS},
        {"fields", REDIS_REPLY_ARRAY, MAPS},
        {"actor", REDIS_REPLY_ARRAY, TEXT_MAP},
        {"end", REDIS_REPLY_INTEGER, BOOLEAN},
        {"ballast_spent", REDIS_REPLY_INTEGER, BOOLEAN},
        {"wrong", REDIS_REPLY_ARRAY, MAPS},
        {"results", REDIS_REPLY_ARRAY, TEXT_MAP},
        {"history", REDIS_REPLY_ARRAY, MAPS},
        {"processes", REDIS_REPLY_ARRAY, MAPS},
        {"stale", REDIS_REPLY_INTEGER, BOOLEAN},
        {"known", REDIS_REPLY_INTEGER, BOOLEAN},
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].type == value->type && strcmp(known[i].name, name) == 0)
            return known[i].kind;
    return PLAIN;
}

static json_t *value_plain(const redisReply *reply)
{
    switch (reply->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        return json_stringn(reply->str, (size_t)reply->len);
    case REDIS_REPLY_INTEGER:
        return json_integer(reply->integer);
    case REDIS_REPLY_NIL:
        return json_null();
    default:
        return NULL;
    }
}

static json_t *list_of(const redisReply *reply, json_t *(*item_of)(const redisReply *item))
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < reply->elements; i++)
        if (json_array_append_new(list, item_of(reply->element[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *field_of(const char *name, const redisReply *value)
{
    switch (kind_of(name, value)) {
    case PLAIN:
        return value_plain(value);
    case BOOLEAN:
        return json_boolean(value->integer != 0);
    case TEXTS:
        return list_of(value, value_plain);
    case MAPS:
        return list_of(value, value_of_map);
    case TEXT_MAP:
        return value_of_map(value);
    }
    return NULL;
}

json_t *value_of_map(const redisReply *reply)
{
    json_t *object;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements % 2 != 0)
        return NULL;
    object = json_object();
    for (size_t i = 0; object != NULL && i < reply->elements; i += 2) {
        const redisReply *name = reply->element[i];
        if (name->type != REDIS_REPLY_STRING ||
            json_object_set_new(object, name->str, field_of(name->str, reply->element[i + 1])) !=
                0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static void cleanse(redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ARRAY) {
        for (size_t i = 0; i < reply->elements; i++)
            if (reply->element[i] != NULL)
                cleanse(reply->element[i]);
    } else if (reply->str != NULL) {
        OPENSSL_cleanse(reply->str, (size_t)reply->len);
    }
}

void value_free(redisReply *reply)
{
    if (reply == NULL)
        return;
    cleanse(reply);
    freeReplyObject(reply);
}

const char *value_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}

bool value_true(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}
