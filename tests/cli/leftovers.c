/* leftovers FILE COMMAND [ARGUMENT...]: runs the command, stops it when all it has left to do is to
 * end, and looks through what it can write of its memory for the keys that FILE holds by then (its
 * own output, or what it was given). Exit status: 0 there is none, 1 there is one, 2 a word of the
 * command line was not found either, so that nothing is proved, 77 the memory cannot be read. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/key.h"

#define PREFIX "cc_live_"
#define PREFIX_LEN (sizeof PREFIX - 1)
#define RAW_LEN (PREFIX_LEN + KEY_RANDOM_LEN + KEY_CHECK_LEN)

/* Of what is never shown: some bytes from its beginning, and the last. */
#define PIECE 10u
#define PIECES_MAX 64u

struct search {
    char pieces[PIECES_MAX][PIECE];
    unsigned count;
    const char *word; /* must be found */
    unsigned words, keys;
    char where[512];
};

static void fail(const char *what)
{
    fprintf(stderr, "leftovers: %s: %s\n", what, strerror(errno));
    exit(errno == EPERM || errno == EACCES ? 77 : 3);
}

static void add_piece(struct search *search, const char *bytes)
{
    if (search->count < PIECES_MAX)
        memcpy(search->pieces[search->count++], bytes, PIECE);
}

static void read_keys(const char *path, struct search *search)
{
    static char text[1u << 20];
    FILE *file = fopen(path, "re");
    if (file == NULL)
        fail(path);
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    for (const char *at = text; (at = strstr(at, PREFIX)) != NULL; at++) {
        if (strspn(at + PREFIX_LEN, KEY_ALPHABET) < RAW_LEN - PREFIX_LEN)
            continue; /* the shown part of one */
        add_piece(search, at + KEY_SHOWN_LEN);
        add_piece(search, at + RAW_LEN - PIECE);
    }
    if (search->count == 0) {
        fprintf(stderr, "leftovers: %s holds no key\n", path);
        exit(2);
    }
}

static void look_in(struct search *search, const char *bytes, size_t len, const char *line)
{
    for (unsigned i = 0; i < search->count; i++)
        if (memmem(bytes, len, search->pieces[i], PIECE) != NULL) {
            search->keys++;
            snprintf(search->where, sizeof search->where, "%s", line);
        }
    search->words += memmem(bytes, len, search->word, strlen(search->word)) != NULL;
}

static void look(pid_t pid, struct search *search)
{
    char path[64], line[512], rights[8];
    unsigned long from, to;
    snprintf(path, sizeof path, "/proc/%ld/mem", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail(path);
    snprintf(path, sizeof path, "/proc/%ld/maps", (long)pid);
    FILE *maps = fopen(path, "re");
    if (maps == NULL)
        fail(path);
    while (fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3 || rights[1] != 'w')
            continue;
        char *bytes = malloc(to - from);
        ssize_t got = bytes != NULL ? pread(fd, bytes, to - from, (off_t)from) : -1;
        if (got > 0)
            look_in(search, bytes, (size_t)got, line);
        free(bytes);
    }
    fclose(maps);
    close(fd);
}

static void run_command(char **argv)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(77);
    raise(SIGSTOP);
    execvp(argv[0], argv);
    _exit(127);
}

/* True when the command is at its end. */
static bool go_on(pid_t pid, int status)
{
    if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8))
        return true;
    int number = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
    if (ptrace(PTRACE_CONT, pid, NULL, (void *)(long)number) != 0)
        fail("going on");
    return false;
}

int main(int argc, char **argv)
{
    static struct search search;
    int status;

    if (argc < 3) {
        fprintf(stderr, "usage: leftovers FILE COMMAND [ARGUMENT...]\n");
        return 64;
    }
    search.word = argv[argc - 1];
    pid_t pid = fork();
    if (pid < 0)
        fail("fork");
    if (pid == 0)
        run_command(argv + 2);
    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
        return 77;
    if (ptrace(PTRACE_SETOPTIONS, pid, NULL,
               (void *)(long)(PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL)) != 0 ||
        ptrace(PTRACE_CONT, pid, NULL, NULL) != 0)
        fail("tracing");
    do {
        if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
            return 3;
    } while (!go_on(pid, status));
    read_keys(argv[1], &search);
    look(pid, &search);
    ptrace(PTRACE_CONT, pid, NULL, NULL);
    waitpid(pid, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) == 127)
        return 3;
    if (search.words == 0) {
        fprintf(stderr, "leftovers: \"%s\" was not found either\n", search.word);
        return 2;
    }
    if (search.keys > 0)
        fprintf(stderr, "leftovers: %u finds of a raw key, the last in %s", search.keys,
                search.where);
    return search.keys > 0;
}
