#include "core/config_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "core/text.h"
#include "core/timespan.h"

#define CONFIG_SOCKET_NAME "/catlatch.sock"

static const struct config_key KEYS[] = {
    {"daemon", "state_dir", CONFIG_PATH, offsetof(struct config, state_dir),
     CATLATCH_LOCALSTATEDIR "/lib/catlatch", NULL, NULL, NULL, true},
    {"daemon", "run_dir", CONFIG_SOCKET_DIR, offsetof(struct config, run_dir),
     CATLATCH_RUNSTATEDIR "/catlatch", NULL, NULL, NULL, true},
    {"daemon", "admin_dir", CONFIG_SOCKET_DIR, offsetof(struct config, admin_dir), NULL, NULL, NULL,
     NULL, true},
    {"daemon", "module_dir", CONFIG_PATH, offsetof(struct config, module_dir), CATLATCH_MODULEDIR,
     NULL, NULL, NULL, false},
    {"daemon", "user", CONFIG_USER, offsetof(struct config, user), "", NULL, NULL, NULL, true},
    {"daemon", "group", CONFIG_GROUP, offsetof(struct config, group), "", NULL, NULL, NULL, true},
    {"daemon", "expected_keys", CONFIG_COUNT, offsetof(struct config, expected_keys), "1000", NULL,
     "16", "100M", false},
    /* 2s: readers call a heartbeat stale after three seconds. */
    {"daemon", "heartbeat_interval", CONFIG_MS, offsetof(struct config, heartbeat_interval_ms),
     "1s", NULL, "100ms", "2s", false},
    /* 5s: less than that, and a busy host would be an outage. */
    {"daemon", "max_stale", CONFIG_MS, offsetof(struct config, max_stale_ms), "never", "never",
     "5s", "1y", false},
    {"daemon", "cache_size", CONFIG_SIZE, offsetof(struct config, cache_size_bytes), "64M", NULL,
     "8M", "64G", true},
    {"daemon", "ballast_size", CONFIG_SIZE, offsetof(struct config, ballast_size_bytes), "64M",
     NULL, "4M", "1G", true},
    {"daemon", "checkpoint_interval", CONFIG_MS, offsetof(struct config, checkpoint_interval_ms),
     "1m", NULL, "1s", "1d", false},
    {"daemon", "max_clients", CONFIG_COUNT, offsetof(struct config, max_clients), "1024", NULL, "8",
     "65536", false},
    {"daemon", "idle_timeout", CONFIG_MS, offsetof(struct config, idle_timeout_ms), "never",
     "never", "1s", "4w", false},
    /* 1h: a power loss loses no more of what was counted. */
    {"daemon", "usage_flush_interval", CONFIG_MS, offsetof(struct config, usage_flush_interval_ms),
     "1m", NULL, "1s", "1h", false},
    {"access", "verify", CONFIG_PRINCIPALS, offsetof(struct config, access[CONFIG_RIGHT_VERIFY]),
     "@catlatch", NULL, NULL, NULL, false},
    {"access", "read", CONFIG_PRINCIPALS, offsetof(struct config, access[CONFIG_RIGHT_READ]), "",
     NULL, NULL, NULL, false},
    {"access", "revoke", CONFIG_PRINCIPALS, offsetof(struct config, access[CONFIG_RIGHT_REVOKE]),
     "@catlatch-support", NULL, NULL, NULL, false},
    {"access", "write", CONFIG_PRINCIPALS, offsetof(struct config, access[CONFIG_RIGHT_WRITE]), "",
     NULL, NULL, NULL, false},
    {"access", "admin", CONFIG_PRINCIPALS, offsetof(struct config, access[CONFIG_RIGHT_ADMIN]),
     "root @catlatch-admin", NULL, NULL, NULL, false},
    {"access", "gateway", CONFIG_PRINCIPALS, offsetof(struct config, access[CONFIG_RIGHT_GATEWAY]),
     "catlatch-http", NULL, NULL, NULL, false},
    {"policy", "default_expiry", CONFIG_S, offsetof(struct config, default_expiry_s), "never",
     "never", "1s", "100y", false},
    {"policy", "max_expiry", CONFIG_S, offsetof(struct config, max_expiry_s), "never", "never",
     "1s", "100y", false},
    {"policy", "max_keys_per_owner", CONFIG_COUNT, offsetof(struct config, max_keys_per_owner),
     "none", "none", "1", "100M", false},
    {"policy", "record_address", CONFIG_ADDRESS, offsetof(struct config, record_address), "full",
     NULL, NULL, NULL, false},
    {"policy", "retain_revoked", CONFIG_S, offsetof(struct config, retain_revoked_s), "forever",
     "forever", "1d", "100y", false},
    /* 1d: evidence of uses can miss an hour or two. */
    {"policy", "disable_unused_after", CONFIG_S, offsetof(struct config, disable_unused_s), "never",
     "never", "1d", "100y", false},
    /* 1d: what catches up from the log must find what it needs. */
    {"audit", "retain", CONFIG_S, offsetof(struct config, audit_retain_s), "forever", "forever",
     "1d", "100y", false},
    /* 30d: a key that is used each minute takes a megabyte for them. */
    {"history", "minutes", CONFIG_S, offsetof(struct config, history_minutes_s), "2d", "never",
     "1h", "30d", false},
    {"history", "hours", CONFIG_S, offsetof(struct config, history_hours_s), "60d", "never", "1d",
     "2y", false},
    {"history", "days", CONFIG_S, offsetof(struct config, history_days_s), "2y", "never", "1d",
     "100y", false},
};

#define KEY_COUNT (sizeof KEYS / sizeof KEYS[0])

const struct config_key *config_keys(size_t *ret_count)
{
    *ret_count = KEY_COUNT;
    return KEYS;
}

const struct config_key *config_key_find(const char *section, const char *name)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(KEYS[i].section, section) == 0 && strcmp(KEYS[i].name, name) == 0)
            return &KEYS[i];
    }
    return NULL;
}

int config_key_unknown(const char *section, const char *name, struct error *error)
{
    const char *names[KEY_COUNT];
    const char *nearest;
    size_t count = 0;

    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(KEYS[i].section, section) == 0)
            names[count++] = KEYS[i].name;
    }
    nearest = text_nearest(name, names, count);
    if (nearest != NULL)
        return error_set(error, CATLATCH_E_CONFIG,
                         "unknown key \"%s\" in [%s]; did you mean \"%s\"?", name, section,
                         nearest);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(KEYS[i].name, name) == 0)
            return error_set(error, CATLATCH_E_CONFIG,
                             "unknown key \"%s\" in [%s]; its place is [%s]", name, section,
                             KEYS[i].section);
    }
    return error_set(error, CATLATCH_E_CONFIG,
                     "unknown key \"%s\" in [%s]; catlatch.ini as it is shipped lists them all",
                     name, section);
}

static int path_check(const struct config_key *key, const char *path, struct error *error)
{
    size_t max = key->type == CONFIG_SOCKET_DIR
                     ? sizeof((struct sockaddr_un *)NULL)->sun_path - sizeof CONFIG_SOCKET_NAME
                     : PATH_MAX - 1;

    if (path[0] != '/' || path[strspn(path, "/")] == '\0')
        return error_set(error, CATLATCH_E_CONFIG,
                         "%s = %s: not the absolute path of a folder below /", key->name, path);
    if (strlen(path) > max)
        return error_set(error, CATLATCH_E_CONFIG, "%s = %s: longer than the %zu bytes that fit",
                         key->name, path, max);
    for (const char *part = path; part != NULL; part = strchr(part + 1, '/')) {
        size_t len = strcspn(part + 1, "/");
        if ((len == 1 || len == 2) && strspn(part + 1, ".") >= len)
            return error_set(error, CATLATCH_E_CONFIG,
                             "%s = %s: \".\" or \"..\" in the path; write it out", key->name, path);
    }
    return 0;
}

/* Without slashes at the end or doubled, so that two paths can be compared as text. */
static void path_copy(const char *path, char *ret_path)
{
    size_t len = 0;

    for (size_t i = 0; path[i] != '\0'; i++) {
        if (path[i] != '/' || (path[i + 1] != '/' && path[i + 1] != '\0'))
            ret_path[len++] = path[i];
    }
    ret_path[len] = '\0';
}

/* What a number is multiplied by, or 0 if there is no such suffix. */
static int64_t suffix_factor(enum config_type type, const char *suffix)
{
    static const struct {
        enum config_type type;
        const char *suffix;
        int64_t factor;
    } SUFFIXES[] = {
        {CONFIG_COUNT, "", 1},         {CONFIG_COUNT, "k", 1000},     {CONFIG_COUNT, "M", 1000000},
        {CONFIG_SIZE, "", 1},          {CONFIG_SIZE, "K", 1 << 10},   {CONFIG_SIZE, "KiB", 1 << 10},
        {CONFIG_SIZE, "M", 1 << 20},   {CONFIG_SIZE, "MiB", 1 << 20}, {CONFIG_SIZE, "G", 1 << 30},
        {CONFIG_SIZE, "GiB", 1 << 30},
    };

    for (size_t i = 0; i < sizeof SUFFIXES / sizeof SUFFIXES[0]; i++) {
        if (SUFFIXES[i].type == type && strcmp(SUFFIXES[i].suffix, suffix) == 0)
            return SUFFIXES[i].factor;
    }
    return 0;
}

/* A number with its suffix. One too large to hold is INT64_MAX, as with strtoll: out of all
 * bounds. */
static bool number_parse(enum config_type type, const char *text, int64_t *ret_number)
{
    size_t digits = strspn(text, "0123456789");
    int64_t factor = suffix_factor(type, text + digits);
    long long number;

    if (digits == 0 || factor == 0)
        return false;
    number = strtoll(text, NULL, 10);
    if (__builtin_mul_overflow((int64_t)number, factor, ret_number))
        *ret_number = INT64_MAX;
    return true;
}

static bool duration_parse(enum config_type type, const char *text, int64_t *ret_number)
{
    int64_t ms;

    if (timespan_parse_ms(text, strlen(text), &ms) != 0)
        return false;
    if (type == CONFIG_S && ms % 1000 != 0)
        return false;
    *ret_number = type == CONFIG_S ? ms / 1000 : ms;
    return true;
}

static bool quantity_parse(enum config_type type, const char *text, int64_t *ret_number)
{
    if (type == CONFIG_COUNT || type == CONFIG_SIZE)
        return number_parse(type, text, ret_number);
    return duration_parse(type, text, ret_number);
}

static const char *quantity_form(enum config_type type)
{
    switch (type) {
    case CONFIG_COUNT:
        return "a number such as 5000, 5k or 5M";
    case CONFIG_SIZE:
        return "a number of bytes such as 65536, 64K, 64M or 64G";
    case CONFIG_MS:
        return "a duration such as 500ms, 30s, 15m or 1h30m";
    case CONFIG_S:
        return "a duration of whole seconds such as 30s, 12h, 90d or 1y";
    case CONFIG_PATH:
    case CONFIG_SOCKET_DIR:
    case CONFIG_USER:
    case CONFIG_GROUP:
    case CONFIG_PRINCIPALS:
    case CONFIG_ADDRESS:
        break;
    }
    return "text";
}

static int quantity_set(const struct config_key *key, const char *value, struct config *config,
                        struct error *error)
{
    const char *or_zero = key->zero != NULL ? " or " : "";
    const char *zero = key->zero != NULL ? key->zero : "";
    int64_t number = 0;
    int64_t min = INT64_MAX;
    int64_t max = INT64_MIN;

    if (key->zero == NULL || (strcmp(value, key->zero) != 0 && strcmp(value, "0") != 0)) {
        if (!quantity_parse(key->type, value, &number))
            return error_set(error, CATLATCH_E_CONFIG, "%s = %s: expected %s%s%s", key->name, value,
                             quantity_form(key->type), or_zero, zero);
        if (!quantity_parse(key->type, key->min, &min) ||
            !quantity_parse(key->type, key->max, &max) || number < min || number > max)
            return error_set(error, CATLATCH_E_CONFIG, "%s = %s: expected %s to %s%s%s", key->name,
                             value, key->min, key->max, or_zero, zero);
    }
    memcpy((char *)config + key->offset, &number, sizeof number);
    return 0;
}

static int account_set(const struct config_key *key, const char *value,
                       enum config_accounts accounts, struct config *config, struct error *error)
{
    char *field = (char *)config + key->offset;
    int r;

    if (strlen(value) >= sizeof config->user)
        return error_set(error, CATLATCH_E_CONFIG, "%s = %s: longer than %zu bytes", key->name,
                         value, sizeof config->user - 1);
    r = key->type == CONFIG_USER ? principals_check_user(value, accounts, error)
                                 : principals_check_group(value, accounts, error);
    if (r == 0)
        memcpy(field, value, strlen(value) + 1);
    return r;
}

static int address_set(const struct config_key *key, const char *value, struct config *config,
                       struct error *error)
{
    static const char *const words[] = {
        [CONFIG_ADDRESS_FULL] = "full",
        [CONFIG_ADDRESS_PREFIX] = "prefix",
        [CONFIG_ADDRESS_OFF] = "off",
    };

    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(value, words[i]) == 0) {
            enum config_address address = (enum config_address)i;
            memcpy((char *)config + key->offset, &address, sizeof address);
            return 0;
        }
    }
    return error_set(error, CATLATCH_E_CONFIG, "%s = %s: expected full, prefix or off", key->name,
                     value);
}

static int principals_set(const struct config_key *key, const char *value,
                          enum config_accounts accounts, struct config *config, struct error *error)
{
    struct config_principals principals;
    int r = principals_parse(value, accounts, &principals, error);

    if (r != 0) {
        error_prefix(error, "%s", key->name);
        return r;
    }
    memcpy((char *)config + key->offset, &principals, sizeof principals);
    return 0;
}

int config_key_set(const struct config_key *key, const char *value, enum config_accounts accounts,
                   struct config *config, struct error *error)
{
    int r = 0;

    switch (key->type) {
    case CONFIG_PATH:
    case CONFIG_SOCKET_DIR:
        r = path_check(key, value, error);
        if (r == 0)
            path_copy(value, (char *)config + key->offset);
        return r;
    case CONFIG_COUNT:
    case CONFIG_SIZE:
    case CONFIG_MS:
    case CONFIG_S:
        return quantity_set(key, value, config, error);
    case CONFIG_USER:
    case CONFIG_GROUP:
        return account_set(key, value, accounts, config, error);
    case CONFIG_PRINCIPALS:
        return principals_set(key, value, accounts, config, error);
    case CONFIG_ADDRESS:
        return address_set(key, value, config, error);
    }
    return error_set(error, CATLATCH_E_CONFIG, "%s: a key of no type", key->name);
}

static bool value_equal(const struct config_key *key, const struct config *a,
                        const struct config *b)
{
    const char *left = (const char *)a + key->offset;
    const char *right = (const char *)b + key->offset;

    switch (key->type) {
    case CONFIG_PATH:
    case CONFIG_SOCKET_DIR:
    case CONFIG_USER:
    case CONFIG_GROUP:
        return strcmp(left, right) == 0;
    case CONFIG_COUNT:
    case CONFIG_SIZE:
    case CONFIG_MS:
    case CONFIG_S:
        return memcmp(left, right, sizeof(int64_t)) == 0;
    case CONFIG_PRINCIPALS:
        return memcmp(left, right, sizeof(struct config_principals)) == 0;
    case CONFIG_ADDRESS:
        return memcmp(left, right, sizeof(enum config_address)) == 0;
    }
    return false;
}

int config_reload_check(const struct config *running, const struct config *fresh,
                        struct error *error)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (KEYS[i].restart && !value_equal(&KEYS[i], running, fresh))
            return error_set(error, CATLATCH_E_CONFIG,
                             "%s: %s differs from what the daemon started with; restart it to "
                             "change that, or write the old value",
                             fresh->path, KEYS[i].name);
    }
    return 0;
}
