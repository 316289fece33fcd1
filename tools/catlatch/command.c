#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "commands.h"
#include "core/text.h"
#include "guard.h"
#include "help.h"
#include "output.h"

/* More than the commands there will be: what unknown words are compared with. */
#define WORDS_MAX 64

/* How many of the words name the command; 0: none. */
static size_t command_word_count(const struct command *command, const char *const *words,
                                 size_t count)
{
    const char *second = strchr(command->name, ' ');
    size_t first_len = second != NULL ? (size_t)(second - command->name) : strlen(command->name);

    if (count == 0 || strlen(words[0]) != first_len ||
        strncmp(words[0], command->name, first_len) != 0)
        return 0;
    if (second == NULL)
        return 1;
    return count > 1 && strcmp(words[1], second + 1) == 0 ? 2 : 0;
}

/* The nearest to an unknown word: among second words (after `group`) or first ones. */
static const char *command_nearest(const char *group, const char *word)
{
    static char firsts[WORDS_MAX][16];
    const char *known[WORDS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < command_list_len && count < WORDS_MAX; i++) {
        const char *name = command_list[i].name, *second = strchr(name, ' ');
        size_t first_len = strcspn(name, " ");
        if (group == NULL) {
            snprintf(firsts[count], sizeof firsts[count], "%.*s", (int)first_len, name);
            known[count] = firsts[count];
            count++;
        } else if (second != NULL && strncmp(group, name, first_len) == 0 &&
                   group[first_len] == '\0') {
            known[count++] = second + 1;
        }
    }
    return count > 0 ? text_nearest(word, known, count) : NULL;
}

static bool is_group(const char *word)
{
    for (size_t i = 0; i < command_list_len; i++) {
        size_t len = strcspn(command_list[i].name, " ");
        if (command_list[i].name[len] == ' ' && strlen(word) == len &&
            strncmp(word, command_list[i].name, len) == 0)
            return true;
    }
    return false;
}

static int command_unknown(const char *const *words, size_t count)
{
    const char *group = is_group(words[0]) ? words[0] : NULL;
    const char *nearest;
    char typed[GUARD_ECHO_SIZE];

    if (group != NULL && count == 1)
        return output_usage("%s needs a further word: catlatch help lists them", group);
    guard_echo(group != NULL ? words[1] : words[0], typed);
    nearest = command_nearest(group, group != NULL ? words[1] : words[0]);
    if (nearest == NULL)
        return output_usage("unknown command \"%s%s%s\"; catlatch help lists them",
                            group != NULL ? group : "", group != NULL ? " " : "", typed);
    return output_usage("unknown command \"%s%s%s\"; did you mean %s%s%s?",
                        group != NULL ? group : "", group != NULL ? " " : "", typed,
                        group != NULL ? group : "", group != NULL ? " " : "", nearest);
}

static const struct command *command_named(const char *const *words, size_t count,
                                           size_t *ret_word_count)
{
    for (size_t i = 0; i < command_list_len; i++) {
        size_t used = command_word_count(&command_list[i], words, count);
        if (used > 0) {
            *ret_word_count = used;
            return &command_list[i];
        }
    }
    return NULL;
}

int cmd_help(struct call *call)
{
    const struct options *options = &call->options;
    const struct command *command;
    size_t used = 0;

    if (options->operand_count == 0) {
        help_overview();
        return EX_OK;
    }
    if (options->operand_count == 1 && is_group(options->operands[0])) {
        help_group(options->operands[0]);
        return EX_OK;
    }
    command = command_named(options->operands, options->operand_count, &used);
    if (command == NULL)
        return command_unknown(options->operands, options->operand_count);
    help_command(command);
    return EX_OK;
}

const char *call_config_named(const struct call *call)
{
    const char *path = option_text(&call->options, OPTION_CONFIG);

    if (path == NULL)
        path = getenv("CATLATCH_CONFIG");
    return path != NULL && *path != '\0' ? path : NULL;
}

const char *call_config_path(const struct call *call)
{
    const char *path = call_config_named(call);

    return path != NULL ? path : config_default_path();
}

int call_config_error(struct error *error)
{
    if (error->code == CATLATCH_E_NOT_FOUND) {
        error_prefix(error, "no configuration (-c FILE or CATLATCH_CONFIG names one)");
        error->code = CATLATCH_E_CONFIG;
    }
    return error->code;
}

int call_configure(struct call *call, struct error *error)
{
    int code = config_read_without_accounts(call_config_path(call), &call->config, error);

    if (code != 0)
        return call_config_error(error);
    return guard_arguments(call->argc, call->argv, &call->config->environments, error);
}

int call_connect(struct call *call, struct error *error)
{
    int code = call_configure(call, error);

    return code != 0 ? code : session_open(call->config->admin_dir, &call->session, error);
}

static int operands_check(const struct call *call)
{
    const struct command *command = call->command;
    size_t count = call->options.operand_count;

    if (count < command->operands_min)
        return output_usage("%s needs %s: catlatch %s --help", command->name, command->operands,
                            command->name);
    if (count > command->operands_max)
        return output_usage("%s takes %s: catlatch %s --help", command->name,
                            command->operands_max == 0 ? "options only" : "fewer words",
                            command->name);
    return EX_OK;
}

static int call_run(struct call *call)
{
    int status;

    if (option_given(&call->options, OPTION_VERSION)) {
        help_version();
        return EX_OK;
    }
    if (option_given(&call->options, OPTION_HELP)) {
        help_command(call->command);
        return EX_OK;
    }
    status = operands_check(call);
    return status != EX_OK ? status : call->command->run(call);
}

/* The options behind the command's words; argv[0] is the last of them. */
static int command_start(struct call *call, size_t used)
{
    struct error error = {0};
    int first = call->argc - (int)call->options.operand_count + (int)used - 1;
    int code = options_read(call->argc - first, call->argv + first,
                            call->command->options | OPTIONS_GLOBAL, false, &call->options, &error);

    return code != 0 ? output_error(&error) : call_run(call);
}

/* "owner --help": no command begins so, and every word has help. */
static bool asks_for_group(const struct options *options)
{
    return options->operand_count == 2 && is_group(options->operands[0]) &&
           (strcmp(options->operands[1], "--help") == 0 || strcmp(options->operands[1], "-h") == 0);
}

static int command_begin(struct call *call)
{
    struct error error = {0};
    const struct options *options = &call->options;
    size_t used = 0;

    if (guard_arguments(call->argc, call->argv, NULL, &error) != 0 ||
        options_read(call->argc, call->argv, OPTIONS_GLOBAL, true, &call->options, &error) != 0)
        return output_error(&error);
    if (option_given(options, OPTION_VERSION)) {
        help_version();
        return EX_OK;
    }
    if (options->operand_count == 0) {
        help_overview();
        return EX_OK;
    }
    call->command = command_named(options->operands, options->operand_count, &used);
    if (call->command == NULL && option_given(options, OPTION_HELP))
        return cmd_help(call);
    if (call->command == NULL && asks_for_group(options)) {
        help_group(options->operands[0]);
        return EX_OK;
    }
    if (call->command == NULL)
        return command_unknown(options->operands, options->operand_count);
    return command_start(call, used);
}

int command_main(int argc, char **argv)
{
    struct call call = {.argc = argc, .argv = argv};
    int status = command_begin(&call);

    session_close(call.session);
    config_free(call.config);
    options_free(&call.options);
    return status;
}
