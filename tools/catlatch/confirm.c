#include "confirm.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ATTEMPTS 3

bool confirm_is_possible(bool stdin_is_input)
{
    return isatty(STDERR_FILENO) && (stdin_is_input || isatty(STDIN_FILENO)) &&
           access("/dev/tty", R_OK | W_OK) == 0;
}

static size_t answer_of(char *line, const char *const *answers, size_t count)
{
    line[strcspn(line, "\r\n")] = '\0';
    for (size_t i = 0; i < count; i++)
        if (strcmp(line, answers[i]) == 0)
            return i;
    return *line == '\0' ? count - 1 : count;
}

static void print_choice(FILE *terminal, const char *const *answers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fprintf(terminal, "%s%s", i == 0 ? "" : i + 1 < count ? ", " : " or ", answers[i]);
    fputs(": ", terminal);
    fflush(terminal);
}

size_t confirm_ask(const char *question, const char *const *answers, size_t count)
{
    FILE *out = fopen("/dev/tty", "we"), *in = fopen("/dev/tty", "re");
    size_t answer = count;
    char line[64];

    for (int i = 0; in != NULL && out != NULL && answer == count && i < ATTEMPTS; i++) {
        if (i == 0)
            fprintf(out, "%s\n", question);
        print_choice(out, answers, count);
        if (fgets(line, sizeof line, in) == NULL)
            answer = count - 1;
        else
            answer = answer_of(line, answers, count);
    }
    if (in != NULL)
        fclose(in);
    if (out != NULL)
        fclose(out);
    return answer == count ? count - 1 : answer;
}
