/*
 * lib_service.h - services from their lines, without files: environments live and test, the stock
 * modules of this build.
 */
#ifndef TESTS_LIB_SERVICE_H
#define TESTS_LIB_SERVICE_H

#include "stack/service.h"

#define SERVICE_RULES_MAX 80

/* A configuration /c.ini with services api and default, if they have lines; rules of api stand from
 * line 11 on, those of default from line 101. */
struct service_config {
    struct config config;
    struct config_service services[2];
    struct config_rule rules[2][SERVICE_RULES_MAX];
    char text[2][8192];
};

/* Lines "control = text", each ended by a newline; NULL: there is no such service. */
void service_config(struct service_config *config, const char *api, const char *fallback);

/* Opens [service api] of these lines; fails the test if it is refused. */
struct stack_service *service_of(const char *lines);

/* They are refused with this message, and as E_CONFIG. */
void service_is_refused(const char *lines, const char *message);

#endif
