#include "plugin/http/scopes.h"

#include <string.h>

void scopes_init(struct scopes *scopes)
{
    scopes->count = 0;
    scopes->len = 0;
}

static bool is_scope(const char *scope, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (scope[i] <= ' ' || scope[i] > '~' || scope[i] == '"' || scope[i] == '\\')
            return false;
    return len > 0 && len <= SCOPES_LENGTH_MAX;
}

bool scopes_add(struct scopes *scopes, const char *scope, size_t len)
{
    char *at = scopes->words + scopes->len;

    if (!is_scope(scope, len) || len + 1 > sizeof scopes->words - scopes->len)
        return false;
    memcpy(at, scope, len);
    at[len] = '\0';
    scopes->names[scopes->count++] = at;
    scopes->len += len + 1;
    return true;
}

size_t scopes_join(const struct scopes *scopes, char ret[CATLATCH_SCOPES_SIZE])
{
    size_t len = scopes->len > 0 ? scopes->len - 1 : 0;

    for (size_t i = 0; i < len; i++)
        ret[i] = scopes->words[i] != '\0' ? scopes->words[i] : ' ';
    ret[len] = '\0';
    return len;
}
