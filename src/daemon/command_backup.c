/* BACKUP, BACKUP.DONE and RESTORE: their words, and their answers. */
#include <stdlib.h>
#include <string.h>

#include "daemon/daemon.h"
#include "daemon/options.h"
#include "daemon/pairs.h"

static bool take_cursor(struct call *call, struct op *op, const char *word,
                        const struct text *values)
{
    return options_text(call, op, word, values[0], 1, 1024, &op->cursor);
}

void handle_backup(struct call *call)
{
    static const struct option options[] = {{"CURSOR", 1, false, take_cursor}};
    struct op *op = call_op(call, OP_BACKUP);

    if (op)
        call_leave(call, op, options_parse(call, op, 1, options, 1));
}

void answer_backup(const struct op *op, const struct answer_place *place, struct reply *reply)
{
    (void)place;
    reply_map(reply, 3);
    pair_text(reply, "cursor", op->next_cursor);
    reply_word(reply, "data");
    reply_bulk(reply, op->data.bytes, op->data.len);
    pair_bool(reply, "end", op->at_end);
}

void handle_backup_done(struct call *call)
{
    struct op *op = call_op(call, OP_BACKUP_DONE);

    if (!op)
        return;
    bool ok = options_position(call_word(call, 1), &op->after);
    if (!ok)
        call_refuse(call, "INVALID", "argument 1 is no position, as 1:42");
    call_leave(call, op, ok);
}

void answer_backup_done(const struct op *op, const struct answer_place *place, struct reply *reply)
{
    reply_map(reply, 2);
    pair_word(reply, "host", place->host);
    pair_moment(reply, "time", op->time_unix_ms);
}

static struct actor actor_of(const struct call *call)
{
    const struct peer *peer = &call->session->peer;

    return (struct actor){.uid = peer->uid,
                          .login_uid = peer->login_uid,
                          .pid = peer->pid,
                          .key_id = call->standing.key_id};
}

static int begin(struct call *call, struct error *error)
{
    struct actor actor = actor_of(call);
    struct text size = call_word(call, 2);
    char *end;

    if (size.len == 0 || size.len > 19 || strspn(size.bytes, "0123456789") != size.len)
        return error_set(error, CATLATCH_E_DATA, "the size is no number of bytes");
    return restoring_begin(call->daemon, call->session->id, &actor, strtoull(size.bytes, &end, 10),
                           error);
}

static int commit(struct call *call, struct error *error)
{
    bool accept = call->request->count == 3;

    if (accept && !text_is_nocase(call_word(call, 2), "ACCEPT-RESURRECTION"))
        return error_set(error, CATLATCH_E_DATA, "COMMIT takes ACCEPT-RESURRECTION or nothing");
    return restoring_commit(call->daemon, call->session->id, accept, error);
}

void handle_restore(struct call *call)
{
    struct text word = call_word(call, 1);
    size_t words = call->request->count;
    uint64_t session_id = call->session->id;
    struct daemon *daemon = call->daemon;
    struct error error = {.code = 0};
    int r = 0;

    if (text_is_nocase(word, "DATA") && words == 3)
        r = restoring_data(daemon, session_id, call_word(call, 2), &error);
    else if (text_is_nocase(word, "BEGIN") && words == 3)
        r = begin(call, &error);
    else if (text_is_nocase(word, "CHECK") && words == 2)
        r = restoring_check(daemon, session_id, &error);
    else if (text_is_nocase(word, "COMMIT"))
        r = commit(call, &error);
    else if (text_is_nocase(word, "ABORT") && words == 2)
        r = restoring_abort(daemon, session_id, &error);
    else if (!text_is_nocase(word, "STATUS") || words != 2)
        r = error_set(&error, CATLATCH_E_DATA,
                      "RESTORE takes BEGIN size, DATA bytes, CHECK, STATUS, COMMIT "
                      "[ACCEPT-RESURRECTION] or ABORT");
    if (r == 0)
        restoring_tell(daemon, call->reply);
    else
        command_error(call->reply, &error);
}
