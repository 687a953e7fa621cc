/* A library for LD_PRELOAD that sees every call by which a program changes files, and can make any of them go wrong.
 *
 * It counts the calls whose file lies in, or is, one of the given folders, and at the n-th of them does what it was
 * told: kill the process before, in the middle of or after the call, or refuse the call with an errno. Calls on other
 * files pass through untouched. All of libc's ways lead through perform(), by the number of the system call, and so
 * does syscall() itself.
 *
 * Settings are environment variables, read at the start and again by shim_restart():
 *
 *   SHIM_ROOTS   folders, absolute and without symbolic links, separated by ':'; unset: everything passes through
 *   SHIM_TRACE   file to append a line a counted call to, outside the roots
 *   SHIM_DATA    file to append the bytes of each write to; the trace says where they are
 *   SHIM_MODE    before | half | after    send SHIM_SIGNAL at that point of call SHIM_AT; "half" writes half the bytes
 *                once | from              refuse the first call that SHIM_ON names from SHIM_AT on, or all, with
 *                                         SHIM_ERRNO
 *                short                    from SHIM_AT on, write about a third of what is asked
 *                interrupt                from SHIM_AT on, refuse every other write with EINTR
 *   SHIM_AT      number of a call, from 1 (the default)
 *   SHIM_ON      operations to refuse, separated by ','; all if unset. They are counted all the same.
 *   SHIM_ERRNO   number
 *   SHIM_SIGNAL  number; SIGKILL if unset
 *   SHIM_CLOCK   seconds to add to the time of day
 *   SHIM_CLOCK_AT  number of the call from which on they are added; from the start if unset
 *
 * Not seen: what stdio writes (its calls inside libc cannot be interposed), io_uring, and stores to mapped memory.
 * A test of the harness replays traces and compares the outcome with the files, which shows whether that matters.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <dlfcn.h>
#include <time.h>
#include <unistd.h>

enum mode { COUNT, BEFORE, HALF, AFTER, ONCE, FROM, SHORT, INTERRUPT };
static const char *const mode_names[] = {"count", "before", "half", "after", "once", "from", "short", "interrupt"};

static char roots[4096], refused[512];
static int trace = -1, data = -1, error, signal_number;
static enum mode mode;
static long at, count, data_size, clock_at, refusals;
static double clock_offset;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static long raw(long number, long a, long b, long c, long d, long e, long f)
{
    static long (*real)(long, ...);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "syscall");
    return real(number, a, b, c, d, e, f);
}

/* --- settings ---------------------------------------------------------------------------------------------------- */

static long number_of(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtol(text, NULL, 10) : otherwise;
}

static int log_file(const char *name)
{
    const char *path = getenv(name);
    if (!path || !*path)
        return -1;
    int low = raw(SYS_openat, AT_FDCWD, (long)path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644, 0, 0);
    /* Out of the way: the numbers of the program's own files are to be what they are without us. */
    int high = raw(SYS_fcntl, low, F_DUPFD_CLOEXEC, 900, 0, 0, 0);
    raw(SYS_close, low, 0, 0, 0, 0, 0);
    if (high < 0)
        abort();
    return high;
}

__attribute__((visibility("default"))) void shim_restart(void)
{
    const char *text = getenv("SHIM_MODE"), *clock = getenv("SHIM_CLOCK");
    if (trace >= 0)
        raw(SYS_close, trace, 0, 0, 0, 0, 0);
    if (data >= 0)
        raw(SYS_close, data, 0, 0, 0, 0, 0);
    mode = COUNT;
    for (int each = 0; text && each <= INTERRUPT; each++)
        if (!strcmp(text, mode_names[each]))
            mode = each;
    snprintf(roots, sizeof roots, "%s", getenv("SHIM_ROOTS") ? getenv("SHIM_ROOTS") : "");
    snprintf(refused, sizeof refused, "%s", getenv("SHIM_ON") ? getenv("SHIM_ON") : "");
    at = number_of("SHIM_AT", 1);
    error = number_of("SHIM_ERRNO", EIO);
    signal_number = number_of("SHIM_SIGNAL", SIGKILL);
    clock_offset = clock ? strtod(clock, NULL) : 0;
    clock_at = number_of("SHIM_CLOCK_AT", 0);
    count = data_size = refusals = 0;
    trace = log_file("SHIM_TRACE");
    data = log_file("SHIM_DATA");
}

__attribute__((constructor)) static void begin(void) { shim_restart(); }

/* How many calls were counted; a program that was not told to load this library does not have the symbol. */
__attribute__((visibility("default"))) long shim_count(void) { return count; }

/* --- what a call is about ---------------------------------------------------------------------------------------- */

struct call {
    const char *op;
    char path[8192], other[4096];  /* absolute; of a link or rename the second is where to */
    int fd;                        /* of an open file, or -1 */
    long inode;
    int flags;
    int writes;                    /* its arguments are a buffer or vector, and can be cut short */
    long offset, length;
};

static void join(char *out, size_t size, long folder, const char *path)
{
    char link[64];
    ssize_t used = 0;
    if (path[0] != '/') {
        snprintf(link, sizeof link, (int)folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", (int)folder);
        used = raw(SYS_readlinkat, AT_FDCWD, (long)link, (long)out, size - 2, 0, 0);
        if (used < 0)
            used = 0;
        if (*path)
            out[used++] = '/';
    }
    snprintf(out + used, size - used, "%s", path);
}

static int ours(const char *path)
{
    for (const char *root = roots; *root;) {
        size_t length = strcspn(root, ":");
        if (length && !strncmp(path, root, length) && (path[length] == '/' || !path[length] || path[length] == ' '))
            return 1;
        root += length + (root[length] == ':');
    }
    return 0;
}

static int on_fd(struct call *call, const char *op, long fd)
{
    struct stat status;
    if (fstat(fd, &status) || !(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)))
        return 0;
    call->op = op;
    call->fd = fd;
    join(call->path, sizeof call->path, fd, "");
    return ours(call->path);
}

static int on_path(struct call *call, const char *op, long folder, long path)
{
    call->op = op;
    join(call->path, sizeof call->path, folder, (const char *)path);
    return ours(call->path);
}

static int on_paths(struct call *call, const char *op, long folder, long path, long other_folder, long other)
{
    int from_here = on_path(call, op, folder, path);
    join(call->other, sizeof call->other, other_folder, (const char *)other);
    return from_here || ours(call->other);
}

static int on_write(struct call *call, const char *op, long fd, long length, long offset)
{
    if (!on_fd(call, op, fd))
        return 0;
    call->writes = 1;
    call->length = length;
    call->offset = offset;
    if (offset < 0) {
        long here = raw(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0) & O_APPEND ? SEEK_END : SEEK_CUR;
        call->offset = raw(SYS_lseek, fd, 0, SEEK_CUR, 0, 0, 0);
        if (here == SEEK_END) {
            struct stat status;
            if (!fstat(fd, &status))
                call->offset = status.st_size;
        }
    }
    return 1;
}

static long total(long vector, long parts)
{
    long length = 0;
    for (long each = 0; each < parts; each++)
        length += ((const struct iovec *)vector)[each].iov_len;
    return length;
}

/* Whether the call changes something in the roots; tells what. */
static int classify(struct call *call, long number, long a, long b, long c, long d, long e)
{
    struct stat status;
    call->fd = -1;
    switch (number) {
    case SYS_openat:
        if ((c & O_ACCMODE) == O_RDONLY && !(c & (O_CREAT | O_TRUNC)))
            return 0;
        call->flags = c;
        if ((c & __O_TMPFILE) == __O_TMPFILE)
            return on_path(call, "tmpfile", a, b);
        /* "open" leaves the disk as it is, but a disk that cannot be written to refuses it. */
        if (fstatat(a, (const char *)b, &status, 0))
            return on_path(call, c & O_CREAT ? "create" : "open", a, b);
        return S_ISREG(status.st_mode) && on_path(call, c & O_TRUNC ? "empty" : "open", a, b);
    case SYS_write: return on_write(call, "write", a, c, -1);
    case SYS_writev: return on_write(call, "writev", a, total(b, c), -1);
    case SYS_pwrite64: return on_write(call, "pwrite", a, c, d);
    case SYS_pwritev: case SYS_pwritev2: return on_write(call, "pwritev", a, total(b, c), d);
    case SYS_sendfile: return on_write(call, "sendfile", a, d, -1);
    case SYS_copy_file_range: return on_write(call, "copy", c, e, d ? *(const long *)d : -1);
    case SYS_fsync: return on_fd(call, "fsync", a);
    case SYS_fdatasync: return on_fd(call, "fdatasync", a);
    case SYS_sync_file_range: return on_fd(call, "syncrange", a);
    case SYS_fallocate: call->flags = b; call->offset = c; call->length = d; return on_fd(call, "allocate", a);
    case SYS_ftruncate: call->length = b; return on_fd(call, "truncate", a);
    case SYS_truncate: call->length = b; return on_path(call, "truncate", AT_FDCWD, a);
    case SYS_renameat2: call->flags = e; return on_paths(call, "rename", a, b, c, d);
    case SYS_linkat:
        if (!fstatat(a, (const char *)b, &status, e & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW))
            call->inode = status.st_ino;
        return on_paths(call, "link", a, b, c, d);
    case SYS_symlinkat:
        snprintf(call->other, sizeof call->other, "%s", (const char *)a);
        return on_path(call, "symlink", b, c);
    case SYS_unlinkat: return on_path(call, c & AT_REMOVEDIR ? "rmdir" : "unlink", a, b);
    case SYS_mkdirat: return on_path(call, "mkdir", a, b);
    case SYS_utimensat: return b ? on_path(call, "times", a, b) : on_fd(call, "times", a);
    case SYS_fchmodat: return on_path(call, "chmod", a, b);
    case SYS_fchmod: return on_fd(call, "chmod", a);
    default: return 0;
    }
}

/* --- the trace --------------------------------------------------------------------------------------------------- */

/* A line a call: number, thread, operation, path, other path, inode, offset, length, where its bytes are in SHIM_DATA,
 * flags, result (below 0: -errno); a line more, whose operation says when, where the process is stopped. */

/* Tabs, line ends and percent signs of a path are written as %09 and the like. */
static char *escaped(char *out, const char *path)
{
    for (; *path; path++)
        out += (unsigned char)*path < ' ' || *path == '%' ? sprintf(out, "%%%02x", (unsigned char)*path) : (*out = *path, 1);
    *out = 0;
    return out;
}

static void note(const struct call *call, long result, long kept)
{
    static char line[32768], path[12288], other[12288];
    struct stat status = {.st_ino = call->inode};
    if (trace < 0)
        return;
    if (call->fd >= 0)
        fstat(call->fd, &status);
    escaped(path, call->path);
    escaped(other, call->other);
    int length = snprintf(line, sizeof line, "%ld\t%d\t%s\t%s\t%s\t%ld\t%ld\t%ld\t%ld\t%d\t%ld\n", count, gettid(),
                          call->op, path, other, (long)status.st_ino, call->offset, call->length, kept, call->flags,
                          result < 0 ? -(long)errno : result);
    raw(SYS_write, trace, (long)line, length, 0, 0, 0);
}

static void keep_bytes(const void *from, size_t length)
{
    for (size_t done = 0; done < length;) {
        long wrote = raw(SYS_write, data, (long)from + done, length - done, 0, 0, 0);
        if (wrote <= 0)
            abort();
        done += wrote;
    }
    data_size += length;
}

/* Keep the bytes that a call is about to write; where they are in the file of bytes, or -1. */
static long keep(const struct call *call, long number, long b, long c)
{
    long begin = data_size;
    if (data < 0 || !call->writes || number == SYS_sendfile || number == SYS_copy_file_range)
        return -1;
    if (number == SYS_writev || number == SYS_pwritev || number == SYS_pwritev2)
        for (long each = 0; each < c; each++)
            keep_bytes(((const struct iovec *)b)[each].iov_base, ((const struct iovec *)b)[each].iov_len);
    else
        keep_bytes((const void *)b, c);
    return begin;
}

/* Keep the bytes that the system has copied from one file to another, which pass through no buffer. */
static long keep_copied(const struct call *call, long copied)
{
    char path[64], buffer[65536];
    long begin = data_size;
    snprintf(path, sizeof path, "/proc/self/fd/%d", call->fd);
    int file = raw(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
    for (long done = 0; done < copied;) {
        long part = copied - done < (long)sizeof buffer ? copied - done : (long)sizeof buffer;
        long got = raw(SYS_pread64, file, (long)buffer, part, call->offset + done, 0, 0);
        if (got <= 0)
            abort();
        keep_bytes(buffer, got);
        done += got;
    }
    raw(SYS_close, file, 0, 0, 0, 0, 0);
    return begin;
}

/* --- faults ------------------------------------------------------------------------------------------------------ */

static int listed(const char *op)
{
    size_t length = strlen(op);
    if (!*refused)
        return 1;
    for (const char *each = refused; (each = strstr(each, op)); each += length)
        if ((each == refused || each[-1] == ',') && (!each[length] || each[length] == ','))
            return 1;
    return 0;
}

static void stop(const struct call *call, const char *when)
{
    struct call last = *call;
    last.op = when;
    note(&last, 0, -1);
    raw(SYS_kill, getpid(), signal_number, 0, 0, 0, 0);
}

/* Write only the first bytes of what is asked, at most `most`. */
static long cut(long number, long a, long b, long c, long d, long e, long f, long most)
{
    if (number == SYS_writev || number == SYS_pwritev || number == SYS_pwritev2) {
        struct iovec first = ((const struct iovec *)b)[0];
        if ((long)first.iov_len > most)
            first.iov_len = most;
        return raw(number, a, (long)&first, 1, d, e, f);
    }
    if (number == SYS_sendfile)
        d = most;
    else if (number == SYS_copy_file_range)
        e = most;
    else
        c = most;
    return raw(number, a, b, c, d, e, f);
}

static long faulty(struct call *call, long number, long a, long b, long c, long d, long e, long f)
{
    static long attempts;
    int here = count == at, since = count >= at;
    if (((mode == ONCE && since && !refusals) || (mode == FROM && since)) && listed(call->op)) {
        refusals++;
        errno = error;
        return -1;
    }
    if (mode == INTERRUPT && since && call->writes && attempts++ % 2 == 0) {
        errno = EINTR;
        return -1;
    }
    if (mode == SHORT && since && call->writes && call->length > 1)
        return cut(number, a, b, c, d, e, f, (call->length + 2) / 3);
    if (mode == BEFORE && here)
        stop(call, "before");
    if (mode == HALF && here && call->writes && call->length > 1) {
        long result = cut(number, a, b, c, d, e, f, call->length / 2);
        stop(call, "half");
        return result;
    }
    long result = raw(number, a, b, c, d, e, f);
    if (here && (mode == AFTER || (mode == HALF && !(call->writes && call->length > 1))))
        stop(call, "after");
    return result;
}

static long perform(long number, long a, long b, long c, long d, long e, long f)
{
    int before = errno;
    struct call call;
    call.path[0] = call.other[0] = 0;
    call.flags = call.writes = 0;
    call.inode = call.offset = call.length = 0;
    int counted = *roots && classify(&call, number, a, b, c, d, e);
    errno = before;
    if (!counted)
        return raw(number, a, b, c, d, e, f);
    pthread_mutex_lock(&turn);
    count++;
    long kept = keep(&call, number, b, c);
    long result = faulty(&call, number, a, b, c, d, e, f);
    int after = errno;
    if (number == SYS_openat && result >= 0)
        call.fd = result;
    if (data >= 0 && result > 0 && (number == SYS_sendfile || number == SYS_copy_file_range))
        kept = keep_copied(&call, result);
    note(&call, result, kept);
    pthread_mutex_unlock(&turn);
    errno = after;
    return result;
}

/* --- libc's names ------------------------------------------------------------------------------------------------ */

#define CALL(number, a, b, c, d, e) perform(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define PUBLIC __attribute__((visibility("default")))
#define ALSO(name) __attribute__((visibility("default"), alias(name)))

static int opened(int folder, const char *path, int flags, va_list more)
{
    int mode_given = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, int) : 0;
    return CALL(SYS_openat, folder, path, flags, mode_given, 0);
}

PUBLIC int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    int result = opened(AT_FDCWD, path, flags, more);
    va_end(more);
    return result;
}

PUBLIC int openat(int folder, const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    int result = opened(folder, path, flags, more);
    va_end(more);
    return result;
}

int open64(const char *, int, ...) ALSO("open");
int openat64(int, const char *, int, ...) ALSO("openat");
PUBLIC int __open_2(const char *path, int flags) { return CALL(SYS_openat, AT_FDCWD, path, flags, 0, 0); }
int __open64_2(const char *, int) ALSO("__open_2");
PUBLIC int __openat_2(int folder, const char *path, int flags) { return CALL(SYS_openat, folder, path, flags, 0, 0); }
int __openat64_2(int, const char *, int) ALSO("__openat_2");
PUBLIC int creat(const char *path, mode_t rights)
{
    return CALL(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, rights, 0);
}
int creat64(const char *, mode_t) ALSO("creat");

PUBLIC ssize_t write(int fd, const void *from, size_t length) { return CALL(SYS_write, fd, from, length, 0, 0); }
PUBLIC ssize_t writev(int fd, const struct iovec *from, int parts) { return CALL(SYS_writev, fd, from, parts, 0, 0); }
PUBLIC ssize_t pwrite(int fd, const void *from, size_t length, off_t where)
{
    return CALL(SYS_pwrite64, fd, from, length, where, 0);
}
ssize_t pwrite64(int, const void *, size_t, off64_t) ALSO("pwrite");
PUBLIC ssize_t pwritev(int fd, const struct iovec *from, int parts, off_t where)
{
    return CALL(SYS_pwritev, fd, from, parts, where, 0);
}
ssize_t pwritev64(int, const struct iovec *, int, off64_t) ALSO("pwritev");
PUBLIC ssize_t pwritev2(int fd, const struct iovec *from, int parts, off_t where, int flags)
{
    return perform(SYS_pwritev2, fd, (long)from, parts, where, 0, flags);
}
ssize_t pwritev64v2(int, const struct iovec *, int, off64_t, int) ALSO("pwritev2");
PUBLIC ssize_t sendfile(int to, int from, off_t *where, size_t length)
{
    return CALL(SYS_sendfile, to, from, where, length, 0);
}
ssize_t sendfile64(int, int, off64_t *, size_t) ALSO("sendfile");
PUBLIC ssize_t copy_file_range(int from, off64_t *where, int to, off64_t *there, size_t length, unsigned flags)
{
    return perform(SYS_copy_file_range, from, (long)where, to, (long)there, length, flags);
}

PUBLIC int fsync(int fd) { return CALL(SYS_fsync, fd, 0, 0, 0, 0); }
PUBLIC int fdatasync(int fd) { return CALL(SYS_fdatasync, fd, 0, 0, 0, 0); }
PUBLIC int sync_file_range(int fd, off64_t where, off64_t length, unsigned flags)
{
    return CALL(SYS_sync_file_range, fd, where, length, flags, 0);
}
PUBLIC int fallocate(int fd, int how, off_t where, off_t length)
{
    return CALL(SYS_fallocate, fd, how, where, length, 0);
}
int fallocate64(int, int, off64_t, off64_t) ALSO("fallocate");
PUBLIC int posix_fallocate(int fd, off_t where, off_t length)
{
    return CALL(SYS_fallocate, fd, 0, where, length, 0) ? errno : 0;
}
int posix_fallocate64(int, off64_t, off64_t) ALSO("posix_fallocate");
PUBLIC int ftruncate(int fd, off_t length) { return CALL(SYS_ftruncate, fd, length, 0, 0, 0); }
int ftruncate64(int, off64_t) ALSO("ftruncate");
PUBLIC int truncate(const char *path, off_t length) { return CALL(SYS_truncate, path, length, 0, 0, 0); }
int truncate64(const char *, off64_t) ALSO("truncate");

PUBLIC int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    return CALL(SYS_renameat2, from_folder, from, to_folder, to, flags);
}
PUBLIC int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return CALL(SYS_renameat2, from_folder, from, to_folder, to, 0);
}
PUBLIC int rename(const char *from, const char *to)
{
    return CALL(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
PUBLIC int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    return CALL(SYS_linkat, from_folder, from, to_folder, to, flags);
}
PUBLIC int link(const char *from, const char *to) { return CALL(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0); }
PUBLIC int symlinkat(const char *target, int folder, const char *path)
{
    return CALL(SYS_symlinkat, target, folder, path, 0, 0);
}
PUBLIC int symlink(const char *target, const char *path) { return CALL(SYS_symlinkat, target, AT_FDCWD, path, 0, 0); }
PUBLIC int unlinkat(int folder, const char *path, int flags) { return CALL(SYS_unlinkat, folder, path, flags, 0, 0); }
PUBLIC int unlink(const char *path) { return CALL(SYS_unlinkat, AT_FDCWD, path, 0, 0, 0); }
PUBLIC int rmdir(const char *path) { return CALL(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR, 0, 0); }
PUBLIC int mkdirat(int folder, const char *path, mode_t rights)
{
    return CALL(SYS_mkdirat, folder, path, rights, 0, 0);
}
PUBLIC int mkdir(const char *path, mode_t rights) { return CALL(SYS_mkdirat, AT_FDCWD, path, rights, 0, 0); }
PUBLIC int utimensat(int folder, const char *path, const struct timespec times[2], int flags)
{
    return CALL(SYS_utimensat, folder, path, times, flags, 0);
}
PUBLIC int futimens(int fd, const struct timespec times[2]) { return CALL(SYS_utimensat, fd, 0, times, 0, 0); }
PUBLIC int chmod(const char *path, mode_t rights) { return CALL(SYS_fchmodat, AT_FDCWD, path, rights, 0, 0); }
PUBLIC int fchmod(int fd, mode_t rights) { return CALL(SYS_fchmod, fd, rights, 0, 0, 0); }

PUBLIC long syscall(long number, ...)
{
    va_list more;
    va_start(more, number);
    long a = va_arg(more, long), b = va_arg(more, long), c = va_arg(more, long);
    long d = va_arg(more, long), e = va_arg(more, long), f = va_arg(more, long);
    va_end(more);
#ifdef SYS_rename
    if (number == SYS_rename)
        return CALL(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 0);
#endif
#ifdef SYS_renameat
    if (number == SYS_renameat)
        return CALL(SYS_renameat2, a, b, c, d, 0);
#endif
    return perform(number, a, b, c, d, e, f);
}

/* --- the clock --------------------------------------------------------------------------------------------------- */

PUBLIC int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = raw(SYS_clock_gettime, clock, (long)now, 0, 0, 0, 0);
    if (clock_offset != 0 && count >= clock_at && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += (time_t)clock_offset;
    return result;
}

PUBLIC int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec fine;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &fine);
    now->tv_sec = fine.tv_sec;
    now->tv_usec = fine.tv_nsec / 1000;
    return 0;
}

PUBLIC time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
