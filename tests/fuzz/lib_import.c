#include "lib_import.h"

#include "core/config_environments.h"
#include "daemon/command.h"
#include "daemon/daemon.h"
#include "daemon/keys_internal.h"
#include "input.h"

static struct {
    bool open;
    struct daemon daemon;
    struct config config;
    struct stack_service service, *services[1];
    struct session session;
} world;

static void world_open(void)
{
    if (world.open)
        return;
    environments_default(&world.config.environments);
    world.daemon.settings.config = &world.config;
    world.services[0] = &world.service;
    world.daemon.settings.services = world.services;
    world.daemon.settings.service_count = 1;
    world.session.on_admin_socket = true;
    world.session.peer_right = CONFIG_RIGHT_ADMIN;
    world.session.protocol = 2;
    world.open = true;
}

const struct key_environments *import_environments(void)
{
    world_open();
    return &world.config.environments;
}

/* "-WORD text" and the end of the line. */
static void keep_error(const struct reply *reply, struct error *ret_error)
{
    CHECK(reply->len > 3 && reply->bytes[0] == '-');
    CHECK(memcmp(reply->bytes + reply->len - 2, "\r\n", 2) == 0);
    CHECK(reply->len - 3 < sizeof ret_error->text);
    memcpy(ret_error->text, reply->bytes + 1, reply->len - 3);
    ret_error->text[reply->len - 3] = '\0';
    ret_error->code = CATLATCH_E_DATA;
    CHECK(strlen(ret_error->text) == reply->len - 3);
    CHECK(text_is_printable_utf8(ret_error->text, reply->len - 3));
}

static struct op *handle(const struct resp_request *request, struct error *ret_error)
{
    struct reply reply;
    struct call call = {.daemon = &world.daemon,
                        .session = &world.session,
                        .command = command_find(resp_argument(request, 0)),
                        .request = request,
                        .reply = &reply};

    reply_init(&reply);
    reply.protocol = 2;
    command_call(&call);
    CHECK(!reply.failed && !call.reload && (call.op != NULL) == (reply.len == 0));
    if (call.op == NULL)
        keep_error(&reply, ret_error);
    reply_free(&reply);
    return call.op;
}

struct op *import_request(const char *words, size_t len, size_t count, struct error *ret_error)
{
    static const char command[] = "$10\r\nKEY.IMPORT\r\n";
    struct resp_parser parser;
    struct resp_request request;
    struct op *op;
    char head[64];

    world_open();
    int head_len = snprintf(head, sizeof head, "*%zu\r\n%s", count + 1, command);
    size_t size = (size_t)head_len + len;
    char *bytes = malloc(size);
    CHECK(bytes != NULL);
    memcpy(bytes, head, (size_t)head_len);
    if (len > 0)
        memcpy(bytes + head_len, words, len);
    resp_init(&parser);
    CHECK(resp_parse(&parser, bytes, size, &request) == RESP_REQUEST);
    CHECK(request.count == count + 1 && request.size == size);
    op = handle(&request, ret_error);
    resp_free(&parser);
    free(bytes);
    return op;
}

int import_record(struct op *op, size_t number, struct record *ret_record, struct error *ret_error)
{
    struct keys keys = {.config = &world.config};
    struct run run = {.keys = &keys, .op = op, .now_unix_s = IMPORT_NOW_UNIX_S};
    struct record record = {.id = 0};

    op->error = (struct error){.code = 0};
    int r = keys_import_record(&run, &op->imports[number], &record);
    *ret_error = op->error;
    CHECK((r == 0) == (op->error.code == 0));
    CHECK(r == 0 || text_is_printable_utf8(ret_error->text, strlen(ret_error->text)));
    if (r != 0)
        return r;
    record.id = record.id != 0 ? record.id : 1; /* a new store's first */
    *ret_record = record;
    return 0;
}

void import_check_stored(const struct record *record)
{
    static unsigned char bytes[RECORD_ENCODED_MAX], again[RECORD_ENCODED_MAX];
    struct record stored;
    size_t len = 0, again_len = 0;

    CHECK(record_encode(record, bytes, sizeof bytes, &len) == 0);
    CHECK(!key_is_within(import_environments(), (const char *)bytes, len));
    CHECK(record_decode(bytes, len, &stored) == 0);
    CHECK(record_encode(&stored, again, sizeof again, &again_len) == 0);
    CHECK(again_len == len && memcmp(bytes, again, len) == 0);
}
