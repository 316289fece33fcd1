/* scan: finds leaked keys in files, without a daemon. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "commands.h"
#include "core/config_environments.h"
#include "core/text.h"
#include "guard.h"
#include "output.h"
#include "scan_files.h"

#define EXIT_FOUND 1

/* Of a longer name, errors show the end: they have to hold the reason as well. */
#define NAME_IN_ERROR_MAX 400

/* The longest UTF-8 sequence, and a byte as \xNN. */
#define UTF8_MAX 4
#define ESCAPED_SIZE 4

struct scanning {
    bool json;
    struct output_array array;
    uint64_t found_count;
    int failure; /* exit status of the first; EX_OK: none */
    bool out_of_memory;
};

/* How long the printable character at this place is; 0: it is none. */
static size_t printable_len(const char *text, size_t len)
{
    for (size_t n = 1; n <= UTF8_MAX && n <= len; n++)
        if (text_is_printable_utf8(text, n))
            return n;
    return 0;
}

/* A file's name as one harmless line, with \xNN for what is not printable. The caller frees it. */
static char *name_escaped(const char *name)
{
    size_t len = strlen(name);
    char *text = malloc(ESCAPED_SIZE * len + 1), *end = text;

    if (text == NULL)
        return NULL;
    for (size_t at = 0; at < len;) {
        size_t n = printable_len(name + at, len - at);
        if (n == 0)
            end += sprintf(end, "\\x%02x", (unsigned char)name[at++]);
        for (; n > 0; n--)
            *end++ = name[at++];
    }
    *end = '\0';
    return text;
}

static void print_line(struct scanning *scanning, const char *file,
                       const struct scan_finding *finding)
{
    char *name = name_escaped(file);

    if (name == NULL)
        scanning->out_of_memory = true;
    else
        printf("%s:%" PRIu64 ": %.*s\u2026\n", name, finding->line, (int)KEY_SHOWN_LEN,
               finding->text);
    free(name);
}

/* JSON is UTF-8 and knows how to write control characters; other names are shown as in print_line.
 */
static json_t *name_value(const char *file)
{
    json_t *value = json_string(file);
    char *escaped;

    if (value != NULL)
        return value;
    escaped = name_escaped(file);
    value = escaped != NULL ? json_string(escaped) : NULL;
    free(escaped);
    return value;
}

static void print_json(struct scanning *scanning, const char *file,
                       const struct scan_finding *finding)
{
    json_t *value =
        json_pack("{so sI sI ss% ss}", "file", name_value(file), "line", (json_int_t)finding->line,
                  "column", (json_int_t)finding->column, "prefix", finding->text,
                  (size_t)KEY_SHOWN_LEN, "environment", finding->environment->name);

    if (value == NULL)
        scanning->out_of_memory = true;
    else
        output_array_add(&scanning->array, value);
    json_decref(value);
}

static void on_found(void *context, const char *file, const struct scan_finding *finding)
{
    struct scanning *scanning = context;

    scanning->found_count++;
    if (scanning->json)
        print_json(scanning, file, finding);
    else
        print_line(scanning, file, finding);
}

/* 1 says that keys were found, so a file that isn't there is an input error like others. */
static int failure_status(int code)
{
    int status = error_exit_status(code);

    return status == EX_NOPERM || status == EX_DATAERR ? status : EX_IOERR;
}

static void on_failed(void *context, const char *file, const struct error *error)
{
    struct scanning *scanning = context;
    char *name = name_escaped(file);
    const char *shown = name != NULL ? name : "";
    size_t len = strlen(shown);
    bool cut = len > NAME_IN_ERROR_MAX;

    if (cut)
        shown += len - NAME_IN_ERROR_MAX;
    while (cut && ((unsigned char)*shown & 0xC0) == 0x80)
        shown++;
    output_note("%s%s: %s", cut ? "..." : "", *file != '\0' ? shown : "\"\"", error->text);
    if (scanning->failure == EX_OK)
        scanning->failure = failure_status(error->code);
    free(name);
}

/* A configuration that was named must be good; the default one is taken if it can be had. */
static int environments_find(struct call *call, struct key_environments *ret_environments,
                             struct error *error)
{
    int code = call_configure(call, error);

    if (code == 0) {
        *ret_environments = call->config->environments;
        return 0;
    }
    if (code == CATLATCH_E_ARGUMENT || code == CATLATCH_E_MEMORY || call_config_named(call) != NULL)
        return code;
    environments_default(ret_environments);
    if (access(config_default_path(), F_OK) == 0)
        output_note("%s; looking for the default prefixes", error->text);
    return guard_arguments(call->argc, call->argv, ret_environments, error);
}

static int paths_scan(const struct call *call, struct scan_files *files,
                      const struct scanning *scanning, struct error *error)
{
    int code = 0;

    for (size_t i = 0; i < call->options.operand_count && code == 0; i++)
        code = scan_files_path(files, call->options.operands[i], error);
    if (code == 0 && scanning->out_of_memory)
        code = error_set(error, CATLATCH_E_MEMORY, "out of memory");
    if (code == CATLATCH_E_NOT_FOUND)
        error->code = code = CATLATCH_E_IO; /* as in failure_status */
    return code;
}

static void print_summary(const struct scanning *scanning, const struct scan_files *files)
{
    if (!isatty(STDERR_FILENO))
        return;
    (void)output_flush();
    output_note("%" PRIu64 " key%s found in %" PRIu64 " file%s, %.1f MB%s", scanning->found_count,
                scanning->found_count == 1 ? "" : "s", files->file_count,
                files->file_count == 1 ? "" : "s", (double)files->byte_count / 1e6,
                scanning->failure != EX_OK ? "; something could not be read" : "");
}

int cmd_scan(struct call *call)
{
    struct scanning scanning = {.json = option_given(&call->options, OPTION_JSON)};
    const struct scan_listener listener = {on_found, on_failed, &scanning};
    struct key_environments environments;
    struct scan_rules rules;
    struct scan_files files = {0};
    struct error error = {0};
    int code = environments_find(call, &environments, &error);

    if (code == 0) {
        scan_rules_make(&environments, &rules);
        code = scan_files_begin(&rules, &listener, &files, &error);
    }
    if (code == 0) {
        code = paths_scan(call, &files, &scanning, &error);
        if (scanning.json)
            output_array_end(&scanning.array);
    }
    scan_files_end(&files);
    if (code != 0)
        return output_error(&error);
    print_summary(&scanning, &files);
    return scanning.found_count > 0 ? EXIT_FOUND : scanning.failure;
}
