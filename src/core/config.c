#include "core/config.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/config_environments.h"
#include "core/config_keys.h"
#include "core/ini.h"
#include "core/text.h"
#include "core/trust.h"

#define SERVICE_NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"

/* As many as the table of keys can have. */
#define KEYS_MAX 64

/* Where something was written; file NULL: nowhere. */
struct place {
    const char *file;
    unsigned line;
};

/* A configuration while it is being read. */
struct reading {
    struct config *config;
    enum config_accounts accounts;
    struct place keys[KEYS_MAX];
    struct place environments[KEY_ENVIRONMENTS_MAX];
    struct config_service *service; /* that we are in; NULL: in another section */
};

const char *config_default_path(void)
{
    return CATLATCH_SYSCONFDIR "/catlatch/catlatch.ini";
}

static int no_memory(struct error *error)
{
    error_set(error, CATLATCH_E_MEMORY, "out of memory");
    return CATLATCH_E_MEMORY;
}

static struct place place_of(const struct ini_event *event)
{
    return (struct place){event->file, event->line};
}

/* A name twice in one file is a mistake; in another file it is meant to replace. */
static int check_once(const struct place *earlier, const struct ini_event *event,
                      struct error *error)
{
    if (earlier->file == NULL || strcmp(earlier->file, event->file) != 0)
        return 0;
    return error_set(error, CATLATCH_E_CONFIG,
                     "\"%s\" stands twice in [%s] of this file, first in line %u; keep one",
                     event->name, event->section, earlier->line);
}

static size_t key_index(const struct config_key *key)
{
    size_t count;

    return (size_t)(key - config_keys(&count));
}

static int key_read(struct reading *reading, const struct ini_event *event, struct error *error)
{
    const struct config_key *key = config_key_find(event->section, event->name);
    struct place *place;
    int r;

    if (key == NULL)
        return config_key_unknown(event->section, event->name, error);
    place = &reading->keys[key_index(key)];
    r = check_once(place, event, error);
    if (r == 0)
        r = config_key_set(key, event->value, reading->accounts, reading->config, error);
    if (r == 0)
        *place = place_of(event);
    return r;
}

static int environment_read(struct reading *reading, const struct ini_event *event,
                            struct error *error)
{
    struct key_environments *environments = &reading->config->environments;
    size_t count = environments->count;
    size_t index;
    int r = environments_set(environments, event->name, event->value, &index, error);

    if (r == 0 && index < count)
        r = check_once(&reading->environments[index], event, error);
    if (r == 0)
        reading->environments[index] = place_of(event);
    return r;
}

static int rule_read(struct reading *reading, const struct ini_event *event, struct error *error)
{
    struct config_service *service = reading->service;
    struct config_rule *rules =
        reallocarray(service->rules, service->rule_count + 1, sizeof *rules);
    struct config_rule *rule;

    if (rules == NULL)
        return no_memory(error);
    service->rules = rules;
    rule = &rules[service->rule_count];
    rule->file = event->file;
    rule->line = event->line;
    rule->control = strdup(event->name);
    rule->text = strdup(event->value);
    service->rule_count++;
    return rule->control != NULL && rule->text != NULL ? 0 : no_memory(error);
}

static int service_open(struct reading *reading, const char *name, const struct ini_event *event,
                        struct error *error)
{
    struct config *config = reading->config;
    const struct config_service *earlier = config_service(config, name);
    size_t len = strspn(name, SERVICE_NAME_CHARS);
    struct config_service *services;

    if (len == 0 || len > CONFIG_NAME_MAX || name[len] != '\0')
        return error_set(error, CATLATCH_E_CONFIG,
                         "\"%s\" is no name of a service; write [service NAME], NAME being 1 to %u "
                         "of A-Z a-z 0-9 _ . -",
                         name, CONFIG_NAME_MAX);
    if (earlier != NULL)
        return error_set(error, CATLATCH_E_CONFIG,
                         "[service %s] stands in %s:%u already; a service is written in one place",
                         name, earlier->file, earlier->line);
    services = reallocarray(config->services, config->service_count + 1, sizeof *services);
    if (services == NULL)
        return no_memory(error);
    config->services = services;
    reading->service = &services[config->service_count++];
    *reading->service = (struct config_service){.file = event->file, .line = event->line};
    memcpy(reading->service->name, name, len + 1);
    return 0;
}

static int section_unknown(const char *section, struct error *error)
{
    static const char *const FIRST_WORDS[] = {"daemon", "access",  "environments", "policy",
                                              "audit",  "history", "service"};
    char word[INI_NAME_MAX + 1] = "";
    const char *nearest;

    memcpy(word, section, strcspn(section, " "));
    nearest = text_nearest(word, FIRST_WORDS, sizeof FIRST_WORDS / sizeof FIRST_WORDS[0]);
    if (nearest == NULL)
        return error_set(error, CATLATCH_E_CONFIG,
                         "unknown section [%s]; there are [daemon], [access], [environments], "
                         "[policy], [audit], [history] and [service NAME]",
                         section);
    return error_set(error, CATLATCH_E_CONFIG, "unknown section [%s]; did you mean [%s%s]?",
                     section, nearest, strcmp(nearest, "service") == 0 ? " NAME" : "");
}

static int section_open(struct reading *reading, const struct ini_event *event, struct error *error)
{
    static const char *const PLAIN[] = {"daemon", "access", "environments",
                                        "policy", "audit",  "history"};
    static const char SERVICE[] = "service";
    const char *rest = event->section + sizeof SERVICE - 1;

    reading->service = NULL;
    for (size_t i = 0; i < sizeof PLAIN / sizeof PLAIN[0]; i++) {
        if (strcmp(event->section, PLAIN[i]) == 0)
            return 0;
    }
    if (strncmp(event->section, SERVICE, sizeof SERVICE - 1) == 0 &&
        (*rest == ' ' || *rest == '\0'))
        return service_open(reading, rest + strspn(rest, " "), event, error);
    return section_unknown(event->section, error);
}

static int visit(void *context, const struct ini_event *event, struct error *error)
{
    struct reading *reading = context;

    if (event->name == NULL)
        return section_open(reading, event, error);
    if (reading->service != NULL)
        return rule_read(reading, event, error);
    if (strcmp(event->section, "environments") == 0)
        return environment_read(reading, event, error);
    return key_read(reading, event, error);
}

/* Takes the path over, also on failure. */
static int file_remember(struct config *config, char *path, struct error *error)
{
    char **files = reallocarray(config->files, config->file_count + 1, sizeof *files);

    if (files == NULL) {
        free(path);
        return no_memory(error);
    }
    config->files = files;
    files[config->file_count++] = path;
    return 0;
}

/* Takes the path over, also on failure. */
static int file_read(struct reading *reading, char *path, struct error *error)
{
    const struct trust trust = trust_self();
    FILE *stream;
    int fd = -1;
    int r = file_remember(reading->config, path, error);

    if (r == 0)
        r = trust_open(path, &trust, &fd, error);
    if (r != 0)
        return r;
    stream = fdopen(fd, "re");
    if (stream == NULL) {
        r = error_errno(error, errno, "%s: cannot read it", path);
        close(fd);
        return r;
    }
    r = ini_read(stream, path, visit, reading, error);
    fclose(stream);
    return r;
}

static int is_drop_in(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);

    return entry->d_name[0] != '.' && len > 4 && strcmp(entry->d_name + len - 4, ".ini") == 0;
}

/* strcmp, where alphasort would follow the locale. */
static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int drop_in_read(struct reading *reading, const char *folder, const char *name,
                        struct error *error)
{
    char *path;

    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return no_memory(error);
    return file_read(reading, path, error);
}

static int folder_read(struct reading *reading, const char *folder, struct error *error)
{
    const struct trust trust = trust_self();
    struct dirent **entries = NULL;
    int count;
    int r = trust_path(folder, &trust, error);

    if (r != 0)
        return r;
    count = scandir(folder, &entries, is_drop_in, by_bytes);
    if (count < 0)
        return error_errno(error, errno, "%s: cannot list the drop-ins", folder);
    for (int i = 0; i < count; i++) {
        if (r == 0)
            r = drop_in_read(reading, folder, entries[i]->d_name, error);
        free(entries[i]);
    }
    free(entries);
    return r;
}

static int drop_ins_read(struct reading *reading, struct error *error)
{
    const char *path = reading->config->path;
    struct stat status;
    char *folder;
    int r = 0;

    if (asprintf(&folder, "%.*s/conf.d", (int)(strrchr(path, '/') - path), path) < 0)
        return no_memory(error);
    if (lstat(folder, &status) == 0 || errno != ENOENT)
        r = folder_read(reading, folder, error);
    free(folder);
    return r;
}

static int defaults_fill(struct reading *reading, struct error *error)
{
    enum config_accounts accounts =
        reading->accounts == ACCOUNTS_IGNORED ? ACCOUNTS_IGNORED : ACCOUNTS_DEFAULT;
    struct config *config = reading->config;
    size_t count;
    const struct config_key *keys = config_keys(&count);
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++) {
        if (reading->keys[i].file == NULL && keys[i].initial != NULL)
            r = config_key_set(&keys[i], keys[i].initial, accounts, config, error);
    }
    if (r == 0 && config->admin_dir[0] == '\0') {
        char admin_dir[PATH_MAX + sizeof "-admin"];
        snprintf(admin_dir, sizeof admin_dir, "%s-admin", config->run_dir);
        r = config_key_set(config_key_find("daemon", "admin_dir"), admin_dir, accounts, config,
                           error);
    }
    if (r != 0)
        error_prefix(error, "%s: default", config->path);
    else if (config->environments.count == 0)
        environments_default(&config->environments);
    return r;
}

/* Puts before the error where the key was written, or else the main file. */
static int blame(const struct reading *reading, const char *section, const char *name, int code,
                 struct error *error)
{
    const struct place *place = &reading->keys[key_index(config_key_find(section, name))];

    if (place->file != NULL)
        error_prefix(error, "%s:%u", place->file, place->line);
    else
        error_prefix(error, "%s", reading->config->path);
    return code;
}

/* True if inner is outer or below it. */
static bool is_within(const char *inner, const char *outer)
{
    size_t len = strlen(outer);

    return strncmp(inner, outer, len) == 0 && (inner[len] == '/' || inner[len] == '\0');
}

/* run_dir is what containers mount: neither the state nor the admin socket may be seen there. */
static int folders_check(const struct reading *reading, struct error *error)
{
    const struct config *config = reading->config;
    const char *name = is_within(config->state_dir, config->run_dir)   ? "state_dir"
                       : is_within(config->admin_dir, config->run_dir) ? "admin_dir"
                                                                       : NULL;

    if (name == NULL)
        return 0;
    error_set(error, CATLATCH_E_CONFIG,
              "%s lies in run_dir (%s), which whoever verifies can enter; give it a place of its "
              "own",
              name, config->run_dir);
    return blame(reading, "daemon", name, CATLATCH_E_CONFIG, error);
}

static int policy_check(const struct reading *reading, struct error *error)
{
    const struct config *config = reading->config;

    if (config->max_expiry_s == 0 || config->default_expiry_s <= config->max_expiry_s)
        return 0;
    error_set(error, CATLATCH_E_CONFIG, "default_expiry is longer than max_expiry; lower it");
    return blame(reading, "policy", "default_expiry", CATLATCH_E_CONFIG, error);
}

static int whole_check(const struct reading *reading, struct error *error)
{
    size_t index;
    int r = environments_check(&reading->config->environments, &index, error);

    if (r != 0) {
        error_prefix(error, "%s:%u", reading->environments[index].file,
                     reading->environments[index].line);
        return r;
    }
    r = folders_check(reading, error);
    return r != 0 ? r : policy_check(reading, error);
}

static int path_make_absolute(const char *path, char **ret_path, struct error *error)
{
    char folder[PATH_MAX];
    char *absolute = NULL;

    if (path[0] == '/')
        absolute = strdup(path);
    else if (getcwd(folder, sizeof folder) == NULL) {
        error_errno(error, errno, "%s: cannot tell the current folder", path);
        return CATLATCH_E_IO;
    } else if (asprintf(&absolute, "%s/%s", folder, path) < 0)
        absolute = NULL;
    if (absolute == NULL)
        return no_memory(error);
    *ret_path = absolute;
    return 0;
}

static int main_file_read(struct reading *reading, struct error *error)
{
    char *path = strdup(reading->config->path);

    return path != NULL ? file_read(reading, path, error) : no_memory(error);
}

static int read_all(const char *path, enum config_accounts accounts, struct config **ret_config,
                    struct error *error)
{
    struct reading reading = {.config = calloc(1, sizeof(struct config)), .accounts = accounts};
    int r;

    if (reading.config == NULL)
        return no_memory(error);
    r = path_make_absolute(path, &reading.config->path, error);
    if (r == 0)
        r = main_file_read(&reading, error);
    if (r == 0)
        r = drop_ins_read(&reading, error);
    if (r == 0)
        r = defaults_fill(&reading, error);
    if (r == 0)
        r = whole_check(&reading, error);
    if (r == 0)
        *ret_config = reading.config;
    else
        config_free(reading.config);
    return r;
}

int config_read(const char *path, struct config **ret_config, struct error *error)
{
    return read_all(path, ACCOUNTS_WRITTEN, ret_config, error);
}

int config_read_without_accounts(const char *path, struct config **ret_config, struct error *error)
{
    return read_all(path, ACCOUNTS_IGNORED, ret_config, error);
}

static void service_free(struct config_service *service)
{
    for (size_t i = 0; i < service->rule_count; i++) {
        free(service->rules[i].control);
        free(service->rules[i].text);
    }
    free(service->rules);
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < config->service_count; i++)
        service_free(&config->services[i]);
    free(config->services);
    for (size_t i = 0; i < config->file_count; i++)
        free(config->files[i]);
    free(config->files);
    free(config->path);
    free(config);
}

const struct config_service *config_service(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->service_count; i++) {
        if (strcmp(config->services[i].name, name) == 0)
            return &config->services[i];
    }
    return NULL;
}
