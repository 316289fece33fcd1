#include "lib_module.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../unit/lib_modules.h"

int module_bench_make(void **state)
{
    struct module_bench *bench = calloc(1, sizeof *bench);

    if (bench == NULL)
        return -1;
    strcpy(bench->folder, "/tmp/catlatch-XXXXXX");
    *state = bench;
    return mkdtemp(bench->folder) != NULL && chmod(bench->folder, 0755) == 0 ? 0 : -1;
}

static void close_service(struct module_bench *bench)
{
    stack_close(bench->service);
    config_free(bench->config);
    bench->service = NULL;
    bench->config = NULL;
}

int module_bench_remove(void **state)
{
    struct module_bench *bench = *state;
    char command[64];

    close_service(bench);
    snprintf(command, sizeof command, "rm -rf %s", bench->folder);
    free(bench);
    return system(command);
}

const char *module_path(const struct module_bench *bench, const char *name, char ret_path[96])
{
    snprintf(ret_path, 96, "%s/%s", bench->folder, name);
    return ret_path;
}

/* '@' becomes the folder. */
static void fill_in(const struct module_bench *bench, const char *text, char *ret, size_t size)
{
    size_t len = 0;

    for (*ret = '\0'; *text != '\0'; text++) {
        const char *part = *text == '@' ? bench->folder : text;
        len += (size_t)snprintf(ret + len, size - len, "%.*s", *text == '@' ? PATH_MAX : 1, part);
        assert_in_range(len, 0, size - 1);
    }
}

void module_write(const struct module_bench *bench, const char *name, const char *text)
{
    char path[96];
    FILE *file = fopen(module_path(bench, name, path), "we");

    assert_non_null(file);
    assert_int_not_equal(fputs(text, file), EOF);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0644), 0);
}

static int try_open(struct module_bench *bench, enum stack_host host, const char *lines,
                    struct error *error)
{
    char text[8192], path[96];
    int len;

    close_service(bench);
    len = snprintf(text, sizeof text,
                   "[daemon]\nmodule_dir = %s\nrun_dir = %s/run\n[service default]\n",
                   test_modules(), bench->folder);
    fill_in(bench, lines, text + len, sizeof text - (size_t)len);
    module_write(bench, "catlatch.ini", text);
    int r = config_read_without_accounts(module_path(bench, "catlatch.ini", path), &bench->config,
                                         error);
    return r == 0 ? stack_open(bench->config, "default", host, &bench->service, error) : r;
}

void module_open_as(struct module_bench *bench, enum stack_host host, const char *lines)
{
    struct error error = {.text = ""};

    if (try_open(bench, host, lines, &error) != 0)
        fail_msg("refused: %s", error.text);
}

void module_open_service(struct module_bench *bench, const char *lines)
{
    module_open_as(bench, STACK_HOST_ANY, lines);
}

void module_refuses(struct module_bench *bench, enum stack_host host, int code, const char *lines,
                    const char *text)
{
    char expected[1024];

    bench->error.text[0] = '\0';
    assert_int_equal(try_open(bench, host, lines, &bench->error), code);
    fill_in(bench, text, expected, sizeof expected);
    if (strstr(bench->error.text, expected) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", expected, bench->error.text);
}

static enum catlatch_result decide(struct module_bench *bench, const struct table_view *view)
{
    memset(&bench->facts, 0, sizeof bench->facts);
    bench->run.facts = &bench->facts;
    bench->run.usage = bench->usage;
    bench->run.now_ns = bench->now_ns;
    return stack_decide(&bench->run, view);
}

enum catlatch_result module_ask_scope(struct module_bench *bench, const struct table_view *view,
                                      const char *key, const char *scope)
{
    const struct stack_request request = {.key = key,
                                          .key_len = strlen(key),
                                          .scopes = &scope,
                                          .scope_count = scope != NULL,
                                          .address = bench->address,
                                          .is_dry = bench->is_dry};

    stack_prepare(bench->service, &request, &bench->run);
    return decide(bench, view);
}

enum catlatch_result module_ask(struct module_bench *bench, const struct table_view *view,
                                const char *key)
{
    return module_ask_scope(bench, view, key, NULL);
}

enum catlatch_result module_recheck(struct module_bench *bench, const struct table_view *view,
                                    const char *key)
{
    const struct stack_request request = {.address = bench->address, .is_dry = true};
    struct digest digest;

    digest_of(key, strlen(key), &digest);
    stack_prepare_known(bench->service, &request, &digest, &bench->run);
    return decide(bench, view);
}
