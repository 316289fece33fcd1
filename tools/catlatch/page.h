/*
 * page.h - a picture as lines of text, for a terminal or for standard output: none is wider than
 * `width` columns, and there are no more than `height` of them.
 */
#ifndef TOOL_PAGE_H
#define TOOL_PAGE_H

#include "picture.h"

/* Beyond these nothing is gained. */
#define PAGE_WIDTH_MIN 40u
#define PAGE_WIDTH_MAX 200u
#define PAGE_HEIGHT_MAX 200u

struct page {
    unsigned width, height;
    unsigned count;
    struct page_line {
        bool is_title;
        char text[4 * PAGE_WIDTH_MAX + 1];
    } lines[PAGE_HEIGHT_MAX];
};

void page_write(struct page *page, unsigned width, unsigned height, const struct picture *picture);

/* Appends at most `columns` columns of the text, filled up with blanks; in front of it if `right`.
 * What cannot be shown is a question mark. */
void page_fit(char *line, size_t size, const char *text, unsigned columns, bool right);

#endif
