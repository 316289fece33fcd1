#include "help.h"

#include <stdio.h>
#include <string.h>

/* Text of --help stays within the 80 columns of a small terminal. */
#define HELP_WIDTH 78

static void print_wrapped(const char *text)
{
    size_t column = 0;

    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        if (column > 0 && column + 1 + len > HELP_WIDTH) {
            putchar('\n');
            column = 0;
        }
        printf("%s%.*s", column > 0 ? " " : "", (int)len, text);
        column += len + (column > 0);
        text += len + strspn(text + len, " ");
    }
    putchar('\n');
}

static void print_commands(const char *first_word)
{
    for (size_t i = 0; i < command_list_len; i++) {
        const struct command *command = &command_list[i];
        size_t len = strcspn(command->name, " ");
        if (first_word != NULL &&
            (strlen(first_word) != len || strncmp(first_word, command->name, len) != 0))
            continue;
        printf("  %-14s %s\n", command->name, command->summary);
    }
}

static void print_options(const char *title, uint64_t options)
{
    if (options == 0)
        return;
    printf("\n%s\n", title);
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct option_spec *spec = option_spec((enum option_id)i);
        char left[40];
        if ((options & OPTION_BIT(i)) == 0)
            continue;
        snprintf(left, sizeof left, "%c%c%s --%s%s%s", spec->letter != '\0' ? '-' : ' ',
                 spec->letter != '\0' ? spec->letter : ' ', spec->letter != '\0' ? "," : " ",
                 spec->name, spec->argument != NULL ? " " : "",
                 spec->argument != NULL ? spec->argument : "");
        printf("  %-30s %s\n", left, spec->summary);
    }
}

void help_overview(void)
{
    puts("catlatch issues, lists, changes and revokes the API keys of this host.\n");
    puts("Usage: catlatch [-c FILE] COMMAND [OPTION]...\n");
    print_commands(NULL);
    puts("\ncatlatch COMMAND --help tells more. Raw keys come on standard input, never as "
         "arguments.");
    puts("Exit status: 0 done or valid, 1 refused or not found, 64 usage, 65 bad data,\n"
         "69 unavailable, 74 input or output, 77 no permission, 78 configuration.");
}

void help_group(const char *first_word)
{
    print_commands(first_word);
}

void help_command(const struct command *command)
{
    printf("Usage: catlatch %s [OPTION]...%s%s\n\n", command->name,
           *command->operands != '\0' ? " " : "", command->operands);
    printf("%s: %s.\n", command->name, command->summary);
    if (*command->details != '\0')
        print_wrapped(command->details);
    print_options("Which keys (conditions combine by AND):", command->options & OPTIONS_SELECT);
    print_options("Options:", command->options & ~OPTIONS_SELECT);
    print_options("Always:", OPTIONS_GLOBAL);
}

void help_version(void)
{
    puts("catlatch " CATLATCH_VERSION);
}
