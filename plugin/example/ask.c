/*
 * ask CONFIG SERVICE: a program that verifies keys, as yours would: one on standard input. Prints
 * the result, and when a key that is refused for its hours can come again.
 */
#include <stdio.h>
#include <string.h>

#include <catlatch.h>

int main(int argc, char **argv)
{
    char key[256] = "", message[256] = "";
    struct catlatch *latch;

    if (argc != 3 || fgets(key, sizeof key, stdin) == NULL) {
        fprintf(stderr, "usage: ask CONFIG SERVICE <KEY\n");
        return 64;
    }
    struct catlatch_options options = {
        .size = sizeof options, .config_path = argv[1], .service = argv[2]};
    if (catlatch_open(&options, &latch, message, sizeof message) != 0) {
        fprintf(stderr, "ask: %s\n", message);
        return 78;
    }
    struct catlatch_request request = {
        .size = sizeof request, .key = key, .key_len = strcspn(key, "\n")};
    enum catlatch_result result = catlatch_verify(latch, &request, NULL);
    const char *opens_in_s = catlatch_fact(latch, "hours_opens_in_s");
    printf("%s\n", catlatch_result_name(result));
    if (opens_in_s != NULL)
        printf("Retry-After: %s\n", opens_in_s);
    catlatch_close(latch);
    return result == CATLATCH_VALID ? 0 : 1;
}
