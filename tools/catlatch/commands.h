/* commands.h - the handlers that command.c's table names; cmd_*.c holds them by noun. */
#ifndef TOOL_COMMANDS_H
#define TOOL_COMMANDS_H

#include "command.h"

int cmd_create(struct call *call);
int cmd_list(struct call *call);
int cmd_show(struct call *call);
int cmd_update(struct call *call);
int cmd_disable(struct call *call);
int cmd_enable(struct call *call);
int cmd_revoke(struct call *call);
int cmd_purge(struct call *call);
int cmd_rotate(struct call *call);
int cmd_owner_list(struct call *call);
int cmd_owner_show(struct call *call);
int cmd_owner_suspend(struct call *call);
int cmd_owner_resume(struct call *call);
int cmd_owner_update(struct call *call);
int cmd_verify(struct call *call);
int cmd_log(struct call *call);
int cmd_backup(struct call *call);
int cmd_restore(struct call *call);
int cmd_scan(struct call *call);
int cmd_import(struct call *call);
int cmd_export(struct call *call);
int cmd_status(struct call *call);
int cmd_stats(struct call *call);
int cmd_top(struct call *call);
int cmd_configtest(struct call *call);
int cmd_reload(struct call *call);
int cmd_completion(struct call *call);
int cmd_doctor(struct call *call);
int cmd_help(struct call *call);

#endif
