/*
 * addon.c - API keys in Node: what index.js makes its classes of. One function for each thing that
 * the library does; what they are given is checked here, for a mistake of a program is an exception
 * and no crash.
 *
 * A handle belongs to the thread that opened it: values that hold one cannot leave that thread.
 */
#define NAPI_VERSION 8

#include <node_api.h>
#include <stdlib.h>
#include <string.h>

#include "catlatch.h"
#include "plugin/http/fields.h"
#include "plugin/http/scopes.h"

#define MESSAGE_SIZE 512

/* Longer credentials are copied into memory of their own. */
#define TEXT_ROOM 512u

/* What tells our values from those of others, and from each other. */
static const napi_type_tag latch_tag = {0x2f0d3c5b9a1e4c77, 0x8a64e1b5d0c2f913};
static const napi_type_tag outcome_tag = {0x5be7a2c14d9840f6, 0x91c37d0e6fb2a845};

struct latch {
    struct catlatch *handle; /* NULL: it was closed */
};

struct outcome {
    struct catlatch_outcome outcome;
    struct answer answer;
    char *scopes; /* that were asked for, separated by one space; NULL: none */
};

/* A string of the program's, here for a call. */
struct string {
    char *bytes; /* NULL: none was given */
    size_t len;
    char room[TEXT_ROOM];
};

static napi_value type_error(napi_env env, const char *what)
{
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", what);
    return NULL;
}

static bool is_of_type(napi_env env, napi_value value, napi_valuetype type)
{
    napi_valuetype is;

    return napi_typeof(env, value, &is) == napi_ok && is == type;
}

static bool is_absent(napi_env env, napi_value value)
{
    return is_of_type(env, value, napi_undefined) || is_of_type(env, value, napi_null);
}

/* False: it is no string, and that is thrown; `what` says what should be one. */
static bool take_string(napi_env env, napi_value value, const char *what, struct string *ret)
{
    size_t len;

    *ret = (struct string){0};
    if (is_absent(env, value))
        return true;
    if (napi_get_value_string_utf8(env, value, NULL, 0, &len) != napi_ok) {
        type_error(env, what);
        return false;
    }
    ret->bytes = len < sizeof ret->room ? ret->room : malloc(len + 1);
    if (ret->bytes == NULL) {
        napi_throw_error(env, "ERR_MEMORY_ALLOCATION_FAILED", "out of memory");
        return false;
    }
    napi_get_value_string_utf8(env, value, ret->bytes, len + 1, &len);
    ret->len = len;
    return true;
}

/* The same of what the library takes as far as its first NUL. */
static bool take_text(napi_env env, napi_value value, const char *what, struct string *ret)
{
    if (!take_string(env, value, what, ret))
        return false;
    if (ret->bytes == NULL || strlen(ret->bytes) == ret->len)
        return true;
    type_error(env, what);
    return false;
}

/* Takes what it held out of memory, for it can have been a key. */
static void drop_string(struct string *string)
{
    if (string->bytes == NULL)
        return;
    explicit_bzero(string->bytes, string->len);
    if (string->bytes != string->room)
        free(string->bytes);
}

static bool add_scope(napi_env env, napi_value list, uint32_t i, struct scopes *scopes)
{
    char text[SCOPES_LENGTH_MAX + 2];
    napi_value scope;
    size_t len;

    return napi_get_element(env, list, i, &scope) == napi_ok &&
           napi_get_value_string_utf8(env, scope, text, sizeof text, &len) == napi_ok &&
           scopes_add(scopes, text, len);
}

static bool take_scopes(napi_env env, napi_value list, struct scopes *ret)
{
    uint32_t count;
    bool is_list;

    scopes_init(ret);
    if (is_absent(env, list))
        return true;
    if (napi_is_array(env, list, &is_list) != napi_ok || !is_list ||
        napi_get_array_length(env, list, &count) != napi_ok) {
        type_error(env, "scopes must be an array");
        return false;
    }
    for (uint32_t i = 0; i < count; i++)
        if (!add_scope(env, list, i, ret)) {
            type_error(env,
                       "scopes must be strings of 1 to 64 visible ASCII characters, no quotes, "
                       "no backslashes, 2047 bytes in all");
            return false;
        }
    return true;
}

static void *take_external(napi_env env, napi_value value, const napi_type_tag *tag)
{
    bool is_ours = false;
    void *data = NULL;

    if (!is_of_type(env, value, napi_external) ||
        napi_check_object_type_tag(env, value, tag, &is_ours) != napi_ok || !is_ours ||
        napi_get_value_external(env, value, &data) != napi_ok)
        return type_error(env, "this is not what it was made for");
    return data;
}

/* NULL: out of memory, or none of ours; that is thrown. */
static napi_value make_external(napi_env env, void *data, const napi_type_tag *tag,
                                napi_finalize finalize)
{
    napi_value value;

    if (napi_create_external(env, data, finalize, NULL, &value) != napi_ok) {
        finalize(env, data, NULL);
        napi_throw_error(env, "ERR_MEMORY_ALLOCATION_FAILED", "out of memory");
        return NULL;
    }
    napi_type_tag_object(env, value, tag);
    return value;
}

static void free_latch(napi_env env, void *data, void *hint)
{
    struct latch *latch = data;

    (void)env;
    (void)hint;
    catlatch_close(latch->handle);
    free(latch);
}

static void free_outcome(napi_env env, void *data, void *hint)
{
    struct outcome *outcome = data;

    (void)env;
    (void)hint;
    free(outcome->scopes);
    free(outcome);
}

/* The arguments of a call; those that were not given are undefined. */
static void take_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *ret)
{
    napi_get_cb_info(env, info, &count, ret, NULL, NULL);
}

static struct catlatch *take_handle(napi_env env, napi_value value)
{
    struct latch *latch = take_external(env, value, &latch_tag);

    if (latch == NULL)
        return NULL;
    if (latch->handle == NULL)
        napi_throw_error(env, "ERR_CATLATCH_CLOSED", "the latch is closed");
    return latch->handle;
}

/* Node serves many from one loop: a service that may wait is refused. */
static struct latch *open_latch(napi_env env, const struct string *config,
                                const struct string *service)
{
    const struct catlatch_options options = {
        .size = sizeof options,
        .config_path = config->bytes,
        .service = service->bytes,
        .flags = CATLATCH_OPEN_NEVER_BLOCK,
    };
    struct latch *latch = calloc(1, sizeof *latch);
    char message[MESSAGE_SIZE] = "";
    int error = latch == NULL ? CATLATCH_E_MEMORY
                              : catlatch_open(&options, &latch->handle, message, sizeof message);

    if (error == 0)
        return latch;
    free(latch);
    napi_throw_error(env, "ERR_CATLATCH_OPEN",
                     message[0] != '\0' ? message : catlatch_strerror(error));
    return NULL;
}

/* open(config, service) */
static napi_value open_it(napi_env env, napi_callback_info info)
{
    napi_value given[2];
    struct string config, service = {0};
    struct latch *latch = NULL;

    take_arguments(env, info, 2, given);
    if (take_text(env, given[0], "config must be a string without NUL", &config) &&
        take_text(env, given[1], "service must be a string without NUL", &service))
        latch = open_latch(env, &config, &service);
    drop_string(&config);
    drop_string(&service);
    return latch != NULL ? make_external(env, latch, &latch_tag, free_latch) : NULL;
}

/* close(latch) */
static napi_value close_it(napi_env env, napi_callback_info info)
{
    napi_value given[1];
    struct latch *latch;

    take_arguments(env, info, 1, given);
    latch = take_external(env, given[0], &latch_tag);
    if (latch == NULL)
        return NULL;
    catlatch_close(latch->handle);
    latch->handle = NULL;
    return NULL;
}

/* refresh(latch) */
static napi_value refresh_it(napi_env env, napi_callback_info info)
{
    napi_value given[1];
    struct catlatch *handle;

    take_arguments(env, info, 1, given);
    handle = take_handle(env, given[0]);
    if (handle != NULL)
        catlatch_refresh(handle);
    return NULL;
}

static void set_text(napi_env env, napi_value object, const char *name, const char *text)
{
    napi_value value;

    if (napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value) == napi_ok)
        napi_set_named_property(env, object, name, value);
}

static void set_number(napi_env env, napi_value object, const char *name, int64_t number)
{
    napi_value value;

    if (napi_create_int64(env, number, &value) == napi_ok)
        napi_set_named_property(env, object, name, value);
}

/* The id is told of refused keys too, for the log; the rest of granted ones alone: whoever is told
 * an owner takes the request for his. */
static void set_identity(napi_env env, napi_value object, struct catlatch *handle,
                         const struct catlatch_outcome *outcome)
{
    struct catlatch_identity identity = {.size = sizeof identity};

    if (!outcome->matched || catlatch_identity(handle, outcome, &identity) != 0)
        return;
    set_text(env, object, "keyId", identity.key_id);
    if (outcome->result != CATLATCH_VALID)
        return;
    set_text(env, object, "owner", identity.owner);
    set_text(env, object, "name", identity.name);
    set_text(env, object, "environment", identity.environment);
    set_text(env, object, "scopes", identity.scopes);
    if (identity.expires_unix_s != 0)
        set_number(env, object, "expires", identity.expires_unix_s);
}

static char *copy_scopes(const struct scopes *scopes)
{
    char text[CATLATCH_SCOPES_SIZE];

    return scopes_join(scopes, text) > 0 ? strdup(text) : NULL;
}

static napi_value make_outcome(napi_env env, struct catlatch *handle,
                               const struct catlatch_outcome *known, const struct scopes *scopes)
{
    struct outcome *outcome = calloc(1, sizeof *outcome);
    napi_value object, native;

    if (outcome == NULL || napi_create_object(env, &object) != napi_ok) {
        free(outcome);
        napi_throw_error(env, "ERR_MEMORY_ALLOCATION_FAILED", "out of memory");
        return NULL;
    }
    outcome->outcome = *known;
    outcome->scopes = copy_scopes(scopes);
    answer_init(&outcome->answer, known);
    set_text(env, object, "result", catlatch_result_name(known->result));
    set_number(env, object, "status", outcome->answer.status);
    if (outcome->answer.is_limited)
        set_number(env, object, "remaining", outcome->answer.limit.remaining);
    if (outcome->answer.retry_after_s != 0)
        set_number(env, object, "retryAfter", (int64_t)outcome->answer.retry_after_s);
    set_identity(env, object, handle, known);
    native = make_external(env, outcome, &outcome_tag, free_outcome);
    if (native == NULL || napi_set_named_property(env, object, "native", native) != napi_ok)
        return NULL;
    return object;
}

/* What a request is about, of the arguments of a call. */
struct asking {
    struct string credential, address;
    struct scopes scopes;
    struct catlatch_request request;
};

static bool take_asking(napi_env env, napi_value scopes, napi_value address, struct asking *ret)
{
    if (!take_text(env, address, "address must be a string without NUL", &ret->address) ||
        !take_scopes(env, scopes, &ret->scopes))
        return false;
    ret->request = (struct catlatch_request){
        .size = sizeof ret->request,
        .scopes = ret->scopes.names,
        .scope_count = ret->scopes.count,
        .address = ret->address.bytes,
    };
    return true;
}

/* How a key was sent. */
enum sent { SENT_IN_HEADER, SENT_ALONE, SENT_TWICE };

static void set_credential(struct asking *asking, uint32_t sent)
{
    const struct string *credential = &asking->credential;

    if (sent != SENT_ALONE) {
        asking->request.authorization = credential->bytes;
        asking->request.authorization_len = credential->len;
    }
    if (sent != SENT_IN_HEADER) { /* twice: the library says what it makes of two */
        asking->request.key = credential->bytes;
        asking->request.key_len = credential->len;
    }
}

/* verify(latch, sent, credential, scopes, address) */
static napi_value verify_it(napi_env env, napi_callback_info info)
{
    napi_value given[5], made = NULL;
    struct catlatch_outcome outcome = {.size = sizeof outcome};
    struct asking asking = {0};
    uint32_t sent;

    take_arguments(env, info, 5, given);
    struct catlatch *handle = take_handle(env, given[0]);
    if (handle == NULL)
        return NULL;
    if (napi_get_value_uint32(env, given[1], &sent) != napi_ok || sent > SENT_TWICE)
        return type_error(env, "how a key was sent must be known");
    if (take_string(env, given[2], "a credential must be a string", &asking.credential) &&
        take_asking(env, given[3], given[4], &asking)) {
        set_credential(&asking, sent);
        catlatch_verify(handle, &asking.request, &outcome);
        made = make_outcome(env, handle, &outcome, &asking.scopes);
    }
    drop_string(&asking.credential);
    drop_string(&asking.address);
    return made;
}

/* recheck(latch, outcome, scopes, address) */
static napi_value recheck_it(napi_env env, napi_callback_info info)
{
    napi_value given[4], made = NULL;
    struct asking asking = {0};

    take_arguments(env, info, 4, given);
    struct catlatch *handle = take_handle(env, given[0]);
    if (handle == NULL)
        return NULL;
    const struct outcome *known = take_external(env, given[1], &outcome_tag);
    if (known == NULL)
        return NULL;
    if (take_asking(env, given[2], given[3], &asking)) {
        struct catlatch_outcome outcome = known->outcome;
        outcome.result = catlatch_recheck(handle, &outcome, &asking.request);
        made = make_outcome(env, handle, &outcome, &asking.scopes);
    }
    drop_string(&asking.address);
    return made;
}

struct telling {
    napi_env env;
    napi_value object;
};

static void tell_field(void *context, const char *name, const char *value)
{
    const struct telling *telling = context;

    set_text(telling->env, telling->object, name, value);
}

static napi_value make_headers(napi_env env, const struct outcome *outcome, const char *realm,
                               const struct string *id)
{
    struct telling telling = {.env = env};

    if (napi_create_object(env, &telling.object) != napi_ok)
        return NULL;
    fields_tell(&outcome->answer, realm, outcome->scopes, id->bytes, id->len, tell_field, &telling);
    if (outcome->answer.result != CATLATCH_VALID)
        tell_field(&telling, "Content-Type", ANSWER_BODY_TYPE);
    return telling.object;
}

/* headers(outcome, realm, requestId) */
static napi_value headers_of(napi_env env, napi_callback_info info)
{
    napi_value given[3], made = NULL;
    struct string realm, id = {0};

    take_arguments(env, info, 3, given);
    const struct outcome *outcome = take_external(env, given[0], &outcome_tag);
    if (outcome == NULL)
        return NULL;
    if (take_text(env, given[1], "realm must be a string without NUL", &realm) &&
        take_text(env, given[2], "requestId must be a string without NUL", &id)) {
        if (realm.bytes != NULL && !answer_realm_is_sane(realm.bytes, realm.len))
            type_error(env, "realm must be 1 to 128 visible ASCII characters and spaces, no quotes "
                            "and no backslashes");
        else
            made = make_headers(env, outcome, realm.bytes != NULL ? realm.bytes : "api", &id);
    }
    drop_string(&realm);
    drop_string(&id);
    return made;
}

/* body(outcome, requestId) */
static napi_value body_of(napi_env env, napi_callback_info info)
{
    napi_value given[2], text = NULL;
    char body[ANSWER_BODY_SIZE] = "";
    size_t len = 0;
    struct string id;

    take_arguments(env, info, 2, given);
    const struct outcome *outcome = take_external(env, given[0], &outcome_tag);
    if (outcome == NULL)
        return NULL;
    if (take_text(env, given[1], "requestId must be a string without NUL", &id)) {
        if (outcome->answer.result != CATLATCH_VALID)
            len = answer_body(&outcome->answer, outcome->scopes, id.bytes, id.len, body);
        napi_create_string_utf8(env, body, len, &text);
    }
    drop_string(&id);
    return text;
}

NAPI_MODULE_EXPORT napi_value NAPI_MODULE_INITIALIZER(napi_env env, napi_value exports);
NAPI_MODULE_EXPORT int32_t NODE_API_MODULE_GET_API_VERSION(void);

int32_t NODE_API_MODULE_GET_API_VERSION(void)
{
    return NAPI_VERSION;
}

napi_value NAPI_MODULE_INITIALIZER(napi_env env, napi_value exports)
{
    const napi_property_descriptor functions[] = {
        {"open", NULL, open_it, NULL, NULL, NULL, napi_default, NULL},
        {"close", NULL, close_it, NULL, NULL, NULL, napi_default, NULL},
        {"refresh", NULL, refresh_it, NULL, NULL, NULL, napi_default, NULL},
        {"verify", NULL, verify_it, NULL, NULL, NULL, napi_default, NULL},
        {"recheck", NULL, recheck_it, NULL, NULL, NULL, napi_default, NULL},
        {"headers", NULL, headers_of, NULL, NULL, NULL, napi_default, NULL},
        {"body", NULL, body_of, NULL, NULL, NULL, napi_default, NULL},
    };

    napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions);
    return exports;
}
