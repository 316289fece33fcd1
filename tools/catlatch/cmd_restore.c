/* restore: a backup takes the place of what the daemon has. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "confirm.h"
#include "output.h"
#include "progress.h"
#include "restore_file.h"
#include "restore_offline.h"
#include "value.h"

/* Below the bytes that one argument may have (PROTOCOL.md). */
#define CHUNK 61440u

/* Chunks on their way at once. */
#define WINDOW 16u

#define POLL_MS 50

/* A start after a restore of tens of millions of keys takes minutes. */
#define BEGIN_ANEW_MS (30 * 60 * 1000)

struct restoration {
    struct call *call;
    const char *path;
    int fd;
    off_t size;
    bool dry_run, accept, json;
    char id[64];
    struct progress progress;
    json_t *summary; /* what would become of the keys; then what has */
};

static int file_open(struct restoration *restoration, struct error *error)
{
    struct stat status;

    restoration->fd = open(restoration->path, O_RDONLY | O_CLOEXEC);
    if (restoration->fd < 0) {
        int code = error_errno(error, errno, "%s", restoration->path);
        return code == CATLATCH_E_NOT_FOUND ? (error->code = CATLATCH_E_IO) : code;
    }
    if (fstat(restoration->fd, &status) != 0 || !S_ISREG(status.st_mode))
        return error_set(error, CATLATCH_E_DATA, "%s is no file", restoration->path);
    restoration->size = status.st_size;
    int code = restore_file_verify(restoration->fd, NULL, error);
    return code != 0 ? error_prefix(error, "%s", restoration->path) : 0;
}

/* RESTORE and one or two words; the answer is the state. */
static int say(struct restoration *restoration, const char *word, const char *argument,
               json_t **ret_state, struct error *error)
{
    struct session_words request = {0};
    int code = session_pair(&request, "RESTORE", word, error);

    if (code == 0 && argument != NULL)
        code = session_word(&request, argument, error);
    if (code == 0)
        code = session_ask(restoration->call->session, &request, ret_state, error);
    session_words_free(&request);
    return code;
}

static int chunk_send(struct restoration *restoration, off_t at, struct error *error)
{
    struct session_words request = {0};
    static char bytes[CHUNK];
    ssize_t got;

    do
        got = pread(restoration->fd, bytes, sizeof bytes, at);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return error_set(error, CATLATCH_E_IO, "%s cannot be read: %s", restoration->path,
                         got < 0 ? strerror(errno) : "it became shorter");
    int code = session_pair(&request, "RESTORE", "DATA", error);
    if (code == 0)
        code = session_word_n(&request, bytes, (size_t)got, error);
    if (code == 0)
        code = session_send(restoration->call->session, &request, error);
    session_words_free(&request);
    return code;
}

static int chunk_answer(struct restoration *restoration, struct error *error)
{
    json_t *state = NULL;
    int code = session_receive(restoration->call->session, &state, error);

    json_decref(state);
    return code;
}

static int file_send(struct restoration *restoration, struct error *error)
{
    unsigned flying = 0;
    int code = 0;

    progress_begin("sending", "MiB", (uint64_t)restoration->size >> 20, &restoration->progress);
    for (off_t at = 0; code == 0 && at < restoration->size; at += CHUNK) {
        code = chunk_send(restoration, at, error);
        if (code == 0 && ++flying == WINDOW) {
            code = chunk_answer(restoration, error);
            flying--;
        }
        progress_show(&restoration->progress, (uint64_t)at >> 20);
    }
    for (; code == 0 && flying > 0; flying--)
        code = chunk_answer(restoration, error);
    progress_end(&restoration->progress);
    return code;
}

static int await_checked(struct restoration *restoration, struct error *error)
{
    for (;;) {
        json_t *state = NULL;
        int code = say(restoration, "STATUS", NULL, &state, error);
        if (code != 0)
            return code;
        const char *name = value_text(state, "state");
        if (strcmp(name, "ready") == 0) {
            restoration->summary = state;
            return 0;
        }
        bool checking = strcmp(name, "checking") == 0;
        if (strcmp(name, "failed") == 0)
            code = error_set(error, CATLATCH_E_DATA, "%s; nothing was changed",
                             value_text(state, "error"));
        else if (!checking)
            code = error_set(error, CATLATCH_E_UNAVAILABLE,
                             "the daemon gave the restore up; nothing was changed");
        json_decref(state);
        if (code != 0)
            return code;
        poll(NULL, 0, POLL_MS);
    }
}

/* Everything up to the question. */
static int prepare(struct restoration *restoration, struct error *error)
{
    json_t *state = NULL;
    char size[24];

    snprintf(size, sizeof size, "%lld", (long long)restoration->size);
    int code = say(restoration, "BEGIN", size, &state, error);
    if (code == 0)
        snprintf(restoration->id, sizeof restoration->id, "%s", value_text(state, "id"));
    json_decref(state);
    if (code == 0)
        code = file_send(restoration, error);
    state = NULL;
    if (code == 0)
        code = say(restoration, "CHECK", NULL, &state, error);
    json_decref(state);
    if (code == 0)
        code = await_checked(restoration, error);
    return code;
}

static json_int_t number(const json_t *summary, const char *name)
{
    return json_integer_value(json_object_get(summary, name));
}

static void count_print(FILE *stream, json_int_t count, const char *one, const char *many)
{
    fprintf(stream, "  %" JSON_INTEGER_FORMAT " %s\n", count, count == 1 ? one : many);
}

static void summary_print(FILE *stream, const json_t *summary)
{
    fprintf(stream, "a backup of %s at %s (sequence %s) with %" JSON_INTEGER_FORMAT " keys:\n",
            value_text(summary, "backup_host"), value_text(summary, "backup_time"),
            value_text(summary, "backup_sequence"), number(summary, "keys"));
    count_print(stream, number(summary, "returning"), "key returns, which is not known now",
                "keys return, which are not known now");
    count_print(stream, number(summary, "vanishing"),
                "key vanishes, which the backup does not have",
                "keys vanish, which the backup does not have");
    count_print(stream, number(summary, "changing"), "key changes", "keys change");
    if (number(summary, "widening") > 0)
        count_print(stream, number(summary, "widening"),
                    "of them will be accepted longer, earlier, more often, for more scopes or from "
                    "more addresses than now",
                    "of them will be accepted longer, earlier, more often, for more scopes or from "
                    "more addresses than now");
    if (number(summary, "owners_widening") > 0)
        count_print(stream, number(summary, "owners_widening"),
                    "owner's keys will together be accepted more often than now",
                    "owners' keys will together be accepted more often than now");
    count_print(stream, number(summary, "revoked_again") + number(summary, "kept_revoked"),
                "key was revoked since, and stays so", "keys were revoked since, and stay so");
    count_print(stream, number(summary, "disabled_again"), "key was disabled since, and stays so",
                "keys were disabled since, and stay so");
    count_print(stream, number(summary, "owners_suspended_again"),
                "owner was suspended since, and stays so",
                "owners were suspended since, and stay so");
    if (!value_true(summary, "known"))
        fprintf(stream,
                "  What was revoked since the backup is not all known: such keys would come "
                "back to life.\n");
}

/* True: go on. Otherwise *ret_status. */
static bool agreed(struct restoration *restoration, int *ret_status)
{
    static const char *const answers[] = {"yes", "no"};
    const struct options *options = &restoration->call->options;
    struct error error = {0};

    if (!value_true(restoration->summary, "known") && !restoration->accept) {
        error_set(
            &error, CATLATCH_E_CONFLICT,
            "the present store does not know all that happened since the backup was made, and "
            "keys that were revoked would come back to life; --accept-resurrection restores "
            "nevertheless. Nothing was changed");
        *ret_status = output_error(&error);
        return false;
    }
    if (option_given(options, OPTION_YES))
        return true;
    if (confirm_is_possible(false)) {
        *ret_status = 1;
        if (confirm_ask("Put the backup in the place of all that the daemon has?", answers, 2) == 0)
            return true;
        output_note("nothing was changed");
        return false;
    }
    *ret_status =
        output_usage("nobody can be asked here: restore needs --yes. Nothing was changed");
    return false;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What the daemon that began anew says: 1 not yet. */
static int outcome_take(struct restoration *restoration, json_t *state, struct error *error)
{
    const char *name = value_text(state, "state");

    if (strcmp(value_text(state, "id"), restoration->id) != 0)
        return error_set(error, CATLATCH_E_UNAVAILABLE,
                         "the restore was interrupted before it took effect; nothing was changed");
    if (strcmp(name, "failed") == 0)
        return error_set(error, CATLATCH_E_UNAVAILABLE, "%s; nothing was changed",
                         value_text(state, "error"));
    if (strcmp(name, "done") != 0)
        return 1;
    for (const char *const *kept =
             (const char *const[]){"backup_host", "backup_time", "backup_sequence", NULL};
         *kept != NULL; kept++)
        (void)json_object_set(state, *kept, json_object_get(restoration->summary, *kept));
    json_decref(restoration->summary);
    restoration->summary = json_incref(state);
    return 0;
}

static int await_outcome(struct restoration *restoration, struct error *error)
{
    int64_t end_ms = now_ms() + BEGIN_ANEW_MS;
    struct call *call = restoration->call;

    for (;;) {
        struct error ignored = {0};
        json_t *state = NULL;
        int code = 1;
        session_close(call->session);
        call->session = NULL;
        if (session_open(call->config->admin_dir, &call->session, &ignored) == 0 &&
            say(restoration, "STATUS", NULL, &state, &ignored) == 0)
            code = outcome_take(restoration, state, error);
        json_decref(state);
        if (code <= 0)
            return code;
        if (now_ms() > end_ms)
            return error_set(error, CATLATCH_E_UNAVAILABLE,
                             "the daemon does not answer since the restore began: see its log");
        poll(NULL, 0, POLL_MS);
    }
}

static int commit(struct restoration *restoration, struct error *error)
{
    json_t *state = NULL;
    int code = say(restoration, "COMMIT", restoration->accept ? "ACCEPT-RESURRECTION" : NULL,
                   &state, error);

    json_decref(state);
    if (code == 0)
        code = await_outcome(restoration, error);
    return code;
}

static int finish(struct restoration *restoration)
{
    const json_t *summary = restoration->summary;

    if (restoration->json)
        output_json(summary);
    else if (!restoration->dry_run)
        printf("restored: %" JSON_INTEGER_FORMAT
               " keys as at %s (sequence %s), and every revocation, disabling and suspension since "
               "that was known; now at sequence %s\n",
               number(summary, "keys"), value_text(summary, "backup_time"),
               value_text(summary, "backup_sequence"), value_text(summary, "sequence"));
    if (restoration->dry_run || !output_was_lost())
        return EX_OK;
    fputs("the backup is restored\n", stderr);
    return EX_IOERR;
}

static void show(const struct restoration *restoration)
{
    if (restoration->json)
        return;
    summary_print(restoration->dry_run ? stdout : stderr, restoration->summary);
}

static int run_online(struct restoration *restoration)
{
    struct error error = {0};
    int status = EX_OK;
    int code = prepare(restoration, &error);

    if (code != 0)
        return output_error(&error);
    show(restoration);
    if (restoration->dry_run)
        return finish(restoration);
    if (!agreed(restoration, &status))
        return status;
    code = commit(restoration, &error);
    return code != 0 ? output_error(&error) : finish(restoration);
}

/* Once to show, once to do it: nobody changes anything between the two but another such tool. */
static int run_offline(struct restoration *restoration)
{
    struct call *call = restoration->call;
    struct error error = {0};
    int status = EX_OK;
    int code = restore_offline(call, restoration->fd, true, restoration->accept, &status,
                               &restoration->summary, &error);

    if (code != 0)
        return output_error(&error);
    if (status != EX_OK)
        return status;
    show(restoration);
    if (restoration->dry_run)
        return finish(restoration);
    if (!agreed(restoration, &status))
        return status;
    json_decref(restoration->summary);
    restoration->summary = NULL;
    code = restore_offline(call, restoration->fd, false, restoration->accept, &status,
                           &restoration->summary, &error);
    if (code != 0)
        return output_error(&error);
    return status != EX_OK ? status : finish(restoration);
}

int cmd_restore(struct call *call)
{
    struct restoration restoration = {
        .call = call,
        .path = call->options.operands[0],
        .fd = -1,
        .dry_run = option_given(&call->options, OPTION_DRY_RUN),
        .accept = option_given(&call->options, OPTION_ACCEPT_RESURRECTION),
        .json = option_given(&call->options, OPTION_JSON),
    };
    struct error error = {0};
    int code = call_configure(call, &error), status;

    if (code == 0)
        code = file_open(&restoration, &error);
    if (code == 0)
        code = session_open(call->config->admin_dir, &call->session, &error);
    if (code == 0)
        status = run_online(&restoration);
    else if (code == CATLATCH_E_UNAVAILABLE)
        status = run_offline(&restoration);
    else
        status = output_error(&error);
    json_decref(restoration.summary);
    if (restoration.fd >= 0)
        close(restoration.fd);
    return status;
}
