#include "plugin/http/scopes.h"

#include <string.h>

#include "core/text.h"

void scopes_init(struct scopes *scopes)
{
    scopes->count = 0;
    scopes->len = 0;
}

bool scopes_add(struct scopes *scopes, const char *scope, size_t len)
{
    char *at = scopes->words + scopes->len;

    if (!text_is_scope(scope, len) || len + 1 > sizeof scopes->words - scopes->len)
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
