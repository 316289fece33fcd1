#include "screen.h"

#include <curses.h>
#include <stdio.h>

static SCREEN *terminal;

int screen_open(struct error *error)
{
    terminal = newterm(NULL, stdout, stdin);
    if (terminal == NULL)
        return error_set(error, CATLATCH_E_UNAVAILABLE,
                         "this terminal is none that top can draw on (TERM); --once prints one "
                         "picture");
    (void)set_term(terminal);
    (void)cbreak();
    (void)noecho();
    (void)curs_set(0);
    (void)keypad(stdscr, TRUE);
    (void)nodelay(stdscr, TRUE);
    return 0;
}

void screen_close(void)
{
    if (terminal == NULL)
        return;
    (void)endwin();
    delscreen(terminal);
    terminal = NULL;
}

void screen_size(unsigned *ret_width, unsigned *ret_height)
{
    int height, width;

    getmaxyx(stdscr, height, width);
    *ret_width = width > 0 ? (unsigned)width : 1;
    *ret_height = height > 0 ? (unsigned)height : 1;
}

/* The last character of the last line is left alone: some terminals scroll there. */
void screen_draw(const struct page *page)
{
    (void)erase();
    for (unsigned i = 0; i < page->count; i++) {
        const struct page_line *line = &page->lines[i];
        int looks = i == 0 ? (int)A_REVERSE : line->is_title ? (int)A_BOLD : (int)A_NORMAL;
        (void)attrset(looks);
        (void)mvaddstr((int)i, 0, line->text);
    }
    (void)attrset((int)A_NORMAL);
    (void)refresh();
}

enum screen_key screen_key(void)
{
    switch (getch()) {
    case ERR:
        return SCREEN_NOTHING;
    case 'q':
    case 'Q':
        return SCREEN_QUIT;
    case KEY_RESIZE:
        return SCREEN_RESIZED;
    default:
        return SCREEN_OTHER;
    }
}
