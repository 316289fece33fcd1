/* The completion scripts of shells, made from the tables of commands and options. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "commands.h"
#include "output.h"

/* What an option's argument can be, where that is a list. The daemon has the last word on each. */
static const struct {
    enum option_id option;
    const char *words;
} option_words[] = {
    {OPTION_WITH_STATE, "active disabled expired not_yet_valid revoked"},
    {OPTION_REASON, "leaked compromised superseded owner-left unused other"},
};

static const char *words_of(enum option_id option)
{
    for (size_t i = 0; i < sizeof option_words / sizeof *option_words; i++) {
        if (option_words[i].option == option)
            return option_words[i].words;
    }
    return NULL;
}

static bool takes_file(enum option_id option)
{
    const char *argument = option_spec(option)->argument;

    return argument != NULL && strcmp(argument, "FILE") == 0;
}

static bool has_option(const struct command *command, int option)
{
    return ((command->options | OPTIONS_GLOBAL) & OPTION_BIT(option)) != 0;
}

/* Whether commands share this one's first word and need a second; the first of them stands for all
 * where a shell asks for first words. */
static bool is_grouped(const struct command *command)
{
    return strchr(command->name, ' ') != NULL;
}

static bool is_first_of_group(const struct command *command)
{
    size_t len = strcspn(command->name, " ") + 1;

    return command == command_list || strncmp(command[-1].name, command->name, len) != 0;
}

/* Whether its operands are files. */
static bool wants_files(const struct command *command)
{
    return strstr(command->operands, "FILE") != NULL || strstr(command->operands, "PATH") != NULL;
}

/* The name with blanks as underscores: what shells call a function. */
static void print_function(const char *shell_prefix, const char *name)
{
    fputs(shell_prefix, stdout);
    for (; *name != '\0'; name++)
        putchar(*name == ' ' ? '_' : *name);
}

static void print_first_words(const char *separator)
{
    for (size_t i = 0; i < command_list_len; i++) {
        const struct command *command = &command_list[i];
        if (!is_grouped(command) || is_first_of_group(command))
            printf("%s%.*s", i > 0 ? separator : "", (int)strcspn(command->name, " "),
                   command->name);
    }
}

static void print_groups(void)
{
    for (size_t i = 0; i < command_list_len; i++) {
        const struct command *command = &command_list[i];
        if (is_grouped(command) && is_first_of_group(command))
            printf("%.*s ", (int)strcspn(command->name, " "), command->name);
    }
}

/* The second words of the group that begins with this command. */
static void print_second_words(const struct command *first)
{
    size_t len = strcspn(first->name, " ") + 1;

    for (const struct command *command = first;
         command < command_list + command_list_len && strncmp(command->name, first->name, len) == 0;
         command++)
        printf("%s%s", command > first ? " " : "", command->name + len);
}

/* "--name " and "-n " for each option of the set that has an argument, or for each of the set. */
static void print_option_names(uint64_t options, bool with_argument_alone)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct option_spec *spec = option_spec((enum option_id)i);
        if ((options & OPTION_BIT(i)) == 0 || (with_argument_alone && spec->argument == NULL))
            continue;
        printf("--%s ", spec->name);
        if (spec->letter != '\0')
            printf("-%c ", spec->letter);
    }
}

static void bash_values(void)
{
    puts("    case $previous in");
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct option_spec *spec = option_spec((enum option_id)i);
        const char *words = words_of((enum option_id)i);
        if (!takes_file((enum option_id)i) && words == NULL)
            continue;
        printf("    --%s", spec->name);
        if (spec->letter != '\0')
            printf(" | -%c", spec->letter);
        if (words != NULL)
            printf(") mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$current\"); return ;;\n",
                   words);
        else
            puts(") compopt -o filenames 2>/dev/null; "
                 "mapfile -t COMPREPLY < <(compgen -f -- \"$current\"); return ;;");
    }
    puts("    esac\n"
         "    [[ $takes != *\" $previous \"* ]] || return 0");
}

static void bash_commands(void)
{
    fputs("    case $command in\n    '') words='", stdout);
    print_first_words(" ");
    fputs("' options='", stdout);
    print_option_names(OPTIONS_GLOBAL, false);
    puts("' ;;");
    for (size_t i = 0; i < command_list_len; i++) {
        const struct command *command = &command_list[i];
        if (is_grouped(command) && is_first_of_group(command)) {
            printf("    %.*s) words='", (int)strcspn(command->name, " "), command->name);
            print_second_words(command);
            puts("' ;;");
        }
        printf("    '%s') options='", command->name);
        print_option_names(command->options | OPTIONS_GLOBAL, false);
        fputs("'", stdout);
        if (command->run == cmd_help) {
            fputs(" words='", stdout);
            print_first_words(" ");
            fputs("'", stdout);
        }
        if (command->run == cmd_completion)
            fputs(" words='bash zsh fish'", stdout);
        puts(wants_files(command) ? " files=1 ;;" : " ;;");
    }
    puts("    esac");
}

static void bash_script(void)
{
    uint64_t all = 0;

    for (size_t i = 0; i < command_list_len; i++)
        all |= command_list[i].options | OPTIONS_GLOBAL;
    fputs("# bash completion for catlatch(1), made by `catlatch completion bash`.\n\n"
          "_catlatch() {\n"
          "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
          "    local command= words= options= files= word skip= i\n"
          "    local takes=' ",
          stdout);
    print_option_names(all, true);
    fputs("' groups=' ", stdout);
    print_groups();
    puts("'\n\n"
         "    COMPREPLY=()\n"
         "    if [[ $current == = ]]; then\n"
         "        current=\n"
         "    elif [[ $previous == = ]]; then\n"
         "        previous=${COMP_WORDS[COMP_CWORD - 2]}\n"
         "    fi");
    bash_values();
    puts("    for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "        word=${COMP_WORDS[i]}\n"
         "        if [[ -n $skip ]]; then\n"
         "            [[ $word == = ]] || skip=\n"
         "        elif [[ $takes == *\" $word \"* ]]; then\n"
         "            skip=1\n"
         "        elif [[ $word != -* ]]; then\n"
         "            [[ -z $command || $groups == *\" $command \"* ]] || break\n"
         "            command=${command:+$command }$word\n"
         "        fi\n"
         "    done");
    bash_commands();
    puts("    if [[ $current == -* ]]; then\n"
         "        words=$options\n"
         "    elif [[ -n $files ]]; then\n"
         "        compopt -o filenames 2>/dev/null\n"
         "        mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
         "        return\n"
         "    fi\n"
         "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
         "}\n"
         "complete -F _catlatch catlatch");
}

/* A summary inside '...[...]' of zsh or '...' of fish. */
static void print_quoted(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputs("'\\''", stdout);
        else if (*text == '[' || *text == ']' || *text == ':')
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

static void zsh_option(enum option_id option)
{
    const struct option_spec *spec = option_spec(option);
    const char *words = words_of(option), *star = spec->repeats ? "*" : "";

    if (spec->letter != '\0')
        printf(" \\\n        %s{-%c,--%s}'[", spec->repeats ? "\\*" : "", spec->letter, spec->name);
    else
        printf(" \\\n        '%s--%s[", star, spec->name);
    print_quoted(spec->summary);
    putchar(']');
    if (spec->argument != NULL && words != NULL)
        printf(":%s:(%s)", spec->argument, words);
    else if (spec->argument != NULL)
        printf(":%s:%s", spec->argument, takes_file(option) ? "_files" : " ");
    putchar('\'');
}

static void zsh_options(const struct command *command)
{
    fputs("    _arguments -s", stdout);
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (has_option(command, i))
            zsh_option((enum option_id)i);
    }
}

/* Chooses among commands whose names begin with `group` and a blank, or among first words. */
static void zsh_choice(const char *group)
{
    size_t len = strlen(group);

    puts("    local -a commands\n    commands=(");
    for (size_t i = 0; i < command_list_len; i++) {
        const struct command *command = &command_list[i];
        if (len > 0 && strncmp(command->name, group, len) != 0)
            continue;
        if (len == 0 && is_grouped(command) && !is_first_of_group(command))
            continue;
        const char *name = command->name + len;
        int name_len = (int)strcspn(name, " ");
        printf("        '%.*s:", name_len, name);
        if (name[name_len] == ' ')
            printf("%.*s commands", name_len, name);
        else
            print_quoted(command->summary);
        puts("'");
    }
    puts("    )\n    _describe -t commands command commands");
}

/* Dispatches on the word after `group`; functions are named _catlatch_WORD[_WORD]. */
static void zsh_dispatch(const char *function, const char *choice)
{
    fputs("    local curcontext=$curcontext state line\n    _arguments -C", stdout);
    for (int i = 0; i < OPTION_COUNT; i++) {
        if ((OPTIONS_GLOBAL & OPTION_BIT(i)) != 0)
            zsh_option((enum option_id)i);
    }
    printf(" \\\n        '1: :%s' '*:: :->rest'\n"
           "    [[ $state != rest ]] || _call_function ret %s_${words[1]}\n",
           choice, function);
}

static void zsh_group(const struct command *first)
{
    char group[32];
    int len = (int)strcspn(first->name, " ");

    snprintf(group, sizeof group, "%.*s ", len, first->name);
    printf("_catlatch_%.*s_choice() {\n", len, first->name);
    zsh_choice(group);
    printf("}\n\n_catlatch_%.*s() {\n", len, first->name);
    char function[48], choice[64];
    snprintf(function, sizeof function, "_catlatch_%.*s", len, first->name);
    snprintf(choice, sizeof choice, "_catlatch_%.*s_choice", len, first->name);
    zsh_dispatch(function, choice);
    puts("}\n");
}

static void zsh_script(void)
{
    puts("#compdef catlatch\n"
         "# zsh completion for catlatch(1), made by `catlatch completion zsh`.\n\n"
         "_catlatch_choice() {");
    zsh_choice("");
    puts("}\n");
    for (size_t i = 0; i < command_list_len; i++) {
        const struct command *command = &command_list[i];
        if (is_grouped(command) && is_first_of_group(command))
            zsh_group(command);
        print_function("_catlatch_", command->name);
        puts("() {");
        zsh_options(command);
        if (command->run == cmd_help)
            fputs(" \\\n        '1: :_catlatch_choice'", stdout);
        if (command->run == cmd_completion)
            fputs(" \\\n        '1: :(bash zsh fish)'", stdout);
        if (wants_files(command))
            fputs(" \\\n        '*:FILE:_files'", stdout);
        puts("\n}\n");
    }
    puts("_catlatch() {");
    zsh_dispatch("_catlatch", "_catlatch_choice");
    puts("}\n\n_catlatch \"$@\"");
}

static void fish_quoted(const char *text)
{
    putchar('\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('\'');
}

static void fish_option(const char *condition, enum option_id option)
{
    const struct option_spec *spec = option_spec(option);
    const char *words = words_of(option);

    printf("complete -c catlatch%s -l %s", condition, spec->name);
    if (spec->letter != '\0')
        printf(" -s %c", spec->letter);
    if (spec->argument != NULL)
        fputs(takes_file(option) ? " -r -F" : " -x", stdout);
    if (words != NULL)
        printf(" -a '%s'", words);
    fputs(" -d ", stdout);
    fish_quoted(spec->summary);
    putchar('\n');
}

static void fish_command(const struct command *command)
{
    char condition[80];
    int first_len = (int)strcspn(command->name, " ");
    const char *second = command->name[first_len] == ' ' ? command->name + first_len + 1 : NULL;

    if (second == NULL)
        printf("complete -c catlatch -n '__catlatch_at \"\"' -a %s -d ", command->name);
    else if (is_first_of_group(command))
        printf("complete -c catlatch -n '__catlatch_at \"\"' -a %.*s -d '%.*s commands'\n",
               first_len, command->name, first_len, command->name);
    if (second != NULL)
        printf("complete -c catlatch -n '__catlatch_at %.*s' -a %s -d ", first_len, command->name,
               second);
    fish_quoted(command->summary);
    putchar('\n');
    snprintf(condition, sizeof condition, " -n '__catlatch_at \"%s\"'", command->name);
    for (int i = 0; i < OPTION_COUNT; i++) {
        if ((command->options & OPTION_BIT(i)) != 0)
            fish_option(condition, (enum option_id)i);
    }
    if (command->run == cmd_completion)
        printf("complete -c catlatch%s -a 'bash zsh fish'\n", condition);
    if (wants_files(command))
        printf("complete -c catlatch%s -F\n", condition);
    if (command->run == cmd_help) {
        printf("complete -c catlatch%s -a '", condition);
        print_first_words(" ");
        puts("'");
    }
}

static void fish_script(void)
{
    uint64_t all = OPTIONS_GLOBAL;

    for (size_t i = 0; i < command_list_len; i++)
        all |= command_list[i].options;
    fputs("# fish completion for catlatch(1), made by `catlatch completion fish`.\n\n"
          "# Whether the words before the cursor are this command, further words left aside.\n"
          "function __catlatch_at\n"
          "    set -l command\n"
          "    set -l skip\n"
          "    for word in (commandline -opc)[2..]\n"
          "        if test -n \"$skip\"\n"
          "            set skip\n"
          "        else if contains -- $word ",
          stdout);
    print_option_names(all, true);
    fputs("\n"
          "            set skip 1\n"
          "        else if not string match -q -- '-*' $word\n"
          "            if test (count $command) -gt 0; and not contains -- \"$command\" ",
          stdout);
    print_groups();
    puts("\n"
         "                break\n"
         "            end\n"
         "            set -a command $word\n"
         "        end\n"
         "    end\n"
         "    test \"$command\" = \"$argv[1]\"\n"
         "end\n\n"
         "complete -c catlatch -f");
    for (int i = 0; i < OPTION_COUNT; i++) {
        if ((OPTIONS_GLOBAL & OPTION_BIT(i)) != 0)
            fish_option("", (enum option_id)i);
    }
    for (size_t i = 0; i < command_list_len; i++)
        fish_command(&command_list[i]);
}

int cmd_completion(struct call *call)
{
    const char *shell = call->options.operands[0];

    if (strcmp(shell, "bash") == 0)
        bash_script();
    else if (strcmp(shell, "zsh") == 0)
        zsh_script();
    else if (strcmp(shell, "fish") == 0)
        fish_script();
    else
        return output_usage("completion scripts are for bash, zsh and fish");
    return EX_OK;
}
