/* identity.h - the texts that belong to a record of the table. */
#ifndef STACK_IDENTITY_H
#define STACK_IDENTITY_H

#include "table/view.h"

/* Fills in all but `size`. 0, or E_UNAVAILABLE: the table is damaged. */
int stack_identity(const struct table_view *view, const struct table_hit *hit,
                   struct catlatch_identity *ret);

#endif
