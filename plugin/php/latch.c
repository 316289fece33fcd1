/* Catlatch\Latch: a service, and what it says of keys. */
#include "php_catlatch.h"

#include <zend_attributes.h>
#include <zend_exceptions.h>

static zend_class_entry *latch_ce;
static zend_object_handlers latch_handlers;

typedef struct {
    struct target *target; /* the globals' */
    zend_object object;
} latch_object;

static latch_object *latch_of(zend_object *object)
{
    return (latch_object *)((char *)object - offsetof(latch_object, object));
}

static zend_object *make_object(zend_class_entry *class)
{
    latch_object *latch = zend_object_alloc(sizeof *latch, class);

    latch->target = NULL;
    zend_object_std_init(&latch->object, class);
    object_properties_init(&latch->object, class);
    latch->object.handlers = &latch_handlers;
    return &latch->object;
}

/* It is made by open(). */
static ZEND_METHOD(Catlatch_Latch, __construct)
{
    (void)return_value;
    ZEND_PARSE_PARAMETERS_NONE();
}

static ZEND_METHOD(Catlatch_Latch, open)
{
    zend_string *service = NULL;

    if (zend_parse_parameters(ZEND_NUM_ARGS(), "|P!", &service) == FAILURE)
        RETURN_THROWS();
    struct target *target = php_catlatch_target(service != NULL ? ZSTR_VAL(service) : NULL);
    if (target == NULL)
        RETURN_THROWS();
    object_init_ex(return_value, latch_ce);
    latch_of(Z_OBJ_P(return_value))->target = target;
}

/* They are the second argument everywhere. What is wrong with one is the program's mistake: it is
 * said as PHP says such. */
static bool read_scopes(HashTable *list, struct scopes *ret)
{
    zval *scope;

    scopes_init(ret);
    if (list == NULL)
        return true;
    ZEND_HASH_FOREACH_VAL(list, scope)
    {
        ZVAL_DEREF(scope);
        if (Z_TYPE_P(scope) != IS_STRING) {
            zend_argument_type_error(2, "must be a list of strings, %s given in it",
                                     zend_zval_type_name(scope));
            return false;
        }
        if (!scopes_add(ret, Z_STRVAL_P(scope), Z_STRLEN_P(scope))) {
            zend_argument_value_error(2,
                                      "must be a list of scopes: each 1 to 64 visible ASCII "
                                      "characters, no quotes, no backslashes, 2047 bytes in all");
            return false;
        }
    }
    ZEND_HASH_FOREACH_END();
    return true;
}

static struct catlatch_request request_of(const struct scopes *scopes, const zend_string *address)
{
    return (struct catlatch_request){
        .size = sizeof(struct catlatch_request),
        .scopes = scopes->names,
        .scope_count = scopes->count,
        .address = address != NULL ? ZSTR_VAL(address) : NULL,
    };
}

static void verify(zval *this, const struct catlatch_request *request, const struct scopes *scopes,
                   zval *ret)
{
    struct catlatch *latch = latch_of(Z_OBJ_P(this))->target->latch;
    struct catlatch_outcome outcome = {.size = sizeof outcome};

    catlatch_verify(latch, request, &outcome);
    php_catlatch_make_outcome(ret, latch, &outcome, scopes);
}

static ZEND_METHOD(Catlatch_Latch, verify)
{
    zend_string *authorization = NULL, *address = NULL;
    HashTable *list = NULL;
    struct scopes scopes;

    if (zend_parse_parameters(ZEND_NUM_ARGS(), "S!|hP!", &authorization, &list, &address) ==
            FAILURE ||
        !read_scopes(list, &scopes))
        RETURN_THROWS();
    struct catlatch_request request = request_of(&scopes, address);
    if (authorization != NULL) {
        request.authorization = ZSTR_VAL(authorization);
        request.authorization_len = ZSTR_LEN(authorization);
    }
    verify(ZEND_THIS, &request, &scopes, return_value);
}

static ZEND_METHOD(Catlatch_Latch, verifyKey)
{
    zend_string *key, *address = NULL;
    HashTable *list = NULL;
    struct scopes scopes;

    if (zend_parse_parameters(ZEND_NUM_ARGS(), "S|hP!", &key, &list, &address) == FAILURE ||
        !read_scopes(list, &scopes))
        RETURN_THROWS();
    struct catlatch_request request = request_of(&scopes, address);
    request.key = ZSTR_VAL(key);
    request.key_len = ZSTR_LEN(key);
    verify(ZEND_THIS, &request, &scopes, return_value);
}

static ZEND_METHOD(Catlatch_Latch, recheck)
{
    zval *known;
    zend_string *address = NULL;
    HashTable *list = NULL;
    struct scopes scopes;

    if (zend_parse_parameters(ZEND_NUM_ARGS(), "O|hP!", &known, php_catlatch_outcome_ce, &list,
                              &address) == FAILURE ||
        !read_scopes(list, &scopes))
        RETURN_THROWS();
    struct catlatch *latch = latch_of(Z_OBJ_P(ZEND_THIS))->target->latch;
    struct catlatch_request request = request_of(&scopes, address);
    struct catlatch_outcome outcome = *php_catlatch_outcome(Z_OBJ_P(known));
    outcome.result = catlatch_recheck(latch, &outcome, &request);
    php_catlatch_make_outcome(return_value, latch, &outcome, &scopes);
}

/* What Reflection knows of them; catlatch.stub.php says the same to people. */
/* clang-format off */
ZEND_BEGIN_ARG_INFO_EX(construct_info, 0, 0, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(open_info, 0, 0, Catlatch\\Latch, 0)
    ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, service, IS_STRING, 1, "null")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(verify_info, 0, 1, Catlatch\\Outcome, 0)
    ZEND_ARG_TYPE_INFO(0, authorization, IS_STRING, 1)
    ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, scopes, IS_ARRAY, 0, "[]")
    ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, address, IS_STRING, 1, "null")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(verify_key_info, 0, 1, Catlatch\\Outcome, 0)
    ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
    ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, scopes, IS_ARRAY, 0, "[]")
    ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, address, IS_STRING, 1, "null")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(recheck_info, 0, 1, Catlatch\\Outcome, 0)
    ZEND_ARG_OBJ_INFO(0, known, Catlatch\\Outcome, 0)
    ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, scopes, IS_ARRAY, 0, "[]")
    ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, address, IS_STRING, 1, "null")
ZEND_END_ARG_INFO()

static const zend_function_entry methods[] = {
    ZEND_ME(Catlatch_Latch, __construct, construct_info, ZEND_ACC_PRIVATE)
    ZEND_ME(Catlatch_Latch, open, open_info, ZEND_ACC_PUBLIC | ZEND_ACC_STATIC)
    ZEND_ME(Catlatch_Latch, verify, verify_info, ZEND_ACC_PUBLIC)
    ZEND_ME(Catlatch_Latch, verifyKey, verify_key_info, ZEND_ACC_PUBLIC)
    ZEND_ME(Catlatch_Latch, recheck, recheck_info, ZEND_ACC_PUBLIC)
    ZEND_FE_END
};
/* clang-format on */

/* The first argument has a key in it: traces of exceptions leave it out. */
static void hide_first_argument(const char *method)
{
    zend_function *function =
        zend_hash_str_find_ptr(&latch_ce->function_table, method, strlen(method));

    zend_add_parameter_attribute(function, 0, ZSTR_KNOWN(ZEND_STR_SENSITIVEPARAMETER), 0);
}

void php_catlatch_register_latch(void)
{
    zend_class_entry class;

    INIT_NS_CLASS_ENTRY(class, "Catlatch", "Latch", methods);
    latch_ce = zend_register_internal_class(&class);
    latch_ce->ce_flags |=
        ZEND_ACC_FINAL | ZEND_ACC_NO_DYNAMIC_PROPERTIES | ZEND_ACC_NOT_SERIALIZABLE;
    latch_ce->create_object = make_object;
    latch_handlers = std_object_handlers;
    latch_handlers.offset = offsetof(latch_object, object);
    latch_handlers.clone_obj = NULL;
    hide_first_argument("verify");
    hide_first_argument("verifykey");
}
