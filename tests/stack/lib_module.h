/*
 * lib_module.h - a service with the modules of this build, from a configuration of the test's own,
 * and decisions by it. What should not happen here is a failed cmocka assertion.
 */
#ifndef TESTS_LIB_MODULE_H
#define TESTS_LIB_MODULE_H

#include "core/error.h"
#include "stack/decide.h"

/* A test's set-up and tear-down; *state is the bench. */
int module_bench_make(void **state);
int module_bench_remove(void **state);

struct module_bench {
    char folder[32]; /* as /tmp/catlatch-XXXXXX; holds catlatch.ini and what the test puts there */
    struct config *config;          /* of the last opening; owned */
    struct stack_service *service;  /* likewise */
    struct stack_facts facts;       /* of the last decision */
    struct stack_run run;           /* likewise */
    bool is_dry;                    /* of the decisions to come */
    const char *address;            /* likewise */
    const struct usage_area *usage; /* likewise; NULL: nothing is counted */
    uint64_t now_ns;                /* likewise: the clock, 0: the caller has not read it */
    struct error error;             /* of the last opening that failed */
};

/* A path in the folder. */
const char *module_path(const struct module_bench *bench, const char *name, char ret_path[96]);
void module_write(const struct module_bench *bench, const char *name, const char *text);

/* Opens [service default] with these lines, in which '@' stands for the folder, in place of what
 * was open. */
void module_open_service(struct module_bench *bench, const char *lines);
void module_open_as(struct module_bench *bench, enum stack_host host, const char *lines);

/* Opening fails with this code, and the error has this text ('@' as above) in it. */
void module_refuses(struct module_bench *bench, enum stack_host host, int code, const char *lines,
                    const char *text);

/* Decides about a key; view NULL: there is no table. */
enum catlatch_result module_ask(struct module_bench *bench, const struct table_view *view,
                                const char *key);
enum catlatch_result module_ask_scope(struct module_bench *bench, const struct table_view *view,
                                      const char *key, const char *scope);
enum catlatch_result module_recheck(struct module_bench *bench, const struct table_view *view,
                                    const char *key);

#endif
