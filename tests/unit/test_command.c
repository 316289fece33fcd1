/* What commands make of their words, and who may call them: the table of commands without a socket
 * and without a store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "daemon/command.h"
#include "daemon/daemon.h"
#include "lib_latch.h"
#include "lib_modules.h"
#include "lib_table.h"

#define ID "key_aaaaaaaaaaaab"
#define OTHER "key_aaaaaaaaaaaac"

struct world {
    struct daemon daemon;
    struct config *config;
    struct heap_table table;
    struct session session;
    struct resp_parser parser;
    struct reply reply;
    char line[4096];
    char text[8192]; /* of the reply, terminated */
    struct op *op;
    bool reload;
};

static int world_open(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct error error;

    if (!world || !(world->config = calloc(1, sizeof *world->config)))
        return -1;
    struct config *config = world->config;
    config->path = strdup("/etc/catlatch.ini");
    strcpy(config->admin_dir, "/run/catlatch-admin");
    snprintf(config->module_dir, sizeof config->module_dir, "%s", test_modules());
    config->max_clients = 64;
    config->environments.count = 2;
    strcpy(config->environments.list[0].name, "live");
    strcpy(config->environments.list[0].prefix, "cc_live_");
    strcpy(config->environments.list[1].name, "test");
    strcpy(config->environments.list[1].prefix, "cc_test_");
    world->daemon.settings.config = config;
    world->daemon.settings.services = calloc(1, sizeof *world->daemon.settings.services);
    world->daemon.settings.service_count = 1;
    if (!world->daemon.settings.services ||
        stack_open(config, "default", STACK_HOST_DAEMON, &world->daemon.settings.services[0],
                   &error) != 0)
        return -1;
    heap_table_open(&world->table, 100, 200);
    world->session.on_admin_socket = true;
    world->session.peer_right = CONFIG_RIGHT_ADMIN;
    world->session.protocol = 2;
    reply_init(&world->reply);
    resp_init(&world->parser);
    *state = world;
    return 0;
}

static int world_close(void **state)
{
    struct world *world = *state;

    op_free(world->op);
    reply_free(&world->reply);
    resp_free(&world->parser);
    heap_table_close(&world->table);
    free(world->config->path);
    free(world->config);
    stack_close(world->daemon.settings.services[0]);
    free(world->daemon.settings.services);
    free(world);
    return 0;
}

/* A key that the table knows; the text is written to world->line's owner by latch_key_text. */
static void add_key(struct world *world, uint64_t number, const char *scopes[], size_t count,
                    bool revoked, char ret_text[LATCH_KEY_LEN + 1])
{
    struct sample_key key;

    sample_key_init(&key, number);
    latch_key_text(number, "cc_live_", ret_text);
    digest_of(ret_text, LATCH_KEY_LEN, &key.entry.digest);
    key.entry.scope_count = count;
    for (size_t i = 0; i < count; i++)
        key.scopes[i] = text_of(scopes[i]);
    key.entry.revoked = revoked;
    assert_int_equal(heap_table_put(&world->table, &key.entry), 0);
}

/* Runs one line as a request; what it replied, or "" when it left something to be done. */
static const char *run(struct world *world, const char *format, ...) CATLATCH_PRINTF(2, 3);
static const char *run(struct world *world, const char *format, ...)
{
    struct resp_request request;
    va_list arguments;

    va_start(arguments, format);
    int len = vsnprintf(world->line, sizeof world->line - 1, format, arguments);
    va_end(arguments);
    assert_in_range(len, 1, sizeof world->line - 2);
    world->line[len] = '\n';
    resp_next(&world->parser);
    assert_int_equal(resp_parse(&world->parser, world->line, (size_t)len + 1, &request),
                     RESP_REQUEST);

    struct call call = {.daemon = &world->daemon,
                        .view = &world->table.writer.view,
                        .session = &world->session,
                        .command = command_find(resp_argument(&request, 0)),
                        .request = &request,
                        .reply = &world->reply};
    world->reply.protocol = world->session.protocol;
    op_free(world->op);
    command_call(&call);
    world->op = call.op;
    world->reload = call.reload;
    assert_false(world->reply.failed);
    assert_in_range(world->reply.len, 0, sizeof world->text - 1);
    if (world->reply.len > 0)
        memcpy(world->text, world->reply.bytes, world->reply.len);
    world->text[world->reply.len] = '\0';
    reply_cut(&world->reply, 0);
    return world->text;
}

static void assert_starts(const char *text, const char *start)
{
    if (strncmp(text, start, strlen(start)) != 0)
        fail_msg("\"%s\" does not start with \"%s\"", text, start);
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not have \"%s\" in it", text, part);
}

static void assert_text(struct text text, const char *wanted)
{
    assert_int_equal(text.len, strlen(wanted));
    assert_memory_equal(text.bytes, wanted, text.len);
}

static void every_command_has_the_right_that_the_protocol_states(void **state)
{
    static const struct {
        const char *name;
        enum config_right right;
    } wanted[] = {
        {"KEY.VERIFY", CONFIG_RIGHT_VERIFY},
        {"KEY.LIST", CONFIG_RIGHT_READ},
        {"KEY.GET", CONFIG_RIGHT_READ},
        {"OWNER.LIST", CONFIG_RIGHT_READ},
        {"OWNER.GET", CONFIG_RIGHT_READ},
        {"STATS", CONFIG_RIGHT_READ},
        {"KEY.REVOKE", CONFIG_RIGHT_REVOKE},
        {"KEY.DISABLE", CONFIG_RIGHT_REVOKE},
        {"OWNER.SUSPEND", CONFIG_RIGHT_REVOKE},
        {"KEY.CREATE", CONFIG_RIGHT_WRITE},
        {"KEY.UPDATE", CONFIG_RIGHT_WRITE},
        {"KEY.ROTATE", CONFIG_RIGHT_WRITE},
        {"KEY.ENABLE", CONFIG_RIGHT_WRITE},
        {"OWNER.RESUME", CONFIG_RIGHT_WRITE},
        {"OWNER.UPDATE", CONFIG_RIGHT_WRITE},
        {"RELOAD", CONFIG_RIGHT_ADMIN},
        {"LOG", CONFIG_RIGHT_READ},
        {"KEY.PURGE", CONFIG_RIGHT_ADMIN},
        {"LOG.VERIFY", CONFIG_RIGHT_READ},
        {"SUBSCRIBE", CONFIG_RIGHT_READ},
        {"BACKUP", CONFIG_RIGHT_ADMIN},
        {"BACKUP.DONE", CONFIG_RIGHT_ADMIN},
        {"RESTORE", CONFIG_RIGHT_ADMIN},
        {"KEY.IMPORT", CONFIG_RIGHT_ADMIN},
        {"KEY.EXPORT", CONFIG_RIGHT_ADMIN},
        {"TABLE.CHECK", CONFIG_RIGHT_READ},
        {"PROCESSES", CONFIG_RIGHT_READ},
        {"HISTORY", CONFIG_RIGHT_READ},
        {"USAGE.TOP", CONFIG_RIGHT_READ},
    };
    size_t known = 0;

    (void)state;
    for (size_t i = 0; i < command_count; i++)
        known += command_table[i].right != CONFIG_RIGHT_NONE;
    assert_int_equal(known, sizeof wanted / sizeof wanted[0]);
    for (size_t i = 0; i < known; i++) {
        const struct command *command = command_find(text_of(wanted[i].name));
        assert_non_null(command);
        assert_int_equal(command->right, wanted[i].right);
    }
}

/* A request of the least number of words that the command takes. */
static const char *run_bare(struct world *world, const struct command *command)
{
    char words[128] = "";

    for (unsigned i = 1; i < command->words_min; i++)
        strcat(words, " " ID);
    return run(world, "%s%s", command->name, words);
}

static void no_right_below_the_commands_own_may_call_it(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < command_count; i++) {
        for (int right = CONFIG_RIGHT_NONE; right < (int)command_table[i].right; right++) {
            world->session.peer_right = (enum config_right)right;
            const char *reply = run_bare(world, &command_table[i]);
            assert_starts(reply, right == CONFIG_RIGHT_GATEWAY ? "-NOAUTH " : "-NOPERM ");
            assert_null(world->op);
            assert_false(world->reload);
        }
    }
}

static void names_are_found_whatever_their_case(void **state)
{
    (void)state;
    assert_ptr_equal(command_find(text_of("key.verify")), &command_table[0]);
    assert_null(command_find(text_of("KEY.VERIF")));
    assert_null(command_find(text_of("KEY.VERIFYX")));
    assert_null(command_find(text_of("")));
    assert_null(command_find(text_of("GET")));
}

static void a_wrong_number_of_words_is_refused_with_the_usage(void **state)
{
    struct world *world = *state;

    assert_starts(run(world, "KEY.VERIFY"),
                  "-ERR wrong number of arguments; usage: KEY.VERIFY key");
    assert_starts(run(world, "KEY.GET a b"), "-ERR wrong number of arguments");
    assert_starts(run(world, "STATS x"), "-ERR wrong number of arguments");
    assert_starts(run(world, "GET x"), "-ERR unknown command");
}

static void no_error_repeats_what_was_sent(void **state)
{
    static const char *const lines[] = {"SECRET",
                                        "KEY.GET SECRET",
                                        "KEY.REVOKE SECRET",
                                        "KEY.REVOKE " ID " SECRET",
                                        "KEY.REVOKE " ID " REASON SECRET",
                                        "KEY.CREATE SECRET x",
                                        "KEY.CREATE NAME n ENV SECRET",
                                        "KEY.CREATE NAME n EXPIRES SECRET",
                                        "KEY.CREATE NAME n META SECRET/ v",
                                        "KEY.LIST STATE SECRET",
                                        "KEY.LIST CURSOR SECRET",
                                        "KEY.LIST LIMIT SECRET",
                                        "KEY.LIST PREFIX SECRET",
                                        "KEY.UPDATE " ID " SET SECRET x",
                                        "KEY.ROTATE " ID " GRACE SECRET",
                                        "KEY.VERIFY k SERVICE SECRET",
                                        "KEY.VERIFY k SECRET x",
                                        "AUTH SECRET",
                                        "CLIENT SECRET",
                                        "HELLO SECRET",
                                        "HELLO 3 SECRET",
                                        "COMMAND SECRET",
                                        "CONFIG SECRET x",
                                        "SELECT SECRET",
                                        "OWNER.SUSPEND o SECRET"};
    struct world *world = *state;

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_starts(run(world, "%s", lines[i]), "-");
        assert_null(strstr(world->text, "SECRET"));
        assert_null(world->op);
    }
}

static void assert_network(const struct network *network, const char *expected)
{
    char text[NETWORK_TEXT_SIZE];

    network_format(network, text);
    assert_string_equal(text, expected);
}

static void create_takes_every_property(void **state)
{
    struct world *world = *state;

    assert_string_equal(run(world, "KEY.CREATE name 'a b' owner acme ENV test EXPIRES 2090-01-01 "
                                   "NOT_BEFORE 2080-01-01 COMMENT c SCOPE x SCOPE y SCOPE x "
                                   "ALLOW 10.0.0.0/8 ALLOW ::1 ALLOW ::ffff:10.0.0.0/104 "
                                   "META k v META l w"),
                        "");
    const struct op_fields *fields = &world->op->fields;
    assert_int_equal(world->op->kind, OP_CREATE);
    assert_int_equal(fields->has, OP_HAS_NAME | OP_HAS_OWNER | OP_HAS_ENVIRONMENT | OP_HAS_EXPIRES |
                                      OP_HAS_NOT_BEFORE | OP_HAS_COMMENT | OP_HAS_SCOPES |
                                      OP_HAS_METADATA | OP_HAS_NETWORKS);
    assert_text(fields->name, "a b");
    assert_text(fields->owner, "acme");
    assert_text(fields->environment, "test");
    assert_text(fields->comment, "c");
    assert_int_equal(fields->expires_unix_s, 3786912000);
    assert_int_equal(fields->not_before_unix_s, 3471292800);
    assert_int_equal(fields->scope_count, 2);
    assert_text(fields->scopes[1], "y");
    assert_int_equal(fields->network_count, 2); /* the third is the first */
    assert_network(&fields->networks[0], "10.0.0.0/8");
    assert_network(&fields->networks[1], "::1/128");
    assert_int_equal(fields->metadata_count, 2);
    assert_text(fields->metadata[1].name, "l");
    assert_text(fields->metadata[1].value, "w");
}

static void a_list_of_networks_is_taken_whole_or_not_at_all(void **state)
{
    struct world *world = *state;
    char many[4096] = "KEY.UPDATE " ID " SET allow ";

    run(world, "KEY.UPDATE " ID " SET allow 192.0.2.0/24,2001:db8::/32");
    assert_non_null(world->op);
    assert_int_equal(world->op->fields.has, OP_HAS_NETWORKS);
    assert_int_equal(world->op->fields.network_count, 2);
    assert_network(&world->op->fields.networks[1], "2001:db8::/32");
    run(world, "KEY.UPDATE " ID " SET ALLOW ' 192.0.2.1, ,192.0.2.1/32 ::ffff:192.0.2.1'");
    assert_non_null(world->op);
    assert_int_equal(world->op->fields.network_count, 1);
    run(world, "KEY.UPDATE " ID " SET allow ''");
    assert_non_null(world->op);
    assert_int_equal(world->op->fields.has, OP_HAS_NETWORKS);
    assert_int_equal(world->op->fields.network_count, 0);
    /* Nothing but a comma is no way to say that it may be used from everywhere. */
    assert_starts(run(world, "KEY.UPDATE " ID " SET allow ,"),
                  "-INVALID allow is a list without a network");
    assert_starts(run(world, "KEY.UPDATE " ID " SET allow ' '"), "-INVALID allow is a list");
    assert_starts(run(world, "KEY.UPDATE " ID " SET allow ::1 SET allow ::2"),
                  "-INVALID SET allow is given twice");
    assert_starts(run(world, "KEY.UPDATE " ID " SET allow ::1,10.1.2.3/8"),
                  "-INVALID allow has bits set behind its prefix; the network is 10.0.0.0/8\r\n");
    for (int i = 0; i < 33; i++)
        sprintf(many + strlen(many), "%s10.0.0.%d", i > 0 ? "," : "", i);
    assert_starts(run(world, "%s", many), "-INVALID allow: a key has at most 32 networks");
    *strrchr(many, ',') = '\0';
    run(world, "%s", many);
    assert_non_null(world->op);
    assert_int_equal(world->op->fields.network_count, 32);
}

static void networks_of_imported_keys_are_each_their_own(void **state)
{
    static const char sha[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    struct world *world = *state;

    run(world,
        "KEY.IMPORT KEY %s NAME a ALLOW 10.0.0.0/8 SCOPE s ALLOW ::1 KEY %s NAME b "
        "KEY %s NAME c ALLOW 192.0.2.1",
        sha, sha, sha);
    assert_non_null(world->op);
    const struct op_import *keys = world->op->imports;
    assert_int_equal(keys[0].network_count, 2);
    assert_network(&keys[0].networks[0], "10.0.0.0/8");
    assert_network(&keys[0].networks[1], "::1/128");
    assert_int_equal(keys[1].network_count, 0);
    assert_int_equal(keys[2].network_count, 1);
    assert_network(&keys[2].networks[0], "192.0.2.1/32");
    assert_starts(run(world, "KEY.IMPORT KEY %s NAME a KEY %s NAME b ALLOW 10.0.0.1/8", sha, sha),
                  "-INVALID record 2: ALLOW has bits set behind its prefix; the network is");
    assert_starts(run(world, "KEY.IMPORT KEY %s NAME a ALLOW ::1 ALLOW ::1/128", sha),
                  "-INVALID record 1: ALLOW names a network twice");
    assert_starts(run(world, "KEY.IMPORT KEY %s NAME a ALLOW", sha),
                  "-INVALID record 1: ALLOW wants 1 value");
}

static void create_refuses_what_a_key_cannot_have(void **state)
{
    struct world *world = *state;
    char many[4096] = "KEY.CREATE NAME n";

    assert_starts(run(world, "KEY.CREATE OWNER o"), "-INVALID NAME is missing");
    assert_starts(run(world, "KEY.CREATE NAME ''"), "-INVALID NAME is empty");
    assert_starts(run(world, "KEY.CREATE NAME a NAME b"), "-INVALID NAME is given twice");
    assert_starts(run(world, "KEY.CREATE NAME a OWNER"), "-INVALID OWNER wants 1 value");
    assert_starts(run(world, "KEY.CREATE NAME a META k"), "-INVALID META wants 2 values");
    assert_starts(run(world, "KEY.CREATE NAME \"a\\x01\""), "-INVALID NAME is not UTF-8");
    assert_starts(run(world, "KEY.CREATE NAME \"\\xff\""), "-INVALID NAME is not UTF-8");
    assert_starts(run(world, "KEY.CREATE NAME a SCOPE 'a b'"), "-INVALID SCOPE is no scope");
    assert_starts(run(world, "KEY.CREATE NAME a ALLOW ''"), "-INVALID ALLOW is no network");
    assert_starts(run(world, "KEY.CREATE NAME a ALLOW ::1,::2"), "-INVALID ALLOW is no network");
    assert_starts(run(world, "KEY.CREATE NAME a ALLOW \"10.0.0.1\\x00\""),
                  "-INVALID ALLOW is no network");
    assert_starts(run(world, "KEY.CREATE NAME a ALLOW 10.0.0.0/33"),
                  "-INVALID ALLOW has no length");
    assert_starts(run(world, "KEY.CREATE NAME a ENV prod"),
                  "-INVALID ENV is no environment; there are: live, test\r\n");
    assert_starts(run(world, "KEY.CREATE NAME a META k v META k w"), "-INVALID META");
    assert_starts(run(world, "KEY.CREATE NAME %0256d", 0), "-INVALID NAME is longer than 255");
    for (int i = 0; i < 33; i++)
        sprintf(many + strlen(many), " SCOPE s%d", i);
    assert_starts(run(world, "%s", many), "-INVALID SCOPE: a key has at most 32 scopes");
}

static void update_sets_each_field_once_and_clears_with_the_empty_value(void **state)
{
    struct world *world = *state;

    run(world, "KEY.UPDATE " ID " " OTHER " SET name n SET expires '' SET scopes 'a, b,,c' "
               "SET meta.k v SET META.l ''");
    assert_non_null(world->op);
    const struct op_fields *fields = &world->op->fields;
    assert_int_equal(world->op->id_count, 2);
    assert_int_equal(fields->has, OP_HAS_NAME | OP_HAS_EXPIRES | OP_HAS_SCOPES | OP_HAS_METADATA);
    assert_int_equal(fields->expires_unix_s, 0);
    assert_int_equal(fields->scope_count, 3);
    assert_text(fields->scopes[2], "c");
    assert_int_equal(fields->metadata_count, 2);
    assert_text(fields->metadata[1].value, "");

    run(world, "KEY.UPDATE " ID " SET scopes ''");
    assert_non_null(world->op);
    assert_int_equal(world->op->fields.has, OP_HAS_SCOPES);
    assert_int_equal(world->op->fields.scope_count, 0);
    assert_starts(run(world, "KEY.UPDATE " ID " SET name a SET name b"),
                  "-INVALID SET name is given twice");
    assert_starts(run(world, "KEY.UPDATE " ID " SET owner a"), "-INVALID SET knows the fields");
    assert_starts(run(world, "KEY.UPDATE " ID " SET meta. a"), "-INVALID SET knows the fields");
    assert_starts(run(world, "KEY.UPDATE " ID " " OTHER " x y z"), "-INVALID argument 3");
}

static void now_and_the_epoch_are_never_taken_for_never(void **state)
{
    struct world *world = *state;

    run(world, "KEY.UPDATE " ID " SET expires now");
    assert_non_null(world->op);
    assert_in_range(world->op->fields.expires_unix_s, time(NULL) - 60, time(NULL));
    run(world, "KEY.UPDATE " ID " SET expires 1970-01-01T00:00:00Z");
    assert_non_null(world->op);
    assert_int_equal(world->op->fields.expires_unix_s, 1);
}

static void ids_come_first_and_end_at_the_first_word_that_is_none(void **state)
{
    struct world *world = *state;

    run(world, "KEY.REVOKE " ID " " OTHER " REASON leaked COMMENT 'on a forum'");
    assert_non_null(world->op);
    assert_int_equal(world->op->kind, OP_REVOKE);
    assert_int_equal(world->op->id_count, 2);
    assert_int_equal(world->op->ids[0], 1);
    assert_int_equal(world->op->ids[1], 2);
    assert_int_equal(world->op->reason, RECORD_REASON_LEAKED);
    assert_text(world->op->comment, "on a forum");
    assert_starts(run(world, "KEY.REVOKE REASON leaked " ID), "-INVALID argument 1");
    assert_starts(run(world, "KEY.REVOKE " ID " REASON leaked " OTHER), "-INVALID argument 4");
    assert_starts(run(world, "KEY.ENABLE " ID " COMMENT x"), "-INVALID argument 2");
}

static void a_rotation_without_a_grace_is_refused(void **state)
{
    struct world *world = *state;

    run(world, "KEY.ROTATE " ID);
    assert_int_equal(world->op->grace_s, 86400);
    run(world, "KEY.ROTATE " ID " GRACE 90m");
    assert_int_equal(world->op->grace_s, 5400);
    run(world, "KEY.ROTATE " ID " GRACE keep");
    assert_int_equal(world->op->grace_s, OP_GRACE_KEEP);
    assert_starts(run(world, "KEY.ROTATE " ID " GRACE 0s"), "-INVALID GRACE of nothing");
    assert_starts(run(world, "KEY.ROTATE " ID " GRACE 0"), "-INVALID GRACE of nothing");
    assert_null(world->op);
}

static void assert_rotates(struct world *world, const char *words, int64_t grace_s,
                           const char *retires)
{
    char line[128], shown[RETIREMENT_TEXT_SIZE];

    snprintf(line, sizeof line, "KEY.ROTATE " ID " %s", words);
    run(world, "%s", line);
    assert_non_null(world->op);
    assert_int_equal(world->op->grace_s, grace_s);
    retirement_format(&world->op->retirement, shown);
    assert_string_equal(shown, retires);
}

static void a_rotation_on_evidence_has_a_grace_only_where_it_was_said(void **state)
{
    struct world *world = *state;

    assert_rotates(world, "UNTIL_UNSEEN 24h", OP_GRACE_KEEP, "unseen=1d");
    assert_rotates(world, "UNTIL_UNSEEN 24h GRACE 7d", 7 * 86400, "unseen=1d");
    assert_rotates(world, "ON_USE", OP_GRACE_KEEP, "on-use grace=1d");
    assert_rotates(world, "ON_USE GRACE 7d", OP_GRACE_KEEP, "on-use grace=1w");
    assert_rotates(world, "UNTIL_UNSEEN 1h ON_USE", OP_GRACE_KEEP, "on-use unseen=1h");
    assert_rotates(world, "GRACE 2h UNTIL_UNSEEN 1h ON_USE", OP_GRACE_KEEP,
                   "on-use grace=2h unseen=1h");
    assert_starts(run(world, "KEY.ROTATE " ID " ON_USE GRACE keep"), "-INVALID ON_USE needs");
    assert_starts(run(world, "KEY.ROTATE " ID " ON_USE GRACE 200y"), "-INVALID ON_USE needs");
    assert_starts(run(world, "KEY.ROTATE " ID " UNTIL_UNSEEN 0"), "-INVALID UNTIL_UNSEEN is 1s");
    assert_starts(run(world, "KEY.ROTATE " ID " UNTIL_UNSEEN 200y"), "-INVALID UNTIL_UNSEEN is 1s");
    assert_starts(run(world, "KEY.ROTATE " ID " UNTIL_UNSEEN soon"), "-INVALID UNTIL_UNSEEN");
    assert_null(world->op);
}

static void list_takes_every_condition_and_no_raw_key_beyond_its_digest(void **state)
{
    struct world *world = *state;
    struct digest digest;
    char text[LATCH_KEY_LEN + 1];

    latch_key_text(5, "cc_live_", text);
    digest_of(text, LATCH_KEY_LEN, &digest);
    run(world,
        "KEY.LIST CURSOR " OTHER " LIMIT 7 OWNER o PREFIX cc_live_AbCdEfG ENV live "
        "STATE revoked NAME 'a*' CREATED_BEFORE 2030-01-01 EXPIRING_WITHIN 7d UNUSED_FOR 90d "
        "META k v KEY %s",
        text);
    assert_non_null(world->op);
    const struct op_selection *selection = &world->op->selection;
    assert_int_equal(world->op->after_id, 2);
    assert_int_equal(world->op->limit, 7);
    assert_text(selection->owner, "o");
    assert_text(selection->prefix, "cc_live_AbCdEfG");
    assert_true(selection->has_state);
    assert_int_equal(selection->state, STATE_REVOKED);
    assert_in_range(selection->expiring_before_unix_s, time(NULL) + 7 * 86400 - 60,
                    time(NULL) + 7 * 86400);
    assert_in_range(selection->unused_since_unix_s, time(NULL) - 90 * 86400 - 60,
                    time(NULL) - 90 * 86400);
    assert_true(selection->has_digest);
    assert_true(digest_equal(&selection->digest, &digest));

    assert_starts(run(world, "KEY.LIST LIMIT 0"), "-INVALID LIMIT");
    assert_starts(run(world, "KEY.LIST LIMIT 1001"), "-INVALID LIMIT");
    assert_starts(run(world, "KEY.LIST LIMIT 99999999999999999999"), "-INVALID LIMIT");
    assert_starts(run(world, "KEY.LIST LIMIT ''"), "-INVALID LIMIT");
    assert_starts(run(world, "KEY.LIST PREFIX cc_live_"), "-INVALID PREFIX");
    assert_starts(run(world, "KEY.LIST CREATED_BEFORE 90d"), "-INVALID CREATED_BEFORE");
    assert_starts(run(world, "KEY.LIST UNUSED_FOR 0"), "-INVALID UNUSED_FOR");
    assert_starts(run(world, "KEY.LIST UNUSED_FOR 2026-01-01"), "-INVALID UNUSED_FOR");
    (void)run(world, "KEY.LIST UNUSED_FOR 1000y");
    assert_int_equal(world->op->selection.unused_since_unix_s, 1);
}

static void verify_answers_whose_key_it_is(void **state)
{
    struct world *world = *state;
    const char *scopes[] = {"a", "b:c"};
    char text[LATCH_KEY_LEN + 1];

    add_key(world, 0, scopes, 2, false, text);
    assert_string_equal(run(world, "KEY.VERIFY %s SCOPE b:c", text),
                        "*12\r\n$6\r\nresult\r\n$5\r\nvalid\r\n$2\r\nid\r\n$17\r\n" ID "\r\n"
                        "$4\r\nname\r\n$20\r\nkey 0000000000000000\r\n"
                        "$5\r\nowner\r\n$12\r\nowner-000000\r\n"
                        "$11\r\nenvironment\r\n$4\r\nlive\r\n"
                        "$6\r\nscopes\r\n*2\r\n$1\r\na\r\n$3\r\nb:c\r\n");
    world->session.protocol = 3;
    assert_starts(run(world, "KEY.VERIFY %s", text), "%6\r\n$6\r\nresult\r\n$5\r\nvalid\r\n");
    assert_null(strstr(world->text, "expires_at"));
    assert_int_equal(world->daemon.verified, 2);
}

static void verify_refuses_with_a_result_and_never_with_an_error(void **state)
{
    struct world *world = *state;
    const char *scopes[] = {"a"};
    char text[LATCH_KEY_LEN + 1], other[LATCH_KEY_LEN + 1];

    add_key(world, 0, scopes, 1, true, text);
    assert_starts(run(world, "KEY.VERIFY %s", text), "*12\r\n$6\r\nresult\r\n$7\r\nrevoked\r\n");
    assert_has(world->text, "$17\r\n" ID);
    latch_key_text(1, "cc_live_", other);
    assert_starts(run(world, "KEY.VERIFY %s", other), "*2\r\n$6\r\nresult\r\n$9\r\nnot_found\r\n");
    assert_starts(run(world, "KEY.VERIFY x"), "*2\r\n$6\r\nresult\r\n$9\r\nmalformed\r\n");
    assert_starts(run(world, "KEY.VERIFY ''"), "*2\r\n$6\r\nresult\r\n$7\r\nmissing\r\n");
    add_key(world, 2, scopes, 1, false, text);
    assert_starts(run(world, "KEY.VERIFY %s SCOPE a SCOPE b", text),
                  "*12\r\n$6\r\nresult\r\n$18\r\ninsufficient_scope\r\n");
}

static struct table_slot *slot_of(struct world *world, const char *text)
{
    struct digest digest;
    struct table_hit hit;

    digest_of(text, LATCH_KEY_LEN, &digest);
    assert_int_equal(table_find(&world->table.writer.view, &digest, &hit), TABLE_HIT);
    return &world->table.writer.slots[hit.slot];
}

static void verify_calls_damage_an_outage_and_not_a_refusal(void **state)
{
    struct world *world = *state;
    const char *outage = "*2\r\n$6\r\nresult\r\n$11\r\nunavailable\r\n";
    const char *scopes[] = {"a"};
    char text[LATCH_KEY_LEN + 1];

    add_key(world, 0, scopes, 1, false, text);
    struct table_slot *slot = slot_of(world, text);
    atomic_store(&slot->identity_ref, UINT32_MAX);
    assert_starts(run(world, "KEY.VERIFY %s", text), outage);
    add_key(world, 1, scopes, 1, false, text);
    slot = slot_of(world, text);
    atomic_store(&slot->scopes_ref, UINT32_MAX);
    assert_starts(run(world, "KEY.VERIFY %s SCOPE a", text), outage);
    atomic_store(&slot->id, 0);
    assert_starts(run(world, "KEY.VERIFY %s", text), outage);
}

static void a_scope_that_hides_its_tail_behind_a_nul_is_refused(void **state)
{
    struct world *world = *state;
    const char *scopes[] = {"a"};
    char text[LATCH_KEY_LEN + 1];

    add_key(world, 0, scopes, 1, false, text);
    assert_starts(run(world, "KEY.VERIFY %s SCOPE \"a\\x00:admin\"", text), "-INVALID SCOPE");
}

static void auth_takes_on_the_rights_of_the_keys_scopes_in_place_of_the_peers(void **state)
{
    struct world *world = *state;
    const char *scopes[] = {"catlatch:revoke", "catlatch:read"};
    char text[LATCH_KEY_LEN + 1];

    add_key(world, 0, scopes, 2, false, text);
    world->session.peer_right = CONFIG_RIGHT_GATEWAY;
    assert_starts(run(world, "KEY.REVOKE " ID), "-NOAUTH ");
    assert_string_equal(run(world, "AUTH %s", text), "+OK\r\n");
    run(world, "KEY.REVOKE " ID);
    assert_non_null(world->op);
    assert_int_equal(world->op->actor.key_id, 1);
    assert_false(world->op->may_grant_admin);
    assert_int_equal(world->op->confined_owner.len, 0);
    assert_starts(run(world, "KEY.CREATE NAME n"), "-NOPERM ");

    world->session.peer_right = CONFIG_RIGHT_ADMIN;
    assert_starts(run(world, "RELOAD"), "-NOPERM ");
    assert_string_equal(run(world, "RESET"), "+RESET\r\n");
    run(world, "KEY.CREATE NAME n");
    assert_true(world->op->may_grant_admin);
    assert_string_equal(run(world, "RELOAD"), "");
    assert_true(world->reload);
}

static void a_revoked_key_takes_the_rights_of_its_connections_with_it(void **state)
{
    struct world *world = *state;
    const char *scopes[] = {"catlatch:admin"};
    char text[LATCH_KEY_LEN + 1];

    add_key(world, 0, scopes, 1, false, text);
    assert_string_equal(run(world, "AUTH user %s", text), "+OK\r\n");
    run(world, "KEY.CREATE NAME n");
    assert_non_null(world->op);
    assert_false(world->op->may_grant_admin); /* a peer may, a key may not */
    add_key(world, 0, scopes, 1, true, text);
    assert_starts(run(world, "KEY.CREATE NAME n"), "-NOPERM ");
    assert_has(world->text, "(revoked)");
    assert_null(world->op);
    assert_string_equal(run(world, "PING"), "+PONG\r\n");
    assert_string_equal(run(world, "AUTH %s", text), "-WRONGPASS revoked\r\n");
}

static void a_key_that_loses_its_scope_loses_the_right(void **state)
{
    struct world *world = *state;
    const char *scopes[] = {"catlatch:write"};
    char text[LATCH_KEY_LEN + 1];

    add_key(world, 0, scopes, 1, false, text);
    assert_string_equal(run(world, "AUTH %s", text), "+OK\r\n");
    scopes[0] = "catlatch:read";
    add_key(world, 0, scopes, 1, false, text);
    assert_starts(run(world, "KEY.CREATE NAME n"), "-NOPERM ");
    run(world, "KEY.GET " ID);
    assert_non_null(world->op);
}

static void a_confined_key_acts_for_its_owner_alone(void **state)
{
    struct world *world = *state;
    const char *scopes[] = {"catlatch:admin", "catlatch:own"};
    char text[LATCH_KEY_LEN + 1], mine[LATCH_KEY_LEN + 1], other[LATCH_KEY_LEN + 1];

    add_key(world, 0, scopes, 2, false, text);
    add_key(world, 1, NULL, 0, false, mine);
    add_key(world, 10, NULL, 0, false, other); /* of the next owner */
    assert_string_equal(run(world, "AUTH %s", text), "+OK\r\n");
    run(world, "KEY.LIST");
    assert_non_null(world->op);
    assert_text(world->op->confined_owner, "owner-000000");
    assert_false(world->op->may_grant_admin);
    assert_starts(run(world, "STATS"), "-NOPERM ");
    assert_starts(run(world, "RELOAD"), "-NOPERM ");
    assert_false(world->reload);
    assert_starts(run(world, "CLIENT LIST"), "-NOPERM ");
    assert_has(run(world, "KEY.VERIFY %s", mine), "owner-000000");
    assert_starts(run(world, "KEY.VERIFY %s", other), "*2\r\n$6\r\nresult\r\n$9\r\nnot_found\r\n");
}

static void a_key_without_our_scopes_gives_nothing(void **state)
{
    struct world *world = *state;
    const char *scopes[] = {"read", "catlatch:own"};
    char text[LATCH_KEY_LEN + 1];

    add_key(world, 0, scopes, 2, false, text);
    assert_starts(run(world, "AUTH %s", text), "-WRONGPASS insufficient_scope");
    assert_false(world->session.authenticated);
    assert_string_equal(run(world, "RELOAD"), "");
    assert_true(world->reload);
}

static void auth_on_the_verify_socket_verifies_and_grants_nothing(void **state)
{
    struct world *world = *state;
    const char *scopes[] = {"catlatch:admin"};
    char text[LATCH_KEY_LEN + 1];

    world->session.on_admin_socket = false;
    session_look_up(&world->session, world->config, world->session.peer.uid);
    assert_int_equal(world->session.peer_right, CONFIG_RIGHT_VERIFY);
    add_key(world, 0, scopes, 1, false, text);
    assert_string_equal(run(world, "AUTH %s", text), "+OK\r\n");
    assert_starts(run(world, "KEY.LIST"), "-NOPERM ");
    assert_has(world->text, "/run/catlatch-admin/catlatch.sock");
    assert_starts(run(world, "KEY.VERIFY %s", text), "*12\r\n");
    assert_string_equal(run(world, "AUTH x"), "-WRONGPASS malformed\r\n");
}

static void hello_switches_only_when_all_of_it_is_good(void **state)
{
    struct world *world = *state;

    assert_starts(run(world, "HELLO 4"), "-NOPROTO ");
    assert_starts(run(world, "HELLO 3 AUTH u k SETNAME n"), "-WRONGPASS not_found");
    assert_starts(run(world, "HELLO 3 SETNAME 'a b'"), "-ERR ");
    assert_starts(run(world, "HELLO 3 AUTH u"), "-ERR ");
    assert_int_equal(world->session.protocol, 2);
    assert_string_equal(world->session.name, "");
    assert_starts(run(world, "HELLO 3 SETNAME n"), "%7\r\n$6\r\nserver\r\n$8\r\ncatlatch\r\n");
    assert_int_equal(world->session.protocol, 3);
    assert_string_equal(run(world, "CLIENT GETNAME"), "$1\r\nn\r\n");
    assert_starts(run(world, "HELLO 2"), "*14\r\n");
}

static void what_client_libraries_say_first_is_answered(void **state)
{
    struct world *world = *state;

    world->session.id = 17;
    assert_string_equal(run(world, "CLIENT ID"), ":17\r\n");
    assert_string_equal(run(world, "CLIENT SETINFO LIB-NAME x(y)"), "+OK\r\n");
    assert_string_equal(run(world, "CLIENT SETINFO lib-ver 1.0"), "+OK\r\n");
    assert_string_equal(run(world, "CLIENT NO-EVICT on"), "+OK\r\n");
    assert_string_equal(run(world, "SELECT 0"), "+OK\r\n");
    assert_starts(run(world, "SELECT 1"), "-ERR ");
    assert_string_equal(run(world, "PING hi"), "$2\r\nhi\r\n");
    assert_string_equal(run(world, "ECHO \"\\x00\""), "$1\r\n");
    assert_string_equal(run(world, "CONFIG GET save"), "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
    assert_string_equal(run(world, "CONFIG GET appendonly"),
                        "*2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n");
    assert_starts(run(world, "CONFIG SET save x"), "-ERR ");
    assert_string_equal(run(world, "QUIT"), "+OK\r\n");
    assert_true(world->session.quitting);
}

static void command_docs_describe_every_command(void **state)
{
    struct world *world = *state;

    run(world, "COMMAND DOCS key.get");
    assert_string_equal(world->text,
                        "*2\r\n$7\r\nKEY.GET\r\n*8\r\n$7\r\nsummary\r\n$13\r\nShows one key\r\n"
                        "$5\r\nsince\r\n$5\r\n0.1.0\r\n$5\r\ngroup\r\n$3\r\nkey\r\n"
                        "$9\r\narguments\r\n*1\r\n*4\r\n$4\r\nname\r\n$2\r\nid\r\n"
                        "$4\r\ntype\r\n$6\r\nstring\r\n");
    assert_has(run(world, "COMMAND DOCS KEY.VERIFY"),
               "*6\r\n$4\r\nname\r\n$11\r\nSCOPE scope\r\n"
               "$4\r\ntype\r\n$6\r\nstring\r\n$5\r\nflags\r\n"
               "*2\r\n+optional\r\n+multiple\r\n");
    assert_starts(run(world, "COMMAND INFO nonsense"), "*1\r\n$-1\r\n");
    for (size_t i = 0; i < command_count; i++) {
        assert_true(command_table[i].summary[0] != '\0');
        enum command_class class = command_table[i].class;
        assert_true((command_table[i].answer != NULL) ==
                    (class == COMMAND_CHANGE || class == COMMAND_IMPORT || class == COMMAND_READ));
    }
}

static void errors_of_operations_have_the_protocols_words(void **state)
{
    static const struct {
        int code;
        const char *word;
    } words[] = {
        {CATLATCH_E_DATA, "-INVALID x\r\n"},
        {CATLATCH_E_ARGUMENT, "-INVALID x\r\n"},
        {CATLATCH_E_NOT_FOUND, "-NOTFOUND x\r\n"},
        {CATLATCH_E_CONFLICT, "-CONFLICT x\r\n"},
        {CATLATCH_E_PERMISSION, "-NOPERM x\r\n"},
        {CATLATCH_E_LIMIT, "-LIMIT x\r\n"},
        {CATLATCH_E_FULL, "-FULL x\r\n"},
        {CATLATCH_E_CONFIG, "-CONFIG x\r\n"},
        {CATLATCH_E_UNAVAILABLE, "-UNAVAILABLE x\r\n"},
        {CATLATCH_E_IO, "-UNAVAILABLE x\r\n"},
        {CATLATCH_E_MEMORY, "-UNAVAILABLE x\r\n"},
    };
    struct world *world = *state;
    struct answer_place place = {.host = "h", .now_unix_s = 0};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct op op = {.kind = OP_GET, .error = {.code = words[i].code, .text = "x"}};
        command_finish(command_find(text_of("KEY.GET")), &op, &place, &world->reply);
        assert_int_equal(world->reply.len, strlen(words[i].word));
        assert_memory_equal(world->reply.bytes, words[i].word, world->reply.len);
        reply_cut(&world->reply, 0);
    }
}

/* Reads one RESP2 value and says how many bytes it takes, so that a map that announces another
 * number of values than it has is seen. */
static size_t value_size(const char *bytes)
{
    const char *end = strstr(bytes, "\r\n");
    assert_non_null(end);
    long number = strtol(bytes + 1, NULL, 10);
    size_t size = (size_t)(end - bytes) + 2;

    if (bytes[0] == '$' && number >= 0)
        size += (size_t)number + 2;
    for (long i = 0; bytes[0] == '*' && i < number; i++)
        size += value_size(bytes + size);
    return size;
}

static void every_answer_has_as_many_values_as_it_announces(void **state)
{
    static const char *const names[] = {"KEY.CREATE", "KEY.LIST",  "KEY.GET",    "KEY.REVOKE",
                                        "KEY.ROTATE", "OWNER.GET", "OWNER.LIST", "OWNER.SUSPEND"};
    struct world *world = *state;
    struct answer_place place = {.host = "h", .now_unix_s = 1000};
    struct op_key keys[2] = {
        {.record = {.id = 1, .scope_count = 1, .metadata_count = 1, .network_count = 2},
         .changed = true,
         .raw = "raw",
         .raw_len = 3},
        {.record = {.id = 2}, .raw = "raw", .raw_len = 3}};
    struct record_owner owners[1] = {{.suspended = true}};
    struct op op = {.keys = keys,
                    .key_count = 2,
                    .owners = owners,
                    .owner_count = 1,
                    .time_unix_ms = 1769825647007,
                    .epoch = 3,
                    .sequence = 45};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        command_finish(command_find(text_of(names[i])), &op, &place, &world->reply);
        reply_raw(&world->reply, "", 1);
        assert_int_equal(value_size(world->reply.bytes), world->reply.len - 1);
        if (strcmp(names[i], "KEY.REVOKE") == 0) {
            assert_has(world->reply.bytes, "$4\r\ntime\r\n$24\r\n2026-01-31T02:14:07.007Z\r\n");
            assert_has(world->reply.bytes, "$8\r\nsequence\r\n$4\r\n3:45\r\n");
            assert_has(world->reply.bytes, "$5\r\ncount\r\n:1\r\n");
        }
        reply_cut(&world->reply, 0);
    }
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(every_command_has_the_right_that_the_protocol_states),
        WORLD_TEST(no_right_below_the_commands_own_may_call_it),
        WORLD_TEST(names_are_found_whatever_their_case),
        WORLD_TEST(a_wrong_number_of_words_is_refused_with_the_usage),
        WORLD_TEST(no_error_repeats_what_was_sent),
        WORLD_TEST(create_takes_every_property),
        WORLD_TEST(a_list_of_networks_is_taken_whole_or_not_at_all),
        WORLD_TEST(networks_of_imported_keys_are_each_their_own),
        WORLD_TEST(create_refuses_what_a_key_cannot_have),
        WORLD_TEST(update_sets_each_field_once_and_clears_with_the_empty_value),
        WORLD_TEST(now_and_the_epoch_are_never_taken_for_never),
        WORLD_TEST(ids_come_first_and_end_at_the_first_word_that_is_none),
        WORLD_TEST(a_rotation_without_a_grace_is_refused),
        WORLD_TEST(a_rotation_on_evidence_has_a_grace_only_where_it_was_said),
        WORLD_TEST(list_takes_every_condition_and_no_raw_key_beyond_its_digest),
        WORLD_TEST(verify_answers_whose_key_it_is),
        WORLD_TEST(verify_refuses_with_a_result_and_never_with_an_error),
        WORLD_TEST(verify_calls_damage_an_outage_and_not_a_refusal),
        WORLD_TEST(a_scope_that_hides_its_tail_behind_a_nul_is_refused),
        WORLD_TEST(auth_takes_on_the_rights_of_the_keys_scopes_in_place_of_the_peers),
        WORLD_TEST(a_revoked_key_takes_the_rights_of_its_connections_with_it),
        WORLD_TEST(a_key_that_loses_its_scope_loses_the_right),
        WORLD_TEST(a_confined_key_acts_for_its_owner_alone),
        WORLD_TEST(a_key_without_our_scopes_gives_nothing),
        WORLD_TEST(auth_on_the_verify_socket_verifies_and_grants_nothing),
        WORLD_TEST(hello_switches_only_when_all_of_it_is_good),
        WORLD_TEST(what_client_libraries_say_first_is_answered),
        WORLD_TEST(command_docs_describe_every_command),
        WORLD_TEST(errors_of_operations_have_the_protocols_words),
        WORLD_TEST(every_answer_has_as_many_values_as_it_announces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
