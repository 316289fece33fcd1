/*
 * lib_script.h - services of test modules (modules/script.h), opened from a text and asked.
 *
 * Failing to set any of it up is a failed cmocka assertion.
 */
#ifndef TESTS_STACK_LIB_SCRIPT_H
#define TESTS_STACK_LIB_SCRIPT_H

#include "core/config.h"
#include "stack/decide.h"
#include "tests/stack/record.h"

struct script_world {
    char folder[64];  /* removed in the end; on a tmpfs where there is one */
    char modules[80]; /* the test modules, mode 0644 */
};

void script_world_open(struct script_world *world);
void script_world_close(struct script_world *world);

/* The path of NAME.so in the modules' folder. */
void script_path(const struct script_world *world, const char *name, char ret_path[160]);

/* A copy of the module NAME that was built, as NAME.so of the folder; what stood there is gone. */
void script_install(const struct script_world *world, const char *name);

void script_copy(const char *from, const char *to, mode_t mode);

/* A configuration as config_read would make it of `text`, lines as long as they like: "/t.ini" with
 * "[NAME]" for a service, and "control = text" lines. The caller frees it. */
struct config *script_config(const struct script_world *world, const char *text);
void script_config_free(struct config *config);

/* The service `default` of such a text. The record is empty afterwards. The caller closes it. */
struct stack_service *script_open(const struct script_world *world, const char *text);

/* Opening it fails with the code and exactly this message, and makes nothing that stays. */
void script_refused(const struct script_world *world, const char *text, int code,
                    const char *message);

/* Asks about a text without a table; the record is emptied before. */
enum catlatch_result script_ask(struct stack_service *service);
enum catlatch_result script_ask_with(struct stack_service *service,
                                     const struct stack_request *request,
                                     struct stack_trace *trace);

/* Opens, asks, and closes. */
enum catlatch_result script_outcome(const struct script_world *world, const char *text);

/* The calls of the record as words, those whose letter is in `calls`: "v1 v2 s1 f1=valid". Static
 * until the next. */
const char *record_words(const char *calls);

void record_clear(void);

#endif
