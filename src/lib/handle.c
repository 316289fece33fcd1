#include "lib/handle.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/config.h"
#include "core/result.h"
#include "lib/sized.h"

/* A table that must not be believed keeps nobody from a service that asks none: the daemon decides
 * by the module `socket` where its user is not known. Such a handle never attaches. */
static int open_table(struct catlatch *handle, const struct config *config, struct error *error)
{
    int r = attach_init(&handle->attach, config->run_dir, config->user, error);

    return r == CATLATCH_E_PERMISSION && handle->service->table_lines == 0 ? 0 : r;
}

static int handle_init(struct catlatch *handle, const struct catlatch_options *options,
                       struct error *error)
{
    const char *path = options->config_path != NULL ? options->config_path : config_default_path();
    const char *name = options->service != NULL ? options->service : "default";
    enum stack_host host =
        (options->flags & CATLATCH_OPEN_NEVER_BLOCK) != 0 ? STACK_HOST_LOOP : STACK_HOST_ANY;
    struct config *config = NULL;

    int r = config_read_without_accounts(path, &config, error);
    if (r == 0)
        r = stack_open(config, name, host, &handle->service, error);
    if (r == 0)
        r = open_table(handle, config, error);
    if (r == 0) {
        handle->record_address = config->record_address;
        handle->refresh_patience_ms =
            host == STACK_HOST_LOOP ? RECORDS_PATIENCE_MS : RECORDS_PATIENCE_REFRESH_MS;
    }
    if (r == 0)
        r = records_init(&handle->records, error);
    if (r != 0)
        stack_close(handle->service);
    config_free(config);
    return r;
}

static bool refresh(struct catlatch *handle, unsigned patience_ms)
{
    bool attached = attach_refresh(&handle->attach, attach_clock_ms()) != NULL;

    records_follow(&handle->records, &handle->attach, patience_ms, true);
    return attached;
}

static int handle_new(const struct catlatch_options *options, struct catlatch **ret_handle,
                      struct error *error)
{
    if (ret_handle == NULL || options == NULL ||
        !sized_is_understood(options, options->size, SIZED_OPTIONS, sizeof *options) ||
        (options->flags & ~(uint64_t)CATLATCH_OPEN_NEVER_BLOCK) != 0)
        return error_set(error, CATLATCH_E_ARGUMENT,
                         "catlatch_open needs a place for the handle, and options whose size is "
                         "set and whose members this version of the library knows");
    struct catlatch *handle = calloc(1, sizeof *handle);
    if (handle == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory for a handle");
    int r = handle_init(handle, options, error);
    if (r != 0) {
        free(handle);
        return r;
    }
    refresh(handle, RECORDS_PATIENCE_OPEN_MS);
    *ret_handle = handle;
    return 0;
}

LIB_EXPORT int catlatch_open(const struct catlatch_options *options, struct catlatch **ret_handle,
                             char *message, size_t message_size)
{
    struct error error = {0};
    int r = handle_new(options, ret_handle, &error);
    if (r != 0 && message != NULL && message_size > 0)
        snprintf(message, message_size, "%s", error.text);
    return r;
}

LIB_EXPORT int catlatch_refresh(struct catlatch *handle)
{
    if (handle == NULL)
        return CATLATCH_E_ARGUMENT;
    return refresh(handle, handle->refresh_patience_ms) ? 0 : CATLATCH_E_UNAVAILABLE;
}

LIB_EXPORT void catlatch_close(struct catlatch *handle)
{
    if (handle == NULL)
        return;
    records_end(&handle->records, &handle->attach);
    attach_end(&handle->attach);
    stack_close(handle->service);
    free(handle);
}

LIB_EXPORT const char *catlatch_fact(const struct catlatch *handle, const char *name)
{
    return handle != NULL && name != NULL ? facts_get(&handle->facts, name) : NULL;
}

LIB_EXPORT const char *catlatch_result_name(enum catlatch_result result)
{
    return result_name(result);
}

LIB_EXPORT int catlatch_result_http_status(enum catlatch_result result)
{
    return result_http_status(result);
}

LIB_EXPORT const char *catlatch_strerror(int error)
{
    return error_meaning(error);
}
