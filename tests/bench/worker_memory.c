/*
 * worker_memory CONFIG: a worker process that verifies the key on stdin and then a million that
 * nobody has, so that it has looked all over the table; prints the first result, and what memory
 * that took: its own and the kernel's page tables for it, and the table's, which all workers share.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catlatch.h"

#define OTHERS 1000000u

static long status_kib(const char *name)
{
    char line[128];
    long kib = -1;
    FILE *file = fopen("/proc/self/status", "r");

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            kib = strtol(line + strlen(name), NULL, 10);
    if (file != NULL)
        fclose(file);
    return kib;
}

static enum catlatch_result verify(struct catlatch *latch, const char *key)
{
    struct catlatch_request request = {.size = sizeof request, .key = key, .key_len = strlen(key)};

    return catlatch_verify(latch, &request, NULL);
}

int main(int argc, char **argv)
{
    char key[256] = "", message[256] = "";
    struct catlatch *latch;
    struct catlatch_options options = {.size = sizeof options};

    if (argc != 2 || fgets(key, sizeof key, stdin) == NULL) {
        fprintf(stderr, "usage: worker_memory CONFIG <KEY\n");
        return 64;
    }
    key[strcspn(key, "\n")] = '\0';
    options.config_path = argv[1];
    long own = status_kib("RssAnon:") + status_kib("VmPTE:");
    if (catlatch_open(&options, &latch, message, sizeof message) != 0) {
        fprintf(stderr, "worker_memory: %s\n", message);
        return 69;
    }
    printf("%s", catlatch_result_name(verify(latch, key)));
    for (unsigned i = 0; i < OTHERS; i++) {
        snprintf(key, sizeof key, "a key that nobody has, number %u", i);
        if (verify(latch, key) == CATLATCH_VALID)
            return 1;
    }
    printf("; the worker has %ld KiB of its own and %.0f MiB of the table\n",
           status_kib("RssAnon:") + status_kib("VmPTE:") - own,
           (double)status_kib("RssShmem:") / 1024);
    catlatch_close(latch);
    return 0;
}
