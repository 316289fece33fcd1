#include "daemon/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "core/result.h"
#include "daemon/daemon.h"

#define NONE CONFIG_RIGHT_NONE
#define VERIFY CONFIG_RIGHT_VERIFY
#define READ CONFIG_RIGHT_READ
#define REVOKE CONFIG_RIGHT_REVOKE
#define WRITE CONFIG_RIGHT_WRITE
#define ADMIN CONFIG_RIGHT_ADMIN

/* KEY.VERIFY first: it is looked for by far the most often. */
const struct command command_table[] = {
    {"KEY.VERIFY", VERIFY, COMMAND_LOOP, 2, 0, true, handle_key_verify, NULL, "key",
     "key [SERVICE service] [SCOPE scope]... [ADDRESS address] [DRY]",
     "Whose key is this, and may it pass?"},
    {"KEY.CREATE", WRITE, COMMAND_CHANGE, 3, 0, true, handle_key_create, answer_created, "key",
     "NAME name [OWNER owner] [ENV environment] [EXPIRES time] [NOT_BEFORE time] [COMMENT text] "
     "[SCOPE scope]... [ALLOW network]... [RATE rate]... [USES uses] [META name value]...",
     "Issues a key; the reply is the only place where it is ever shown"},
    {"KEY.LIST", READ, COMMAND_READ, 1, 0, true, handle_key_list, answer_keys, "key",
     "[CURSOR cursor] [LIMIT count] [OWNER owner] [PREFIX prefix] [ENV environment] [STATE state] "
     "[NAME glob] [CREATED_BEFORE time] [REVOKED_BEFORE time] [EXPIRING_WITHIN duration] "
     "[UNUSED_FOR duration] [META name value]... [KEY key]",
     "Lists the keys that meet every condition, a page at a time"},
    {"KEY.GET", READ, COMMAND_READ, 2, 2, true, handle_key_get, answer_key, "key", "id",
     "Shows one key"},
    {"KEY.UPDATE", WRITE, COMMAND_CHANGE, 5, 0, true, handle_key_update, answer_receipt, "key",
     "id... [SET field value]...",
     "Sets name, expires, not_before, comment, scopes, allow or meta.NAME; an empty value clears"},
    {"KEY.REVOKE", REVOKE, COMMAND_CHANGE, 2, 0, true, handle_key_revoke, answer_receipt, "key",
     "id... [REASON reason] [COMMENT text]", "Refuses the keys from now on, for ever"},
    {"KEY.DISABLE", REVOKE, COMMAND_CHANGE, 2, 0, true, handle_key_disable, answer_receipt, "key",
     "id... [COMMENT text]", "Refuses the keys until they are enabled"},
    {"KEY.ENABLE", WRITE, COMMAND_CHANGE, 2, 0, true, handle_key_enable, answer_receipt, "key",
     "id...", "Undoes KEY.DISABLE"},
    {"KEY.ROTATE", WRITE, COMMAND_CHANGE, 2, 0, true, handle_key_rotate, answer_rotated, "key",
     "id... [GRACE duration|keep] [UNTIL_UNSEEN duration] [ON_USE]",
     "Issues successors; the old keys expire after the grace, when unused, or stay as they are"},
    {"KEY.PURGE", ADMIN, COMMAND_CHANGE, 2, 0, true, handle_key_purge, answer_receipt, "key",
     "id...", "Forgets all of revoked keys but their digests, which stay refused"},
    {"OWNER.LIST", READ, COMMAND_READ, 1, 0, true, handle_owner_list, answer_owners, "owner",
     "[CURSOR cursor] [LIMIT count]", "Lists owners, a page at a time"},
    {"OWNER.GET", READ, COMMAND_READ, 2, 2, true, handle_owner_get, answer_owner, "owner", "owner",
     "Shows one owner"},
    {"OWNER.SUSPEND", REVOKE, COMMAND_CHANGE, 2, 4, true, handle_owner_suspend, answer_owner_change,
     "owner", "owner [COMMENT text]", "Refuses every key of the owner until it is resumed"},
    {"OWNER.RESUME", WRITE, COMMAND_CHANGE, 2, 2, true, handle_owner_resume, answer_owner_change,
     "owner", "owner", "Undoes OWNER.SUSPEND; keys disabled one by one stay so"},
    {"OWNER.UPDATE", WRITE, COMMAND_CHANGE, 5, 7, true, handle_owner_update, answer_owner_change,
     "owner", "owner SET rate value [COMMENT text]",
     "Sets the limits that all keys of the owner have together; an empty value lifts them"},
    {"LOG", READ, COMMAND_READ, 1, 0, true, handle_log, answer_log, "log",
     "[SINCE position|time] [UNTIL time] [ID id] [OWNER owner] [ACTOR uid|id] [KIND kind] "
     "[LIMIT count]",
     "The change log: who changed what, when, from what to what"},
    {"LOG.VERIFY", READ, COMMAND_READ, 1, 5, false, handle_log_verify, answer_log_verified, "log",
     "[SINCE position] [CHAIN value]", "Walks a part of the log's hash chain"},
    {"SUBSCRIBE", READ, COMMAND_LOOP, 2, 2, true, handle_subscribe, NULL, "log", "changes",
     "Tells of every change from now on"},
    {"UNSUBSCRIBE", NONE, COMMAND_LOOP, 1, 2, true, handle_unsubscribe, NULL, "log", "[changes]",
     "Tells of no more changes"},
    {"STATS", READ, COMMAND_LOOP, 1, 1, false, handle_stats, NULL, "server", "",
     "Counters of the daemon and its table"},
    {"PROCESSES", READ, COMMAND_READ, 1, 1, false, handle_processes, answer_processes, "server", "",
     "The processes that verify keys, and what each of them counted"},
    {"HISTORY", READ, COMMAND_READ, 1, 0, true, handle_history, answer_history, "server",
     "[id] [SINCE time] [UNTIL time] [STEP m|h|d]",
     "What was granted and refused, of one key, or all results, by minutes, hours or days"},
    {"USAGE.TOP", READ, COMMAND_READ, 1, 2, false, handle_usage_top, answer_usage_top, "server",
     "[count]", "The keys that are used most at present, and their owners"},
    {"TABLE.CHECK", READ, COMMAND_READ, 1, 3, false, handle_table_check, answer_table_checked,
     "server", "[CURSOR cursor]", "Compares a part of the table with the store"},
    {"RELOAD", ADMIN, COMMAND_ALONE, 1, 1, false, handle_reload, NULL, "server", "",
     "Reads the configuration again; one with an error changes nothing"},
    {"BACKUP", ADMIN, COMMAND_READ, 1, 3, false, handle_backup, answer_backup, "server",
     "[CURSOR cursor]", "A chunk of a backup of everything"},
    {"BACKUP.DONE", ADMIN, COMMAND_CHANGE, 2, 2, false, handle_backup_done, answer_backup_done,
     "server", "position", "Notes that a backup was completed, and verified"},
    {"RESTORE", ADMIN, COMMAND_LOOP, 2, 3, false, handle_restore, NULL, "server",
     "BEGIN size|DATA bytes|CHECK|STATUS|COMMIT [ACCEPT-RESURRECTION]|ABORT",
     "Puts a backup in the place of the store"},
    {"HELLO", NONE, COMMAND_LOOP, 1, 0, true, handle_hello, NULL, "connection",
     "[protocol [AUTH user key] [SETNAME name]]", "Chooses RESP2 or RESP3"},
    {"AUTH", NONE, COMMAND_LOOP, 2, 3, true, handle_auth, NULL, "connection", "[user] key",
     "Takes on the rights of a key (admin socket), or verifies it (verify socket)"},
    {"PING", NONE, COMMAND_LOOP, 1, 2, true, handle_ping, NULL, "connection", "[text]",
     "Answers PONG"},
    {"ECHO", NONE, COMMAND_LOOP, 2, 2, true, handle_echo, NULL, "connection", "text",
     "Answers the text"},
    {"QUIT", NONE, COMMAND_LOOP, 1, 1, true, handle_quit, NULL, "connection", "",
     "Closes the connection"},
    {"RESET", NONE, COMMAND_LOOP, 1, 1, true, handle_reset, NULL, "connection", "",
     "Forgets HELLO, AUTH and CLIENT SETNAME"},
    {"SELECT", NONE, COMMAND_LOOP, 2, 2, true, handle_select, NULL, "connection", "0",
     "There is one database: 0"},
    {"CLIENT", NONE, COMMAND_LOOP, 2, 0, true, handle_client, NULL, "connection",
     "ID|GETNAME|SETNAME|SETINFO|INFO|LIST|NO-EVICT|NO-TOUCH [value]...", "About connections"},
    {"COMMAND", NONE, COMMAND_LOOP, 1, 0, true, handle_command, NULL, "server",
     "[COUNT|DOCS|INFO|LIST] [command]...", "About commands"},
    {"INFO", NONE, COMMAND_LOOP, 1, 0, true, handle_info, NULL, "server", "[section]...",
     "What Redis' tools want to know of a server"},
    {"CONFIG", NONE, COMMAND_LOOP, 3, 0, true, handle_config, NULL, "server", "GET pattern...",
     "The few settings that Redis' tools ask for"},
    {"KEY.IMPORT", ADMIN, COMMAND_IMPORT, 3, 0, false, handle_key_import, answer_imported, "key",
     "[ON_CONFLICT fail|skip] [DRY_RUN] [FORCE] [EXPECT count] "
     "SUSPENDED owner [AT time] | LIMITED owner RATE rate... | [KEY sha256 NAME name [OPTION "
     "value]...]...",
     "Takes over keys that were issued elsewhere; PROTOCOL.md has the options of each"},
    {"KEY.EXPORT", ADMIN, COMMAND_READ, 1, 5, false, handle_key_export, answer_exported, "key",
     "[CURSOR cursor] [LIMIT count]",
     "All that KEY.IMPORT wants to know of keys, a page at a time"},
};
const size_t command_count = sizeof command_table / sizeof command_table[0];

const struct command *command_find(struct text name)
{
    for (size_t i = 0; i < command_count; i++) {
        if (text_is_nocase(name, command_table[i].name))
            return &command_table[i];
    }
    return NULL;
}

static const char *error_word(int code)
{
    switch (code) {
    case CATLATCH_E_ARGUMENT:
    case CATLATCH_E_DATA:
        return "INVALID";
    case CATLATCH_E_NOT_FOUND:
        return "NOTFOUND";
    case CATLATCH_E_CONFLICT:
        return "CONFLICT";
    case CATLATCH_E_PERMISSION:
        return "NOPERM";
    case CATLATCH_E_LIMIT:
        return "LIMIT";
    case CATLATCH_E_FULL:
        return "FULL";
    case CATLATCH_E_CONFIG:
        return "CONFIG";
    default: /* memory, disk, newer data: what the caller sees is that it cannot be done now */
        return "UNAVAILABLE";
    }
}

void command_error(struct reply *reply, const struct error *error)
{
    reply_error(reply, error_word(error->code), "%s", error->text);
}

void command_finish(const struct command *command, const struct op *op,
                    const struct answer_place *place, struct reply *reply)
{
    if (op->error.code != 0)
        command_error(reply, &op->error);
    else
        command->answer(op, place, reply);
}

bool call_refuse(struct call *call, const char *word, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    if (vsnprintf(text, sizeof text, format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);
    reply_error(call->reply, word, "%s", text);
    return false;
}

static bool check_words(struct call *call)
{
    const struct command *command = call->command;
    size_t words = call->request->count;

    if (words >= command->words_min && (command->words_max == 0 || words <= command->words_max))
        return true;
    return call_refuse(call, "ERR", "wrong number of arguments; usage: %s %s", command->name,
                       command->usage);
}

static bool refuse_right(struct call *call)
{
    const struct command *command = call->command;
    const struct standing *standing = &call->standing;
    const char *needed = peer_right_name(command->right);

    if (standing->key_result != CATLATCH_VALID)
        return call_refuse(call, "NOPERM",
                           "%s needs the right %s, and the key of this connection's AUTH has none "
                           "any more (%s): AUTH with another key, or RESET",
                           command->name, needed, result_name(standing->key_result));
    if (standing->key_id != 0)
        return call_refuse(call, "NOPERM",
                           "%s needs the right %s, and the key of this connection's AUTH has %s",
                           command->name, needed, peer_right_name(standing->right));
    if (standing->right == CONFIG_RIGHT_GATEWAY)
        return call_refuse(call, "NOAUTH", "%s needs the right %s: AUTH with a key that has it",
                           command->name, needed);
    if (!call->session->on_admin_socket && command->right > CONFIG_RIGHT_VERIFY)
        return call_refuse(call, "NOPERM",
                           "%s needs the right %s, which nobody has on this socket: use "
                           "%s/catlatch.sock",
                           command->name, needed, call->daemon->settings.config->admin_dir);
    return call_refuse(call, "NOPERM",
                       "%s needs the right %s, and uid %u has %s: see [access] in %s",
                       command->name, needed, (unsigned)call->session->peer.uid,
                       peer_right_name(standing->right), call->daemon->settings.config->path);
}

static bool check_right(struct call *call)
{
    const struct command *command = call->command;

    session_standing(call->session, call->view, &call->standing);
    if (command->right == CONFIG_RIGHT_NONE)
        return true;
    if (call->standing.right < command->right)
        return refuse_right(call);
    if (call->standing.confined && !command->confined)
        return call_refuse(call, "NOPERM",
                           "%s is about the whole daemon, and the key of this connection's AUTH is "
                           "confined to its owner",
                           command->name);
    return true;
}

/* As Redis has it: in RESP2 nothing tells a reply from a message. */
static bool check_subscribed(struct call *call)
{
    command_handler *const handlers[] = {handle_subscribe, handle_unsubscribe, handle_ping,
                                         handle_quit, handle_reset};

    if (!call->session->subscribed || call->session->protocol == 3)
        return true;
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
        if (call->command->handle == handlers[i])
            return true;
    return call_refuse(call, "ERR",
                       "in RESP2 a subscriber may send SUBSCRIBE, UNSUBSCRIBE, PING, QUIT and "
                       "RESET: use RESP3 or another connection for %s",
                       call->command->name);
}

void command_call(struct call *call)
{
    if (!call->command) {
        call_refuse(call, "ERR", "unknown command; COMMAND LIST names those that there are");
        return;
    }
    if (check_words(call) && check_subscribed(call) && check_right(call))
        call->command->handle(call);
}

struct op *call_op(struct call *call, enum op_kind kind)
{
    const struct standing *standing = &call->standing;
    const struct peer *peer = &call->session->peer;
    struct op *op = op_new(kind);

    if (!op) {
        call_refuse(call, "UNAVAILABLE", "out of memory; nothing was changed");
        return NULL;
    }
    op->actor = (struct actor){.uid = peer->uid,
                               .login_uid = peer->login_uid,
                               .pid = peer->pid,
                               .key_id = standing->key_id};
    /* By an admin peer only: a key that could hand its rights on would outlive its own revoke. */
    op->may_grant_admin =
        standing->right == CONFIG_RIGHT_ADMIN && standing->key_id == 0 && !standing->confined;
    if (standing->confined &&
        op_text(op, standing->owner, strlen(standing->owner), &op->confined_owner) != 0) {
        op_free(op);
        call_refuse(call, "UNAVAILABLE", "out of memory; nothing was changed");
        return NULL;
    }
    return op;
}

void call_leave(struct call *call, struct op *op, bool ok)
{
    if (ok)
        call->op = op;
    else
        op_free(op);
}
