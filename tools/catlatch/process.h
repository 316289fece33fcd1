/* process.h - what this process is before and after its command: standard descriptors, secrets. */
#ifndef TOOL_PROCESS_H
#define TOOL_PROCESS_H

/* Keeps raw keys out of core dumps and debuggers, makes sure that descriptors 0 to 2 are taken (a
 * closed stdout must not become the daemon's socket), and gives stdout a buffer of ours. */
void process_start(void);

/* Flushes stdout and cleanses its buffer. Returns the status, or 74 with a line if what was printed
 * did not arrive and the status would have said otherwise. */
int process_finish(int status);

/* For the end of a thread that handled keys: cleanses where its frames were. process_finish does so
 * for the first one. */
void process_stack_cleanse(void);

#endif
