/* The extension: its settings, what it begins and ends with, and its part of phpinfo(). */
#include "php_catlatch.h"

#include <ext/spl/spl_exceptions.h>
#include <ext/standard/info.h>
#include <php_ini.h>

ZEND_DECLARE_MODULE_GLOBALS(catlatch)
#ifdef ZTS
ZEND_TSRMLS_CACHE_DEFINE()
#endif

zend_class_entry *php_catlatch_exception_ce;

/*
 * They are the administrator's alone: a configuration names folders that modules are loaded from,
 * so a script that could choose it could load machine code. What a script chooses is the service.
 */
PHP_INI_BEGIN()
STD_PHP_INI_ENTRY("catlatch.config", "", PHP_INI_SYSTEM, OnUpdateString, config,
                  zend_catlatch_globals, catlatch_globals)
STD_PHP_INI_ENTRY("catlatch.service", "", PHP_INI_SYSTEM, OnUpdateString, service,
                  zend_catlatch_globals, catlatch_globals)
PHP_INI_END()

static void begin_globals(void *globals)
{
#ifdef ZTS
    ZEND_TSRMLS_CACHE_UPDATE();
#endif
    memset(globals, 0, sizeof(zend_catlatch_globals));
}

static void end_globals(void *globals)
{
    php_catlatch_close_targets(globals);
}

static PHP_MINIT_FUNCTION(catlatch)
{
    zend_class_entry exception;

    (void)type;
    REGISTER_INI_ENTRIES();
    INIT_NS_CLASS_ENTRY(exception, "Catlatch", "Exception", NULL);
    php_catlatch_exception_ce =
        zend_register_internal_class_ex(&exception, spl_ce_RuntimeException);
    php_catlatch_register_latch();
    php_catlatch_register_outcome();
    return SUCCESS;
}

static PHP_MSHUTDOWN_FUNCTION(catlatch)
{
    (void)type;
    UNREGISTER_INI_ENTRIES();
    return SUCCESS;
}

static PHP_RINIT_FUNCTION(catlatch)
{
    (void)type;
    (void)module_number;
    php_catlatch_refresh();
    return SUCCESS;
}

static PHP_MINFO_FUNCTION(catlatch)
{
    php_info_print_table_start();
    php_info_print_table_row(2, "Catlatch", CATLATCH_VERSION);
    for (const struct target *target = CATLATCH_G(targets); target != NULL; target = target->next)
        php_info_print_table_row(2, "Service that is open in this process",
                                 target->service[0] != '\0' ? target->service : "default");
    php_info_print_table_end();
    DISPLAY_INI_ENTRIES();
}

static zend_module_entry catlatch_module_entry = {
    STANDARD_MODULE_HEADER,
    "catlatch",
    NULL,
    PHP_MINIT(catlatch),
    PHP_MSHUTDOWN(catlatch),
    PHP_RINIT(catlatch),
    NULL,
    PHP_MINFO(catlatch),
    CATLATCH_VERSION,
    PHP_MODULE_GLOBALS(catlatch),
    begin_globals,
    end_globals,
    NULL,
    STANDARD_MODULE_PROPERTIES_EX,
};

ZEND_DLEXPORT zend_module_entry *get_module(void);
ZEND_GET_MODULE(catlatch)
