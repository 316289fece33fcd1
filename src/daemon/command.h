/*
 * command.h - what a request asks for: one table of command -> right, bounds, handler.
 *
 * A handler either answers into call->reply, or leaves an operation for the store thread in
 * call->op (or call->reload) whose answer comes later. It never blocks, and has no effect on
 * anything but the session when it answers: so a request can be put off and handled anew. Nothing
 * that a client sent is ever repeated in an error or in the log: it may be a key. Loop thread.
 */
#ifndef DAEMON_COMMAND_H
#define DAEMON_COMMAND_H

#include "daemon/op.h"
#include "daemon/reply.h"
#include "daemon/resp.h"
#include "daemon/session.h"

struct daemon;

struct call {
    struct daemon *daemon;
    const struct table_view *view; /* NULL: there is none */
    struct session *session;
    struct standing standing; /* set by command_call */
    const struct command *command;
    const struct resp_request *request;
    struct reply *reply;
    struct op *op; /* left by a handler: owned by whoever called command_call */
    bool reload;   /* left by RELOAD */
};

/* What may run beside each other on one connection: changes beside changes, imports beside imports
 * (changes of others pass them, so one of the same connection must wait) and reads beside reads.
 * Everything else waits until what came before it was answered, so that a client sees its own
 * changes: a KEY.VERIFY sent behind a KEY.REVOKE is refused. */
enum command_class { COMMAND_LOOP, COMMAND_CHANGE, COMMAND_READ, COMMAND_ALONE, COMMAND_IMPORT };

typedef void command_handler(struct call *call);

/* What an answer needs besides the operation. */
struct answer_place {
    const char *host;
    int64_t now_unix_s;
};
typedef void command_answer(const struct op *op, const struct answer_place *place,
                            struct reply *reply);

struct command {
    const char *name;
    enum config_right right;  /* NONE: any peer that may connect */
    enum command_class class; /* CHANGE, IMPORT and READ leave an operation */
    unsigned words_min;       /* with the command itself */
    unsigned words_max;       /* 0: as many as a request can have */
    bool confined;            /* a session confined to an owner may call it */
    command_handler *handle;
    command_answer *answer; /* of an operation: called when the operation has succeeded */
    const char *group;
    const char *usage; /* its arguments, for COMMAND DOCS */
    const char *summary;
};

extern const struct command command_table[];
extern const size_t command_count;

/* The command of a request's first word, or NULL. */
const struct command *command_find(struct text name);

/* Checks number of words, standing and right, then runs the handler. call->command NULL is an
 * unknown command. */
void command_call(struct call *call);

/* The reply to an operation that is done: the command's answer, or the error. */
void command_finish(const struct command *command, const struct op *op,
                    const struct answer_place *place, struct reply *reply);

/* "-WORD text" with the word that fits the error's code. */
void command_error(struct reply *reply, const struct error *error);

static inline struct text call_word(const struct call *call, size_t i)
{
    return resp_argument(call->request, i);
}

/* Answers with an error; false, so that `return call_refuse(...)`. */
bool call_refuse(struct call *call, const char *word, const char *format, ...)
    CATLATCH_PRINTF(3, 4);

/* A new operation with actor, confinement and rights of the call; NULL when it was refused. */
struct op *call_op(struct call *call, enum op_kind kind);

/* The pair `results`: a map of those that are not 0. */
void pair_results(struct reply *reply, const uint64_t counts[PROCESS_RESULTS]);

/* Hands the operation over if ok, frees it if not. */
void call_leave(struct call *call, struct op *op, bool ok);

/* The handlers: command_key.c, command_verify.c, */
command_handler handle_key_verify, handle_key_create, handle_key_list, handle_key_get,
    handle_key_update, handle_key_revoke, handle_key_disable, handle_key_enable, handle_key_rotate,
    handle_key_purge;
/* command_owner.c, */
command_handler handle_owner_list, handle_owner_get, handle_owner_suspend, handle_owner_resume,
    handle_owner_update;
/* command_log.c, */
command_handler handle_log, handle_log_verify, handle_subscribe, handle_unsubscribe;
/* command_import.c, */
command_handler handle_key_import, handle_key_export;
/* command_backup.c, */
command_handler handle_backup, handle_backup_done, handle_restore;
/* command_stats.c, */
command_handler handle_stats, handle_reload, handle_info, handle_config;
/* command_history.c, */
command_handler handle_processes, handle_history, handle_usage_top;
/* command_check.c, */
command_handler handle_table_check;
/* command_docs.c, */
command_handler handle_command;
/* command_connection.c; */
command_handler handle_hello, handle_auth, handle_ping, handle_echo, handle_quit, handle_reset,
    handle_select, handle_client;
/* and the answers: answer.c. */
command_answer answer_created, answer_key, answer_keys, answer_receipt, answer_rotated,
    answer_owner, answer_owners, answer_owner_change, answer_log, answer_log_verified,
    answer_imported, answer_exported, answer_table_checked, answer_backup, answer_backup_done,
    answer_processes, answer_history, answer_usage_top;

/* A pair: where the last of these was from, or null. */
void answer_from(struct reply *reply, const char *name, const struct total_event *event);

#endif
