/* COMMAND: our own commands in the shapes that redis-cli and client libraries read. */
#include <ctype.h>
#include <string.h>

#include "daemon/command.h"

/* The next part of a usage: "key", "[SERVICE service]", "id...". Returns where it ends. */
static const char *usage_part(const char *at, const char **ret_start)
{
    int depth = 0;

    while (*at == ' ')
        at++;
    *ret_start = at;
    for (; *at && (depth > 0 || *at != ' '); at++)
        depth += (*at == '[') - (*at == ']');
    return at;
}

static bool ends_with(const char *bytes, size_t len, const char *end)
{
    size_t end_len = strlen(end);

    return len >= end_len && memcmp(bytes + len - end_len, end, end_len) == 0;
}

/* One argument's map. */
static void write_argument(struct reply *reply, const char *part, size_t len)
{
    bool multiple = ends_with(part, len, "...");
    if (multiple)
        len -= 3;
    bool optional = part[0] == '[';
    if (optional) {
        part++;
        len -= 2;
    }

    reply_map(reply, (optional || multiple) ? 3 : 2);
    reply_word(reply, "name");
    reply_bulk(reply, part, len);
    reply_word(reply, "type");
    reply_word(reply, "string");
    if (!optional && !multiple)
        return;
    reply_word(reply, "flags");
    reply_array(reply, (size_t)optional + (size_t)multiple);
    if (optional)
        reply_simple(reply, "optional");
    if (multiple)
        reply_simple(reply, "multiple");
}

static size_t count_arguments(const char *usage)
{
    size_t count = 0;
    const char *start;

    for (const char *at = usage_part(usage, &start); at != start; at = usage_part(at, &start))
        count++;
    return count;
}

static void write_docs(struct reply *reply, const struct command *command)
{
    const char *start;

    reply_word(reply, command->name);
    reply_map(reply, 4);
    reply_word(reply, "summary");
    reply_word(reply, command->summary);
    reply_word(reply, "since");
    reply_word(reply, "0.1.0");
    reply_word(reply, "group");
    reply_word(reply, command->group);
    reply_word(reply, "arguments");
    reply_array(reply, count_arguments(command->usage));
    for (const char *at = usage_part(command->usage, &start); at != start;
         at = usage_part(at, &start))
        write_argument(reply, start, (size_t)(at - start));
}

static void write_name_lower(struct reply *reply, const char *name)
{
    char lower[32];
    size_t len = 0;

    while (len < sizeof lower && name[len]) {
        lower[len] = (char)tolower((unsigned char)name[len]);
        len++;
    }
    reply_bulk(reply, lower, len);
}

/* Redis' ten fields. Arity is negative where more words can follow. No command takes a name of
 * Redis' key space. */
static void write_info(struct reply *reply, const struct command *command)
{
    int64_t words = command->words_min;
    bool exact = command->words_max == command->words_min;

    reply_array(reply, 10);
    write_name_lower(reply, command->name);
    reply_integer(reply, exact ? words : -words);
    reply_array(reply, 1);
    reply_simple(reply, command->class == COMMAND_CHANGE || command->class == COMMAND_IMPORT
                            ? "write"
                            : "readonly");
    reply_integer(reply, 0);
    reply_integer(reply, 0);
    reply_integer(reply, 0);
    for (int i = 0; i < 4; i++)
        reply_array(reply, 0);
}

/* How many of the commands named from word 2 on there are; all of them when none is named. */
static size_t count_named(const struct call *call)
{
    size_t count = 0;

    if (call->request->count <= 2)
        return command_count;
    for (size_t i = 2; i < call->request->count; i++)
        count += command_find(call_word(call, i)) != NULL;
    return count;
}

static void answer_docs(struct call *call)
{
    reply_map(call->reply, count_named(call));
    for (size_t i = 0; call->request->count <= 2 && i < command_count; i++)
        write_docs(call->reply, &command_table[i]);
    for (size_t i = 2; i < call->request->count; i++) {
        const struct command *command = command_find(call_word(call, i));
        if (command)
            write_docs(call->reply, command);
    }
}

static void answer_all(struct call *call)
{
    reply_array(call->reply, command_count);
    for (size_t i = 0; i < command_count; i++)
        write_info(call->reply, &command_table[i]);
}

static void answer_info(struct call *call)
{
    if (call->request->count <= 2) {
        answer_all(call);
        return;
    }
    reply_array(call->reply, call->request->count - 2);
    for (size_t i = 2; i < call->request->count; i++) {
        const struct command *command = command_find(call_word(call, i));
        if (command)
            write_info(call->reply, command);
        else
            reply_null(call->reply);
    }
}

static void answer_list(struct call *call)
{
    reply_array(call->reply, command_count);
    for (size_t i = 0; i < command_count; i++)
        write_name_lower(call->reply, command_table[i].name);
}

void handle_command(struct call *call)
{
    if (call->request->count == 1)
        answer_all(call);
    else if (text_is_nocase(call_word(call, 1), "COUNT"))
        reply_count(call->reply, command_count);
    else if (text_is_nocase(call_word(call, 1), "DOCS"))
        answer_docs(call);
    else if (text_is_nocase(call_word(call, 1), "INFO"))
        answer_info(call);
    else if (text_is_nocase(call_word(call, 1), "LIST"))
        answer_list(call);
    else
        call_refuse(call, "ERR", "COMMAND knows COUNT, DOCS, INFO and LIST");
}
