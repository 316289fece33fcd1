/*
 * script.h - a module that does as its arguments say, and leaves a record of each call.
 *
 *     n=NUMBER         the line, for the record
 *     r=RESULT         what verify returns: a result's name, "ignore", or a number; without: valid
 *     settle=RESULT    what settle returns; without: valid
 *     tell=NAME/VALUE  what verify tells the host; several are told in their order
 */
#ifndef TESTS_STACK_MODULES_SCRIPT_H
#define TESTS_STACK_MODULES_SCRIPT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catlatch_module.h"
#include "core/result.h"
#include "tests/stack/record.h"

#define SCRIPT_TOLD_MAX 40

struct script {
    int line;
    int result;
    int settled;
    unsigned told_count;
    char *told[SCRIPT_TOLD_MAX];
};

/* What verify leaves in the state for the calls that come after it. */
struct script_state {
    int line;
    unsigned verified;
};

static int script_result(const char *word)
{
    for (int result = 0; result <= CATLATCH_UNAVAILABLE; result++) {
        if (strcmp(word, result_name((enum catlatch_result)result)) == 0)
            return result;
    }
    return strcmp(word, "ignore") == 0 ? CATLATCH_IGNORE : atoi(word);
}

static void script_argument(struct script *script, const struct catlatch_argument *argument)
{
    const char *value = argument->value != NULL ? argument->value : "";

    if (strcmp(argument->name, "n") == 0)
        script->line = atoi(value);
    else if (strcmp(argument->name, "r") == 0)
        script->result = script_result(value);
    else if (strcmp(argument->name, "settle") == 0)
        script->settled = script_result(value);
    else if (strcmp(argument->name, "tell") == 0 && script->told_count < SCRIPT_TOLD_MAX)
        script->told[script->told_count++] = strdup(value);
}

static int script_init(const struct catlatch_setup *setup, void **ret_instance)
{
    struct script *script = calloc(1, sizeof *script);

    if (script == NULL)
        return CATLATCH_E_MEMORY;
    script->result = script->settled = CATLATCH_VALID;
    for (size_t i = 0; i < setup->argument_count; i++)
        script_argument(script, &setup->arguments[i]);
    record_add('i', script->line, 0);
    *ret_instance = script;
    return 0;
}

/* Of the text up to its '/', and of the rest. */
static void script_tell(const struct catlatch_call *call, const char *text)
{
    char name[64];
    size_t len = strcspn(text, "/");

    snprintf(name, sizeof name, "%.*s", (int)len, text);
    record.told = call->host->tell(call, name, text + len + (text[len] == '/'));
}

static int script_verify(void *instance, struct catlatch_call *call)
{
    const struct script *script = instance;
    struct script_state *state = call->state;

    if (state->line != 0 || state->verified != 0)
        record.dirty++;
    *state = (struct script_state){script->line, 1};
    record.flags = call->flags;
    snprintf(record.service, sizeof record.service, "%s", call->host->service(call));
    for (unsigned i = 0; i < script->told_count; i++)
        script_tell(call, script->told[i]);
    record_add('v', script->line, script->result);
    return script->result;
}

/* The state is this line's own, and verify's. */
static void script_check_state(const struct script *script, const struct catlatch_call *call)
{
    const struct script_state *state = call->state;

    if (state->verified != 1 || state->line != script->line)
        record.dirty++;
}

static int script_settle(void *instance, struct catlatch_call *call)
{
    const struct script *script = instance;

    script_check_state(script, call);
    record_add('s', script->line, script->settled);
    return script->settled;
}

static void script_undo(void *instance, struct catlatch_call *call)
{
    const struct script *script = instance;

    script_check_state(script, call);
    record_add('u', script->line, 0);
}

static void script_finish(void *instance, struct catlatch_call *call, enum catlatch_result result)
{
    const struct script *script = instance;
    const struct script_state *state = call->state;

    if (state->verified > 1 || state->line != (state->verified ? script->line : 0))
        record.dirty++;
    record_add('f', script->line, (int)result);
}

static void script_fini(void *instance)
{
    struct script *script = instance;

    record_add('x', script->line, 0);
    for (unsigned i = 0; i < script->told_count; i++)
        free(script->told[i]);
    free(script);
}

#define SCRIPT_CALLS                                                                         \
    .state_size = sizeof(struct script_state), .init = script_init, .verify = script_verify, \
    .settle = script_settle, .undo = script_undo, .fini = script_fini

#endif
