/*
 * handle.h - what a handle holds: the table and the service. Its strings and lists are inside, so
 * that only opening and closing allocate.
 */
#ifndef LIB_HANDLE_H
#define LIB_HANDLE_H

#include "catlatch.h"
#include "lib/attach.h"
#include "lib/records.h"
#include "stack/facts.h"
#include "stack/service.h"

#define LIB_EXPORT __attribute__((visibility("default")))

struct catlatch {
    struct attach attach;
    struct records records;
    enum config_address record_address;
    struct stack_service *service;
    struct stack_facts facts;     /* of the last verification that was not in a batch */
    unsigned refresh_patience_ms; /* of a refresh, with the keeper */
};

#endif
