#include "stack/facts.h"

#include <string.h>

static int store(struct stack_facts *facts, const char *text, uint16_t *ret_at)
{
    size_t size = strnlen(text, STACK_FACTS_BYTES) + 1;

    if (size > STACK_FACTS_BYTES - facts->used)
        return -1;
    memcpy(facts->bytes + facts->used, text, size);
    *ret_at = (uint16_t)facts->used;
    facts->used += (unsigned)size;
    return 0;
}

static unsigned find(const struct stack_facts *facts, const char *name)
{
    unsigned i = 0;

    while (i < facts->count && strcmp(facts->bytes + facts->list[i].name, name) != 0)
        i++;
    return i;
}

int facts_put(struct stack_facts *facts, const char *name, const char *value)
{
    unsigned at = find(facts, name), used = facts->used;
    uint16_t name_at, value_at;

    if (at < facts->count) {
        if (store(facts, value, &value_at) != 0)
            return -1;
        facts->list[at].value = value_at;
        return 0;
    }
    if (at == STACK_FACTS_MAX || store(facts, name, &name_at) != 0)
        return -1;
    if (store(facts, value, &value_at) != 0) {
        facts->used = used;
        return -1;
    }
    facts->list[facts->count].name = name_at;
    facts->list[facts->count++].value = value_at;
    return 0;
}

const char *facts_get(const struct stack_facts *facts, const char *name)
{
    unsigned at = find(facts, name);

    return at < facts->count ? facts->bytes + facts->list[at].value : NULL;
}
