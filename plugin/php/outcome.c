/* Catlatch\Outcome: what came of a request, and what its client is told. */
#include "php_catlatch.h"

#include <SAPI.h>
#include <sys/random.h>
#include <zend_exceptions.h>

#include "plugin/http/fields.h"

/* Of an id that is made up, in random bytes: as many as nginx's $request_id has. */
#define ID_BYTES 16u

zend_class_entry *php_catlatch_outcome_ce;
static zend_object_handlers outcome_handlers;

typedef struct {
    struct catlatch_outcome outcome;
    struct answer answer;
    zend_string *scopes; /* that were asked for, separated by one space; NULL: none */
    zend_object object;
} outcome_object;

/* In the order in which they are declared. */
enum {
    GRANTED,
    RESULT,
    STATUS,
    KEY_ID,
    OWNER,
    NAME,
    ENVIRONMENT,
    SCOPES,
    EXPIRES,
    REMAINING,
    RETRY_AFTER,
};

static const struct {
    const char *name;
    uint32_t type;
} properties[] = {
    [GRANTED] = {"granted", MAY_BE_BOOL},
    [RESULT] = {"result", MAY_BE_STRING},
    [STATUS] = {"status", MAY_BE_LONG},
    [KEY_ID] = {"keyId", MAY_BE_STRING | MAY_BE_NULL},
    [OWNER] = {"owner", MAY_BE_STRING | MAY_BE_NULL},
    [NAME] = {"name", MAY_BE_STRING | MAY_BE_NULL},
    [ENVIRONMENT] = {"environment", MAY_BE_STRING | MAY_BE_NULL},
    [SCOPES] = {"scopes", MAY_BE_ARRAY},
    [EXPIRES] = {"expires", MAY_BE_LONG | MAY_BE_NULL},
    [REMAINING] = {"remaining", MAY_BE_LONG | MAY_BE_NULL},
    [RETRY_AFTER] = {"retryAfter", MAY_BE_LONG | MAY_BE_NULL},
};
#define PROPERTY_COUNT (sizeof properties / sizeof properties[0])

static outcome_object *outcome_of(zend_object *object)
{
    return (outcome_object *)((char *)object - offsetof(outcome_object, object));
}

const struct catlatch_outcome *php_catlatch_outcome(zend_object *object)
{
    return &outcome_of(object)->outcome;
}

static zend_object *make_object(zend_class_entry *class)
{
    outcome_object *outcome = zend_object_alloc(sizeof *outcome, class);

    outcome->outcome = (struct catlatch_outcome){.size = sizeof outcome->outcome};
    answer_init(&outcome->answer, &outcome->outcome);
    outcome->scopes = NULL;
    zend_object_std_init(&outcome->object, class);
    object_properties_init(&outcome->object, class);
    outcome->object.handlers = &outcome_handlers;
    return &outcome->object;
}

static void free_object(zend_object *object)
{
    zend_string *scopes = outcome_of(object)->scopes;

    if (scopes != NULL)
        zend_string_release(scopes);
    zend_object_std_dtor(object);
}

/* It is made by a Latch. */
static ZEND_METHOD(Catlatch_Outcome, __construct)
{
    (void)return_value;
    ZEND_PARSE_PARAMETERS_NONE();
}

static void set_scopes(zval *ret, const char *text)
{
    array_init(ret);
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        add_next_index_stringl(ret, text, len);
        text += len + (text[len] == ' ');
    }
}

/* The id is told of refused keys too, for the log; the rest of granted ones alone: whoever is told
 * an owner takes the request for his. */
static void set_identity(zval *property, struct catlatch *latch,
                         const struct catlatch_outcome *outcome)
{
    struct catlatch_identity identity = {.size = sizeof identity};

    if (!outcome->matched || catlatch_identity(latch, outcome, &identity) != 0)
        return;
    ZVAL_STRING(&property[KEY_ID], identity.key_id);
    if (outcome->result != CATLATCH_VALID)
        return;
    ZVAL_STRING(&property[OWNER], identity.owner);
    ZVAL_STRING(&property[NAME], identity.name);
    ZVAL_STRING(&property[ENVIRONMENT], identity.environment);
    zval_ptr_dtor(&property[SCOPES]);
    set_scopes(&property[SCOPES], identity.scopes);
    if (identity.expires_unix_s != 0)
        ZVAL_LONG(&property[EXPIRES], identity.expires_unix_s);
}

static void set_answer(zval *property, const struct answer *answer)
{
    ZVAL_BOOL(&property[GRANTED], answer->result == CATLATCH_VALID);
    ZVAL_STRING(&property[RESULT], catlatch_result_name(answer->result));
    ZVAL_LONG(&property[STATUS], answer->status);
    if (answer->is_limited)
        ZVAL_LONG(&property[REMAINING], answer->limit.remaining);
    if (answer->retry_after_s != 0)
        ZVAL_LONG(&property[RETRY_AFTER], (zend_long)answer->retry_after_s);
}

void php_catlatch_make_outcome(zval *ret, struct catlatch *latch,
                               const struct catlatch_outcome *outcome, const struct scopes *scopes)
{
    char text[CATLATCH_SCOPES_SIZE];

    object_init_ex(ret, php_catlatch_outcome_ce);
    outcome_object *made = outcome_of(Z_OBJ_P(ret));
    zval *property = made->object.properties_table;
    made->outcome = *outcome;
    answer_init(&made->answer, outcome);
    size_t len = scopes_join(scopes, text);
    if (len > 0)
        made->scopes = zend_string_init(text, len, 0);
    for (size_t i = 0; i < PROPERTY_COUNT; i++)
        ZVAL_NULL(&property[i]);
    ZVAL_EMPTY_ARRAY(&property[SCOPES]);
    set_answer(property, &made->answer);
    set_identity(property, latch, outcome);
}

static const char *scopes_of(const outcome_object *outcome)
{
    return outcome->scopes != NULL ? ZSTR_VAL(outcome->scopes) : NULL;
}

static const char *realm_of(const zend_string *realm)
{
    if (realm == NULL)
        return "api";
    if (answer_realm_is_sane(ZSTR_VAL(realm), ZSTR_LEN(realm)))
        return ZSTR_VAL(realm);
    zend_argument_value_error(1, "must be 1 to 128 visible ASCII characters and spaces, no quotes "
                                 "and no backslashes");
    return NULL;
}

static const char *id_or_null(const zend_string *id)
{
    return id != NULL ? ZSTR_VAL(id) : NULL;
}

static size_t len_of(const zend_string *id)
{
    return id != NULL ? ZSTR_LEN(id) : 0;
}

/* All fields, the body's type among them. */
static void tell_fields(const outcome_object *outcome, const char *realm, const zend_string *id,
                        fields_told told, void *context)
{
    fields_tell(&outcome->answer, realm, scopes_of(outcome), id_or_null(id), len_of(id), told,
                context);
    if (outcome->answer.result != CATLATCH_VALID)
        told(context, "Content-Type", ANSWER_BODY_TYPE);
}

static void add_field(void *array, const char *name, const char *value)
{
    add_assoc_string(array, name, value);
}

static ZEND_METHOD(Catlatch_Outcome, headers)
{
    const outcome_object *outcome = outcome_of(Z_OBJ_P(ZEND_THIS));
    zend_string *realm = NULL, *id = NULL;

    if (zend_parse_parameters(ZEND_NUM_ARGS(), "|SS!", &realm, &id) == FAILURE)
        RETURN_THROWS();
    const char *realm_text = realm_of(realm);
    if (realm_text == NULL)
        RETURN_THROWS();
    array_init(return_value);
    tell_fields(outcome, realm_text, id, add_field, return_value);
}

static size_t body_of(const outcome_object *outcome, const zend_string *id,
                      char ret[ANSWER_BODY_SIZE])
{
    if (outcome->answer.result == CATLATCH_VALID)
        return 0;
    return answer_body(&outcome->answer, scopes_of(outcome), id_or_null(id), len_of(id), ret);
}

static ZEND_METHOD(Catlatch_Outcome, body)
{
    const outcome_object *outcome = outcome_of(Z_OBJ_P(ZEND_THIS));
    zend_string *id = NULL;
    char body[ANSWER_BODY_SIZE];

    if (zend_parse_parameters(ZEND_NUM_ARGS(), "|S!", &id) == FAILURE)
        RETURN_THROWS();
    size_t len = body_of(outcome, id, body);
    RETURN_STRINGL(body, len);
}

static void send_field(void *context, const char *name, const char *value)
{
    sapi_header_line line = {0};

    (void)context;
    line.line_len = spprintf((char **)&line.line, 0, "%s: %s", name, value);
    sapi_header_op(SAPI_HEADER_REPLACE, &line);
    efree((char *)line.line);
}

/* NULL: there is no randomness to be had, and an exception says so. */
static zend_string *make_id(void)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[ID_BYTES];

    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) {
        zend_throw_exception(php_catlatch_exception_ce, "no random bytes for a request's id", 0);
        return NULL;
    }
    zend_string *id = zend_string_alloc(2 * sizeof bytes, 0);
    for (size_t i = 0; i < sizeof bytes; i++) {
        ZSTR_VAL(id)[2 * i] = digits[bytes[i] >> 4];
        ZSTR_VAL(id)[2 * i + 1] = digits[bytes[i] & 15];
    }
    ZSTR_VAL(id)[ZSTR_LEN(id)] = '\0';
    return id;
}

static zend_string *sane_id(zend_string *id)
{
    return id != NULL && answer_request_id_is_sane(ZSTR_VAL(id), ZSTR_LEN(id))
               ? zend_string_copy(id)
               : make_id();
}

static ZEND_METHOD(Catlatch_Outcome, send)
{
    const outcome_object *outcome = outcome_of(Z_OBJ_P(ZEND_THIS));
    zend_string *realm = NULL, *id = NULL;
    char body[ANSWER_BODY_SIZE];

    if (zend_parse_parameters(ZEND_NUM_ARGS(), "|SS!", &realm, &id) == FAILURE)
        RETURN_THROWS();
    const char *realm_text = realm_of(realm);
    if (realm_text == NULL || (id = sane_id(id)) == NULL)
        RETURN_THROWS();
    tell_fields(outcome, realm_text, id, send_field, NULL);
    if (outcome->answer.result != CATLATCH_VALID) /* last, for a challenge makes it 401 there */
        sapi_header_op(SAPI_HEADER_SET_STATUS, (void *)(zend_long)outcome->answer.status);
    size_t len = body_of(outcome, id, body);
    PHPWRITE(body, len);
    RETURN_STR(id);
}

/* What Reflection knows of them; catlatch.stub.php says the same to people. */
/* clang-format off */
ZEND_BEGIN_ARG_INFO_EX(construct_info, 0, 0, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(headers_info, 0, 0, IS_ARRAY, 0)
    ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, realm, IS_STRING, 0, "\"api\"")
    ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, requestId, IS_STRING, 1, "null")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(body_info, 0, 0, IS_STRING, 0)
    ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, requestId, IS_STRING, 1, "null")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(send_info, 0, 0, IS_STRING, 0)
    ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, realm, IS_STRING, 0, "\"api\"")
    ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, requestId, IS_STRING, 1, "null")
ZEND_END_ARG_INFO()

static const zend_function_entry methods[] = {
    ZEND_ME(Catlatch_Outcome, __construct, construct_info, ZEND_ACC_PRIVATE)
    ZEND_ME(Catlatch_Outcome, headers, headers_info, ZEND_ACC_PUBLIC)
    ZEND_ME(Catlatch_Outcome, body, body_info, ZEND_ACC_PUBLIC)
    ZEND_ME(Catlatch_Outcome, send, send_info, ZEND_ACC_PUBLIC)
    ZEND_FE_END
};
/* clang-format on */

static void declare_property(size_t which)
{
    zend_string *name =
        zend_string_init_interned(properties[which].name, strlen(properties[which].name), 1);
    zval unset;

    ZVAL_UNDEF(&unset);
    zend_declare_typed_property(php_catlatch_outcome_ce, name, &unset,
                                ZEND_ACC_PUBLIC | ZEND_ACC_READONLY, NULL,
                                (zend_type)ZEND_TYPE_INIT_MASK(properties[which].type));
}

void php_catlatch_register_outcome(void)
{
    zend_class_entry class;

    INIT_NS_CLASS_ENTRY(class, "Catlatch", "Outcome", methods);
    php_catlatch_outcome_ce = zend_register_internal_class(&class);
    php_catlatch_outcome_ce->ce_flags |=
        ZEND_ACC_FINAL | ZEND_ACC_NO_DYNAMIC_PROPERTIES | ZEND_ACC_NOT_SERIALIZABLE;
    php_catlatch_outcome_ce->create_object = make_object;
    for (size_t i = 0; i < PROPERTY_COUNT; i++)
        declare_property(i);
    outcome_handlers = std_object_handlers;
    outcome_handlers.offset = offsetof(outcome_object, object);
    outcome_handlers.free_obj = free_object;
    outcome_handlers.clone_obj = NULL;
}
