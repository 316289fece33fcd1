#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <locale.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "output.h"

/* More than the deepest call has below main, a part of the 8 MiB that a stack may take. */
#define STACK_DEAD (256u << 10)

/* Keys pass through it, so it is ours to cleanse. The size is stdio's for files. */
static char stdout_buffer[BUFSIZ];

/* Opened so that using them fails as using a closed one does. */
static void descriptors_fill(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/* jansson's copies of a key live on its heap. */
static void cleansing_free(void *memory)
{
    if (memory == NULL)
        return;
    OPENSSL_cleanse(memory, malloc_usable_size(memory));
    free(memory);
}

void process_start(void)
{
    const struct rlimit no_core = {0, 0};

    descriptors_fill();
    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)setlocale(LC_CTYPE, "");
    (void)setvbuf(stdout, stdout_buffer, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF,
                  sizeof stdout_buffer);
    json_set_alloc_funcs(malloc, cleansing_free);
}

/* Where frames were that are gone. Copying leaves a key in vector registers, and the dynamic linker
 * puts these on the stack when it first looks a function up. */
__attribute__((noinline)) void process_stack_cleanse(void)
{
    char dead[STACK_DEAD];

    OPENSSL_cleanse(dead, sizeof dead);
}

int process_finish(int status)
{
    bool arrived = output_flush();
    int errnum = errno;

    OPENSSL_cleanse(stdout_buffer, sizeof stdout_buffer);
    process_stack_cleanse();
    if (arrived || status == EX_IOERR)
        return status;
    output_note("writing to standard output failed: %s", output_why(errnum));
    return EX_IOERR;
}
