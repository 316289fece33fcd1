/* screen.h - the terminal while `top` has it: ncurses, and nothing of it outside of this file. */
#ifndef TOOL_SCREEN_H
#define TOOL_SCREEN_H

#include "page.h"

/* Returns 0, or E_UNAVAILABLE: the terminal's kind is not known, or it is none. */
int screen_open(struct error *error);

/* Gives the terminal back as it was. */
void screen_close(void);

void screen_size(unsigned *ret_width, unsigned *ret_height);
void screen_draw(const struct page *page);

/* What was typed, without waiting. */
enum screen_key { SCREEN_NOTHING, SCREEN_QUIT, SCREEN_RESIZED, SCREEN_OTHER };
enum screen_key screen_key(void);

#endif
