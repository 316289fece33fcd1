/* lib_modules.h - where the tests find the stock modules. */
#ifndef TESTS_LIB_MODULES_H
#define TESTS_LIB_MODULES_H

/* $CATLATCH_MODULES, which tests/run makes: a folder that nobody else can write, wherever the clone
 * lies. Without it, where they were built. */
const char *test_modules(void);

#endif
