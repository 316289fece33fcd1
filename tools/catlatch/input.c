#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "output.h"

/* 256 MiB: over four million keys. More is a mistake that would only fill memory. */
#define INPUT_MAX (UINT64_C(256) << 20)

static int capacity_grow(struct input *input, size_t *capacity, struct error *error)
{
    size_t grown = *capacity > 0 ? 2 * *capacity : 65536;
    char *bytes;

    if (grown > INPUT_MAX)
        return error_set(error, CATLATCH_E_DATA, "more than 256 MiB; split it");
    bytes = malloc(grown);
    if (bytes == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory");
    if (input->bytes != NULL) {
        memcpy(bytes, input->bytes, input->size);
        OPENSSL_cleanse(input->bytes, input->size);
        free(input->bytes);
    }
    input->bytes = bytes;
    *capacity = grown;
    return 0;
}

/* Reads to the end, leaving room for one NUL behind. */
static int bytes_read(int fd, struct input *input, struct error *error)
{
    size_t capacity = 0;
    ssize_t n;

    do {
        if (capacity - input->size < 2) {
            int code = capacity_grow(input, &capacity, error);
            if (code != 0)
                return code;
        }
        n = read(fd, input->bytes + input->size, capacity - input->size - 1);
        if (n < 0)
            return error_errno(error, errno, "reading");
        input->size += (size_t)n;
    } while (n > 0);
    input->bytes[input->size] = '\0';
    return 0;
}

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

/* Reads from a terminal without echo. A signal that would leave it so ends the reading first. */
static int terminal_read(int fd, struct input *input, struct error *error)
{
    static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction before[4], action = {.sa_handler = on_signal};
    struct termios loud, silent;
    int code;

    if (tcgetattr(fd, &loud) != 0)
        return error_errno(error, errno, "asking the terminal");
    silent = loud;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    interrupted = 0;
    for (size_t i = 0; i < 4; i++)
        sigaction(caught[i], &action, &before[i]);
    (void)tcsetattr(fd, TCSAFLUSH, &silent);
    code = bytes_read(fd, input, error);
    (void)tcsetattr(fd, TCSAFLUSH, &loud);
    for (size_t i = 0; i < 4; i++)
        sigaction(caught[i], &before[i], NULL);
    if (interrupted != 0)
        raise(interrupted);
    return code;
}

static int line_add(struct input *input, size_t *capacity, size_t offset, size_t number,
                    struct error *error)
{
    if (input->count == *capacity) {
        size_t grown = *capacity > 0 ? 2 * *capacity : 64;
        struct input_line *lines = reallocarray(input->lines, grown, sizeof *lines);
        if (lines == NULL)
            return error_set(error, CATLATCH_E_MEMORY, "out of memory");
        input->lines = lines;
        *capacity = grown;
    }
    input->lines[input->count++] = (struct input_line){offset, number};
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static int lines_split(struct input *input, const char *what, size_t max_len, struct error *error)
{
    size_t capacity = 0, number = 0;
    char *line = input->bytes, *end = input->bytes + input->size;
    int code = 0;

    while (line < end && code == 0) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        char *stop = newline != NULL ? newline : end;
        char *next = stop + 1;
        number++;
        while (line < stop && is_blank(*line))
            line++;
        while (stop > line && is_blank(stop[-1]))
            stop--;
        if ((size_t)(stop - line) > max_len)
            return error_set(error, CATLATCH_E_DATA,
                             "line %zu is over %zu bytes: one of the %s is expected on each",
                             number, max_len, what);
        if (memchr(line, '\0', (size_t)(stop - line)) != NULL)
            return error_set(error, CATLATCH_E_DATA, "line %zu holds a NUL byte: this is no text",
                             number);
        *stop = '\0';
        if (stop > line)
            code = line_add(input, &capacity, (size_t)(line - input->bytes), number, error);
        line = next;
    }
    return code;
}

int input_read(const char *path, const char *what, bool secret, size_t max_len,
               struct input *ret_input, struct error *error)
{
    bool is_stdin = strcmp(path, "-") == 0;
    const char *name = is_stdin ? "standard input" : path;
    struct input input = {0};
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    bool terminal = fd >= 0 && isatty(fd);
    int code;

    if (fd < 0) {
        code = error_errno(error, errno, "reading %s from %s", what, name);
        /* No such key is another matter than no such file. */
        return code == CATLATCH_E_NOT_FOUND ? (error->code = CATLATCH_E_IO) : code;
    }
    if (terminal)
        output_note("reading %s from the terminal%s; end with Ctrl-D on a line of its own", what,
                    secret ? ", not shown" : "");
    code = terminal && secret ? terminal_read(fd, &input, error) : bytes_read(fd, &input, error);
    if (code == 0)
        code = lines_split(&input, what, max_len, error);
    if (!is_stdin)
        close(fd);
    if (code != 0) {
        input_free(&input);
        return error_prefix(error, "%s from %s", what, name);
    }
    *ret_input = input;
    return 0;
}

const char *input_line(const struct input *input, size_t index)
{
    return input->bytes + input->lines[index].offset;
}

void input_free(struct input *input)
{
    if (input->bytes != NULL)
        OPENSSL_cleanse(input->bytes, input->size);
    free(input->bytes);
    free(input->lines);
    *input = (struct input){0};
}
