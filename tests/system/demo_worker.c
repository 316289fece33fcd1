/*
 * demo_worker CONFIG: a worker process as an application would have it. Reads one key from stdin
 * and verifies it without pause until it is refused; then prints how it went. Times are
 * CLOCK_REALTIME in nanoseconds, so that the caller can compare them with its own.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "catlatch.h"

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int main(int argc, char **argv)
{
    char key[256], message[256];
    struct catlatch *latch;
    struct catlatch_options options = {.size = sizeof options};
    if (argc != 2) {
        fprintf(stderr, "usage: demo_worker CONFIG <KEY\n");
        return 64;
    }
    options.config_path = argv[1];
    if (fgets(key, sizeof key, stdin) == NULL ||
        catlatch_open(&options, &latch, message, sizeof message) != 0) {
        fprintf(stderr, "demo_worker: no key on stdin, or: %s\n", message);
        return 69;
    }
    struct catlatch_request request = {
        .size = sizeof request, .key = key, .key_len = strcspn(key, "\n")};

    uint64_t granted = 0;
    int64_t last_grant_ns = 0, started_ns;
    enum catlatch_result result;
    do {
        started_ns = now_ns();
        result = catlatch_verify(latch, &request, NULL);
        if (result == CATLATCH_VALID) {
            last_grant_ns = started_ns;
            if (granted++ == 0) { /* the caller waits for this line */
                printf("%d ready\n", (int)getpid());
                fflush(stdout);
            }
        }
    } while (result == CATLATCH_VALID);
    printf("%d %s granted %" PRIu64 " last_grant_ns %" PRId64 " first_refusal_ns %" PRId64 "\n",
           (int)getpid(), catlatch_result_name(result), granted, last_grant_ns, started_ns);
    catlatch_close(latch);
    return result == CATLATCH_REVOKED ? 0 : 1;
}
