#include "stack/identity.h"

#include <string.h>

int stack_identity(const struct table_view *view, const struct table_hit *hit,
                   struct catlatch_identity *ret)
{
    struct table_identity texts = {0};

    if (table_identity(view, hit->slot, &texts) != 0 ||
        table_scopes(view, hit->slot, ret->scopes) != 0 ||
        table_environment(view, control_environment(hit->control), ret->environment) != 0)
        return CATLATCH_E_UNAVAILABLE;
    key_id_format(hit->id, ret->key_id);
    memcpy(ret->prefix, texts.prefix, sizeof ret->prefix);
    memcpy(ret->owner, texts.owner, sizeof ret->owner);
    memcpy(ret->name, texts.name, sizeof ret->name);
    ret->expires_unix_s = control_expires_unix_s(hit->control);
    ret->not_before_unix_s = texts.not_before_unix_s;
    return 0;
}
