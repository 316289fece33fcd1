/*
 * verify_lines CONFIG: a worker process that lives on. Verifies each key that stdin gives it, a
 * line each, and prints the result; an empty line refreshes, and prints the code. Exit status 69
 * when the library cannot be opened at all.
 */
#include <stdio.h>
#include <string.h>

#include "catlatch.h"

int main(int argc, char **argv)
{
    char key[256], message[512] = "";
    struct catlatch *latch;
    struct catlatch_options options = {.size = sizeof options};

    if (argc != 2) {
        fprintf(stderr, "usage: verify_lines CONFIG <KEYS\n");
        return 64;
    }
    options.config_path = argv[1];
    if (catlatch_open(&options, &latch, message, sizeof message) != 0) {
        fprintf(stderr, "verify_lines: %s\n", message);
        return 69;
    }
    while (fgets(key, sizeof key, stdin) != NULL) {
        if (key[0] == '\n') {
            printf("%d\n", catlatch_refresh(latch));
            fflush(stdout);
            continue;
        }
        struct catlatch_request request = {
            .size = sizeof request, .key = key, .key_len = strcspn(key, "\n")};
        puts(catlatch_result_name(catlatch_verify(latch, &request, NULL)));
        fflush(stdout);
    }
    catlatch_close(latch);
    return 0;
}
