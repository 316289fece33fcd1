/*
 * verify_once CONFIG [SERVICE]: a worker process that verifies one key, from stdin, through the
 * table, and prints the result. Exit status 69 when the library cannot be opened at all.
 */
#include <stdio.h>
#include <string.h>

#include "catlatch.h"

int main(int argc, char **argv)
{
    char key[256] = "", message[256] = "";
    struct catlatch *latch;
    struct catlatch_options options = {.size = sizeof options};

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: verify_once CONFIG [SERVICE] <KEY\n");
        return 64;
    }
    options.config_path = argv[1];
    if (argc == 3)
        options.service = argv[2];
    if (fgets(key, sizeof key, stdin) == NULL ||
        catlatch_open(&options, &latch, message, sizeof message) != 0) {
        fprintf(stderr, "verify_once: no key on stdin, or: %s\n", message);
        return 69;
    }
    struct catlatch_request request = {
        .size = sizeof request, .key = key, .key_len = strcspn(key, "\n")};
    puts(catlatch_result_name(catlatch_verify(latch, &request, NULL)));
    catlatch_close(latch);
    return 0;
}
