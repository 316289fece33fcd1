#include "lib_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

int config_folder_make(void **state)
{
    struct config_folder *folder = test_malloc(sizeof *folder);

    strcpy(folder->path, "/tmp/catlatch-config-XXXXXX");
    if (mkdtemp(folder->path) == NULL)
        return -1;
    snprintf(folder->file, sizeof folder->file, "%s/catlatch.ini", folder->path);
    *state = folder;
    return 0;
}

int config_folder_remove(void **state)
{
    struct config_folder *folder = *state;
    char command[128];
    int status;

    snprintf(command, sizeof command, "rm -rf %s", folder->path);
    status = system(command);
    test_free(folder);
    return status;
}

void config_folder_path(const struct config_folder *folder, const char *name, char ret_path[256])
{
    snprintf(ret_path, 256, "%s/%s", folder->path, name);
}

void config_folder_add(const struct config_folder *folder, const char *name)
{
    char path[256];

    config_folder_path(folder, name, path);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(chmod(path, 0755), 0);
}

void config_folder_write(const struct config_folder *folder, const char *name, const char *text)
{
    char path[256];
    FILE *stream;

    config_folder_path(folder, name, path);
    stream = fopen(path, "w");
    assert_non_null(stream);
    assert_int_not_equal(fputs(text, stream), EOF);
    assert_int_equal(fclose(stream), 0);
    assert_int_equal(chmod(path, 0644), 0);
}

struct config *config_folder_read(const struct config_folder *folder)
{
    struct config *config = CONFIG_UNTOUCHED;
    struct error error = {.text = ""};

    if (config_read(folder->file, &config, &error) != 0)
        fail_msg("refused: %s", error.text);
    return config;
}

struct config *config_folder_read_text(const struct config_folder *folder, const char *text)
{
    config_folder_write(folder, "catlatch.ini", text);
    return config_folder_read(folder);
}

void config_folder_fails(const struct config_folder *folder, int code, const char *message)
{
    struct config *config = CONFIG_UNTOUCHED;
    struct error error = {.text = ""};
    char expected[1024] = "";
    size_t len = 0;

    for (; *message != '\0'; message++)
        len += (size_t)snprintf(expected + len, sizeof expected - len, "%.*s",
                                *message == '@' ? 64 : 1, *message == '@' ? folder->path : message);
    assert_int_equal(config_read(folder->file, &config, &error), code);
    assert_int_equal(error.code, code);
    assert_ptr_equal(config, CONFIG_UNTOUCHED);
    if (strncmp(error.text, expected, len) != 0)
        fail_msg("\"%s\" does not begin with \"%s\"", error.text, expected);
}

void config_folder_refuses(const struct config_folder *folder, const char *text,
                           const char *message)
{
    config_folder_write(folder, "catlatch.ini", text);
    config_folder_fails(folder, CATLATCH_E_CONFIG, message);
}
