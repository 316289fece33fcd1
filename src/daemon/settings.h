/*
 * settings.h - a configuration in force: what was read, and its services compiled once, so that
 * no verification parses anything.
 */
#ifndef DAEMON_SETTINGS_H
#define DAEMON_SETTINGS_H

#include "core/config.h"
#include "core/text.h"
#include "stack/service.h"
#include "table/view.h"

struct settings {
    struct config *config;           /* owned */
    struct stack_service **services; /* owned; the first is `default`, written or not */
    size_t service_count;
};

/* Reads and compiles, or changes nothing. Returns what config_read and stack_open do. */
int settings_read(const char *path, struct settings *ret_settings, struct error *error);
void settings_free(struct settings *settings);

/* NULL: there is none of that name. */
struct stack_service *settings_service(const struct settings *settings, struct text name);

/* E_CONFIG if an environment that keys of this table have is not configured, or not as it was: such
 * keys would be refused by every `format`, and could not be made again. */
int settings_check_environments(const struct config *config, const struct table_view *view,
                                struct error *error);

#endif
