/*
 * patience.h - how long the daemon waits for catlatch-keeper.
 *
 * It answers in microseconds, but where there is too little processor for all. A daemon that runs
 * asks again soon. One that starts cannot: without the keeper's answer what was counted since it
 * was last stored is lost, and limits begin anew.
 */
#ifndef DAEMON_PATIENCE_H
#define DAEMON_PATIENCE_H

#define PATIENCE_MS 100u
#define PATIENCE_START_MS 5000u

#endif
