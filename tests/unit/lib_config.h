/*
 * lib_config.h - a folder of its own with catlatch.ini and drop-ins for each test, and what reading
 * it should give. All but make and remove fail the test that calls them.
 */
#ifndef TESTS_LIB_CONFIG_H
#define TESTS_LIB_CONFIG_H

#include "core/config.h"

struct config_folder {
    char path[64];
    char file[96]; /* catlatch.ini in it */
};

/* What *ret_config holds before a call that must not touch it. */
#define CONFIG_UNTOUCHED ((struct config *)(uintptr_t)16)

/* A test's set-up and tear-down; *state is the folder. */
int config_folder_make(void **state);
int config_folder_remove(void **state);

void config_folder_path(const struct config_folder *folder, const char *name, char ret_path[256]);
void config_folder_add(const struct config_folder *folder, const char *name);
void config_folder_write(const struct config_folder *folder, const char *name, const char *text);

/* The caller frees it. */
struct config *config_folder_read(const struct config_folder *folder);
struct config *config_folder_read_text(const struct config_folder *folder, const char *text);

/* Reading fails with the code and leaves *ret_config alone, and the error begins with message, in
 * which '@' stands for the folder. */
void config_folder_fails(const struct config_folder *folder, int code, const char *message);

/* With this text as catlatch.ini it fails as E_CONFIG. */
void config_folder_refuses(const struct config_folder *folder, const char *text,
                           const char *message);

#endif
