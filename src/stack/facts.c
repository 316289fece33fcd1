#include "stack/facts.h"

#include <stdbool.h>
#include <string.h>

static unsigned find(const struct stack_facts *facts, const char *name)
{
    unsigned i = 0;

    while (i < facts->count && strcmp(facts->bytes + facts->list[i].name, name) != 0)
        i++;
    return i;
}

/* Where the bytes of a fact end, which begin with its name. */
static unsigned end_of(const struct stack_facts *facts, unsigned at)
{
    unsigned value = facts->list[at].value;

    return value + (unsigned)strlen(facts->bytes + value) + 1;
}

/* Those that were told later move down: facts lie without gaps in the order of the list. */
static void take_out(struct stack_facts *facts, unsigned at)
{
    unsigned begin = facts->list[at].name, end = end_of(facts, at);

    memmove(facts->bytes + begin, facts->bytes + end, facts->used - end);
    facts->used -= end - begin;
    facts->count--;
    for (; at < facts->count; at++) {
        facts->list[at].name = (uint16_t)(facts->list[at + 1].name - (end - begin));
        facts->list[at].value = (uint16_t)(facts->list[at + 1].value - (end - begin));
    }
}

static uint16_t append(struct stack_facts *facts, const char *text, size_t size)
{
    unsigned at = facts->used;

    memcpy(facts->bytes + at, text, size);
    facts->used += (unsigned)size;
    return (uint16_t)at;
}

int facts_put(struct stack_facts *facts, const char *name, const char *value)
{
    size_t name_size = strnlen(name, STACK_FACTS_BYTES) + 1;
    size_t value_size = strnlen(value, STACK_FACTS_BYTES) + 1;
    unsigned at = find(facts, name);
    bool is_there = at < facts->count;
    unsigned freed = is_there ? end_of(facts, at) - facts->list[at].name : 0;

    if ((!is_there && facts->count == STACK_FACTS_MAX) ||
        name_size + value_size > STACK_FACTS_BYTES - facts->used + freed)
        return -1;
    if (is_there)
        take_out(facts, at);
    at = facts->count++;
    facts->list[at].name = append(facts, name, name_size);
    facts->list[at].value = append(facts, value, value_size);
    return 0;
}

const char *facts_get(const struct stack_facts *facts, const char *name)
{
    unsigned at = find(facts, name);

    return at < facts->count ? facts->bytes + facts->list[at].value : NULL;
}
