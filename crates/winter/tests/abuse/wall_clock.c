/* Steps the wall clock of the one process that it is loaded into, by as many seconds
   as the file WALL_CLOCK_STEP says. No other clock. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *at)
{
    char text[32] = { 0 };
    int failed = syscall(SYS_clock_gettime, clock, at);
    if (failed || clock != CLOCK_REALTIME)
        return failed;
    int file = open(getenv("WALL_CLOCK_STEP"), O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        if (read(file, text, sizeof text - 1) > 0)
            at->tv_sec += atol(text);
        close(file);
    }
    return 0;
}
