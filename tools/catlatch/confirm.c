#include "confirm.h"

#include <fcntl.h>
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

static void print_choice(int terminal, const char *const *answers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        dprintf(terminal, "%s%s", i == 0 ? "" : i + 1 < count ? ", " : " or ", answers[i]);
    dprintf(terminal, ": ");
}

size_t confirm_ask(const char *question, const char *const *answers, size_t count)
{
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
    FILE *lines = terminal >= 0 ? fdopen(terminal, "r") : NULL;
    size_t answer = count;
    char line[64];

    if (lines == NULL)
        return count - 1; /* nobody can be asked, and the process ends: the descriptor with it */
    dprintf(terminal, "%s\n", question);
    for (int i = 0; answer == count && i < ATTEMPTS; i++) {
        print_choice(terminal, answers, count);
        if (fgets(line, sizeof line, lines) == NULL)
            answer = count - 1;
        else
            answer = answer_of(line, answers, count);
    }
    fclose(lines);
    return answer == count ? count - 1 : answer;
}
