#include "core/config_environments.h"

#include <stdbool.h>
#include <string.h>

#define ENVIRONMENT_NAME_CHARS "abcdefghijklmnopqrstuvwxyz0123456789_-"

void environments_default(struct key_environments *ret_environments)
{
    *ret_environments =
        (struct key_environments){.count = 2, .list = {{"live", "cc_live_"}, {"test", "cc_test_"}}};
}

static bool name_is_valid(const char *name)
{
    size_t len = strspn(name, ENVIRONMENT_NAME_CHARS);

    return name[len] == '\0' && len >= 1 && len < CATLATCH_ENVIRONMENT_SIZE;
}

static size_t environment_index(const struct key_environments *environments, const char *name)
{
    size_t i = 0;

    while (i < environments->count && strcmp(environments->list[i].name, name) != 0)
        i++;
    return i;
}

int environments_set(struct key_environments *environments, const char *name, const char *prefix,
                     size_t *ret_index, struct error *error)
{
    struct key_environment environment = {.name = ""};
    size_t index = environment_index(environments, name);

    if (!name_is_valid(name))
        return error_set(error, CATLATCH_E_CONFIG,
                         "\"%s\" is no name of an environment: 1 to %d of a-z 0-9 _ -", name,
                         CATLATCH_ENVIRONMENT_SIZE - 1);
    if (!key_prefix_is_valid(prefix))
        return error_set(error, CATLATCH_E_CONFIG,
                         "%s = %s: no prefix of keys: %u to %u of a-z 0-9 _, ending in _", name,
                         prefix, KEY_PREFIX_MIN, KEY_PREFIX_MAX);
    if (index == KEY_ENVIRONMENTS_MAX)
        return error_set(error, CATLATCH_E_CONFIG, "more than %u environments",
                         KEY_ENVIRONMENTS_MAX);
    memcpy(environment.name, name, strlen(name) + 1);
    memcpy(environment.prefix, prefix, strlen(prefix) + 1);
    environments->list[index] = environment;
    if (index == environments->count)
        environments->count++;
    *ret_index = index;
    return 0;
}

static bool either_starts_other(const char *a, const char *b)
{
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);

    return memcmp(a, b, a_len < b_len ? a_len : b_len) == 0;
}

int environments_check(const struct key_environments *environments, size_t *ret_index,
                       struct error *error)
{
    for (size_t i = 1; i < environments->count; i++) {
        const struct key_environment *later = &environments->list[i];
        for (size_t j = 0; j < i; j++) {
            const struct key_environment *earlier = &environments->list[j];
            if (!either_starts_other(later->prefix, earlier->prefix))
                continue;
            *ret_index = i;
            return error_set(error, CATLATCH_E_CONFIG,
                             "%s = %s: a key of it could be one of \"%s\" (%s); no prefix may be "
                             "the start of another",
                             later->name, later->prefix, earlier->name, earlier->prefix);
        }
    }
    return 0;
}
