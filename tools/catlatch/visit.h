/* visit.h - finds the keys of a selection and shows them, page by page. */
#ifndef TOOL_VISIT_H
#define TOOL_VISIT_H

#include "select.h"
#include "session.h"

/* Called with pages of keys; the arrays are the selection's. Returns 0 to go on or a code. */
typedef int selection_visitor(void *context, const json_t *keys, struct error *error);

/* Finds the keys and shows them to the visitor, each once, in pages of at most 1,000. An id that
 * the daemon doesn't know is E_NOT_FOUND; a raw key that it doesn't is counted, and noted by its
 * line. */
int selection_visit(struct selection *selection, struct session *session, selection_visitor *visit,
                    void *context, struct error *error);

#endif
