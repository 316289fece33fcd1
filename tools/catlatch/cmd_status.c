/* status, configtest, reload: the daemon and its configuration. */
#include <stdio.h>
#include <sysexits.h>

#include "commands.h"
#include "output.h"
#include "stack/check.h"
#include "value.h"

static json_int_t number(const json_t *stats, const char *name)
{
    return json_integer_value(json_object_get(stats, name));
}

static json_t *span_text(json_int_t seconds)
{
    if (seconds >= 86400)
        return json_sprintf("%" JSON_INTEGER_FORMAT "d %" JSON_INTEGER_FORMAT "h", seconds / 86400,
                            seconds % 86400 / 3600);
    if (seconds >= 3600)
        return json_sprintf("%" JSON_INTEGER_FORMAT "h %" JSON_INTEGER_FORMAT "m", seconds / 3600,
                            seconds % 3600 / 60);
    return json_sprintf("%" JSON_INTEGER_FORMAT "m %" JSON_INTEGER_FORMAT "s", seconds / 60,
                        seconds % 60);
}

static json_t *table_text(const json_t *stats)
{
    return json_sprintf("generation %" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
                        " of %" JSON_INTEGER_FORMAT " slots used, %.1f MiB%s",
                        number(stats, "generation"), number(stats, "slots_used"),
                        number(stats, "slot_count"),
                        (double)number(stats, "table_bytes") / 1048576.0,
                        value_true(stats, "growing") ? ", growing" : "");
}

/* The counters that a person asks about first; --json has them all. */
static json_t *stats_summary(const json_t *stats)
{
    return json_pack(
        "{so so so sO so sO sO sO}", "daemon",
        json_sprintf("catlatchd %s on %s, pid %" JSON_INTEGER_FORMAT, value_text(stats, "version"),
                     value_text(stats, "host"), number(stats, "pid")),
        "up", span_text(number(stats, "uptime_s")), "table", table_text(stats), "keys",
        json_object_get(stats, "keys"), "sequence",
        json_sprintf("%" JSON_INTEGER_FORMAT ":%" JSON_INTEGER_FORMAT, number(stats, "epoch"),
                     number(stats, "sequence")),
        "changes", json_object_get(stats, "changes"), "verified",
        json_object_get(stats, "verified"), "clients", json_object_get(stats, "clients"));
}

static int stats_print(const json_t *stats, struct error *error)
{
    json_t *summary = stats_summary(stats);
    int code;

    if (summary == NULL)
        return error_set(error, CATLATCH_E_UNAVAILABLE, "the daemon's counters are incomplete");
    code = output_record(stdout, summary, error);
    json_decref(summary);
    return code;
}

int cmd_status(struct call *call)
{
    struct session_words request = {0};
    struct error error = {0};
    json_t *stats = NULL;
    int code = call_connect(call, &error);

    if (code == 0)
        code = session_word(&request, "STATS", &error);
    if (code == 0)
        code = session_ask(call->session, &request, &stats, &error);
    if (code == 0 && option_given(&call->options, OPTION_JSON))
        output_json(stats);
    else if (code == 0)
        code = stats_print(stats, &error);
    session_words_free(&request);
    json_decref(stats);
    return code != 0 ? output_error(&error) : EX_OK;
}

int cmd_configtest(struct call *call)
{
    const char *path = call_config_path(call);
    struct error error = {0};
    int code = config_read(path, &call->config, &error);

    if (code == 0)
        code = stack_check(call->config, &error);
    if (code != 0) {
        (void)call_config_error(&error);
        return output_error(&error);
    }
    if (option_given(&call->options, OPTION_JSON)) {
        json_t *answer = json_pack("{ss sb sI}", "file", call->config->path, "valid", 1, "services",
                                   (json_int_t)call->config->service_count);
        output_json(answer);
        json_decref(answer);
    } else {
        printf("%s: good (files read: %zu, services: %zu)\n", call->config->path,
               call->config->file_count, call->config->service_count);
    }
    return EX_OK;
}

int cmd_reload(struct call *call)
{
    struct session_words request = {0};
    struct error error = {0};
    int code = call_connect(call, &error);

    if (code == 0)
        code = session_word(&request, "RELOAD", &error);
    if (code == 0)
        code = session_send(call->session, &request, &error);
    if (code == 0)
        code = session_receive_ok(call->session, &error);
    session_words_free(&request);
    if (code != 0)
        return output_error(&error);
    puts(option_given(&call->options, OPTION_JSON) ? "{\"reloaded\":true}" : "reloaded");
    if (!output_was_lost())
        return EX_OK;
    fputs("reloaded\n", stderr);
    return EX_IOERR;
}
