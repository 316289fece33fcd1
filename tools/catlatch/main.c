#include "command.h"
#include "process.h"

int main(int argc, char **argv)
{
    process_start();
    return process_finish(command_main(argc, argv));
}
