/* facts.h - what modules tell about a verification: names and values, copied into bounded room. */
#ifndef STACK_FACTS_H
#define STACK_FACTS_H

#include <stddef.h>
#include <stdint.h>

#define STACK_FACTS_MAX 16u
#define STACK_FACTS_BYTES 2048u

struct stack_facts {
    unsigned count;
    unsigned used;
    struct {
        uint16_t name, value; /* where they begin in bytes */
    } list[STACK_FACTS_MAX];
    char bytes[STACK_FACTS_BYTES];
};

/* A later fact replaces one of the same name. What is put must not be of the facts themselves. 0,
 * or -1: no room, and all is as it was. */
int facts_put(struct stack_facts *facts, const char *name, const char *value);

/* NULL: there is none of that name. Valid until the facts change. */
const char *facts_get(const struct stack_facts *facts, const char *name);

#endif
