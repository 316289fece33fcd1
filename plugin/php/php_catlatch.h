/*
 * php_catlatch.h - API keys in PHP: requests are verified in the process that answers them, by
 * libcatlatch.
 *
 * A handle outlives requests: it is opened by the first that needs it and stays in the process, or
 * in the thread of a PHP that has threads, until that ends. What a request has is PHP's to free.
 */
#ifndef PHP_CATLATCH_H
#define PHP_CATLATCH_H

#define ZEND_ENABLE_STATIC_TSRMLS_CACHE 1

#include <php.h>

#include "catlatch.h"
#include "plugin/http/answer.h"
#include "plugin/http/scopes.h"

/* One service of one configuration, and the handle that is open for it. */
struct target {
    struct target *next;
    char *config;  /* "": the one that the library was built with */
    char *service; /* "": "default" */
    struct catlatch *latch;
};

typedef struct _zend_catlatch_globals {
    char *config, *service; /* the settings; PHP's */
    struct target *targets; /* of this thread */
    time_t refreshed_s;     /* when that was done last */
} zend_catlatch_globals;

extern ZEND_DECLARE_MODULE_GLOBALS(catlatch);
#define CATLATCH_G(name) ZEND_MODULE_GLOBALS_ACCESSOR(catlatch, name)
#ifdef ZTS
ZEND_TSRMLS_CACHE_EXTERN()
#endif

extern zend_class_entry *php_catlatch_exception_ce;
extern zend_class_entry *php_catlatch_outcome_ce;

/* target.c */

/* The target of the configuration that is set and this service (NULL: the one that is set). NULL:
 * it cannot be opened, and an exception says why. It stays the globals'. */
struct target *php_catlatch_target(const char *service);
/* Lets go of tables that were followed by others, every ten seconds at the most. */
void php_catlatch_refresh(void);
/* Closes them all. */
void php_catlatch_close_targets(zend_catlatch_globals *globals);

/* latch.c */

void php_catlatch_register_latch(void);

/* outcome.c */

void php_catlatch_register_outcome(void);
/* A Catlatch\Outcome that says what came of a request for these scopes. */
void php_catlatch_make_outcome(zval *ret, struct catlatch *latch,
                               const struct catlatch_outcome *outcome, const struct scopes *scopes);
/* What the library knows of a Catlatch\Outcome. */
const struct catlatch_outcome *php_catlatch_outcome(zend_object *object);

#endif
