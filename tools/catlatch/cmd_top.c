/* top: what is verified at this moment, a picture a second. */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "commands.h"
#include "follow.h"
#include "output.h"
#include "page.h"
#include "screen.h"

#define INTERVAL_S 1.0

/* How soon a key or another size of the terminal is seen. */
#define GLANCE_MS 100

/* Of pictures that go to a file: as many lines as there are, within reason. */
#define PRINTED_WIDTH 80u
#define PRINTED_HEIGHT 60u

#define ROUNDS_MAX 1000000000ul

struct watch {
    struct call *call;
    bool on_screen;
    bool json;
    unsigned long rounds; /* pictures that are still to be shown */
    struct picture last;
    struct page page;
};

static int rounds_read(const struct options *options, bool on_screen, unsigned long *ret_rounds,
                       struct error *error)
{
    const char *text = option_text(options, OPTION_ROUNDS);
    char *end;

    *ret_rounds = option_given(options, OPTION_ONCE) ? 1 : ROUNDS_MAX;
    if (text == NULL && !option_given(options, OPTION_ONCE) && !on_screen)
        return error_set(error, CATLATCH_E_ARGUMENT,
                         "top draws on a terminal; --once prints one picture, -n N so many");
    if (text == NULL)
        return 0;
    *ret_rounds = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || *ret_rounds == 0 || *ret_rounds > ROUNDS_MAX)
        return error_set(error, CATLATCH_E_DATA, "--count takes a number from 1 to %lu",
                         ROUNDS_MAX);
    return 0;
}

static void draw(struct watch *watch)
{
    unsigned width, height;

    screen_size(&width, &height);
    page_write(&watch->page, width, height, &watch->last);
    screen_draw(&watch->page);
}

static void print_json(const struct picture *picture)
{
    json_t *all =
        json_pack("{sO sO sO sO sO}", "stats", picture->stats, "results", picture->results, "keys",
                  picture->keys, "owners", picture->owners, "workers", picture->workers);
    output_json(all);
    json_decref(all);
}

/* Without the blanks that fill lines up. */
static void print_lines(const struct page *page)
{
    for (unsigned i = 0; i < page->count; i++) {
        const char *text = page->lines[i].text;
        int len = 0;
        for (int at = 0; text[at] != '\0'; at++)
            if (text[at] != ' ')
                len = at + 1;
        printf("%.*s\n", len, text);
    }
    putchar('\n');
}

static void show(struct watch *watch)
{
    if (watch->json) {
        print_json(&watch->last);
    } else if (watch->on_screen) {
        draw(watch);
    } else {
        page_write(&watch->page, PRINTED_WIDTH, PRINTED_HEIGHT, &watch->last);
        print_lines(&watch->page);
    }
}

static int take(struct watch *watch, struct error *error)
{
    struct picture next;
    int code = picture_take(watch->call->session, &watch->last, &next, error);

    if (code != 0)
        return code;
    picture_free(&watch->last);
    watch->last = next;
    return 0;
}

/* Until it is time for the next picture. False: that is enough. */
static bool wait_for_next(struct watch *watch)
{
    double end_s = watch->last.taken_s + INTERVAL_S;

    for (double left_s; (left_s = end_s - picture_clock_s()) > 0;) {
        int left_ms = (int)(left_s * 1000) + 1;
        if (follow_pause(watch->on_screen ? STDIN_FILENO : -1,
                         left_ms < GLANCE_MS ? left_ms : GLANCE_MS))
            return false;
        for (enum screen_key key = SCREEN_OTHER; watch->on_screen && key != SCREEN_NOTHING;) {
            key = screen_key();
            if (key == SCREEN_QUIT)
                return false;
            if (key == SCREEN_RESIZED)
                draw(watch);
        }
    }
    return true;
}

/* The first look is what the next one's rates are by; on a terminal it is shown all the same. */
static int run(struct watch *watch, struct error *error)
{
    int code = take(watch, error);

    if (code == 0 && watch->on_screen)
        show(watch);
    while (code == 0 && watch->rounds > 0 && wait_for_next(watch)) {
        code = take(watch, error);
        if (code != 0)
            break;
        show(watch);
        watch->rounds--;
        if (!watch->on_screen && !output_flush())
            break;
    }
    return code;
}

static int watch_open(struct watch *watch, struct call *call, struct error *error)
{
    const struct options *options = &call->options;

    watch->call = call;
    watch->json = option_given(options, OPTION_JSON);
    watch->on_screen = !watch->json && !option_given(options, OPTION_ONCE) &&
                       isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
    int code = rounds_read(options, watch->on_screen, &watch->rounds, error);
    if (code == 0)
        code = call_connect(call, error);
    if (code == 0)
        code = follow_begin(error);
    return code == 0 && watch->on_screen ? screen_open(error) : code;
}

int cmd_top(struct call *call)
{
    static struct watch watch; /* a page is large */
    struct error error = {0};
    int code = watch_open(&watch, call, &error);

    if (code == 0)
        code = run(&watch, &error);
    screen_close();
    picture_free(&watch.last);
    return code != 0 ? output_error(&error) : EX_OK;
}
