/* import: keys from elsewhere. Every line is checked before the first key is applied. */
#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "delivery.h"
#include "import_check.h"
#include "import_send.h"
#include "output.h"
#include "progress.h"
#include "stack/service.h"
#include "value.h"

struct importing {
    struct call *call;
    struct import_rules rules;
    struct import_lines lines;
    struct import_spool spool;
    bool asides; /* --skip-bad */
    struct delivery aside;
    bool skips;
    bool tries;
    uint64_t bad;
    uint64_t foreign;
    bool was_empty; /* the store */
    struct import_sending sending;
};

static int bits_read(const char *text, uint32_t *ret_bits, struct error *error)
{
    char *end;
    unsigned long bits = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || bits == 0 || bits > IMPORT_BITS_MAX)
        return error_set(error, CATLATCH_E_ARGUMENT, "--assume-bits takes a number from 1 to %u",
                         IMPORT_BITS_MAX);
    *ret_bits = (uint32_t)bits;
    return 0;
}

static int options_take(struct importing *importing, struct error *error)
{
    const struct options *options = &importing->call->options;
    const char *conflict = option_text(options, OPTION_ON_CONFLICT);
    const char *bits = option_text(options, OPTION_ASSUME_BITS);
    struct import_rules *rules = &importing->rules;
    int code = 0;

    importing->skips = conflict != NULL && strcmp(conflict, "skip") == 0;
    importing->tries = option_given(options, OPTION_TRY);
    importing->asides = option_given(options, OPTION_SKIP_BAD);
    rules->force = option_given(options, OPTION_FORCE);
    if (conflict != NULL && !importing->skips && strcmp(conflict, "fail") != 0)
        code = error_set(error, CATLATCH_E_ARGUMENT, "--on-conflict takes fail or skip");
    if (code == 0 && bits != NULL)
        code = bits_read(bits, &rules->assumed_bits, error);
    if (code == 0 && bits != NULL && rules->assumed_bits < IMPORT_BITS_MIN && !rules->force)
        code = error_set(error, CATLATCH_E_ARGUMENT,
                         "keys of %u bits can be found by trying, by whoever reads the table; "
                         "under %u needs --force",
                         (unsigned)rules->assumed_bits, IMPORT_BITS_MIN);
    return code;
}

/* May we, and is there anything? Asked before hours of checking, not after. */
static int daemon_ask(struct importing *importing, struct error *error)
{
    struct session_words request = {0};
    json_t *page = NULL;
    int code = session_word(&request, "KEY.EXPORT", error);

    if (code == 0)
        code = session_pair(&request, "LIMIT", "1", error);
    if (code == 0)
        code = session_ask(importing->call->session, &request, &page, error);
    session_words_free(&request);
    importing->was_empty = code == 0 && json_array_size(json_object_get(page, "keys")) == 0 &&
                           *value_text(page, "cursor") == '\0';
    json_decref(page);
    return code;
}

static int aside_write(struct importing *importing, const char *text, size_t len,
                       struct error *error)
{
    size_t done = 0;

    importing->aside.used = true;
    while (done < len) {
        ssize_t n = write(importing->aside.fd, text + done, len - done);
        if (n < 0 && errno != EINTR)
            return error_errno(error, errno, "writing %s", importing->aside.path);
        if (n > 0)
            done += (size_t)n;
    }
    return 0;
}

/* A line that is not taken: set aside with all that follows of it, or the end. */
static int line_refuse(struct importing *importing, const struct import_checked *checked,
                       struct error *error)
{
    struct import_lines *lines = &importing->lines;
    const char *text = checked->text;
    size_t len = checked->len;
    bool more = checked->more;
    struct error ignored;
    int code;

    if (!importing->asides)
        return error_prefix(error, "line %" PRIu64 " of %s", checked->number, lines->name);
    importing->bad++;
    code = aside_write(importing, text, len, error);
    while (code == 0 && more) {
        code = import_lines_next(lines, &text, &len, &more, &ignored);
        if (code == CATLATCH_E_DATA)
            code = text != NULL ? aside_write(importing, text, len, error) : 0;
        else if (code != 0)
            *error = ignored;
    }
    return code != 0 ? code : aside_write(importing, "\n", 1, error);
}

static int line_take(struct importing *importing, const struct import_checked *checked,
                     struct error *error)
{
    int code = import_spool_add(&importing->spool, &checked->line, checked->number, error);

    if (code == 0 && checked->line.foreign)
        importing->foreign++;
    return code;
}

static int lines_take(struct importing *importing, struct import_check *check, struct error *error)
{
    const struct import_lines *lines = &importing->lines;
    const struct import_checked *checked;
    struct progress progress;
    int code;

    progress_begin("checking", "bytes", lines->total_bytes, &progress);
    do {
        code = import_check_next(check, &checked, error);
        if (code == 0 && checked != NULL)
            code = line_take(importing, checked, error);
        if (code == CATLATCH_E_DATA)
            code = line_refuse(importing, checked, error);
        progress_show(&progress, lines->read_bytes);
    } while (code == 0 && checked != NULL);
    progress_end(&progress);
    return code;
}

static int check_all(struct importing *importing, struct error *error)
{
    struct import_check *check = NULL;
    int code = import_check_open(&importing->rules, &importing->lines, &check, error);

    if (code == 0)
        code = lines_take(importing, check, error);
    import_check_close(check);
    return code != 0 ? code : import_spool_end(&importing->spool, error);
}

/* Keys issued elsewhere have no check digits. */
static void format_warn(const struct importing *importing, const char *name)
{
    if (stack_mentions(importing->call->config, name, "format", "foreign=allow"))
        output_note("service %s: its `format` would refuse %" PRIu64
                    " of these keys, which were issued elsewhere and have no check digits",
                    name, importing->foreign);
}

static void formats_warn(const struct importing *importing)
{
    const struct config *config = importing->call->config;

    if (importing->foreign == 0)
        return;
    if (config_service(config, "default") == NULL)
        format_warn(importing, "default");
    for (size_t i = 0; i < config->service_count; i++)
        format_warn(importing, config->services[i].name);
}

/* The session that asked may have been closed as idle meanwhile. */
static int session_renew(struct call *call, struct error *error)
{
    session_close(call->session);
    call->session = NULL;
    return session_open(call->config->admin_dir, &call->session, error);
}

static int send_once(struct importing *importing, bool tries, struct error *error)
{
    struct import_sending *sending = &importing->sending;
    struct progress progress;
    int code;

    json_decref(sending->last);
    *sending = (struct import_sending){
        .session = importing->call->session,
        .spool = &importing->spool,
        .skips = importing->skips,
        .forced = importing->rules.force,
        .tries = tries,
        .expects = !tries && (importing->was_empty || !importing->skips),
    };
    progress_begin(tries ? "comparing" : "importing", "keys", importing->spool.key_count,
                   &progress);
    code = import_send(sending, &progress, error);
    progress_end(&progress);
    return code;
}

static int apply_failed(const struct importing *importing, struct error *error)
{
    const struct import_sending *sending = &importing->sending;
    bool there = error->code == CATLATCH_E_CONFLICT && !importing->skips;

    if (importing->tries)
        return error->code;
    if (sending->imported == 0 && error->code != CATLATCH_E_UNAVAILABLE)
        return error_prefix(error, "nothing was imported%s",
                            there ? " (--on-conflict skip passes over keys that are there)" : "");
    return error_prefix(error,
                        "%" PRIu64 " of %" PRIu64 " keys were imported; run it again with "
                        "--on-conflict skip and the others follow",
                        sending->imported, importing->spool.key_count);
}

/* With `fail`, a key that is there already is found before the first is applied; in an empty store
 * there is none. */
static int apply_all(struct importing *importing, struct error *error)
{
    int code = session_renew(importing->call, error);

    if (code == 0 && (importing->tries || (!importing->skips && !importing->was_empty))) {
        code = send_once(importing, true, error);
        importing->sending.imported = code == 0 ? importing->sending.imported : 0;
    }
    if (code == 0 && !importing->tries)
        code = send_once(importing, false, error);
    return code != 0 ? apply_failed(importing, error) : 0;
}

static void result_json(const struct importing *importing)
{
    const struct import_sending *sending = &importing->sending;
    json_t *answer = json_pack("{sb sI sI sI sI}", "dry_run", importing->tries, "imported",
                               (json_int_t)sending->imported, "skipped",
                               (json_int_t)sending->skipped, "bad", (json_int_t)importing->bad,
                               "under_suspended_owner", (json_int_t)sending->under_suspended_owner);
    static const char *const moment[] = {"host", "time", "sequence", "generation"};

    for (size_t i = 0; answer != NULL && i < sizeof moment / sizeof *moment; i++)
        (void)json_object_set(answer, moment[i], json_object_get(sending->last, moment[i]));
    output_json(answer);
    json_decref(answer);
}

static void result_print(const struct importing *importing)
{
    const struct import_sending *sending = &importing->sending;
    const char *plural = sending->imported == 1 ? "" : "s";

    if (importing->tries)
        printf("%" PRIu64 " key%s would be imported", sending->imported, plural);
    else
        printf("%" PRIu64 " key%s imported", sending->imported, plural);
    if (sending->skipped > 0)
        printf(", %" PRIu64 " %s there already", sending->skipped,
               sending->skipped == 1 ? "was" : "were");
    if (importing->bad > 0)
        printf(", %" PRIu64 " bad line%s set aside in %s", importing->bad,
               importing->bad == 1 ? "" : "s", importing->aside.path);
    if (sending->last != NULL && !importing->tries)
        printf(", on %s at %s (sequence %s, generation %" JSON_INTEGER_FORMAT ")",
               value_text(sending->last, "host"), value_text(sending->last, "time"),
               value_text(sending->last, "sequence"),
               json_integer_value(json_object_get(sending->last, "generation")));
    putchar('\n');
    if (sending->under_suspended_owner > 0)
        output_note("%" PRIu64 " of them %s refused, because their owners are suspended",
                    sending->under_suspended_owner, importing->tries ? "would be" : "are");
}

static int aside_sync(const struct importing *importing, struct error *error)
{
    const struct delivery *aside = &importing->aside;

    if (importing->bad > 0 && (fsync(aside->fd) != 0 || fsync(aside->folder_fd) != 0))
        return error_errno(error, errno, "writing %s", aside->path);
    return 0;
}

static int import_run(struct importing *importing, struct error *error)
{
    const struct options *options = &importing->call->options;
    int code = options_take(importing, error);

    if (code == 0)
        code = call_connect(importing->call, error);
    if (code == 0)
        code = daemon_ask(importing, error);
    if (code != 0)
        return code;
    importing->rules.environments = &importing->call->config->environments;
    importing->rules.now_unix_s = (int64_t)time(NULL);
    if ((code = import_lines_open(options->operands[0], &importing->lines, error)) != 0 ||
        (code = import_spool_open(&importing->spool, error)) != 0)
        return code;
    if (importing->asides)
        code = delivery_open(option_text(options, OPTION_SKIP_BAD), 0, &importing->aside, error);
    if (code == 0)
        code = check_all(importing, error);
    if (code == 0)
        code = aside_sync(importing, error);
    if (code != 0)
        return code;
    formats_warn(importing);
    return apply_all(importing, error);
}

int cmd_import(struct call *call)
{
    struct importing *importing = calloc(1, sizeof *importing);
    struct error error = {0};
    int status = EX_OK;

    if (importing == NULL)
        return output_usage("out of memory");
    importing->call = call;
    importing->lines.fd = importing->spool.fd = -1;
    importing->aside.fd = importing->aside.folder_fd = -1;
    if (import_run(importing, &error) != 0)
        status = output_error(&error);
    else if (option_given(&call->options, OPTION_JSON))
        result_json(importing);
    else
        result_print(importing);
    json_decref(importing->sending.last);
    delivery_close(&importing->aside);
    import_spool_close(&importing->spool);
    import_lines_close(&importing->lines);
    OPENSSL_cleanse(importing, sizeof *importing);
    free(importing);
    return status;
}
