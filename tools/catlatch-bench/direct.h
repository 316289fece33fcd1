/* direct.h - the checks of the benchmark's service called one after the other in one function: what
 * a verification costs without a stack. */
#ifndef BENCH_DIRECT_H
#define BENCH_DIRECT_H

#include "core/error.h"
#include "core/key.h"
#include "lib/attach.h"

struct direct {
    struct attach attach;
    struct key_environments environments;
};

/* Attaches to the table that was published in run_dir. */
int direct_open(struct direct *direct, const char *run_dir, struct error *error);
void direct_close(struct direct *direct);

/* As catlatch_verify with the same request would answer. */
enum catlatch_result direct_verify(struct direct *direct, const struct catlatch_request *request,
                                   struct catlatch_outcome *outcome);

#endif
